"""Hypothesis strategies: parameter values of every device, and random circuits that have one operating point.

``DEVICES`` holds one strategy per registered device; a test fails when a device lacks one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from analogep.circuit import GROUND, Bank, Circuit, Crossbar, TransconductanceCrossbar
from analogep.devices import REGISTRY, Device, Mosfet, behavioural_class, device_name, device_named

Draw = Callable[[st.SearchStrategy[Any]], Any]


def decades(low: float, high: float) -> st.SearchStrategy[float]:
    """Positive numbers from ``low`` to ``high``, spread evenly over the decades."""
    return st.floats(np.log10(low), np.log10(high)).map(lambda x: float(10.0**x))


def signed(magnitudes: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    """``magnitudes`` with either sign, or zero."""
    return st.one_of(st.just(0.0), magnitudes, magnitudes.map(lambda x: -x))


def volts(most: float = 3.0) -> st.SearchStrategy[float]:
    """Voltages of either sign, or zero; none so small that products of two of them underflow."""
    return st.floats(-most, most).map(lambda v: v if abs(v) > 1e-30 else 0.0)


# --- devices ------------------------------------------------------------------------------------------


OVERLAPS = ("source_overlap", "drain_overlap", "bulk_overlap")
JUNCTIONS = ("drain_capacitance", "source_capacitance", "drain_sidewall", "source_sidewall")


def transistors(sign: float) -> st.SearchStrategy[dict[str, float]]:
    """MOSFETs of one polarity, of the enhancement and the depletion type."""
    return st.fixed_dictionaries(
        {
            "threshold": st.floats(-1.0, 2.0).map(lambda v: sign * v),
            "transconductance": decades(1e-6, 1e-3),
            "width": decades(1e-7, 1e-4),
            "length": decades(1e-7, 1e-4),
            "body_effect": st.one_of(st.just(0.0), st.floats(0.1, 1.0)),
            "surface_potential": st.floats(0.3, 1.0),
            "channel_modulation": st.one_of(st.just(0.0), st.floats(0.001, 0.2)),
            "saturation_current": decades(1e-18, 1e-9),
            "gmin": st.one_of(st.just(0.0), decades(1e-15, 1e-9)),
            "temperature": st.floats(200.0, 400.0),
            "gate_voltage": st.one_of(st.just(0.0), volts()),
            **{key: st.one_of(st.just(0.0), decades(1e-12, 1e-9)) for key in OVERLAPS},
            **{key: st.one_of(st.just(0.0), decades(1e-16, 1e-12)) for key in JUNCTIONS},
            "bulk_potential": st.floats(0.5, 1.0),
            "bottom_grading": st.floats(0.2, 0.6),
            "sidewall_grading": st.floats(0.2, 0.6),
            "forward_coefficient": st.floats(0.2, 0.8),
            "oxide_thickness": st.one_of(st.just(0.0), decades(1e-9, 1e-6)),
        }
    )


DEVICES: dict[str, st.SearchStrategy[dict[str, float]]] = {
    "resistor": st.fixed_dictionaries({"conductance": decades(1e-9, 1.0)}),
    "capacitor": st.fixed_dictionaries({"value": decades(1e-15, 1e-3)}),
    "inductor": st.fixed_dictionaries({"inductance": decades(1e-9, 1.0)}),
    "voltage_source": st.fixed_dictionaries({"voltage": volts()}),
    "current_source": st.fixed_dictionaries({"amplitude": signed(decades(1e-12, 1.0))}),
    "diode": st.fixed_dictionaries(
        {
            "saturation_current": decades(1e-18, 1e-6),
            "emission": st.floats(0.5, 2.0),
            "series_resistance": st.one_of(st.just(0.0), decades(1e-2, 1e8)),
            "gmin": st.one_of(st.just(0.0), decades(1e-15, 1e-9)),
            "temperature": st.floats(200.0, 400.0),
        }
    ),
    "junction_diode": st.fixed_dictionaries(
        {
            "saturation_current": decades(1e-18, 1e-6),
            "emission": st.floats(0.5, 2.0),
            "gmin": st.one_of(st.just(0.0), decades(1e-15, 1e-9)),
            "temperature": st.floats(200.0, 400.0),
            "junction_capacitance": st.one_of(st.just(0.0), decades(1e-15, 1e-9)),
            "junction_potential": st.floats(0.3, 1.0),
            "grading": st.floats(0.2, 0.6),
            "forward_coefficient": st.floats(0.2, 0.8),
            "transit_time": st.one_of(st.just(0.0), decades(1e-12, 1e-6)),
            "breakdown_voltage": st.one_of(st.just(0.0), decades(0.5, 50.0)),
            "breakdown_current": st.one_of(st.just(0.0), decades(1e-12, 1e-2)),
            "breakdown_emission": st.floats(0.5, 2.0),
        }
    ),
    "ideal_diode": st.fixed_dictionaries({"threshold": volts()}),
    "sinh_resistor": st.fixed_dictionaries({"conductance": decades(1e-9, 1.0), "v0": decades(0.1, 10.0)}),
    "tanh_neuron": st.fixed_dictionaries(
        {"conductance": decades(1e-9, 1.0), "saturation_voltage": decades(4.0, 40.0)}  # volts() stay below 3 V
    ),
    "mutual_transconductance": st.fixed_dictionaries({"transconductance": signed(decades(1e-9, 1.0))}),
    "vcvs": st.fixed_dictionaries({"gain": signed(decades(1e-3, 1e3))}),
    "vccs": st.fixed_dictionaries({"transconductance": signed(decades(1e-9, 1.0))}),
    "ccvs": st.fixed_dictionaries({"transresistance": signed(decades(1e-3, 1e9))}),
    "cccs": st.fixed_dictionaries({"gain": signed(decades(1e-3, 1e3))}),
    "nmos": transistors(1.0),
    "pmos": transistors(-1.0),
    "switch": st.fixed_dictionaries(
        {
            "threshold": volts(),
            "hysteresis": st.one_of(st.just(0.0), st.floats(0.01, 1.0)),
            "on_resistance": decades(1.0, 1e5),
            "off_resistance": decades(1e6, 1e12),
            "closed": st.sampled_from([0.0, 1.0]),
        }
    ),
    "amplifier": st.fixed_dictionaries(
        {"voltage_gain": signed(decades(1e-2, 1e2)), "current_gain": signed(decades(1e-2, 1e2))}
    ),
}
"""Legal parameter values of each device, by kind."""


@st.composite
def banks_of(draw: Draw, kind: str, most: int = 4) -> dict[str, np.ndarray]:
    """Parameter arrays (E,) of one to ``most`` elements of a device."""
    elements = draw(st.lists(DEVICES[kind], min_size=1, max_size=most))
    return {key: np.array([element[key] for element in elements]) for key in elements[0]}


def bending(device: type[Device], p: dict[str, np.ndarray]) -> np.ndarray:
    """Largest second derivative (E,) [A/V²] where it may jump: a MOSFET's β (1 + λ v_ds), 0 for other laws."""
    if not issubclass(device, Mosfet):
        return np.zeros(len(next(iter(p.values()))))
    # body effect: by v_b instead of v_g the derivatives grow by up to γ/(2√φ) each, and v_ds is below 6 V
    body = 1.0 + p["body_effect"] / (2.0 * np.sqrt(p["surface_potential"]))
    return 4.0 * p["transconductance"] * p["width"] / p["length"] * (1.0 + 6.0 * p["channel_modulation"]) * body**2


