"""networkx in and out."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from strategies import circuits

from analogep.circuit import Circuit
from analogep.devices import CCCS, VCCS, VCVS, Diode, Resistor, VoltageSource
from analogep.errors import CircuitError

R = Resistor(conductance=1e-3)


def graph_of(*edges: tuple[Any, Any, dict[str, Any]], **nodes: str) -> nx.MultiDiGraph:
    graph = nx.MultiDiGraph()
    for node, role in nodes.items():
        graph.add_node(node, role=role)
    for u, v, data in edges:
        graph.add_edge(u, v, **{"device": R, **data})
    return graph


def faults_of(graph: nx.MultiDiGraph, **ports: Any) -> str:
    with pytest.raises(CircuitError) as caught:
        Circuit.from_graph(graph, **ports)
    return str(caught.value)


# --- there and back ----------------------------------------------------------------------------------------


@given(circuit=circuits())
def test_a_circuit_comes_back_from_its_graph(circuit: Circuit) -> None:
    graph = circuit.to_graph()
    assert Circuit.from_graph(graph) == circuit
    both = sum(t.forward.size for t in circuit.transconductances if t.symmetric)  # one edge stands for two sources
    assert graph.number_of_edges() == circuit.element_count - both


@given(circuit=circuits())
def test_a_graph_comes_back_from_its_circuit(circuit: Circuit) -> None:
    graph = circuit.to_graph()
    again = Circuit.from_graph(graph).to_graph()
    assert set(graph.nodes) == set(again.nodes)
    assert dict(graph.nodes(data="role")) == dict(again.nodes(data="role"))

    def edges(g: nx.MultiDiGraph) -> list[tuple[str, str, str]]:
        return sorted((u, v, repr(sorted(d.items(), key=lambda i: i[0]))) for u, v, d in g.edges(data=True))

    assert edges(graph) == edges(again)


@given(circuit=circuits())
def test_the_roles_in_the_graph_are_the_ports(circuit: Circuit) -> None:
    roles = dict(circuit.to_graph().nodes(data="role"))
    assert [n for n, role in roles.items() if role == "ground"] == ["0"]
    assert {n for n, role in roles.items() if role == "input"} == set(circuit.inputs)
    single = {o for o in circuit.outputs if isinstance(o, str)}
    assert {n for n, role in roles.items() if role == "output"} == single - set(circuit.inputs)


def test_a_crossbar_comes_back_whole() -> None:
    edges = [
        (row, column, {"device": Resistor(conductance=g), "crossbar": ("W", i, j), "trainable": True})
        for i, row in enumerate("ab")
        for j, column in enumerate("xyz")
        for g in [1e-3 * (1 + 3 * i + j)]
    ]
    circuit = Circuit.from_graph(graph_of(*edges), inputs=["a", "b"], outputs=["x"])
    assert circuit.banks == ()
    (crossbar,) = circuit.crossbars
    assert crossbar.conductance == pytest.approx(1e-3 * np.arange(1, 7).reshape(2, 3))
    assert [circuit.nodes[n] for n in crossbar.rows] == ["a", "b"]
    assert [circuit.nodes[n] for n in crossbar.columns] == ["x", "y", "z"]
    assert Circuit.from_graph(circuit.to_graph()) == circuit


# --- nodes and ports ---------------------------------------------------------------------------------------


def test_roles_name_the_ports_and_ground() -> None:
    graph = graph_of(("vin", "mid", {}), ("mid", "earth", {}), vin="input", mid="output", earth="ground")
    circuit = Circuit.from_graph(graph)
    assert circuit.nodes == ("0", "vin", "mid")
    assert circuit.inputs == ("vin",)
    assert circuit.outputs == ("mid",)


@pytest.mark.parametrize("ground", [0, "0", "gnd", "GND"])
def test_ground_has_several_names(ground: object) -> None:
    circuit = Circuit.from_graph(graph_of(("a", ground, {})), outputs=["a"])
    assert circuit.nodes == ("0", "a")


def test_several_ground_nodes_are_one() -> None:
    circuit = Circuit.from_graph(graph_of(("a", 0, {}), ("a", "gnd", {}), ("b", "a", {})))
    assert circuit.nodes == ("0", "a", "b")
    assert circuit.banks[0].pins.tolist() == [[1, 0], [1, 0], [2, 1]]


def test_integer_nodes_get_a_prefix_and_keep_their_meaning_as_ports() -> None:
    circuit = Circuit.from_graph(graph_of((1, 2, {}), (2, 0, {})), inputs=[1], outputs=[2, (2, 1)])
    assert circuit.nodes == ("0", "n1", "n2")
    assert circuit.inputs == ("n1",)
    assert circuit.outputs == ("n2", ("n2", "n1"))


def test_an_input_may_be_an_output_too() -> None:
    circuit = Circuit.from_graph(graph_of(("a", 0, {})), inputs=["a"], outputs=["a", ("a", 0)])
    assert circuit.outputs == ("a", "a")
    assert Circuit.from_graph(circuit.to_graph()) == circuit


@pytest.mark.parametrize("pair", [("a", "b"), ["a", "b"]])
def test_a_pair_of_outputs_may_be_a_tuple_or_a_list(pair: object) -> None:
    # A list was once looked up among the nodes and failed as unhashable.
    circuit = Circuit.from_graph(graph_of(("a", "b", {}), ("b", 0, {})), outputs=[pair])
    assert circuit.outputs == (("a", "b"),)


def test_a_node_that_is_a_tuple_is_an_output_and_not_a_pair() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge((0, 1), 0, device=R)
    nx.relabel_nodes(graph, {(0, 1): ("a", "b")}, copy=False)
    assert "node \"('a', 'b')\": illegal name" in faults_of(graph, outputs=[("a", "b")])


def test_named_ports_replace_the_roles() -> None:
    graph = graph_of(("a", "b", {}), ("b", 0, {}), a="input", b="output")
    circuit = Circuit.from_graph(graph, inputs=[], outputs=["a"])
    assert circuit.inputs == ()
    assert circuit.outputs == ("a",)


# --- elements ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "device",
    [
        VCVS(gain=2.0, control=("cp", "cn")),
        VCCS(transconductance=1e-3, control=("cp", "cn")),
        CCCS(gain=2.0, control=("cp", "cn")),
    ],
    ids=lambda d: d.kind,
)
def test_a_controlled_source_names_its_control_port(device: VCVS | VCCS | CCCS) -> None:
    loads = [(node, 0, {}) for node in ("p", "cp", "cn")]
    circuit = Circuit.from_graph(graph_of(("p", 0, {"device": device, "name": "x"}), *loads))
    (bank,) = (b for b in circuit.banks if b.device is type(device))
    assert [circuit.nodes[n] for n in bank.pins[0]] == ["p", "0", "cp", "cn"]
    edge = next(d for _, _, d in circuit.to_graph().edges(data=True) if d["name"] == "x")
    assert edge["device"] == device


def test_a_control_port_may_be_integer_nodes_and_ground() -> None:
    device = VCCS(transconductance=1e-3, control=(2, 0))  # type: ignore[arg-type]
    circuit = Circuit.from_graph(graph_of((1, 0, {"device": device}), (1, 0, {}), (2, 0, {})))
    (bank,) = (b for b in circuit.banks if b.device is VCCS)
    assert [circuit.nodes[n] for n in bank.pins[0]] == ["n1", "0", "n2", "0"]


def test_elements_without_a_name_are_numbered_by_kind() -> None:
    graph = graph_of(("a", 0, {}), ("a", 0, {"device": Diode()}), ("a", 0, {}))
    circuit = Circuit.from_graph(graph)
    assert [name for bank in circuit.banks for name in bank.names] == ["resistor1", "resistor2", "diode1"]


def test_a_number_that_was_given_as_a_name_is_not_used_again() -> None:
    # An automatic name once collided with a given one, and the user was told of a duplicate name.
    graph = graph_of(("a", 0, {}), ("a", 0, {"name": "Resistor1"}), ("a", 0, {"name": "resistor3"}), ("a", 0, {}))
    circuit = Circuit.from_graph(graph)
    assert circuit.banks[0].names == ("resistor2", "Resistor1", "resistor3", "resistor4")


@pytest.mark.parametrize(
    ("wish", "trainable"),
    [
        (True, {"conductance"}),
        (np.True_, {"conductance"}),
        (False, set()),
        (None, set()),
        ("conductance", {"conductance"}),
        (["conductance"], {"conductance"}),
        ((), set()),
    ],
)
def test_trainable_is_a_truth_a_name_or_several(wish: object, trainable: set[str]) -> None:
    circuit = Circuit.from_graph(graph_of(("a", 0, {"trainable": wish})))
    assert circuit.banks[0].trainable == trainable
    assert set(circuit.parameters) == {f"resistor.{key}" for key in trainable}


def test_trainable_and_fixed_elements_of_a_kind_go_to_two_banks() -> None:
    circuit = Circuit.from_graph(graph_of(("a", 0, {"trainable": True}), ("a", 0, {})))
    assert [bank.name for bank in circuit.banks] == ["resistor", "resistor_fixed"]


def test_elements_may_share_a_bank_of_their_own() -> None:
    circuit = Circuit.from_graph(
        graph_of(("a", 0, {"bank": "x"}), ("b", 0, {"bank": "y"}), ("b", "a", {"bank": "x"}))
    )
    assert [(bank.name, bank.size) for bank in circuit.banks] == [("x", 2), ("y", 1)]


def test_parallel_elements_stay_apart() -> None:
    circuit = Circuit.from_graph(graph_of(("a", 0, {}), ("a", 0, {}), (0, "a", {})))
    assert circuit.banks[0].pins.tolist() == [[1, 0], [1, 0], [0, 1]]


# --- faults ------------------------------------------------------------------------------------------------

V = VoltageSource(voltage=1.0)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([("a", 0, {"device": None, "name": "r7"})], "r7: edge attribute device=None is not a device"),
        ([("a", 0, {"device": Resistor})], "edge: edge attribute device=<class"),
        ([("a", 0, {"device": VCVS(gain=1.0), "name": "e1"})], "e1: control=None; give the nodes as"),
        ([("a", 0, {"device": VCVS(gain=1.0, control=("a", "q")), "name": "e1"})], "e1: unknown node 'q'"),
        ([("a", 0, {"bank": "x"}), ("a", 0, {"bank": "x", "device": V, "name": "v1"})], "v1: bank 'x' holds"),
        (
            [("a", 0, {"bank": "x"}), ("a", 0, {"bank": "x", "trainable": True, "name": "r2"})],
            "r2: bank 'x' holds resistor elements with trainable=[]",
        ),
        ([("a", 0, {"trainable": 3, "name": "r1"})], "r1: trainable=3; give true, a parameter's name"),
        ([("a", 0, {"crossbar": "W0", "name": "w"})], "w: crossbar='W0'; give (name, row, column)"),
        (
            [("a", 0, {"crossbar": ("W", -1, 0), "name": "w"})],
            "w: crossbar=('W', -1, 0); row and column count",
        ),
        ([("a", 0, {"crossbar": ("W", "1", 0), "name": "w"})], "w: crossbar=('W', '1', 0); row and column"),
        (
            [("a", 0, {"crossbar": ("W", 0, 0), "device": V, "name": "w"})],
            "w: a crossbar holds resistors, mutual transconductances or VCCSs, not",
        ),
        (
            [("a", 0, {"crossbar": ("W", 0, 0)}), ("a", 0, {"crossbar": ("W", 0, 0), "name": "w"})],
            "w: crossbar W has two elements at (0, 0)",
        ),
        (
            [("a", "b", {"crossbar": ("W", 0, 0)}), ("a", "c", {"crossbar": ("W", 0, 0), "name": "w"})],
            "w: crossbar W has two elements at (0, 0)",
        ),
        (
            [("a", "x", {"crossbar": ("W", 0, 0)}), ("b", "y", {"crossbar": ("W", 0, 1)})],
            "crossbar W: element (0, 1) is on other nodes than its row or column",
        ),
        (
            [("a", "x", {"crossbar": ("W", 0, 0)}), ("b", "y", {"crossbar": ("W", 1, 1)})],
            "crossbar W: 2 elements do not fill a table of (2, 2)",
        ),
        (
            [
                ("a", "x", {"crossbar": ("W", 0, 0)}),
                ("a", "y", {"crossbar": ("W", 0, 1), "name": "w", "trainable": True}),
            ],
            "w: crossbar W is trainable as a whole or not at all",
        ),
        ([(1, "n1", {})], "node n1: two graph nodes have this name"),
    ],
)
def test_a_faulty_edge_is_reported_by_name(edges: list[Any], message: str) -> None:
    assert f"- {message}" in faults_of(graph_of(*edges))


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({"inputs": ["q"]}, "input q: unknown node 'q'"),
        ({"outputs": ["q"]}, "output q: unknown node 'q'"),
        ({"outputs": [("a", "q")]}, "output ('a', 'q'): unknown node 'q'"),
        ({"outputs": [("a", "b", 0)]}, "output ('a', 'b', 0): give one node or a pair"),
        ({"outputs": [["a"]]}, "output ['a']: give one node or a pair"),
        ({"outputs": [("a", "a")]}, "output a: an output needs two different nodes"),
        ({"outputs": [0]}, "output 0: an output needs two different nodes"),
        ({"inputs": [0]}, "input '0': ground cannot be an input"),
        ({"inputs": ["a", "a"]}, "input 'a': duplicate name"),
    ],
)
def test_a_faulty_port_is_reported_by_name(ports: dict[str, Any], message: str) -> None:
    assert f"- {message}" in faults_of(graph_of(("a", "b", {}), ("b", 0, {})), **ports)


def test_an_unknown_role_is_reported() -> None:
    graph = graph_of(("a", 0, {}), a="inptu")
    assert "- node a: unknown role 'inptu'; use one of ground, input, output" in faults_of(graph)


def test_all_faults_of_a_graph_are_reported_at_once() -> None:
    graph = graph_of(
        ("a", 0, {"device": "R", "name": "r1"}), ("b", 0, {"device": VCVS(gain=1.0), "name": "e1"}), b="sink"
    )
    message = faults_of(graph, inputs=["q"])
    assert message.startswith("graph has 4 faults:")
    for name in ("node b", "r1", "e1", "input q"):
        assert f"- {name}: " in message
