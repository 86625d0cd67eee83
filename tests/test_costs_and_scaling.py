"""Costs and their nudges; the scale of the energy behind amplifiers, and circuits without any energy."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_layered import batch_for, layered_networks

from analogep import networks
from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.devices import CCCS, CCVS, VCCS, VCVS, BidirectionalAmplifier, Device, MultiPort, Resistor
from analogep.errors import InputError, RuleError
from analogep.learning import Adjoint, EquilibriumPropagation, SquaredError, energy_scale, suggest_beta
from analogep.learning.costs.base import target_array
from analogep.networks import deep_resistive, uniform
from analogep.solve import operating_point
from analogep.solve.equations.system import node_currents

COST = SquaredError()
INITIAL = uniform(1e-5, 1e-4)
VOLTS = st.floats(-10.0, 10.0, allow_subnormal=False)


# --- costs ---------------------------------------------------------------------------------------------


@given(o=arrays(float, (2, 3), elements=VOLTS), y=arrays(float, (2, 3), elements=VOLTS))
def test_gradient_is_the_derivative_of_the_value(o: np.ndarray, y: np.ndarray) -> None:
    """A quadratic: central differences are exact up to rounding, 1e-16 C/h with C up to 600 V^2, h = 1e-3 V."""
    h = 1e-3
    gradient = COST.gradient(o, y)
    assert gradient.shape == o.shape
    for k in range(3):
        up, down = o.copy(), o.copy()
        up[:, k] += h
        down[:, k] -= h
        slope = (COST.value(up, y) - COST.value(down, y)) / (2 * h)
        np.testing.assert_allclose(gradient[:, k], slope, rtol=0.0, atol=1e-9)


def test_value_by_hand() -> None:
    value = COST.value(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 4.0], [0.0, 3.0]]))
    assert value.tolist() == [0.5 * (1 + 4), 0.5 * 9]


@given(
    o=arrays(float, (2, 3), elements=VOLTS),
    y=arrays(float, (2, 3), elements=VOLTS),
    beta=st.floats(-1e-2, 1e-2),
)
def test_both_nudges_start_at_beta_times_the_gradient(o: np.ndarray, y: np.ndarray, beta: float) -> None:
    for form in ("error", "frozen"):
        current, _ = COST.nudge(beta, o, y, form).evaluate(o)
        np.testing.assert_array_equal(current, beta * COST.gradient(o, y))


@given(o=arrays(float, (2, 3), elements=VOLTS), beta=st.floats(1e-6, 1e-2))
def test_slopes_of_the_nudges(o: np.ndarray, beta: float) -> None:
    """The error-dependent nudge is a conductance; the frozen one has none."""
    y, h = np.zeros((2, 3)), 1e-3
    for form, slope in (("error", beta), ("frozen", 0.0)):
        nudge = COST.nudge(beta, o, y, form)
        current, found = nudge.evaluate(o)
        moved, _ = nudge.evaluate(o + h)
        np.testing.assert_array_equal(found, np.full(o.shape, slope))
        np.testing.assert_allclose((moved - current) / h, slope, rtol=1e-9, atol=1e-14)
        part, _ = nudge.select(np.array([1])).evaluate(o[1:])
        np.testing.assert_array_equal(part, current[1:])


def test_unknown_form_and_targets_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="unknown nudge form 'cold'"):
        COST.nudge(1e-3, np.zeros((1, 1)), np.zeros((1, 1)), "cold")  # type: ignore[arg-type]
    circuit = networks.crossbar(np.ones((2, 2)))
    for targets, message in (
        ([1.0], "expected"),
        ([[1.0, 2.0], [1.0, 2.0]], "expected"),
        ([1.0, float("nan")], "target 1 of sample 0"),
        (["a", "b"], "not numbers"),
        ([[1.0], [1.0, 2.0]], "not numbers"),
        (None, "finite|expected|numbers"),
    ):
        with pytest.raises(InputError, match=message):
            target_array(circuit, targets, 1, COST)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no outputs"):
        target_array(Circuit(circuit.nodes, circuit.banks, circuit.crossbars, circuit.input_nodes), [1.0], 1, COST)


# --- scale of the energy -------------------------------------------------------------------------------


def layer_scales(circuit: Circuit) -> list[float]:
    scale = energy_scale(circuit)
    assert scale.culprit is None
    return [float(np.unique(scale.nodes[c.columns].round(12))[0]) for c in circuit.crossbars]


def test_kendalls_amplifiers_scale_by_16_per_layer() -> None:
    """Kendall et al. (2020), section 4: A = 4, B = 1/4; (A/B)^(L - l) = 256, 16, 1 for L = 3."""
    circuit = deep_resistive([3, 2, 2, 1], amplifier=(4.0, 0.25), initial=INITIAL)
    assert layer_scales(circuit) == [256.0, 16.0, 1.0]


@given(
    depth=st.integers(1, 4),
    gain=st.floats(0.3, 5.0),
    back=st.floats(0.3, 5.0),
)
def test_scale_is_the_ratio_of_gains_to_the_layers_that_follow(depth: int, gain: float, back: float) -> None:
    circuit = deep_resistive([2] * (depth + 1), amplifier=(gain, back), bias="none", initial=INITIAL)
    expected = [(gain / back) ** (depth - layer) for layer in range(1, depth + 1)]
    np.testing.assert_allclose(layer_scales(circuit), expected, rtol=1e-9)


def test_without_amplifiers_the_scale_is_one_and_fixed_nodes_have_none() -> None:
    circuit = deep_resistive([3, 4, 2], paired_outputs=True, initial=INITIAL)
    scale = energy_scale(circuit)
    free = [circuit.node(n) for n in circuit.nodes if n[0] in "hy"]
    assert (scale.nodes[free] == 1.0).all()
    assert np.isnan(scale.nodes[circuit.input_nodes]).all()
    assert np.isnan(scale.nodes[0])
    fixed = np.array([[circuit.input_nodes[0], 0]])
    assert scale.of_pins(fixed).tolist() == [1.0]


@given(circuit=layered_networks(smooth=True), seed=st.integers(0, 2**16))
def test_scaled_currents_are_a_gradient(circuit: Circuit, seed: int) -> None:
    """With the scale s, Kirchhoff's law derives from sum s_e Phi_e: s-weighted and reduced, J is symmetric."""
    from analogep.solve.equations.system import System

    scale = energy_scale(circuit)
    assert scale.culprit is None
    inputs, _ = batch_for(circuit, seed, 1)
    system = System(circuit, inputs)
    model = system.model
    free = operating_point(circuit, inputs)
    ev = system.evaluate(model.reduce_voltages(free.voltages))
    dense = np.asarray(model.linear_matrix).copy()
    np.add.at(dense, (model.slots.rows, model.slots.columns), model.slots.values(ev.slopes)[0])
    # E(x) has the derivative sum_nodes s t i: rows of R = sum w i are to be multiplied by s t / w.
    root = model.plan.nodes
    weighted = scale.nodes[root][:, None] * dense
    np.testing.assert_allclose(weighted, weighted.T, rtol=1e-9, atol=1e-9 * np.abs(weighted).max())


