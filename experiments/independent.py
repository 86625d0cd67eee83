"""A third route: plain netlists as equations, without the package's code and without ngspice.

It reads what the censuses write (R C L V I E G B D M S, one line each, no subcircuits) and forms the modified
nodal equations F(x, t) + dQ(x)/dt = 0 as loops over elements; ``independent_solve`` finds their roots and
integrates them. Slow and short: it settles which of two simulators is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from independent_laws import (
    VT,
    Array,
    Law,
    OutOfReach,
    Wave,
    bulk,
    channel,
    compiled,
    depletion,
    junction,
    number,
    read_wave,
)  # fmt: skip


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
                self.ic.update(
                    {k.lower(): number(v) for k, v in re.findall(r"v\(([^)]*)\)\s*=\s*(\S+)", line, re.I)}
                )
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
        self.inner: dict[
            int, tuple[int, int, float, Callable[[Sequence[float]], float]]
        ] = {}  # behind series resistances
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
            self.laws.append(
                Law([(ends[0], 1.0), (ends[1], -1.0)], list(ends), bulk(m.get("is", 1e-14), self.gmin))
            )

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
