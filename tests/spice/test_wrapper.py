"""Core and wrapper: the core says what the netlist says, and ngspice runs the wrapper to the native voltages."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from strategies import DEVICES
from test_dialects import around
from test_layers import network

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.devices import REGISTRY, Capacitor, Diode, IdealDiode, VoltageSource
from analogep.devices.sources.waveforms import Pulse
from analogep.errors import InputError
from analogep.solve import ConductanceNudge, operating_point
from analogep.spice import from_netlist, to_netlist, write


def run(ngspice: str, wrapper: Path) -> tuple[int, str]:
    command = [ngspice, "-n", "-b", wrapper.name]
    done = subprocess.run(command, cwd=wrapper.parent, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def table(folder: Path) -> dict[str, np.ndarray]:
    names, *rows = (folder / "voltages.txt").read_text().splitlines()
    return dict(zip(names.split(), np.array([row.split() for row in rows], float).T, strict=False))


# --- the files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hierarchy", ["flat", "layers"])
def test_the_core_holds_elements_only_and_is_the_circuit(hierarchy: str, tmp_path: Path) -> None:
    for diode in (Diode(gmin=1e-9), Diode(gmin=1e-13), Diode(gmin=0.0)):
        circuit, inputs = network(diode=diode)
        write(tmp_path, circuit, inputs, hierarchy=hierarchy, nodeset=operating_point(circuit, inputs))
        core = (tmp_path / "core.cir").read_text()
        dots = {line.split()[0] for line in core.splitlines() if line.startswith(".")}
        assert dots == {".model"} | ({".subckt", ".ends"} if hierarchy == "layers" else set())
        assert from_netlist(core) == circuit
        wrapper = (tmp_path / "wrapper.cir").read_text()
        assert from_netlist(wrapper, base=tmp_path) == circuit


def test_the_core_has_the_lines_of_every_dialect_that_spells_as_spice3(tmp_path: Path) -> None:
    circuit, inputs = network()
    write(tmp_path, circuit, inputs)
    core = [line for line in (tmp_path / "core.cir").read_text().splitlines() if line[0] != "*"]
    for dialect in ("ngspice", "ltspice", "xyce"):
        lines = to_netlist(circuit, inputs, dialect=dialect).splitlines()
        assert [line for line in lines if line in core] == core


@pytest.mark.parametrize("transient", [(0.0, 1.0), (-1e-6, 1.0), (2.0, 1.0), (1e-6, np.inf), (np.nan, 1.0)])
def test_impossible_times_are_refused_and_nothing_is_written(
    transient: tuple[float, float], tmp_path: Path
) -> None:
    circuit, inputs = network()
    with pytest.raises(InputError, match="give 0 < step"):
        write(tmp_path / "new", circuit, inputs, transient=transient)
    assert not (tmp_path / "new").exists()


# --- in ngspice ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hierarchy", ["flat", "layers"])
@pytest.mark.parametrize("diode", [Diode(), Diode(gmin=1e-9, series_resistance=3.0), IdealDiode(0.1)])
@pytest.mark.parametrize("guess", [False, True])
def test_operating_points_are_the_native_ones(
    hierarchy: str, diode: Diode | IdealDiode, guess: bool, ngspice: str, tmp_path: Path
) -> None:
    circuit, inputs = network(diode=diode)
    nudge = ConductanceNudge(1e-5, np.array([[0.3, -0.2]]))
    solution = operating_point(circuit, inputs[1:], nudge)
    wrapper = write(
        tmp_path,
        circuit,
        inputs[1:],
        nudge=nudge,
        hierarchy=hierarchy,
        nodeset=solution if guess else None,
    )
    status, log = run(ngspice, wrapper)
    assert status == 0, log
    found = table(tmp_path)
    for name, value in zip(circuit.nodes[1:], solution.voltages[0, 1:], strict=True):
        assert found[name.lower()] == pytest.approx([value], rel=0, abs=1e-9), name


def test_a_failed_analysis_has_an_exit_status(ngspice: str, tmp_path: Path) -> None:
    """Two sources that contradict each other, and a missing core."""
    circuit = Circuit(
        ("0", "a", "b"),
        (
            Bank("v", VoltageSource, np.array([[1, 0]]), {"voltage": np.array([1.0])}, ("V1",)),
            resistor_bank("r", [[1, 2], [2, 0]], [1e-3, 1e-3], ["R1", "R2"]),
        ),
    )
    wrapper = write(tmp_path, circuit)
    assert run(ngspice, wrapper)[0] == 0
    assert table(tmp_path)["b"] == pytest.approx([0.5])
    (tmp_path / "voltages.txt").unlink()
    core = tmp_path / "core.cir"
    core.write_text(core.read_text() + "V2 a 0 2\n")
    for transient in (None, (1e-6, 1e-3)):
        if transient:
            before = core.read_text()
            wrapper = write(tmp_path, circuit, transient=transient)
            core.write_text(before)
        status, log = run(ngspice, wrapper)
        assert status != 0, log
        assert not (tmp_path / "voltages.txt").exists()
    core.unlink()
    assert run(ngspice, wrapper)[0] != 0


def test_a_transient_that_cannot_end_has_an_exit_status(ngspice: str, tmp_path: Path) -> None:
    """A current that is infinite after half of the time."""
    circuit = Circuit(
        ("0", "a"),
        (
            resistor_bank("r", [[1, 0]], [1e-3], ["R1"]),
            Bank("c", Capacitor, np.array([[1, 0]]), {"value": np.array([1e-9])}, ("C1",)),
        ),
    )
    wrapper = write(tmp_path, circuit, transient=(1e-6, 1e-3))
    core = tmp_path / "core.cir"
    core.write_text(core.read_text() + "B1 0 a I=1e-3/(time-0.5e-3)^2\n")
    status, log = run(ngspice, wrapper)
    assert status != 0, log
    assert not (tmp_path / "voltages.txt").exists()


def test_a_transient_follows_the_sources(ngspice: str, tmp_path: Path) -> None:
    """A step of 1 V into RC: v = 1 - exp(-t/RC); RC is 1 us, and the edge takes 1e-15 s."""
    circuit = Circuit(
        ("0", "in", "out"),
        (
            Bank("v", VoltageSource, np.array([[1, 0]]), {"voltage": np.array([0.0])}, ("V1",)),
            resistor_bank("r", [[1, 2]], [1e-3], ["R1"]),
            Bank("c", Capacitor, np.array([[2, 0]]), {"value": np.array([1e-9])}, ("C1",)),
        ),
        waveforms={"V1": Pulse(0.0, 1.0)},
    )
    assert ".tran" not in to_netlist(circuit)
    assert from_netlist(to_netlist(circuit)) == circuit
    wrapper = write(tmp_path, circuit, transient=(1e-9, 5e-6))
    assert from_netlist((tmp_path / "core.cir").read_text()) == circuit
    status, log = run(ngspice, wrapper)
    assert status == 0, log
    found = table(tmp_path)
    assert found["time"][-1] == pytest.approx(5e-6)
    np.testing.assert_allclose(found["out"], -np.expm1(-found["time"] / 1e-6), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", sorted(set(DEVICES) & {"diode", "amplifier", "ideal_diode", "sinh_resistor"}))
def test_single_devices_run(kind: str, ngspice: str, tmp_path: Path) -> None:
    values = REGISTRY[kind]().values if kind != "sinh_resistor" else {"conductance": 1e-3, "v0": 0.5}
    circuit = around(kind, dict(values))
    status, log = run(ngspice, write(tmp_path, circuit))
    assert status == 0, log
    assert all(found == pytest.approx([0.0], abs=1e-9) for found in table(tmp_path).values())
