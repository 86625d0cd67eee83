"""Sources over time, inductors, switches and the three methods, against analytic solutions and ngspice."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scripts import script
from test_transient import circuit_of

from analogep.circuit import Circuit
from analogep.devices import (
    VCVS,
    Capacitor,
    CurrentSource,
    Diode,
    Inductor,
    PiecewiseLinear,
    Pulse,
    Resistor,
    Sine,
    Switch,
    VoltageSource,
    Waveform,
)
from analogep.errors import ConvergenceError, InputError
from analogep.solve import NewtonOptions, Trajectory, TransientOptions, operating_point, time_constants, transient
from analogep.solve.time.integrators import METHODS
from analogep.spice.engines.ngspice import with_script

R, C = 1e3, 1e-9
TAU = R * C
RC = (("x", "a", Resistor(conductance=1 / R)), ("a", "0", Capacitor(value=C)))
TIGHT = TransientOptions(absolute=1e-9, relative=1e-7, current_absolute=1e-12)
Exact = Callable[[np.ndarray], np.ndarray]


def rc_response(slope: float, value: float, start: float, t: np.ndarray) -> np.ndarray:
    """Return v of τ v' = u − v, u = value + slope t, v(0) = start."""
    rest = value + slope * (t - TAU)
    return rest + (start - (value - slope * TAU)) * np.exp(-t / TAU)


def rc_polyline(times: tuple[float, ...], values: tuple[float, ...], t: np.ndarray) -> np.ndarray:
    """Return the RC's answer to straight pieces from (0, 0), by the exact solution of each."""
    out, v = np.zeros(len(t)), 0.0
    edges = [*times, math.inf]
    for k, a in enumerate(times):
        last = k == len(times) - 1
        slope = 0.0 if last else (values[k + 1] - values[k]) / (times[k + 1] - a) if times[k + 1] > a else 0.0
        here = (t >= a) & (t <= edges[k + 1])
        out[here] = rc_response(slope, values[k], v, t[here] - a)
        if not last:
            v = float(rc_response(slope, values[k], v, np.array(edges[k + 1] - a)))
    return out


def rc_sine(sine: Sine, t: np.ndarray) -> np.ndarray:
    """Return the RC's answer from rest: the steady phasor less its decaying value at zero."""
    w = 2 * math.pi * sine.frequency
    phasor = sine.amplitude * np.exp(1j * math.radians(sine.phase)) / (1 + 1j * w * TAU)
    steady = sine.offset + np.imag(phasor * np.exp(1j * w * t))
    out: np.ndarray = steady - (sine.offset + phasor.imag) * np.exp(-t / TAU)
    return out


def rlc(r: float, inductance: float, c: float) -> tuple[Circuit, Exact, Exact]:
    """Return a series RLC, and voltage and current after a step of 1 V, by the characteristic roots."""
    circuit = circuit_of(
        ("x", "b", Resistor(conductance=1 / r)),
        ("b", "a", Inductor(inductance=inductance)),
        ("a", "0", Capacitor(value=c)),
        ("a", "0", Resistor(conductance=1e-15)),
    )
    half = r / (2 * inductance)
    root = np.sqrt(complex(half**2 - 1 / (inductance * c)))
    p, q = -half + root, -half - root

    def voltage(t: np.ndarray) -> np.ndarray:
        out: np.ndarray = 1 + np.real((q * np.exp(p * t) - p * np.exp(q * t)) / (p - q))
        return out

    def current(t: np.ndarray) -> np.ndarray:
        return np.real(c * p * q * (np.exp(p * t) - np.exp(q * t)) / (p - q))

    return circuit, voltage, current


