"""ngspice missing, failing, hanging, or answering with something else than this circuit's solution."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from analogep.circuit import Bank, Circuit
from analogep.devices import REGISTRY, Diode, Resistor
from analogep.errors import EngineError, InputError
from analogep.solve import ConductanceNudge
from analogep.solve import operating_point as native
from analogep.spice import PySpiceEngine, find_ngspice, from_netlist, operating_point, to_pyspice
from analogep.spice.engines.kirchhoff import check
from analogep.spice.engines.ngspice import ENVIRONMENT, TIGHT, run_ngspice


def divider(values: dict[str, np.ndarray] | None = None) -> Circuit:
    """Input a, resistor to b, and a diode and a resistor from there to ground."""
    diode = values or {k: np.array([v]) for k, v in Diode().values.items()}
    resistors = Bank(
        "r", Resistor, np.array([[1, 2], [2, 0]]), {"conductance": np.array([1e-3, 1e-4])}, ("r1", "r2")
    )
    diodes = Bank("d", Diode, np.array([[2, 0]]), diode, ("d1",))
    return Circuit(("0", "a", "b"), (resistors, diodes), (), np.array([1]), np.array([[2, 0]]))


@pytest.fixture
def imposter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a shell script in ngspice's place; it says version 39 when asked."""

    def put(script: str) -> None:
        path = tmp_path / "ngspice"
        path.write_text(f'#!/bin/sh\nif [ "$1" = -v ]; then echo "** ngspice-39"; exit 0; fi\n{script}\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv(ENVIRONMENT, str(path))

    return put


def test_missing_ngspice_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "/nonexistent/ngspice")
    with pytest.raises(EngineError, match="apt-get install ngspice"):
        find_ngspice()
    with pytest.raises(EngineError, match=ENVIRONMENT):
        operating_point(divider(), [1.0])
    monkeypatch.delenv(ENVIRONMENT)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match="on the path"):
        find_ngspice()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 1", "rejected"),
        ("echo 'Error: bad syntax in line 5' >&2; exit 1", "bad syntax in line 5"),
        ("kill -SEGV $$", "crashed"),
        ("exit 0", "no operating point"),
        ("echo 'Warning: singular matrix' >&2; exit 0", "singular matrix"),
        ("head -c 100 circuit.cir > s0.raw", "no operating point"),
        ("exec sleep 60", "longer than"),
    ],
)
def test_failures_are_errors(imposter: Callable[[str], None], script: str, message: str) -> None:
    imposter(script)
    with pytest.raises(EngineError, match=message):
        operating_point(divider(), [1.0], timeout=2.0)


def test_a_program_that_is_not_ngspice(imposter: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / "ngspice").write_text("#!/bin/sh\necho hello\n")
    imposter("exit 0")
    (tmp_path / "ngspice").write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(EngineError, match="does not look like ngspice"):
        operating_point(divider(), [1.0])


def raw(path: Path, plot: str, values: dict[str, float]) -> str:
    """Write a raw file and return the command that puts it in place."""
    names = "".join(f"\t{k}\tv({name})\tvoltage\n" for k, name in enumerate(values))
    head = f"Title: t\nPlotname: {plot}\nFlags: real\nNo. Variables: {len(values)}\nNo. Points: 1\n"
    data = np.array(list(values.values()), "<f8").tobytes()
    path.write_bytes(f"{head}Variables:\n{names}Binary:\n".encode() + data)
    return f"cp {path} s0.raw"


def test_only_this_circuits_solution_is_believed(imposter: Callable[[str], None], tmp_path: Path) -> None:
    good = native(divider(), [1.0]).voltage("b")[0]

    def solve(values: dict[str, float], plot: str = "Operating Point") -> np.ndarray:
        imposter(raw(tmp_path / "answer", plot, values))
        return operating_point(divider(), [1.0]).voltages

    np.testing.assert_allclose(solve({"a": 1.0, "b": good}), [[0.0, 1.0, good]])
    with pytest.raises(EngineError, match=r"current law at node b in sample 0"):
        solve({"a": 1.0, "b": good + 1e-6})
    with pytest.raises(EngineError, match="input that fixes node a"):
        solve({"a": 1.1, "b": good})
    with pytest.raises(EngineError, match="no voltage for node b"):
        solve({"a": 1.0})
    with pytest.raises(EngineError, match="nan V at node b"):
        solve({"a": 1.0, "b": np.nan})
    with pytest.raises(EngineError, match="no operating point"):
        solve({"a": 1.0, "b": good}, plot="constants")


