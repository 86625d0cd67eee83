"""Couplings by transconductance: by hand, against numpy, on all routes, in SPICE, and as something that learns."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import decades, volts

import analogep as aep
from analogep.circuit import Bank, Circuit, TransconductanceCrossbar, resistor_bank
from analogep.devices import IdealDiode, MutualTransconductance, TanhNeuron
from analogep.errors import CircuitError, RuleError
from analogep.learning import Adjoint, EquilibriumPropagation, FiniteDifference, suggest_beta
from analogep.solve import ConductanceNudge
from analogep.solve.equations.system import node_currents


def coupled(values: dict[str, Any], *, leak: float = 1e-3, **options: Any) -> Circuit:
    """Input x (1 V = 1 V), node h with a leak, node y with a leak; x to h to y by transconductances."""
    return Circuit(
        ("0", "x", "h", "y"),
        (resistor_bank("leak", [[2, 0], [3, 0]], [leak, leak], ["Rh", "Ry"]),),
        input_nodes=[1],
        output_pairs=[[3, 0]],
        transconductances=(
            TransconductanceCrossbar("W1", [1], [2], {"forward": [[2e-4]]}),
            TransconductanceCrossbar("W2", [2], [3], values, **options),
        ),
    )


# --- by hand -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["newton", "layered", "transient"])
def test_feedforward_feedback_and_symmetry_by_hand(method: Any) -> None:
    # Forward only: h = 0.2 x, y = 0.5 h. With a way back b (of a leak g): h (g² − f b) = g i, y = f h / g.
    for values, f, b in (
        ({"forward": [[5e-4]]}, 5e-4, 0.0),
        ({"transconductance": [[5e-4]]}, 5e-4, 5e-4),
        ({"forward": [[5e-4]], "backward": [[-4e-4]]}, 5e-4, -4e-4),
    ):
        found = aep.operating_point(coupled(values), [[1.0], [-3.0]], method=method)
        h = 1e-3 * 2e-4 * np.array([1.0, -3.0]) / (1e-6 - f * b)
        tolerance = 1e-12 if method != "transient" else 1e-8
        np.testing.assert_allclose(found.voltage("h"), h, rtol=tolerance)
        np.testing.assert_allclose(found.voltage("y"), f * h / 1e-3, rtol=tolerance)


@given(drive=st.floats(-8.0, 8.0), limit=decades(0.1, 10.0), leak=decades(1e-6, 1e-2))
def test_a_saturating_neuron_gives_the_hyperbolic_tangent_of_its_current(
    drive: float, limit: float, leak: float
) -> None:
    pins = np.array([[2, 0]])
    neuron = Bank("n", TanhNeuron, pins, {"conductance": [leak], "saturation_voltage": [limit]}, ("n1",))
    w = TransconductanceCrossbar("W", [1], [2], {"forward": [[leak * limit]]})
    circuit = Circuit(("0", "x", "y"), (neuron,), (), [1], [[2, 0]], transconductances=(w,))
    for method in ("newton", "layered"):
        found = aep.operating_point(circuit, [drive], method=method)
        # v = a tanh(I / (g a)); of the gap a − |v| at 8, 2e-7 a, rounding takes 1e-9 at most
        assert found.outputs[0, 0] == pytest.approx(limit * np.tanh(drive), rel=1e-12, abs=1e-300)
        assert limit - abs(found.outputs[0, 0]) == pytest.approx(limit * (1 - np.tanh(abs(drive))), rel=1e-6)


@pytest.mark.parametrize("drive", [30.0, -1e3])
def test_a_neuron_driven_beyond_its_edge_stays_at_its_limit(drive: float) -> None:
    values = {"conductance": [1e-3], "saturation_voltage": [1.0]}
    neuron = Bank("n", TanhNeuron, np.array([[2, 0]]), values, ("n1",))
    w = TransconductanceCrossbar("W", [1], [2], {"forward": [[1e-3]]})
    circuit = Circuit(("0", "x", "y"), (neuron,), (), [1], [[2, 0]], transconductances=(w,))
    for method in ("newton", "layered"):
        out = aep.operating_point(circuit, [drive], method=method).outputs[0, 0]
        assert out == pytest.approx(np.sign(drive), abs=1e-5)


def test_a_feedforward_network_is_a_chain_of_matrix_products() -> None:
    rng = np.random.default_rng(0)
    sizes = (5, 7, 6, 3)
    names, starts = ["0"], []
    for k, n in enumerate(sizes):
        starts.append(np.arange(len(names), len(names) + n))
        names += [f"v{k}_{i}" for i in range(n)]
    neurons = [
        Bank(f"n{k}", TanhNeuron, np.stack([at, 0 * at], 1), {"conductance": np.full(len(at), 1e-3),
             "saturation_voltage": np.ones(len(at))}, tuple(f"n{k}_{i}" for i in range(len(at))))
        for k, at in enumerate(starts[1:])
    ]  # fmt: skip
    matrices = [rng.normal(0, 1e-3, (a, b)) for a, b in pairwise(sizes)]
    couplings = tuple(
        TransconductanceCrossbar(f"W{k}", starts[k], starts[k + 1], {"forward": w}) for k, w in enumerate(matrices)
    )
    outputs = np.stack([starts[-1], 0 * starts[-1]], 1)
    circuit = Circuit(tuple(names), tuple(neurons), (), starts[0], outputs, transconductances=couplings)
    x = rng.normal(size=(4, 5))
    expected = x
    for w in matrices:
        expected = np.tanh(expected @ w / 1e-3)
    for method in ("newton", "layered"):
        found = aep.operating_point(circuit, x, method=method)
        np.testing.assert_allclose(found.outputs, expected, atol=1e-12)


# --- laws --------------------------------------------------------------------------------------------------


@st.composite
def layered_networks(draw: Any, *, symmetric: bool) -> tuple[Circuit, np.ndarray]:
    """Networks of transconductances between clamped or saturating neurons, leaks outweighing the couplings."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=3, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names, starts = ["0", "rail"], []
    for k, n in enumerate(sizes):
        starts.append(np.arange(len(names), len(names) + n))
        names += [f"v{k}_{i}" for i in range(n)]
    free = np.concatenate(starts[1:])
    total = np.zeros(len(names))
    couplings = []
    for k in range(len(sizes) - 1):
        w = rng.normal(0, 1e-4, (sizes[k], sizes[k + 1]))
        values = {"transconductance": w} if symmetric else {"forward": w, "backward": rng.normal(0, 1e-4, w.shape)}
        couplings.append(TransconductanceCrossbar(f"W{k}", starts[k], starts[k + 1], values))
        for value in values.values():
            total[starts[k]] += np.abs(value).sum(axis=1)
            total[starts[k + 1]] += np.abs(value).sum(axis=0)
    leaks = 1.1 * total[free] + 1e-6
    pins = np.stack([free, 0 * free], 1)
    banks = [resistor_bank("leak", pins, leaks, [f"R{i}" for i in free], trainable=True)]
    tanh = draw(st.booleans())
    if tanh:
        law = {"conductance": leaks, "saturation_voltage": np.full(len(free), 0.5)}
        banks.append(
            Bank("neuron", TanhNeuron, pins, law, tuple(f"N{i}" for i in free), frozenset({"conductance"}))
        )
    else:
        at = {"threshold": np.zeros(len(free))}
        banks.append(Bank("low", IdealDiode, pins[:, ::-1], at, tuple(f"L{i}" for i in free)))
    outputs = np.stack([starts[-1], 0 * starts[-1]], 1)
    rail = resistor_bank("rail", [[1, 0]], [1.0], ["Rrail"])
    circuit = Circuit(tuple(names), (*banks, rail), (), starts[0], outputs, transconductances=tuple(couplings))
    return circuit, rng.normal(0, 2.0, (3, sizes[0]))