def diode_clamp(end: float) -> tuple[Circuit, Exact]:
    """Return a capacitor that discharges into a diode from 0.6 V: t = C ∫ dv / i(v), by quadrature."""
    diode = Diode(saturation_current=1e-12, emission=1.2)
    p = {k: np.array([v]) for k, v in diode.values.items()}
    circuit = circuit_of(("a", "0", diode), ("a", "0", Capacitor(value=C)), inputs=())

    def until(v: float) -> float:
        return float(quad(lambda u: C / float(diode.current(np.array([u]), p)[0][0]), v, 0.6, epsrel=1e-12)[0])

    low = brentq(lambda v: until(v) - end, 0.3, 0.6, xtol=1e-15)

    def exact(t: np.ndarray) -> np.ndarray:
        return np.array([brentq(lambda v, s=s: until(v) - s, low - 1e-3, 0.6, xtol=1e-14) for s in t])

    return circuit, exact


# --- order of convergence ------------------------------------------------------------------------------


def order(
    run: Callable[[TransientOptions], Trajectory], exact: Exact, node: str, end: float, method: str
) -> float:
    """Return p of error ~ h^p at common times, for steps of end/40 to end/640."""
    steps = end / (40 * 2 ** np.arange(5))
    errors = []
    for h in steps:
        found = run(TransientOptions(method=method, step=h, node_capacitance=0.0))
        t = found.times
        errors.append(np.abs(found.voltage(node)[:, 0] - exact(t))[t > 0.1 * end].max())
    assert errors[-1] < 5e-4
    return float(np.polyfit(np.log(steps[2:]), np.log(errors[2:]), 1)[0])


@pytest.mark.parametrize("method", METHODS)
class TestOrder:
    def test_step_of_an_rc(self, method: str) -> None:
        circuit, end = circuit_of(*RC), 3 * TAU
        found = order(
            lambda o: transient(circuit, [1.0], end, options=o), lambda t: 1 - np.exp(-t / TAU), "a", end, method
        )
        assert found == pytest.approx(2.0, abs=0.1)

    def test_sine_into_an_rc(self, method: str) -> None:
        circuit, end = circuit_of(*RC), 5 * TAU
        sine = Sine(0.2, 1.0, 0.4 / TAU, phase=30.0)
        found = order(
            lambda o: transient(circuit, {"x": sine}, end, options=o), lambda t: rc_sine(sine, t), "a", end, method
        )
        assert found == pytest.approx(2.0, abs=0.1)

    @pytest.mark.parametrize("r", [200.0, 2e4], ids=["underdamped", "overdamped"])
    def test_rlc(self, method: str, r: float) -> None:
        circuit, exact, _ = rlc(r, 1e-3, 1e-9)
        end = 1e-5 if r < 1e3 else 3e-5
        found = order(lambda o: transient(circuit, [1.0], end, options=o), exact, "a", end, method)
        assert found == pytest.approx(2.0, abs=0.1)

    def test_diode(self, method: str) -> None:
        end = 2e-5
        circuit, exact = diode_clamp(end)
        start = np.zeros((1, 2))
        start[0, circuit.node("a")] = 0.6
        errors, steps = [], np.array([400, 800, 1600])
        for count in steps:
            options = TransientOptions(method=method, step=end / count)
            found = transient(circuit, None, times=[0.5 * end, end], v0=start, options=options)
            errors.append(np.abs(found.voltage("a")[:, 0] - exact(found.times)).max())
        assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.1)

    def test_error_is_proportional_to_the_tolerance(self, method: str) -> None:
        """The RC forgets: errors stay within a few times the local ones, steps · tolerance at the very worst."""
        circuit = circuit_of(*RC)
        sine = Sine(0.0, 1.0, 0.3 / TAU)
        for relative in (1e-3, 1e-5, 1e-7):
            options = TransientOptions(absolute=relative, relative=relative, method=method)
            found = transient(circuit, {"x": sine}, 6 * TAU, options=options)
            error = np.abs(found.voltage("a")[:, 0] - rc_sine(sine, found.times)).max()
            assert error <= 2 * relative * min(found.steps, 60 * relative ** (-1 / 3))

    def test_output_between_steps_is_of_the_methods_order(self, method: str) -> None:
        circuit, end = circuit_of(*RC), 3 * TAU
        times = np.linspace(0.11, 1.0, 97) * end
        errors, steps = [], end / np.array([40, 80, 160, 320])
        for h in steps:
            found = transient(circuit, [1.0], times=times, options=TransientOptions(method=method, step=h))
            np.testing.assert_array_equal(found.times, times)
            errors.append(np.abs(found.voltage("a")[:, 0] - (1 - np.exp(-times / TAU))).max())
        assert np.polyfit(np.log(steps[1:]), np.log(errors[1:]), 1)[0] == pytest.approx(2.0, abs=0.15)


