"""A subcircuit per layer: the same circuit when read back, the same voltages under the same names in ngspice."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from strategies import circuits, experiments
from test_parity import Case, ordinary, resolvable

from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.devices import Diode, IdealDiode
from analogep.errors import InputError, NetlistError
from analogep.networks import deep_resistive, uniform
from analogep.solve import operating_point
from analogep.spice import from_netlist, read_netlist, to_netlist
from analogep.spice.dialects import DIALECTS
from analogep.spice.engines.ngspice import RELAXED, TIGHT, run_ngspice
from analogep.spice.writing.layers import layers_of
from analogep.spice.writing.script import without_script

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits


def network(bias: str = "lines", diode: Diode | IdealDiode | None = None) -> tuple[Circuit, np.ndarray]:
    rng = np.random.default_rng(5)
    circuit = deep_resistive(
        [4, 6, 3, 2],
        amplifier=(4.0, 0.25),
        bias=bias,
        diode=diode,
        rails=(-0.1, 0.1),
        initial=uniform(1e-5, 1e-4),
        rng=rng,
    )
    return circuit, rng.uniform(-1, 1, (2, len(circuit.inputs)))


def solved(text: str, circuit: Circuit) -> np.ndarray:
    """Voltages (N,) that ngspice finds."""
    outcome = run_ngspice(text, [{}], TIGHT, 30.0)
    if outcome.points[0] is None:
        outcome = run_ngspice(text, [{}], RELAXED, 30.0)
    point = outcome.points[0]
    assert point is not None, outcome.log
    return np.array([0.0, *(point[name.lower()] for name in circuit.nodes[1:])])


# --- what belongs to a layer ---------------------------------------------------------------------------


@pytest.mark.parametrize("bias", ["lines", "current"])
def test_diodes_amplifiers_and_biases_stand_with_their_crossbar(bias: str) -> None:
    circuit, _ = network(bias)
    layers, rest = layers_of(circuit)
    assert [layer.crossbar.name for layer in layers] == ["W1", "W2", "W3"]
    rails = ["rail_low_source", "rail_high_source"]
    assert [bank.name for bank in rest] == (["bias_lines", *rails] if bias == "lines" else rails)
    for k, layer in enumerate(layers, start=1):
        assert all(bank.name.endswith(str(k)) for bank in layer.banks)
        assert len(layer.banks) == (3 if k < 3 else 0) + (bias == "current")


@given(circuits())
def test_every_bank_is_in_one_place(circuit: Circuit) -> None:
    layers, rest = layers_of(circuit)
    names = [bank.name for layer in layers for bank in layer.banks] + [bank.name for bank in rest]
    assert sorted(names) == sorted(bank.name for bank in circuit.banks)


# --- there and back ------------------------------------------------------------------------------------


@given(circuits())
def test_random_circuits_come_back(circuit: Circuit) -> None:
    assert from_netlist(to_netlist(circuit, hierarchy="layers")) == circuit


@pytest.mark.parametrize("bias", ["lines", "current"])
@pytest.mark.parametrize("diode", [Diode(), Diode(series_resistance=3.0, temperature=311.7), IdealDiode(0.1)])
def test_networks_come_back_with_their_inputs(bias: str, diode: Diode | IdealDiode) -> None:
    circuit, inputs = network(bias, diode)
    for dialect in ("ngspice", "ltspice"):
        read = read_netlist(to_netlist(circuit, inputs, sample=1, hierarchy="layers", dialect=dialect))
        assert read.circuit == circuit
        np.testing.assert_array_equal(read.inputs, inputs[1:])


def test_lines_are_short_and_all_elements_but_sources_stand_in_layers() -> None:
    circuit = deep_resistive([300, 40, 2], rng=np.random.default_rng(0))
    text = to_netlist(circuit, hierarchy="layers")
    assert max(map(len, text.splitlines())) <= 120
    outside = re.sub(r"^\.subckt (\S+).*?^\.ends \1$", "", without_script(text), flags=re.M | re.S)
    elements = [line for line in outside.splitlines()[1:] if line and line[0] not in "*.+"]
    assert {line[0] for line in elements} == {"V", "X"}
    assert from_netlist(text) == circuit


def limited(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ngspice = DIALECTS["ngspice"]
    limits = replace(ngspice.limits, most_pins=most)
    monkeypatch.setitem(DIALECTS, "ngspice", replace(ngspice, limits=limits))  # type: ignore[type-var]


@pytest.mark.ngspice
@pytest.mark.parametrize("most", [8, 9, 13])
def test_a_limit_on_pins_makes_parts(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limited(most, monkeypatch)
    for diode in (Diode(series_resistance=3.0, gmin=1e-9), IdealDiode(0.1)):
        circuit, inputs = network("current", diode)
        text = to_netlist(circuit, inputs, hierarchy="layers")
        logical = text.replace("\n+", "")
        assert "\n.subckt W1_part2 " in text
        assert all(len(pins.split()) <= most for pins in re.findall(r"^\.subckt \S+ (.*)$", logical, re.M))
        assert from_netlist(text) == circuit
        expected = solved(to_netlist(circuit, inputs), circuit)
        np.testing.assert_allclose(solved(text, circuit), expected, rtol=0, atol=1e-12)


def test_a_row_with_more_pins_than_the_limit_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    limited(6, monkeypatch)
    with pytest.raises(NetlistError, match="layer W1: ngspice takes 6 pins at most"):
        to_netlist(network()[0], hierarchy="layers")


@pytest.mark.ngspice
def test_a_layer_of_a_thousand_inputs_in_ngspice() -> None:
    rng = np.random.default_rng(0)
    circuit = deep_resistive([1010, 4, 2], initial=uniform(1e-6, 1e-5), rng=rng)
    inputs = rng.uniform(-1, 1, (1, 1010))
    expected = operating_point(circuit, inputs).voltages[0]
    np.testing.assert_allclose(
        solved(to_netlist(circuit, inputs, hierarchy="layers"), circuit), expected, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\nXW1 ", "\nXW9 "), "XW1 must repeat the pins"),
        (("\nXW2 h1_0 y0", "\nXW2 y0 h1_0"), "XW2 must repeat the pins"),
        (("\n.subckt W1 ", "\n.subckt W7 "), "expected its .subckt"),
        (("\n.ends W2\n", "\n"), "XW2 must repeat the pins"),
        (("*@ layer W1", "*@ layer W1 W2"), "expected a name"),
    ],
)
def test_edits_that_break_a_layer_are_faults(change: tuple[str, str], message: str) -> None:
    text = to_netlist(deep_resistive([2, 2, 2], rng=np.random.default_rng(0)), hierarchy="layers")
    assert change[0] in text
    with pytest.raises(NetlistError, match=message):
        from_netlist(text.replace(*change))


def test_helpers_must_not_take_the_name_of_a_node_elsewhere() -> None:
    """ngspice calls a helper node of subcircuit XW ``xw.<helper>``."""
    crossbar = Crossbar("W", np.array([1]), np.array([2]), np.array([[1e-3]]))
    diode = {k: np.array([v]) for k, v in IdealDiode().values.items()}
    bank = Bank("clamp", IdealDiode, np.array([[2, 0]]), diode, ("c1",))
    circuit = Circuit(
        ("0", "x", "h", "xw.bc1_state"),
        (bank, resistor_bank("r", [[3, 0]], [1e-3], ["r1"])),
        (crossbar,),
        np.array([1]),
    )
    to_netlist(circuit)
    with pytest.raises(NetlistError, match="helper node"):
        to_netlist(circuit, hierarchy="layers")


def test_unknown_hierarchies_are_refused() -> None:
    with pytest.raises(InputError, match="use one of flat, layers"):
        to_netlist(network()[0], hierarchy="deep")  # type: ignore[arg-type]


# --- in ngspice ----------------------------------------------------------------------------------------


@pytest.mark.ngspice
@pytest.mark.parametrize("bias", ["lines", "current"])
@pytest.mark.parametrize("diode", [Diode(), Diode(series_resistance=3.0, gmin=1e-9), IdealDiode(0.1)])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_ngspice_finds_the_flat_voltages(dialect: str, bias: str, diode: Diode | IdealDiode) -> None:
    circuit, inputs = network(bias, diode)
    flat, layered = (
        solved(to_netlist(circuit, inputs, hierarchy=hierarchy, dialect=dialect), circuit)
        for hierarchy in ("flat", "layers")
    )
    np.testing.assert_allclose(layered, flat, rtol=0, atol=1e-12)


@pytest.mark.ngspice
def test_nudges_guesses_and_folding_go_with_it() -> None:
    circuit, inputs = network()
    solution = operating_point(circuit, inputs)
    for options in ({"nodeset": solution}, {"fold_inputs": True}):
        text = to_netlist(circuit, inputs, hierarchy="layers", **options)
        np.testing.assert_allclose(solved(text, circuit), solution.voltages[0], rtol=0, atol=1e-9)


@pytest.mark.ngspice
@settings(max_examples=20)
@given(experiments())
def test_random_circuits_in_ngspice(case: Case) -> None:
    circuit, inputs = case = resolvable(case)
    assume(circuit.crossbars and ordinary(case))
    expected = operating_point(circuit, inputs).voltages[0]
    found = solved(to_netlist(circuit, inputs, hierarchy="layers"), circuit)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
