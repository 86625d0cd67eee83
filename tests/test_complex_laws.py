"""Analytic devices and costs at complex voltages: the real law on the axis, one derivative in every direction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_devices import ONE_PORTS, one_port_cases, scale_of

from analogep.constants import thermal_voltage
from analogep.devices import Diode, OnePort

EPS = float(np.finfo(float).eps)
ANALYTIC = [device for device in ONE_PORTS if device.analytic]

every_analytic_one_port = pytest.mark.parametrize("device", ANALYTIC, ids=lambda d: d.kind)

# A central difference with h = 1e-4 s misses the derivative by h² f‴/6; at a complex distance of s/2 from the
# real axis |f‴| is larger than f' on it by at most e^0.5/s² for exponentials, 1e-7 with room to spare.
TRUNCATION = 1e-7


def nearby(draw: Any, device: type[OnePort], p: dict[str, np.ndarray], v: np.ndarray) -> np.ndarray:
    """Complex voltages up to half the law's scale away from v, on and off the real axis."""
    angle = draw(st.floats(0.0, 2.0 * np.pi))
    return v + draw(st.floats(0.0, 0.5)) * scale_of(device, p) * np.exp(1j * angle)


@every_analytic_one_port
@given(data=st.data())
def test_on_the_real_axis_the_continued_law_is_the_real_one(device: type[OnePort], data: st.DataObject) -> None:
    p, v, _ = data.draw(one_port_cases(device))
    i, g = device.current(v, p)
    s = scale_of(device, p)
    # A junction voltage behind a series resistance is known to EPS (|w| + nV_T): g times that moves the current,
    # and 1/nV_T times that the slope, relatively.
    current, slope = EPS * (np.abs(i) + g * (np.abs(v) + s)), EPS * g * (1.0 + np.abs(v) / s)
    for at_complex in (device.continued(v + 0j, p, v), device.current(v + 0j, p)):
        for found, real, noise in zip(at_complex, (i, g), (current, slope), strict=True):
            assert np.all(np.abs(found - real) <= 16 * noise)


@every_analytic_one_port
@given(data=st.data())
def test_the_slope_is_the_derivative_in_every_direction(device: type[OnePort], data: st.DataObject) -> None:
    """The Cauchy-Riemann equations: steps along and across the real axis give the same derivative."""
    p, v, h = data.draw(one_port_cases(device))
    z = nearby(data.draw, device, p, v)
    i, g = device.continued(z, p, v)
    for step in (h, 1j * h):
        difference = (device.continued(z + step, p, v)[0] - device.continued(z - step, p, v)[0]) / (2 * step)
        rounding = 16 * EPS * (np.abs(i) + np.abs(g) * (np.abs(v) + scale_of(device, p))) / h
        assert np.all(np.abs(difference - g) <= TRUNCATION * np.abs(g) + rounding)


@every_analytic_one_port
@given(data=st.data())
def test_observables_are_analytic(device: type[OnePort], data: st.DataObject) -> None:
    """d/dv of ∂Φ/∂θ is ∂i/∂θ, along and across the real axis."""
    p, v, h = data.draw(one_port_cases(device))
    z = nearby(data.draw, device, p, v)
    current = device.current_gradient(z, p)
    for key in {key for key, info in device.parameters().items() if info.trainable}:
        here = np.abs(device.cocontent_gradient(z, p)[key]) + h * h  # the latter one step away from rest
        for step in (h, 1j * h):
            above, below = (device.cocontent_gradient(z + s, p)[key] for s in (step, -step))
            rounding = 16 * EPS * (here + np.abs(current[key]) * (np.abs(v) + scale_of(device, p))) / h
            difference = (above - below) / (2 * step)
            assert np.all(np.abs(difference - current[key]) <= TRUNCATION * np.abs(current[key]) + rounding)


def test_a_diode_keeps_the_piece_of_where_it_comes_from() -> None:
    """By hand: at −2 nV_T continued from −4 nV_T, −Is (1 − (3/2e)³); from −1 nV_T, Is (e⁻² − 1)."""
    p = {key: np.array([value]) for key, value in Diode(gmin=0.0).values.items()}
    z, nvt = np.array([-2.0 + 0j]) * thermal_voltage(), thermal_voltage()
    reverse, forward = (Diode.continued(z, p, np.array([at * nvt]))[0][0] for at in (-4.0, -1.0))
    assert reverse == pytest.approx(-1e-14 * (1.0 - (3.0 / (2.0 * np.e)) ** 3), rel=1e-12)
    assert forward == pytest.approx(1e-14 * np.expm1(-2.0), rel=1e-12)
