"""Coupled and contrastive learning: by hand, against the adjoint of what they follow, and where they apply."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_layered import batch_for, layered_networks

from analogep.circuit import Circuit
from analogep.devices import NMOS, PMOS, VCVS, Diode, Resistor
from analogep.errors import InputError, RuleError
from analogep.learning import ContrastiveLearning, CoupledLearning, EquilibriumPropagation, NativeSolver
from analogep.learning.gradient import adjoint_products
from analogep.networks import crossbar, deep_resistive, uniform
from analogep.solve import operating_point, port_conductance
from analogep.solve.response.adjoint import adjoint_voltages

INITIAL = uniform(1e-5, 1e-3)
VARIANTS = ("positive", "negative", "centered")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("eta", [1.0, 0.3, 1e-3])
def test_one_bit_line_by_hand(variant: Any, eta: float) -> None:
    """v_F = Σ g x/(Σ g + load); the clamped output is v_F ± η (y − v_F) whatever the conductances."""
    g, x, y, load = np.array([1e-4, 3e-4, 2e-5]), np.array([0.8, -0.5, 1.0]), 0.3, 2e-4
    v = float(g @ x) / (g.sum() + load)
    low, high = {"positive": (0.0, eta), "negative": (-eta, 0.0)}.get(variant, (-eta, eta))
    drops = [(x - (v + e * (y - v))) ** 2 for e in (low, high)]
    by_hand = (drops[1] - drops[0]) / (2.0 * (high - low))
    found = CoupledLearning(eta, variant).gradient(crossbar(g[:, None], load), x, [[y]])
    np.testing.assert_allclose(found["W1.conductance"][:, 0], by_hand, rtol=1e-9)
    assert found.cost[0] == pytest.approx(0.5 * (v - y) ** 2, rel=1e-12)


def matching_adjoint(circuit: Circuit, inputs: np.ndarray, targets: np.ndarray) -> dict[str, np.ndarray]:
    """Return the adjoint's gradient for the pull K (o − y), K being held at the free equilibrium."""
    free = operating_point(circuit, inputs)
    conductance = port_conductance(circuit, inputs, list(circuit.outputs))
    pull = np.einsum("bij,bj->bi", conductance, free.outputs - targets)
    lam, branches = adjoint_voltages(free, inputs, pull)
    return adjoint_products(circuit, free, lam, branches)


@given(circuit=layered_networks(smooth=True, amplifiers=(None,)), seed=st.integers(0, 2**16))
def test_for_small_eta_it_is_the_adjoint_of_its_own_pull(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 2)
    free = operating_point(circuit, inputs)
    targets = free.outputs + 0.01 * np.sign(targets - free.outputs + 1e-9)
    expected = matching_adjoint(circuit, inputs, targets)
    found = CoupledLearning(0.01, "centered").gradient(circuit, inputs, targets)
    size = max(float(np.abs(e).max()) for k, e in expected.items() if "conductance" in k)
    for block, reference in expected.items():
        if np.linalg.norm(reference) > 1e-3 * size * np.sqrt(reference.size):
            np.testing.assert_allclose(found[block], reference, rtol=0, atol=1e-4 * np.abs(reference).max())


@pytest.mark.parametrize(("variant", "order"), [("positive", 1), ("negative", 1), ("centered", 2)])
@pytest.mark.parametrize("paired", [False, True])
def test_its_bias_falls_with_eta(variant: Any, order: int, paired: bool) -> None:
    circuit = deep_resistive(
        [3, 5, 2],
        hidden="pair",
        diode=Diode(saturation_current=1e-6),
        rails=(-0.1, 0.1),
        paired_outputs=paired,
        initial=INITIAL,
    )
    inputs, targets = np.array([[1.8, -1.3, 1.5], [-2.0, 1.4, 0.2]]), np.array([[0.1, 0.0], [0.3, -0.2]])
    expected = matching_adjoint(circuit, inputs, targets)
    etas = np.array([0.05, 0.1, 0.2])
    errors = []
    for eta in etas:
        found = CoupledLearning(float(eta), variant).gradient(circuit, inputs, targets)
        errors.append(np.linalg.norm(found["W1.conductance"] - expected["W1.conductance"]))
    assert np.polyfit(np.log(etas), np.log(errors), 1)[0] == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("outputs", [["a"], [("a", "b")], [("a", "x")], ["a", ("a", "b")]])
