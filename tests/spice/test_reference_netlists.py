"""The reference circuits in ``netlists/`` have their voltages: natively, in ngspice and in PySpice."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogep.solve import operating_point as native
from analogep.spice import operating_point, read_netlist, to_netlist
from analogep.spice.engines.rawfile import read_operating_point
from analogep.spice.reading.reader import Netlist

FOLDER = Path(__file__).parents[2] / "netlists"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/expected.toml"))


def expected_of(case: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / case / "expected.toml").read_text())


def load(case: str) -> tuple[Netlist, dict[str, Any]]:
    path = FOLDER / case / "circuit.cir"
    return read_netlist(path.read_text(), source=str(path), base=path.parent), expected_of(case)


def assert_voltages(found: dict[str, float], expected: dict[str, Any]) -> None:
    for node, volts in expected["voltages"].items():
        assert found[node] == pytest.approx(volts, rel=0, abs=expected["tolerance"]), node


def test_there_are_cases() -> None:
    assert len(CASES) >= 16


@pytest.mark.parametrize("case", CASES)
def test_native_solution(case: str) -> None:
    netlist, expected = load(case)
    assert expected["origin"]
    solution = native(netlist.circuit, netlist.inputs, netlist.nudge)
    assert_voltages(dict(zip(netlist.circuit.nodes, solution.voltages[0], strict=True)), expected)


@pytest.mark.ngspice
@pytest.mark.parametrize("case", CASES)
def test_ngspice_solution_of_what_was_read(case: str) -> None:
    netlist, expected = load(case)
    solution = operating_point(netlist.circuit, netlist.inputs, netlist.nudge)
    assert_voltages(dict(zip(netlist.circuit.nodes, solution.voltages[0], strict=True)), expected)


@pytest.mark.ngspice
@pytest.mark.parametrize("case", CASES)
def test_pyspice_solution_of_what_was_read(case: str) -> None:
    """Built by PySpice element by element, without our writer."""
    pytest.importorskip("PySpice")
    netlist, expected = load(case)
    solution = operating_point(netlist.circuit, netlist.inputs, netlist.nudge, engine="pyspice")
    assert_voltages(dict(zip(netlist.circuit.nodes, solution.voltages[0], strict=True)), expected)
    written = operating_point(netlist.circuit, netlist.inputs, netlist.nudge)
    np.testing.assert_allclose(solution.voltages, written.voltages, rtol=0, atol=expected["tolerance"])


@pytest.mark.parametrize("case", CASES)
def test_ngspice_solution_of_the_file_itself(case: str, ngspice: str, tmp_path: Path) -> None:
    """Without our reader or writer in between."""
    expected = expected_of(case)
    text = (FOLDER / case / "circuit.cir").read_text()
    text = text.replace("../subcircuits", str(FOLDER / "subcircuits"))
    options = ".options reltol=1e-9 vntol=1e-12 abstol=1e-18\n"
    script = f"{options}.control\nop\nwrite out.raw\nquit 0\n.endc\n.end"
    (tmp_path / "circuit.cir").write_text(text.replace("\n.op\n", "\n").replace("\n.end\n", f"\n{script}\n"))
    subprocess.run([ngspice, "-n", "-b", "circuit.cir"], cwd=tmp_path, capture_output=True, timeout=30)
    found = read_operating_point(tmp_path / "out.raw")
    assert found is not None
    assert_voltages(found, expected)


@pytest.mark.parametrize("case", CASES)
def test_written_again_it_is_the_same_circuit(case: str) -> None:
    netlist, _ = load(case)
    again = read_netlist(to_netlist(netlist.circuit, netlist.inputs, nudge=netlist.nudge))
    assert again.circuit == netlist.circuit
    np.testing.assert_array_equal(again.inputs, netlist.inputs)
