"""Kinds of netlist that were once read wrongly in silence: numbers, functions, scripts, options, waveforms.

Values are by hand, or of ngspice 39 where that is said.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from analogep.errors import NetlistError, OptionWarning, ScriptWarning
from analogep.spice.reading.reader import Netlist, read_netlist
from analogep.spice.run import Result, run_netlist


def netlist(*lines: str) -> Netlist:
    return read_netlist("\n".join(["title", *lines, ".end", ""]))


def results(*lines: str) -> list[Result]:
    return run_netlist(netlist(*lines), {})


def at(result: Result, node: str) -> float:
    return float(result.voltages[-1, result.nodes.index(node)])


@pytest.mark.parametrize(
    "number",
    ["1_000", "1e3_5", "1D+3", "٣", "\uff11k", "1\u212a", "1k5", "1e", "1e+", "10\u03bc", "0x10", "1.5.2", "nan"],
)
@pytest.mark.parametrize("form", ["R1 a b {}", "R1 a b r={}", "R1 a b {{{}}}", "B1 a b I={}*v(a)"])
def test_what_looks_like_a_number_by_accident_is_refused(number: str, form: str) -> None:
    with pytest.raises(NetlistError, match="<netlist>:3: "):
        netlist("V1 a 0 1", form.format(number), "R2 b 0 1k")


@pytest.mark.parametrize(
    ("number", "value"),
    [("1d3", 1e3), ("4.7k", 4.7e3), ("10MEGohm", 1e7), ("100m", 0.1), ("2kΩ", 2e3), ("5x", 5.0)],
)
def test_numbers_are_those_of_ngspice(number: str, value: float) -> None:
    (point,) = results("I1 0 a 1", f"R1 a 0 {number}")
    assert at(point, "a") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("(-2)**3", 8), ("-2**2", -4), ("2**3**2", 64), ("2**-1**2", 0.25), ("pow(-2,3)", -8), ("pwr(-2,3)", 8),
     ("3*(-2**2)", -12), ("(1-4)^3", 27), ("10/-2*5", -25), ("0 ? 1 : 0 ? 2 : 3", 3), ("max(-9,-2**2)", -4),
     ("-3%2 + 7\\2", 2)],
)  # fmt: skip
def test_powers_and_signs_of_parameters_are_those_of_ngspice(expression: str, value: float) -> None:
    """Measured with ngspice 39 -b, as ``V1 a 0 {expression}``."""
    (point,) = results(f"V1 a 0 {{{expression}}}", "R1 a 0 1k")
    assert at(point, "a") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("line", ["R2 {1} 0 1k", "R2 é 0 1k", "Rµ a 0 1k", "X1 é s", ".subckt t é"])
def test_names_that_simulators_change_are_refused(line: str) -> None:
    with pytest.raises(NetlistError, match="<netlist>:6: "):
        netlist("V1 a 0 1", ".subckt s p", "R1 p 0 1", ".ends", line, "R3 a 0 1k")


def test_faults_of_the_circuit_have_the_line_of_their_element() -> None:
    with pytest.raises(NetlistError, match=r"<netlist>:4: element 'r1': duplicate"):
        netlist("V1 a 0 1", "R1 a 0 1k", "r1 a 0 2k")
    with pytest.raises(NetlistError, match=r"<netlist>:4: node b: no conducting path"):
        netlist("V1 a 0 1", "R1 a 0 1k", "C1 a b 1n", "I1 0 b 1m")


@pytest.mark.parametrize("word", [".ic", ".nodeset"])
def test_two_voltages_of_one_node_are_a_fault(word: str) -> None:
    with pytest.raises(NetlistError, match=r"<netlist>:5: .*v\(A\).*:4"):
        netlist("V1 in 0 1", "R1 in a 1k", f"{word} v(a)=1", f"{word} v(A)=2", "C1 a 0 1u")
    netlist("V1 in 0 1", "R1 in a 1k", f"{word} v(a)=1", f"{word} v(A)=1", "C1 a 0 1u")


@pytest.mark.parametrize("blank", ["\u00a0", "\r", "\x0b", "\x0c", "\u2003", "\x85", "\u200b", "\x00", "\u2028"])
def test_only_blanks_and_tabs_separate_words(blank: str) -> None:
    with pytest.raises(NetlistError, match=rf"<netlist>:3: .*U\+{ord(blank):04X}"):
        netlist("V1 a 0 1", f"R1 a{blank}b 1k", "R2 b 0 1k")
    netlist("V1 a 0 1", f"* a remark{blank}with it", f"R1 a 0 1k ; and{blank}one more")


def test_both_ends_of_lines_and_a_byte_order_mark_are_read() -> None:
    text = "\ufefftitle\r\nV1 a 0 1\r\nR1 a b 1k\r\nR2 b 0\r\n+ 1k\r\n.end\r\n"
    (point,) = run_netlist(read_netlist(text), {})
    assert at(point, "b") == pytest.approx(0.5)


# --- functions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["B1 2 0 I={}", "G1 2 0 value={{{}}}", "G1 2 0 cur='{}'"])
def test_functions_take_voltages_in_every_source(source: str) -> None:
    """1e-3 (2 v + 0.1 v²) from node 2: ngspice 39 has 0.652476 V."""
    functions = (".func g(x,y) {2*x + sq(y)/y*x*x}", ".func sq(x) {x*x}")
    line = source.format("1e-3*g(V(2),one()/10)")
    (point,) = results(*functions, ".func one() {1}", "V1 1 0 2", "R1 1 2 1k", line)
    assert at(point, "2") == pytest.approx((math.sqrt(9.0 + 4.0 * 0.1 * 2.0) - 3.0) / 0.2, rel=1e-9)


def test_arguments_of_functions_may_be_nodes_and_hide_parameters() -> None:
    (point,) = results(
        ".param x=100", ".func d(x,k) {k*(v(x)-v(b))}", "V1 a 0 3", "V2 b 0 1", "B1 c 0 V=d(a,x)", "R1 c 0 1k"
    )
    assert at(point, "c") == pytest.approx(200.0)


@pytest.mark.parametrize(
    ("function", "call", "what"),
    [
        (".func f(x) {f(x)+1}", "f(v(a))", "function f calls itself"),
        (".func f(x) {2*x}", "f(v(a),1)", "f takes 1 arguments, not 2"),
        (".func f(x) {2*x}", "f()", "f takes 1 arguments, not 0"),
        (".func f(x) {2*x}", "f(v(a)", "parenthes"),
        (".func f(x) {g(x)*g(x)*g(x)}\n.func g(x) {h(x)*h(x)*h(x)}\n.func h(x) {x*x*x*x*x*x*x*x*x}",
         "f(f(f(f(v(a)))))", "longer than"),
    ],
)  # fmt: skip
def test_functions_that_cannot_be_written_out_are_faults(function: str, call: str, what: str) -> None:
    with pytest.raises(NetlistError, match=what):
        netlist(*function.split("\n"), "V1 a 0 1", f"B1 b 0 V={call}", "R1 b 0 1k")


# --- waveforms at rest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("PULSE(3 2)", 3.0),
        ("PULSE(3 2 0 0 0)", 3.0),
        ("PULSE(3 2 1m)", 3.0),
        ("DC 5 PULSE(3 2)", 5.0),
        ("SIN(1 2 1k)", 1.0),
        ("PWL(0 4 1m 5)", 4.0),
        ("PWL(1m 6 2m 7)", 6.0),
    ],
)
def test_a_source_without_a_direct_value_rests_where_its_waveform_begins(source: str, value: float) -> None:
    """The values of ngspice 39."""
    (point,) = results(f"V1 a 0 {source}", "R1 a 0 1k", ".op")
    assert at(point, "a") == value


# --- scripts ---------------------------------------------------------------------------------------------


def test_analyses_of_a_script_are_done() -> None:
    found = results(
        "V1 1 0 PULSE(0 1 0 1n 1n 1 2)", "R1 1 2 1k", "C1 2 0 1u",
        ".control", "tran 0.1m 1m", "print v(2)", "dc V1 0 1 0.5", "op", ".endc",
    )  # fmt: skip
    assert [len(result.voltages) for result in found] == [11, 3, 1]
    assert at(found[0], "2") == pytest.approx(1.0 - math.exp(-1.0), rel=1e-4)


@pytest.mark.parametrize(
    "command", ["ac dec 10 1 1k", "foreach k 1 2", "while 1", "meas tran x max v(1)", "source a.cir"]
)
def test_commands_that_are_not_done_are_faults_with_their_line(command: str) -> None:
    with pytest.raises(NetlistError, match=f"<netlist>:5: '{command.split()[0]}' in .control is not done"):
        netlist("V1 1 0 1", "R1 1 0 1k", ".control", command, "op", ".endc")


def test_what_ngspice_takes_for_a_comment_in_a_script_is_no_analysis() -> None:
    with pytest.raises(NetlistError, match=r"<netlist>:5: 'tran 1u 1m' behind ; in \.control"):
        netlist("V1 1 0 1", "R1 1 0 1k", ".control", "op ; print v(1) ; tran 1u 1m", ".endc")
    (point,) = results("V1 1 0 1", "R1 1 0 1k", ".control", "op ; the only one", "print v(1); and shown", ".endc")
    assert at(point, "1") == 1.0


def test_an_analysis_within_a_choice_is_a_fault_and_set_takes_options() -> None:
    with pytest.raises(NetlistError, match=r"<netlist>:6: 'op' within if in \.control"):
        netlist("V1 1 0 1", "R1 1 0 1k", ".control", "if 1", "op", "end", ".endc")
    script = [".control", "set numdgt=9 reltol=1e-5", "op", "if 1", "print v(1)", "else", "quit", "end", ".endc"]
    assert netlist("V1 1 0 1", "R1 1 0 1k", *script).options == {"reltol": 1e-5}


def test_vectors_of_a_script_are_named() -> None:
    with pytest.warns(ScriptWarning, match="<netlist>:6: let in .control is not done"):
        results("V1 1 0 1", "R1 1 0 1k", ".control", "op", "let x = v(1)*2", "print x", ".endc")


# --- options and times -----------------------------------------------------------------------------------

_INTEGRATOR = (
    "Vin te 0 SIN(0 1 1)",
    "Gx 0 x te 0 1",
    "Cx x 0 1",
    "Rx x 0 1e12",
    ".ic v(x)=0.01",
    ".tran 2m 2 0 0.1",
)


def test_reltol_and_vntol_steer_the_steps() -> None:
    """x = 0.01 + (1 − cos 2πt) / 2π: the error falls with the tolerance."""
    errors = []
    for reltol in (1e-2, 1e-4, 1e-6):
        (run,) = results(*_INTEGRATOR, f".options reltol={reltol} vntol={1e-3 * reltol}")
        t = run.axes["time [s]"]
        exact = 0.01 + (1.0 - np.cos(2.0 * np.pi * t)) / (2.0 * np.pi)
        errors.append(float(np.abs(run.voltages[:, run.nodes.index("x")] - exact).max()))
    assert errors[0] > 5.0 * errors[1] > 25.0 * errors[2]
    assert errors[2] < 1e-5


def test_options_without_effect_are_named_and_wrong_ones_are_faults() -> None:
    with pytest.warns(OptionWarning, match=r"<netlist>:4: .options trtol, chgtol"):
        netlist("V1 a 0 1", "R1 a 0 1k", ".options trtol=1 chgtol=1e-20 list acct")
    assert netlist("V1 a 0 1", "R1 a 0 1k", ".options method=gear itl1=500").options == {
        "method": "gear",
        "itl1": 500,
    }
    for text in ("method=euler", "reltol=0", "vntol=-1", "reltol", "nonsense=1"):
        with pytest.raises(NetlistError, match="<netlist>:4: option"):
            netlist("V1 a 0 1", "R1 a 0 1k", f".options {text}")


def test_round_pairs_of_step_and_end_run() -> None:
    for digits in (1, 1.5, 2, 3, 5, 7):
        for power in range(-12, 1):
            for count in (10, 100, 500, 1000):
                step, stop = f"{digits}e{power}", f"{count * digits:g}e{power}"
                (analysis,) = netlist("V1 a 0 1", "R1 a 0 1k", f".tran {step} {stop}").analyses
                times = analysis.times
                assert len(times) == count + 1
                assert times[-1] == analysis.stop
                assert (np.diff(times) > 0.0).all()


@pytest.mark.parametrize("line", ["X1 = q inner", "R2 a 0( 1k"])
def test_spoiled_lines_are_faults_with_their_line(line: str) -> None:
    """Found by ``experiments/netlist_mutations.py``."""
    with pytest.raises(NetlistError, match="<netlist>:4: "):
        netlist("V1 a 0 1", "R1 a 0 1k", line)


def test_a_blank_of_another_kind_in_a_script_is_no_command() -> None:
    assert netlist("V1 a 0 1", "R1 a 0 1k", ".control", "\u2003", ".endc").analyses == ()


@pytest.mark.parametrize("name", ["$d", '"b', 'c"'])
def test_names_that_ngspice_reads_otherwise_are_faults(name: str) -> None:
    with pytest.raises(NetlistError, match=r"<netlist>:3: .*ngspice takes"):
        netlist("V1 a 0 1", f"R1 a {name} 1k", f"R2 {name} 0 1k")


def test_a_saturation_current_that_ngspice_replaces_is_a_fault() -> None:
    with pytest.raises(NetlistError, match="D1: is = 1e-40 A is below 1e-28 A"):
        netlist("V1 a 0 1", "R1 a b 1k", "D1 b 0 dm", ".model dm D(is=1e-40)")
