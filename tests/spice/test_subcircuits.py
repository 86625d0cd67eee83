"""Subcircuits of ``netlists/subcircuits/``: in ngspice and natively, against what was worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.constants import CELSIUS_ZERO, thermal_voltage
from analogep.devices import BidirectionalAmplifier, Diode, VoltageSource
from analogep.solve import operating_point
from analogep.spice import from_netlist
from analogep.spice.engines.ngspice import RELAXED, TIGHT, run_ngspice

FOLDER = Path(__file__).parents[2] / "netlists" / "subcircuits"
ROUTES = [pytest.param("ngspice", marks=pytest.mark.ngspice), "native"]


def voltages(route: str, library: str, *lines: str) -> dict[str, float]:
    """Node voltages by lower-case name of a netlist that includes one file of the library."""
    text = "\n".join(["a test", f".include {FOLDER / library}", *lines, ".options gmin=1e-20", ".end", ""])
    if route == "ngspice":
        points = run_ngspice(text, [{}], TIGHT, 30.0).points
        point = points[0] or run_ngspice(text, [{}], RELAXED, 30.0).points[0]
        assert point is not None
        return point
    circuit = from_netlist(text, base=FOLDER)
    solution = operating_point(circuit)
    return {name.lower(): value for name, value in zip(circuit.nodes, solution.voltages[0].tolist(), strict=True)}


def test_every_file_says_what_it_is_and_is_tested_here() -> None:
    tested = Path(__file__).read_text()
    readme = (FOLDER / "README.md").read_text()
    files = sorted(FOLDER.glob("*.cir"))
    assert files
    for path in files:
        text = path.read_text()
        assert f'"{path.name}"' in tested
        assert f"`{path.name}`" in readme
        for word in ("* Pins", "* Parameters", "* Source", "* Natively"):
            assert word in text, (path.name, word)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("gain", "back"), [(None, None), (4.0, 0.25), (3.0, 3.0), (-2.0, 0.5)])
def test_bidirectional_amplifier(route: str, gain: float | None, back: float | None) -> None:
    """Kirchhoff's law at the input: (h - 1)/1k + back gain h/2k = 0; the defaults are 4 and 1/4."""
    given = "" if gain is None or back is None else f"gain={gain} back={back}"
    a, b = (4.0, 0.25) if gain is None or back is None else (gain, back)
    found = voltages(
        route,
        "bidirectional_amplifier.cir",
        "Vx x 0 1",
        "R1 x h 1k",
        f"Xamp h out bidirectional_amplifier {given}",
        "R2 out 0 2k",
    )
    h = 1.0 / (1.0 + a * b / 2.0)
    assert found["h"] == pytest.approx(h, rel=1e-12)
    assert found["out"] == pytest.approx(a * h, rel=1e-12)
    circuit = Circuit(
        ("0", "x", "h", "out"),
        (
            resistor_bank("r", [[1, 2], [3, 0]], [1e-3, 0.5e-3], ["R1", "R2"]),
            Bank(
                "amp",
                BidirectionalAmplifier,
                np.array([[2, 3]]),
                {"voltage_gain": np.array([a]), "current_gain": np.array([b])},
                ("a1",),
            ),
            Bank("v", VoltageSource, np.array([[1, 0]]), {"voltage": np.array([1.0])}, ("V1",)),
        ),
    )
    assert found["out"] == pytest.approx(operating_point(circuit).voltage("out")[0], rel=1e-12)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("current", [-1e-4, -1e-6, 1e-6, 1e-4])
def test_diode_neuron(route: str, current: float) -> None:
    """A current goes through one diode, the other's reverse current Is aside: bias and one drop."""
    isat, n, bias, voff = 1e-9, 1.5, 0.7, -0.2
    found = voltages(
        route,
        "diode_neuron.cir",
        f"I1 0 a {current:g}",
        f"Xn a diode_neuron isat={isat} n={n} bias={bias} voff={voff}",
    )
    drop = n * thermal_voltage(27.0 + CELSIUS_ZERO) * math.log1p((abs(current) - isat) / isat)
    # the reverse current differs from Is by Is (3 n VT/(e v))^3, less than 1e-4 of it
    assert found["a"] == pytest.approx(voff + math.copysign(bias + drop, current), rel=0, abs=1e-8)


@pytest.mark.parametrize("route", ROUTES)
def test_diode_neuron_is_two_native_diodes(route: str) -> None:
    found = voltages(
        route, "diode_neuron.cir", "Vx x 0 2", "R1 x a 1k", "Xn a diode_neuron isat=1e-12 bias=0.3 voff=0.1"
    )
    values = {
        k: np.full(2, v) for k, v in Diode(saturation_current=1e-12, emission=1.0, gmin=1e-20).values.items()
    }
    circuit = Circuit(
        ("0", "x", "a", "high", "low"),
        (
            resistor_bank("r", [[1, 2]], [1e-3], ["R1"]),
            Bank("d", Diode, np.array([[2, 3], [4, 2]]), values, ("d1", "d2")),
            Bank(
                "v",
                VoltageSource,
                np.array([[1, 0], [3, 0], [4, 0]]),
                {"voltage": np.array([2.0, 0.4, -0.2])},
                ("V1", "V2", "V3"),
            ),
        ),
    )
    assert found["a"] == pytest.approx(operating_point(circuit).voltage("a")[0], rel=0, abs=1e-9)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("gplus", "gminus"), [(3e-4, 1e-4), (1e-4, 3e-4), (2e-4, 2e-4)])
def test_conductance_pair(route: str, gplus: float, gminus: float) -> None:
    """Each side divides the input between its conductance and an equal load."""
    found = voltages(
        route,
        "differential_pair.cir",
        "Vx x 0 2",
        f"Xw x p n conductance_pair gplus={gplus} gminus={gminus}",
        "R1 p 0 1k",
        "R2 n 0 1k",
    )
    assert found["p"] == pytest.approx(2.0 * gplus / (gplus + 1e-3), rel=1e-12)
    assert found["n"] == pytest.approx(2.0 * gminus / (gminus + 1e-3), rel=1e-12)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("d", [-0.2, -0.05, 0.0, 0.1, 0.25, 0.6])
def test_mosfet_pair(route: str, d: float) -> None:
    """Both transistors saturated: the formula in the file; beyond sqrt(2 tail/b), 0.447 V, one takes all."""
    tail, load, b = 100e-6, 10e3, 100e-6 * 10
    found = voltages(
        route,
        "differential_pair.cir",
        f"Vp inp 0 {1.5 + d / 2}",
        f"Vn inn 0 {1.5 - d / 2}",
        "Vdd vdd 0 3",
        "Xd inp inn outp outn vdd mosfet_pair",
    )
    share = tail / 2 + b / 4 * d * math.sqrt(max(4 * tail / b - d * d, 0.0))
    if abs(d) > math.sqrt(2 * tail / b):
        share = tail if d > 0 else 0.0
    assert found["outn"] == pytest.approx(3.0 - load * share, rel=0, abs=1e-9)
    assert found["outp"] == pytest.approx(3.0 - load * (tail - share), rel=0, abs=1e-9)