@given(case=st.booleans().flatmap(lambda s: layered_networks(symmetric=s)))
def test_block_steps_find_what_newton_finds(case: tuple[Circuit, np.ndarray]) -> None:
    circuit, x = case
    layered = aep.operating_point(circuit, x, method="layered")
    newton = aep.operating_point(circuit, x, method="newton")
    np.testing.assert_allclose(layered.voltages, newton.voltages, atol=1e-11)
    nudge = ConductanceNudge(1e-6, np.zeros((3, len(circuit.output_pairs))))
    both = [aep.operating_point(circuit, x, nudge, method=m).voltages for m in ("layered", "newton")]
    np.testing.assert_allclose(*both, atol=1e-11)


def test_block_steps_that_cycle_leave_newton_at_the_voltages_they_were_given() -> None:
    """A past bug: Newton's method went on from the cycle, to another of several operating points."""
    rng = np.random.default_rng(12)
    options = {"activation": "tanh", "coupling": "both", "initial": aep.networks.glorot(1e-4, 2.5)}
    circuit = aep.networks.hopfield([2, 3, 3, 1], rng=rng, **options)
    inputs = np.random.default_rng(12).uniform(-1.0, 1.0, (3, 2))
    at = aep.operating_point(circuit, inputs, method="newton")
    moved = circuit.with_parameters({key: value * (1.0 + 1e-6) for key, value in circuit.parameters.items()})
    again = aep.operating_point(moved, inputs, v0=at)
    assert again.engine == "layered+newton"
    np.testing.assert_allclose(again.voltages, at.voltages, rtol=0, atol=1e-4)


