"""Laws that every trajectory obeys, whatever engine made it: states, Kirchhoff, tolerance, energy, an end.

Random circuits of resistors, capacitors, inductors, diodes, behavioural and independent sources. No capacitor lies
in a loop of capacitors and sources, no inductor in a cutset of inductors and current sources, so that no state may
jump.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import analogep as aep
from analogep.circuit import Circuit
from analogep.devices import (
    Capacitor,
    CurrentSource,
    Device,
    Diode,
    Inductor,
    MultiPort,
    PiecewiseLinear,
    Pulse,
    Resistor,
    Sine,
    Switch,
    Waveform,
    behavioural,
)
from analogep.devices.base import Primitive, parameter
from analogep.errors import ConvergenceError
from analogep.solve import Trajectory, TransientOptions
from analogep.solve.equations.system import node_currents
from analogep.solve.time.integrators import METHODS

TAU = 1e-6
SEEDS = range(8)
Array = np.ndarray


def circuit_of(edges: list[tuple[str, str, Device]], inputs: tuple[str, ...] = ("x",)) -> Circuit:
    graph = nx.MultiDiGraph()
    for a, b, device in edges:
        graph.add_edge(a, b, device=device)
    return Circuit.from_graph(graph, inputs=list(inputs))


def wave(rng: np.random.Generator, scale: float) -> Waveform:
    """A source with sharp corners, or jumps, within a few τ."""
    kind = rng.integers(3)
    a, b = rng.uniform(-scale, scale, 2)
    if kind == 0:
        edge = float(rng.choice([0.0, 1e-3, 0.1])) * TAU
        return Pulse(a, b, delay=0.4 * TAU, rise=edge, fall=edge, width=0.9 * TAU, period=2.3 * TAU)
    if kind == 1:
        return Sine(a, b, float(rng.uniform(0.2, 1.0)) / TAU, delay=0.3 * TAU)
    times = np.sort(rng.uniform(0.0, 4.0, 5)) * TAU
    times[3] = times[2]  # a jump
    return PiecewiseLinear(tuple(times), tuple(rng.uniform(-scale, scale, 5)))


@dataclass(frozen=True)
class Case:
    """A circuit, its inputs, a start (1, N), and the capacitors' nodes (K, 2)."""

    circuit: Circuit
    inputs: Mapping[str, Waveform]
    start: Array
    stored: Array

    def run(self, options: TransientOptions, times: Array | None = None) -> Trajectory:
        return aep.transient(self.circuit, self.inputs, 4 * TAU, v0=self.start, options=options, times=times)


def draw(seed: int, *, nonlinear: bool = True) -> Case:
    """Nodes n0.. on a random tree of resistors from the input; capacitors on a forest; the rest anywhere."""
    rng = np.random.default_rng(seed)
    names = [f"n{k}" for k in range(int(rng.integers(2, 6)))]
    edges: list[tuple[str, str, Device]] = []
    for k, name in enumerate(names):
        other = "x" if k == 0 else str(rng.choice(["x", *names[:k]]))
        edges.append((other, name, Resistor(conductance=float(10 ** rng.uniform(-4, -2)))))
        edges.append((name, "0", Resistor(conductance=float(10 ** rng.uniform(-9, -3)))))
    forest = nx.utils.UnionFind(["g", *names])  # x and ground are one: sources join them
    stored = []
    for _ in range(len(names)):
        a, b = rng.choice([*names, "0", "x"], 2, replace=False)
        ends = ["g" if n in "0x" else n for n in (a, b)]
        if forest[ends[0]] != forest[ends[1]] and rng.random() < 0.8:
            forest.union(*ends)
            edges.append((a, b, Capacitor(value=float(10 ** rng.uniform(-11, -8.5)))))
            stored.append((a, b))
    if rng.random() < 0.5:  # to a node of its own, so that it is in series with a resistor
        edges.append((names[0], "l", Inductor(inductance=float(10 ** rng.uniform(-4, -3)))))
        edges.append(("l", "0", Resistor(conductance=float(10 ** rng.uniform(-4, -2)))))
    if nonlinear:
        for _ in range(int(rng.integers(0, 3))):
            a, b = rng.choice([*names, "0"], 2, replace=False)
            edges.append((a, b, Diode(saturation_current=float(10 ** rng.uniform(-15, -9)))))
        if (
            rng.random() < 0.5
        ):  # a transconductor far steeper than any resistor, that pulls to where its control is
            a, c = rng.choice(names, 2, replace=False)
            law = behavioural("g*(v(p,n)-tanh(v(c)))", control=("c",), g=float(10 ** rng.uniform(-3, 0)))
            edges.append((a, "0", behavioural(law.expression.replace("c1", c), control=(c,), g=law.values["g"])))
    if rng.random() < 0.4:
        flow = wave(rng, 1e-4)
        edges.append(("0", names[-1], CurrentSource(amplitude=0.0, waveform=flow)))
    circuit = circuit_of(edges)
    start = np.zeros((1, len(circuit.nodes)))
    reach = {n: float(rng.uniform(-0.4, 0.4)) for n in names}
    start[0, [circuit.node(n) for n in names]] = list(reach.values())
    inputs = {"x": wave(rng, 3.0)}
    start[0, circuit.node("x")] = float(inputs["x"].value(0.0))
    pins = np.array([[circuit.node(a), circuit.node(b)] for a, b in stored], int).reshape(-1, 2)
    return Case(circuit, inputs, start, pins)