# --- inductors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("r", [200.0, 2e4], ids=["underdamped", "overdamped"])
def test_rlc_voltage_and_current(method: str, r: float) -> None:
    circuit, voltage, current = rlc(r, 1e-3, 1e-9)
    options = TransientOptions(
        absolute=1e-8, relative=1e-6, current_absolute=1e-11, node_capacitance=0.0, method=method
    )
    found = transient(circuit, [1.0], 2e-5, options=options)
    np.testing.assert_allclose(found.voltage("a")[:, 0], voltage(found.times), atol=4e-4)
    np.testing.assert_allclose(found.current("inductor1")[:, 0], current(found.times), atol=4e-7)


def test_inductor_current_is_under_error_control() -> None:
    """An RL circuit whose node voltages are all known: only the current's tolerance holds the step."""
    circuit = circuit_of(("x", "a", Inductor(inductance=1e-3)), ("a", "0", Resistor(conductance=1e-3)))
    options = TransientOptions(absolute=1.0, relative=0.0, current_absolute=1e-8, node_capacitance=0.0)
    found = transient(circuit, [1.0], 3e-6, options=options)
    expected = 1e-3 * (1 - np.exp(-found.times / 1e-6))
    np.testing.assert_allclose(found.current("inductor1")[:, 0], expected, atol=2e-7)


@pytest.mark.parametrize(("r", "c"), [(200.0, 1e-9), (2e4, 1e-9), (500.0, 1e-7)])
def test_slowest_time_constant_of_an_rlc(r: float, c: float) -> None:
    """From the roots of s² + s R/L + 1/LC."""
    circuit, _, _ = rlc(r, 1e-3, c)
    roots = np.roots([1.0, r / 1e-3, 1 / (1e-3 * c)])
    found = time_constants(circuit, [1.0], 2, node_capacitance=0.0)[0]
    np.testing.assert_allclose(found, np.sort(-1 / roots.real)[::-1], rtol=1e-6)


def test_nothing_but_branches_has_a_current() -> None:
    found = transient(circuit_of(*RC), [1.0], TAU)
    with pytest.raises(InputError, match="'resistor1' has no branch current"):
        found.current("resistor1")


# --- sources over time ---------------------------------------------------------------------------------

TRIANGLE = ((0.5 * TAU, 1.0 * TAU, 2.0 * TAU, 2.0 * TAU, 3.0 * TAU), (0.0, 2.0, -1.0, 1.5, 0.5))


@pytest.mark.parametrize("method", METHODS)
def test_straight_pieces_and_a_jump_against_the_analytic_solution(method: str) -> None:
    circuit = circuit_of(*RC)
    options = TransientOptions(absolute=1e-8, relative=1e-6, method=method)
    found = transient(circuit, {"x": PiecewiseLinear(*TRIANGLE)}, 5 * TAU, options=options)
    exact = rc_polyline((0.0, *TRIANGLE[0]), (0.0, *TRIANGLE[1]), found.times)
    np.testing.assert_allclose(found.voltage("a")[:, 0], exact, atol=8e-5)


