"""A third route: plain netlists evaluated and integrated without the package's code and without ngspice.

It reads what the censuses write (R C L V I E G B D M S, one line each, no subcircuits), forms the modified nodal
equations F(x, t) + dQ(x)/dt = 0 as loops over elements, and integrates them by Radau IIA of two stages (order 3,
stiffly accurate) with step doubling; switches are caught by bisection. Slow and short: it settles which of two
simulators is right. Its laws are those of the ngspice manual: chapters 3 (sources), 5 (behavioural), 7 (diodes, level 1).
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

import numpy as np
import scipy.linalg

Array = np.ndarray
BOLTZMANN, CHARGE = 1.38064852e-23, 1.6021766208e-19
VT = BOLTZMANN * 300.15 / CHARGE
SUFFIXES = {"t": 1e12, "g": 1e9, "meg": 1e6, "k": 1e3, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(meg|[tgkmunpf])?[a-z]*$", re.I)
MOST_FLIPS = 5000


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
    """A function of the unknowns in ``controls`` (−1 is ground), added to the equations in ``rows`` with a weight."""

    rows: list[tuple[int, float]]
    controls: list[int]
    function: Callable[[Sequence[float]], float]


@dataclass
class Toggle:
    """A switch."""

    pins: tuple[int, int]
    controls: tuple[int, int]
    threshold: float
    hysteresis: float
    on: float
    off: float
    closed: bool = False

    def wanted(self, x: Array) -> bool:
        c, d = self.controls
        v = (x[c] if c >= 0 else 0.0) - (x[d] if d >= 0 else 0.0)
        if v > self.threshold + self.hysteresis:
            return True
        return False if v < self.threshold - self.hysteresis else self.closed


# --- expressions and laws ------------------------------------------------------------------------------------


def _exp(x: float) -> float:
    return math.exp(x) if x < 700.0 else math.inf


def _power(x: float, y: float) -> float:
    return abs(x) ** y if x != 0.0 or y > 0.0 else math.inf


def _wide(function: Callable[[float], float], large: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: function(x) if abs(x) < 700.0 else large(x)


FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": abs, "sqrt": lambda x: math.sqrt(abs(x)), "exp": _exp, "ln": lambda x: math.log(abs(x)),
    "log": lambda x: math.log(abs(x)), "log10": lambda x: math.log10(abs(x)), "tanh": math.tanh, "sin": math.sin,
    "cos": math.cos, "tan": math.tan, "atan": math.atan, "asinh": math.asinh, "min": min, "max": max, "pow": _power,
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
        r"(?<![\w.])((?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?(?:meg|[tgkmunpf])?)(?![\w.])", lambda m: repr(number(m[1])), text
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


def depletion(cjo: float, vj: float, m: float, fc: float, tt: float, i_s: float, vte: float) -> Callable[..., float]:
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


# --- reading -------------------------------------------------------------------------------------------------


class Network:
    """The equations of one netlist."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()[1:]]
        lines = [line for line in lines if line and not line.startswith("*")]
        self.names: list[str] = []
        self.models: dict[str, tuple[str, dict[str, float]]] = {}
        self.ic: dict[str, float] = {}
        self.gmin, self.step, self.stop, self.uic = 1e-12, 0.0, 0.0, False
        cards = []
        for line in lines:
            word = line.split()[0].lower()
            if word == ".model":
                _, name, rest = line.split(None, 2)
                kind, _, tail = rest.partition("(")
                self.models[name.lower()] = (kind.strip().lower(), _pairs(tail.rstrip(") ")))
            elif word in (".ic",):
                self.ic.update({k.lower(): number(v) for k, v in re.findall(r"v\(([^)]*)\)\s*=\s*(\S+)", line, re.I)})
            elif word == ".tran":
                words = line.lower().split()
                self.uic = words[-1] == "uic"
                self.step, self.stop = number(words[1]), number(words[2])
            elif word in (".options", ".option"):
                self.gmin = _pairs(line.split(None, 1)[1]).get("gmin", self.gmin)
            elif not word.startswith("."):
                cards.append(line)
        for card in cards:
            self._declare(card)
        self.nodes = len(self.names)
        self.constant: list[tuple[int, int, float]] = []
        self.storing: list[tuple[int, int, float]] = []
        self.sources: list[tuple[int, float, Wave]] = []
        self.laws: list[Law] = []
        self.charges: list[Law] = []
        self.switches: list[Toggle] = []
        self.inner: dict[int, tuple[int, int, float, Callable[[Sequence[float]], float]]] = {}  # behind series resistances
        self.given: list[tuple[int, int, float]] = []  # capacitors with IC=
        self.flowing: dict[int, float] = {}  # inductors with IC=, by branch
        self.size = self.nodes
        for card in cards:
            self._add(card)
        self.g = _matrix(self.size, self.constant)
        self.c = _matrix(self.size, self.storing)

    def node(self, name: str) -> int:
        name = name.lower()
        if name in ("0", "gnd"):
            return -1
        if name not in self.names:
            raise OutOfReach(f"node {name}")
        return self.names.index(name)

    def _declare(self, card: str) -> None:
        words = card.split()
        count = {"M": 4, "E": 2, "G": 2, "S": 4}.get(words[0][0].upper(), 2)
        more = [words[3], words[4]] if words[0][0].upper() in "EG" and "{" not in card and "=" not in card else []
        for name in [*words[1 : 1 + count], *more]:
            if name.lower() not in ("0", "gnd", *self.names):
                self.names.append(name.lower())

    def _branch(self, p: int, n: int) -> int:
        """Return a new branch unknown whose current leaves p, and whose equation has v(p) − v(n)."""
        k = self.size
        self.size += 1
        self.constant += [(p, k, 1.0), (n, k, -1.0), (k, p, 1.0), (k, n, -1.0)]
        return k

    def _conductance(self, p: int, n: int, g: float) -> None:
        self.constant += [(p, p, g), (n, n, g), (p, n, -g), (n, p, -g)]

    def _add(self, card: str) -> None:
        words = card.split()
        kind = words[0][0].upper()
        p, n = self.node(words[1]), self.node(words[2])
        rest = card.split(None, 3)[3]
        if kind == "R":
            self._conductance(p, n, 1.0 / number(words[3]))
        elif kind == "C":
            c = number(words[3])
            self.storing += [(p, p, c), (n, n, c), (p, n, -c), (n, p, -c)]
            if "ic" in (given := _pairs(" ".join(words[4:]))):
                self.given.append((p, n, given["ic"]))
        elif kind == "L":
            k = self._branch(p, n)
            self.storing.append((k, k, -number(words[3])))
            self.flowing[k] = _pairs(" ".join(words[4:])).get("ic", 0.0)
        elif kind == "V":
            self.sources.append((self._branch(p, n), -1.0, read_wave(rest, self.step)))
        elif kind == "I":
            wave = read_wave(rest, self.step)
            self.sources += [(p, 1.0, wave), (n, -1.0, wave)]
        elif kind in "EGB":
            self._controlled(kind, p, n, rest, words)
        elif kind == "D":
            self._diode(p, n, *self.models[words[3].lower()])
        elif kind == "M":
            self._mosfet([self.node(w) for w in words[1:5]], words[5], _pairs(" ".join(words[6:])))
        elif kind == "S":
            values = self.models[words[5].lower()][1]
            controls = (self.node(words[3]), self.node(words[4]))
            numbers = [values.get(k, d) for k, d in (("vt", 0.0), ("vh", 0.0), ("ron", 1.0), ("roff", 1e12))]
            self.switches.append(Toggle((p, n), controls, *numbers, closed=words[-1].lower() == "on"))
        else:
            raise OutOfReach(card)

    def _controlled(self, kind: str, p: int, n: int, rest: str, words: list[str]) -> None:
        assigned = re.match(r"(value|vol|cur|v|i)\s*=\s*(.*)", rest, re.I)
        voltage = kind == "E" or (kind == "B" and assigned is not None and assigned.group(1).lower() == "v")
        k = self._branch(p, n) if voltage else -1
        if assigned:
            controls, function = compiled(assigned.group(2), self.node)
            self.laws.append(Law([(k, -1.0)] if voltage else [(p, 1.0), (n, -1.0)], controls, function))
            return
        c, d, gain = self.node(words[3]), self.node(words[4]), number(words[5])
        if voltage:
            self.constant += [(k, c, -gain), (k, d, gain)]
        else:
            self.constant += [(p, c, gain), (p, d, -gain), (n, c, -gain), (n, d, gain)]

    def _junction(self, p: int, n: int, i_s: float, vte: float) -> None:
        self.laws.append(Law([(p, 1.0), (n, -1.0)], [p, n], junction(i_s, vte, self.gmin)))

    def _diode(self, p: int, n: int, kind: str, m: dict[str, float]) -> None:
        if "bv" in m:
            raise OutOfReach("breakdown")
        vte = m.get("n", 1.0) * VT
        if m.get("rs", 0.0) > 0.0:
            inner = self.size
            self.size += 1
            self._conductance(p, inner, 1.0 / m["rs"])
            self.inner[inner] = (p, n, m["rs"], junction(m.get("is", 1e-14), vte, self.gmin))
            p = inner
        self._junction(p, n, m.get("is", 1e-14), vte)
        if m.get("cjo", 0.0) > 0.0 or m.get("tt", 0.0) > 0.0:
            store = depletion(
                m.get("cjo", 0.0), m.get("vj", 1.0), m.get("m", 0.5), m.get("fc", 0.5), m.get("tt", 0.0),
                m.get("is", 1e-14), vte,
            )  # fmt: skip
            self.charges.append(Law([(p, 1.0), (n, -1.0)], [p, n], store))

    def _mosfet(self, pins: list[int], model: str, size: dict[str, float]) -> None:
        kind, m = self.models[model.lower()]
        if any(m.get(k, 0.0) for k in ("cgso", "cgdo", "cgbo", "cbd", "cbs", "cj", "cjsw", "tox")):
            raise OutOfReach("capacitances of a MOSFET")
        d, g, s, b = pins
        sign = 1.0 if kind == "nmos" else -1.0
        self.laws.append(Law([(d, 1.0), (s, -1.0)], [d, g, s, b], channel(sign, {**m, **size})))
        for other in (d, s):
            ends = (b, other) if sign > 0 else (other, b)
            self.laws.append(Law([(ends[0], 1.0), (ends[1], -1.0)], list(ends), bulk(m.get("is", 1e-14), self.gmin)))

    # --- evaluation ------------------------------------------------------------------------------------------

    def forces(self, x: Array, t: float | None) -> Array:
        """Return F (n,): currents that leave each node, and laws of branches; ``t`` is None at rest."""
        f = self.g @ x
        for k, weight, wave in self.sources:
            if k >= 0:
                f[k] += weight * (wave.rest if t is None else wave.value(t))
        for law in self.laws:
            value = law.function([x[c] if c >= 0 else 0.0 for c in law.controls])
            for k, weight in law.rows:
                if k >= 0:
                    f[k] += weight * value
        for s in self.switches:
            (p, n), g = s.pins, 1.0 / (s.on if s.closed else s.off)
            i = g * ((x[p] if p >= 0 else 0.0) - (x[n] if n >= 0 else 0.0))
            if p >= 0:
                f[p] += i
            if n >= 0:
                f[n] -= i
        return f

    def stored(self, x: Array) -> Array:
        q = self.c @ x
        for law in self.charges:
            value = law.function([x[c] if c >= 0 else 0.0 for c in law.controls])
            for k, weight in law.rows:
                if k >= 0:
                    q[k] += weight * value
        return q

    def slopes(self, x: Array) -> Array:
        j = self.g.copy()
        _differences(self.laws, x, j)
        for s in self.switches:
            (p, n), g = s.pins, 1.0 / (s.on if s.closed else s.off)
            for a, b, sign in ((p, p, 1), (n, n, 1), (p, n, -1), (n, p, -1)):
                if a >= 0 and b >= 0:
                    j[a, b] += sign * g
        return j

    def capacitances(self, x: Array) -> Array:
        j = self.c.copy()
        _differences(self.charges, x, j)
        return j

    def fill(self, x: Array) -> None:
        """Set the nodes behind series resistances to what the nodes around them make of them, by bisection."""
        for k, (p, n, rs, law) in self.inner.items():
            a, b = (float(x[p]) if p >= 0 else 0.0), (float(x[n]) if n >= 0 else 0.0)
            low, high = min(a, b), max(a, b)
            for _ in range(200):
                middle = 0.5 * (low + high)
                if law([middle, b]) - (a - middle) / rs > 0:
                    high = middle
                else:
                    low = middle
            x[k] = 0.5 * (low + high)

    def allowed(self, x: Array) -> Array:
        """Return the size of each equation's terms, (n,), what rounding and tolerances are measured by."""
        return np.abs(self.slopes(x)) @ np.abs(x)


