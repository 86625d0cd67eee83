r"""Arithmetic of ``.param`` values and ``{...}`` expressions, as ngspice's numparam has it.

Operators from the loosest to the tightest: ``c ? a : b``, ``||``, ``&&``, ``== != <> < > <= >=``, ``+ -``,
``* / % \``, then signs and ``!``, then ``** ^``, which take the magnitude of what is raised and group from the
left: ``(-2)**3`` is 8 and ``2**3**2`` is 64, while ``pow(-2,3)`` is -8, ``pwr(-2,3)`` 8. Comparisons give 1 or 0;
``\`` is the integer quotient. Refused, since ngspice makes something unexpected of them: a sign between an
operator and a power (``3*-2**2`` is 12 there), several signs in a row, integer quotients of negative numbers, a
``?`` between ``?`` and ``:``, the suffix ``mil`` and random numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping

from analogep.spice.text.arithmetic import FUNCTIONS, LEVELS, RANDOM
from analogep.spice.text.lexer import parse_number

_LEXEME = re.compile(
    r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[A-Za-z0-9_.µ]*|[A-Za-z_][A-Za-z0-9_.]*"
    r"|\*\*|&&|\|\||==|!=|<>|<=|>=|[-+*/^(),<>!?:%\\])",
    re.ASCII,
)


_DEEPEST = 50
_MOST_CALLS = 10_000  # of user functions, which may call each other many times over
_NESTED_CALLS = 10
Function = tuple[tuple[str, ...], str]
"""A user's ``.func``: argument names and expression."""


def evaluate(text: str, parameters: Mapping[str, float]) -> float:
    """Return the finite value of an arithmetic expression.

    Parameters
    ----------
    text
        Numbers (with SPICE suffixes), parameter names in any case, the operators of this module's
        description, parentheses and the usual functions.
    parameters
        Values by lower-case name; of :class:`~analogep.spice.text.parameters.Parameters`, also the user's
        functions.

    Raises
    ------
    ValueError
        If it is malformed, names something unknown, or has no finite real value.
    """
    try:
        value = _evaluate(text, parameters, [_MOST_CALLS])
    except RecursionError:
        raise ValueError(f"expression {text.strip()!r} is nested too deeply") from None
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError(f"expression {text.strip()!r} has no finite value")
    return float(value)


def _evaluate(text: str, parameters: Mapping[str, float], budget: list[int]) -> float:
    text = text.strip()
    parser = _Parser(_lexemes(text), parameters, text, budget)
    tree = parser.ternary(0)
    if parser.at < len(parser.lexemes):
        raise ValueError(f"unexpected {parser.lexemes[parser.at]!r} in expression {text!r}")
    try:
        return tree()
    except (ZeroDivisionError, OverflowError):
        raise ValueError(f"expression {text!r} has no finite value") from None


def _lexemes(text: str) -> list[str]:
    lexemes, at = [], 0
    while at < len(text):
        match = _LEXEME.match(text, at)
        if match is None:
            raise ValueError(f"unexpected {text[at : at + 10]!r} in expression {text!r}")
        lexemes.append(match.group(1))
        at = match.end()
    return lexemes


class _Local(Mapping[str, float]):
    """Arguments of a user's function in front of the parameters around the call."""

    def __init__(self, arguments: Mapping[str, float], outer: Mapping[str, float], nesting: int) -> None:
        self._arguments = arguments
        self.nesting = nesting
        self._outer = outer
        self.functions: dict[str, Function] = getattr(outer, "functions", {})

    def __getitem__(self, name: str) -> float:
        return self._arguments[name] if name in self._arguments else self._outer[name]

    def __contains__(self, name: object) -> bool:
        return name in self._arguments or name in self._outer

    def __iter__(self) -> Iterator[str]:
        return iter({*self._arguments, *self._outer})

    def __len__(self) -> int:
        return len({*self._arguments, *self._outer})


_Tree = Callable[[], float]
"""A parsed expression; calling it evaluates it, and of ``c ? a : b`` only the branch that counts."""


_SIGNS = ("+", "-", "!")
_OPERATORS = frozenset({*_SIGNS, "?", ":", *(sign for level in LEVELS for sign in level)})


def _chooses(lexemes: list[str]) -> bool:
    """Whether a ``?`` stands among lexemes outside all parentheses."""
    depth = 0
    for lexeme in lexemes:
        depth += (lexeme == "(") - (lexeme == ")")
        if lexeme == "?" and depth == 0:
            return True
    return False


