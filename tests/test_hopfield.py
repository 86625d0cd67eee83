"""Hopfield and feedforward networks: their own equations by numpy, on all engines, over time and in SPICE."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analogep as aep
from analogep.circuit import Circuit
from analogep.errors import CircuitError
from analogep.learning import Adjoint, EquilibriumPropagation, FiniteDifference, suggest_beta
from analogep.networks import feedforward, glorot, hopfield, hopfield_graph, memristor_hopfield

LEAK, LIMIT = 1e-4, 0.8
ACTIVATIONS: dict[str, Any] = {
    "clipped_relu": lambda i: np.clip(i / LEAK, 0.0, LIMIT),
    "tanh": lambda i: LIMIT * np.tanh(i / (LEAK * LIMIT)),
    "sigmoid": lambda i: LIMIT / (1.0 + np.exp(-4.0 * i / (LEAK * LIMIT))),
    "identity": lambda i: i / LEAK,
}
"""Voltage of a neuron [V] for the current into it [A], from the docstring of ``hopfield``."""

every_activation = pytest.mark.parametrize("activation", sorted(ACTIVATIONS))


def network(activation: Any, coupling: Any = "symmetric", gain: float = 0.4, seed: int = 0) -> Circuit:
    made = hopfield(
        [6, 5, 4, 3],
        activation=activation,
        coupling=coupling,
        leak=LEAK,
        limit=LIMIT,
        initial=glorot(LEAK, gain),
        rng=np.random.default_rng(seed),
    )
    rng = np.random.default_rng(seed + 1)
    biases = {k: rng.normal(0, 0.1 * LEAK, v.shape) for k, v in made.parameters.items() if k.endswith("amplitude")}
    return made.with_parameters(biases)


def missed(circuit: Circuit, voltages: np.ndarray, law: Any) -> float:
    """By how much voltages (B, N) [V] miss v = law(current) of each neuron, summed by matrix products."""
    into = np.zeros_like(voltages)
    for t in circuit.transconductances:
        into[:, t.columns] += voltages[:, t.rows] @ t.forward
        if t.backward is not None:
            into[:, t.rows] += voltages[:, t.columns] @ t.backward.T
    for bank in circuit.banks:
        if bank.device.kind == "current_source":
            into[:, bank.pins[:, 1]] += bank.values["amplitude"]
    neurons = np.concatenate([t.columns for t in circuit.transconductances])
    return float(np.abs(voltages[:, neurons] - law(into[:, neurons])).max())


@every_activation
@pytest.mark.parametrize("coupling", ["symmetric", "forward", "both"])
@pytest.mark.parametrize("method", ["layered", "newton"])
def test_every_neuron_meets_its_own_equation(activation: str, coupling: str, method: Any) -> None:
    circuit = network(activation, coupling)
    x = np.random.default_rng(2).uniform(0, 1, (4, 6))
    found = aep.operating_point(circuit, x, method=method)
    assert found.engine == method
    assert missed(circuit, found.voltages, ACTIVATIONS[activation]) <= 1e-11


@every_activation
def test_the_leaky_integrators_settle_where_newton_stands(activation: str) -> None:
    circuit = network(activation, "both")
    x = np.random.default_rng(2).uniform(0, 1, (2, 6))
    settled = aep.operating_point(circuit, x, method="transient")
    newton = aep.operating_point(circuit, x, method="newton")
    np.testing.assert_allclose(settled.voltages, newton.voltages, atol=1e-7)


@pytest.mark.filterwarnings("ignore::analogep.errors.GradientWarning")  # all outputs of some seeds are held at 0 V
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_a_layered_network_is_the_same_as_a_graph(seed: int) -> None:
    layers = network("clipped_relu", seed=seed)
    edges, weights, number = [], [], {n: k for k, n in enumerate(range(1, len(layers.nodes)))}
    for t in layers.transconductances:
        for r, row in enumerate(t.rows):
            for c, column in enumerate(t.columns):
                edges.append((number[int(row)], number[int(column)]))
                weights.append(t.forward[r, c])
    inputs = [number[int(n)] for n in layers.input_nodes]
    outputs = [number[int(n)] for n in layers.output_pairs[:, 0]]
    graph = hopfield_graph(edges, weights, inputs=inputs, outputs=outputs, leak=LEAK, limit=LIMIT)
    free = next(b for b in graph.banks if b.name == "b").pins[:, 1]
    amplitude = {
        int(n): a
        for b in layers.banks
        if b.device.kind == "current_source"
        for n, a in zip(b.pins[:, 1], b.values["amplitude"], strict=True)
    }
    graph = graph.with_parameters({"b.amplitude": [amplitude[int(n)] for n in free]})
    x = np.random.default_rng(3).uniform(0, 1, (3, 6))
    np.testing.assert_allclose(
        aep.operating_point(graph, x).outputs, aep.operating_point(layers, x).outputs, atol=1e-12
    )
    # … and learns the same: the element's own sign is the opposite of the weight's
    y = np.full((3, 3), 0.3)
    mine = EquilibriumPropagation(1e-7).gradient(graph, x, y)["W.transconductance"]
    theirs = EquilibriumPropagation(1e-7).gradient(layers, x, y)
    flat = np.concatenate([theirs[f"W{k}.{key}"].ravel() for k, key in ((1, "forward"), (2, "transconductance"),
                                                                         (3, "transconductance"))])  # fmt: skip
    # of a difference of voltages to rounding, a β of 1e-7 S makes 1e-16 / 1e-7 V/S
    np.testing.assert_allclose(-mine, flat, atol=1e-6 * np.abs(flat).max() + 1e-8)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "identity"])
def test_learning_is_right_on_smooth_networks(activation: str) -> None:
    circuit = network(activation)
    x, y = np.random.default_rng(2).uniform(0, 1, (4, 6)), np.full((4, 3), 0.2)
    exact = Adjoint().gradient(circuit, x, y)
    found = EquilibriumPropagation(suggest_beta(circuit, x, y).beta).gradient(circuit, x, y)
    for block, value in FiniteDifference().gradient(circuit, x, y).items():
        size = np.abs(exact[block]).max()
        np.testing.assert_allclose(value, exact[block], atol=1e-6 * size)
        np.testing.assert_allclose(found[block], exact[block], atol=1e-2 * size)


def test_a_feedforward_network_is_a_symmetric_one_without_its_way_back() -> None:
    circuit = feedforward([4, 3, 2])
    assert [t.backward for t in circuit.transconductances] == [None, None]
    assert set(circuit.parameters) == {"W1.forward", "W2.forward", "b1.amplitude", "b2.amplitude"}


@pytest.mark.ngspice
@every_activation
@pytest.mark.parametrize("coupling", ["symmetric", "forward", "both"])
def test_ngspice_finds_the_same_voltages(activation: str, coupling: str) -> None:
    circuit = network(activation, coupling)
    x = np.random.default_rng(2).uniform(0, 1, (3, 6))
    # ngspice knows the corner of an ideal diode to the tolerance of its own currents
    report = aep.spice.compare(circuit, x, tolerance=1e-6 if activation == "clipped_relu" else 1e-9)
    assert report.passed, str(report)


# --- memristor pairs ---------------------------------------------------------------------------------------


def pairs(gain: float) -> tuple[Circuit, Circuit]:
    rng = np.random.default_rng(5)
    w = {f"W{k}": glorot(LEAK, 0.5)(rng, shape) for k, shape in enumerate([(6, 5), (5, 3)], 1)}
    ideal = hopfield(
        [6, 5, 3], leak=LEAK, limit=LIMIT, bias=False,
        initial={"W1.forward": w["W1"], "W2.transconductance": w["W2"]},
    )  # fmt: skip
    return ideal, memristor_hopfield([6, 5, 3], w, leak=LEAK, limit=LIMIT, gain=gain)


def test_memristor_pairs_make_the_network_of_their_differences() -> None:
    x = np.random.default_rng(2).uniform(0, 1, (4, 6))
    away = []
    for gain in (1e3, 1e4, 1e5):
        ideal, pair = pairs(gain)
        names = [n for n in ideal.nodes[1:] if n in pair.nodes]
        expected = aep.operating_point(ideal, x)
        found = aep.operating_point(pair, x)
        away.append(max(np.abs(found.voltage(n) - expected.voltage(n)).max() for n in names))
    # a finite gain loads every sum by (leak + Σ G) / gain: the error falls as 1/gain
    slopes = np.diff(np.log10(away))
    np.testing.assert_allclose(slopes, -1.0, atol=0.05)
    assert away[-1] < 1e-4


@pytest.mark.ngspice
def test_ngspice_agrees_on_memristor_pairs() -> None:
    _, pair = pairs(1e4)
    x = np.random.default_rng(2).uniform(0, 1, (2, 6))
    assert aep.spice.compare(pair, x, tolerance=1e-6).passed


# --- faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ({"layers": [3]}, ["layers: [3]; give at least [inputs, outputs]"]),
        ({"activation": "relu", "leak": 0.0}, ["activation: 'relu'; use one of", "leak: 0 S must be finite"]),
        ({"coupling": "none", "limit": -1.0}, ["coupling: 'none'; use one of", "limit: -1 V must be finite"]),
        (
            {"initial": {"W1.forward": np.ones((2, 2)), "W3": 1}},
            ["W1.forward: initial transconductances have shape (2, 2), expected (3, 2)",
             "W2.transconductance: initial transconductances are missing", "W3: no such matrix in this network"],
        ),
    ],
)  # fmt: skip
def test_all_faults_are_named_at_once(arguments: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(CircuitError) as caught:
        hopfield(**{"layers": [3, 2, 1], **arguments})
    for message in messages:
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("edges", "weights", "ports", "message"),
    [
        ([(0, 1, 2)], [1.0], {}, "edges: shape"),
        ([(0, 1)], [1.0, 2.0], {}, "weights: shape"),
        ([(0, 0)], [1.0], {}, "coupled to itself"),
        ([(0, 1), (1, 0)], [1.0, 1.0], {}, "occurs twice"),
        ([(0, 1)], [1.0], {"outputs": [2]}, r"outputs: no neurons \[2\]"),
    ],
)
def test_faulty_graphs_are_refused(edges: Any, weights: Any, ports: dict[str, Any], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        hopfield_graph(edges, weights, **{"inputs": [0], "outputs": [1], **ports})


def test_faulty_memristor_networks_are_refused() -> None:
    with pytest.raises(CircuitError) as caught:
        memristor_hopfield([2, 2, 1], {"W1": np.ones((2, 3)), "W9": np.ones((1, 1))})
    for message in ("W1: weights have shape (2, 3)", "W2: weights have shape (0,)", "W9: no such matrix"):
        assert message in str(caught.value)
