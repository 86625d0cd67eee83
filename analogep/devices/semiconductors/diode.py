"""Junction diode with ngspice's static law."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.constants import NOMINAL_TEMPERATURE, thermal_voltage
from analogep.devices.base import Array, OnePort, Primitive, Values, parameter

MAX_EXPONENT = 600.0  # beyond it the law is continued linearly: far past any current that can flow
LOAD_TOLERANCE = 1e-3
"""Of a load point, relative to |w| + nV_T: it is a point of contact and no result."""


@dataclass(frozen=True)
class Diode(OnePort):
    """Shockley diode as ngspice solves it (level 1, static part).

    With the junction voltage w and nV_T = ``emission`` · k``temperature``/q::

        i = Is (exp(w / nV_T) − 1) + gmin w              for w ≥ −3 nV_T
        i = −Is (1 + (3 nV_T / (e w))³) + gmin w         below
        v = w + Rs i

    Complex voltages take the piece on which their real part lies, or :meth:`continued` a given one.
    ``gmin`` is the junction's explicit shunt; simulators add their own unless told the same value.
    A :class:`~analogep.devices.JunctionDiode` adds stored charge and breakdown.
    ``saturation_current`` is the value at ``temperature`` (no further temperature law is applied).

    Source: ngspice manual, section "Diode model", and its reverse branch as described in PHYSICS of SPICE3.
    """

    kind: ClassVar[str] = "diode"
    pins: ClassVar[tuple[str, ...]] = ("anode", "cathode")
    linear: ClassVar[bool] = False
    saturation_current: float = parameter("A", "saturation current Is", default=1e-14, low=0.0, low_open=True)
    emission: float = parameter("1", "emission coefficient n", default=1.0, low=0.0, low_open=True)
    series_resistance: float = parameter("Ω", "series resistance Rs", default=0.0, low=0.0)
    gmin: float = parameter("S", "shunt conductance of the junction", default=1e-15, low=0.0)
    temperature: float = parameter(
        "K", "junction temperature", default=NOMINAL_TEMPERATURE, low=0.0, low_open=True
    )

    @staticmethod
    def current(v: Array, p: Values) -> tuple[Array, Array]:
        if np.iscomplexobj(v):
            return Diode.continued(v, p, v.real)
        w = _junction_voltage(v, p)
        i, g = junction_law(w, p)
        return i, g / (1.0 + p["series_resistance"] * g)

    @classmethod
    def continued(cls, v: Array, p: Values, at: Array) -> tuple[Array, Array]:
        resistance, near = p["series_resistance"], _junction_voltage(at, p)
        w = _descend(v, near, p, 1e-15, near)
        i, g = junction_law(w, p, near)
        return i, g / (1.0 + resistance * g)

    @staticmethod
    def cocontent(v: Array, p: Values) -> Array:
        w = _junction_voltage(v, p)
        saturation, nvt, gmin = p["saturation_current"], junction_width(p), p["gmin"]
        edge = -3.0 * nvt
        above = np.maximum(w, edge)
        x = above / nvt
        past = np.maximum(x - MAX_EXPONENT, 0.0)  # on the linear continuation, its integral
        grown = np.expm1(np.minimum(x, MAX_EXPONENT)) + math.exp(MAX_EXPONENT) * past * (1.0 + 0.5 * past)
        shockley = saturation * (nvt * grown - above)
        below = np.minimum(w, edge)
        a3 = (3.0 * nvt / math.e) ** 3
        reverse = saturation * (-(below - edge) + 0.5 * a3 * (below**-2 - edge**-2))
        i, _ = junction_law(w, p)
        ohmic = 0.5 * p["series_resistance"] * i * i
        return shockley + reverse + 0.5 * gmin * w * w + ohmic

    @staticmethod
    def limit(v_new: Array, v_old: Array, p: Values) -> Array:
        return limit_junction(v_new, v_old, junction_width(p), critical_voltage(p))

    @staticmethod
    def load_point(v_open: Array, resistance: Array, p: Values) -> Array:
        own = p["series_resistance"]
        w = _junction_voltage(v_open, {**p, "series_resistance": own + resistance}, LOAD_TOLERANCE)
        return v_open - resistance / (own + resistance) * (v_open - w)

    @classmethod
    def noise(cls, v: Array, p: Values) -> Array | None:
        """Return the shot noise of both currents, 2q(I + 2Is)/n, and the thermal one of gmin and Rs.

        The two currents are I + Is and Is (van der Ziel 1986, *Noise in Solid State Devices and Circuits*, chapter
        3), of a charge q/n, since no other agrees with the slope Is/nV_T at rest. As a conductance it is that
        of the diode's own temperature.
        """
        resistance = p["series_resistance"]
        w = _junction_voltage(v, p)
        i, g = junction_law(w, p)
        shot = (i - p["gmin"] * w + 2.0 * p["saturation_current"]) / (2.0 * junction_width(p))
        return (shot + p["gmin"] + resistance * g * g) / (1.0 + resistance * g) ** 2

    @staticmethod
    def thermal_scale(p: Values) -> Array | None:
        return junction_width(p)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        card = (
            ("is", p["saturation_current"]),
            ("n", p["emission"]),
            ("rs", p["series_resistance"]),
            ("gmin", p["gmin"]),
        )
        return [Primitive("D", name, nodes, (), ("D", card), p["temperature"])]


def junction_width(p: Values) -> Array:
    """Return nV_T [V] of each diode, (E,)."""
    return p["emission"] * thermal_voltage(p["temperature"])


def critical_voltage(p: Values) -> Array:
    """Voltage [V] at which the exponential has the sharpest bend, nV_T ln(nV_T / (√2 Is)) (SPICE2)."""
    nvt = junction_width(p)
    return nvt * np.log(nvt / (math.sqrt(2.0) * p["saturation_current"]))


def limit_junction(v_new: Array, v_old: Array, nvt: Array, critical: Array) -> Array:
    """Limit a junction's step logarithmically above the critical voltage (Nagel's SPICE2 ``pnjlim``).

    Parameters
    ----------
    v_new, v_old
        Proposed and previous junction voltages [V], (..., E).
    nvt, critical
        nV_T and the critical voltage [V], (E,).
    """
    step = v_new - v_old
    steep = (v_new > critical) & (np.abs(step) > 2.0 * nvt)
    if not steep.any():
        return v_new
    ratio = 1.0 + step / nvt
    grown = np.where(ratio > 0, v_old + nvt * np.log(np.where(ratio > 0, ratio, 1.0)), critical)
    fresh = nvt * np.log(np.maximum(v_new / nvt, np.e))
    return np.where(steep, np.where(v_old > 0, grown, fresh), v_new)


def junction_law(w: Array, p: Values, at: Array | None = None) -> tuple[Array, Array]:
    """Return current and slope of the bare junction at its own voltage ``w``.

    A complex one takes the piece on which the real voltage ``at`` lies.
    """
    saturation, nvt, gmin = p["saturation_current"], junction_width(p), p["gmin"]
    x = w / nvt
    real = x if at is None else at / nvt
    if at is None:
        clipped, past = np.clip(x, -3.0, MAX_EXPONENT), np.maximum(x - MAX_EXPONENT, 0.0)
    else:
        clipped = np.where(real > -3.0, np.where(real < MAX_EXPONENT, x, MAX_EXPONENT), -3.0)
        past = np.where(real < MAX_EXPONENT, 0.0, x - MAX_EXPONENT)
    grown = np.exp(clipped)
    g = saturation * grown / nvt
    i = saturation * np.expm1(clipped) + g * nvt * past
    reverse = real < -3.0
    if reverse.any():
        cube = (3.0 / (math.e * np.where(reverse, x, -3.0))) ** 3
        i = np.where(reverse, -saturation * (1.0 + cube), i)
        g = np.where(reverse, 3.0 * saturation * cube / np.where(reverse, w, 1.0), g)
    return i + gmin * w, g + gmin


def _junction_voltage(v: Array, p: Values, tolerance: float = 1e-15) -> Array:
    """Solve v = w + Rs i(w) for the junction voltage w, elementwise; ``tolerance`` is relative to |w| + nV_T."""
    resistance = p["series_resistance"]
    if not np.any(resistance):
        return v
    nvt, saturation = junction_width(p), p["saturation_current"]
    # Both starting points, 0 for a reverse voltage, lie right of the root, from where Newton's method on a
    # convex, increasing function descends monotonically. From the left it would overshoot by up to Rs Is.
    forward = np.maximum(v, 0.0)
    drop = np.where(resistance > 0, resistance, 1.0) * saturation
    w = np.where(resistance > 0, np.minimum(forward, nvt * np.log1p(forward / drop)), v)
    return _descend(v, np.asarray(w, dtype=float), p, tolerance)


def _descend(v: Array, w: Array, p: Values, tolerance: float, at: Array | None = None) -> Array:
    """Run Newton's method on v = w + Rs i(w) from ``w``; ``at`` as for :func:`junction_law`."""
    resistance, nvt = p["series_resistance"], junction_width(p)
    for _ in range(100):
        i, g = junction_law(w, p, at)
        step = (w + resistance * i - v) / (1.0 + resistance * g)
        w = w - step
        if np.all(np.abs(step) <= tolerance * (np.abs(w) + nvt)):
            break
    return w
