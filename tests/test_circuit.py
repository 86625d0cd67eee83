"""The circuit as data: immutable, shared topology, ports, parameters, equality."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import circuits

from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.devices import Diode, Sine, VoltageSource
from analogep.errors import CircuitError, InputError


def small(**changes: Any) -> Circuit:
    """Two inputs, a 2 by 2 crossbar, two loads, a diode and a bias."""
    parts: dict[str, Any] = {
        "nodes": ("0", "a", "b", "h1", "h2", "bias"),
        "banks": (
            resistor_bank("load", [[3, 0], [4, 0], [5, 3]], [1e-4, 2e-4, 3e-4], ["r1", "r2", "r3"]),
            Bank("d", Diode, np.array([[3, 4]]), {k: np.array([v]) for k, v in Diode().values.items()}, ("d1",)),
            Bank("v", VoltageSource, np.array([[5, 0]]), {"voltage": np.array([0.5])}, ("v1",)),
        ),
        "crossbars": (Crossbar("W", np.array([1, 2]), np.array([3, 4]), np.full((2, 2), 1e-3)),),
        "input_nodes": np.array([1, 2]),
        "output_pairs": np.array([[3, 0], [3, 4]]),
    }
    return Circuit(**{**parts, **changes})


# --- immutability ------------------------------------------------------------------------------------------


@given(circuit=circuits())
def test_every_array_is_read_only(circuit: Circuit) -> None:
    arrays = [circuit.input_nodes, circuit.output_pairs, *circuit.parameters.values()]
    for bank in circuit.banks:
        arrays += [bank.pins, *bank.values.values()]
    for crossbar in circuit.crossbars:
        arrays += [crossbar.rows, crossbar.columns, crossbar.conductance]
    for array in arrays:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 1


def test_arrays_are_copied_in() -> None:
    g, rows, pairs, inputs = np.full((2, 2), 1e-3), np.array([1, 2]), np.array([[3, 0]]), np.array([1, 2])
    pins, load = np.array([[3, 0], [4, 0], [5, 3]]), np.array([1.0, 1.0, 1.0])
    bank = resistor_bank("load", pins, load, ["r1", "r2", "r3"])
    circuit = small(
        banks=(bank, *small().banks[1:]),
        crossbars=(Crossbar("W", rows, np.array([3, 4]), g),),
        output_pairs=pairs,
        input_nodes=inputs,
    )
    for array in (g, rows, pairs, inputs, pins, load):
        array[...] = 0
    assert circuit.crossbars[0].conductance.tolist() == [[1e-3, 1e-3], [1e-3, 1e-3]]
    assert circuit.crossbars[0].rows.tolist() == [1, 2]
    assert circuit.output_pairs.tolist() == [[3, 0]]
    assert circuit.input_nodes.tolist() == [1, 2]
    assert circuit.banks[0].pins.tolist() == [[3, 0], [4, 0], [5, 3]]
    assert circuit.banks[0].values["conductance"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["nodes", "banks", "crossbars", "input_nodes", "output_pairs"])
def test_attributes_cannot_be_set(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(small(), name, ())


def test_changing_the_mapping_of_parameters_does_not_change_the_circuit() -> None:
    circuit = small()
    circuit.parameters.clear()
    assert list(circuit.parameters) == ["W.conductance"]


# --- parameters --------------------------------------------------------------------------------------------


@given(circuit=circuits(), factor=st.floats(0.5, 2.0))
def test_new_parameters_share_the_topology_and_leave_the_original_alone(circuit: Circuit, factor: float) -> None:
    before = {name: value.copy() for name, value in circuit.parameters.items()}
    changed = circuit.with_parameters({name: factor * value for name, value in before.items()})
    assert changed.topology is circuit.topology
    assert changed.derived is not circuit.derived
    for name, value in before.items():
        assert np.array_equal(circuit.parameters[name], value)
        assert np.array_equal(changed.parameters[name], factor * value)
        assert not changed.parameters[name].flags.writeable
    assert changed.with_parameters(before) == circuit


@given(circuit=circuits())
def test_parameters_are_the_trainable_blocks_with_their_units(circuit: Circuit) -> None:
    trainable = {f"{c.name}.conductance": "S" for c in circuit.crossbars if c.trainable}
    trainable |= {f"{t.name}.{key}": "S" for t in circuit.transconductances if t.trainable for key in t.values}
    for bank in circuit.banks:
        for key in bank.trainable:
            trainable[f"{bank.name}.{key}"] = bank.device.parameters()[key].unit
    assert circuit.parameter_units == trainable
    assert set(circuit.parameters) == set(trainable)


def test_parameters_that_are_not_trainable_can_be_replaced_too() -> None:
    changed = small().with_parameters({"v.voltage": [1.5], "d.emission": [2.0]})
    assert changed.banks[2].values["voltage"].tolist() == [1.5]
    assert changed.banks[1].values["emission"].tolist() == [2.0]
    assert changed.banks[1].values["saturation_current"].tolist() == [1e-14]


@pytest.mark.parametrize(
    ("update", "message"),
    [
        (
            {"W.conductances": 1.0},
            r"W\.conductances: unknown parameter block; this circuit has W\.conductance",
        ),
        ({"W.conductance": np.ones((2, 3))}, r"W\.conductance: shape \(2, 3\) does not fit \(2, 2\)"),
        ({"W.conductance": 1.0}, r"W\.conductance: shape \(\) does not fit"),
        ({"W.conductance": "high"}, r"W\.conductance: not an array of numbers"),
        ({"W.conductance": [[1, 1], [-1, 1]]}, r"W_1_0: conductance = -1 S must be finite and non-negative"),
        ({"load.conductance": [1, np.nan, 1]}, r"r2: conductance = nan S must be finite and non-negative"),
        ({"d.emission": [0.0]}, r"d1: emission = 0 must be finite and positive"),
    ],
)
def test_an_impossible_update_is_refused_by_name(update: dict[str, Any], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        small().with_parameters(update)


def test_an_update_reports_all_its_faults() -> None:
    with pytest.raises(CircuitError) as caught:
        small().with_parameters({"W.conductance": -np.ones((2, 2)), "load.conductance": [-1.0, 1.0, np.inf]})
    assert [fault.where for fault in caught.value.faults] == ["W_0_0", "W_0_1", "W_1_0", "W_1_1", "r1", "r3"]


def test_an_update_that_opens_the_last_path_of_a_node_is_refused() -> None:
    circuit = Circuit(
        ("0", "a", "b"),
        (resistor_bank("R", [[1, 0], [1, 2]], [1.0, 1.0], ["r1", "r2"], trainable=True),),
    )
    with pytest.raises(CircuitError, match="node b: no conducting path"):
        circuit.with_parameters({"R.conductance": [1.0, 0.0]})


def test_an_update_to_zero_that_leaves_a_path_is_legal() -> None:
    changed = small().with_parameters({"W.conductance": np.zeros((2, 2))})
    assert not changed.parameters["W.conductance"].any()


# --- equality ----------------------------------------------------------------------------------------------


@given(circuit=circuits(), data=st.data())
def test_equality_does_not_depend_on_the_order_of_nodes_elements_and_banks(
    circuit: Circuit, data: st.DataObject
) -> None:
    assert circuit == shuffled(circuit, data)


def shuffled(circuit: Circuit, data: st.DataObject) -> Circuit:
    """The same circuit with its nodes (but ground), banks and elements in another order."""
    order = [0, *data.draw(st.permutations(range(1, len(circuit.nodes))))]
    place = np.argsort(order)
    banks = []
    for bank in data.draw(st.permutations(circuit.banks)):
        e = np.array(data.draw(st.permutations(range(bank.size))))
        values = {key: value[e] for key, value in bank.values.items()}
        names = tuple(bank.names[k] for k in e)
        banks.append(replace(bank, pins=place[bank.pins[e]], values=values, names=names))
    crossbars, couplings = (
        tuple(replace(c, rows=place[c.rows], columns=place[c.columns]) for c in data.draw(st.permutations(kind)))
        for kind in (circuit.crossbars, circuit.transconductances)
    )
    return Circuit(
        tuple(circuit.nodes[i] for i in order),
        tuple(banks),
        crossbars,
        place[circuit.input_nodes],
        place[circuit.output_pairs],
        transconductances=couplings,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"nodes": ("0", "a", "b", "h1", "h2", "other")},
        {"input_nodes": np.array([2, 1])},
        {"output_pairs": np.array([[3, 4], [3, 0]])},
        {"output_pairs": np.array([[3, 0], [4, 3]])},
        {"crossbars": (Crossbar("W", np.array([1, 2]), np.array([3, 4]), np.full((2, 2), 2e-3)),)},
        {"crossbars": (Crossbar("U", np.array([1, 2]), np.array([3, 4]), np.full((2, 2), 1e-3)),)},
        {"crossbars": (Crossbar("W", np.array([1, 2]), np.array([4, 3]), np.full((2, 2), 1e-3)),)},
        {"crossbars": (Crossbar("W", np.array([1, 2]), np.array([3, 4]), np.full((2, 2), 1e-3), False),)},
    ],
)
def test_circuits_that_differ_are_not_equal(changes: dict[str, Any]) -> None:
    assert small() == small()
    assert small() != small(**changes)


def test_a_bank_that_differs_makes_circuits_differ() -> None:
    first, *rest = small().banks
    for other in (
        replace(first, name="load2"),
        replace(first, names=("r1", "r2", "r4")),
        replace(first, pins=first.pins[:, ::-1]),
        replace(first, values={"conductance": np.array([1e-4, 2e-4, 4e-4])}),
        replace(first, trainable=frozenset({"conductance"})),
    ):
        assert small() != small(banks=(other, *rest))


def test_a_circuit_is_not_equal_to_something_else_and_not_hashable() -> None:
    assert small() != "circuit"
    with pytest.raises(TypeError, match="unhashable"):
        hash(small())


# --- names and ports ---------------------------------------------------------------------------------------


def test_ports_are_named() -> None:
    circuit = small()
    assert circuit.inputs == ("a", "b")
    assert circuit.outputs == ("h1", ("h1", "h2"))
    assert circuit.node("h2") == 4
    assert circuit.node("0") == 0


def test_an_unknown_node_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no node 'H2'"):
        small().node("H2")


def test_elements_are_counted_and_named() -> None:
    circuit = small()
    assert circuit.element_count == 3 + 1 + 1 + 4
    assert circuit.crossbars[0].element_name(1, 0) == "W_1_0"
    assert circuit.crossbars[0].size == 4
    assert repr(circuit) == "<Circuit: 5 nodes, 2 inputs, 2 outputs; W 2\u00d72, load 3, d 1, v 1>"


def test_a_bank_gives_its_elements_back_as_devices() -> None:
    assert small().banks[1].element(0) == Diode()
    assert small().banks[2].element(0) == VoltageSource(voltage=0.5)


# --- input voltages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (np.array([1.5, 2.5], dtype=np.float32), [[1.5, 2.5]]),
        ({"a": 1, "b": 2}, [[1, 2]]),
        ({"b": [2, 3], "a": 1}, [[1, 2], [1, 3]]),
        ({"b": [2, 3], "a": [0, 1]}, [[0, 2], [1, 3]]),
    ],
)
def test_inputs_become_a_batch(inputs: Any, expected: list[list[float]]) -> None:
    array = small().input_array(inputs)
    assert array.dtype == np.float64
    assert array.tolist() == expected


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, r"inputs have shape \(1, 0\); this circuit needs \(batch, 2\) voltages"),
        (1.0, r"inputs have shape \(1, 1\)"),
        ([1, 2, 3], r"inputs have shape \(1, 3\)"),
        (np.zeros((2, 2, 2)), r"inputs have shape \(2, 2, 2\)"),
        ({"a": [[1, 2]], "b": 1}, r"inputs have shape"),
        ({"a": 1}, r"unknown \[\], missing \['b'\]; its inputs are \['a', 'b'\]"),
        ({"a": 1, "b": 2, "c": 3}, r"unknown \['c'\], missing \[\]"),
        ({"a": [1, 2, 3], "b": [1, 2]}, r"different numbers of samples: \{'a': 3, 'b': 2\}"),
        ({"a": "high", "b": 1}, r"input a: not an array of numbers"),
        (["high", "low"], r"inputs: not an array of numbers"),
        ([[1, 2], [3]], r"inputs: not an array of numbers"),
        ([[1, 2], [3, np.nan]], r"input b of sample 1 is nan; give a finite voltage"),
        ({"a": np.inf, "b": 0}, r"input a of sample 0 is inf; give a finite voltage"),
        (
            {"a": 0, "b": Sine(0.0, 1.0, 1e3)},
            r"input b has a waveform, Sine\(.*only analogep.transient follows.*value\(t\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        small().input_array(inputs)


def test_a_circuit_without_inputs_takes_none() -> None:
    circuit = Circuit(("0", "a"), (resistor_bank("R", [[1, 0]], [1.0], ["r"]),))
    assert circuit.input_array(None).shape == (1, 0)
    assert circuit.input_array({}).shape == (1, 0)
