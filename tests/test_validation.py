"""Every fault of a circuit is found at the door, named, and reported together with the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import circuits, experiments

from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.circuit.validation import _join_crossbar, _Sets, listing, structural_faults, value_faults
from analogep.devices import (
    CCCS,
    CCVS,
    VCCS,
    VCVS,
    BidirectionalAmplifier,
    Capacitor,
    CurrentSource,
    Device,
    Diode,
    IdealDiode,
    Resistor,
    VoltageSource,
)
from analogep.errors import CircuitError, Fault

Edge = tuple[str, str, str, Device]

V = VoltageSource(voltage=1.0)
AMP = BidirectionalAmplifier()


def r(name: str, a: str, b: str, conductance: float = 1e-3) -> Edge:
    return (name, a, b, Resistor(conductance=conductance))


def graph(*edges: Edge, inputs: tuple[str, ...] = (), outputs: tuple[Any, ...] = ()) -> Circuit:
    g = nx.MultiDiGraph()
    for name, a, b, device in edges:
        g.add_edge(a, b, name=name, device=device)
    return Circuit.from_graph(g, inputs=inputs, outputs=outputs)


def parts(**changes: Any) -> Circuit:
    """A sound circuit a-b-ground, with some parts replaced."""
    sound: dict[str, Any] = {
        "nodes": ("0", "a", "b"),
        "banks": (resistor_bank("R", [[1, 2], [2, 0]], [1e-3, 1e-3], ["r1", "r2"]),),
        "input_nodes": np.array([1]),
        "output_pairs": np.array([[2, 0]]),
    }
    return Circuit(**{**sound, **changes})


def bank(
    device: type[Device], pins: list[list[int]], values: dict[str, Any], trainable: tuple[str, ...] = ()
) -> Bank:
    names = tuple(f"x{e}" for e in range(len(pins)))
    return Bank("X", device, np.array(pins), values, names, frozenset(trainable))


def crossbar(g: Any = ((1e-3,),), rows: tuple[int, ...] = (1,), columns: tuple[int, ...] = (2,)) -> Crossbar:
    return Crossbar("W", np.array(rows), np.array(columns), np.array(g))


Build = Callable[[], Circuit]

# What is wrong: how it is built, the element the message must name, and what it must say of it.
FAULTY: dict[str, tuple[Build, str, str]] = {
    # nodes that hang in the air
    "floating node": (
        lambda: parts(nodes=("0", "a", "b", "spare")),
        "node spare",
        "floating node: no element connects to it; remove it",
    ),
    "island": (
        lambda: graph(r("r1", "a", "0"), r("r2", "p", "q"), r("r3", "q", "s")),
        "nodes p, q, s",
        "no conducting path to ground or to an input",
    ),
    "node behind a capacitor": (
        lambda: graph(r("r1", "a", "0"), ("c1", "a", "p", Capacitor(value=1e-12))),
        "node p",
        "no conducting path",
    ),
    "node behind a current source": (
        lambda: graph(r("r1", "a", "0"), ("i1", "a", "p", CurrentSource(amplitude=1e-6))),
        "node p",
        "no conducting path",
    ),
    "node behind an open resistor": (
        lambda: graph(r("r1", "a", "0"), r("r2", "a", "p", 0.0)),
        "node p",
        "zero conductances do not conduct",
    ),
    "island behind an open crossbar": (
        lambda: parts(nodes=("0", "a", "b", "p"), crossbars=(crossbar([[0.0]], (2,), (3,)),)),
        "node p",
        "no conducting path",
    ),
    "column with no closed cross-point": (
        lambda: parts(nodes=("0", "a", "b", "p", "q"), crossbars=(crossbar([[1e-3, 0.0]], (2,), (3, 4)),)),
        "node q",
        "no conducting path",
    ),
    "control port that nothing holds": (
        lambda: graph(
            r("r1", "a", "0"),
            ("e1", "a", "0", VCCS(transconductance=1e-3, control=("cp", "0"))),
            r("r2", "cp", "s"),
        ),
        "nodes cp, s",
        "no conducting path",
    ),
    "floating source": (
        lambda: graph(r("r1", "a", "0"), ("v1", "p", "q", V)),
        "nodes p, q",
        "no conducting path",
    ),
    # voltages fixed twice
    "sources in parallel": (
        lambda: graph(("v1", "a", "0", V), ("v2", "a", "0", VoltageSource(voltage=2.0)), r("r1", "a", "0")),
        "v2",
        "closes a loop of voltage sources and inputs (nodes a, 0); remove one, or add a series resistor",
    ),
    "loop of three sources": (
        lambda: graph(("v1", "a", "b", V), ("v2", "b", "c", V), ("v3", "c", "a", V), r("r1", "a", "0")),
        "v3",
        "closes a loop of voltage sources",
    ),
    "source across an input": (
        lambda: graph(("v1", "a", "0", V), r("r1", "a", "0"), inputs=("a",)),
        "v1",
        "closes a loop of voltage sources and inputs",
    ),
    "source between two inputs": (
        lambda: graph(("v1", "a", "b", V), r("r1", "a", "0"), inputs=("a", "b")),
        "v1",
        "closes a loop of voltage sources and inputs",
    ),
    "node driven by two amplifiers": (
        lambda: graph(r("r1", "a", "0"), r("r2", "b", "0"), ("a1", "a", "o", AMP), ("a2", "b", "o", AMP)),
        "a2",
        "drives node o, as a1 does",
    ),
    "amplifier loop": (
        lambda: graph(r("r1", "a", "0"), ("a1", "a", "b", AMP), ("a2", "b", "a", AMP)),
        "a2",
        "drives a node whose voltage is already fixed",
    ),
    "amplifier that drives an input": (
        lambda: graph(r("r1", "a", "0"), ("a1", "a", "b", AMP), inputs=("b",)),
        "a1",
        "drives node b, whose voltage is already fixed",
    ),
    "amplifier that drives a source": (
        lambda: graph(r("r1", "a", "0"), ("v1", "b", "0", V), ("a1", "a", "b", AMP)),
        "a1",
        "drives node b, whose voltage is already fixed",
    ),
    "amplifier from an input to an input": (
        lambda: graph(r("r1", "a", "b"), ("a1", "a", "b", AMP), inputs=("a", "b")),
        "a1",
        "drives a node whose voltage is already fixed",
    ),
    "amplifiers whose outputs a source ties together": (
        lambda: graph(
            r("r1", "a", "0"),
            r("r2", "b", "0"),
            ("a1", "a", "p", AMP),
            ("a2", "b", "q", AMP),
            ("v1", "p", "q", V),
        ),
        "a2",
        "already fixed",
    ),
    # elements that connect nothing
    "self-loop": (lambda: graph(r("r1", "a", "0"), r("r2", "a", "a")), "r2", "connects node a to itself"),
    "resistor from ground to ground": (
        lambda: graph(r("r1", "a", "0"), r("r2", "0", "gnd")),
        "r2",
        "connects node 0 to itself",
    ),
    "crossbar with a node as row and as column": (
        lambda: parts(crossbars=(crossbar([[1e-3, 1e-3]], (1,), (1, 2)),)),
        "crossbar W",
        "nodes appear more than once as row or column: a",
    ),
    "crossbar with a row given twice": (
        lambda: parts(crossbars=(crossbar([[1e-3], [1e-3]], (1, 1), (2,)),)),
        "crossbar W",
        "nodes appear more than once as row or column: a",
    ),
    "crossbar without columns": (
        lambda: parts(crossbars=(crossbar(np.zeros((1, 0)), (1,), ()),)),
        "crossbar W",
        "has no rows or no columns",
    ),
    "pin outside the circuit": (
        lambda: parts(banks=(resistor_bank("R", [[1, 2], [2, 7]], [1.0, 1.0], ["r1", "r2"]),)),
        "r2",
        "pins [2, 7] name a node that does not exist",
    ),
    "negative pin": (
        lambda: parts(banks=(resistor_bank("R", [[1, 2], [2, -1]], [1.0, 1.0], ["r1", "r2"]),)),
        "r2",
        "name a node that does not exist",
    ),
    "crossbar outside the circuit": (
        lambda: parts(crossbars=(crossbar(columns=(9,)),)),
        "crossbar W",
        "rows or columns name a node that does not exist",
    ),
    # values
    "negative conductance": (
        lambda: parts(banks=(resistor_bank("R", [[1, 2], [2, 0]], [1.0, -2.0], ["r1", "r2"]),)),
        "r2",
        "conductance = -2 S must be finite and non-negative",
    ),
    "conductance that is not a number": (
        lambda: parts(banks=(resistor_bank("R", [[1, 2], [2, 0]], [np.nan, 1.0], ["r1", "r2"]),)),
        "r1",
        "conductance = nan S must be finite and non-negative",
    ),
    "infinite conductance": (
        lambda: parts(banks=(resistor_bank("R", [[1, 2], [2, 0]], [np.inf, 1.0], ["r1", "r2"]),)),
        "r1",
        "conductance = inf S must be finite",
    ),
    "negative conductance in a crossbar": (
        lambda: parts(crossbars=(crossbar([[1e-3], [-1e-3]], (1, 0), (2,)),)),
        "W_1_0",
        "conductance = -0.001 S must be finite and non-negative",
    ),
    "conductance in a crossbar that is not a number": (
        lambda: parts(crossbars=(crossbar([[np.nan]]),)),
        "W_0_0",
        "conductance = nan S must be finite",
    ),
    "infinite conductance in a crossbar": (
        lambda: parts(crossbars=(crossbar([[np.inf]]),)),
        "W_0_0",
        "conductance = inf S must be finite",
    ),
    "source without a finite voltage": (
        lambda: parts(
            nodes=("0", "a", "b", "c"),
            banks=(*parts().banks, bank(VoltageSource, [[3, 0]], {"voltage": [np.inf]})),
        ),
        "x0",
        "voltage = inf V must be finite",
    ),
    "diode without a saturation current": (
        lambda: parts(
            banks=(
                *parts().banks,
                bank(
                    Diode,
                    [[2, 0]],
                    {**{k: [v] for k, v in Diode().values.items()}, "saturation_current": [0.0]},
                ),
            )
        ),
        "x0",
        "saturation_current = 0 A must be finite and positive",
    ),
    # names
    "duplicate element name": (
        lambda: graph(r("r1", "a", "0"), r("R1", "a", "0")),
        "element 'r1'",
        "duplicate name, used 2 times (SPICE ignores upper and lower case)",
    ),
    "duplicate element name across banks": (
        lambda: graph(r("x", "a", "0"), ("X", "a", "0", Diode())),
        "element 'x'",
        "duplicate name",
    ),
    "duplicate node name": (
        lambda: graph(r("r1", "out", "0"), r("r2", "OUT", "0")),
        "node 'out'",
        "duplicate name, used 2 times",
    ),
    "duplicate bank name": (
        lambda: parts(banks=(*parts().banks, resistor_bank("r", [[2, 0]], [1.0], ["r3"]))),
        "bank 'r'",
        "duplicate name",
    ),
    "bank with the name of a crossbar": (
        lambda: parts(crossbars=(crossbar(),), banks=(resistor_bank("w", [[2, 0]], [1.0], ["r3"]),)),
        "bank 'w'",
        "duplicate name",
    ),
    "element with the name of a cross-point": (
        lambda: parts(crossbars=(crossbar(),), banks=(resistor_bank("R", [[2, 0]], [1.0], ["w_0_0"]),)),
        "w_0_0",
        "duplicate name: crossbar W has an element of that name",
    ),
    "illegal node name": (
        lambda: graph(r("r1", "a b", "0")),
        "node 'a b'",
        "illegal name; use letters, digits, '_' and '.'",
    ),
    "empty node name": (lambda: parts(nodes=("0", "", "b")), "node ''", "illegal name"),
    "node name that starts with a dot": (
        lambda: parts(nodes=("0", ".1a", "b")),
        "node '.1a'",
        "illegal name",
    ),
    "node that SPICE takes for ground": (
        lambda: parts(nodes=("0", "GND", "b")),
        "node 'GND'",
        "reserved name",
    ),
    "illegal element name": (lambda: graph(r("r=1", "a", "0")), "element 'r=1'", "illegal name"),
    "illegal bank name": (
        lambda: parts(banks=(resistor_bank("R.1", [[1, 2], [2, 0]], [1.0, 1.0], ["r1", "r2"]),)),
        "bank 'R.1'",
        "illegal name; use letters, digits and '_'",
    ),
    "no ground": (lambda: parts(nodes=("a", "b", "c")), "nodes", 'the first node must be ground, "0"'),
    # ports
    "unknown input": (lambda: parts(input_nodes=np.array([5])), "inputs", "an input node does not exist"),
    "unknown output": (
        lambda: parts(output_pairs=np.array([[5, 0]])),
        "outputs",
        "an output node does not exist",
    ),
    "input named but absent from the graph": (
        lambda: graph(r("r1", "a", "0"), inputs=("q",)),
        "input q",
        "unknown node 'q'",
    ),
    "output named but absent from the graph": (
        lambda: graph(r("r1", "a", "0"), outputs=(("a", "q"),)),
        "output ('a', 'q')",
        "unknown node 'q'",
    ),
    "input given twice": (lambda: parts(input_nodes=np.array([1, 1])), "input 'a'", "duplicate name"),
    "ground as input": (lambda: parts(input_nodes=np.array([0])), "input '0'", "ground cannot be an input"),
    "output with one node twice": (
        lambda: parts(output_pairs=np.array([[2, 2]])),
        "output b",
        "an output needs two different nodes, or one node",
    ),
    # parameters and shapes
    "parameter that cannot be trained": (
        lambda: parts(
            banks=(
                *parts().banks,
                bank(Diode, [[2, 0]], {k: [v] for k, v in Diode().values.items()}, ("emission",)),
            )
        ),
        "bank X",
        "'emission' of a diode is not trainable; trainable are none",
    ),
    "unknown trainable parameter": (
        lambda: parts(banks=(bank(Resistor, [[1, 2], [2, 0]], {"conductance": [1.0, 1.0]}, ("g",)),)),
        "bank X",
        "'g' of a resistor is not trainable; trainable are ['conductance']",
    ),
    "missing parameter": (
        lambda: parts(banks=(*parts().banks, bank(Diode, [[2, 0]], {"saturation_current": [1e-14]}))),
        "bank X",
        "parameters ['saturation_current'], expected",
    ),
    "pins of the wrong shape": (
        lambda: parts(banks=(bank(Resistor, [[1, 2, 0]], {"conductance": [1.0]}),)),
        "bank X",
        "pins have shape (1, 3), expected (1, 2)",
    ),
    "values of the wrong shape": (
        lambda: parts(banks=(bank(Resistor, [[1, 2], [2, 0]], {"conductance": [1.0]}),)),
        "bank X",
        "conductance has shape (1,), expected (2,)",
    ),
    "crossbar of the wrong shape": (
        lambda: parts(crossbars=(crossbar([[1.0, 1.0]]),)),
        "crossbar W",
        "conductance has shape (1, 2), expected (1, 1)",
    ),
}


@pytest.mark.parametrize("what", FAULTY)
def test_a_fault_is_reported_with_the_name_of_its_element(what: str) -> None:
    build, where, says = FAULTY[what]
    with pytest.raises(CircuitError) as caught:
        build()
    named = [fault for fault in caught.value.faults if fault.where == where]
    assert named, str(caught.value)
    assert any(says in fault.what for fault in named), str(caught.value)
    assert f"- {where}: " in str(caught.value)


@pytest.mark.parametrize("what", [k for k in FAULTY if "unknown" not in k and "absent" not in k])
def test_one_fault_is_reported_once(what: str) -> None:
    build, where, _ = FAULTY[what]
    with pytest.raises(CircuitError) as caught:
        build()
    assert [fault.where for fault in caught.value.faults] == [where]


def test_the_collection_is_large_enough() -> None:
    assert len(FAULTY) >= 25


def test_all_structural_faults_are_reported_at_once() -> None:
    with pytest.raises(CircuitError) as caught:
        graph(
            r("r1", "a", "0"),
            r("r2", "a", "a"),
            ("v1", "b", "0", V),
            ("v2", "b", "0", V),
            ("a1", "a", "b", AMP),
            outputs=(("a", "a"),),
        )
    assert {fault.where for fault in caught.value.faults} >= {"r2", "v2", "a1", "output a"}


def test_all_illegal_values_are_reported_at_once() -> None:
    with pytest.raises(CircuitError) as caught:
        parts(
            banks=(resistor_bank("R", [[1, 2], [2, 0]], [-1.0, np.nan], ["r1", "r2"]),),
            crossbars=(crossbar([[-1.0]]),),
        )
    assert [fault.where for fault in caught.value.faults] == ["W_0_0", "r1", "r2"]
    assert "circuit has 3 faults:" in str(caught.value)


def test_all_bad_names_are_reported_at_once() -> None:
    with pytest.raises(CircuitError) as caught:
        graph(r("r 1", "a b", "0"), r("r2", "c", "0"), r("R2", "C", "0"))
    assert {fault.where for fault in caught.value.faults} == {
        "node 'a b'", "node 'c'", "element 'r 1'", "element 'r2'"
    }  # fmt: skip


def test_every_island_is_reported() -> None:
    with pytest.raises(CircuitError) as caught:
        graph(r("r1", "a", "0"), r("r2", "p", "q"), r("r3", "s", "t"))
    assert [fault.where for fault in caught.value.faults] == ["nodes p, q", "nodes s, t"]


def test_a_long_list_of_names_is_cut() -> None:
    assert listing(["a", "b"]) == "a, b"
    assert listing(f"n{i}" for i in range(11)) == "n0, n1, n2, n3, n4, n5, n6, n7 and 3 more"


def test_the_message_has_one_line_for_each_fault() -> None:
    one = CircuitError("circuit", [Fault("r1", "is wrong")])
    assert str(one) == "circuit has 1 fault:\n  - r1: is wrong"
    two = CircuitError("circuit", [Fault("r1", "is wrong"), Fault("r2", "is too")])
    assert str(two).splitlines()[0] == "circuit has 2 faults:"


# --- what is legal -----------------------------------------------------------------------------------------

LEGAL: dict[str, Build] = {
    "source to ground": lambda: graph(("v1", "a", "0", V), r("r1", "a", "0")),
    "chain of sources": lambda: graph(("v1", "a", "0", V), ("v2", "b", "a", V)),
    "floating source that a resistor holds": lambda: graph(("v1", "a", "b", V), r("r1", "b", "0")),
    "source on an input": lambda: graph(("v1", "b", "a", V), inputs=("a",)),
    "chain of amplifiers": lambda: graph(
        r("r1", "a", "0"), ("a1", "a", "b", AMP), ("a2", "b", "c", AMP), r("r2", "c", "0")
    ),
    "amplifier with two outputs' worth of loads": lambda: graph(
        r("r1", "a", "0"), ("a1", "a", "b", AMP), ("a2", "a", "c", AMP), r("r2", "b", "c")
    ),
    "amplifier behind an input": lambda: graph(("a1", "a", "b", AMP), r("r1", "b", "0"), inputs=("a",)),
    "source behind an amplifier": lambda: graph(
        r("r1", "a", "0"), ("a1", "a", "b", AMP), ("v1", "c", "b", V), r("r2", "c", "0")
    ),
    "node held by a diode": lambda: graph(("d1", "a", "0", Diode())),
    "node held by an ideal diode": lambda: graph(("d1", "a", "0", IdealDiode())),
    "node held by a controlled source": lambda: graph(
        ("e1", "a", "0", VCVS(gain=1.0, control=("b", "0"))), r("r1", "b", "0")
    ),
    "control port that senses current": lambda: graph(
        r("r1", "c", "0"), r("r2", "a", "0"), ("h1", "b", "0", CCVS(transresistance=1.0, control=("c", "a")))
    ),
    "short that senses current": lambda: graph(
        r("r1", "a", "0"), r("r2", "c", "s"), ("f1", "a", "0", CCCS(gain=1.0, control=("c", "a")))
    ),
    "capacitor beside a resistor": lambda: graph(r("r1", "a", "0"), ("c1", "a", "0", Capacitor(value=1e-12))),
    "open resistor beside a closed one": lambda: graph(r("r1", "a", "0"), r("r2", "a", "0", 0.0)),
    "input that is an output": lambda: graph(r("r1", "a", "0"), inputs=("a",), outputs=("a",)),
    "input that nothing touches": lambda: parts(nodes=("0", "a", "b", "c"), input_nodes=np.array([1, 3])),
    "crossbar from ground": lambda: parts(crossbars=(crossbar([[1e-3], [1e-3]], (0, 1), (2,)),)),
    "element names in two cases of another": lambda: graph(r("r1", "a", "0"), r("r_1", "a", "0")),
    "name that only begins like a cross-point": lambda: parts(
        crossbars=(crossbar(),), banks=(resistor_bank("R", [[2, 0]], [1.0], ["w_0_1"]),)
    ),
}


@pytest.mark.parametrize("what", LEGAL)
def test_what_is_legal_passes(what: str) -> None:
    assert LEGAL[what]().nodes[0] == "0"


@given(circuit=circuits())
def test_random_circuits_are_sound(circuit: Circuit) -> None:
    assert structural_faults(circuit) == []
    assert value_faults(circuit) == []


@given(experiment=experiments())
def test_the_full_check_and_the_check_of_an_update_agree(experiment: tuple[Circuit, np.ndarray]) -> None:
    circuit, _ = experiment
    for name, value in circuit.parameters.items():
        if not name.endswith(".conductance"):
            continue
        try:
            changed = circuit.with_parameters({name: 0.0 * value})
            by_update: list[str] = []
        except CircuitError as error:
            by_update = [str(fault) for fault in error.faults]
            changed = circuit._with({name: 0.0 * value})
        assert [str(fault) for fault in value_faults(changed)] == by_update


@given(st.integers(1, 8), st.integers(1, 8), st.floats(0, 1), st.integers(0, 10**6))
def test_parts_of_a_crossbar_are_those_of_its_closed_conductances(
    rows: int, columns: int, p: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    closed = rng.random((rows, columns)) < p
    nodes = rng.permutation(rows + columns)
    found, wanted = _Sets(rows + columns), _Sets(rows + columns)
    _join_crossbar(found, nodes[:rows], nodes[rows:], closed)
    for r, c in np.argwhere(closed):
        wanted.join(int(nodes[r]), int(nodes[rows + c]))
    for a in range(rows + columns):
        for b in range(a):
            assert (found.find(a) == found.find(b)) == (wanted.find(a) == wanted.find(b))