def test_the_linear_solver_is_named(imposter: Callable[[str], None], tmp_path: Path) -> None:
    """From version 42 on ngspice says which one it uses; before, there was one only."""
    good = raw(tmp_path / "answer", "Operating Point", {"a": 1.0, "b": native(divider(), [1.0]).voltage("b")[0]})
    for said, name in (("", "Sparse 1.3"), ("echo 'Using KLU as Direct Linear Solver';", "KLU")):
        imposter(f"{said} {good}")
        assert operating_point(divider(), [1.0]).engine == f"ngspice 39 ({name})"


LOOP = "* V sources in a loop\nVa a 0 1\nVb a 0 2\nRa a 0 1k\n.end\n"


@pytest.mark.ngspice
def test_a_failed_op_exits_with_0_and_gives_no_point() -> None:
    outcome = run_ngspice(LOOP, [{"Va": 1.0}], TIGHT, 20.0)
    assert outcome.points == [None]
    assert "singular matrix" in outcome.log


@pytest.mark.ngspice
def test_a_failed_op_does_not_repeat_the_sample_before() -> None:
    """A junction at 10 kV has no current that a double can hold; its neighbours in the batch do."""
    netlist = "* junction\nVa a 0 1\nDa a 0 dm\nRa a 0 1k\n.model dm d is=1e-14\n.end\n"
    outcome = run_ngspice(netlist, [{"Va": 0.5}, {"Va": 1e4}, {"Va": 0.6}], TIGHT, 20.0)
    first, failed, last = outcome.points
    assert first is not None
    assert last is not None
    assert failed is None
    assert first["a"] == pytest.approx(0.5, rel=1e-12)
    assert last["a"] == pytest.approx(0.6, rel=1e-12)
    assert "aborted" in outcome.trouble()


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="unknown engine"):
        operating_point(divider(), [1.0], engine="spice3")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="timeout"):
        operating_point(divider(), [1.0], timeout=0.0)


@pytest.mark.ngspice
def test_batches_mappings_and_the_solutions_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    circuit = divider()
    inputs = np.linspace(-2, 2, 41)[:, None]
    nudge = ConductanceNudge(1e-5, np.linspace(1, 0, 41)[:, None])
    solution = operating_point(circuit, {"a": inputs[:, 0]}, nudge)
    np.testing.assert_allclose(solution.voltages, native(circuit, inputs, nudge).voltages, atol=1e-12)
    assert solution.converged.all()
    assert solution.residual.max() < 1e-15
    assert re.fullmatch(r"ngspice \S+ \((Sparse 1\.3|SPARSE 1\.3|KLU)\)", solution.engine)
    assert not list(tmp_path.iterdir()), "temporary files stay behind"


@pytest.mark.ngspice
def test_zero_gmin_does_not_hang() -> None:
    """With ``.options gmin=0`` ngspice's gmin stepping never ended."""
    values = {k: np.array([v]) for k, v in {**Diode().values, "gmin": 0.0, "emission": 0.05}.items()}
    inputs = [[5.0], [-5.0]]
    solution = operating_point(divider(values), inputs, timeout=20)
    np.testing.assert_allclose(solution.voltages, native(divider(values), inputs).voltages, atol=1e-9)


@pytest.mark.ngspice
def test_branch_currents_are_found_again() -> None:
    """Controlled sources, ideal diodes and amplifiers: their currents follow from the voltages."""
    values = {
        "cccs": {"gain": 2.0},
        "ccvs": {"transresistance": 50.0},
        "vcvs": {"gain": 3.0},
        "ideal_diode": {"threshold": 0.1},
    }
    banks = []
    index = 2
    nodes = ["0", "a"]
    for kind, parameters in values.items():
        pins = [index, 0, index + 1, 0][: len(REGISTRY[kind].pins)]
        nodes += [f"{kind}{k}" for k in range(2)]
        g = Bank(
            f"g_{kind}",
            Resistor,
            np.array([[1, index], [1, index + 1], [index + 1, index]]),
            {"conductance": np.array([1e-3, 2e-3, 1e-4])},
            [f"r_{kind}_{k}" for k in range(3)],
        )
        arrays = {k: np.array([v]) for k, v in parameters.items()}
        banks += [g, Bank(kind, REGISTRY[kind], np.array([pins]), arrays, (f"x_{kind}",))]
        index += 2
    circuit = Circuit(tuple(nodes), tuple(banks), (), np.array([1]))
    ours = native(circuit, [[1.0], [-1.0]], method="newton")
    theirs = operating_point(circuit, [[1.0], [-1.0]])
    assert set(ours.branches) == set(theirs.branches)
    for b, current in ours.branches.items():
        np.testing.assert_allclose(theirs.branches[b], current, rtol=1e-9, atol=1e-15)