def test_the_clamp_is_exact_and_kirchhoffs_law_holds_elsewhere(outputs: list[Any]) -> None:
    graph = nx.MultiDiGraph()
    for k, (a, b) in enumerate((("x", "a"), ("a", "b"), ("b", "0"), ("x", "c"), ("c", "b"), ("a", "0"))):
        graph.add_edge(a, b, device=Resistor(conductance=1e-4 * (k + 1)), name=f"r{k}", trainable=True)
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=outputs)
    inputs, targets = np.array([[1.0], [-0.4]]), np.array([[0.2] * len(outputs), [0.1] * len(outputs)])
    found = CoupledLearning(0.25).gradient(circuit, inputs, targets)
    free, clamped = found.info["phases"]
    np.testing.assert_allclose(clamped.outputs, 0.75 * free.outputs + 0.25 * targets, rtol=0, atol=1e-13)
    v = {n: clamped.voltage(n) for n in "xabc"}
    at_c = 4e-4 * (v["c"] - v["x"]) + 5e-4 * (v["c"] - v["b"])
    np.testing.assert_allclose(at_c, 0.0, atol=1e-15)
    at_a = 1e-4 * (v["a"] - v["x"]) + 2e-4 * (v["a"] - v["b"]) + 6e-4 * v["a"]
    at_b = 2e-4 * (v["b"] - v["a"]) + 3e-4 * v["b"] + 5e-4 * (v["b"] - v["c"])
    if outputs == ["a"]:
        np.testing.assert_allclose(at_b, 0.0, atol=1e-15)
    if outputs == [("a", "b")]:  # what the ideal source takes from one node it gives to the other
        np.testing.assert_allclose(at_a, -at_b, rtol=1e-9)


def test_a_pair_is_clamped_as_two_single_ended_routes_agree() -> None:
    """A pair whose minus node is an input at 0 V is the single-ended output."""

    def build(outputs: list[Any]) -> Circuit:
        graph = nx.MultiDiGraph()
        for k, (a, b) in enumerate((("x", "a"), ("a", "z"), ("x", "c"), ("c", "a"), ("c", "z"))):
            graph.add_edge(a, b, device=Resistor(conductance=1e-4 * (k + 1)), name=f"r{k}", trainable=True)
        graph.add_edge("z", "0", device=Resistor(conductance=1.0), name="load")
        return Circuit.from_graph(graph, inputs=["x", "z"], outputs=outputs)

    single, pair = (
        CoupledLearning(0.5).gradient(build(outputs), [[1.0, 0.0]], [[0.1]]) for outputs in (["a"], [("a", "z")])
    )
    for block in single:
        np.testing.assert_allclose(pair[block], single[block], rtol=1e-9, atol=1e-18)


def test_contrastive_learning_is_the_gradient_of_its_contrast() -> None:
    """Central differences of E(clamped) − E(free), summed over the resistors of a linear circuit."""
    g, inputs, targets = np.array([[1e-4, 2e-4], [3e-4, 5e-5]]), np.array([[0.7, -0.4]]), np.array([[0.2, -0.3]])

    def contrast(conductance: np.ndarray) -> float:
        found = ContrastiveLearning().gradient(crossbar(conductance, 1e-4), inputs, targets)
        free, clamped = (phase.voltages[0] for phase in found.info["phases"])
        drops = [v[1:3, None] - v[None, 3:5] for v in (free, clamped)]
        energies = [
            0.5 * float((conductance * d**2).sum() + 1e-4 * (v[3:5] ** 2).sum())
            for d, v in zip(drops, (free, clamped), strict=True)
        ]
        return energies[1] - energies[0]

    found = ContrastiveLearning().gradient(crossbar(g, 1e-4), inputs, targets)
    for k in range(4):
        step = np.zeros(4)
        step[k] = 1e-8
        by_difference = (contrast(g + step.reshape(2, 2)) - contrast(g - step.reshape(2, 2))) / 2e-8
        assert found["W1.conductance"].flat[k] == pytest.approx(by_difference, rel=1e-6)
    assert found.rule == "contrastive"


@pytest.mark.parametrize("amplifier", [(4.0, 0.25), (2.0, 2.0)])
def test_behind_amplifiers_the_estimate_is_scaled(amplifier: tuple[float, float]) -> None:
    """One output: coupled learning is the gradient times one conductance in every block, as without them."""
    circuit = deep_resistive([2, 4, 1], hidden="linear", amplifier=amplifier, initial=INITIAL)
    inputs, targets = np.array([[0.8, -0.3]]), np.array([[0.1]])
    ep = EquilibriumPropagation(1e-7).gradient(circuit, inputs, targets)
    found = CoupledLearning(0.01, "centered").gradient(circuit, inputs, targets)
    ratios = np.concatenate([(found[b] / ep[b]).ravel() for b in ep])
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-5)
    held = port_conductance(circuit, inputs, ["y0"])[0, 0, 0]
    assert ratios[0] == pytest.approx(held, rel=1e-5)


def test_training_reuses_the_clamped_topology_with_new_values() -> None:
    circuit = crossbar(np.full((2, 1), 1e-4), 1e-4)
    rule = CoupledLearning(0.5)
    for value in (1e-4, 3e-4):
        moved = circuit.with_parameters({"W1.conductance": np.full((2, 1), value)})
        fresh = crossbar(np.full((2, 1), value), 1e-4)
        a, b = (rule.gradient(c, [[1.0, 0.2]], [[0.1]]) for c in (moved, fresh))
        np.testing.assert_array_equal(a["W1.conductance"], b["W1.conductance"])


