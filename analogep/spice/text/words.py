"""The words of one line, taken from the left, and the numbers among them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from analogep.spice.text.expressions import evaluate
from analogep.spice.text.lexer import Line, parse_number, tokens

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Words:
    """The tokens of one line, taken from the left; numbers may be parameters or expressions."""

    def __init__(self, line: Line, parameters: Mapping[str, float]) -> None:
        self.items = tokens(line.text)
        self.at = 0
        self.parameters = parameters

    def more(self) -> bool:
        """Return whether tokens are left."""
        return self.at < len(self.items)

    def peek(self, ahead: int = 0) -> str:
        """Return a token in lower case without taking it, ``""`` behind the last."""
        place = self.at + ahead
        return self.items[place].lower() if place < len(self.items) else ""

    def word(self, what: str) -> str:
        """Take a token; raises ValueError, naming ``what``, if there is none or it is punctuation."""
        if not self.more():
            raise ValueError(f"{what} is missing")
        found = self.items[self.at]
        if found in "={}'":
            raise ValueError(f"expected {what}, found {found!r}")
        self.at += 1
        return found

    def nodes(self, count: int) -> tuple[str, ...]:
        """Take ``count`` node names."""
        return tuple(plain_name(self.word(f"node {k + 1} of {count}"), "node") for k in range(count))

    def number(self, what: str) -> float:
        """Take a number; raises ValueError, naming ``what``, if it is none."""
        token = self.word(what)
        try:
            return number_of(token, self.parameters)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from None

    def pairs(self, *, flags: tuple[str, ...] = ()) -> dict[str, float]:
        """Take the rest as ``key=value`` pairs; words in ``flags`` may stand alone."""
        found: dict[str, float] = {}
        while self.more():
            key = self.word("a keyword").lower()
            if self.peek() == "=":
                self.at += 1
                if key in found:
                    raise ValueError(f"{key} is given twice")
                found[key] = self.number(key)
            elif key not in flags:
                raise ValueError(f"unexpected {key!r}")
        return found


def plain_name(token: str, what: str) -> str:
    """Return the name of a node or an element; raises ValueError if it is an expression, or not of ASCII."""
    if token[0] in "{'":
        raise ValueError(f"expected a {what}, found the expression {token}")
    if token.startswith("$") or '"' in token:
        raise ValueError(f"{what} {token!r}: ngspice takes $ for a comment and drops quotes; give a plain name")
    if not token.isascii():  # ngspice has u for µ and two underscores for é
        raise ValueError(f"{what} {token!r}: simulators read letters of ASCII only; rename it")
    return token


def number_of(token: str, parameters: Mapping[str, float]) -> float:
    """Return the value of a number, ``{expression}``, ``'expression'`` or parameter name.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if token[0] in "{'" and len(token) > 1:
        return evaluate(token[1:-1], parameters)
    if _IDENTIFIER.fullmatch(token):
        return evaluate(token, parameters)
    return parse_number(token)
