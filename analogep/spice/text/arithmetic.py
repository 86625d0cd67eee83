"""Operators and functions of netlist expressions, as ngspice's numparam has them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))


def _power_of_magnitude(x: float, y: float) -> float:
    return math.pow(abs(x), y)


def _quotient(a: float, b: float) -> float:
    if a < 0.0 or b < 0.0:  # ngspice drops the sign of the divisor
        raise ValueError("integer quotient of a negative number; use int(a/b)")
    return float(math.trunc(a / b))


FUNCTIONS: dict[str, tuple[int, Callable[..., float]]] = {
    "sqrt": (1, math.sqrt),
    "sqr": (1, lambda x: x * x),
    "exp": (1, math.exp),
    "ln": (1, math.log),
    "log": (1, math.log),
    "log10": (1, math.log10),
    "abs": (1, abs),
    "sgn": (1, _sign),
    "int": (1, math.trunc),
    "nint": (1, round),
    "floor": (1, math.floor),
    "ceil": (1, math.ceil),
    "sin": (1, math.sin),
    "cos": (1, math.cos),
    "tan": (1, math.tan),
    "asin": (1, math.asin),
    "acos": (1, math.acos),
    "atan": (1, math.atan),
    "arctan": (1, math.atan),
    "sinh": (1, math.sinh),
    "cosh": (1, math.cosh),
    "tanh": (1, math.tanh),
    "asinh": (1, math.asinh),
    "acosh": (1, math.acosh),
    "atanh": (1, math.atanh),
    "min": (2, min),
    "max": (2, max),
    "pow": (2, math.pow),
    "pwr": (2, _power_of_magnitude),
    "ternary_fcn": (3, lambda c, a, b: a if c else b),
}
"""Functions: number of arguments, and what they do."""

RANDOM = frozenset({"gauss", "agauss", "unif", "aunif", "limit"})
"""Functions that draw numbers in ngspice."""

LEVELS: tuple[dict[str, Callable[[float, float], float]], ...] = (
    {"||": lambda a, b: float(bool(a) or bool(b))},
    {"&&": lambda a, b: float(bool(a) and bool(b))},
    {
        "==": lambda a, b: float(a == b),
        "!=": lambda a, b: float(a != b),
        "<>": lambda a, b: float(a != b),
        "<": lambda a, b: float(a < b),
        ">": lambda a, b: float(a > b),
        "<=": lambda a, b: float(a <= b),
        ">=": lambda a, b: float(a >= b),
    },
    {"+": operator.add, "-": operator.sub},
    {
        "*": operator.mul,
        "/": operator.truediv,
        "%": math.fmod,
        "\\": _quotient,
    },
)
"""Binary operators, from the loosest to the tightest."""
