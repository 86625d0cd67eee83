"""Every dialect writes every device: legal lines, nothing of another dialect, the same numbers.

Xyce, LTspice and HSPICE are not at hand; what ngspice reads of their text it solves, and must solve alike.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DEVICES

from analogep.circuit import Bank, Circuit
from analogep.constants import CELSIUS_ZERO
from analogep.devices import REGISTRY, Diode, IdealDiode, Resistor
from analogep.devices.base import Primitive
from analogep.errors import NetlistError
from analogep.networks import deep_resistive
from analogep.solve import operating_point
from analogep.spice import from_netlist, to_netlist
from analogep.spice.dialects import DIALECTS
from analogep.spice.engines.ngspice import RELAXED, TIGHT, run_ngspice
from analogep.spice.writing.script import without_script

OTHERS = [name for name in DIALECTS if name != "ngspice"]

FOREIGN = {
    "ngspice": r"cur=|dtemp|tref|device|[{}']",
    "xyce": r"cur=|dtemp|tref|\.control|'",
    "ltspice": r"cur=|dtemp|tref|\.control|\.options device|[{}'?]",
    "hspice": r"^B|\btemp=|tnom|I=|\.control|\.options|[{}]",
}
"""What may stand in no line of a dialect's text, comments aside."""

NUMBER = re.compile(r"(?<![\w.])-?\d+\.?\d*(?:e[-+]?\d+)?(?![\w.])")
TEMPERATURE = re.compile(r"\b(?:temp|tnom|tref|dtemp)=\S+?(?=[\s)]|$)")


def around(kind: str, values: dict[str, float]) -> Circuit:
    """One element, all of its nodes held by resistors."""
    device = REGISTRY[kind]
    pins = np.arange(1, 1 + len(device.pins))[None, :]
    nodes = ("0", "Alpha", "b_2", "_c", "D4")[: 1 + len(device.pins)]
    held = np.array([[k, 0] for k in range(1, len(nodes))])
    leak = Bank("leaks", Resistor, held, {"conductance": np.full(len(held), 1e-3)}, [f"r{k}" for k in held[:, 0]])
    return Circuit(
        nodes, (leak, Bank("bank", device, pins, {k: np.array([v]) for k, v in values.items()}, ("e1",)))
    )


def body(text: str) -> list[str]:
    """The lines after the title that are no comments and no script."""
    return [line for line in without_script(text).splitlines()[1:] if not line.startswith("*")]


def check_structure(dialect: str, circuit: Circuit) -> None:
    text, reference = to_netlist(circuit, dialect=dialect), to_netlist(circuit)
    lines = body(text)
    assert lines[-1] == ".end"
    letters = {"ngspice": "BS", "ltspice": "BS", "xyce": "B", "hspice": ""}[dialect] + "RCLVIDEGFHM"
    for line in lines:
        assert line[0] in letters + ".", line
        assert not re.search(FOREIGN[dialect], line), line
    elements, wanted = ([li for li in body(t) if li[0] != "."] for t in (text, reference))
    names = [line.split()[0].lower() for line in elements]
    assert len(set(names)) == len(names)
    for ours, theirs in zip(elements, wanted, strict=True):
        assert ours.split()[1:3] == theirs.split()[1:3]
        numbers, expected = (NUMBER.findall(TEMPERATURE.sub("", line)) for line in (ours, theirs))
        assert numbers == expected
    models, cards = (
        [TEMPERATURE.sub("", li) for li in body(t) if li.startswith(".model")] for t in (text, reference)
    )
    assert models == cards


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", DEVICES)
@settings(max_examples=10)
@given(data=st.data())
def test_every_device_in_every_dialect(dialect: str, kind: str, data: st.DataObject) -> None:
    values = data.draw(DEVICES[kind])
    if kind == "switch" and dialect in ("xyce", "hspice"):  # they have no switch of this law: see below
        return
    check_structure(dialect, around(kind, values))


@settings(max_examples=20)
@given(values=DEVICES["switch"])
def test_a_switch_is_an_expression_where_there_is_none_of_its_law(values: dict[str, float]) -> None:
    wanted = {
        "xyce": r"BSe1 Alpha b_2 I=\{v\(Alpha,b_2\)/IF\(v\(_c,D4\)",
        "hspice": r"GBSe1 Alpha b_2 cur='v\(Alpha,b_2\)/\(",
    }
    for dialect, start in wanted.items():
        circuit = around("switch", values)
        if values["hysteresis"]:
            with pytest.raises(NetlistError, match=r"e1: its hysteresis is .* with memory has no form"):
                to_netlist(circuit, dialect=dialect)
            continue
        (line,) = (li for li in body(to_netlist(circuit, dialect=dialect)) if "Se1" in li)
        assert re.match(start, line)
        assert (">=" in line) == (values["closed"] == 1.0)
        for key in ("threshold", "on_resistance", "off_resistance"):
            assert f"{values[key]:.17g}" in line


def test_the_spelling_of_a_mosfet() -> None:
    values = {**REGISTRY["nmos"]().values, "width": 3e-6, "length": 2e-6, "temperature": 300.15}
    for dialect, temperature in {
        "ngspice": "temp=27",
        "xyce": "temp=27",
        "ltspice": "temp=27",
        "hspice": "dtemp=2",
    }.items():
        text = to_netlist(around("nmos", values), dialect=dialect)
        # SPICE's order is drain, gate, source, bulk
        assert re.search(rf"^Me1 Alpha _c b_2 D4 d1 l=\S+ w=\S+ {temperature}$", text, re.M)
        assert re.search(r"^\.model d1 NMOS\(level=1 vto=0 kp=\S+ gamma=0 phi=\S+ lambda=0 is=\S+ ", text, re.M)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_network_in_every_dialect(dialect: str) -> None:
    circuit = deep_resistive([6, 5, 2], amplifier=(4.0, 0.25), rng=np.random.default_rng(1))
    check_structure(dialect, circuit)


