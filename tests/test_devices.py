"""Laws that every registered device obeys: derivatives, co-content, ranges, limiting, SPICE form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import lambertw
from strategies import DEVICES, banks_of, bending, decades, has_cell, signed, volts

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.constants import BOLTZMANN, ELEMENTARY_CHARGE, NOMINAL_TEMPERATURE, thermal_voltage
from analogep.devices import (
    PMOS,
    REGISTRY,
    Constraint,
    Device,
    Diode,
    IdealDiode,
    JunctionDiode,
    Mosfet,
    MultiPort,
    OnePort,
    Resistor,
    Switch,
)
from analogep.devices.base import Primitive
from analogep.devices.semiconductors.junction_diode import knee_voltage
from analogep.errors import CircuitError
from analogep.solve import operating_point

EPS = float(np.finfo(float).eps)

ONE_PORTS = [d for d in REGISTRY.values() if issubclass(d, OnePort)]
MULTI_PORTS = [d for d in REGISTRY.values() if issubclass(d, MultiPort)]
CONSTRAINTS = [d for d in REGISTRY.values() if issubclass(d, Constraint)]
PARAMETERS = [(d, key) for d in REGISTRY.values() for key in d.parameters()]

every_device = pytest.mark.parametrize("device", REGISTRY.values(), ids=lambda d: d.kind)
every_one_port = pytest.mark.parametrize("device", ONE_PORTS, ids=lambda d: d.kind)
every_multi_port = pytest.mark.parametrize("device", MULTI_PORTS, ids=lambda d: d.kind)
every_constraint = pytest.mark.parametrize("device", CONSTRAINTS, ids=lambda d: d.kind)
every_parameter = pytest.mark.parametrize(
    ("device", "key"), PARAMETERS, ids=[f"{d.kind}-{key}" for d, key in PARAMETERS]
)


# --- the registry ------------------------------------------------------------------------------------------


def test_every_device_has_a_strategy_for_its_parameters() -> None:
    assert set(DEVICES) == set(REGISTRY), "add the device to DEVICES in tests/strategies.py"


@every_device
def test_every_device_occurs_in_random_circuits(device: type[Device]) -> None:
    assert has_cell(device), f"add a method add_{device.kind} in tests/strategies.py"


@every_device
def test_every_device_belongs_to_one_family(device: type[Device]) -> None:
    assert sum(issubclass(device, family) for family in (OnePort, MultiPort, Constraint)) == 1
    assert REGISTRY[device.kind] is device
    assert len(set(device.pins)) == len(device.pins) >= 2


@every_device
@given(data=st.data())
def test_values_give_back_what_an_instance_was_made_of(device: type[Device], data: st.DataObject) -> None:
    values = data.draw(DEVICES[device.kind])
    assert device(**values).values == values
    assert set(values) == set(device.parameters())


# --- one-ports ---------------------------------------------------------------------------------------------


def scale_of(device: type[OnePort], p: dict[str, np.ndarray]) -> np.ndarray:
    """Voltage over which the law bends; 1 V for a linear one."""
    scale = device.thermal_scale(p)
    return np.ones(len(next(iter(p.values())))) if scale is None else scale


def kink(device: type[OnePort], p: dict[str, np.ndarray]) -> np.ndarray | None:
    """Voltage at which the second derivative jumps: the start of a diode's reverse branch."""
    if device is not Diode:
        return None
    nvt = p["emission"] * BOLTZMANN * p["temperature"] / ELEMENTARY_CHARGE
    i = p["saturation_current"] * math.expm1(-3.0) - 3.0 * nvt * p["gmin"]
    return -3.0 * nvt + p["series_resistance"] * i