def bulk(i_s: float, gmin: float) -> Callable[[Sequence[float]], float]:
    def current(u: Sequence[float]) -> float:
        v = u[0] - u[1]
        return (i_s * math.expm1(min(v / VT, 300.0)) if v > -3.0 * VT else -i_s) + gmin * v

    return current


def _pairs(text: str) -> dict[str, float]:
    return {k.lower(): number(v) for k, v in re.findall(r"([a-z]\w*)\s*=\s*([-+\w.]+)", text, re.I)}


def _matrix(size: int, entries: list[tuple[int, int, float]]) -> Array:
    out = np.zeros((size, size))
    for a, b, value in entries:
        if a >= 0 and b >= 0:
            out[a, b] += value
    return out


def _differences(laws: list[Law], x: Array, j: Array) -> None:
    for law in laws:
        u = [float(x[c]) if c >= 0 else 0.0 for c in law.controls]
        for at, c in enumerate(law.controls):
            if c < 0:
                continue
            h = 1e-6 * (1.0 + abs(u[at])) * 0.1
            up, down = u.copy(), u.copy()
            up[at] += h
            down[at] -= h
            slope = (law.function(up) - law.function(down)) / (up[at] - down[at])
            if not math.isfinite(slope):
                slope = 0.0
            for k, weight in law.rows:
                if k >= 0:
                    j[k, c] += weight * slope