def test_the_spelling_of_each_dialect() -> None:
    diode = around("diode", {**REGISTRY["diode"]().values, "temperature": 300.15, "gmin": 1e-12})
    ideal = around("ideal_diode", {"threshold": 0.5})
    expected = {
        "ngspice": ("Be1 Alpha b_2 I=", "temp=27", "tnom=27", ".options gmin="),
        "xyce": ("Be1 Alpha b_2 I={", "temp=27", "tnom=27", ".options device gmin="),
        "ltspice": ("Be1 Alpha b_2 I=", "temp=27", "tnom=27", ".options gmin="),
        "hspice": ("GBe1 Alpha b_2 cur='", "dtemp=2", "tref=27", ".option gmin="),
    }
    assert set(expected) == set(DIALECTS)
    for dialect, (source, temperature, nominal, options) in expected.items():
        assert f"\n{source}" in to_netlist(ideal, dialect=dialect)
        text = to_netlist(diode, dialect=dialect)
        assert re.search(rf"^De1 Alpha b_2 d1 {temperature}$", text, re.M)
        assert f"{nominal})" in text
        assert f"\n{options}9.9999999999999998e-13" in text
        assert ("\n.op\n" in text) == (dialect != "ngspice")
    assert "gmindc=9.9999999999999998e-13" in to_netlist(diode, dialect="hspice")


@given(st.floats(200.0, 400.0))
def test_hspice_temperatures_come_back_from_their_difference(kelvin: float) -> None:
    diode = around("diode", {**REGISTRY["diode"]().values, "temperature": kelvin})
    text = to_netlist(diode, dialect="hspice")
    match = re.search(r"dtemp=(\S+)", text)
    assert match is not None
    assert 25.0 + float(match.group(1)) + CELSIUS_ZERO == pytest.approx(kelvin, rel=1e-15)


def test_ltspice_text_comes_back() -> None:
    circuit = deep_resistive([4, 3, 2], amplifier=(4.0, 0.25), rng=np.random.default_rng(2))
    assert from_netlist(to_netlist(circuit, dialect="ltspice")) == circuit


# --- what a dialect cannot express ---------------------------------------------------------------------


def test_hspice_takes_no_dots_in_names() -> None:
    bank = Bank("r", Resistor, np.array([[1, 0], [2, 1]]), {"conductance": np.full(2, 1e-3)}, ("q.1", "q2"))
    circuit = Circuit(("0", "a.b", "c"), (bank,))
    to_netlist(circuit, dialect="xyce")
    with pytest.raises(NetlistError) as caught:
        to_netlist(circuit, dialect="hspice")
    assert "a.b" in str(caught.value)
    assert "q.1" in str(caught.value)


@pytest.mark.parametrize(("dialect", "fits"), [("ngspice", True), ("xyce", True), ("ltspice", False)])
def test_operators_a_dialect_lacks_are_faults_of_the_element(
    dialect: str, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spice(name: str, nodes: tuple[str, ...], p: object) -> list[Primitive]:
        return [Primitive("B", name, nodes, ("V(Alpha)>0?1e-3:0",))]

    monkeypatch.setattr(REGISTRY["ideal_diode"], "spice", spice)
    circuit = around("ideal_diode", {"threshold": 0.5})
    if fits:
        to_netlist(circuit, dialect=dialect)
    else:
        with pytest.raises(NetlistError, match=r"e1: its expression uses \?"):
            to_netlist(circuit, dialect=dialect)


def test_names_collide_as_the_dialect_spells_them() -> None:
    """HSPICE's name of the ideal diode's B source is that of a G element."""
    ideal = around("ideal_diode", {"threshold": 0.5})
    gain = {"transconductance": np.array([1e-3])}
    vccs = Bank("g", REGISTRY["vccs"], np.array([[1, 0, 2, 0]]), gain, ("Be1",))
    circuit = Circuit(ideal.nodes, (*ideal.banks, vccs))
    to_netlist(circuit)
    with pytest.raises(NetlistError, match="gbe1"):
        to_netlist(circuit, dialect="hspice")


# --- in ngspice ----------------------------------------------------------------------------------------


def solved(text: str, circuit: Circuit) -> np.ndarray:
    """Voltages (N,) that ngspice finds for a text of another dialect."""
    outcome = run_ngspice(text, [{}], TIGHT, 60.0)
    if outcome.points[0] is None:
        outcome = run_ngspice(text, [{}], RELAXED, 60.0)
    point = outcome.points[0]
    assert point is not None, outcome.log
    return np.array([0.0, *(point[name.lower()] for name in circuit.nodes[1:])])


@pytest.mark.ngspice
@pytest.mark.parametrize("dialect", OTHERS)
def test_ngspice_solves_the_text_alike(dialect: str) -> None:
    rng = np.random.default_rng(3)
    hot = Diode(saturation_current=1e-12, series_resistance=50.0, gmin=1e-8, temperature=351.7)
    for diode in (Diode(), hot, IdealDiode(threshold=0.1)):
        circuit = deep_resistive([6, 5, 2], amplifier=(4.0, 0.25), diode=diode, rng=rng)
        inputs = rng.uniform(-1, 1, (1, len(circuit.inputs)))
        found = solved(to_netlist(circuit, inputs, dialect=dialect), circuit)
        np.testing.assert_allclose(found, operating_point(circuit, inputs).voltages[0], rtol=0, atol=1e-9)