# --- circuits without an energy ------------------------------------------------------------------------


def refuses(circuit: Circuit, name: str, inputs: Any = None) -> None:
    culprit = energy_scale(circuit).culprit
    assert culprit is not None
    assert name in culprit
    count = len(circuit.input_nodes)
    with pytest.raises(RuleError, match=f"{name}.*Adjoint"):
        EquilibriumPropagation(1e-9).gradient(circuit, np.ones((1, count)), [[0.0]])


@pytest.mark.parametrize("device", [VCVS, VCCS, CCVS, CCCS], ids=lambda d: d.kind)
def test_controlled_sources_are_named(device: type[MultiPort]) -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "a", device=Resistor(conductance=1e-3), name="r1", trainable=True)
    graph.add_edge("b", "0", device=Resistor(conductance=1e-3), name="r2")
    graph.add_edge("a", "0", device=Resistor(conductance=1e-3), name="r3")
    key = next(iter(device.parameters()))
    graph.add_edge("b", "0", device=device(**{key: 1e-4}, control=("a", "0")), name="culprit")
    refuses(Circuit.from_graph(graph, inputs=["x"], outputs=["b"]), "culprit")


def test_zero_back_gain_is_named() -> None:
    circuit = deep_resistive([2, 2, 1], amplifier=(2.0, 0.0), bias="none", initial=INITIAL)
    refuses(circuit, "a1_0")


def with_skip(gains: tuple[float, float], rows: list[str], columns: list[str]) -> Circuit:
    base = deep_resistive([3, 2, 2, 1], hidden="linear", amplifier=gains, bias="none", initial=INITIAL)
    r, c = [base.node(n) for n in rows], [base.node(n) for n in columns]
    skip = Crossbar("skip", r, c, np.full((len(r), len(c)), 1e-5))
    return Circuit(base.nodes, base.banks, (*base.crossbars, skip), base.input_nodes, base.output_pairs)


