"""Expressions of voltages and parameters: parsing, one canonical spelling, values and exact derivatives.

The grammar is what SPICE's B sources share: numbers with suffixes, names, ``v(a)``, ``v(a,b)``, ``+ - * /``,
``^`` or ``**``, parentheses, and the functions of :data:`FUNCTIONS`. Derivatives are propagated forward
through arrays (forward-mode differentiation), never by differences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEXEME = re.compile(
    r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[A-Za-z0-9_.µ]*|[A-Za-z_][A-Za-z0-9_.]*|\*\*|[-+*/^(),])", re.ASCII
)
_NUMBER = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([A-Za-zµ]*)", re.ASCII)
_SUFFIXES = {
    "t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15,
    "": 1.0,
}  # fmt: skip
_LARGEST_POWER = 16
_DEEPEST = 60

_Rule = Callable[[Array], tuple[Array, Array]]
FUNCTIONS: dict[str, _Rule] = {
    "exp": lambda x: (np.exp(x), np.exp(x)),
    "log": lambda x: (np.log(x), 1.0 / x),
    "log10": lambda x: (np.log10(x), 1.0 / (x * math.log(10.0))),
    "sqrt": lambda x: (np.sqrt(x), 0.5 / np.sqrt(x)),
    "abs": lambda x: (np.abs(x), np.sign(x)),
    "sin": lambda x: (np.sin(x), np.cos(x)),
    "cos": lambda x: (np.cos(x), -np.sin(x)),
    "tan": lambda x: (np.tan(x), 1.0 / np.cos(x) ** 2),
    "sinh": lambda x: (np.sinh(x), np.cosh(x)),
    "cosh": lambda x: (np.cosh(x), np.sinh(x)),
    "tanh": lambda x: (np.tanh(x), 1.0 - np.tanh(x) ** 2),
    "atan": lambda x: (np.arctan(x), 1.0 / (1.0 + x * x)),
    "asinh": lambda x: (np.arcsinh(x), 1.0 / np.sqrt(1.0 + x * x)),
}
"""Functions of one argument: value and derivative. ``ln`` is ``log``; ``min``, ``max`` and ``pow`` take two."""

_STEEP = frozenset({"exp", "sinh", "cosh"})


@dataclass(frozen=True)
class Node:
    """One node of an expression's tree.

    Attributes
    ----------
    kind
        ``"number"``, ``"name"``, ``"v"``, ``"neg"``, ``"power"`` (an integer one), an operator or a function.
    parts
        Operands.
    text
        The name; for ``v``, the pins, with a comma between two.
    value
        The number, or the integer power.
    """

    kind: str
    parts: tuple[Node, ...] = ()
    text: str = ""
    value: float = 0.0

    def walk(self) -> list[Node]:
        """Return this node and all below it."""
        return [self, *(inner for part in self.parts for inner in part.walk())]


def parse(text: str) -> Node:
    """Return the tree of an expression.

    Raises
    ------
    ValueError
        If it is malformed, or uses a function that is not differentiable or not known.
    """
    lexemes, at = [], 0
    while at < len(text.rstrip()):
        match = _LEXEME.match(text, at)
        if match is None:
            raise ValueError(f"unexpected {text[at : at + 10]!r} in expression {text!r}")
        lexemes.append(match.group(1))
        at = match.end()
    parser = _Parser(lexemes, text)
    tree = parser.sum(0)
    if parser.at < len(lexemes):
        raise ValueError(f"unexpected {lexemes[parser.at]!r} in expression {text!r}")
    return tree


class _Parser:
    def __init__(self, lexemes: list[str], text: str) -> None:
        self.lexemes, self.text, self.at = lexemes, text, 0

    def peek(self) -> str:
        return self.lexemes[self.at] if self.at < len(self.lexemes) else ""

    def take(self) -> str:
        found = self.peek()
        if not found:
            raise ValueError(f"expression {self.text!r} is incomplete")
        self.at += 1
        return found

    def need(self, lexeme: str) -> None:
        if self.take() != lexeme:
            raise ValueError(
                f"expected {lexeme!r} before {self.lexemes[self.at - 1]!r} in expression {self.text!r}"
            )

    def sum(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ValueError(f"expression {self.text!r} is nested too deeply")
        left = self.product(depth)
        while self.peek() in ("+", "-"):
            left = Node(self.take(), (left, self.product(depth)))
        return left

    def product(self, depth: int) -> Node:
        left = self.signed(depth)
        while self.peek() in ("*", "/"):
            left = Node(self.take(), (left, self.signed(depth)))
        return left

    def signed(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ValueError(f"expression {self.text!r} is nested too deeply")
        if self.peek() not in ("+", "-"):
            return self.power(depth)
        sign, inner = self.take(), self.signed(depth + 1)
        return Node("neg", (inner,)) if sign == "-" else inner

    def power(self, depth: int) -> Node:
        base = self.atom(depth)
        if self.peek() not in ("^", "**"):
            return base
        self.take()
        exponent = self.signed(depth + 1) if self.peek() in ("+", "-") else self.atom(depth)
        if self.peek() in ("^", "**"):
            raise ValueError(f"chained powers in expression {self.text!r}; add parentheses")
        return self.raised(base, exponent)

    def raised(self, base: Node, exponent: Node) -> Node:
        sign, literal = (-1.0, exponent.parts[0]) if exponent.kind == "neg" else (1.0, exponent)
        if literal.kind != "number" or literal.value != round(literal.value):
            return Node("**", (base, exponent))
        if not 1.0 <= literal.value <= _LARGEST_POWER:
            raise ValueError(f"power {literal.value:g} in expression {self.text!r}; use 1 to {_LARGEST_POWER}")
        whole = Node("power", (base,), value=literal.value)
        return whole if sign > 0 else Node("/", (Node("number", value=1.0), whole))

    def atom(self, depth: int) -> Node:
        lexeme = self.take()
        if lexeme == "(":
            inner = self.sum(depth + 1)
            self.need(")")
            return inner
        if lexeme[0].isdigit() or lexeme[0] == ".":
            return Node("number", value=_number(lexeme))
        if not (lexeme[0].isalpha() or lexeme[0] == "_"):
            raise ValueError(f"unexpected {lexeme!r} in expression {self.text!r}")
        if self.peek() != "(":
            return Node("name", text=lexeme)
        self.take()
        function = lexeme.lower()
        if function == "v":
            pins = [self.take()]
            if self.peek() == ",":
                self.take()
                pins.append(self.take())
            self.need(")")
            return Node("v", text=",".join(pins))
        arguments = [self.sum(depth + 1)]
        while self.peek() == ",":
            self.take()
            arguments.append(self.sum(depth + 1))
        self.need(")")
        return self.call(function, arguments)

    def call(self, function: str, arguments: list[Node]) -> Node:
        function = "log" if function == "ln" else function
        wanted = 2 if function in ("min", "max", "pow") else 1
        if wanted == 1 and function not in FUNCTIONS:
            known = ", ".join(sorted({*FUNCTIONS, "ln", "min", "max", "pow"}))
            raise ValueError(f"function {function!r} in expression {self.text!r} is not one of {known}")
        if len(arguments) != wanted:
            raise ValueError(f"{function} takes {wanted} arguments, not {len(arguments)}, in {self.text!r}")
        return self.raised(*arguments) if function == "pow" else Node(function, tuple(arguments))


def _number(lexeme: str) -> float:
    match = _NUMBER.fullmatch(lexeme)
    if match is None:
        raise ValueError(f"{lexeme!r} is not a number; write digits, a point, an exponent and a suffix")
    digits, letters = match.group(1), match.group(2).lower()
    suffix = "meg" if letters.startswith("meg") else letters[:1]
    if letters.startswith("mil") or suffix not in _SUFFIXES:
        raise ValueError(f"{lexeme!r} is not a number; use a SPICE suffix (f p n u m k meg g t) or an exponent")
    value = float(digits) * _SUFFIXES[suffix]
    if not math.isfinite(value):
        raise ValueError(f"{lexeme!r} is not finite")
    return value


def spell(tree: Node, pins: Mapping[str, str], values: Mapping[str, float]) -> str:
    """Return the expression as SPICE reads it, without blanks.

    Parameters
    ----------
    tree
        The expression.
    pins
        What to call each pin in ``v()``; pins that are missing keep their name.
    values
        Numbers that replace names; names that are missing stay. Integer powers are written as products where
        ``values`` or ``pins`` replace anything, since simulators disagree on powers of negative numbers.
    """
    portable = bool(pins or values)

    def text(node: Node) -> str:
        if node.kind == "number":
            return f"{node.value:.17g}"
        if node.kind == "name":
            if node.text not in values:
                return node.text
            value = values[node.text]
            return f"{value:.17g}" if math.copysign(1.0, value) > 0 else f"({value:.17g})"
        if node.kind == "v":
            return f"v({','.join(pins.get(pin, pin) for pin in node.text.split(','))})"
        inner = [text(part) for part in node.parts]
        if node.kind == "neg":
            return f"(-{inner[0]})"
        if node.kind == "power":
            return f"({'*'.join(inner * int(node.value))})" if portable else f"({inner[0]}**{node.value:.0f})"
        if node.kind in ("+", "-", "*", "/", "**"):
            return f"({inner[0]}{node.kind}{inner[1]})"
        return f"{node.kind}({','.join(inner)})"

    return text(tree)


@dataclass(frozen=True)
class Dual:
    """A value (...) and its derivatives by each variable, by name; those that are zero are left out."""

    value: Array
    slopes: Mapping[str, Array]


def _chain(value: Array, *terms: tuple[Array, Dual]) -> Dual:
    slopes: dict[str, Array] = {}
    for factor, operand in terms:
        for name, slope in operand.slopes.items():
            # What overflowed without effect on the value has none on its slope: 1/(1 + exp(x)) for large x.
            part = np.where((factor == 0.0) & np.isinf(slope), 0.0, factor * slope)
            slopes[name] = slopes[name] + part if name in slopes else part
    return Dual(value, slopes)


def differentiate(tree: Node, variables: Mapping[str, Dual], pins: Mapping[str, Dual]) -> Dual:
    """Return value and derivatives of an expression at the given names and pin voltages."""
    kind = tree.kind
    if kind == "number":
        return Dual(np.asarray(tree.value), {})
    if kind == "name":
        return variables[tree.text]
    if kind == "v":
        first, _, second = tree.text.partition(",")
        if not second:
            return pins[first]
        a, b = pins[first], pins[second]
        return _chain(a.value - b.value, (np.asarray(1.0), a), (np.asarray(-1.0), b))
    parts = [differentiate(part, variables, pins) for part in tree.parts]
    x = parts[0].value
    if kind == "neg":
        return _chain(-x, (np.asarray(-1.0), parts[0]))
    if kind == "power":
        lower = x ** (tree.value - 1.0)
        return _chain(x * lower, (tree.value * lower, parts[0]))
    if kind in FUNCTIONS:
        value, slope = FUNCTIONS[kind](x)
        return _chain(value, (slope, parts[0]))
    y = parts[1].value
    one = np.asarray(1.0)
    if kind in ("+", "-"):
        sign = one if kind == "+" else -one
        return _chain(x + sign * y, (one, parts[0]), (sign, parts[1]))
    if kind == "*":
        return _chain(x * y, (y, parts[0]), (x, parts[1]))
    if kind == "/":
        return _chain(x / y, (1.0 / y, parts[0]), (-x / y / y, parts[1]))
    if kind == "**":
        value = x**y
        return _chain(value, (y * x ** (y - 1.0), parts[0]), (value * np.log(x), parts[1]))
    share: Array = np.where((x <= y) if kind == "min" else (x >= y), 1.0, 0.0)
    return _chain(np.where(share > 0, x, y), (share, parts[0]), (1.0 - share, parts[1]))


def with_magnitudes(tree: Node) -> Node:
    """Return the expression with |x| for x in powers, as ngspice has it: x ** 3 of a negative x is positive."""
    parts = tuple(with_magnitudes(part) for part in tree.parts)
    odd = tree.kind == "**" or (tree.kind == "power" and tree.value % 2.0 == 1.0 and tree.value > 1.0)
    if odd and parts[0].kind != "abs":
        parts = (Node("abs", parts[:1]), *parts[1:])
    return Node(tree.kind, parts, tree.text, tree.value)


def steep_arguments(tree: Node) -> tuple[Node, ...]:
    """Return the arguments of all exponentials, whose growth Newton's method must limit."""
    return tuple(node.parts[0] for node in tree.walk() if node.kind in _STEEP)
