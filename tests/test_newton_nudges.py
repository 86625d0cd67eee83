"""Nudged phases by Newton's method: nudges are elements like others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from newton_tools import EPS, Experiment, Tangent, graph, known_to, layered_circuit, ohms, solve, volt
from strategies import (
    decades,
    experiments,
    volts,
)

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.devices import (
    CurrentSource,
    VoltageSource,
)
from analogep.errors import InputError
from analogep.solve import ConductanceNudge, CurrentNudge, Nudge

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

# --- nudges ------------------------------------------------------------------------------------------------


def with_elements(circuit: Circuit, nodes: tuple[str, ...], *banks: Bank) -> Circuit:
    return Circuit(
        (*circuit.nodes, *nodes),
        (*circuit.banks, *banks),
        circuit.crossbars,
        circuit.input_nodes,
        circuit.output_pairs,
        transconductances=circuit.transconductances,
    )


@given(experiment=experiments(), beta=decades(1e-7, 1e-2), target=volts())
def test_a_conductance_nudge_is_a_resistor_to_a_source(experiment: Experiment, beta: float, target: float) -> None:
    circuit, inputs = experiment
    pairs = circuit.output_pairs
    count, first = len(pairs), len(circuit.nodes)
    fresh = np.arange(first, first + count)
    names = tuple(f"target{k}" for k in range(count))
    explicit = with_elements(
        circuit,
        names,
        resistor_bank("nudge", np.stack([pairs[:, 0], fresh], axis=1), np.full(count, beta), names),
        Bank(
            "goal",
            VoltageSource,
            np.stack([fresh, pairs[:, 1]], axis=1),
            {"voltage": np.full(count, target)},
            tuple(f"goal{k}" for k in range(count)),
        ),
    )
    nudge = ConductanceNudge(beta, np.full((len(inputs), count), target))
    nudged, expected = solve(circuit, inputs, nudge), solve(explicit, inputs)
    doubt = known_to(nudged, inputs, nudge) + known_to(expected, inputs)[:, :first]
    assert np.all(np.abs(nudged.voltages - expected.voltages[:, :first]) <= doubt)


@given(experiment=experiments(), current=volts(1e-4))
def test_a_current_nudge_is_a_current_source(experiment: Experiment, current: float) -> None:
    circuit, inputs = experiment
    pairs = circuit.output_pairs
    count = len(pairs)
    names = tuple(f"nudge{k}" for k in range(count))
    explicit = with_elements(
        circuit, (), Bank("nudge", CurrentSource, pairs, {"amplitude": np.full(count, current)}, names)
    )
    nudge = CurrentNudge(np.full((len(inputs), count), current))
    nudged, expected = solve(circuit, inputs, nudge), solve(explicit, inputs)
    doubt = known_to(nudged, inputs, nudge) + known_to(expected, inputs)
    assert np.all(np.abs(nudged.voltages - expected.voltages) <= doubt)


@pytest.mark.parametrize("beta", [1e-3, 1e-5, -1e-5, -1e-3, -2.5e-3])
def test_a_nudge_by_hand(beta: float) -> None:
    # 1 mS from 1 V, 2 mS to ground, β to 0.8 V: (1e-3 + 0.8 β)/(3e-3 + β). A negative β repels.
    circuit = graph(ohms("in", "y", 1e3), ohms("y", "0", 500.0), inputs=("in",), outputs=("y",))
    nudge = ConductanceNudge(beta, np.array([[0.8]]))
    expected = (1e-3 + 0.8 * beta) / (3e-3 + beta)
    assert volt(solve(circuit, [1.0], nudge), "y") == pytest.approx(expected, rel=64 * EPS * 3e-3 / (3e-3 + beta))


def test_a_nudge_of_a_pair_by_hand() -> None:
    # Both nodes at 1 kΩ to ground, +1 V and -1 V over 1 kΩ: free difference 1 V. β pulls it to y with the
    # conductance of the pair, 2 mS · 2 mS / 4 mS = 1 mS: (1e-3 · 1 + β y)/(1e-3 + β).
    circuit = graph(
        ohms("in1", "p", 1e3),
        ohms("p", "0", 1e3),
        ohms("in2", "m", 1e3),
        ohms("m", "0", 1e3),
        inputs=("in1", "in2"),
        outputs=(("p", "m"),),
    )
    for beta in (5e-4, -5e-4):
        nudge = ConductanceNudge(beta, np.array([[3.0]]))
        solution = solve(circuit, [1.0, -1.0], nudge)
        expected = (1e-3 + 3.0 * beta) / (1e-3 + beta)
        assert solution.outputs[0, 0] == pytest.approx(expected, rel=64 * EPS)
        assert volt(solution, "p") == pytest.approx(-volt(solution, "m"), rel=64 * EPS)


def test_samples_have_their_own_targets() -> None:
    circuit = graph(ohms("in", "y", 1e3), inputs=("in",), outputs=("y",))
    targets = np.array([[0.0], [1.0], [2.0]])
    solution = solve(circuit, [[1.0], [1.0], [1.0]], ConductanceNudge(1e-3, targets))
    assert solution.outputs == pytest.approx((1.0 + targets) / 2, rel=64 * EPS)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_nudged_derivative_is_that_of_the_tangent_with_an_error_of_second_order(frozen: bool) -> None:
    # (v(β) - v(-β))/2β → -J⁻¹ ∂i/∂β as β → 0, with an error of O(β²): halving β quarters it.
    rng = np.random.default_rng(7)
    circuit = layered_circuit(rng)
    inputs, target = rng.uniform(-1.0, 1.0, (3, 4)), rng.uniform(-0.2, 0.2, (3, 2))
    free = solve(circuit, inputs)
    per_beta = free.outputs - target
    tangent = Tangent(free, inputs)
    rhs = np.zeros_like(tangent.x)
    pairs = circuit.output_pairs
    for k, (plus, minus) in enumerate(pairs):
        for node, sign in ((plus, 1.0), (minus, -1.0)):
            if (unknown := tangent.model.plan.unknown[node]) >= 0:
                rhs[:, unknown] += sign * per_beta[:, k]
    slope = tangent.model.t_free * np.linalg.solve(tangent.jacobian, -rhs[..., None])[:, tangent.model.gather, 0]

    def difference(beta: float) -> np.ndarray:
        phases = [
            solve(
                circuit,
                inputs,
                CurrentNudge(s * beta * per_beta) if frozen else ConductanceNudge(s * beta, target),
            )
            for s in (1.0, -1.0)
        ]
        return (phases[0].voltages - phases[1].voltages) / (2 * beta)

    betas = [2e-6, 1e-6, 5e-7]
    errors = [np.abs(difference(beta) - slope).max() for beta in betas]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx([2.0, 2.0], abs=0.1)


@pytest.mark.parametrize(
    ("nudge", "message"),
    [
        (ConductanceNudge(1e-3, np.zeros((2, 1))), r"does not fit \(batch, outputs\) = \(1, 2\)"),
        (ConductanceNudge(1e-3, np.zeros((1, 3))), r"does not fit"),
        (CurrentNudge(np.zeros((3, 2))), r"does not fit"),
    ],
)
def test_a_nudge_that_does_not_fit_is_refused(nudge: Nudge, message: str) -> None:
    circuit = graph(ohms("a", "b", 1e3), ohms("b", "0", 1e3), inputs=("a",), outputs=("b", ("b", "a")))
    with pytest.raises(InputError, match=message):
        solve(circuit, [1.0], nudge)


def test_a_nudge_without_outputs_is_refused() -> None:
    with pytest.raises(InputError, match="a nudge needs outputs"):
        solve(graph(ohms("a", "0", 1e3)), None, ConductanceNudge(1e-3, np.zeros((1, 1))))
