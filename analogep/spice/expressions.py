"""Arithmetic of ``.param`` values and ``{...}`` expressions: a small recursive-descent parser."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping

from analogep.spice.lexer import parse_number

_LEXEME = re.compile(
    r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[A-Za-zµ]*|[A-Za-z_][A-Za-z0-9_.]*|\*\*|[-+*/^(),])"
)
_FUNCTIONS: dict[str, tuple[int, Callable[..., float]]] = {
    "sqrt": (1, math.sqrt),
    "exp": (1, math.exp),
    "ln": (1, math.log),
    "log": (1, math.log),
    "log10": (1, math.log10),
    "abs": (1, abs),
    "sin": (1, math.sin),
    "cos": (1, math.cos),
    "tan": (1, math.tan),
    "tanh": (1, math.tanh),
    "atan": (1, math.atan),
    "min": (2, min),
    "max": (2, max),
    "pow": (2, math.pow),
}
_DEEPEST = 50


class Parameters(Mapping[str, float]):
    """Netlist parameters, evaluated when first asked for, in whatever order they were written."""

    def __init__(self, definitions: Mapping[str, str]) -> None:
        self._definitions = dict(definitions)
        self._values: dict[str, float] = {}
        self._open: list[str] = []

    def __getitem__(self, name: str) -> float:
        if name not in self._values:
            if name in self._open:
                raise ValueError(f"parameter {name} is defined by itself")
            if len(self._open) >= _DEEPEST:
                raise ValueError(f"parameter {name} is defined through more than {_DEEPEST} others")
            text = self._definitions[name]
            self._open.append(name)
            try:
                self._values[name] = evaluate(text, self)
            finally:
                self._open.pop()
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._definitions)

    def __len__(self) -> int:
        return len(self._definitions)


def evaluate(text: str, parameters: Mapping[str, float]) -> float:
    """Return the finite value of an arithmetic expression.

    Parameters
    ----------
    text
        Numbers (with SPICE suffixes), parameter names in any case, the operators ``+ - * / ** ^``,
        parentheses and the usual functions.
    parameters
        Values by lower-case name.

    Raises
    ------
    ValueError
        If it is malformed, names something unknown, or has no finite real value.
    """
    lexemes, at = [], 0
    text = text.strip()
    while at < len(text):
        match = _LEXEME.match(text, at)
        if match is None:
            raise ValueError(f"unexpected {text[at : at + 10]!r} in expression {text!r}")
        lexemes.append(match.group(1))
        at = match.end()
        at += len(text[at:]) - len(text[at:].lstrip())
    parser = _Parser(lexemes, parameters, text)
    try:
        value = parser.sum(0)
    except (ZeroDivisionError, OverflowError):
        raise ValueError(f"expression {text!r} has no finite value") from None
    if parser.at < len(lexemes):
        raise ValueError(f"unexpected {lexemes[parser.at]!r} in expression {text!r}")
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError(f"expression {text!r} has no finite value")
    return value


class _Parser:
    def __init__(self, lexemes: list[str], parameters: Mapping[str, float], text: str) -> None:
        self.lexemes = lexemes
        self.parameters = parameters
        self.text = text
        self.at = 0

    def peek(self) -> str:
        return self.lexemes[self.at] if self.at < len(self.lexemes) else ""

    def take(self, *wanted: str) -> str:
        """Consume and return the next lexeme if it is one of ``wanted``, else return nothing."""
        found = self.peek()
        if found and found in wanted:
            self.at += 1
            return found
        return ""

    def need(self, lexeme: str) -> None:
        if not self.take(lexeme):
            raise ValueError(f"expected {lexeme!r} in expression {self.text!r}")

    def sum(self, depth: int) -> float:
        value = self.product(depth)
        while sign := self.take("+", "-"):
            term = self.product(depth)
            value = value + term if sign == "+" else value - term
        return value

    def product(self, depth: int) -> float:
        value = self.signed(depth)
        while sign := self.take("*", "/"):
            factor = self.signed(depth)
            value = value * factor if sign == "*" else value / factor
        return value

    def signed(self, depth: int) -> float:
        if depth > _DEEPEST:
            raise ValueError(f"expression {self.text!r} is nested too deeply")
        if sign := self.take("+", "-"):
            value = self.signed(depth + 1)
            return -value if sign == "-" else value
        return self.power(depth)

    def power(self, depth: int) -> float:
        base = self.atom(depth)
        if not self.take("**", "^"):
            return base
        exponent = self.signed(depth + 1) if self.peek() in ("+", "-") else self.atom(depth)
        # Simulators disagree on both: ngspice takes |base|, and groups 2**3**2 from the left.
        if base < 0.0:
            raise ValueError(f"power of a negative number in expression {self.text!r}; write it as a product")
        if self.peek() in ("**", "^"):
            raise ValueError(f"chained powers in expression {self.text!r}; add parentheses")
        return math.pow(base, exponent)

    def atom(self, depth: int) -> float:
        if self.take("("):
            value = self.sum(depth + 1)
            self.need(")")
            return value
        lexeme = self.peek()
        if not lexeme or not (lexeme[0].isalnum() or lexeme[0] in "._"):
            raise ValueError(f"expression {self.text!r} is incomplete")
        self.at += 1
        if lexeme[0].isdigit() or lexeme[0] == ".":
            return parse_number(lexeme)
        name = lexeme.lower()
        if self.peek() == "(" and name in _FUNCTIONS:
            return self.call(name, depth)
        if name in self.parameters:
            return self.parameters[name]
        raise ValueError(f"unknown parameter {lexeme!r}; define it with .param")

    def call(self, name: str, depth: int) -> float:
        count, function = _FUNCTIONS[name]
        self.need("(")
        arguments = [self.sum(depth + 1)]
        while self.take(","):
            arguments.append(self.sum(depth + 1))
        self.need(")")
        if len(arguments) != count:
            raise ValueError(f"{name} takes {count} arguments, not {len(arguments)}, in {self.text!r}")
        return function(*arguments)
