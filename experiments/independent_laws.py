"""Laws of the third route: numbers, waveforms, expressions, junctions and channels, by the ngspice manual alone.

Chapters 3 (sources), 5 (behavioural), 7 (diodes) and 11 (level 1). No code of the package is used here.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

Array = np.ndarray
BOLTZMANN, CHARGE = 1.38064852e-23, 1.6021766208e-19
VT = BOLTZMANN * 300.15 / CHARGE
SUFFIXES = {"t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(meg|[tgkmunpf])?[a-z]*$", re.I)


class OutOfReach(Exception):
    """What this route cannot do, or where it does not converge."""


def number(word: str) -> float:
    found = _NUMBER.match(word)
    if not found:
        raise OutOfReach(f"number {word!r}")
    return float(found.group(1)) * SUFFIXES.get((found.group(2) or "").lower(), 1.0)


@dataclass
class Wave:
    """A source over time, its value at rest, and its corners."""

    rest: float
    value: Callable[[float], float]
    corners: list[float] = field(default_factory=list)


@dataclass
class Law:
    """A function of the unknowns in ``controls`` (−1: ground), added to the equations in ``rows`` by weights."""

    rows: list[tuple[int, float]]
    controls: list[int]
    function: Callable[[Sequence[float]], float]


def _exp(x: float) -> float:
    return math.exp(x) if x < 700.0 else math.inf


def _power(x: float, y: float) -> float:
    return abs(x) ** y if x != 0.0 or y > 0.0 else math.inf


def _wide(function: Callable[[float], float], large: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: function(x) if abs(x) < 700.0 else large(x)


FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": abs, "sqrt": lambda x: math.sqrt(abs(x)), "exp": _exp, "ln": lambda x: math.log(abs(x)),
    "log": lambda x: math.log(abs(x)),
    "log10": lambda x: math.log10(abs(x)), "tanh": math.tanh, "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "atan": math.atan, "asinh": math.asinh, "min": min, "max": max, "pow": _power,
    "sinh": _wide(math.sinh, lambda x: math.copysign(math.inf, x)), "cosh": _wide(math.cosh, lambda x: math.inf),
    "u": lambda x: 1.0 if x > 0 else 0.0, "sgn": lambda x: float((x > 0) - (x < 0)),
}  # fmt: skip


class _Powers(ast.NodeTransformer):
    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.Pow):
            return ast.Call(ast.Name("pow", ast.Load()), [node.left, node.right], [])
        if isinstance(node.op, ast.Div):
            return ast.Call(ast.Name("_over", ast.Load()), [node.left, node.right], [])
        return node


def _over(a: float, b: float) -> float:
    if b == 0.0:
        return math.copysign(math.inf, a) if a else math.nan
    return a / b


def _ternary(text: str) -> str:
    """Return ``(a) ? (b) : (c)`` as Python has it; one to an expression."""
    head, found, tail = text.partition("?")
    if not found:
        return text
    yes, _, no = tail.partition(":")
    return f"(({yes}) if ({head}) else ({no}))"


def compiled(expression: str, node: Callable[[str], int]) -> tuple[list[int], Callable[[Sequence[float]], float]]:
    """Return the unknowns an expression depends on, and it as a function of them."""
    controls: list[int] = []

    def place(name: str) -> str:
        index = node(name)
        if index < 0:
            return "0.0"
        if index not in controls:
            controls.append(index)
        return f"_u{controls.index(index)}"

    def voltage(found: re.Match[str]) -> str:
        first, _, second = found.group(1).partition(",")
        minus = f"-{place(second.strip())}" if second else ""
        return f"({place(first.strip())}{minus})"

    text = re.sub(r"\bv\s*\(([^()]*)\)", voltage, expression.lower().strip("{}' "))
    text = re.sub(
        r"(?<![\w.])((?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?:meg|[tgkmunpf])?)(?![\w.])",
        lambda m: repr(number(m[1])),
        text,
    )
    tree = _Powers().visit(ast.parse(_ternary(text.replace("^", "**")).strip(), mode="eval"))
    code = compile(ast.fix_missing_locations(tree), "<expression>", "eval")
    names = {**FUNCTIONS, "_over": _over, "__builtins__": {}}
    keys = [f"_u{k}" for k in range(len(controls))]
    return controls, lambda u: float(eval(code, names, dict(zip(keys, u, strict=True))))


def junction(i_s: float, vte: float, gmin: float) -> Callable[[Sequence[float]], float]:
    def current(u: Sequence[float]) -> float:
        v = u[0] - u[1]
        if isinstance(v, Decimal):
            return _junction_of_digits(v, Decimal(i_s), Decimal(vte), Decimal(gmin))  # type: ignore[return-value]
        if v >= -3.0 * vte:
            return i_s * math.expm1(min(v / vte, 300.0)) + gmin * v
        return -i_s * (1.0 + (3.0 * vte / (v * math.e)) ** 3) + gmin * v

    return current


def depletion(
    cjo: float, vj: float, m: float, fc: float, tt: float, i_s: float, vte: float
) -> Callable[..., float]:
    """Return the charge of a junction: depletion, continued linearly beyond fc·vj, and tt times its current."""
    knee = fc * vj
    f1 = vj * (1.0 - (1.0 - fc) ** (1.0 - m)) / (1.0 - m)
    f2, f3 = (1.0 - fc) ** (1.0 + m), 1.0 - fc * (1.0 + m)

    def charge(u: Sequence[float]) -> float:
        v = u[0] - u[1]
        if v < knee:
            q = vj * cjo * (1.0 - (1.0 - v / vj) ** (1.0 - m)) / (1.0 - m)
        else:
            q = cjo * f1 + cjo / f2 * (f3 * (v - knee) + m / (2.0 * vj) * (v * v - knee * knee))
        return q + (tt * i_s * math.expm1(min(v / vte, 300.0)) if tt else 0.0)

    return charge


def channel(sign: float, p: dict[str, float]) -> Callable[[Sequence[float]], float]:
    """Return the current from drain to source of a level-1 MOSFET, of (d, g, s, b)."""
    beta = p.get("kp", 2e-5) * p.get("w", 1e-4) / p.get("l", 1e-4)
    vto, gamma, phi, lam = (sign * p.get("vto", 0.0), p.get("gamma", 0.0), p.get("phi", 0.6), p.get("lambda", 0.0))

    def current(u: Sequence[float]) -> float:
        d, g, s, b = (sign * v for v in u)
        turn = 1.0 if d >= s else -1.0
        low, span = min(d, s), abs(d - s)
        vbs = b - low
        root = math.sqrt(phi - vbs) if vbs <= 0 else max(0.0, math.sqrt(phi) - vbs / (2 * math.sqrt(phi)))
        over = g - low - vto - gamma * (root - math.sqrt(phi))
        if over <= 0.0:
            return 0.0
        factor = beta * (1.0 + lam * span)
        i = factor * over * over / 2.0 if over <= span else factor * span * (over - span / 2.0)
        return sign * turn * i

    return current


def _junction_of_digits(v: Decimal, i_s: Decimal, vte: Decimal, gmin: Decimal) -> Decimal:
    if v >= -3 * vte:
        return i_s * (min(v / vte, Decimal(300)).exp() - 1) + gmin * v
    return -i_s * (1 + (3 * vte / (v * Decimal(1).exp())) ** 3) + gmin * v


def bulk(i_s: float, gmin: float) -> Callable[[Sequence[float]], float]:
    def current(u: Sequence[float]) -> float:
        v = u[0] - u[1]
        return (i_s * math.expm1(min(v / VT, 300.0)) if v > -3.0 * VT else -i_s) + gmin * v

    return current


def read_wave(text: str, step: float) -> Wave:
    """Return the source of ``3``, ``DC 3``, or ``PULSE(...)``, ``SIN``, ``EXP`` and ``PWL`` with numbers."""
    found = re.search(r"\b(pulse|sin|exp|pwl)\s*\(([^)]*)\)", text, re.I)
    before = text[: found.start()] if found else text
    at_rest = [w for w in before.split() if w.lower() != "dc"]
    if not found:
        value = number(at_rest[0])
        return Wave(value, lambda t: value)
    kind, values = found.group(1).lower(), [number(w) for w in found.group(2).replace(",", " ").split()]
    wave = {"pulse": _pulse, "sin": _sine, "exp": _exponential, "pwl": _pieces}[kind](values, step)
    wave.rest = number(at_rest[0]) if at_rest else wave.value(0.0)
    return wave


def _pulse(v: list[float], step: float) -> Wave:
    low, high = v[0], v[1]
    delay, rise, fall, width, period = ([*v[2:], *[0.0] * 5])[:5]
    rise, fall = rise or step, fall or step
    width = width or math.inf
    period = period or math.inf

    def value(t: float) -> float:
        s = t - delay
        if s < 0:
            return low
        s = math.fmod(s, period) if math.isfinite(period) else s
        if s < rise:
            return low + (high - low) * s / rise
        if s < rise + width:
            return high
        return high + (low - high) * (s - rise - width) / fall if s < rise + width + fall else low

    corners = []
    for k in range(2000 if math.isfinite(period) else 1):
        for shift in (0.0, rise, rise + width, rise + width + fall):
            corners.append(delay + (k * period if k else 0.0) + shift)
    return Wave(low, value, corners)


def _sine(v: list[float], step: float) -> Wave:
    offset, size, frequency, delay, damping = ([*v, *[0.0] * 5])[:5]

    def value(t: float) -> float:
        s = t - delay
        if s < 0:
            return offset
        return offset + size * math.sin(2 * math.pi * frequency * s) * math.exp(-s * damping)

    return Wave(offset, value, [delay])


def _exponential(v: list[float], step: float) -> Wave:
    low, high, t1, tau1, t2, tau2 = v

    def value(t: float) -> float:
        out = low
        if t > t1:
            out += (high - low) * -math.expm1(-(t - t1) / tau1)
        if t > t2:
            out += (low - high) * -math.expm1(-(t - t2) / tau2)
        return out

    return Wave(low, value, [t1, t2])


def _pieces(v: list[float], step: float) -> Wave:
    times, volts = v[::2], v[1::2]
    return Wave(volts[0], lambda t: float(np.interp(t, times, volts)), times)