@given(case=layered_networks(symmetric=True))
def test_the_currents_of_a_symmetric_coupling_are_the_slope_of_its_energy(
    case: tuple[Circuit, np.ndarray],
) -> None:
    circuit, _ = case
    rng = np.random.default_rng(1)
    v = rng.normal(0, 0.2, (1, len(circuit.nodes)))
    v[:, 0] = 0.0
    alone = Circuit(
        circuit.nodes, circuit.banks[-1:] + circuit.banks[:1], (), circuit.input_nodes,
        transconductances=circuit.transconductances,
    )  # fmt: skip

    def energy(u: np.ndarray) -> float:
        leaks = sum(
            0.5 * float(b.values["conductance"] @ (u[0, b.pins[:, 0]] - u[0, b.pins[:, 1]]) ** 2)
            for b in alone.banks
        )
        return leaks - sum(float(u[0, t.rows] @ t.forward @ u[0, t.columns]) for t in alone.transconductances)

    currents = node_currents(alone, v)
    for n in range(1, len(circuit.nodes)):
        step = np.zeros_like(v)
        step[0, n] = 1e-3
        slope = (energy(v + step) - energy(v - step)) / 2e-3  # exact for a quadratic
        assert currents[0, n] == pytest.approx(slope, abs=1e-15 + 1e-9 * np.abs(currents).max())


@given(case=layered_networks(symmetric=True))
@settings(max_examples=20)
def test_equilibrium_propagation_adjoint_and_finite_differences_agree(case: tuple[Circuit, np.ndarray]) -> None:
    circuit, x = case
    if any(b.device is IdealDiode for b in circuit.banks):
        return  # kinks: the two oracles may stand on different sides
    y = np.full((3, len(circuit.output_pairs)), 0.1)
    exact = Adjoint().gradient(circuit, x, y)
    estimate = EquilibriumPropagation(suggest_beta(circuit, x, y).beta).gradient(circuit, x, y)
    differences = FiniteDifference().gradient(circuit, x, y)
    for block, value in exact.items():
        size = np.abs(value).max()
        np.testing.assert_allclose(differences[block], value, atol=1e-6 * size + 1e-12)
        np.testing.assert_allclose(estimate[block], value, atol=2e-3 * size + 1e-9)


def test_a_coupling_whose_ways_differ_has_no_energy_and_the_adjoint_has_its_gradient() -> None:
    circuit = coupled({"forward": [[5e-4]], "backward": [[-4e-4]]})
    with pytest.raises(RuleError, match="W2 has other transconductances back than forth"):
        EquilibriumPropagation(1e-6).gradient(circuit, [[1.0]], [[0.3]])
    exact = Adjoint().gradient(circuit, [[1.0]], [[0.3]])
    assert set(exact) == {"W1.forward", "W2.forward", "W2.backward"}
    for block, value in FiniteDifference().gradient(circuit, [[1.0]], [[0.3]]).items():
        np.testing.assert_allclose(value, exact[block], rtol=1e-6)