class _Parser:
    def __init__(self, lexemes: list[str], parameters: Mapping[str, float], text: str, budget: list[int]) -> None:
        self.lexemes = lexemes
        self.parameters = parameters
        self.text = text
        self.budget = budget
        self.at = 0
        self.raised = False  # whether the operand that was read last is a power

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

    def ternary(self, depth: int) -> _Tree:
        if depth > _DEEPEST:
            raise ValueError(f"expression {self.text!r} is nested too deeply")
        condition = self.binary(0, depth)
        if not self.take("?"):
            return condition
        start = self.at
        yes = self.ternary(depth + 1)
        if _chooses(self.lexemes[start : self.at]):
            raise ValueError(f"'?' within '? :' in expression {self.text!r}; add parentheses")
        self.need(":")
        no = self.ternary(depth + 1)
        return lambda: yes() if condition() else no()

    def binary(self, level: int, depth: int) -> _Tree:
        """Return operators of ``level`` and tighter ones, grouped from the left."""
        if level == len(LEVELS):
            return self.signed(depth)
        first = self.binary(level + 1, depth)
        rest: list[tuple[Callable[[float, float], float], _Tree]] = []
        while sign := self.take(*LEVELS[level]):
            rest.append((LEVELS[level][sign], self.binary(level + 1, depth)))
        if not rest:
            return first

        def tree() -> float:
            value = first()
            for action, operand in rest:
                value = action(value, operand())
            return value

        return tree

    def signed(self, depth: int) -> _Tree:
        if depth > _DEEPEST:
            raise ValueError(f"expression {self.text!r} is nested too deeply")
        before = self.lexemes[self.at - 1] if self.at else ""
        sign = self.take("+", "-", "!")
        if not sign:
            return self.power(depth)
        behind = before in _OPERATORS
        if behind and self.peek() in _SIGNS:
            raise ValueError(f"several signs in a row in expression {self.text!r}; add parentheses")
        value = self.signed(depth + 1)
        if behind and self.raised:
            what = f"a sign between {before!r} and a power"
            raise ValueError(f"{what} in expression {self.text!r}; add parentheses, as in -(2**2)")
        if sign == "!":
            return lambda: float(not value())
        return (lambda: -value()) if sign == "-" else value

    def power(self, depth: int) -> _Tree:
        value = self.atom(depth)
        raised = False
        while self.take("**", "^"):
            raised = True
            sign = self.take("+", "-")
            value = self._power(value, self.atom(depth), -1.0 if sign == "-" else 1.0)
        self.raised = raised
        return value

    def _power(self, base: _Tree, exponent: _Tree, sign: float) -> _Tree:
        return lambda: self._apply("**", math.pow, (abs(base()), sign * exponent()))

    def atom(self, depth: int) -> _Tree:
        if self.take("("):
            value = self.ternary(depth + 1)
            self.need(")")
            return value
        lexeme = self.peek()
        if not lexeme or not (lexeme[0].isalnum() or lexeme[0] in "._"):
            raise ValueError(f"expression {self.text!r} is incomplete")
        self.at += 1
        if lexeme[0].isdigit() or lexeme[0] == ".":
            if "d" in lexeme.lower():
                raise ValueError(f"{lexeme!r} in expression {self.text!r}: write the number without d")
            if lexeme.lower().endswith("mil"):  # 25.4 µ elsewhere, but milli in an expression of ngspice
                raise ValueError(f"{lexeme!r} in expression {self.text!r}: write the number without mil")
            number = parse_number(lexeme)
            return lambda: number
        name = lexeme.lower()
        if self.peek() == "(":
            return self.call(name, depth)
        if name not in self.parameters:
            raise ValueError(f"unknown parameter {lexeme!r}; define it with .param")
        return lambda: self.parameters[name]

    def call(self, name: str, depth: int) -> _Tree:
        own: Mapping[str, Function] = getattr(self.parameters, "functions", {})
        if name not in own and name not in FUNCTIONS:
            if name in RANDOM:
                raise ValueError(f"{name} draws a random number in ngspice; give the value")
            raise ValueError(f"unknown function {name!r} in expression {self.text!r}")
        self.need("(")
        arguments: list[_Tree] = []
        if not self.take(")"):
            arguments = [self.ternary(depth + 1)]
            while self.take(","):
                arguments.append(self.ternary(depth + 1))
            self.need(")")
        count = len(own[name][0]) if name in own else FUNCTIONS[name][0]
        if len(arguments) != count:
            raise ValueError(f"{name} takes {count} arguments, not {len(arguments)}, in {self.text!r}")
        if name in own:
            return lambda: self._own(own[name], [a() for a in arguments])
        return lambda: self._apply(name, FUNCTIONS[name][1], tuple(a() for a in arguments))

    def _apply(self, name: str, function: Callable[..., float], arguments: tuple[float, ...]) -> float:
        try:
            return float(function(*arguments))
        except ValueError as error:
            raise ValueError(f"{name} in expression {self.text!r}: {error}") from None

    def _own(self, function: Function, arguments: list[float]) -> float:
        """Return the value of a user's function, whose text sees its arguments before the parameters."""
        names, text = function
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise ValueError(f"expression {self.text!r} calls functions more than {_MOST_CALLS} times")
        if (nested := getattr(self.parameters, "nesting", 0)) >= _NESTED_CALLS:
            raise ValueError(f"expression {self.text!r}: functions call each other too deeply")
        local = _Local(dict(zip(names, arguments, strict=True)), self.parameters, nested + 1)
        return _evaluate(text, local, self.budget)
