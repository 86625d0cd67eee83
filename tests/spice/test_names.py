"""Names survive reading, writing and simulation; nodes that reading makes are never a netlist's own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogep.circuit import Bank, Circuit
from analogep.devices import Resistor, VoltageSource
from analogep.errors import NetlistError
from analogep.solve import operating_point
from analogep.spice import from_netlist, read_netlist, to_netlist
from analogep.spice.dialects import DIALECTS
from analogep.spice.run import run_netlist
from analogep.spice.simulated import simulate_netlist

NODES = ["2", "10", "007", "1e3", "1k", "x.1", "2.5", "and", "or", "all", "time", "abs", "V1_sensed", "_", "Out"]
NODES += ["nudge0_target", "n2", "R1", "a_b", "v", "i1", "0a", "pi", "e", "true", "temperature", "no"]
ELEMENTS = ["R1", "r2", "Rload", "load", "R_load", "R_", "R", "RR1", "1", "x1.R1", "R.x", "RR_load", "_R", "rR"]


def ladder(nodes: list[str], elements: list[str]) -> Circuit:
    """A source, and resistors from node to node and to ground; the elements share one bank."""
    count = len(nodes)
    pins = np.array([[k + 1, (k + 2 if k + 1 < count else 0)] for k in range(count)])
    names = (elements * count)[:count] if len(elements) >= count else [*elements]
    names += [f"spare{k}" for k in range(count - len(names))]
    bank = Bank("shared", Resistor, pins, {"conductance": np.linspace(1, 2, count) * 1e-3}, names)
    source = Bank("v", VoltageSource, np.array([[1, 0]]), {"voltage": np.array([1.0])}, ("Vsupply",))
    return Circuit(("0", *nodes), (source, bank))


names = st.tuples(
    st.lists(st.sampled_from(NODES), min_size=2, max_size=8, unique_by=str.lower),
    st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=8, unique_by=str.lower),
)


@given(names)
@settings(max_examples=100)
def test_nasty_names_come_back(case: tuple[list[str], list[str]]) -> None:
    circuit = ladder(*case)
    text = to_netlist(circuit)
    assert from_netlist(text) == circuit
    shown = {line.split()[0] for line in text.splitlines() if line[:1] == "R"}
    bank = circuit.banks[1]
    assert {name for name in bank.names if name.startswith("R") and not name.startswith("R_")} <= shown | {
        name for name in bank.names if all(not n.startswith("R") for n in bank.names)
    }


@pytest.mark.ngspice
def test_nasty_nodes_are_printed_by_ngspice_itself(ngspice: str, tmp_path: Path) -> None:
    """Every node by its name, 16 digits, with no script but the netlist's own."""
    nodes = [name for name in NODES if name != "all"]
    circuit = ladder(nodes, [])
    wanted = operating_point(circuit).voltages[0]
    (tmp_path / "c.cir").write_text(to_netlist(circuit))
    done = subprocess.run([ngspice, "-b", "c.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {
        name: float(value) for name, value in re.findall(r'^"?v\(([^)]+)\)"? = (\S+)', done.stdout, re.MULTILINE)
    }
    for k, node in enumerate(nodes, start=1):
        assert found[node.lower()] == pytest.approx(wanted[k], rel=1e-12), node


TEXT = """kept
V1 1 0 5
X1 1 2 half
Rload 2 0 1k
D1 2 0 fast
D2 2 0 SLOW 2
F1 3 0 V1 0.5
R3 3 V1_Sensed 1k
R4 v1_sensed 0 1k
.model fast d is=1e-15
.model SLOW d is=1e-14
.subckt half a b
R1 a b 1k
.ends
.end
"""


def test_elements_nodes_and_models_keep_their_names() -> None:
    read = read_netlist(TEXT)
    text = to_netlist(read)
    lines = [line.split() for line in text.splitlines()]
    assert ["Rload", "2", "0", "1000"] in lines
    assert any(line[:4] == ["D1", "2", "0", "fast"] for line in lines)
    assert any(line[:4] == ["D2", "2", "0", "slow"] for line in lines)
    assert {line[1] for line in lines if line[0] == ".model"} == {"fast", "slow"}
    again = read_netlist(text)
    assert again.circuit == read.circuit
    assert again.circuit.models == {"D1": "fast", "D2": "slow"}
    assert to_netlist(again) == text
    assert "V1_Sensed" in read.circuit.nodes
    assert len({node.lower() for node in read.circuit.nodes}) == len(read.circuit.nodes)


def test_a_node_that_reading_makes_is_not_the_netlists_own() -> None:
    """5 V drive 1 kΩ; half the current runs through 2 kΩ at node 3: −5 V at node 3, −2.5 V between."""
    text = "t\nV1 1 0 5\nR1 1 0 1k\nF1 3 0 V1 -0.5\nR3 3 V1_sensed 1k\nR4 v1_sensed 0 1k\n.end\n"
    (result,) = run_netlist(read_netlist(text), {})
    found = {name: float(result.voltages[0, k]) for k, name in enumerate(result.nodes)}
    assert found["3"] == pytest.approx(-5.0)
    assert found["V1_sensed"] == pytest.approx(-2.5)


def test_tables_have_the_netlists_names() -> None:
    text = "t\nV1 in+ 0 1\nR1 in+ in- 1\nR2 in- 0 1\n.end\n"
    (result,) = run_netlist(read_netlist(text), {})
    assert list(result.columns) == ["v(in+) [V]", "v(in-) [V]"]


def test_an_inputs_source_is_not_called_like_an_element() -> None:
    circuit = ladder(["supply", "b"], [])
    circuit = Circuit(circuit.nodes, circuit.banks[1:], (), np.array([1]))
    other = Bank("v", VoltageSource, np.array([[2, 0]]), {"voltage": np.array([2.0])}, ("Vsupply",))
    both = Circuit(circuit.nodes, (*circuit.banks, other), (), np.array([1]))
    text = to_netlist(both, [0.5])
    assert from_netlist(text) == both
    assert "\nVsupply_input supply 0 0.5\n" in text


# --- analyses --------------------------------------------------------------------------------------------

ASKED = """rc
V1 1 0 PULSE(0 1 1u 1n 1n 1 2)
R1 1 2 1k
C1 2 0 1n ic=0.2
R2 2 3 1k
D1 3 0 dm
.model dm d
.options reltol=1e-6 abstol=1e-14
.ic v(2)=0.2
.op
.dc V1 0 1 0.25
.tran 0.1u 3u 0 10n uic
.end
"""


def test_analyses_come_back() -> None:
    read = read_netlist(ASKED)
    again = read_netlist(to_netlist(read))
    assert again.circuit == read.circuit
    for key in ("analyses", "initial", "stored", "options", "guesses", "title"):
        assert getattr(again, key) == getattr(read, key), key


@pytest.mark.ngspice
def test_ngspice_gives_the_native_tables() -> None:
    read = read_netlist(ASKED)
    ours, theirs = run_netlist(read, {}), simulate_netlist(read, {})
    for mine, other in zip(ours, theirs, strict=True):
        assert list(mine.columns) == list(other.columns)
        for name, column in mine.columns.items():
            np.testing.assert_allclose(other.columns[name], column, rtol=0, atol=2e-4, err_msg=name)


@pytest.mark.ngspice
def test_the_exported_netlist_does_its_analyses(ngspice: str, tmp_path: Path) -> None:
    (tmp_path / "c.cir").write_text(to_netlist(read_netlist(ASKED)))
    done = subprocess.run([ngspice, "-b", "c.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "v(2) = " in done.stdout
    assert re.search(r"^Index\s+v-sweep\s+v\(1\)\s+v\(2\)\s+v\(3\)\s*$", done.stdout, re.MULTILINE)
    rows = re.findall(r"^\d+\t(\S+)\t(\S+)\t(\S+)\t(\S+)\s*$", done.stdout, re.MULTILINE)
    assert len(rows) > 300
    assert float(rows[-1][0]) == pytest.approx(3e-6)


@pytest.mark.ngspice
def test_a_failed_analysis_of_an_exported_netlist_has_an_exit_status(ngspice: str, tmp_path: Path) -> None:
    text = to_netlist(from_netlist("t\nV1 a 0 1\nR1 a 0 1\n.end\n")).replace("\nR1 ", "\nV2 a 0 2\nR1 ")
    (tmp_path / "c.cir").write_text(text)
    done = subprocess.run([ngspice, "-b", "c.cir"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "the analysis failed: op" in done.stdout


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "ngspice"])
def test_every_dialect_asks_in_its_own_words(dialect: str) -> None:
    read = read_netlist(ASKED)
    if dialect == "xyce":
        with pytest.raises(NetlistError, match=r"\.options reltol, abstol: xyce has its tolerances elsewhere"):
            to_netlist(read, dialect=dialect)
        read = read_netlist(re.sub(r"\.options .*\n", "", ASKED))
    text = to_netlist(read, dialect=dialect)
    dots = [line for line in text.splitlines() if line.startswith((".op", ".dc", ".tran"))]
    assert [line.split()[0] for line in dots if not line.startswith(".option")] == [".op", ".dc", ".tran"]
    assert ".control" not in text