def test_steps_end_on_corners_and_a_jump_has_two_points() -> None:
    circuit = circuit_of(*RC)
    pulse = Pulse(0.0, 1.0, delay=0.3 * TAU, rise=0.2 * TAU, width=TAU, period=2.1 * TAU)
    found = transient(circuit, {"x": pulse}, 6 * TAU)
    for corner in pulse.corners(6 * TAU):
        assert corner in found.times
    falls = 0.3 * TAU + 1.2 * TAU + 2.1 * TAU * np.arange(3)
    twice = found.times[1:][np.diff(found.times) == 0]
    np.testing.assert_allclose(twice, falls[falls < 6 * TAU])
    x = found.voltage("x")[:, 0]
    jump = np.flatnonzero(np.diff(found.times) == 0)
    assert (x[jump] == 1.0).all()
    assert (x[jump + 1] == 0.0).all()


@pytest.mark.parametrize("source", ["input", "voltage", "floating", "current"])
def test_every_kind_of_source_follows_its_waveform(source: str) -> None:
    sine = Sine(0.2, 1.0, 0.4 / TAU, phase=30.0)
    inputs: dict[str, Waveform | float] = {}
    if source == "input":
        circuit, inputs = circuit_of(*RC), {"x": sine}
    elif source == "voltage":
        circuit = circuit_of(*RC, ("x", "0", VoltageSource(voltage=7.0, waveform=sine)), inputs=())
    elif source == "floating":  # in series with the resistor, 0 - R - y, then the source up to a
        edges = (("0", "y", Resistor(conductance=1 / R)), ("a", "0", Capacitor(value=C)))
        circuit = circuit_of(*edges, ("a", "y", VoltageSource(voltage=7.0, waveform=sine)), inputs=())
    else:  # Norton's form
        flow = Sine(0.2 / R, 1.0 / R, 0.4 / TAU, phase=30.0)
        edges = (("a", "0", Resistor(conductance=1 / R)), ("a", "0", Capacitor(value=C)))
        circuit = circuit_of(*edges, ("0", "a", CurrentSource(amplitude=7.0, waveform=flow)), inputs=())
    start = np.zeros((1, len(circuit.nodes)))
    if source == "floating":
        start[0, circuit.node("y")] = -float(sine.value(0.0))
    found = transient(circuit, inputs or None, 5 * TAU, v0=start, options=TIGHT)
    np.testing.assert_allclose(found.voltage("a")[:, 0], rc_sine(sine, found.times), atol=6e-6)


def test_a_driven_control_and_a_driven_inductor() -> None:
    """Linear multi-ports take driven voltages in their offset: gain 3, and L di/dt = v."""
    ramp = PiecewiseLinear((0.0, 1e-6), (0.0, 1.0))
    circuit = circuit_of(
        ("o", "0", VCVS(gain=3.0, control=("x", "0"))),
        ("o", "0", Resistor(conductance=1e-3)),
        ("x", "0", Inductor(inductance=1e-3)),
        output="o",
    )
    found = transient(circuit, {"x": ramp}, 1e-6, options=TIGHT)
    np.testing.assert_allclose(found.voltage("o")[:, 0], 3e6 * found.times, atol=1e-9)
    np.testing.assert_allclose(found.current("inductor1")[:, 0], 0.5e9 * found.times**2, atol=1e-9)


def test_charge_is_conserved_on_a_capacitive_divider() -> None:
    """x jumps by 1 V: b jumps by C1/(C1 + C2), and its charge leaks with R (C1 + C2)."""
    c1, c2 = 1e-9, 3e-9
    circuit = circuit_of(
        ("x", "b", Capacitor(value=c1)),
        ("b", "0", Capacitor(value=c2)),
        ("b", "0", Resistor(conductance=1 / R)),
        output="b",
    )
    tau = R * (c1 + c2)
    pulse = Pulse(0.0, 1.0, delay=tau, width=0.5 * tau)
    found = transient(circuit, {"x": pulse}, 3 * tau, options=TIGHT)
    t = found.times
    after = np.flatnonzero(np.diff(t) == 0) + 1
    b = found.voltage("b")[:, 0]
    np.testing.assert_allclose(b[after] - b[after - 1], [c1 / (c1 + c2), -c1 / (c1 + c2)], atol=1e-10)
    late = t > 1.5 * tau
    expected = c1 / (c1 + c2) * (np.exp(-(t - tau) / tau) - np.exp(-(t - 1.5 * tau) / tau))
    np.testing.assert_allclose(b[late], expected[late], atol=1e-6)