def test_a_mutual_transconductance_is_one_cell_of_a_symmetric_coupling() -> None:
    table = coupled({"transconductance": [[5e-4]]})
    pins = np.array([[3, 0, 2, 0]])  # a current W v(h) into y is −g
    single = Bank("m", MutualTransconductance, pins, {"transconductance": [-5e-4]}, ("m1",), {"transconductance"})
    circuit = Circuit(
        table.nodes, (*table.banks, single), (), [1], [[3, 0]], transconductances=table.transconductances[:1]
    )
    solved = [aep.operating_point(c, [0.7], method="newton").voltages for c in (circuit, table)]
    np.testing.assert_allclose(*solved, rtol=1e-14)
    with_bank = EquilibriumPropagation(1e-7).gradient(circuit.with_parameters({}), [[0.7]], [[0.2]])
    assert with_bank["m.transconductance"][0] == pytest.approx(
        -Adjoint().gradient(table, [[0.7]], [[0.2]])["W2.transconductance"][0, 0], rel=1e-6
    )


# --- SPICE and graphs --------------------------------------------------------------------------------------

KINDS = ({"transconductance": [[5e-4]]}, {"forward": [[5e-4]]}, {"forward": [[0.0]], "backward": [[1e-4]]})


@pytest.mark.parametrize("values", KINDS, ids=["symmetric", "forward", "both"])
def test_netlists_and_graphs_give_the_same_circuit_back(values: dict[str, Any]) -> None:
    circuit = coupled(values, trainable=False)
    for hierarchy in ("flat", "layers"):
        text = aep.spice.to_netlist(circuit, [0.3], hierarchy=hierarchy)
        assert aep.spice.from_netlist(text) == circuit
    assert Circuit.from_graph(circuit.to_graph()) == circuit


@pytest.mark.ngspice
@pytest.mark.parametrize("values", KINDS, ids=["symmetric", "forward", "both"])
@pytest.mark.parametrize("fold", [False, True])
def test_ngspice_finds_the_same_voltages(values: dict[str, Any], fold: bool) -> None:
    circuit = coupled(values)
    report = aep.spice.compare(circuit, [[0.3], [-1.2]], fold_inputs=fold)
    assert report.passed
    assert report.max_difference <= 1e-12


@pytest.mark.ngspice
@given(case=layered_networks(symmetric=False))
@settings(max_examples=10)
def test_ngspice_agrees_on_random_networks(case: tuple[Circuit, np.ndarray]) -> None:
    circuit, x = case
    assert aep.spice.compare(circuit, x, tolerance=1e-9).passed


# --- faults ------------------------------------------------------------------------------------------------


def test_all_faults_of_a_coupling_are_named() -> None:
    with pytest.raises(CircuitError) as caught:
        coupled({"backward": [[1e-4]], "forward": [[1e-4, 2e-4]]})
    assert "crossbar W2: forward has shape (1, 2), expected (1, 1)" in str(caught.value)
    with pytest.raises(
        CircuitError, match=r"matrices \['backward'\]; give transconductance; or forward; or backward, forward"
    ):
        coupled({"backward": [[1e-4]]})
    with pytest.raises(CircuitError, match=r"W2_0_0: forward = nan S must be finite"):
        coupled({"forward": [[np.nan]]})
    circuit = coupled({"forward": [[1e-4]]})
    with pytest.raises(CircuitError, match=r"W2_0_0: forward = inf S must be finite"):
        circuit.with_parameters({"W2.forward": [[np.inf]]})


@given(v=volts(), w=decades(1e-6, 1e-3))
def test_a_voltage_that_nothing_but_transconductances_touch_has_no_path(v: float, w: float) -> None:
    coupling = TransconductanceCrossbar("W", [1], [2], {"forward": [[w]]})
    with pytest.raises(CircuitError, match=r"node y.* no conducting path"):
        Circuit(("0", "x", "y"), (), (), [1], [[2, 0]], transconductances=(coupling,))
