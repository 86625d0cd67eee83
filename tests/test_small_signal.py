"""Port conductances and time constants against hand calculation, scipy and the integrated transient."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from scipy.linalg import eigvals

from analogep.circuit import Circuit
from analogep.constants import thermal_voltage
from analogep.devices import (
    VCCS,
    VCVS,
    BidirectionalAmplifier,
    Capacitor,
    Device,
    Diode,
    IdealDiode,
    JunctionDiode,
    Resistor,
    VoltageSource,
)
from analogep.errors import InputError, UnstableWarning
from analogep.networks import deep_resistive
from analogep.solve import TransientOptions, operating_point, port_conductance, time_constants, transient
from analogep.solve.equations.system import node_currents
from analogep.solve.response.adjoint import output_impedance

EXACT = 1e-12  # relative, for a handful of operations on well-conditioned matrices


def circuit_of(
    *edges: tuple[str, str, Device], inputs: tuple[str, ...] = (), outputs: tuple[Any, ...] = ()
) -> Circuit:
    graph = nx.MultiDiGraph()
    for a, b, device in edges:
        graph.add_edge(a, b, device=device)
    return Circuit.from_graph(graph, inputs=list(inputs), outputs=list(outputs))


def g(value: float) -> Resistor:
    return Resistor(conductance=value)


def series(a: float, b: float) -> float:
    return a * b / (a + b)


# --- ports ---------------------------------------------------------------------------------------------

G1, G2, G3, G4, G5 = 1e-3, 3e-3, 2e-4, 5e-4, 7e-4
DIVIDER = circuit_of(("x", "a", g(G1)), ("a", "0", g(G2)), inputs=("x",))
BRIDGE = circuit_of(
    ("x", "a", g(G1)), ("a", "0", g(G2)), ("x", "b", g(G3)), ("b", "0", g(G4)), ("a", "b", g(G5)), inputs=("x",)
)
INPUTS = circuit_of(("x", "y", g(G1)), ("x", "0", g(G2)), ("y", "0", g(G3)), inputs=("x", "y"))


@pytest.mark.parametrize(
    ("circuit", "ports", "expected"),
    [
        (DIVIDER, ["a"], [[G1 + G2]]),
        (DIVIDER, ["x"], [[series(G1, G2)]]),
        (DIVIDER, [("0", "x")], [[series(G1, G2)]]),
        (DIVIDER, ["x", "a"], [[G1, -G1], [-G1, G1 + G2]]),
        (DIVIDER, [("x", "a"), "a"], [[G1, 0.0], [0.0, G2]]),
        (BRIDGE, [("a", "b")], [[G5 + series(G1 + G2, G3 + G4)]]),
        (BRIDGE, ["a", "b"], [[G1 + G2 + G5, -G5], [-G5, G3 + G4 + G5]]),
        (INPUTS, ["x"], [[G1 + G2]]),
        (INPUTS, [("x", "y")], [[G1 + series(G2, G3)]]),
        (INPUTS, ["y", "x"], [[G1 + G3, -G1], [-G1, G1 + G2]]),
    ],
)
def test_resistors_by_hand(circuit: Circuit, ports: list[Any], expected: list[list[float]]) -> None:
    inputs = np.ones((2, len(circuit.inputs)))
    found = port_conductance(circuit, inputs, ports)
    assert found.shape == (2, len(ports), len(ports))
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=EXACT, atol=EXACT * G2)


@pytest.mark.parametrize("emission", [1.0, 1.8])
def test_diode_conducts_its_current_over_the_thermal_voltage(emission: float) -> None:
    diode = Diode(emission=emission)
    circuit = circuit_of(("x", "a", g(G1)), ("a", "0", diode), inputs=("x",))
    volts = np.array([[0.6], [1.0], [3.0]])
    v = operating_point(circuit, volts).voltage("a")
    junction = G1 * (volts[:, 0] - v) - diode.gmin * v
    slope = (junction + diode.saturation_current) / (emission * thermal_voltage()) + diode.gmin
    # A node voltage is good to 1e-9 V, the current through the resistor to G1 times that.
    np.testing.assert_allclose(
        port_conductance(circuit, volts, ["a"])[:, 0, 0], G1 + slope, rtol=0, atol=G1 * 1e-9 / thermal_voltage()
    )
    np.testing.assert_allclose(
        port_conductance(circuit, volts, ["x"])[:, 0, 0], series(G1, slope), rtol=1e-6, atol=0
    )


def test_sources_and_amplifiers_by_hand() -> None:
    held = circuit_of(("x", "a", g(G1)), ("b", "a", VoltageSource(voltage=0.3)), ("b", "0", g(G2)), inputs=("x",))
    np.testing.assert_allclose(port_conductance(held, [1.0], ["b"]), [[[G1 + G2]]], rtol=EXACT)
    amplifier = BidirectionalAmplifier(voltage_gain=4.0, current_gain=0.5)
    driven = circuit_of(("x", "a", amplifier), ("a", "0", g(G1)), inputs=("x",))
    np.testing.assert_allclose(port_conductance(driven, [1.0], ["x"]), [[[4.0 * 0.5 * G1]]], rtol=EXACT)
    inside = circuit_of(("x", "i", g(G2)), ("i", "a", amplifier), ("a", "0", g(G1)), inputs=("x",))
    # Seen from behind: a voltage v at a is v/A at i, and a current i at a is B i there.
    np.testing.assert_allclose(port_conductance(inside, [1.0], ["a"]), [[[G1 + G2 / (4.0 * 0.5)]]], rtol=EXACT)


def test_non_reciprocal_circuits_are_not_symmetric() -> None:
    edges = (("a", "0", g(G1)), ("b", "0", g(G2)))
    vccs = circuit_of(*edges, ("b", "0", VCCS(transconductance=G3, control=("a", "0"))))
    np.testing.assert_allclose(
        port_conductance(vccs, None, ["a", "b"]), [[[G1, 0.0], [G3, G2]]], rtol=EXACT, atol=EXACT * G2
    )
    vcvs = circuit_of(*edges, ("c", "0", VCVS(gain=5.0, control=("a", "0"))), ("c", "b", g(G4)))
    np.testing.assert_allclose(
        port_conductance(vcvs, None, ["a", "b"]),
        [[[G1, 0.0], [-5.0 * G4, G2 + G4]]],
        rtol=EXACT,
        atol=EXACT * G2,
    )


@pytest.mark.parametrize("diode", [Diode(), IdealDiode()])
@pytest.mark.parametrize("amplifier", [None, (4.0, 4.0), (4.0, 0.25)])
def test_networks_against_differences_and_the_impedance(diode: Any, amplifier: Any) -> None:
    circuit = deep_resistive([4, 6, 3], diode=diode, amplifier=amplifier, rng=np.random.default_rng(3))
    inputs = np.random.default_rng(4).normal(size=(3, 4))
    names = list(circuit.inputs)
    outputs = [o if isinstance(o, str) else tuple(o) for o in circuit.outputs]
    # An amplifier weights the energy of what lies behind it, and so its currents, by B/A: symmetric with that.
    forth, back = amplifier or (1.0, 1.0)
    weight = np.array([1.0] * len(names) + [back / forth] * len(outputs))
    both = port_conductance(circuit, inputs, [*names, *outputs])
    scale = np.abs(both).max()
    weighted = weight[:, None] * both
    np.testing.assert_allclose(weighted, weighted.swapaxes(1, 2), rtol=0, atol=1e-12 * scale)
    assert np.allclose(both, both.swapaxes(1, 2), rtol=0, atol=1e-12 * scale) is (forth == back)

    found = port_conductance(circuit, inputs, names)
    scale = np.abs(found).max()
    step = 1e-5  # [V]: a truncation of (step / V_T)² ~ 1e-7 beside 1e-9 V / step ~ 1e-4 of the solver's promise
    for q in range(len(names)):
        sides = []
        for sign in (1.0, -1.0):
            moved = inputs.copy()
            moved[:, q] += sign * step
            s = operating_point(circuit, moved)
            sides.append(node_currents(circuit, s.voltages, s.branches)[:, circuit.input_nodes])
        difference = (sides[0] - sides[1]) / (2.0 * step)
        np.testing.assert_allclose(found[:, :, q], difference, rtol=0, atol=1e-4 * scale)
    impedance = output_impedance(operating_point(circuit, inputs), inputs, junctions_off=False)
    np.testing.assert_allclose(
        port_conductance(circuit, inputs, outputs) @ impedance, np.broadcast_to(np.eye(3), (3, 3, 3)), atol=1e-9
    )


SOURCE = circuit_of(("x", "a", g(G1)), ("s", "0", VoltageSource(voltage=1.0)), ("s", "a", g(G1)), inputs=("x",))
CLAMPED = circuit_of(("x", "a", g(G1)), ("a", "0", IdealDiode()), inputs=("x",))


@pytest.mark.parametrize(
    ("circuit", "ports", "message"),
    [
        (SOURCE, ["s"], "port s is fixed by inputs and sources"),
        (SOURCE, ["a", ("a", "s")], r"port \(a, s\) follows from the ports before it"),
        (SOURCE, ["b"], "no node 'b'"),
        (SOURCE, [("a", "a")], "both pins on node a"),
        (SOURCE, [("a", "s", "x")], "neither a node name nor"),
        (SOURCE, [], "at least one"),
        (SOURCE, "a", "at least one"),
        (CLAMPED, ["a"], "ports a have no finite conductance in sample 0"),
    ],
)
def test_refused_ports(circuit: Circuit, ports: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        port_conductance(circuit, [1.0], ports)


# --- time constants ------------------------------------------------------------------------------------

R, C = 1e3, 1e-9


def ladder(sections: int, halves: bool) -> Circuit:
    """Return an RC ladder; ``halves`` splits each resistor at a node without a capacitor."""
    edges: list[tuple[str, str, Device]] = []
    for k in range(sections):
        a, b = ("x" if k == 0 else f"n{k - 1}"), f"n{k}"
        if halves:
            edges += [(a, f"m{k}", g(2.0 / R)), (f"m{k}", b, g(2.0 / R))]
        else:
            edges.append((a, b, g(1.0 / R)))
        edges.append((b, "0", Capacitor(value=C)))
    return circuit_of(*edges, inputs=("x",))


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("sections", [1, 2, 7])
def test_ladder_against_its_closed_form(sections: int, halves: bool) -> None:
    k = np.arange(1, sections + 1)
    rates = 4.0 / (R * C) * np.sin((2 * k - 1) * np.pi / (2 * (2 * sections + 1))) ** 2
    found = time_constants(ladder(sections, halves), np.ones((2, 1)), sections, node_capacitance=0.0)
    np.testing.assert_allclose(found, np.broadcast_to(1.0 / rates, (2, sections)), rtol=1e-11)


def test_floating_capacitors_against_scipy() -> None:
    rng = np.random.default_rng(5)
    count = 6
    names = ["0", *(f"n{i}" for i in range(count))]
    edges: list[tuple[str, str, Device]] = []
    conductance, capacitance = np.zeros((count + 1, count + 1)), np.zeros((count + 1, count + 1))
    for a in range(count + 1):
        for b in range(a):
            stamp = np.zeros(count + 1)
            stamp[[a, b]] = 1.0, -1.0
            s, c = rng.uniform(1e-5, 1e-3), rng.uniform(1e-12, 1e-9)
            edges += [(names[a], names[b], g(s)), (names[a], names[b], Capacitor(value=c))]
            conductance += s * np.outer(stamp, stamp)
            capacitance += c * np.outer(stamp, stamp)
    rates = eigvals(conductance[1:, 1:], capacitance[1:, 1:])
    found = time_constants(circuit_of(*edges), None, count)
    np.testing.assert_allclose(found[0], np.sort(1.0 / rates.real)[::-1], rtol=1e-10)


def test_a_capacitor_between_two_nodes_is_one_mode() -> None:
    circuit = circuit_of(
        ("x", "a", g(1 / R)), ("a", "b", Capacitor(value=C)), ("b", "0", g(0.5 / R)), inputs=("x",)
    )
    np.testing.assert_allclose(time_constants(circuit, [1.0]), [[3.0 * R * C]], rtol=EXACT)
    with pytest.raises(
        InputError, match="2 time constants need as many capacitive unknowns, and the circuit has 1"
    ):
        time_constants(circuit, [1.0], 2)


def test_default_node_capacitance() -> None:
    found = time_constants(DIVIDER, [1.0], node_capacitance=2e-12)
    np.testing.assert_allclose(found, [[2e-12 / (G1 + G2)]], rtol=EXACT)


def pair(forth: float, back: float) -> Circuit:
    cells: list[tuple[str, str, Device]] = []
    for node, other, gain in (("a", "b", forth), ("b", "a", back)):
        cells += [
            (node, "0", g(G1)),
            (node, "0", Capacitor(value=C)),
            (node, "0", VCCS(transconductance=gain, control=(other, "0"))),
        ]
    return circuit_of(*cells)


def test_gyrator_rings_and_latch_runs_away() -> None:
    np.testing.assert_allclose(time_constants(pair(G2, -G2), None, 2), [[C / G1, C / G1]], rtol=1e-10)
    np.testing.assert_allclose(
        time_constants(pair(-G3, -G3), None, 2), [[C / (G1 - G3), C / (G1 + G3)]], rtol=1e-10
    )
    with pytest.warns(UnstableWarning, match="node a grows"):
        found = time_constants(pair(-G2, -G2), None, 2)
    assert found[0, 0] == np.inf
    np.testing.assert_allclose(found[0, 1], C / (G1 + G2), rtol=1e-10)


def test_a_capacitor_that_a_source_drives_follows_at_once() -> None:
    circuit = circuit_of(
        ("x", "a", g(1 / R)),
        ("a", "0", Capacitor(value=C)),
        ("c", "0", VCVS(gain=2.0, control=("a", "0"))),
        ("c", "0", Capacitor(value=C)),
        inputs=("x",),
    )
    np.testing.assert_allclose(time_constants(circuit, [1.0], 2), [[R * C, 0.0]], rtol=EXACT)


def late_time_constant(circuit: Circuit, inputs: np.ndarray, tau: float) -> float:
    """Return the time constant that fits the log distance to equilibrium between 1e-4 and 1e-6 V."""
    rest = operating_point(circuit, inputs).voltages
    options = TransientOptions(absolute=1e-12, relative=1e-8)
    run = transient(circuit, inputs, until=25.0 * tau + 5.0 * R * C, options=options)
    distance = np.abs(run.voltages - rest).max(axis=(1, 2))
    late = (distance < 1e-4) & (distance > 1e-6)
    assert late.sum() > 10
    return float(-1.0 / np.polyfit(run.times[late], np.log(distance[late]), 1)[0])


@pytest.mark.parametrize(
    "circuit",
    [
        ladder(4, False),
        circuit_of(("x", "a", g(1 / R)), ("a", "0", Diode()), ("a", "0", Capacitor(value=C)), inputs=("x",)),
        circuit_of(
            ("x", "a", g(1 / R)),
            ("a", "0", Capacitor(value=C)),
            ("a", "b", Diode()),
            ("b", "0", g(1e-5)),
            ("b", "0", Capacitor(value=C)),
            inputs=("x",),
        ),
    ],
    ids=["ladder", "diode", "rectifier"],
)
def test_estimate_is_the_late_decay_of_the_transient(circuit: Circuit) -> None:
    inputs = np.array([[1.5]])
    tau = float(time_constants(circuit, inputs)[0, 0])
    # At 1e-4 V from rest a junction's slope is off by 1e-4 V / V_T = 4e-3.
    assert late_time_constant(circuit, inputs, tau) == pytest.approx(tau, rel=4e-3)


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_refused_counts(count: Any) -> None:
    with pytest.raises(InputError, match="positive number of time constants"):
        time_constants(DIVIDER, [1.0], count)


@pytest.mark.parametrize("value", [-1e-12, np.nan, np.inf])
def test_refused_capacitances(value: float) -> None:
    with pytest.raises(InputError, match="node_capacitance"):
        time_constants(DIVIDER, [1.0], node_capacitance=value)


def test_no_memory_is_refused() -> None:
    with pytest.raises(InputError, match="node_capacitance above zero"):
        time_constants(DIVIDER, [1.0], node_capacitance=0.0)


def test_a_circuit_without_unknowns() -> None:
    circuit = circuit_of(("x", "0", g(G1)), inputs=("x",))
    np.testing.assert_allclose(port_conductance(circuit, [1.0], ["x"]), [[[G1]]], rtol=EXACT)
    with pytest.raises(InputError, match="the circuit has 0"):
        time_constants(circuit, [1.0])


def test_time_constants_know_the_charges_that_devices_state() -> None:
    """R C of a diode's depletion layer at voltages v below 0: C = C0 (1 − v/φ)^−m."""
    graph = nx.MultiDiGraph()
    diode = JunctionDiode(junction_capacitance=1e-9, junction_potential=0.8, grading=0.4, gmin=0.0)
    graph.add_edge("x", "a", device=Resistor(conductance=1e-3), name="R1")
    graph.add_edge("a", 0, device=diode, name="D1")
    circuit = Circuit.from_graph(graph, inputs=["x"])
    found = time_constants(circuit, [[-1.0], [-3.0]], node_capacitance=0.0)
    expected = 1e-6 * (1.0 + np.array([1.0, 3.0]) / 0.8) ** -0.4
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-6)