def read_wave(text: str, step: float) -> Wave:
    """Return the source of ``3``, ``DC 3``, or ``PULSE(...)``, ``SIN``, ``EXP`` and ``PWL`` with literal numbers."""
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


# --- rest and time -------------------------------------------------------------------------------------------


def newton(residual: Callable[[Array], Array], slopes: Callable[[Array], Array], x: Array, most: int = 40) -> Array:
    """Return a root by Newton's method with short steps; :class:`OutOfReach` if it does not settle."""
    for k in range(most):
        f, j = residual(x), slopes(x)
        if not (np.isfinite(f).all() and np.isfinite(j).all()):
            raise OutOfReach("overflow")
        scale = np.abs(j).max(axis=1)
        scale[scale == 0] = 1.0
        try:
            step = np.linalg.solve(j / scale[:, None], -f / scale)
        except np.linalg.LinAlgError as error:
            raise OutOfReach("singular") from error
        size = np.abs(step) / (1e-9 * np.abs(x) + 1e-10)
        if size.max(initial=0.0) <= 1.0:
            return x + step
        most_step = np.abs(step).max()
        x = x + step * (min(1.0, (2.0 if k < 10 else 0.3) / most_step) if k > 3 else 1.0)
    raise OutOfReach("Newton does not settle")


