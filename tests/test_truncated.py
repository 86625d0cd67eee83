"""Backpropagation through K steps of the relaxation: by hand, and its way to the adjoint."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_layered import batch_for, layered_networks

from analogep.circuit import Circuit
from analogep.devices import VCCS, VCVS, Capacitor, IdealDiode, Inductor, Resistor
from analogep.errors import InputError, RuleError, UnstableWarning
from analogep.learning import Adjoint, Gradient, TruncatedBackprop
from analogep.networks import crossbar
from analogep.solve import operating_point


def distance(found: Gradient, expected: Gradient) -> float:
    return float(np.sqrt(sum(np.sum((found[k] - e) ** 2) for k, e in expected.items())))


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_one_node_by_hand(steps: int) -> None:
    """λ_K = (1 − (1 + h/τ)^−K) λ: the estimate is the gradient times that, with τ = C/G."""
    circuit = crossbar(np.array([[1e-4], [2e-4]]), 1e-4)  # 1 pF / 4e-4 S = 2.5 ns
    exact = Adjoint().gradient(circuit, [[1.0, 0.3]], [[0.1]])
    found = TruncatedBackprop(steps, step=1e-9).gradient(circuit, [[1.0, 0.3]], [[0.1]])
    share = 1.0 - (1.0 + 1e-9 / 2.5e-9) ** -steps
    np.testing.assert_allclose(found["W1.conductance"], share * exact["W1.conductance"], rtol=1e-9)
    assert found.info["tau"] == pytest.approx(2.5e-9, rel=1e-9)


def test_it_is_the_derivative_of_the_last_steps() -> None:
    """Finite differences of K implicit Euler steps that start at rest, taken forward with other conductances."""
    g, load, x, y, steps, h, c = np.array([1e-4, 2e-4]), 1e-4, np.array([1.0, 0.3]), 0.1, 5, 2e-9, 1e-12

    def cost(conductance: np.ndarray, v: float) -> float:
        for _ in range(steps):  # C (v' − v)/h = −F(v')
            v = (c / h * v + conductance @ x) / (c / h + conductance.sum() + load)
        return 0.5 * (v - y) ** 2

    rest = float(g @ x) / (g.sum() + load)
    found = TruncatedBackprop(steps, step=h, node_capacitance=c).gradient(crossbar(g[:, None], load), x, [[y]])
    for k in range(2):
        step = np.zeros(2)
        step[k] = 1e-8
        by_difference = (cost(g + step, rest) - cost(g - step, rest)) / 2e-8
        assert found["W1.conductance"][k, 0] == pytest.approx(by_difference, rel=1e-6)


@given(circuit=layered_networks(), seed=st.integers(0, 2**16))
def test_every_step_halves_the_distance_to_the_adjoint(circuit: Circuit, seed: int) -> None:
    """h is the slowest τ of the batch, so the rate is 1/2 at least, once the faster modes are gone."""
    inputs, targets = batch_for(circuit, seed, 2)
    exact = Adjoint().gradient(circuit, inputs, targets)
    size = distance(exact, Gradient({k: 0 * v for k, v in exact.items()}, {}, exact.cost, exact.free, ""))
    ten, twenty, forty = (
        distance(TruncatedBackprop(k).gradient(circuit, inputs, targets), exact) for k in (10, 20, 40)
    )
    # How well a linear solve knows the adjoint itself, and what rounding of voltages makes of a gradient of zero.
    volts = 1.0 + np.abs(exact.free.voltages).max()
    least = min(v.min(initial=np.inf, where=v > 0.0) for v in circuit.parameters.values())
    floor = 1e-8 * size + 64.0 * np.finfo(float).eps * volts**2 / least
    assert twenty <= 1e-3 * ten * 1.5 + floor  # 2^-10 = 0.98e-3; modes that cancel at first may not later
    assert forty <= floor + 1e-6 * ten


def test_the_decay_is_geometric_with_the_slowest_mode() -> None:
    circuit = crossbar(np.array([[1e-4], [2e-4]]), 1e-4)
    exact = Adjoint().gradient(circuit, [[1.0, 0.3]], [[0.1]])
    for ratio in (0.2, 1.0, 5.0):
        errors = [
            distance(TruncatedBackprop(k, step=ratio * 2.5e-9).gradient(circuit, [[1.0, 0.3]], [[0.1]]), exact)
            for k in (2, 3, 4)
        ]
        np.testing.assert_allclose(np.divide(errors[1:], errors[:-1]), 1.0 / (1.0 + ratio), rtol=1e-6)


def test_circuits_without_an_energy_and_with_inductors() -> None:
    graph = nx.MultiDiGraph()
    for k, (a, b) in enumerate((("x", "a"), ("a", "0"), ("b", "y"), ("y", "0"))):
        graph.add_edge(a, b, device=Resistor(conductance=1e-4 * (k + 1)), name=f"r{k}", trainable=True)
    graph.add_edge("b", "0", device=VCVS(gain=2.0, control=("a", "0")), name="e0")
    graph.add_edge("a", "d", device=Inductor(inductance=1e-6), name="l0")
    graph.add_edge("d", "0", device=Resistor(conductance=1e-4), name="r9", trainable=True)
    graph.add_edge("a", "0", device=Capacitor(value=1e-12), name="c0")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["y"])
    exact = Adjoint().gradient(circuit, [[0.8]], [[0.1]])
    found = TruncatedBackprop(60).gradient(circuit, [[0.8]], [[0.1]])
    for block, expected in exact.items():
        np.testing.assert_allclose(found[block], expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


def test_ideal_diodes_side_by_side() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "y", device=Resistor(conductance=1e-4), name="r0", trainable=True)
    graph.add_edge("y", "z", device=Resistor(conductance=2e-4), name="r1", trainable=True)
    for k in range(2):
        graph.add_edge("z", "0", device=IdealDiode(threshold=0.1), name=f"d{k}")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["y"])
    exact = Adjoint().gradient(circuit, [[1.0]], [[0.1]])
    found = TruncatedBackprop(60).gradient(circuit, [[1.0]], [[0.1]])
    for block, expected in exact.items():
        np.testing.assert_allclose(found[block], expected, rtol=1e-6)


def test_an_unstable_equilibrium_is_refused() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "y", device=Resistor(conductance=1e-4), name="r0", trainable=True)
    graph.add_edge("y", "0", device=VCCS(transconductance=-2e-4, control=("y", "0")), name="g0")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["y"])
    with pytest.warns(UnstableWarning, match="node y grows"):
        assert operating_point(circuit, [1.0]).outputs[0, 0] == pytest.approx(-1.0)
    with pytest.warns(UnstableWarning), pytest.raises(RuleError, match="unstable"):
        TruncatedBackprop().gradient(circuit, [[1.0]], [[0.1]])


def test_arguments_are_checked() -> None:
    for options in ({"steps": 0}, {"step": 0.0}, {"step": float("inf")}):
        with pytest.raises(InputError):
            TruncatedBackprop(**options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="node_capacitance"):
        TruncatedBackprop(node_capacitance=0.0).gradient(crossbar(np.full((1, 1), 1e-4)), [[1.0]], [[0.1]])