def test_engines_agree() -> None:
    circuit = deep_resistive([3, 5, 1], hidden="pair", rails=(-0.1, 0.1), initial=INITIAL)
    found = [
        CoupledLearning(0.3).gradient(circuit, [[0.8, -0.3, 0.5]], [[0.1]], solver=NativeSolver(method))
        for method in ("auto", "newton")
    ]
    assert {f.info["phases"][1].engine for f in found} == {"layered", "newton"}
    for block in found[0]:
        np.testing.assert_allclose(found[0][block], found[1][block], rtol=1e-7, atol=1e-15)


def test_what_it_cannot_do_it_refuses_by_name() -> None:
    circuit = Circuit.from_graph(_two_edges(VCVS(gain=2.0, control=("a", "0"))), inputs=["x"], outputs=["b"])
    with pytest.raises(RuleError, match="e0"):
        CoupledLearning().gradient(circuit, [[1.0]], [[0.1]])
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "0", device=Resistor(conductance=1e-3), name="r0", trainable=True)
    held = Circuit.from_graph(graph, inputs=["x"], outputs=["x"])
    with pytest.raises(RuleError, match="cannot clamp the output x"):
        CoupledLearning().gradient(held, [[1.0]], [[0.1]])
    for options in ({"eta": 0.0}, {"eta": 1.5}, {"eta": float("nan")}, {"variant": "sideways"}):
        with pytest.raises(InputError):
            CoupledLearning(**options)  # type: ignore[arg-type]


def _two_edges(device: VCVS) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "a", device=Resistor(conductance=1e-4), name="r0", trainable=True)
    graph.add_edge("a", "0", device=Resistor(conductance=1e-4), name="r1", trainable=True)
    graph.add_edge("b", "0", device=device, name="e0")
    graph.add_edge("b", "0", device=Resistor(conductance=1e-4), name="r2", trainable=True)
    return graph


# --- transistors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", [NMOS, PMOS])
@given(seed=st.integers(0, 2**16))
def test_a_transistors_observable_is_the_integral_of_its_transconductance(device: Any, seed: int) -> None:
    """∂/∂V_gate of ∫ i d(v_ds) by Gauss-Legendre quadrature of the law's own slope, lower end and gate held."""
    rng, sign = np.random.default_rng(seed), 1.0 if device is NMOS else -1.0
    p = {k: np.array([v]) for k, v in device(
        threshold=sign * rng.uniform(-0.5, 1.0), transconductance=1e-4, width=1e-5, length=2e-6,
        channel_modulation=rng.choice([0.0, 0.1]), gate_voltage=sign * rng.uniform(0.0, 3.0),
    ).values.items()}  # fmt: skip
    low, high, gate = sign * rng.uniform(0.0, 0.5), sign * rng.uniform(0.5, 3.0), sign * rng.uniform(-0.5, 0.5)
    knee = abs(gate + p["gate_voltage"][0] - p["threshold"][0] - low) * sign + low  # where the slope may bend
    corners = sorted({0.0, 1.0, float(np.clip((knee - low) / (high - low), 0.0, 1.0))})
    points, weights = np.polynomial.legendre.leggauss(4)
    total = 0.0
    for a, b in pairwise(corners):
        u = low + (high - low) * (a + (b - a) * (points + 1.0) / 2.0)
        z = np.stack([u, np.full(4, low), np.full(4, gate), np.zeros(4)], axis=-1)[:, None, :]
        slope = device.stamp_gradient(z, p)["gate_voltage"][:, 0, 0]
        total += float(weights @ slope) * (b - a) / 2.0 * (high - low)
    for drain, source in ((high, low), (low, high)):  # it does not matter which end is which
        z = np.array([[drain, source, gate, 0.0]])
        assert device.observable(z, p)["gate_voltage"][0] == pytest.approx(total, rel=1e-9, abs=1e-18)


def test_transistor_edges_by_hand() -> None:
    """A divider of two transistors in the triode region: β v_ds²/2 of the clamped phase less the free one's."""
    kp, ratio = 1e-4, 5.0
    graph = nx.MultiDiGraph()
    for k, (a, b) in enumerate((("x", "y"), ("y", "0"))):
        device = NMOS(threshold=0.5, transconductance=kp, width=5e-6, length=1e-6, gate_voltage=2.0 + k,
                      control=("0", "0"))  # fmt: skip
        graph.add_edge(a, b, device=device, name=f"m{k}", trainable=True)
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["y"])
    found = CoupledLearning(0.5).gradient(circuit, [[0.4]], [[0.1]])
    free, clamped = (float(phase.voltage("y")[0]) for phase in found.info["phases"])
    assert clamped == pytest.approx(0.5 * (free + 0.1), rel=1e-12)
    by_hand = [kp * ratio * (b**2 - a**2) / 2.0 / 0.5 for a, b in ((0.4 - free, 0.4 - clamped), (free, clamped))]
    (block,) = found.values()
    np.testing.assert_allclose(block, by_hand, rtol=1e-9)
    with pytest.raises(RuleError):
        EquilibriumPropagation(1e-7).gradient(circuit, [[0.4]], [[0.1]])
