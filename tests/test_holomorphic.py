"""Holomorphic equilibrium propagation: against the adjoint and the centered rule, and the order of its error."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import RECIPROCAL_CELLS, experiments
from test_gradients import CASES, batch_for, relative, smooth_network
from test_nonreciprocal import CASES as NON_RECIPROCAL

from analogep.circuit import Circuit
from analogep.devices import IdealDiode, SinhResistor
from analogep.errors import ConvergenceError, InputError, RuleError
from analogep.learning import (
    Adjoint,
    EquilibriumPropagation,
    HolomorphicEP,
    suggest_beta,
)
from analogep.networks import crossbar, deep_resistive
from analogep.solve import ConductanceNudge, NewtonOptions, operating_point
from analogep.solve.response.adjoint import adjoint_voltages
from analogep.solve.response.complex_nudge import continued_voltages

Experiment = tuple[Circuit, np.ndarray]
ANALYTIC_CELLS = tuple(cell for cell in RECIPROCAL_CELLS if cell != "ideal_diode")

every_network = pytest.mark.parametrize(("amplifier", "bias", "paired"), CASES)


def linear_bit_line() -> tuple[Circuit, np.ndarray, float]:
    g, load = np.array([[1e-4], [3e-4]]), 2e-4
    return crossbar(g, load), g, load


@given(phase=st.floats(0.0, 2.0 * np.pi), fraction=st.floats(0.01, 0.9))
def test_complex_equilibrium_of_a_linear_circuit_by_hand(phase: float, fraction: float) -> None:
    """v(β) = (Σ g x + β y)/(G + β), β complex: no conjugate anywhere."""
    circuit, g, load = linear_bit_line()
    x, y = np.array([[1.0, -0.5]]), 0.3
    total = g.sum() + load
    beta = complex(fraction * total * np.exp(1j * phase))
    free = operating_point(circuit, x)
    v = continued_voltages(free, x, ConductanceNudge(1.0, np.array([[y]])), beta, NewtonOptions())
    expected = (float((x @ g)[0, 0]) + beta * y) / (total + beta)
    assert v[0, circuit.output_pairs[0, 0]] == pytest.approx(expected, rel=1e-12)


@every_network
def test_two_points_are_centered_equilibrium_propagation(amplifier: Any, bias: str, paired: bool) -> None:
    circuit = smooth_network(amplifier, bias, paired)
    inputs, targets = batch_for(circuit, 4, 3)
    for form in ("error", "frozen"):
        beta = suggest_beta(circuit, inputs, targets).beta
        centered = EquilibriumPropagation(beta, nudge=form).gradient(circuit, inputs, targets)  # type: ignore[arg-type]
        found = HolomorphicEP(beta, 2, form).gradient(circuit, inputs, targets)  # type: ignore[arg-type]
        # phases to 1e-12 V over nudges of about 1e-4 V
        assert relative(found, centered) < 1e-7


@every_network
@pytest.mark.parametrize("points", [2, 3, 4, 5])
def test_error_falls_as_the_radius_to_the_number_of_points(
    amplifier: Any, bias: str, paired: bool, points: int
) -> None:
    circuit = smooth_network(amplifier, bias, paired)
    inputs, targets = batch_for(circuit, 4, 3)
    exact = Adjoint().gradient(circuit, inputs, targets)
    # from 2 % of a bending junction on; the largest radius is still within 16 %
    radii = suggest_beta(circuit, inputs, targets).beta * np.array([2.0, 4.0, 8.0])
    errors = [relative(HolomorphicEP(r, points).gradient(circuit, inputs, targets), exact) for r in radii]
    order = np.polyfit(np.log(radii), np.log(errors), 1)[0]
    assert order == pytest.approx(points, abs=0.1 * points)


@given(pair=experiments(ANALYTIC_CELLS, most_cells=10, conductances=(1e-6, 1e-3)), seed=st.integers(0, 2**16))
@settings(max_examples=30)
def test_holomorphic_ep_is_the_adjoint_on_any_analytic_reciprocal_circuit(pair: Experiment, seed: int) -> None:
    circuit, inputs = pair
    assume(circuit.parameters)
    free = operating_point(circuit, inputs)
    targets = free.outputs + np.random.default_rng(seed).uniform(-1.0, 1.0, free.outputs.shape)
    exact = Adjoint().gradient(circuit, inputs, targets)
    lam, _ = adjoint_voltages(exact.free, inputs, exact.free.outputs - targets)
    assume(np.abs(lam).max() > 1.0)  # 1 V over 1 S: else the outputs are held by sources, up to rounding
    radius = float(2e-3 / np.abs(lam).max())  # nodes move by up to 2 mV, 8 % of a junction's width: ^4 is 4e-5
    most = float(np.abs(lam).max()) * max(1.0, float(np.abs(free.voltages).max()))
    found = HolomorphicEP(radius, 4, check=False).gradient(circuit, inputs, targets)
    for block, reference in exact.items():
        np.testing.assert_allclose(found[block], reference, rtol=0, atol=1e-4 * most)


def test_sinh_resistors_learn() -> None:
    graph = nx.MultiDiGraph()
    for k, (a, b) in enumerate([("x", "a"), ("z", "a"), ("a", "o"), ("o", "0"), ("a", "0")]):
        graph.add_edge(a, b, device=SinhResistor(conductance=1e-4 * (k + 1), v0=0.3), trainable=True)
    circuit = Circuit.from_graph(graph, inputs=["x", "z"], outputs=["o"])
    inputs, targets = [[1.0, -0.4], [0.3, 0.9]], [[0.5], [0.1]]
    exact = Adjoint().gradient(circuit, inputs, targets)
    errors = [
        relative(HolomorphicEP(2e-5, n, check=False).gradient(circuit, inputs, targets), exact) for n in (2, 4, 8)
    ]
    assert errors[0] > 1e-5
    assert errors[1] < 1e-2 * errors[0]
    assert errors[2] < 1e-9


@pytest.mark.parametrize("amplifier", [None, (4.0, 0.25)])
def test_the_sparse_solver_takes_complex_phases(amplifier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = smooth_network(amplifier, "current", True)
    inputs, targets = batch_for(circuit, 4, 3)
    rule = HolomorphicEP(suggest_beta(circuit, inputs, targets).beta, 3)
    dense = rule.gradient(circuit, inputs, targets)
    monkeypatch.setattr("analogep.solve.equations.model.DENSE_LIMIT", 0)
    sparse = rule.gradient(smooth_network(amplifier, "current", True), inputs, targets)
    assert relative(sparse, dense) < 1e-7


# --- refusals ----------------------------------------------------------------------------------------------


def test_elements_that_are_not_analytic_are_named() -> None:
    circuit = deep_resistive([2, 2, 1], diode=IdealDiode(), bias="none", rng=np.random.default_rng(0))
    name = next(b.names[0] for b in circuit.banks if b.device is IdealDiode)
    with pytest.raises(RuleError, match=f"{name} is a ideal_diode; use EquilibriumPropagation"):
        HolomorphicEP().gradient(circuit, [[0.1, 0.2]], [[0.0]])


def test_circuits_without_an_energy_are_refused() -> None:
    circuit, inputs, targets = NON_RECIPROCAL["vccs"]
    with pytest.raises(RuleError, match=r"s1.*NonReciprocalEP"):
        HolomorphicEP().gradient(circuit, inputs, targets)


def test_a_radius_beyond_the_singularity_is_refused() -> None:
    """By hand: v(β) has its pole at −G = −0.6 mS."""
    circuit, _, _ = linear_bit_line()
    HolomorphicEP(0.99 * 6e-4, 3).gradient(circuit, [1.0, 0.5], [[0.2]])
    with pytest.raises(InputError, match=r"not below 0\.0006 S"):
        HolomorphicEP(1.01 * 6e-4, 3).gradient(circuit, [1.0, 0.5], [[0.2]])


def test_a_phase_without_an_equilibrium_is_an_error() -> None:
    circuit = smooth_network(None, "none", False)
    inputs, targets = batch_for(circuit, 1, 2)
    with pytest.raises(ConvergenceError, match="smaller radius"):
        HolomorphicEP(1e-6, 3, options=NewtonOptions(max_iterations=1)).gradient(circuit, inputs, targets)


@pytest.mark.parametrize(("key", "value"), [("radius", 0.0), ("radius", np.inf), ("points", 1), ("points", 2.0)])
def test_settings_are_checked(key: str, value: Any) -> None:
    with pytest.raises(InputError, match=key):
        HolomorphicEP(**{key: value})