def at_rest(net: Network, x: Array | None = None, time: float | None = None) -> Array:
    """Return an operating point, by shunts to ground that shrink; nodes of ``.ic`` are held if there is a time."""
    held = {net.node(k): v for k, v in net.ic.items()} if time is not None else {}
    x = np.zeros(net.size) if x is None else x
    for _ in range(4):
        for shunt in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 0.0):

            def residual(z: Array, shunt: float = shunt) -> Array:
                f = net.forces(z, time)
                f[: net.nodes] += shunt * z[: net.nodes]
                for k, v in held.items():
                    f[k] += 1e6 * (z[k] - v)
                return f

            def slopes(z: Array, shunt: float = shunt) -> Array:
                j = net.slopes(z)
                for k in range(net.nodes):
                    j[k, k] += shunt
                for k in held:
                    j[k, k] += 1e6
                return j

            x = newton(residual, slopes, x, 200)
        moved = [s for s in net.switches if s.wanted(x) != s.closed]
        if not moved:
            return x
        for s in moved:
            s.closed = s.wanted(x)
    raise OutOfReach("switches do not come to rest")


INVERSE = np.linalg.inv(np.array([[5 / 12, -1 / 12], [3 / 4, 1 / 4]]))


def step_from(net: Network, x: Array, q: Array, t: float, h: float) -> Array:
    """Return x at t + h by Radau IIA of two stages from the charges ``q`` at t."""
    n = len(x)

    def residual(z: Array) -> Array:
        a, b = z[:n], z[n:]
        da, db = net.stored(a) - q, net.stored(b) - q
        return np.concatenate(
            [
                net.forces(a, t + h / 3) + (INVERSE[0, 0] * da + INVERSE[0, 1] * db) / h,
                net.forces(b, t + h) + (INVERSE[1, 0] * da + INVERSE[1, 1] * db) / h,
            ]
        )

    def slopes(z: Array) -> Array:
        ca, cb = net.capacitances(z[:n]) / h, net.capacitances(z[n:]) / h
        j = np.block([[INVERSE[0, 0] * ca, INVERSE[0, 1] * cb], [INVERSE[1, 0] * ca, INVERSE[1, 1] * cb]])
        j[:n, :n] += net.slopes(z[:n])
        j[n:, n:] += net.slopes(z[n:])
        return j

    return newton(residual, slopes, np.concatenate([x, x]))[n:]


