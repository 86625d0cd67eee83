"""ngspice's transient analysis against closed forms and against the native integrator."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from analogep.circuit import Bank, Circuit
from analogep.constants import thermal_voltage
from analogep.devices import Capacitor, CurrentSource, Diode, Resistor
from analogep.devices.sources.waveforms import Sine
from analogep.errors import EngineError, InputError
from analogep.solve import CurrentNudge
from analogep.solve import transient as native
from analogep.spice import transient
from analogep.spice.engines.ngspice import ENVIRONMENT
from analogep.spice.engines.rawfile import TRANSIENT, parse_plot

R, C = 1e4, 1e-9
TAU = R * C


def bank(name: str, device: type, pins: list[list[int]], **values: float) -> Bank:
    count = len(pins)
    parameters = {k: np.full(count, v) for k, v in values.items()}
    return Bank(name, device, np.array(pins), parameters, tuple(f"{name}{k}" for k in range(count)))


def low_pass(*more: Bank, **waveforms: Sine) -> Circuit:
    """Input a, R to b, C from there to ground."""
    banks = (
        bank("r", Resistor, [[1, 2]], conductance=1 / R),
        bank("c", Capacitor, [[2, 0]], value=C),
        *more,
    )
    return Circuit(("0", "a", "b"), banks, (), np.array([1]), np.array([[2, 0]]), waveforms=waveforms)


@pytest.mark.ngspice
def test_charging_is_exponential() -> None:
    found = transient(low_pass(), [2.0], 5 * TAU)
    assert found.engine.startswith("ngspice ")
    assert found.times[-1] == pytest.approx(5 * TAU)
    assert (np.diff(found.times) > 0).all()
    assert found.voltages.shape == (len(found.times), 1, 3)
    after = found.times > 0
    np.testing.assert_allclose(found.voltage("a")[after, 0], 2.0)
    np.testing.assert_allclose(found.voltage("b")[:, 0], 2 * (1 - np.exp(-found.times / TAU)), atol=2e-5)


@pytest.mark.ngspice
def test_it_starts_where_it_is_told_and_takes_the_nudge() -> None:
    """A nudge that takes the current I out of b pulls its end to V - I R."""
    start = np.array([[0.0, 1.0, 3.0]])
    push = 1e-5
    nudge = CurrentNudge(np.array([[push]]))
    found = transient(low_pass(), {"a": 1.0}, 12 * TAU, nudge, start)
    assert found.voltage("b")[0, 0] == pytest.approx(3.0, rel=1e-2)
    end = 1.0 - push * R
    np.testing.assert_allclose(found.voltage("b")[:, 0], end + (3.0 - end) * np.exp(-found.times / TAU), atol=5e-5)
    reference = native(low_pass(), {"a": 1.0}, 12 * TAU, nudge, start)
    assert found.voltage("b")[-1, 0] == pytest.approx(reference.voltages[-1, 0, 2], rel=1e-3)


@pytest.mark.ngspice
def test_a_driven_rectifier_follows_scipys_integrator() -> None:
    """C dv/dt = I sin(ωt) − v/R − Is (exp(v/VT) − 1), by Radau's method to 1e-9."""
    diode, amplitude, frequency = Diode(), 2e-4, 0.5 / TAU
    circuit = low_pass(
        bank("d", Diode, [[2, 0]], **diode.values),
        bank("i", CurrentSource, [[0, 2]], amplitude=0.0),
        i0=Sine(0.0, amplitude, frequency),
    )
    found = transient(circuit, [0.0], 6 * TAU, max_step=TAU / 1000)

    def rate(t: float, v: np.ndarray) -> np.ndarray:
        junction = diode.saturation_current * np.expm1(v / thermal_voltage(diode.temperature))
        return (amplitude * np.sin(2 * np.pi * frequency * t) - v / R - junction) / C

    exact = solve_ivp(rate, (0.0, 6 * TAU), [0.0], "Radau", found.times, rtol=1e-9, atol=1e-12).y[0]
    assert exact.max() > 0.5  # it conducts
    assert exact.min() < -0.5
    np.testing.assert_allclose(found.voltage("b")[:, 0], exact, atol=1e-4)


def test_wrong_arguments() -> None:
    with pytest.raises(InputError, match="2 samples"):
        transient(low_pass(), [[1.0], [2.0]], 1.0)
    with pytest.raises(InputError, match="until = -1"):
        transient(low_pass(), [1.0], -1.0)
    with pytest.raises(InputError, match="max_step = 0"):
        transient(low_pass(), [1.0], 1.0, max_step=0.0)
    with pytest.raises(InputError, match=r"v0 has shape \(1, 2\)"):
        transient(low_pass(), [1.0], 1.0, v0=np.zeros((1, 2)))


def test_failures_are_errors(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    program = tmp_path / "ngspice"
    monkeypatch.setenv(ENVIRONMENT, str(program))
    head = "Title: t\nPlotname: Transient Analysis\nFlags: real\nNo. Variables: 3\nNo. Points: 1\nVariables:\n"
    names = "\t0\ttime\ttime\n\t1\tv(a)\tvoltage\n\t2\tv(b)\tvoltage\nBinary:\n"

    def answer(time: float, b: float) -> None:
        (tmp_path / "answer").write_bytes((head + names).encode() + np.array([time, 1.0, b]).tobytes())

    def imposter(script: str) -> None:
        program.write_text(f'#!/bin/sh\nif [ "$1" = -v ]; then echo "** ngspice-39"; exit 0; fi\n{script}\n')
        program.chmod(0o755)

    imposter("echo 'Error: no such analysis' >&2")
    with pytest.raises(EngineError, match=r"gave no time points.*no such analysis"):
        transient(low_pass(), [1.0], 1.0)
    imposter(f"cp {tmp_path / 'answer'} waves.raw; echo 'doAnalyses: TRAN:  Timestep too small'")
    answer(0.5, 0.0)
    with pytest.raises(EngineError, match=r"stopped at 0.5 s of 1 s.*Timestep too small"):
        transient(low_pass(), [1.0], 1.0)
    answer(1.0, np.nan)
    with pytest.raises(EngineError, match="nan V at node b at 1 s"):
        transient(low_pass(), [1.0], 1.0)
    answer(1.0, 0.25)
    assert transient(low_pass(), [1.0], 1.0).voltage("b") == 0.25


def test_a_plot_that_is_cut_short_or_complex_is_none() -> None:
    head = "Plotname: Transient Analysis\nFlags: {}\nNo. Points: 2\nVariables:\n\t0\ttime\ttime\nBinary:\n"
    whole = head.format("real").encode() + np.array([0.0, 1.0]).tobytes()
    plot = parse_plot(whole, TRANSIENT)
    assert plot is not None
    np.testing.assert_array_equal(plot["time"], [0.0, 1.0])
    assert parse_plot(whole[:-1], TRANSIENT) is None
    assert parse_plot(whole, "Operating Point") is None
    assert parse_plot(head.format("complex").encode() + np.zeros(2).tobytes(), TRANSIENT) is None