EVERY = TransientOptions(node_capacitance=0.0)


# --- states ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_states_start_where_they_are_put_and_no_corner_moves_them(seed: int) -> None:
    case = draw(seed)
    found = case.run(EVERY)
    p, n = case.stored.T
    across = found.voltages[:, 0, p] - found.voltages[:, 0, n]
    np.testing.assert_allclose(across[0], case.start[0, p] - case.start[0, n], rtol=0.0, atol=1e-14)
    jumps = np.flatnonzero(np.diff(found.times) == 0.0)
    np.testing.assert_allclose(across[jumps + 1], across[jumps], rtol=0.0, atol=1e-12)
    for currents in found.branches.values():
        np.testing.assert_allclose(currents[0], 0.0, atol=1e-18)
        np.testing.assert_allclose(currents[jumps + 1], currents[jumps], rtol=0.0, atol=1e-15)


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_kirchhoffs_law_holds_at_every_time_at_nodes_without_memory(seed: int) -> None:
    """Also between steps, where times are asked for: what capacitors hold moves, the rest must follow."""
    case = draw(seed)
    circuit = case.circuit
    times = np.unique(np.random.default_rng(seed + 1000).uniform(0.0, 4 * TAU, 30))
    sources = [b for b in circuit.banks if b.device is CurrentSource]
    bare = np.setdiff1d(np.arange(1, len(circuit.nodes)), [*case.stored.ravel(), *circuit.input_nodes])
    for found in (case.run(EVERY), case.run(EVERY, times)):
        for k, t in enumerate(found.times):
            total = node_currents(circuit, found.voltages[k], {b: j[k] for b, j in found.branches.items()})[0]
            jump = k + 1 < len(found.times) and found.times[k + 1] == t
            for bank in sources:
                for name, (a, b) in zip(bank.names, bank.pins, strict=True):
                    flow = float(circuit.waveforms[name].value(t, before=jump))
                    total[a] += flow
                    total[b] -= flow
            scale = 1.0 + np.abs(found.voltages[k]).max()
            np.testing.assert_allclose(total[bare], 0.0, atol=1e-11 * scale)


def test_states_that_only_sources_reach() -> None:
    """An integrator beside 1 GΩ: the source's current is no conductance, and yet moves nothing at once."""
    pull = behavioural("g*(v(p,n)-v(x))", control=("x",), g=1.0)
    circuit = circuit_of(
        [
            ("s", "0", pull),
            ("x", "0", Resistor(conductance=1e-3)),
            ("s", "0", Capacitor(value=1e-6)),
            ("s", "0", Resistor(conductance=1e-9)),
        ]
    )
    found = aep.transient(circuit, {"x": Pulse(0.0, 1.0, delay=1e-6)}, 3e-6, options=EVERY, times=[1e-6, 2e-6])
    np.testing.assert_allclose(found.voltage("s")[:, 0], [0.0, 1.0 - math.exp(-1.0)], atol=2e-4)