# --- circuits ------------------------------------------------------------------------------------------


@dataclass
class _Sketch:
    """A circuit while it grows, cell by cell.

    Each cell keeps the circuit well posed: every node gets a conducting path to a fixed potential when it is
    made, ideal voltages (sources, amplifiers, shorts, ideal diodes) only ever reach a fresh node, so that
    they form no loop, and a controlled source comes with the conductances that keep the symmetric part of
    the conductance matrix positive. A circuit of such cells has exactly one operating point.
    """

    draw: Draw
    conductances: tuple[float, float]
    nodes: list[str] = field(default_factory=lambda: [GROUND])
    inputs: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=lambda: [GROUND])
    elements: list[tuple[str, tuple[str, ...], dict[str, float], str]] = field(default_factory=list)
    crossbars: list[tuple[list[str], list[str], np.ndarray, bool]] = field(default_factory=list)
    transconductances: list[tuple[list[str], list[str], dict[str, np.ndarray], bool]] = field(default_factory=list)

    def fresh(self, *, closed: bool = False) -> str:
        name = f"{self.draw(st.sampled_from(['n', 'h_', 'Out', 'x.']))}{len(self.nodes)}"
        self.nodes.append(name)
        if not closed:
            self.open.append(name)
        return name

    def some(self) -> str:
        return self.draw(st.sampled_from(self.open))

    def two(self) -> tuple[str, str]:
        a, b = self.draw(st.permutations(self.open))[:2]
        return a, b

    def conductance(self) -> float:
        return self.draw(decades(*self.conductances))

    def add(self, kind: str, *pins: str, **values: float) -> None:
        block = self.draw(st.sampled_from(["a", "b"]))
        self.elements.append((kind, pins, values, block))

    def resistor(self, a: str, b: str, conductance: float | None = None) -> None:
        if a == b:
            return
        self.add("resistor", a, b, conductance=self.conductance() if conductance is None else conductance)

    def leak(self, conductance: float, *nodes: str) -> None:
        for node in nodes:
            self.resistor(node, GROUND, conductance)

    # Cells: each adds at least one element.

    def add_resistor(self) -> None:
        a = self.some()
        self.resistor(a, self.fresh())

    def add_bridge(self) -> None:
        if len(self.open) > 1:
            self.resistor(*self.two())

    def add_capacitor(self) -> None:
        if len(self.open) > 1:
            self.add("capacitor", *self.two(), **self.draw(DEVICES["capacitor"]))

    def add_voltage_source(self) -> None:
        a, p = self.some(), self.fresh()
        pins = (a, p) if self.draw(st.booleans()) else (p, a)
        self.add("voltage_source", *pins, voltage=self.draw(volts()))
        self.resistor(p, self.some())

    def add_current_source(self) -> None:
        if len(self.open) > 1:
            a, b = self.two()
            g = self.conductance()
            self.add("current_source", a, b, amplitude=g * self.draw(volts()))
            self.resistor(a, b, g)

    def add_diode(self) -> None:
        """Add a diode with a resistance in series, its own or a resistor's.

        Without one, sources and ideal diodes could force volts on the junction: a current of e^100.
        """
        if len(self.open) > 1:
            values = self.draw(DEVICES["diode"])
            a, b = self.two()
            if self.draw(st.booleans()):
                middle = self.fresh()
                self.resistor(middle, b)
                b = middle
            else:
                values["series_resistance"] = self.draw(decades(1.0, 1e4))
            self.add("diode", *self.draw(st.sampled_from([(a, b), (b, a)])), **values)

    def add_junction_diode(self) -> None:
        if len(self.open) > 1:
            a, b = self.two()
            middle = self.fresh()
            self.resistor(middle, b)
            self.add(
                "junction_diode", *self.draw(st.permutations([a, middle])), **self.draw(DEVICES["junction_diode"])
            )

    def add_ideal_diode(self) -> None:
        a, b = self.some(), self.fresh()
        pins = (a, b) if self.draw(st.booleans()) else (b, a)
        self.add("ideal_diode", *pins, threshold=self.draw(volts()))
        self.resistor(b, self.some())
        self.leak(self.conductance(), b)

    def add_sinh_resistor(self) -> None:
        """Add a sinh resistor behind a resistor, so that no source alone sets its voltage."""
        if len(self.open) > 1:
            a, b = self.two()
            middle = self.fresh()
            self.resistor(middle, b)
            self.add("sinh_resistor", a, middle, **self.draw(DEVICES["sinh_resistor"]))

    def add_tanh_neuron(self) -> None:
        """Add a neuron behind a resistor that drives it into saturation or not, yet not far beyond its edge.

        There it is a clamp of 5e8 times its conductance, whose current ngspice's voltages do not resolve.
        """
        if len(self.open) > 1:
            a, b = self.two()
            middle, g = self.fresh(), self.conductance()
            self.resistor(middle, b, g)
            leak, limit = g * self.draw(decades(2.0, 100.0)), self.draw(decades(0.3, 10.0))
            self.add("tanh_neuron", a, middle, conductance=leak, saturation_voltage=limit)

    def add_mutual_transconductance(self) -> None:
        if len(self.open) > 2:
            pins = (*self.two(), *self.two())
            gm = self.draw(signed(decades(1e-7, 1e-3)))
            self.add("mutual_transconductance", *pins, transconductance=gm)
            self.leak(abs(gm), *pins, *pins)

    def add_inductor(self) -> None:
        a, b = self.some(), self.fresh()
        self.add("inductor", *((a, b) if self.draw(st.booleans()) else (b, a)), **self.draw(DEVICES["inductor"]))
        self.resistor(b, self.some())

    def add_nmos(self) -> None:
        self._transistor("nmos")

    def add_pmos(self) -> None:
        self._transistor("pmos")

    def _transistor(self, kind: str) -> None:
        """Add a MOSFET with gate and drain, source and bulk joined, and a resistor at each end.

        As two terminals it has a current that only grows with its own voltage, so that the operating point stays
        unique. SPICE's bulk junctions jump by Is/20 at −3 V_T: small enough here that no node can rest within.
        """
        values = {**self.draw(DEVICES[kind]), "saturation_current": self.draw(decades(1e-18, 1e-15))}
        drain, source, a, b = self.fresh(closed=True), self.fresh(closed=True), self.some(), self.some()
        self.resistor(drain, a, self.conductance())
        self.resistor(source, b, self.conductance())
        self.add(kind, drain, source, drain, source, **values)

    def add_behavioural(self) -> None:
        """Add a behavioural current that grows with its own voltage, behind a resistor."""
        if len(self.open) > 1:
            a, b = self.two()
            middle = self.fresh()
            self.resistor(middle, b)
            kind = self.draw(st.sampled_from(BEHAVIOURAL))
            self.add(kind, a, middle, g=self.conductance(), w=self.draw(decades(0.1, 10.0)))

    def add_switch(self) -> None:
        """Add a switch whose control is a source far from its threshold."""
        if len(self.open) > 1:
            values, control = self.draw(DEVICES["switch"]), self.fresh(closed=True)
            a, b = self.two()
            side = self.draw(st.sampled_from([-1.0, 1.0]))
            self.add("voltage_source", control, GROUND, voltage=values["threshold"] + side * 2.0)
            middle = self.fresh()
            self.resistor(middle, b)
            self.add("switch", a, middle, control, GROUND, **values)

    def add_vccs(self) -> None:
        if len(self.open) > 2:
            p, n = self.two()
            cp, cn = self.two()
            gm = self.draw(signed(decades(1e-7, 1e-3)))
            self.add("vccs", p, n, cp, cn, transconductance=gm)
            self.leak(abs(gm), p, n, cp, cn)

    def add_vcvs(self) -> None:
        if len(self.open) > 1:
            (cp, cn), n, k, p = self.two(), self.some(), self.some(), self.fresh(closed=True)
            gain, g = self.draw(volts(4.0)), self.conductance()
            self.add("vcvs", p, n, cp, cn, gain=gain)
            self._series(p, n, k, g, gain, cp, cn)

    def add_ccvs(self) -> None:
        m, cn, n, k = (self.some() for _ in range(4))
        cp, p = self.fresh(closed=True), self.fresh(closed=True)
        gain, g, sense = self.draw(volts(4.0)), self.conductance(), self.conductance()
        self.resistor(m, cp, sense)
        self.add("ccvs", p, n, cp, cn, transresistance=gain / sense)
        self._series(p, n, k, g, gain, m, cn)

    def add_cccs(self) -> None:
        if len(self.open) > 1:
            m, cn, (p, n), cp = self.some(), self.some(), self.two(), self.fresh(closed=True)
            gain, sense = self.draw(volts(4.0)), self.conductance()
            self.resistor(m, cp, sense)
            self.add("cccs", p, n, cp, cn, gain=gain)
            self.leak(abs(gain) * sense, p, n, m, cn)

    def add_amplifier(self) -> None:
        a, k = self.some(), self.some()
        values = {"voltage_gain": self.draw(decades(0.2, 5.0)), "current_gain": self.draw(decades(0.2, 5.0))}
        ideal = self.draw(st.booleans())
        if ideal:
            values["current_gain"] = values["voltage_gain"]
        out, g = self.fresh(closed=not ideal), self.conductance()
        self.add("amplifier", a, out, **values)
        self.resistor(out, k, g)
        self.leak(g * sum(values.values()), a, k)

    def add_crossbar(self) -> None:
        rows = self.draw(st.lists(st.sampled_from(self.open), min_size=1, max_size=4, unique=True))
        columns = [self.fresh() for _ in range(self.draw(st.integers(1, 3)))]
        cell = st.one_of(st.just(0.0), decades(1e-7, 1e-3))
        g = [[self.draw(cell) for _ in columns] for _ in rows]
        self.crossbars.append((rows, columns, np.array(g), self.draw(st.booleans())))
        for column in columns:
            self.resistor(column, self.some())
            self.leak(self.conductance(), column)

    def add_transconductance(self) -> None:
        """Add a coupling by transconductances, with leaks that outweigh it."""
        rows = self.draw(st.lists(st.sampled_from(self.open), min_size=1, max_size=3, unique=True))
        columns = [self.fresh() for _ in range(self.draw(st.integers(1, 3)))]
        keys = self.draw(st.sampled_from(sorted(TransconductanceCrossbar.KEYS, key=sorted)))
        cell = signed(decades(1e-7, 1e-3))
        values = {k: np.array([[self.draw(cell) for _ in columns] for _ in rows]) for k in sorted(keys)}
        self.transconductances.append((rows, columns, values, self.draw(st.booleans())))
        size = sum(np.abs(value) for value in values.values()) + 1e-7
        for names, sums in ((rows, size.sum(axis=1)), (columns, size.sum(axis=0))):
            for name, total in zip(names, sums, strict=True):
                self.leak(float(total), name)

    def _series(self, p: str, n: str, k: str, g: float, gain: float, *control: str) -> None:
        """Connect a controlled voltage (p, n) to k through g: a VCCS of g·gain, passive with these leaks."""
        self.resistor(p, k, g)
        self.leak(g * abs(gain), n, k, *control)

    def circuit(self, trainable: Sequence[str], outputs: list[tuple[str, str]]) -> Circuit:
        index = {name: i for i, name in enumerate(self.nodes)}
        grouped: dict[tuple[str, str], list[tuple[str, tuple[str, ...], dict[str, float]]]] = {}
        for e, (kind, pins, values, block) in enumerate(self.elements):
            grouped.setdefault((kind, block), []).append((f"{kind[0]}{e}", pins, values))
        banks = []
        for (kind, block), members in grouped.items():
            device = device_named(kind)
            able = {key for key, info in device.parameters().items() if info.trainable}
            banks.append(
                Bank(
                    f"{kind.partition(':')[0]}{BEHAVIOURAL.index(kind) if ':' in kind else ''}_{block}",
                    device,
                    np.array([[index[pin] for pin in pins] for _, pins, _ in members]),
                    {key: np.array([v[key] for _, _, v in members]) for key in members[0][2]},
                    tuple(name for name, _, _ in members),
                    frozenset(able if block in trainable else ()),
                )
            )
        crossbars = [
            Crossbar(f"W{i}", np.array([index[r] for r in rows]), np.array([index[c] for c in columns]), g, t)
            for i, (rows, columns, g, t) in enumerate(self.crossbars)
        ]
        couplings = [
            TransconductanceCrossbar(f"T{i}", [index[r] for r in rows], [index[c] for c in columns], values, t)
            for i, (rows, columns, values, t) in enumerate(self.transconductances)
        ]
        return Circuit(
            tuple(self.nodes),
            tuple(banks),
            tuple(crossbars),
            np.array([index[name] for name in self.inputs], np.int64),
            np.array([[index[a], index[b]] for a, b in outputs], np.int64),
            transconductances=tuple(couplings),
        )