def test_a_slope_through_a_capacitor_is_a_current() -> None:
    """A ramp of 1 V/µs through 1 pF is 1 µA: 1 mV across 1 kΩ."""
    circuit = circuit_of(("x", "b", Capacitor(value=1e-12)), ("b", "0", Resistor(conductance=1e-3)), output="b")
    found = transient(circuit, {"x": PiecewiseLinear((0.0, 1e-6), (0.0, 1.0))}, 1e-6, options=TIGHT)
    assert found.voltage("b")[-1, 0] == pytest.approx(1e-3, abs=1e-9)


# --- where it starts, where it ends, and when it looks ---------------------------------------------------


def test_starts_from_the_operating_point_just_before_zero() -> None:
    circuit = circuit_of(*RC, ("a", "0", Resistor(conductance=1 / R)))
    pulse = Pulse(1.0, 3.0)
    found = transient(circuit, {"x": pulse}, 2 * TAU, start="operating_point", options=TIGHT)
    exact = 1.5 - np.exp(-2 * found.times / TAU)
    np.testing.assert_allclose(found.voltage("a")[:, 0], exact, atol=6e-6)
    rest = transient(circuit, {"x": Pulse(1.0, 3.0, delay=TAU)}, 0.9 * TAU, start="operating_point")
    np.testing.assert_allclose(rest.voltage("a")[:, 0], 0.5, atol=1e-12)


def test_starts_with_the_inductor_currents_of_a_solution() -> None:
    circuit = circuit_of(("x", "a", Inductor(inductance=1e-3)), ("a", "0", Resistor(conductance=1e-3)))
    found = transient(circuit, [1.0], 1e-5, v0=operating_point(circuit, [1.0]))
    np.testing.assert_allclose(found.current("inductor1")[:, 0], 1e-3, rtol=1e-9)


def test_equilibrium_waits_for_the_waveform_to_rest() -> None:
    circuit = circuit_of(*RC)
    found = transient(circuit, {"x": Pulse(0.0, 1.0, delay=5 * TAU, rise=TAU)})
    assert found.times[-1] > 6 * TAU
    assert found.solution.voltage("a")[0] == pytest.approx(1.0, abs=1e-9)
    assert found.solution.converged.all()


@pytest.mark.parametrize("waveform", [Sine(0.0, 1.0, 1e6), Pulse(0.0, 1.0, width=1e-7, period=1e-6)])
def test_there_is_no_equilibrium_under_a_waveform_that_never_rests(waveform: Waveform) -> None:
    with pytest.raises(InputError, match=r"never comes to rest; give until= a time"):
        transient(circuit_of(*RC), {"x": waveform})


