"""Included files and subcircuits: what they mean, and faults by file, line and instance."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_reader_differential import theirs

from analogep.circuit import Circuit
from analogep.errors import NetlistError
from analogep.solve import operating_point
from analogep.spice import from_netlist
from analogep.spice.reading.reader import read_file


def netlist(*lines: str) -> str:
    return "\n".join(["title", *lines, ".end", ""])


def voltage(circuit: Circuit, node: str) -> float:
    return float(operating_point(circuit).voltage(node)[0])


def elements(circuit: Circuit) -> set[str]:
    return {name for bank in circuit.banks for name in bank.names}


def fault(text: str, **options: object) -> str:
    with pytest.raises(NetlistError) as caught:
        from_netlist(text, source="main.cir", **options)  # type: ignore[arg-type]
    return "\n".join(map(str, caught.value.faults))


# --- files ---------------------------------------------------------------------------------------------


def test_files_are_relative_to_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.inc").write_text("* first line\nR1 a b 1k\n.include 'more parts.inc'\n")
    (tmp_path / "parts" / "more parts.inc").write_text("R2 b 0\n+ 3k\n.param unused=1\n")
    main = tmp_path / "main.cir"
    main.write_text(netlist("V1 a 0 4", ".inc parts/a.inc"))
    assert voltage(read_file(main).circuit, "b") == pytest.approx(3.0, rel=1e-13)
    text = main.read_text()
    assert voltage(from_netlist(text, base=tmp_path), "b") == pytest.approx(3.0, rel=1e-13)
    assert "base=" in fault(text)


def test_a_library_gives_the_section_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "m.lib").write_text(
        ".lib tt\n.param r=1k\n.endl tt\n.lib ss\n.param r=3k\n.lib 'm.lib' common\n.endl\n"
        ".lib common\n.param s=2\n.endl\n"
    )
    for section, expected in (("tt", 0.5), ("SS", 0.25)):
        text = netlist("V1 a 0 1", "R1 a b {r}", "R2 b 0 1k", f'.lib "m.lib" {section}')
        assert voltage(from_netlist(text, base=tmp_path), "b") == pytest.approx(expected, rel=1e-13)
    message = fault(netlist("R1 a 0 1", ".lib m.lib ff"), base=tmp_path)
    assert message.startswith("main.cir:3: .lib")
    assert "it has tt, ss, common" in message


def test_faults_in_files_name_that_file(tmp_path: Path) -> None:
    (tmp_path / "bad.inc").write_text("R1 a 0 1k\nR2 a 0\n.frobnicate\n")
    message = fault(netlist(".include bad.inc"), base=tmp_path)
    assert f"{tmp_path / 'bad.inc'}:2: R2: " in message
    assert f"{tmp_path / 'bad.inc'}:3: .frobnicate" in message
    assert "there is no file" in fault(netlist(".include none.inc"), base=tmp_path)
    assert "there is no file" in fault(netlist(".include ."), base=tmp_path)


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    (tmp_path / "a.inc").write_text(".include b.inc\n")
    (tmp_path / "b.inc").write_text(".include ./a.inc\n")
    assert "includes itself" in fault(netlist(".include a.inc"), base=tmp_path)
    for k in range(30):
        (tmp_path / f"deep{k}.inc").write_text(f".include deep{k + 1}.inc\n")
    assert "nested more than" in fault(netlist(".include deep0.inc"), base=tmp_path)


# --- subcircuits ---------------------------------------------------------------------------------------

DIVIDER = [".subckt divider top mid params: upper=1k lower={upper*3}", "R1 top mid {upper}", "R2 mid 0 {lower}"]


def test_names_ports_and_parameters() -> None:
    circuit = from_netlist(
        netlist("V1 a 0 4", "X1 a b divider", "xTwo b c DIVIDER upper={2*k}", ".param k=5k", *DIVIDER, ".ends")
    )
    assert elements(circuit) == {"V1", "x1.R1", "x1.R2", "xtwo.R1", "xtwo.R2"}
    lower = 3e3 * 4e4 / 4.3e4
    assert voltage(circuit, "c") == pytest.approx(4 * lower / (lower + 1e3) * 0.75, rel=1e-12)


def test_inner_nodes_definitions_models_and_globals() -> None:
    circuit = from_netlist(
        netlist(
            "V1 vdd 0 2",
            "X1 out outer",
            "Rx x1.mid 0 1k",
            "Rout out 0 1k",
            ".global vdd",
            ".model d D(is=1e-20)",
            ".subckt outer o",
            ".model d D(is=1e-12)",
            ".subckt inner a",
            "R1 vdd mid 1k",
            "D1 mid a d",
            ".ends inner",
            "Xi mid inner",
            "V2 mid sense 0",
            "Rs sense 0 1k",
            "F1 0 o V2 1",
            ".ends",
        )
    )
    assert {"vdd", "out", "x1.mid", "x1.xi.mid"} <= set(circuit.nodes)
    assert not {"x1.vdd", "x1.xi.vdd", "x1.o", "x1.xi.a"} & set(circuit.nodes)
    (diodes,) = (b for b in circuit.banks if b.device.kind == "diode")
    assert diodes.names == ("x1.xi.D1",)
    assert diodes.values["saturation_current"].tolist() == [1e-12]
    assert voltage(circuit, "out") == pytest.approx(voltage(circuit, "x1.mid"), rel=1e-12)


def test_parameters_are_looked_up_along_the_instances() -> None:
    """As ngspice 39 does: the leaf sees its caller's p (5), not the netlist's (1)."""
    circuit = from_netlist(
        netlist(
            ".param p=1",
            ".subckt leaf a",
            "I1 0 a {p}",
            ".ends",
            ".subckt mid a p=5",
            "X1 a leaf",
            ".ends",
            "X1 n1 mid",
            "R1 n1 0 1",
            "X2 n2 leaf",
            "R2 n2 0 1",
        )
    )
    assert voltage(circuit, "n1") == pytest.approx(5.0)
    assert voltage(circuit, "n2") == pytest.approx(1.0)


def test_faults_in_an_instance_name_line_and_path_once() -> None:
    body = [".subckt inner a", "R1 a 0 {nope}", ".ends", ".subckt outer a", "Xi a inner", "Xj a inner", ".ends"]
    message = fault(netlist("V1 a 0 1", *body, "X1 a outer", "X2 a outer"))
    assert message == "main.cir:4 (in x1.xi): R1: resistance: unknown parameter 'nope'; define it with .param"
    message = fault(netlist("V1 a 0 1", ".subckt s a", "R1 a 0 0", ".ends", "X9 a s"))
    assert message.startswith("main.cir:4 (in x9): x9.R1: resistance 0 Ω")


REFUSED = {
    "is not defined": ["X1 a b"],
    "1 nodes for the 2 pins": [*DIVIDER, ".ends", "X1 a divider"],
    "no parameter middle": [*DIVIDER, ".ends", "X1 a b divider middle=3"],
    "without .ends": [*DIVIDER],
    "ends .subckt divider": [*DIVIDER, ".ends other"],
    "defined twice": [*DIVIDER, ".ends", *DIVIDER, ".ends"],
    "name of its own": [".subckt s a a", ".ends"],
    "none is ground": [".subckt s a 0", ".ends"],
    "contains itself: s -> t -> s": [".subckt s a", "X1 a t", ".ends", ".subckt t a", "X1 a s", ".ends", "X1 a s"],
    "is also its .param": [".subckt s a k=1", ".param k=2", "R1 a 0 {k}", ".ends", "X1 a s"],
    ".tran within": [".subckt s a", "R1 a 0 1", ".tran 1 2", ".ends", "X1 a s"],
    "structured comments within": [".subckt s a", "*@ bank b resistor", "R1 a 0 1", ".ends", "X1 a s"],
    "stands in no section": [*DIVIDER, ".ends", "*@ bank b resistor", "X1 a b divider"],
    "expected nodes": ["X1"],
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str) -> None:
    assert what in fault(netlist("V1 a 0 1", "R9 a 0 1", *REFUSED[what]))


def test_a_billion_elements_are_refused_before_they_are_made() -> None:
    lines = [".subckt s0 a", "R1 a 0 1", ".ends"]
    for k in range(1, 31):
        lines += [f".subckt s{k} a", *(f"X{j} a s{k - 1}" for j in range(10)), ".ends"]
    assert "more than 1000000 elements" in fault(netlist("V1 a 0 1", *lines, "X1 a s9"))
    assert "more than 1000000 elements" in fault(netlist("V1 a 0 1", *lines, "X1 a s30"))
    lines = [".subckt s0 a", "R1 a 0 1", ".ends"]
    for k in range(1, 2000):
        lines += [f".subckt s{k} a", f"X1 a s{k - 1}", ".ends"]
    used = [f"X{k} a s{k}" for k in range(0, 2000, 100)]
    assert "nested more than 50 deep" in fault(netlist("V1 a 0 1", *lines, *used))


SCOPES = {
    "a number of the subcircuit's": (["X1 n s b={a*7}"], 214.0),
    "a number on the X line": (["X1 n s b={a*7} a=3"], 321.0),
    "a number that comes later": (["X1 n s a={b*7} b=4"], 2804.0),
    "a value that comes later is the caller's": (["X1 n s a={b*7} b={c}"], 7005.0),
    "one that came before is the instance's": (["X1 n s b={a*7} a={c}"], 535.0),
    "no number": (["X1 n s a={b*7} b={2+2}"], 7004.0),
    "each other": (["X1 n s a={b} b={a}"], 1010.0),
    "a plain name": (["X1 n s b=a"], 202.0),
    "the name being defined is the caller's": (["X1 n s a={a*2} b='b*2'"], 220.0),
    "also in a default": ([".subckt t n a={a*2} b=1", "X1 n s a={a} b={b}", ".ends", "X2 n t"], 201.0),
    "and in .param": ([".subckt t n", ".param a={a*5}", "X1 n s a={a}", ".ends", "X2 n t"], 503.0),
    "defaults in order of their needs": (
        [".subckt t n a={b*7} b={f(3)}", "X1 n s a={a} b={b}", ".ends", ".func f(x) {x+1}", "X2 n t"], 2804.0
    ),
    "a .param of the subcircuit": (
        [".subckt t n x=1", ".param q={x+1}", "X1 n s a={x} b={q}", ".ends", ".param q=9", "X2 n t x={q}"], 910.0
    ),
}  # fmt: skip
"""Lines, and V(n) = 100 a + b by hand with a = 2 and b = 3 by default, and a = 1, b = 10 and c = 5 outside."""


@pytest.mark.parametrize("case", SCOPES)
def test_where_parameters_are_looked_up(case: str) -> None:
    text, expected = scoped(case)
    assert voltage(from_netlist(text), "n") == pytest.approx(expected, rel=1e-13)


def scoped(case: str) -> tuple[str, float]:
    lines, expected = SCOPES[case]
    body = [".param a=1 b=10 c=5", ".subckt s n a=2 b=3", "V1 n 0 {100*a+b}", ".ends"]
    return netlist(*body, *lines, "R1 n 0 1"), expected


@pytest.mark.ngspice
@pytest.mark.parametrize("case", SCOPES)
def test_ngspice_looks_parameters_up_there_too(case: str, ngspice: str) -> None:
    text, expected = scoped(case)
    assert theirs(ngspice, text.splitlines()[1:-1])["n"] == pytest.approx(expected, rel=1e-9)


def test_defaults_that_need_each_other_are_refused() -> None:
    text = netlist(".param a=1 b=2", ".subckt s n a={b} b={2*a}", "R1 n 0 {a+b}", ".ends", "X1 n s")
    assert "main.cir:3: parameter a is defined by itself" in fault(text)
