"""Netlists from elsewhere: what they mean, and what is refused, by line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_reader_differential import theirs

from analogep.circuit import Circuit
from analogep.errors import InputError, NetlistError
from analogep.solve import operating_point
from analogep.spice import from_netlist, read_netlist, to_netlist
from analogep.spice.dialects import DIALECTS


def netlist(*lines: str) -> str:
    return "\n".join(["title", *lines, ".end", ""])


def voltage(text: str, node: str, **options: object) -> float:
    found = read_netlist(text, **options)  # type: ignore[arg-type]
    return float(operating_point(found.circuit, found.inputs).voltage(node)[0])


def value(circuit: Circuit, kind: str, key: str) -> list[float]:
    (bank,) = [b for b in circuit.banks if b.device.kind == kind]
    return bank.values[key].tolist()


# --- what is understood --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ohms"),
    [
        ("1k", 1e3),
        ("2.2Meg", 2.2e6),
        ("3mil", 3 * 25.4e-6),
        ("4m", 4e-3),
        ("5u", 5e-6),
        ("6n", 6e-9),
        ("7p", 7e-12),
        ("8f", 8e-15),
        ("9g", 9e9),
        ("1t", 1e12),
        ("10ohm", 10.0),
        ("1.5kOhm", 1500.0),
        (".5", 0.5),
        ("1d3", 1e3),
        ("1e-3k", 1.0),
        ("{2*rr}", 8.0),
        ("'rr + 1'", 5.0),
        ("rr", 4.0),
        ("{rr**2/2}", 8.0),
        ("{max(rr, 7) - min(1, 2)}", 6.0),
        ("{-(1 - sqrt(rr)) * 3}", 3.0),
        ("{pow(rr, 0.5) + exp(0) + ln(1) + log10(10)}", 4.0),
    ],
)
def test_numbers_and_expressions(text: str, ohms: float) -> None:
    circuit = from_netlist(netlist(".param rr={half*2} half=2", "V1 a 0 1", f"R1 a 0 {text}"))
    assert value(circuit, "resistor", "conductance") == pytest.approx([1 / ohms], rel=1e-15)


def test_comments_continuations_and_lines_that_change_nothing() -> None:
    text = "R9 this is the title, not an element\n" + netlist(
        "* a comment",
        "V1 a 0",
        "* between",
        "+ dc",
        "",
        "+ 2 ac 1 0 ; the end",
        "R1 a b 1k $ a remark",
        "R2 b 0 r=3k // another",
        "C1 b 0 1u ic=0.5",
        ".options reltol=1e-4 noacct",
        ".ic v(b)=1",
        ".nodeset v(b)=1",
        ".op",
        ".print op v(b)",
        ".control",
        "op",
        "echo v(b) + {",
        ".endc",
    ).removeprefix("title\n")
    read = read_netlist(text)
    assert read.title == "R9 this is the title, not an element"
    assert voltage(text, "b") == pytest.approx(1.5, rel=1e-14)


@pytest.mark.parametrize(
    ("command", "change"),
    [
        ("alter r2 = 2k", "alter"),
        ("altermod d is=1e-12", "altermod"),
        ("AlterParam x=3", "AlterParam"),
        ("set temp = 50", "set temp"),
        ("option klu gmin=1e-9", "option klu gmin"),
    ],
)
def test_a_script_that_changes_the_circuit_is_refused(command: str, change: str) -> None:
    script = (".control", "set numdgt=7", "setplot op1", "let alters = 1", command, "op", ".endc")
    with pytest.raises(NetlistError, match=f"<netlist>:8: '{change}' in .control changes the circuit"):
        read_netlist(netlist("V1 a 0 1", "R1 a 0 1k", *script))


def test_case_and_names_that_a_circuit_does_not_allow() -> None:
    text = netlist("v1 IN+ GND 1", "r1 in+ 2 1", "R2 2 gnd 1")
    read = read_netlist(text)
    assert read.renamed == {"IN+": "IN_"}
    assert voltage(text, "2") == pytest.approx(0.5)


def test_two_nodes_that_would_get_one_name_stay_two() -> None:
    read = read_netlist(netlist("V1 a+ 0 1", "R1 a+ a- 1", "R2 a- A_ 1", "R3 a_ 0 2"))
    assert read.circuit.nodes == ("0", "a__2", "a__3", "A_")
    assert read.renamed == {"a+": "a__2", "a-": "a__3"}


def test_sources_become_inputs() -> None:
    text = netlist("V1 a 0 1.5", "V2 0 b 2", "R1 a c 1k", "R2 b c 1k", "R3 c 0 1k")
    read = read_netlist(text, inputs=["v2", "A"], outputs=["c", ("a", "b")])
    assert read.circuit.inputs == ("b", "a")
    assert read.circuit.outputs == ("c", ("a", "b"))
    np.testing.assert_array_equal(read.inputs, [[-2.0, 1.5]])
    assert voltage(text, "c", inputs=["V1", "V2"]) == pytest.approx(voltage(text, "c"), rel=1e-14)
    bare = read_netlist(text, inputs=["c"])
    assert bare.circuit.inputs == ("c",)
    assert bare.inputs is None


def test_a_controlled_source_senses_any_voltage_source() -> None:
    lines = ["V1 a 0 1", "R1 a b 1k", "V2 b c 0.25", "R2 c 0 2k"]
    # 0.25 mA flows through V2 from + to -; through V1 from + to - it is the opposite
    text = netlist(*lines, "F1 0 d V2 2", "Rd d 0 1k", "H1 e 0 v2 3k", "Re e 0 1", "H2 f 0 V1 4k", "Rf f 0 1")
    for options in ({}, {"inputs": ["V1"]}):
        assert voltage(text, "d", **options) == pytest.approx(0.5, rel=1e-12)
        assert voltage(text, "e", **options) == pytest.approx(0.75, rel=1e-12)
        assert voltage(text, "f", **options) == pytest.approx(-1.0, rel=1e-12)


def test_an_ammeter_becomes_the_port() -> None:
    circuit = from_netlist(netlist("V1 a 0 1", "Vm a b 0", "R1 b 0 1k", "F1 0 c Vm 1", "R2 c 0 1k"))
    assert circuit.nodes == ("0", "a", "b", "c")
    two = netlist("V1 a 0 1", "Vm a b 0", "R1 b 0 1k", "F1 0 c Vm 1", "R2 c 0 1k", "F2 0 d Vm 2", "R3 d 0 1k")
    assert voltage(two, "c") == pytest.approx(1.0, rel=1e-12)
    assert voltage(two, "d") == pytest.approx(2.0, rel=1e-12)


def test_diode_models() -> None:
    circuit = from_netlist(
        netlist(
            "I1 0 a 1m",
            "D1 a 0 DM",
            "D2 a 0 dm area=2 temp=50",
            "D3 a 0 plain 3 off",
            ".model dm D is=2e-14 n=1.5",
            "+ rs=4 vj=0.7",
            ".model plain D(tnom=-10)",
            ".temp -10",
            ".options tnom=50 gmin=1e-13",
        )
    )
    assert value(circuit, "diode", "emission") == [1.5, 1.5, 1.0]
    assert value(circuit, "diode", "series_resistance") == [4.0, 2.0, 0.0]
    assert value(circuit, "diode", "gmin") == [1e-13] * 3
    assert value(circuit, "diode", "temperature") == pytest.approx([263.15, 323.15, 263.15])
    saturation = value(circuit, "diode", "saturation_current")
    assert saturation[1:] == [4e-14, 3e-14]
    assert saturation[0] < 1e-16  # 60 degrees colder than where it is given


def test_the_default_shunt_is_that_of_spice() -> None:
    circuit = from_netlist(netlist("I1 0 a 1m", "D1 a 0 dm", ".model dm d"))
    assert value(circuit, "diode", "gmin") == [1e-12]
    assert value(circuit, "diode", "saturation_current") == [1e-14]


def test_our_text_may_be_edited() -> None:
    circuit = from_netlist(netlist("V1 a 0 1", "R1 a b 3k", "R2 b 0 7k"), inputs=["V1"], outputs=["b"])
    text = to_netlist(circuit, [1.0])
    changed = text.replace("R2 b 0 ", "R3 b 0 1k\nR2 b 0 ")
    assert voltage(changed, "b") == pytest.approx(0.875 / 3.875, rel=1e-12)
    outside = text.replace("\n.end\n", "\n*@ end\nD1 b 0 dm\n.model dm D\n.end\n")
    assert from_netlist(outside).element_count == 3


# --- what is refused -----------------------------------------------------------------------------------

OK = ["V1 a 0 1", "R1 a 0 1k"]
REFUSED = {
    "no value": "R2 a 0",
    "one node": "R2 a",
    "name only": "R2",
    "not a number": "R2 a 0 big",
    "two values": "R2 a 0 1k 2k",
    "letters in a number": "R2 a 0 1k5",
    "infinite": "R2 a 0 1e999",
    "atto or not": "R2 a 0 1a",
    "zero ohm": "R2 a 0 0",
    "negative": "R2 a 0 -1k",
    "temperature coefficient": "R2 a 0 1k tc1=0.1",
    "unknown keyword": "R2 a 0 1k foo=1",
    "keyword without value": "R2 a 0 r=",
    "unknown parameter": "R2 a 0 {x}",
    "open brace": "R2 a 0 {1",
    "division by zero": "R2 a 0 {1/0}",
    "root of a negative": "R2 a 0 {sqrt(-1)}",
    "power that simulators disagree on": "R2 a 0 {3*-2**2}",
    "signs in a row": "R2 a 0 {3 - - - 2}",
    "choice within a choice": "R2 a 0 {1 ? 0 ? 4 : 5 : 6}",
    "integer quotient of a negative": "R2 a 0 {5\\-3}",
    "random number": "R2 a 0 {gauss(1, 0.1, 3)}",
    "unknown function": "R2 a 0 {sine(1)}",
    "mil in an expression": "R2 a 0 {1mil}",
    "choice without colon": "R2 a 0 {1 ? 2}",
    "root of a negative by pow": "R2 a 0 {pow(-2, 0.5)}",
    "too deep": "R2 a 0 {" + "(" * 500 + "1" + ")" * 500 + "}",
    "code in an expression": "R2 a 0 {__import__('os')}",
    "wrong argument count": "R2 a 0 {max(1)}",
    "foreign waveform": "V2 b 0 exp(0 1 0 1n 1n 1u)",
    "pulse without values": "V2 b 0 pulse(1)",
    "pwl with an odd count": "V2 b 0 pwl(0 1 2)",
    "pwl that repeats": "V2 b 0 pwl(0 1 2 3) r=0",
    "two waveforms": "V2 b 0 pulse(0 1) sin(0 1 1k)",
    "sine of no frequency": "V2 b 0 sin(0 1)",
    "two DC values": "I2 a 0 dc 1 2",
    "three nodes": "E1 b 0 a 2",
    "polynomial of one coefficient": "E1 b 0 POLY(1) a 0 5",
    "polynomial of no controls": "G1 b 0 POLY(0) 1 2",
    "table": "E1 b 0 TABLE {V(a)} = (0,0) (1,1)",
    "behavioural E of a current": "E1 b 0 cur={2*V(a)}",
    "too much": "G1 a 0 a 0 1 2",
    "unknown source": "F1 a 0 Vx 2",
    "source that is none": "F1 a 0 R1 2",
    "no gain": "H1 b 0 V1",
    "unknown model": "D1 a 0 nope",
    "no model": "D1 a 0",
    "unknown diode keyword": "D1 a 0 dm pj=1",
    "behavioural source of a current": "B1 a 0 I=I(V1)",
    "behavioural source without expression": "B1 a 0 I=",
    "behavioural source of an unknown name": "B1 a 0 I=k*V(a)",
    "behavioural source with more": "B1 a 0 I=V(a) tc1=2",
    "current of a table": "G1 a 0 table {V(a)} = (0,0) (1,1)",
    "behavioural voltage of time": "B1 b 0 V=V(a)*time",
    "coupled inductors": "K1 L1 L2 0.9",
    "current-controlled switch": "W1 a 0 V1 w",
    "transistor without model": "M1 a 0 0 0 nmos",
    "subcircuit call": "X1 a 0 sub",
    "switch": "S1 a 0 a 0 sw",
    "unknown letter": "Z1 a 0 1",
    "subcircuit": ".subckt s a b",
    "include": ".include other.cir",
    "library": ".lib models.lib tt",
    "library without section": ".lib models.lib",
    "transient without end": ".tran 1n",
    "transient that ends before it begins": ".tran 1n 1u 2u",
    "sweep without step": ".dc V1 0 1",
    "sweep of a resistor": ".dc R1 1 2 1",
    "sweep away from its end": ".dc V1 0 1 -0.1",
    "sweep of too many points": ".dc V1 0 1 1e-30",
    "small signal": ".ac dec 10 1 1k",
    "first guess of no node": ".nodeset v(nowhere)=1",
    "initial voltage of no node": ".ic v(nowhere)=1",
    "first guess of a current": ".nodeset i(V1)=1",
    "function without braces": ".func f(x) x*x",
    "parameter that is no name": ".param 2x=1",
    "ends of nothing": ".ends",
    "endl of nothing": ".endl",
    "unknown dot line": ".frobnicate",
    "unknown option": ".options rshunt=1e12",
    "option without value": ".options gmin",
    "negative gmin": ".options gmin=-1",
    "below absolute zero": ".temp -300",
    "two temperatures": ".temp 1 2",
    "parameter without value": ".param x",
    "circular parameters": ".param x={y} y={x}",
    "other model": ".model q NPN(bf=100)",
    "model without type": ".model q",
    "sidewall": ".model q D(cjsw=1p)",
    "recombination": ".model q D(isr=1p)",
    "drain resistance": ".model q NMOS(rd=1)",
    "level 3": ".model q NMOS(level=3)",
    "doping": ".model q NMOS(tox=1e-8 nsub=1e16)",
    "model value missing": ".model q D(is)",
    "unfinished control": ".control",
    "continuation of a comment": "*@+ a b",
    "unknown comment": "*@ hello",
    "future version": "*@ analogep 99",
    "unknown device": "*@ bank b flux_capacitor",
    "crossbar counts": "*@ crossbar W fixed 9 9 a b",
    "crossbar numbers": "*@ crossbar W fixed x 99999999999999999999 a",
    "element without bank": "*@ element e a 0 gain=1",
    "gmin that does not fit": "*@ gmin 1\n.options gmin=1e-12",
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_named_by_line(what: str) -> None:
    with pytest.raises(NetlistError) as caught:
        from_netlist(netlist(*OK, REFUSED[what]), source="board.cir")
    assert "board.cir:4: " in str(caught.value), str(caught.value)


SECTIONS = {
    "foreign element": ["*@ bank b diode", "R5 a 0 1k"],
    "element text differs": ["*@ bank b amplifier", "*@ element x a c voltage_gain=2 current_gain=1"],
    "missing parameters": ["*@ bank b amplifier", "*@ element x a c voltage_gain=2"],
    "element of too few nodes": ["*@ bank b vcvs", "*@ element x a c gain=2"],
    "open diode": ["*@ bank b diode", "*@ open d1 a 0"],
    "open with a value": ["*@ bank b resistor", "*@ open d1 a 0 1"],
    "exact digits that do not fit": ["*@ bank b resistor", "R5 a 0 1k", "*@ exact conductance ..+"],
    "exact with other digits": ["*@ bank b resistor", "R5 a 0 1k", "*@ exact conductance 7"],
    "crossbar element outside": ["*@ crossbar W fixed 1 1 a c", "RW_0_5 a c 1k"],
    "crossbar element elsewhere": ["*@ crossbar W fixed 1 1 a c", "RW_0_0 c a 1k"],
    "crossbar element twice": ["*@ crossbar W fixed 1 1 a c", "RW_0_0 a c 1k", "RW_0_0 a c 1k"],
    "input without source": ["*@ inputs given a"],
    "input sources": ["*@ inputs given c", "V2 c a 1"],
    "nudge of what": ["*@ nudge gently"],
    "nudge without outputs": ["*@ nudge current", "Inudge0 a 0 1"],
    "bank twice": ["*@ bank b diode", "*@ bank b diode"],
}


@pytest.mark.parametrize("what", SECTIONS)
def test_sections_that_do_not_fit_are_refused(what: str) -> None:
    with pytest.raises(NetlistError, match="board"):
        from_netlist(netlist(*OK, *SECTIONS[what]), source="board.cir")


def test_all_faults_come_at_once() -> None:
    with pytest.raises(NetlistError) as caught:
        from_netlist(netlist(*OK, "R2 a", "Q1 a 0 1m", "D1 a 0 nope", ".ac dec 1 1 2", "F1 a 0 Vx 1"))
    assert len(caught.value.faults) == 5
    assert {f.where for f in caught.value.faults} == {f"<netlist>:{k}" for k in range(4, 9)}


def test_faults_of_the_circuit_name_the_line_as_well() -> None:
    with pytest.raises(NetlistError) as caught:
        from_netlist(netlist(*OK, "V2 a 0 2"))
    assert "<netlist>:4: V2: " in str(caught.value)
    with pytest.raises(NetlistError, match=r"floating|no conducting path"):
        from_netlist(netlist(*OK, "C1 a b 1p"))
    with pytest.raises(NetlistError, match="duplicate"):
        from_netlist(netlist(*OK, "r1 a 0 2k"))


def test_text_after_the_end_and_empty_netlists() -> None:
    with pytest.raises(NetlistError, match=r"after \.end"):
        from_netlist(netlist(*OK) + "R9 a 0 1\n")
    for text in ("", "title", "title\n.end\n", "* only\n* comments\n"):
        with pytest.raises(NetlistError, match="no elements"):
            from_netlist(text)


def test_inputs_and_outputs_that_do_not_exist_or_are_given_twice() -> None:
    with pytest.raises(NetlistError, match="input zz"):
        from_netlist(netlist(*OK), inputs=["zz"])
    with pytest.raises(NetlistError, match="output zz"):
        from_netlist(netlist(*OK), outputs=["zz"])
    with pytest.raises(NetlistError, match="between one node and ground"):
        from_netlist(netlist(*OK, "V2 a b 1", "R2 b 0 1"), inputs=["V2"])
    ours = to_netlist(from_netlist(netlist(*OK), inputs=["V1"]))
    with pytest.raises(InputError, match="names its own inputs"):
        from_netlist(ours, inputs=["a"])
    for bad in ({"inputs": "V1"}, {"outputs": "a"}):
        with pytest.raises(InputError, match="list"):
            from_netlist(netlist(*OK), **bad)  # type: ignore[arg-type]


def test_behavioural_currents() -> None:
    """i = 2 mS v(c)² at v(c) = 0.5 V, 0.5 mA into 1 kΩ; and the same written in a subcircuit, and as G."""
    lines = ["V1 c 0 0.5", ".param k=2m", "B1 0 a I = k*v(c)^2", "R1 a 0 1k", "G2 0 b cur='{k}*v(c)*V(c, gnd)'"]
    sub = [".subckt s o q", "B1 0 m i={k*v(q)*v(q)}", "R0 m o 1", "R1 m 0 1k", ".ends", "X1 d c s"]
    text = netlist(*lines, "R2 b 0 1k", *sub, "R3 d 0 1meg")
    for node in ("a", "b"):
        assert voltage(text, node) == pytest.approx(0.5, rel=1e-9)
    assert voltage(text, "x1.m") == pytest.approx(0.5e-3 / (1e-3 + 1 / (1e6 + 1)), rel=1e-9)


VOLTAGES = """V1 a 0 2
V2 b 0 3
E1 e1 0 POLY(1) a 0 0.5 3
E2 e2 0 POLY(2) (a,0) (b,0) 0.5 1 2 10 100 1000 1e4 {k} 1e6 1e7
G1 0 g1 poly(1) a 0 1 2 3
E3 e3 e1 value={V(a)*V(b)+k/1e5}
E4 e4 0 vol='v(a)^2-v(e4)'
G2 0 g2 value={V(a)*1m}
B1 b1 0 V=tanh(V(b1,a))+V(b)
x1 x1 sub
.subckt sub o
B1 o 0 V=V(m)*2
V1 m 0 4
.ends
.param k=1e5
""" + "".join(f"R{n} {n} 0 1k\n" for n in ("e1", "e2", "e3", "e4", "g1", "g2", "b1", "x1"))

BY_HAND = {
    "e1": 0.5 + 3 * 2,
    "e2": 0.5 + 2 + 2 * 3 + 10 * 4 + 100 * 6 + 1000 * 9 + 1e4 * 8 + 1e5 * 12 + 1e6 * 18 + 1e7 * 27,
    "e3": 6.5 + 2 * 3 + 1,
    "e4": 2.0,
    "g1": 1e3 * (1 + 2 * 2 + 3 * 4),
    "g2": 2.0,
    "x1": 8.0,
}


def test_behavioural_voltages_and_polynomials_by_hand() -> None:
    circuit = from_netlist(netlist(*VOLTAGES.splitlines()))
    solution = operating_point(circuit)
    for node, expected in BY_HAND.items():
        assert solution.voltage(node)[0] == pytest.approx(expected, rel=1e-12), node
    v = float(solution.voltage("b1")[0])
    assert v == pytest.approx(math.tanh(v - 2) + 3, rel=1e-12)
    plain = from_netlist(
        netlist(*(line for line in VOLTAGES.splitlines() if "x1" not in line))
    )  # no dots in names
    for dialect in DIALECTS:
        text = to_netlist(plain, dialect=dialect)
        for name in ("e1", "e2", "e3", "e4", "b1"):
            assert f" {name.upper()}_value 0 1\n" in text


@pytest.mark.ngspice
def test_ngspice_has_the_same_behavioural_voltages(ngspice: str) -> None:
    voltages = theirs(ngspice, VOLTAGES.splitlines())
    for node, expected in BY_HAND.items():
        assert voltages[node] == pytest.approx(expected, rel=1e-9), node
    circuit = from_netlist(netlist(*VOLTAGES.splitlines()))
    assert operating_point(circuit).voltage("b1")[0] == pytest.approx(voltages["b1"], rel=1e-9)
    written = theirs(ngspice, to_netlist(circuit).partition("\n.control")[0].splitlines()[1:])
    assert written["b1"] == pytest.approx(voltages["b1"], rel=1e-9)


def test_behavioural_voltages_come_back_from_our_netlists() -> None:
    circuit = from_netlist(netlist(*VOLTAGES.splitlines()))
    assert from_netlist(to_netlist(circuit)) == circuit