def test_a_batch_shares_waveforms_and_times() -> None:
    circuit = circuit_of(*RC, ("y", "a", Resistor(conductance=1 / R)), inputs=("x", "y"))
    sine = Sine(0.0, 1.0, 1e6)
    times = [0.0, 0.5e-6, 2e-6]
    both = transient(circuit, {"x": sine, "y": [0.0, 1.0]}, times=times, options=TIGHT)
    for k, y in enumerate((0.0, 1.0)):
        alone = transient(circuit, {"x": sine, "y": y}, times=times, options=TIGHT)
        np.testing.assert_allclose(both.voltages[:, k], alone.voltages[:, 0], atol=6e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": [1e-6, 0.0]}, "times must be finite, zero or more, and ascending"),
        ({"times": []}, "times must be"),
        ({"times": "soon"}, "times = 'soon' is not an array of numbers"),
        ({"times": [1.0], "until": 0.5}, "times end at 1 s, after until = 0.5 s"),
        ({"start": "rest"}, "unknown start 'rest'; use one of zero, operating_point"),
        ({"start": "operating_point", "v0": np.zeros((1, 3))}, "exclude each other"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        transient(circuit_of(*RC), [1.0], **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [TransientOptions, NewtonOptions])
@pytest.mark.parametrize("value", [-1.0, float("nan"), "fast", True])
def test_every_bad_option_is_named_at_once(kind: type[Any], value: object) -> None:
    names = [f.name for f in fields(kind)]
    with pytest.raises(InputError) as caught:
        kind(**dict.fromkeys(names, value))
    for name in names:
        assert f"{name} = {value!r}; give " in str(caught.value)


@pytest.mark.parametrize("kind", [TransientOptions, NewtonOptions])
def test_options_take_numbers_of_any_type(kind: type[Any]) -> None:
    """A tolerance may be an integer or NumPy's; one field at a time, so that each has its own say."""
    for f in fields(kind):
        if f.name != "method":
            for value in (np.int64(2), 2):
                assert getattr(kind(**{f.name: value}), f.name) == 2


def test_options_say_what_to_give() -> None:
    with pytest.raises(InputError, match="TransientOptions: method = 'gear'; give one of tr-bdf2"):
        TransientOptions(method="gear")
    with pytest.raises(InputError, match=r"max_steps = 2\.5; give a whole number of at least 1$"):
        TransientOptions(max_steps=2.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"NewtonOptions: max_iterations = 0; give a whole number"):
        NewtonOptions(max_iterations=0)


# --- switches ------------------------------------------------------------------------------------------


def relay() -> Circuit:
    """An RC whose voltage closes a switch at 0.5 V, which then discharges another one."""
    return circuit_of(
        *RC,
        (
            "s",
            "b",
            Switch(threshold=0.5, on_resistance=1e3, off_resistance=1e12, control=("a", "0")),
        ),
        ("s", "0", VoltageSource(voltage=2.0)),
        ("b", "0", Capacitor(value=1e-9)),
        ("b", "0", Resistor(conductance=1e-12)),
        output="b",
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_switch_closes_when_its_control_passes_the_threshold(method: str) -> None:
    """a = 1 − exp(−t/τ) passes 0.5 V at τ ln 2; b then charges from nothing."""
    options = TransientOptions(absolute=1e-7, relative=1e-6, method=method)
    found = transient(relay(), [1.0], 4 * TAU, options=options)
    event = TAU * math.log(2.0)
    t, b = found.times, found.voltage("b")[:, 0]
    assert np.abs(t - event).min() < 5e-5 * TAU
    expected = np.where(t > event, 2.0 * (1 - np.exp(-np.maximum(t - event, 0.0) / TAU)), 0.0)
    np.testing.assert_allclose(b, expected, atol=1e-4)
    (twice,) = np.flatnonzero(np.diff(t) == 0.0)  # before and after the change
    overshoot = found.voltage("a")[twice, 0] - 0.5
    assert 0.0 < overshoot <= 1e-7


def test_hysteresis_closes_late_and_opens_late() -> None:
    """A triangle of 1 V/µs as control: closes at 0.8 V going up, opens at 0.2 V going down."""
    circuit = circuit_of(
        (
            "s",
            "b",
            Switch(threshold=0.5, hysteresis=0.3, on_resistance=1.0, off_resistance=1e9, control=("x", "0")),
        ),
        ("s", "0", VoltageSource(voltage=1.0)),
        ("b", "0", Resistor(conductance=1e-3)),
        ("x", "0", Resistor(conductance=1e-3)),
        output="b",
    )
    ramp = PiecewiseLinear((0.0, 1e-6, 2e-6), (0.0, 1.0, 0.0))
    found = transient(circuit, {"x": ramp}, 2e-6, options=TransientOptions(node_capacitance=0.0))
    t, closed = found.times, found.voltage("b")[:, 0] > 0.5
    changes = t[1:][closed[1:] != closed[:-1]]
    np.testing.assert_allclose(changes, [0.8e-6, 1.8e-6], atol=1e-12)


def test_a_switch_that_drives_its_own_control_is_an_error() -> None:
    """Closed, it pulls its control below the threshold; open, a resistor pulls it up again."""
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=1e-3)),
        ("a", "0", Switch(threshold=0.5, on_resistance=1.0, off_resistance=1e9, control=("a", "0"))),
    )
    with pytest.raises(ConvergenceError, match=r"switches keep changing .* hysteresis"):
        transient(circuit, [1.0], 1e-6, options=TransientOptions(node_capacitance=0.0))