# --- tolerance -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_the_error_falls_with_the_tolerance(seed: int) -> None:
    case = draw(seed)
    times = np.linspace(0.05, 3.95, 40) * TAU

    def at(relative: float) -> Array:
        options = TransientOptions(
            relative=relative, absolute=relative, current_absolute=1e-3 * relative, node_capacitance=0.0
        )
        return case.run(options, times).voltages[:, 0]

    best = at(3e-6)
    coarse, fine = (np.abs(at(relative) - best).max() for relative in (1e-2, 3e-4))
    assert coarse < 0.2
    assert fine < max(0.25 * coarse, 3e-4)
    assert fine < 3e-3


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_power_balances_over_time(seed: int) -> None:
    """What the input delivers goes into resistors and into the fields, ½CV² and ½LI²."""
    case = draw(seed, nonlinear=False)
    circuit = case.circuit
    if circuit.waveforms:
        case = Case(circuit.with_parameters({}), case.inputs, case.start, case.stored)
    options = TransientOptions(relative=1e-6, absolute=1e-8, current_absolute=1e-11, node_capacitance=0.0)
    found = case.run(options)
    v = found.voltages[:, 0]
    fields, heat, into = np.zeros(len(v)), np.zeros(len(v)), np.zeros(len(v))
    for b, bank in enumerate(circuit.banks):
        drop = v[:, bank.pins[:, 0]] - v[:, bank.pins[:, 1]]
        if bank.device is Capacitor:
            fields += 0.5 * (bank.values["value"] * drop**2).sum(axis=1)
        elif bank.device is Inductor:
            fields += 0.5 * (bank.values["inductance"] * found.branches[b][:, 0, :, 0] ** 2).sum(axis=1)
        elif bank.device is Resistor:
            heat += (bank.values["conductance"] * drop**2).sum(axis=1)
    x = circuit.node("x")
    charge = np.zeros(len(v))  # on the input's plates
    for bank in circuit.banks:
        for e, (a, c) in enumerate(bank.pins[:, :2]):
            drop = v[:, a] - v[:, c]
            sign = float(a == x) - float(c == x)
            if bank.device is Resistor and sign:
                into += sign * bank.values["conductance"][e] * drop * v[:, x]
            elif bank.device is Capacitor and sign:
                charge += sign * bank.values["value"][e] * drop
            elif bank.device is CurrentSource:
                now = circuit.waveforms[bank.names[e]]
                after = np.append(np.diff(found.times) == 0.0, False)
                flow = np.where(after, now.value(found.times, before=True), now.value(found.times))
                into -= flow * drop
    h = np.diff(found.times)
    work = float((0.5 * h * (into[1:] + into[:-1] - heat[1:] - heat[:-1])).sum())
    work += float((0.5 * (v[1:, x] + v[:-1, x]) * np.diff(charge)).sum())
    size = float(np.abs(heat).max() * 4 * TAU + fields.max())
    assert work == pytest.approx(float(fields[-1] - fields[0]), abs=2e-4 * size)


# --- charges that devices state --------------------------------------------------------------------------


@dataclass(frozen=True)
class Varactor(MultiPort):
    """A conductance beside a charge q = c v + d v³."""

    kind: ClassVar[str] = "test_varactor"
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    linear: ClassVar[bool] = False
    conductance: float = parameter("S", "conductance", default=0.0)
    c: float = parameter("F", "capacitance at 0 V", default=1e-9)
    d: float = parameter("F", "capacitance's growth", default=0.0)

    @staticmethod
    def stamp(z: Array, p: Mapping[str, Array]) -> tuple[Array, Array]:
        return _two_pins(p["conductance"] * (z[..., 0] - z[..., 1]), p["conductance"] + 0.0 * z[..., 0])

    @staticmethod
    def charge(z: Array, p: Mapping[str, Array]) -> tuple[Array, Array] | None:
        v = z[..., 0] - z[..., 1]
        return _two_pins(p["c"] * v + p["d"] * v**3, p["c"] + 3.0 * p["d"] * v**2)

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        return [Primitive("R", name, nodes, (1.0 / p["conductance"],))]


def _two_pins(value: Array, slope: Array) -> tuple[Array, Array]:
    row = np.stack([slope, -slope], axis=-1)
    return np.stack([value, -value], axis=-1), np.stack([row, -row], axis=-2)


