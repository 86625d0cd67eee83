"""What sources deliver all other elements take: powers of every registered device, by Tellegen's theorem."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ALL_CELLS, Draw, experiments

import analogep as aep
from analogep.devices import REGISTRY
from analogep.solve import ConductanceNudge, CurrentNudge, Nudge, Solution

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

EPS = float(np.finfo(float).eps)


def gross(solution: Solution) -> np.ndarray:
    """Sum (B,) [W] of |v · i| over all pins, which is what rounding is relative to."""
    from analogep.solve.equations.system import node_currents, pin_currents

    circuit, v = solution.circuit, solution.voltages
    total = np.abs(v * node_currents(circuit, v, solution.branches)).sum(axis=1)
    for b, bank in enumerate(circuit.banks):
        into = pin_currents(circuit, b, v, solution.branches)
        if into is not None:
            total += np.abs(into * v[:, bank.pins]).sum(axis=(1, 2))
    for c in circuit.crossbars:
        total += (v[:, c.rows] ** 2) @ c.conductance.sum(axis=1) + (v[:, c.columns] ** 2) @ c.conductance.sum(
            axis=0
        )
    for t in circuit.transconductances:
        for matrix in (t.forward, t.backward):
            if matrix is not None:
                total += np.einsum("br,rc,bc->b", np.abs(v[:, t.rows]), np.abs(matrix), np.abs(v[:, t.columns]))
    return total + sum((np.abs(power) for power in solution.powers.values()), np.zeros(len(v)))


@st.composite
def nudged(draw: Draw) -> tuple[aep.Circuit, np.ndarray, Nudge | None]:
    circuit, inputs = draw(experiments(ALL_CELLS))
    shape = (len(inputs), len(circuit.output_pairs))
    volts = np.array(
        draw(st.lists(st.floats(-1.0, 1.0), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    )
    kind = draw(st.sampled_from(["none", "current", "conductance"]))
    if kind == "current":
        return circuit, inputs, CurrentNudge(1e-9 * volts.reshape(shape))
    if kind == "conductance":
        return circuit, inputs, ConductanceNudge(1e-9, volts.reshape(shape))
    return circuit, inputs, None


@settings(max_examples=25)
@given(experiment=nudged())
def test_sources_deliver_what_all_elements_take(experiment: tuple[aep.Circuit, np.ndarray, Nudge | None]) -> None:
    circuit, inputs, nudge = experiment
    solution = aep.operating_point(circuit, inputs, nudge)
    powers = solution.powers
    v = np.abs(solution.voltages).sum(axis=1)
    # amplifiers multiply what is missed at their output by their gain on its way to the input
    factor = 1.0 + sum(float(np.abs(np.concatenate([*b.values.values()])).max()) for b in circuit.constraint_banks)
    allowed = factor * v * len(circuit.nodes) * solution.residual + 256 * EPS * factor * gross(solution)
    assert np.all(np.abs(sum(powers.values())) <= allowed)
    sources = {b.name for b in circuit.banks if b.device.kind in ("voltage_source", "current_source")}
    delivered = -sum(
        (p for k, p in powers.items() if k in {*sources, "(inputs)", "(nudge)"}), np.zeros(len(inputs))
    )
    assert np.all(np.abs(solution.power - delivered) <= allowed)


@settings(max_examples=15)
@given(experiment=nudged())
def test_the_parts_of_a_circuit_take_what_their_elements_take(
    experiment: tuple[aep.Circuit, np.ndarray, Nudge | None],
) -> None:
    circuit, inputs, nudge = experiment
    solution = aep.operating_point(circuit, inputs, nudge)
    powers, v = solution.powers, solution.voltages
    for bank in circuit.banks:
        states = [solution.element(name) for name in bank.names]
        np.testing.assert_allclose(sum(s.power for s in states), powers[bank.name], rtol=1e-9, atol=1e-30)
        currents = np.stack([s.current for s in states], axis=1)
        np.testing.assert_array_equal(currents, solution.bank_currents(bank.name))
        for s, pins in zip(states, bank.pins, strict=True):
            np.testing.assert_array_equal(s.voltage, v[:, pins[0]] - v[:, pins[1]])
            assert s.kind == bank.device.kind
    for coupling in circuit.couplings:
        states = [solution.element(name) for name in coupling.element_names]
        assert len(states) == coupling.size
        scale = max(float(np.abs(s.power).max()) for s in states) * len(states)
        total = sum(s.power for s in states)
        np.testing.assert_allclose(total, powers[coupling.name], rtol=1e-9, atol=1e-9 * scale)


def test_a_solution_and_its_elements_say_what_they_are_in_a_line() -> None:
    circuit = aep.networks.crossbar(np.full((2, 1), 1e-3), load=1e-3)
    solution = aep.operating_point(circuit, [[1.5, 0.0]])
    assert solution["y0"] == pytest.approx(0.5)
    cell = solution.element("W1_0_0")
    assert cell.nodes == ("x0", "y0")
    assert cell.current[0] == pytest.approx(1e-3)
    assert repr(cell) == "<resistor W1_0_0 at x0, y0: 1 V, 0.001 A, 0.001 W>"
    assert repr(solution).startswith("<Solution: 1 sample, 3 nodes, by layered, Kirchhoff's law to ")
    for name in ("W1_2_0", "W1_00_0", "W1_0", "nobody"):
        with pytest.raises(aep.errors.InputError, match=name):
            solution.element(name)


def test_every_device_is_in_the_law() -> None:
    assert set(REGISTRY) <= set(ALL_CELLS)


def test_power_of_a_mosfet_stage_by_hand() -> None:
    """3 V over 10 kΩ and 20 µA/V², W/L = 10, v_gs = 1.5 V, v_T = 1 V: i = ½ · 200e-6 · .25 A = 25 µA."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    graph.add_edge("vdd", "0", device=aep.devices.VoltageSource(3.0), name="V", bank="supply")
    graph.add_edge("vdd", "d", device=aep.devices.Resistor(1e-4), name="R", bank="load")
    stage = aep.devices.NMOS(1.0, 2e-5, width=1e-4, length=1e-5, gmin=0.0, control=("g", "0"))
    graph.add_node("g")
    graph.add_edge("d", "0", device=stage, name="M", bank="stage")
    solution = aep.operating_point(aep.Circuit.from_graph(graph, inputs=["g"], outputs=["d"]), [[1.5]])
    assert solution.power[0] == pytest.approx(3.0 * 25e-6, rel=1e-6)
    assert solution.powers["load"][0] == pytest.approx(25e-6**2 * 1e4, rel=1e-6)
    assert solution.powers["stage"][0] == pytest.approx(25e-6 * 2.75, rel=1e-6)
    assert solution.powers["supply"][0] == pytest.approx(-75e-6, rel=1e-6)
    assert solution.bank_currents("supply")[0, 0] == pytest.approx(-25e-6, rel=1e-6)


def test_power_of_an_amplifier_and_a_nudge_by_hand() -> None:
    """1 V into A = 4, B = 1/4 with 1 mS at its output: 4 mA there, 1 mA from the input."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    graph.add_edge("x", "y", device=aep.devices.BidirectionalAmplifier(4.0, 0.25), name="A", bank="amp")
    graph.add_edge("y", "0", device=aep.devices.Resistor(1e-3), name="R", bank="load")
    circuit = aep.Circuit.from_graph(graph, inputs=["x"], outputs=["y"])
    free = aep.operating_point(circuit, [[1.0]])
    assert free.powers["load"][0] == pytest.approx(16e-3)
    assert free.power[0] == pytest.approx(1e-3)
    assert free.powers["amp"][0] == pytest.approx(1e-3 - 16e-3)
    pulled = aep.operating_point(circuit, [[1.0]], CurrentNudge(np.array([[2e-3]])))
    assert pulled.powers["(nudge)"][0] == pytest.approx(8e-3)
    assert pulled.power[0] == pytest.approx(1.5e-3 - 8e-3)
