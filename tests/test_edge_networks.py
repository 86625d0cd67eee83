"""Lattices and disordered graphs: their edges and terminals, and that a board of them learns."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analogep.circuit import Circuit
from analogep.devices import NMOS, VCVS, Capacitor, SinhResistor
from analogep.errors import CircuitError
from analogep.learning import Adjoint, CoupledLearning, FiniteDifference
from analogep.networks import disordered, lattice
from analogep.solve import operating_point

FET = NMOS(threshold=0.7, transconductance=1e-4, width=1e-5, length=1e-6, control=("0", "0"))


def skeleton(circuit: Circuit) -> nx.MultiGraph:
    (bank,) = (b for b in circuit.banks if b.name == "edge")
    graph = nx.MultiGraph()
    graph.add_edges_from(map(tuple, bank.pins[:, :2]))
    return graph


@pytest.mark.parametrize(
    ("rows", "columns", "periodic", "edges"),
    [(4, 4, True, 32), (4, 4, False, 24), (1, 5, False, 4), (3, 2, True, 9), (2, 2, True, 4)],
)
def test_a_lattice_has_the_edges_of_networkx(rows: int, columns: int, periodic: bool, edges: int) -> None:
    """On two rows the border's edge is there already, and is not doubled."""
    circuit = lattice(rows, columns, [0], [rows * columns - 1], periodic=periodic)
    expected = nx.grid_2d_graph(rows, columns, periodic=periodic)
    found = skeleton(circuit)
    assert found.number_of_edges() == expected.number_of_edges() == edges
    assert nx.is_isomorphic(nx.Graph(found), expected)
    assert circuit.parameters["edge.conductance"].shape == (edges,)


@given(nodes=st.integers(6, 60), seed=st.integers(0, 2**16))
def test_a_disordered_graph_is_a_planar_triangulation(nodes: int, seed: int) -> None:
    """Euler: a triangulation whose hull has h corners has 3 n − 3 − h edges; every inner face is a triangle."""
    graph = nx.Graph(skeleton(disordered(nodes, 2, 1, rng=np.random.default_rng(seed))))
    assert graph.number_of_nodes() == nodes
    assert nx.is_connected(graph)
    planar, _ = nx.check_planarity(graph)
    assert planar
    assert 2 * nodes - 3 <= graph.number_of_edges() <= 3 * nodes - 6


def test_terminals_are_distinct_and_named() -> None:
    circuit = disordered(20, 3, 2, bias_voltages=(0.0, 1.0), paired_outputs=True)
    assert circuit.inputs == ("x0", "x1", "x2")
    assert circuit.outputs == (("y0p", "y0n"), ("y1p", "y1n"))
    terminals = [*circuit.input_nodes, *circuit.output_pairs.ravel(), circuit.node("bias0"), circuit.node("bias1")]
    assert len(set(terminals)) == 9
    solved = operating_point(circuit, [[0.1, 0.2, 0.3]])
    assert solved.voltage("bias1")[0] == 1.0
    assert circuit.nodes[-1].startswith(("h", "x", "y", "b"))
    assert len(set(circuit.nodes)) == 21


def test_given_places_are_kept() -> None:
    circuit = lattice(3, 3, [0, 2], [8, 6], paired_outputs=True, bias_voltages=(0.5,))
    assert [circuit.node(n) for n in ("x0", "x1", "y0p", "y0n")] == [1, 3, 9, 7]


def test_the_generator_decides_and_nothing_else() -> None:
    a, b, c = (disordered(15, 2, 1, initial=(1e-5, 1e-4), rng=np.random.default_rng(s)) for s in (1, 1, 2))
    assert a == b
    assert a != c
    g = a.parameters["edge.conductance"]
    assert g.min() >= 1e-5
    assert g.max() <= 1e-4
    assert len(np.unique(g)) == len(g)


def test_other_edges() -> None:
    sinh = lattice(2, 3, [0], [5], edge=SinhResistor(conductance=1e-5, v0=0.3))
    assert sinh.parameters["edge.conductance"][0] == 1e-5
    board = lattice(4, 4, 2, 1, periodic=True, edge=FET, initial=(1.0, 3.0), bias_voltages=(0.1, 0.3))
    assert set(board.parameters) == {"edge.gate_voltage"}
    inputs, targets = [[0.4, 0.1]], [[0.05]]
    exact = Adjoint().gradient(board, inputs, targets)
    found = FiniteDifference().gradient(board, inputs, targets)
    np.testing.assert_allclose(
        found["edge.gate_voltage"],
        exact["edge.gate_voltage"],
        rtol=1e-4,
        atol=1e-5 * np.abs(exact["edge.gate_voltage"]).max(),
    )


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: lattice(1, 1, [0], [0]), "rows, columns"),
        (lambda: lattice(2, 2, [0], [0]), "named twice"),
        (lambda: lattice(2, 2, 3, 2), "5 terminals"),
        (lambda: lattice(2, 2, [7], 1), "node indices from 0 to 3"),
        (lambda: lattice(2, 2, [0], [1], paired_outputs=True), "pairs of node indices"),
        (lambda: lattice(2, 2, 0, 1), "inputs: 0"),
        (lambda: lattice(2, 2, 1, 1, edge=Capacitor(value=1e-12)), "edge"),
        (lambda: lattice(2, 2, 1, 1, edge=VCVS(gain=1.0, control=("0", "0"))), "edge"),
        (lambda: lattice(2, 2, 1, 1, bias_voltages=(np.nan,)), "bias_voltages"),
        (lambda: lattice(2, 2, 1, 1, initial=(2.0, 1.0)), "initial"),
        (lambda: disordered(3, 1, 1), "at least four"),
    ],
)
def test_faults_are_named(build: Any, named: str) -> None:
    with pytest.raises(CircuitError, match=named):
        build()


def test_a_small_graph_learns_a_sum() -> None:
    rng = np.random.default_rng(5)
    circuit = disordered(12, 2, 1, bias_voltages=(0.0, 1.0), initial=(1e-5, 1e-4), rng=rng)
    inputs = rng.uniform(0.0, 1.0, (8, 2))
    targets = inputs @ np.array([[0.2], [0.3]]) + 0.1
    rule, costs = CoupledLearning(0.1), []
    for _ in range(60):
        found = rule.gradient(circuit, inputs, targets)
        costs.append(float(found.cost.mean()))
        new = circuit.parameters["edge.conductance"] - 1e-3 * found["edge.conductance"]
        circuit = circuit.with_parameters({"edge.conductance": np.clip(new, 1e-6, 1e-3)})
    assert max(costs[-5:]) < 0.05 * costs[0]
