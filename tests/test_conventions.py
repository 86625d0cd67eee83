"""Signs and indices, all in one place, each on a circuit that a reader can work out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.devices import (
    REGISTRY,
    BidirectionalAmplifier,
    Capacitor,
    CurrentSource,
    Diode,
    IdealDiode,
    OnePort,
    Resistor,
    VoltageSource,
)
from analogep.learning import SGD, Adjoint, EquilibriumPropagation, SquaredError
from analogep.networks import crossbar, deep_resistive, uniform
from analogep.solve import ConductanceNudge, CurrentNudge, operating_point, transient
from analogep.solve.equations.system import node_currents


def circuit_of(*banks: Bank, nodes: int = 2, output: int = 1, inputs: tuple[int, ...] = ()) -> Circuit:
    names = ("0", *(f"n{k}" for k in range(1, nodes + 1)))
    return Circuit(names, banks, (), np.array(inputs, np.int64), np.array([[output, 0]]))


def single(name: str, device: Any, pins: list[int]) -> Bank:
    values = {k: np.array([v]) for k, v in device.values.items()}
    return Bank(name, type(device), np.array([pins]), values, (f"{name}1",))


# --- elements ------------------------------------------------------------------------------------------


def test_ground_is_node_zero() -> None:
    circuit = crossbar(np.ones((1, 1)))
    assert circuit.nodes[0] == "0"
    assert operating_point(circuit, [1.0]).voltages[0, 0] == 0.0


@pytest.mark.parametrize("device", [d for d in REGISTRY.values() if issubclass(d, OnePort)], ids=lambda d: d.kind)
def test_current_is_positive_from_the_first_pin_to_the_second(device: type[OnePort]) -> None:
    """So that a positive voltage drives a positive current and turns power into heat; sources aside."""
    if device in (CurrentSource, Capacitor):
        return
    p = {k: np.array([1.0 if info.default is None else info.default]) for k, info in device.parameters().items()}
    current, slope = device.current(np.array([0.5]), p)
    assert current[0] > 0.0
    assert slope[0] > 0.0


def test_bank_current_and_node_current_have_the_same_sign() -> None:
    """1 V on n1, 1 mS from n1 to n2, n2 grounded by 1 mS: 0.5 mA through either, into n2."""
    circuit = circuit_of(resistor_bank("r", [[1, 2], [2, 0]], [1e-3, 1e-3], ["a", "b"]), inputs=(1,), output=2)
    found = operating_point(circuit, [1.0])
    np.testing.assert_allclose(found.bank_currents("r"), [[5e-4, 5e-4]], rtol=1e-12)
    leaving = node_currents(circuit, found.voltages)[0]
    np.testing.assert_allclose(leaving, [-5e-4, 5e-4, 0.0], atol=1e-15)
    assert found.power[0] == pytest.approx(5e-4, rel=1e-12)


def test_a_current_source_pushes_from_its_first_pin_to_its_second() -> None:
    for pins, expected in (([0, 1], 0.2), ([1, 0], -0.2)):
        circuit = circuit_of(
            single("i", CurrentSource(amplitude=2e-4), pins), resistor_bank("r", [[1, 0]], [1e-3], ["r1"]), nodes=1
        )
        assert operating_point(circuit).outputs[0, 0] == pytest.approx(expected, rel=1e-12)


def test_a_voltage_source_lifts_its_first_pin_above_its_second() -> None:
    circuit = circuit_of(
        single("v", VoltageSource(voltage=0.7), [1, 0]), resistor_bank("r", [[1, 0]], [1e-3], ["r1"]), nodes=1
    )
    assert operating_point(circuit).outputs[0, 0] == 0.7


@pytest.mark.parametrize("device", [Diode(), IdealDiode()], ids=lambda d: d.kind)
def test_a_diode_conducts_from_anode_to_cathode(device: Any) -> None:
    """1 mA pushed into n1; forward to ground it stays below a volt, reversed it all goes through 1 uS."""
    push = single("i", CurrentSource(amplitude=1e-3), [0, 1])
    leak = resistor_bank("r", [[1, 0]], [1e-6], ["r1"])
    forward = operating_point(circuit_of(push, leak, single("d", device, [1, 0]), nodes=1)).outputs[0, 0]
    reverse = operating_point(circuit_of(push, leak, single("d", device, [0, 1]), nodes=1)).outputs[0, 0]
    assert 0.0 <= forward < 1.0
    assert reverse == pytest.approx(1000.0, rel=1e-6)


def test_an_amplifier_goes_from_its_first_pin_to_its_second() -> None:
    """v(out) = A v(in); the input carries B times what the output delivers."""
    circuit = circuit_of(
        resistor_bank("r", [[1, 2], [3, 0]], [1e-3, 1e-3], ["source", "load"]),
        single("a", BidirectionalAmplifier(voltage_gain=4.0, current_gain=0.25), [2, 3]),
        nodes=3,
        inputs=(1,),
        output=3,
    )
    found = operating_point(circuit, [1.0])
    v_in, v_out = found.voltages[0, 2], found.voltages[0, 3]
    assert v_out == pytest.approx(4.0 * v_in, rel=1e-12)
    assert 1e-3 * (1.0 - v_in) == pytest.approx(0.25 * 1e-3 * v_out, rel=1e-12)


def test_a_capacitor_charges_towards_what_drives_it() -> None:
    circuit = circuit_of(
        resistor_bank("r", [[1, 2]], [1e-3], ["r1"]),
        single("c", Capacitor(value=1e-9), [2, 0]),
        inputs=(1,),
        output=2,
    )
    rising = transient(circuit, [1.0]).voltages[:, 0, 2]
    assert (np.diff(rising) >= -1.01e-4).all()  # the tolerance of one step, 1e-6 V + 1e-4 of it
    assert rising[-1] == pytest.approx(1.0, abs=1e-9)


# --- ports and crossbars -------------------------------------------------------------------------------


def test_crossbar_entry_rc_lies_between_row_r_and_column_c() -> None:
    g = np.zeros((2, 3))
    g[1, 2] = 1e-3
    circuit = crossbar(g, 1e-3)
    outputs = operating_point(circuit, [1.0, 3.0]).outputs[0]
    np.testing.assert_allclose(outputs, [0.0, 0.0, 1.5], atol=1e-12)
    assert circuit.crossbars[0].element_name(1, 2) == "W1_1_2"


def test_gradient_entry_rc_belongs_to_conductance_rc() -> None:
    """Only column 2 misses its target, and only row 1 has a voltage that differs from it."""
    g = np.full((2, 3), 1e-3)
    circuit = crossbar(g, 1e-3)
    free = operating_point(circuit, [0.5, 1.0])  # every output is (0.5 + 1)/3 = 0.5 V: row 0 drops nothing
    np.testing.assert_allclose(free.outputs, 0.5, rtol=1e-12)
    gradient = Adjoint().gradient(circuit, [0.5, 1.0], [[0.5, 0.5, 0.2]])["W1.conductance"]
    # (v - y)(x - v)/G = 0.3 · 0.5 / 3 mS
    np.testing.assert_allclose(gradient, [[0, 0, 0], [0, 0, 0.3 * 0.5 / 3e-3]], atol=1e-9)


def test_an_output_pair_is_plus_minus_minus() -> None:
    base = crossbar(np.diag([1e-3, 1e-3]), 1e-3)
    pair = np.array([[base.node("y0"), base.node("y1")]])
    circuit = Circuit(base.nodes, base.banks, base.crossbars, base.input_nodes, pair)
    found = operating_point(circuit, [1.0, 0.4])
    assert found.outputs[0, 0] == pytest.approx(0.5 - 0.2, rel=1e-12)
    assert circuit.outputs == (("y0", "y1"),)


def test_inputs_come_in_the_order_of_their_names() -> None:
    circuit = crossbar(np.array([[1e-3], [3e-3]]), 0.0)
    by_name = operating_point(circuit, {"x1": 2.0, "x0": 1.0})
    by_position = operating_point(circuit, [1.0, 2.0])
    np.testing.assert_array_equal(by_name.voltages, by_position.voltages)


def test_batches_come_first() -> None:
    circuit = crossbar(np.full((2, 3), 1e-3), 1e-3)
    found = operating_point(circuit, np.zeros((5, 2)))
    assert found.voltages.shape == (5, len(circuit.nodes))
    assert found.outputs.shape == (5, 3)
    assert found.converged.shape == found.residual.shape == found.iterations.shape == (5,)


# --- nudges --------------------------------------------------------------------------------------------


def test_a_positive_nudge_current_leaves_the_circuit_at_plus() -> None:
    """CurrentNudge(I) draws I from v+: the output of G = 2 mS falls by I/G."""
    circuit = crossbar(np.array([[1e-3]]), 1e-3)
    found = operating_point(circuit, [1.0], CurrentNudge(np.array([[2e-4]])))
    assert found.outputs[0, 0] == pytest.approx(0.5 - 0.1, rel=1e-12)


def test_a_nudged_pair_gets_opposite_currents() -> None:
    base = crossbar(np.diag([1e-3, 1e-3]), 1e-3)
    pair = np.array([[base.node("y0"), base.node("y1")]])
    circuit = Circuit(base.nodes, base.banks, base.crossbars, base.input_nodes, pair)
    for method in ("newton", "layered"):
        found = operating_point(circuit, [1.0, 1.0], CurrentNudge(np.array([[2e-4]])), method=method)
        assert found.voltage("y0")[0] == pytest.approx(0.4, rel=1e-9)
        assert found.voltage("y1")[0] == pytest.approx(0.6, rel=1e-9)


@pytest.mark.parametrize("method", ["newton", "layered", "transient"])
@pytest.mark.parametrize("form", ["error", "frozen"])
@pytest.mark.parametrize("paired", [False, True])
def test_positive_beta_pulls_the_output_towards_its_target(method: Any, form: Any, paired: bool) -> None:
    circuit = deep_resistive([2, 3, 2], paired_outputs=paired, initial=uniform(1e-5, 1e-3))
    inputs, targets = np.array([[1.0, -0.5]]), np.array([[0.7, -0.7]])
    free = operating_point(circuit, inputs, method=method).outputs
    cost = SquaredError()
    for beta in (1e-6, -1e-6):
        nudged = operating_point(circuit, inputs, cost.nudge(beta, free, targets, form), method=method).outputs
        closer = np.abs(nudged - targets) < np.abs(free - targets)
        assert (closer == (beta > 0)).all()


def test_an_infinite_pull_reaches_the_target() -> None:
    circuit = crossbar(np.array([[1e-3]]), 1e-3)
    found = operating_point(circuit, [1.0], ConductanceNudge(1e6, np.array([[0.1]])))
    assert found.outputs[0, 0] == pytest.approx(0.1, abs=1e-8)


# --- descent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amplifier", [None, (4.0, 0.25)])
@pytest.mark.parametrize("rule", [EquilibriumPropagation(1e-7), Adjoint()], ids=lambda r: r.name)
def test_a_gradient_step_lowers_the_cost_by_the_predicted_amount(rule: Any, amplifier: Any) -> None:
    """C(theta - eta g) = C - eta |g|^2 + O(eta^2): halving eta halves the distance from the prediction twice."""
    circuit = deep_resistive(
        [3, 4, 2],
        hidden="pair",
        rails=(-0.1, 0.1),
        amplifier=amplifier,
        bias="current",
        paired_outputs=True,
        initial=uniform(1e-4, 1e-3),
    )
    rng = np.random.default_rng(0)
    inputs, targets = rng.uniform(-1, 1, (4, 3)), rng.uniform(-0.5, 0.5, (4, 2))
    gradient = rule.gradient(circuit, inputs, targets)
    before = float(gradient.cost.mean())
    square = sum(float((g**2).sum()) for g in gradient.values())
    gaps = []
    for share in (1e-2, 5e-3):
        eta = share * before / square  # would lower the cost by that share, were it linear
        new, _ = SGD(dict.fromkeys(gradient, eta)).step(circuit.parameters, gradient)
        outputs = operating_point(circuit.with_parameters(new), inputs).outputs
        after = float(SquaredError().value(outputs, targets).mean())
        assert after < before
        gaps.append(abs(after - (before - eta * square)) / (eta * square))
    assert gaps[0] < 0.1
    assert gaps[1] < 0.6 * gaps[0] + 0.01  # 0.5 in the limit; EP itself is good to a percent


def test_a_bias_gradient_is_per_ampere_into_the_node() -> None:
    """o = (x g + I)/G, C = (o - y)^2/2: dC/dI = (o - y)/G."""
    circuit = deep_resistive([1, 1], bias="current", initial={"W1": np.array([[1e-3]])})
    for rule in (EquilibriumPropagation(1e-6), Adjoint()):
        gradient = rule.gradient(circuit, [1.0], [[0.4]])
        assert gradient["b1.amplitude"][0] == pytest.approx(0.6 / 1e-3, rel=1e-5)


def test_one_sided_variants_start_at_zero() -> None:
    circuit = crossbar(np.array([[1e-3]]), 1e-3)
    for variant, betas in (("positive", (0.0, 1e-6)), ("negative", (-1e-6, 0.0)), ("centered", (-1e-6, 1e-6))):
        found = EquilibriumPropagation(1e-6, variant).gradient(circuit, [1.0], [[0.1]])  # type: ignore[arg-type]
        assert found.info["betas"] == betas
        assert len(found.info["phases"]) == 2


def test_a_crossbar_is_its_resistors() -> None:
    """Entry by entry: the same voltages and the same power."""
    g = np.array([[1e-3, 2e-3], [5e-4, 1e-4]])
    whole = crossbar(g, 1e-4)
    pins = [[1 + r, 3 + c] for r in range(2) for c in range(2)]
    bank = resistor_bank("r", pins, g.ravel(), [f"r{k}" for k in range(4)])
    single_ = Circuit(whole.nodes, (*whole.banks, bank), (), whole.input_nodes, whole.output_pairs)
    a, b = operating_point(whole, [1.0, -2.0]), operating_point(single_, [1.0, -2.0])
    np.testing.assert_allclose(a.voltages, b.voltages, atol=1e-12)
    assert a.power[0] == pytest.approx(b.power[0], rel=1e-12)
    assert isinstance(whole.crossbars[0], Crossbar)
    assert bank.device is Resistor