@st.composite
def one_port_cases(draw: Any, device: type[OnePort]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Parameters (E,), voltages (2, E) away from kinks, and the step (E,) for finite differences."""
    p = draw(banks_of(device.kind))
    count = len(next(iter(p.values())))
    v = np.array(draw(st.lists(volts(), min_size=2 * count, max_size=2 * count))).reshape(2, count)
    h = 1e-4 * scale_of(device, p)
    where = kink(device, p)
    if where is not None:
        v = np.where(np.abs(v - where) < 2 * h, v + 10 * h, v)
    return p, v, h


# Central differences with h = 1e-4 s, s being the scale of the law, miss the derivative by h² f‴/6. For
# f = exp(v/s) that is 1.7e-9 of f'; on a reverse branch 1/w³ with w < -3s it is (20/9)·1e-8/6; with a series
# resistance the law is flatter than either. 1e-7 leaves room for the products of these terms.
TRUNCATION = 1e-7


@every_one_port
@given(data=st.data())
def test_the_slope_is_the_derivative_of_the_current(device: type[OnePort], data: st.DataObject) -> None:
    p, v, h = data.draw(one_port_cases(device))
    i, g = device.current(v, p)
    difference = (device.current(v + h, p)[0] - device.current(v - h, p)[0]) / (2 * h)
    rounding = 8 * EPS * (np.abs(i) + g * (np.abs(v) + scale_of(device, p))) / h
    assert i.shape == g.shape == v.shape
    assert np.all(np.abs(difference - g) <= TRUNCATION * g + rounding)


@every_one_port
@given(data=st.data())
def test_the_derivative_of_the_co_content_is_the_current(device: type[OnePort], data: st.DataObject) -> None:
    p, v, h = data.draw(one_port_cases(device))
    s = scale_of(device, p)
    i, g = device.current(v, p)
    above, below = device.cocontent(v + h, p), device.cocontent(v - h, p)
    # Φ is a sum of terms no larger than i·v, g·s² and Is·|w|: of the size of (|i| + g s)(|v| + s).
    rounding = 16 * EPS * (np.abs(i) + g * s + p.get("saturation_current", 0.0)) * (np.abs(v) + s) / h
    assert np.all(np.abs((above - below) / (2 * h) - i) <= TRUNCATION * (np.abs(i) + g * s) + rounding)


@every_one_port
@given(data=st.data())
def test_the_co_content_starts_at_zero(device: type[OnePort], data: st.DataObject) -> None:
    p = data.draw(banks_of(device.kind))
    zero = np.zeros(len(next(iter(p.values()))))
    assert np.all(device.cocontent(zero, p) == 0.0)


@every_one_port
@given(data=st.data())
def test_a_passive_one_port_has_no_current_at_rest_and_never_a_negative_slope(
    device: type[OnePort], data: st.DataObject
) -> None:
    p, v, _ = data.draw(one_port_cases(device))
    assert np.all(device.current(v, p)[1] >= 0.0)
    if device.kind != "current_source":
        assert np.all(device.current(np.zeros_like(v), p)[0] == 0.0)


@every_one_port
@given(data=st.data())
def test_parameter_gradients_are_derivatives_by_the_parameter(device: type[OnePort], data: st.DataObject) -> None:
    p, v, _ = data.draw(one_port_cases(device))
    trainable = {key for key, info in device.parameters().items() if info.trainable}
    for law, gradient in (
        (lambda q: device.current(v, q)[0], device.current_gradient(v, p)),
        (lambda q: device.cocontent(v, q), device.cocontent_gradient(v, p)),
    ):
        assert set(gradient) == trainable
        for key in trainable:
            h = 1e-4 * (np.abs(p[key]) + 1e-6)
            above, below = law({**p, key: p[key] + h}), law({**p, key: p[key] - h})
            # Exact for laws linear in the parameter, h²f‴/6 ≈ 1e-8 relative for smooth ones.
            # The smallest normal number stands for what underflows.
            rounding = (8 * EPS * (np.abs(above) + np.abs(below)) + np.finfo(float).tiny) / h
            expected = (above - below) / (2 * h)
            assert gradient[key].shape == v.shape
            assert np.all(np.abs(gradient[key] - expected) <= TRUNCATION * np.abs(expected) + rounding)


@every_one_port
@given(data=st.data(), steps=st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4))
def test_limiting_leaves_small_steps_alone(device: type[OnePort], data: st.DataObject, steps: list[float]) -> None:
    p, v, _ = data.draw(one_port_cases(device))
    step = scale_of(device, p) * np.resize(steps, v.shape)
    assert np.all(device.limit(v + step, v, p) == v + step)


@every_one_port
@given(data=st.data())
def test_limiting_never_steps_further_and_keeps_a_converged_voltage(
    device: type[OnePort], data: st.DataObject
) -> None:
    p, v, _ = data.draw(one_port_cases(device))
    old = data.draw(st.floats(0.0, 3.0)) * np.ones_like(v)
    new = old + np.abs(v)
    limited = device.limit(new, old, p)
    assert np.all((limited >= np.minimum(old, new)) & (limited <= new))
    assert np.all(device.limit(v, v, p) == v)


@every_one_port
@given(data=st.data(), magnitude=st.sampled_from([1e-300, 1e-30, 1e-9, 10.0, 100.0, 1e3, 1e6]))
def test_extreme_voltages_give_finite_numbers(
    device: type[OnePort], data: st.DataObject, magnitude: float
) -> None:
    p = data.draw(banks_of(device.kind))
    v = np.array([[-magnitude], [magnitude]]) * np.ones(len(next(iter(p.values()))))
    i, g = device.current(v, p)
    for array in (i, g, device.cocontent(v, p), device.limit(v, np.zeros_like(v), p)):
        assert np.isfinite(array).all()


# --- the diode ---------------------------------------------------------------------------------------------


def diode(**values: float) -> dict[str, np.ndarray]:
    return {key: np.array([value]) for key, value in Diode(**values).values.items()}


def at(v: float, p: dict[str, np.ndarray]) -> tuple[float, float]:
    i, g = Diode.current(np.array([v]), p)
    return float(i[0]), float(g[0])


def test_thermal_voltage_is_ngspices() -> None:
    # ngspice's const.h: k = 1.38064852e-23, q = 1.6021766208e-19 (CODATA 2014), at 27 °C.
    assert thermal_voltage() == pytest.approx(1.38064852e-23 * 300.15 / 1.6021766208e-19, rel=1e-15)
    assert thermal_voltage() == pytest.approx(0.0258649, rel=1e-5)


def test_a_forward_diode_follows_shockley() -> None:
    # By hand: 1e-14 (e^(0.6/0.02586492…) - 1) + 1e-15 · 0.6.
    nvt = BOLTZMANN * NOMINAL_TEMPERATURE / ELEMENTARY_CHARGE
    i, g = at(0.6, diode())
    assert i == pytest.approx(1e-14 * (math.exp(0.6 / nvt) - 1) + 6e-16, rel=1e-13)
    assert g == pytest.approx(1e-14 * math.exp(0.6 / nvt) / nvt + 1e-15, rel=1e-13)


def test_the_reverse_branch_follows_ngspices_cubic_law() -> None:
    # ngspice manual, "Diode model": below -3 nV_T, i = -Is (1 + (3 nV_T / (v e))³), here at -1 V.
    nvt = 1.5 * BOLTZMANN * NOMINAL_TEMPERATURE / ELEMENTARY_CHARGE
    cube = (3 * nvt / (-1.0 * math.e)) ** 3
    i, g = at(-1.0, diode(saturation_current=1e-12, emission=1.5, gmin=0.0))
    assert i == pytest.approx(-1e-12 * (1 + cube), rel=1e-14)
    # d/dv of -Is a³ v⁻³ is 3 Is a³ v⁻⁴, a = 3 nV_T / e.
    assert g == pytest.approx(3e-12 * (3 * nvt / math.e) ** 3, rel=1e-13)


def test_a_reverse_diode_conducts_through_gmin() -> None:
    # PHYSICS, known traps: at -1 V, gmin = 1e-12 S carries 100 x the current of Is = 1e-14 A.
    with_gmin, without = at(-1.0, diode(gmin=1e-12))[0], at(-1.0, diode(gmin=0.0))[0]
    assert with_gmin - without == pytest.approx(-1e-12, rel=1e-12)
    assert with_gmin / without == pytest.approx(101, rel=1e-3)


@given(values=DEVICES["diode"])
def test_current_and_slope_are_continuous_where_the_reverse_branch_starts(values: dict[str, float]) -> None:
    p = diode(**{**values, "series_resistance": 0.0})
    edge = float(kink(Diode, p)[0])
    # Neighbouring voltages, a distance d apart, differ by g·d in current and by g'·d, g' ≤ 4 g / nV_T
    # (1/nV_T above, 4/(3 nV_T) below), in slope.
    d = 4e-12 * abs(edge)
    (i1, g1), (i2, g2) = at(edge - d, p), at(edge + d, p)
    assert abs(i2 - i1) <= 2 * d * g2 * (1 + 1e-9) + 8 * EPS * (abs(i2) + values["saturation_current"])
    assert abs(g2 - g1) <= 2 * d * g2 * 4 / (abs(edge) / 3)


def test_the_law_is_continuous_and_keeps_its_co_content_where_the_exponential_is_continued_linearly() -> None:
    p = diode(gmin=0.0)
    nvt = thermal_voltage()
    edge = 600.0 * nvt
    (i1, g1), (i2, g2) = at(edge * (1 - 1e-13), p), at(edge * (1 + 1e-13), p)
    assert i2 == pytest.approx(i1, rel=1e-9)
    assert g2 == pytest.approx(g1, rel=1e-9)
    v = np.array([edge, edge + 5 * nvt])
    phi = Diode.cocontent(v, p)
    # The tangent at the edge: ∫ i over 5 nV_T is nV_T i (5 + 25/2).
    assert phi[1] - phi[0] == pytest.approx(at(edge, p)[0] * nvt * 17.5, rel=1e-12)


@given(values=DEVICES["diode"], v=volts())
def test_series_resistance_and_junction_share_the_voltage(values: dict[str, float], v: float) -> None:
    p = diode(**values)
    bare = diode(**{**values, "series_resistance": 0.0})
    resistance = values["series_resistance"]
    i, g = at(v, p)
    w = v - resistance * i
    junction, slope = at(w, bare)
    # w here is rounded by EPS of v and of Rs·i; w inside is rounded too, which moves i by slope·EPS·|w| and w
    # here by Rs times that. The junction turns both into a current.
    error = 4 * EPS * (abs(v) + abs(resistance * i) + (1 + resistance * slope) * abs(w))
    assert abs(i - junction) <= 2 * slope * error + 8 * EPS * abs(i)
    expected = slope / (1 + resistance * slope)
    assert g == pytest.approx(expected, rel=1e-12 + 4 * error / float(Diode.thermal_scale(p)[0]))


@given(saturation=decades(1e-18, 1e-6), resistance=decades(1.0, 1e6), v=st.floats(0.1, 3.0))
def test_a_diode_with_series_resistance_agrees_with_lambert_w(
    saturation: float, resistance: float, v: float
) -> None:
    # i = (nV_T/Rs) W(Is Rs/nV_T · e^((v + Is Rs)/nV_T)) - Is (Banwell & Jayakumar 2000, eq. 4), gmin = 0.
    nvt = thermal_voltage()
    a = saturation * resistance / nvt
    exponent = v / nvt + a
    assume(math.log(a) + exponent < 700)  # Lambert W's own overflow
    expected = nvt / resistance * float(lambertw(a * math.exp(exponent)).real) - saturation
    i, _ = at(v, diode(saturation_current=saturation, series_resistance=resistance, gmin=0.0))
    # The argument of the exponential is rounded to EPS·exponent, which W passes on divided by (1 + W); so is the
    # junction voltage w inside the device, to EPS·w/nV_T of i; the subtraction of Is adds its own rounding.
    w = v - resistance * expected
    rounding = 8 * EPS * (exponent * nvt / resistance + expected * (1 + abs(w) / nvt) + saturation)
    assert abs(i - expected) <= rounding


@pytest.mark.parametrize("resistance", [1.0, 1e4, 1e7, 1e9])
@pytest.mark.parametrize("v", [-100.0, -1.0, -0.1, -1e-3, 1e-3, 0.1, 1.0, 100.0])
def test_the_junction_voltage_is_solved_for_any_product_of_resistance_and_saturation_current(
    resistance: float, v: float
) -> None:
    # Rs·Is up to 1 kV: Newton's method from w = v overshot by Rs·Is and then crept back by nV_T a step.
    p = diode(saturation_current=1e-6, series_resistance=resistance, gmin=0.0)
    i, _ = at(v, p)
    junction, slope = at(v - resistance * i, diode(saturation_current=1e-6, gmin=0.0))
    assert abs(junction - i) <= 8 * EPS * (abs(i) + slope * (abs(v) + abs(resistance * i) + 1.0))


@given(values=DEVICES["diode"], v=volts(1.5))
def test_the_co_content_is_the_integral_of_the_current(values: dict[str, float], v: float) -> None:
    p = diode(**{**values, "series_resistance": max(values["series_resistance"], 10.0)})
    breaks = sorted(x for x in (float(kink(Diode, p)[0]),) if min(0.0, v) < x < max(0.0, v))
    area = 0.0
    for a, b in (
        zip([0.0, *breaks], [*breaks, v], strict=True)
        if v >= 0
        else zip([0.0, *reversed(breaks)], [*reversed(breaks), v], strict=True)
    ):
        area += quad(lambda u: at(u, p)[0], a, b, epsabs=0.0, epsrel=1e-9, limit=400)[0]
    phi = float(Diode.cocontent(np.array([v]), p)[0])
    i, g = at(v, p)
    # Rounding of Φ: its terms are of the size of Is·nV_T even where they cancel near v = 0.
    s = float(Diode.thermal_scale(p)[0])
    assert phi == pytest.approx(area, rel=1e-8, abs=16 * EPS * (abs(i) + g * s) * (abs(v) + s))


# --- multi-ports -------------------------------------------------------------------------------------------


def local_size(device: type[MultiPort]) -> int:
    return len(device.pins) + device.branches


@st.composite
def multi_port_cases(draw: Any, device: type[MultiPort]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Parameters (E,) and local unknowns (2, E, L), away from an ideal diode's kink."""
    p = draw(banks_of(device.kind))
    count, size = len(next(iter(p.values()))), local_size(device)
    z = np.array(draw(st.lists(volts(), min_size=2 * count * size, max_size=2 * count * size)))
    z = z.reshape(2, count, size)
    if issubclass(device, Mosfet):  # where a bulk junction's current jumps, and the body effect's slope
        thermal = p["temperature"] * BOLTZMANN / ELEMENTARY_CHARGE
        sign = -1.0 if device is PMOS else 1.0
        for pin in (0, 1):
            forward = sign * (z[..., 3] - z[..., pin])
            assume(np.all(np.abs(forward + 3 * thermal) > 1e-3))
            assume(np.all(np.abs(forward - 2 * p["surface_potential"]) > 1e-3))
    if device is Switch:
        control = z[..., 2] - z[..., 3] - p["threshold"]
        assume(np.all(np.abs(np.abs(control) - p["hysteresis"]) > 1e-2))
    if device is JunctionDiode:  # where the current jumps by Is or less, and the slope's derivative jumps
        v = z[..., 0] - z[..., 1]
        width = p["emission"] * p["temperature"] * BOLTZMANN / ELEMENTARY_CHARGE
        assume(np.all(np.abs(v + 3 * width) > 1e-5) and np.all(np.abs(v + knee_voltage(p)) > 1e-5))
    if device is IdealDiode:
        switch = z[..., 2] + IdealDiode.SCALE * (z[..., 0] - z[..., 1] - p["threshold"])
        assume(np.all(np.abs(switch) > 1e-3))
    return p, z


@every_multi_port
@given(data=st.data())
def test_the_jacobian_is_the_derivative_of_the_stamp(device: type[MultiPort], data: st.DataObject) -> None:
    p, z = data.draw(multi_port_cases(device))
    f, jac = device.stamp(z, p)
    assert f.shape == z.shape
    assert jac.shape == (*z.shape[-2:], z.shape[-1]) if device.linear else (*z.shape, z.shape[-1])
    h = 1e-4 if not issubclass(device, (Mosfet, JunctionDiode)) else 1e-6
    bend = bending(device, p)[:, None] * h
    for j in range(z.shape[-1]):
        dz = h * np.eye(z.shape[-1])[j]
        above, below = device.stamp(z + dz, p)[0], device.stamp(z - dz, p)[0]
        column = np.broadcast_to(jac[..., j], f.shape)
        # Exact for (piecewise) linear laws; of an exponential of v/V_T, V_T > 17 mV, it is (h/V_T)²/6 < 1e-9.
        terms = (
            np.abs(f)
            + (np.abs(np.broadcast_to(jac, (*z.shape, z.shape[-1]))) @ (np.abs(z) + h)[..., None])[..., 0]
        )
        steepest = np.abs(jac).max(axis=(-2, -1), initial=0.0)[..., None] if not device.linear else 0.0
        error = np.abs((above - below) / (2 * h) - column)
        assert np.all(error <= 1e-7 * np.abs(column) + 1e-8 * steepest + 4 * EPS * terms / h + bend)


@every_multi_port
@given(data=st.data())
def test_stamp_gradients_are_derivatives_by_the_parameter(device: type[MultiPort], data: st.DataObject) -> None:
    p, z = data.draw(multi_port_cases(device))
    gradient = device.stamp_gradient(z, p)
    assert set(gradient) == {key for key, info in device.parameters().items() if info.trainable}
    for key, value in gradient.items():
        h = (1e-6 if issubclass(device, Mosfet) else 1e-3) * (1.0 + np.abs(p[key]))
        bend = bending(device, p)[:, None] * h[:, None]
        above, below = (device.stamp(z, {**p, key: p[key] + s * h})[0] for s in (1, -1))
        rounding = 16 * EPS * (np.abs(above) + np.abs(below) + np.abs(z).max()) / h[:, None]
        assert value.shape == z.shape
        error = np.abs((above - below) / (2 * h[:, None]) - value)
        assert np.all(error <= rounding + 8 * EPS * np.abs(value) + bend)


@every_multi_port
@given(data=st.data())
def test_a_multi_port_conserves_current_and_sees_only_voltage_differences(
    device: type[MultiPort], data: st.DataObject
) -> None:
    p, z = data.draw(multi_port_cases(device))
    pins = len(device.pins)
    f, jac = device.stamp(z, p)
    scale = np.abs(f).max() + 1.0
    assert np.all(np.abs(f[..., :pins].sum(axis=-1)) <= 8 * EPS * scale)
    size = 8 * EPS * np.abs(jac).max(initial=0.0)
    assert np.all(np.abs(jac[..., :pins, :].sum(axis=-2)) <= size)
    assert np.all(np.abs(jac[..., :, :pins].sum(axis=-1)) <= size)


@given(data=st.data())
def test_an_ideal_diode_is_complementary_where_its_branch_equation_holds(data: st.DataObject) -> None:
    threshold, on = data.draw(volts()), data.draw(st.booleans())
    amount = data.draw(decades(1e-9, 1.0))
    v, j = (threshold, amount) if on else (threshold - amount, 0.0)
    f, _ = IdealDiode.stamp(np.array([[v, 0.0, j]]), {"threshold": np.array([threshold])})
    assert f[0].tolist() == [j, -j, 0.0]
    # … and nowhere else: conduction below the threshold, or a blocked diode beyond it.
    wrong = [[threshold - amount, 0.0, amount], [threshold + amount, 0.0, 0.0], [threshold, 0.0, -amount]]
    f, _ = IdealDiode.stamp(np.array(wrong), {"threshold": np.full(3, threshold)})
    assert np.all(f[:, 2] != 0.0)


@given(threshold=volts(), below=decades(1e-6, 1.0))
def test_the_co_content_of_an_ideal_diode_is_an_indicator(threshold: float, below: float) -> None:
    v = np.array([threshold - below, threshold, threshold + below])
    phi = IdealDiode.cocontent(v, {"threshold": np.full(3, threshold)})
    assert phi.tolist() == [0.0, 0.0, math.inf]


# --- constraints -------------------------------------------------------------------------------------------


@every_constraint
@given(data=st.data(), v=volts(), load=decades(1e-6, 1e-3))
def test_a_constraint_fixes_the_child_from_the_parent_and_passes_its_current_back(
    device: type[Constraint], data: st.DataObject, v: float, load: float
) -> None:
    values = data.draw(DEVICES[device.kind])
    ratio, back, offset = (float(a[0]) for a in device.law({k: np.array([x]) for k, x in values.items()}))
    assume(abs(ratio * back) < 1e2 and (ratio == 0 or ratio * back > -0.1))
    pins = [0, 0]
    pins[device.child], pins[1 - device.child] = 3, 2
    # source - 1 mS - parent [constraint] child - load - ground
    circuit = Circuit(
        ("0", "source", "parent", "child"),
        (
            resistor_bank("R", [[1, 2], [3, 0]], [1e-3, load], ["series", "load"]),
            Bank("X", device, np.array([pins]), {k: np.array([x]) for k, x in values.items()}, ("x",)),
        ),
        input_nodes=np.array([1]),
    )
    solution = operating_point(circuit, [v], method="newton")
    parent, child = float(solution.voltage("parent")[0]), float(solution.voltage("child")[0])
    assert child == pytest.approx(ratio * parent + offset, rel=4 * EPS, abs=4 * EPS * abs(offset))
    # By hand: 1e-3 (v - parent) = back · load · (ratio · parent + offset).
    expected = (1e-3 * v - back * load * offset) / (1e-3 + back * load * ratio)
    size = (abs(1e-3 * v) + abs(back * load * offset)) / abs(1e-3 + back * load * ratio)
    assert parent == pytest.approx(expected, abs=16 * EPS * size)


@every_constraint
@given(data=st.data(), parent=volts())
def test_the_law_of_a_constraint_is_affine_in_the_parent(
    device: type[Constraint], data: st.DataObject, parent: float
) -> None:
    p = data.draw(banks_of(device.kind))
    ratio, back, offset = device.law(p)
    assert ratio.shape == back.shape == offset.shape == next(iter(p.values())).shape

    def child(u: float) -> np.ndarray:
        return ratio * u + offset

    h = 0.5
    difference = (child(parent + h) - child(parent - h)) / (2 * h)
    assert np.all(np.abs(difference - ratio) <= 8 * EPS * (np.abs(ratio) * 4 + np.abs(offset)) / h)
    if device.reversible:  # the elimination may then exchange parent and child
        assert np.all(ratio == 1.0)
        assert np.all(back == 1.0)


# --- parameters --------------------------------------------------------------------------------------------


def illegal_values(device: type[Device], key: str) -> list[float]:
    info = device.parameters()[key]
    bad = [math.nan, math.inf, -math.inf]
    if math.isfinite(info.low):
        bad += [info.low - 1.0, *([info.low] if info.low_open else [])]
    if math.isfinite(info.high):
        bad.append(info.high + 1.0)
    return bad


@every_parameter
@given(data=st.data())
def test_a_value_out_of_range_is_refused_with_its_name_value_and_unit(
    device: type[Device], key: str, data: st.DataObject
) -> None:
    info = device.parameters()[key]
    values = data.draw(DEVICES[device.kind])
    for bad in illegal_values(device, key):
        with pytest.raises(CircuitError) as caught:
            device(**{**values, key: bad})
        unit = "" if info.unit == "1" else f" {info.unit}"
        assert f"{key} = {bad:g}{unit} must" in str(caught.value)
        assert device.kind in str(caught.value)


@every_parameter
@pytest.mark.parametrize("bad", ["1k", None, True, [1.0]])
def test_a_value_that_is_not_a_number_is_refused(device: type[Device], key: str, bad: object) -> None:
    values: dict[str, Any] = dict.fromkeys(device.parameters(), 1.0)
    with pytest.raises(CircuitError, match=f"{key}: .*is not a number"):
        device(**{**values, key: bad})


def test_all_bad_parameters_are_reported_at_once() -> None:
    with pytest.raises(CircuitError) as caught:
        Diode(saturation_current=-1.0, emission=0.0)
    assert "has 2 faults" in str(caught.value)
    assert "saturation_current = -1 A must be finite and positive" in str(caught.value)
    assert "emission = 0 must be finite and positive" in str(caught.value)


@every_device
def test_required_parameters_have_no_default_and_others_a_legal_one(device: type[Device]) -> None:
    infos = device.parameters()
    required = {key: 1.0 for key, info in infos.items() if info.default is None}
    values = device(**required).values
    assert all(values[key] == info.default for key, info in infos.items() if info.default is not None)
    assert all(info.unit and info.doc for info in infos.values())


@given(resistance=decades(1e-3, 1e12))
def test_a_resistor_can_be_given_by_its_resistance(resistance: float) -> None:
    assert Resistor.from_resistance(resistance).conductance == 1.0 / resistance


@pytest.mark.parametrize("resistance", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_resistance_is_refused(resistance: float) -> None:
    with pytest.raises(CircuitError, match=r"resistance: .* Ω must be finite and positive"):
        Resistor.from_resistance(resistance)


# --- SPICE form --------------------------------------------------------------------------------------------

NODES_OF = {
    "R": 2, "C": 2, "L": 2, "V": 2, "I": 2, "E": 4, "F": 2, "G": 4, "H": 2, "D": 2, "B": 2, "M": 4, "S": 4
}  # fmt: skip
"""Nodes of each SPICE element (ngspice manual, chapters 3 to 7)."""


def primitives(device: type[Device], values: dict[str, float]) -> list[Primitive]:
    return device.spice("x7", tuple(f"n_{pin}" for pin in device.pins), values)


@every_device
@given(data=st.data())
def test_the_spice_form_is_well_formed(device: type[Device], data: st.DataObject) -> None:
    parts = primitives(device, data.draw(DEVICES[device.kind]))
    pins = {f"n_{pin}" for pin in device.pins}
    assert parts
    senses = {f"{part.letter}{part.name}" for part in parts if part.letter == "V"}
    names = [part.letter + part.name for part in parts]
    assert len(set(names)) == len(names)
    used: dict[str, int] = {}
    for part in parts:
        assert len(part.nodes) == NODES_OF[part.letter]
        assert "x7" in part.name
        for node in part.nodes:
            used[node] = used.get(node, 0) + 1
            # A node of its own carries the element's name, so that two elements never share it.
            assert node in pins | {"0"} or "x7" in node
        for arg in part.args:
            assert isinstance(arg, str) or math.isfinite(arg)
        if part.letter in "FH":
            assert part.args[0] in senses
        if part.model is not None:
            assert all(math.isfinite(value) for _, value in part.model[1])
    assert pins <= set(used)
    assert all(count >= 2 for node, count in used.items() if node not in pins | {"0"})


def test_an_open_resistor_has_no_spice_element() -> None:
    assert primitives(Resistor, {"conductance": 0.0}) == []


@given(values=DEVICES["diode"])
def test_a_diodes_model_card_has_its_parameters(values: dict[str, float]) -> None:
    (part,) = primitives(Diode, values)
    assert part.model is not None
    kind, card = part.model
    assert kind == "D"
    assert dict(card) == {
        "is": values["saturation_current"],
        "n": values["emission"],
        "rs": values["series_resistance"],
        "gmin": values["gmin"],
    }
    assert part.temperature == values["temperature"]


@given(a=signed(decades(1e-2, 1e2)), b=signed(decades(1e-2, 1e2)))
def test_an_amplifier_is_a_voltage_gain_forward_and_a_current_gain_backward(a: float, b: float) -> None:
    parts = primitives(REGISTRY["amplifier"], {"voltage_gain": a, "current_gain": b})
    assert [part.letter for part in parts] == ["E", "V", "F"]
    e, sense, f = parts
    assert (e.nodes[1:], e.args) == (("0", "n_in", "0"), (a,))
    # The ammeter carries the current delivered into n_out, so its second node is n_out.
    assert sense.nodes == (e.nodes[0], "n_out")
    assert (f.nodes, f.args[1]) == (("n_in", "0"), b)