SKIPS = [
    (["h2_0", "h2_1"], ["y0"]),  # around the amplifier right before the outputs: used to be missed
    (["h1_0"], ["h2_1"]),
    (["h1_0", "h1_1"], ["y0"]),
    (["a1_0"], ["y0"]),
    (["h2_0"], ["a2_1"]),
]


@pytest.mark.parametrize(("rows", "columns"), SKIPS)
def test_a_skip_across_an_amplifier_is_named_unless_its_gains_agree(rows: list[str], columns: list[str]) -> None:
    # Which crossbar of the loop is named depends on where the search meets the contradiction.
    refuses(with_skip((4.0, 0.25), rows, columns), "bridges an amplifier whose gains A and B differ")
    fine = with_skip((2.0, 2.0), rows, columns)
    assert energy_scale(fine).culprit is None
    inputs, targets = [[1.0, -0.5, 0.3]], [[0.2]]
    beta = 0.1 * suggest_beta(fine, inputs, targets).beta
    ep = EquilibriumPropagation(beta).gradient(fine, inputs, targets)
    adjoint = Adjoint().gradient(fine, inputs, targets)
    for block in adjoint:
        # (beta/safe)^2 = 4e-6 of the products of output errors, which exceed the largest entry's by less than 100
        np.testing.assert_allclose(ep[block], adjoint[block], rtol=0, atol=4e-4 * np.abs(adjoint[block]).max())


def test_a_skip_from_the_inputs_bridges_nothing() -> None:
    assert energy_scale(with_skip((4.0, 0.25), ["x0", "x1"], ["y0"])).culprit is None


def test_a_resistor_across_an_amplifier_is_named() -> None:
    base = deep_resistive([2, 2, 1], amplifier=(4.0, 0.25), bias="none", initial=INITIAL)
    bridge = resistor_bank("r", [[base.node("h1_0"), base.node("a1_0")]], [1e-5], ["shunt"])
    circuit = Circuit(base.nodes, (*base.banks, bridge), base.crossbars, base.input_nodes, base.output_pairs)
    refuses(circuit, "shunt")


def test_outputs_on_both_sides_of_an_amplifier_are_named() -> None:
    graph = nx.MultiDiGraph()
    device: Device = BidirectionalAmplifier(voltage_gain=4.0, current_gain=0.25)
    graph.add_edge("x", "a", device=Resistor(conductance=1e-3), name="r1", trainable=True)
    graph.add_edge("a", "b", device=device, name="amp")
    graph.add_edge("b", "c", device=Resistor(conductance=1e-3), name="r2")
    graph.add_edge("c", "0", device=Resistor(conductance=1e-3), name="r3")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["c", "a"])
    culprit = energy_scale(circuit).culprit
    assert culprit is not None
    assert "output a" in culprit
    with pytest.raises(RuleError, match="output a"):
        EquilibriumPropagation(1e-9).gradient(circuit, [[1.0]], [[0.0, 0.0]])


def test_the_scale_is_kept_and_follows_the_amplifiers() -> None:
    circuit = deep_resistive([2, 2, 1], amplifier=(4.0, 0.25), bias="none", initial=INITIAL)
    assert layer_scales(circuit) == [16.0, 1.0]
    changed = circuit.with_parameters({"amp1.current_gain": np.full(2, 0.5)})
    assert layer_scales(changed) == [8.0, 1.0]
    assert layer_scales(circuit) == [16.0, 1.0]


def test_kirchhoff_holds_at_what_an_amplifier_draws() -> None:
    """The input node carries B times the current that leaves the output node."""
    circuit = deep_resistive([2, 1, 1], hidden="linear", amplifier=(4.0, 0.25), bias="none", initial=INITIAL)
    loaded = Circuit(
        circuit.nodes,
        (*circuit.banks, resistor_bank("load", [[circuit.node("y0"), 0]], [1e-4], ["rl"])),
        circuit.crossbars,
        circuit.input_nodes,
        circuit.output_pairs,
    )
    found = operating_point(loaded, [1.0, 0.5])
    leaving = node_currents(loaded, found.voltages)[0]
    assert leaving[loaded.node("h1_0")] == pytest.approx(-0.25 * leaving[loaded.node("a1_0")], rel=1e-9)


def test_banks_are_not_needed_for_a_scale() -> None:
    circuit = networks.crossbar(np.full((2, 2), 1e-4), 1e-4)
    assert isinstance(circuit.banks[0], Bank)
    assert energy_scale(circuit).culprit is None