def begin(net: Network) -> tuple[Array, Array]:
    """Return x and the charges at time zero."""
    if not net.uic:
        x = at_rest(net, time=0.0)
        return x, net.stored(x)
    x = np.zeros(net.size)
    for name, value in net.ic.items():
        x[net.node(name)] = value
    q = net.stored(x)
    for p, n, value in net.given:
        here = (x[p] if p >= 0 else 0.0) - (x[n] if n >= 0 else 0.0)
        c = -net.c[p, n] if p >= 0 and n >= 0 else net.c[max(p, n), max(p, n)]
        if p >= 0 and n >= 0 or c == 0.0:
            raise OutOfReach("IC= of a floating capacitor")
        k, sign = (p, 1.0) if p >= 0 else (n, -1.0)
        own = [abs(v) for a, b, v in net.storing if a == k and b == k]
        if len(own) != 1:
            raise OutOfReach("IC= of one capacitor of several")
        q[k] += sign * own[0] * (value - here)
    for k, value in net.flowing.items():
        q[k] = net.c[k, k] * value
    h = 1e-9 * net.stop
    for s in net.switches:
        s.closed = s.wanted(x)
    x = step_from(net, x, q, 0.0, h * 1e-3)
    return x, q


def over_time(net: Network, rtol: float = 1e-6, most_steps: int = 60_000) -> tuple[Array, Array]:
    """Return times (T,) [s] and voltages (T, nodes) [V]; every printed time is among them."""
    x, q = begin(net)
    stops = {k * net.step for k in range(1, int(net.stop / net.step + 1e-9) + 1)} | {net.stop}
    corners = {c for _, _, wave in net.sources for c in wave.corners if 0 < c < net.stop}
    stops |= corners
    ends = sorted(stops)
    t, h, flips, count = 0.0, net.step * 1e-4, 0, 0
    times, record = [0.0], [x[: net.nodes].copy()]
    atol = 1e-7
    for end in ends:
        if end - t < 1e-12 * net.stop:
            continue
        while t < end:
            count += 1
            if count > most_steps:
                raise OutOfReach("too many steps")
            whole = min(h, end - t)
            last = whole >= end - t
            try:
                big = step_from(net, x, q, t, whole)
                half = step_from(net, x, q, t, whole / 2)
                two = step_from(net, half, net.stored(half), t + whole / 2, whole / 2)
                scale = np.maximum(np.abs(two), np.abs(x))[: net.nodes]
                error = (np.abs(big - two)[: net.nodes] / (atol + rtol * scale)).max(initial=1e-9)
            except OutOfReach:
                error, two = 1e6, x
            if error > 8.0:
                h = whole * max(0.2, 0.8 * (8.0 / error) ** (1 / 3))
                if h < 1e-16 * net.stop:
                    raise OutOfReach(f"step of {h:.1e} s at {t:.6e} s")
                continue
            moved = [s for s in net.switches if s.wanted(two) != s.closed]
            if moved and whole > 1e-8 * net.stop:
                h = whole / 2
                continue
            t = end if last else t + whole
            x, q = two, net.stored(two)
            times.append(t)
            record.append(x[: net.nodes].copy())
            for s in moved:
                s.closed = not s.closed
                flips += 1
                if flips > MOST_FLIPS:
                    raise OutOfReach("switches chatter")
            grow = 0.8 * (8.0 / error) ** (1 / 3)
            h = max(h, whole) if last and grow > 1 else whole * min(4.0, max(0.2, grow))
            h = 1e-8 * net.stop if moved else min(h, net.stop / 50)
        h = min(h, net.step * 1e-3) if end in corners else h
    return np.array(times), np.array(record)