def test_a_wrong_amplifier_or_ideal_diode_is_noticed() -> None:
    amplifier = Bank(
        "amp",
        REGISTRY["amplifier"],
        np.array([[1, 2]]),
        {"voltage_gain": np.array([4.0]), "current_gain": np.array([0.25])},
        ("x",),
    )
    loads = Bank("r", Resistor, np.array([[2, 0]]), {"conductance": np.array([1e-3])}, ("r1",))
    circuit = Circuit(("0", "a", "b"), (amplifier, loads), (), np.array([1]))
    inputs = np.array([[1.0]])
    assert check(circuit, inputs, None, np.array([[0.0, 1.0, 4.0]])).excess[0] < 1e-3
    assert check(circuit, inputs, None, np.array([[0.0, 1.0, 4.001]])).excess[0] > 1e3
    diode = Bank("id", REGISTRY["ideal_diode"], np.array([[2, 0]]), {"threshold": np.zeros(1)}, ("y",))
    feed = Bank("r", Resistor, np.array([[1, 2]]), {"conductance": np.array([1e-3])}, ("r1",))
    circuit = Circuit(("0", "a", "b"), (diode, feed), (), np.array([1]))
    for volts, wrong in ((1.0, 0.1), (-1.0, 0.0), (-1.0, -0.5)):
        right = min(volts, 0.0)
        assert check(circuit, np.array([[volts]]), None, np.array([[0.0, volts, right]])).excess[0] < 1.0
        assert check(circuit, np.array([[volts]]), None, np.array([[0.0, volts, wrong]])).excess[0] > 1e3


@pytest.mark.ngspice
@pytest.mark.parametrize("engine", ["ngspice", "pyspice"])
def test_an_impossible_current_is_refused(engine: Literal["ngspice", "pyspice"]) -> None:
    """1.3 V held across a diode of 1e-14 A: 1e-14 (e^(1.3/0.02586) - 1) = 6.7e7 A runs around the loop."""
    lines = ["title", "V1 a b 1.3", "D1 a b d", "R1 b 0 1k", "I1 0 b 1m", ".model d D(is=1e-14)", ".end", ""]
    circuit = from_netlist("\n".join(lines))
    with pytest.raises(EngineError, match=r"D1 would carry 6\.73e\+07 A in sample 0.*resistor in series"):
        operating_point(circuit, engine=engine)


# --- PySpice -------------------------------------------------------------------------------------------


def test_missing_pyspice_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PySpice.Spice.Netlist", None)
    with pytest.raises(EngineError, match="analogep\\[spice\\]"):
        to_pyspice(divider(), [1.0])
    with pytest.raises(EngineError, match="analogep\\[spice\\]"):
        operating_point(divider(), [1.0], engine="pyspice")


def test_missing_library_names_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PySpice")
    monkeypatch.setenv("NGSPICE_LIBRARY_PATH", "/nonexistent/libngspice.so")
    with PySpiceEngine() as engine, pytest.raises(EngineError, match="libngspice0"):
        operating_point(divider(), [1.0], engine=engine)


def test_a_pyspice_circuit_has_all_elements() -> None:
    pytest.importorskip("PySpice")
    netlist = to_pyspice(divider(), [1.0], title="Divider")
    assert {e.name for e in netlist.elements} == {"Va", "Rr1", "Rr2", "Dd1"}
    assert str(netlist).startswith(".title Divider")


def test_importing_spice_starts_nothing_and_loads_no_pyspice() -> None:
    code = "import sys, analogep.spice as s; s.to_netlist; assert 'PySpice' not in sys.modules; print(dir(s))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ.copy())
    assert done.returncode == 0, done.stderr
    assert "to_pyspice" in done.stdout