# --- against ngspice -----------------------------------------------------------------------------------


def ngspice_tran(
    ngspice: str, netlist: str, node: str, analysis: str, folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return ngspice's own time points and the node's voltage there."""
    options = ".options reltol=1e-7 vntol=1e-10 abstol=1e-15 chgtol=1e-20 trtol=1"
    control = (".control", "set numdgt=15", "run", f"print v({node})", "quit", ".endc")
    path = folder / "deck.cir"
    path.write_text(with_script(netlist, (options, analysis, *control)))
    done = subprocess.run([ngspice, "-b", str(path)], capture_output=True, text=True, timeout=100, check=False)
    found = re.findall(r"^\d+\s+(\S+)\s+(\S+)\s*$", done.stdout, re.MULTILINE)
    t, v = np.array([(float(a), float(b)) for a, b in found if "e" in a]).T
    return t, v


@pytest.mark.ngspice
@pytest.mark.parametrize(
    "waveform",
    [
        Pulse(-1.0, 2.0, delay=0.2e-6, rise=0.1e-6, fall=0.3e-6, width=0.4e-6, period=1.1e-6),
        Sine(0.3, 1.5, 1e6, delay=0.35e-6, damping=0.3e6, phase=40.0),
        PiecewiseLinear((0.0, 0.5e-6, 0.6e-6, 2e-6), (1.0, -1.0, 2.0, 0.0)),
    ],
    ids=lambda w: w.kind,
)
def test_diode_clamp_against_ngspice(ngspice: str, waveform: Waveform, tmp_path: Path) -> None:
    """A source, a resistor, a capacitor and a diode, from the operating point: what .tran finds."""
    keyword, arguments = waveform.spice()
    netlist = (
        f"clamp\nV1 x 0 DC 0 {keyword}({' '.join(f'{a:.17g}' for a in arguments)})\n"
        "R1 x a 1k\nC1 a 0 1n\nD1 a 0 d\n.model d D(is=1e-12 n=1.2)\n.end\n"
    )
    t, v = ngspice_tran(ngspice, netlist, "a", ".tran 1n 3u 0 1n", tmp_path)
    circuit = circuit_of(*RC, ("a", "0", Diode(saturation_current=1e-12, emission=1.2, temperature=300.15)))
    keep = np.concatenate([[True], np.diff(t) > 0])
    found = transient(circuit, {"x": waveform}, times=t[keep], start="operating_point", options=TIGHT)
    assert len(t) > 3000
    np.testing.assert_allclose(found.voltage("a")[:, 0], v[keep], rtol=0, atol=1e-5)


@pytest.mark.ngspice
def test_a_network_of_diodes_against_ngspice() -> None:
    """The benchmark's smaller version: every node, at every time point of ngspice."""
    benchmark = script("benchmarks/transient.py")
    worst, found, _, _ = benchmark.compare([16, 8, 4])
    assert len(found.times) > 1500
    assert 0.5 < found.voltage("h1_0").max() < 0.9  # held by its diode
    assert worst <= 1e-5