BEHAVIOURAL = tuple(
    device_name(behavioural_class(expression, 0))
    for expression in ("g*w*tanh(v(p,n)/w)", "g*w*sinh(v(p,n)/w)", "g*(v(p,n)+v(p,n)^3)/w")
)
CELLS = (
    "resistor",
    "bridge",
    *sorted(set(REGISTRY) - {"resistor", "junction_diode"}),
    "behavioural",
    "crossbar",
    "transconductance",
)
"""What circuits are made of: every registered device, bridging resistors and crossbars of both kinds.

Not junction diodes, which :data:`ALL_CELLS` adds: from random voltages Newton's method comes back from their
breakdown too slowly.
"""

ALL_CELLS = (*CELLS, "junction_diode")
"""The same, with every registered device."""

LINEAR_CELLS = tuple(c for c in CELLS if c != "behavioural" and (c not in REGISTRY or REGISTRY[c].linear))
SMOOTH_CELLS = tuple(cell for cell in CELLS if cell != "ideal_diode")
RECIPROCAL_CELLS = tuple(
    cell
    for cell in CELLS
    if cell not in ("amplifier", "behavioural", "transconductance")
    and (cell not in REGISTRY or REGISTRY[cell].reciprocal)
)


@st.composite
def circuits(
    draw: Draw,
    cells: Sequence[str] = CELLS,
    *,
    most_cells: int = 18,
    outputs: bool = True,
    conductances: tuple[float, float] = (1e-7, 1e-2),
) -> Circuit:
    """Random circuits of 2 to about 30 nodes with exactly one operating point.

    Parameters
    ----------
    cells
        Kinds of cells to draw from; see :data:`CELLS`.
    most_cells
        Largest number of cells.
    outputs
        Whether to give the circuit outputs, single-ended ones and pairs.
    conductances
        Range [S] of the resistors.
    """
    sketch = _Sketch(draw, conductances)
    for _ in range(draw(st.integers(0, 3))):
        sketch.inputs.append(sketch.fresh())
    sketch.add_resistor()
    count = draw(st.integers(1, most_cells))
    for cell in draw(st.lists(st.sampled_from(list(cells)), min_size=count, max_size=count)):
        getattr(sketch, f"add_{cell}")()
    for name in sketch.inputs:  # a bare input is legal, but then says nothing
        sketch.resistor(name, sketch.open[-1] if name != sketch.open[-1] else GROUND)
    pairs = []
    if outputs:
        for _ in range(draw(st.integers(1, 3))):
            plus = draw(st.sampled_from(sketch.nodes[1:]))
            minus = draw(st.sampled_from([GROUND, GROUND, *(n for n in sketch.nodes[1:] if n != plus)]))
            pairs.append((plus, minus))
    trainable = draw(st.sampled_from([(), ("a",), ("b",), ("a", "b")]))
    return sketch.circuit(trainable, pairs)


@st.composite
def experiments(
    draw: Draw, cells: Sequence[str] = CELLS, *, most_samples: int = 3, **options: Any
) -> tuple[Circuit, np.ndarray]:
    """Random circuits with input voltages (B, I) [V]; ``options`` go to :func:`circuits`."""
    circuit = draw(circuits(cells, **options))
    batch, count = draw(st.integers(1, most_samples)), len(circuit.input_nodes)
    values = draw(st.lists(volts(), min_size=batch * count, max_size=batch * count))
    return circuit, np.array(values, dtype=float).reshape(batch, count)


def has_cell(device: type[Device]) -> bool:
    """Whether :func:`circuits` knows a cell with this device."""
    return hasattr(_Sketch, f"add_{device.kind}")