@pytest.mark.parametrize("method", METHODS)
def test_order_with_a_charge_that_is_not_linear(method: str) -> None:
    """(c + 3 d v²) v' = (u(t) − v)/R − g v, by scipy's Radau to 1e-12."""
    r, g, c, d = 1e3, 2e-4, 3e-10, 4e-10
    sine = Sine(0.3, 1.0, 0.3 / TAU)
    circuit = circuit_of([("x", "a", Resistor(conductance=1 / r)), ("a", "0", Varactor(conductance=g, c=c, d=d))])

    def flow(t: float, v: Array) -> Array:
        return ((float(sine.value(t)) - v) / r - g * v) / (c + 3 * d * v**2)

    end = 4 * TAU
    exact = solve_ivp(flow, (0.0, end), [0.0], "Radau", rtol=1e-11, atol=1e-13, dense_output=True).sol
    errors, counts = [], np.array([80, 160, 320])
    for count in counts:
        options = TransientOptions(method=method, step=end / count, node_capacitance=0.0)
        found = aep.transient(circuit, {"x": sine}, end, options=options)
        errors.append(np.abs(found.voltage("a")[:, 0] - exact(found.times)[0])[found.times > 0.1 * end].max())
    assert errors[-1] < 3e-4
    assert -np.polyfit(np.log(counts), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.12)
    free = TransientOptions(method=method, relative=1e-5, absolute=1e-7, node_capacitance=0.0)
    found = aep.transient(circuit, {"x": sine}, end, options=free)
    np.testing.assert_allclose(found.voltage("a")[:, 0], exact(found.times)[0], atol=1e-3)


def test_a_jump_spreads_over_charges_that_are_not_linear() -> None:
    """u across q1(u − v) = q2(v) in series: their charges stay equal when u jumps, and v is its root."""
    one, two = Varactor(c=1e-9, d=5e-10), Varactor(c=2e-9, d=1e-9)
    circuit = circuit_of(
        [
            ("x", "a", one),
            ("a", "0", two),
            ("a", "0", Resistor(conductance=1e-6)),
            ("x", "b", Resistor(conductance=1)),
            ("b", "0", Resistor(conductance=1.0)),
        ]
    )
    found = aep.transient(circuit, {"x": Pulse(0.0, 2.0, delay=TAU)}, 2 * TAU, options=EVERY)
    (k,) = np.flatnonzero(np.diff(found.times) == 0.0)
    v = found.voltage("a")[k + 1, 0]
    q1, q2 = (p.c * u + p.d * u**3 for p, u in ((one, 2.0 - v), (two, v)))
    assert found.voltage("a")[k, 0] == pytest.approx(0.0, abs=1e-12)
    assert q1 == pytest.approx(q2, rel=1e-10)
    assert found.voltage("b")[k + 1, 0] == pytest.approx(1.0, abs=1e-12)


# --- an end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_a_switch_that_chatters_ends_soon(seed: int) -> None:
    """It loads the node of its own control, without hysteresis."""
    rng = np.random.default_rng(seed)
    r, c1, c2 = 10 ** rng.uniform(2, 4), 10 ** rng.uniform(-10, -8.5), 10 ** rng.uniform(-10, -8.5)
    switch = Switch(threshold=0.6, on_resistance=r / 100, off_resistance=1e4 * r, control=("a", "0"))
    edges: list[tuple[str, str, Device]] = [
        ("x", "a", Resistor(conductance=1 / r)),
        ("a", "0", Capacitor(value=c1)),
        ("b", "0", switch),
    ]
    if seed % 2:
        edges += [("a", "b", Resistor(conductance=1 / r)), ("b", "0", Capacitor(value=c2))]
    else:
        edges += [("a", "b", Resistor(conductance=10 / r))]
    began = time.process_time()
    try:
        aep.transient(circuit_of(edges), [1.0], 100 * r * max(c1, c2), options=EVERY)
    except ConvergenceError as error:
        assert "switch1" in str(error)  # noqa: PT017
        assert "hysteresis" in str(error)  # noqa: PT017
    assert time.process_time() - began < 5.0


def test_round_pairs_of_step_and_end_run() -> None:
    """The last of start + k step may lie a rounding after the end."""
    circuit = circuit_of([("x", "a", Resistor(conductance=1e-3)), ("a", "0", Resistor(conductance=1e-3))])
    for exponent in (-12, -9, -6, -3):
        for mantissa in (1, 2, 3, 5, 7):
            step = float(f"{mantissa}e{exponent}")
            for count in (3, 6, 7, 10):
                end = float(f"{mantissa * count}e{exponent}")
                found = aep.transient(circuit, [1.0], end, times=step * np.arange(count + 1), options=EVERY)
                assert len(found.times) == count + 1
                assert found.times[-1] == pytest.approx(end, rel=1e-12)
                np.testing.assert_allclose(found.voltage("a"), 0.5, rtol=1e-12)