def stability(net: Network, x: Array) -> float:
    """Return the largest real part of the leaky integrator's rates [S], its capacitance being 1 F at each node.

    Negative where the point is stable. Sources and inductors constrain nodes: rates are those within the
    voltages that they allow, of Kirchhoff's law at what no branch's current enters.
    """
    j, n = net.slopes(x), net.nodes
    nodes, hidden = list(range(n)), list(net.inner)  # what lies behind series resistances has no capacitance
    branches = [k for k in range(n, net.size) if k not in net.inner]
    if hidden:
        j = j.copy()
        inside = np.linalg.solve(j[np.ix_(hidden, hidden)], j[np.ix_(hidden, nodes)])
        j[np.ix_(nodes, nodes)] -= j[np.ix_(nodes, hidden)] @ inside
    a, b, d = j[np.ix_(nodes, nodes)], j[np.ix_(nodes, branches)], j[np.ix_(branches, nodes)]
    if branches:
        if np.abs(j[np.ix_(branches, branches)]).max() > 0:
            raise OutOfReach("a branch with a resistance of its own")
        left = scipy.linalg.null_space(b.T)
        right = scipy.linalg.null_space(d / np.abs(d).max(axis=1, keepdims=True))
        if left.shape != right.shape:
            raise OutOfReach("sources in a loop")
        a, mass = left.T @ a @ right, left.T @ right
    else:
        mass = np.eye(len(nodes))
    if not len(a):
        return -math.inf
    values = scipy.linalg.eigvals(-a, mass)
    if not np.isfinite(values).all():
        raise OutOfReach("a node whose rate is not determined")
    return float(values.real.max())


def _junction_of_digits(v: Decimal, i_s: Decimal, vte: Decimal, gmin: Decimal) -> Decimal:
    if v >= -3 * vte:
        return i_s * (min(v / vte, Decimal(300)).exp() - 1) + gmin * v
    return -i_s * (1 + (3 * vte / (v * Decimal(1).exp())) ** 3) + gmin * v


def exact(net: Network, x: Array, digits: int = 50, most: int = 100) -> Array:
    """Return the root that Newton's method of ``digits`` digits leads to from x; for sources, resistors, junctions."""
    if any(law.function.__qualname__ != "junction.<locals>.current" for law in net.laws) or net.switches:
        raise OutOfReach("laws without an exact form")
    with localcontext() as context:
        context.prec = digits
        h = Decimal(10) ** (-digits // 2)
        zero = Decimal(0)
        z = [Decimal(float(v)) for v in x]
        constant = [[Decimal(float(v)) for v in row] for row in net.g]
        for k in range(most):
            j = [row.copy() for row in constant]
            f = [sum((a * b for a, b in zip(row, z, strict=True) if a), zero) for row in constant]
            for c, weight, wave in net.sources:
                if c >= 0:
                    f[c] += Decimal(weight) * Decimal(wave.rest)
            for law in net.laws:
                p, n = law.controls
                u = [z[p] if p >= 0 else zero, z[n] if n >= 0 else zero]
                i: Decimal = law.function(u)  # type: ignore[assignment,arg-type]
                up: Decimal = law.function([u[0] + h, u[1]])  # type: ignore[assignment,list-item]
                g = (up - i) / h
                for row, weight in law.rows:
                    if row >= 0:
                        f[row] += Decimal(weight) * i
                        if p >= 0:
                            j[row][p] += Decimal(weight) * g
                        if n >= 0:
                            j[row][n] -= Decimal(weight) * g
            step = _solved(j, f)
            longest = max(abs(v) for v in step[: net.nodes])
            short = min(Decimal(1), Decimal("0.3") / longest) if k > 2 and longest > 0 else Decimal(1)
            z = [a - short * b for a, b in zip(z, step, strict=True)]
            if longest < Decimal(10) ** (-digits // 3):
                return np.array([float(v) for v in z])
    raise OutOfReach("Newton of many digits does not settle")


def _solved(a: list[list[Decimal]], b: list[Decimal]) -> list[Decimal]:
    """Return the solution of a x = b, by elimination; both are overwritten."""
    size = len(b)
    for k in range(size):
        best = max(range(k, size), key=lambda i: abs(a[i][k]) / max(max(abs(v) for v in a[i]), Decimal("1e-300")))
        if not a[best][k]:
            raise OutOfReach("singular")
        a[k], a[best], b[k], b[best] = a[best], a[k], b[best], b[k]
        for i in range(k + 1, size):
            if a[i][k]:
                factor = a[i][k] / a[k][k]
                a[i] = [u - factor * v if v else u for u, v in zip(a[i], a[k], strict=True)]
                b[i] -= factor * b[k]
    x = [Decimal(0)] * size
    for k in reversed(range(size)):
        x[k] = (b[k] - sum((a[k][i] * x[i] for i in range(k + 1, size) if a[k][i]), Decimal(0))) / a[k][k]
    return x
