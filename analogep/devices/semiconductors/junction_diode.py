"""Junction diode that stores charge and breaks down in reverse, with ngspice's laws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.constants import NOMINAL_TEMPERATURE, thermal_voltage
from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter
from analogep.devices.semiconductors.depletion import FORWARD, GRADING, depletion
from analogep.devices.semiconductors.diode import (
    MAX_EXPONENT,
    critical_voltage,
    junction_law,
    junction_width,
    limit_junction,
)


@dataclass(frozen=True)
class JunctionDiode(MultiPort):
    """Diode with junction capacitance, transit time and breakdown, as ngspice solves it (level 1).

    Its current is that of a :class:`~analogep.devices.Diode` without series resistance, and below the knee
    voltage −Vz, if ``breakdown_voltage`` BV is not 0::

        i = −Is exp(−(v + Vz) / (nz V_T)) + gmin v
        Vz = BV − nz V_T ln(IBV/Is + 1 − Vz/V_T)        (Vz = BV where IBV < Is BV/V_T)

    so that about IBV flows at −BV; nz is ``breakdown_emission``. Over time the charge
    q = q_depletion(v) + ``transit_time`` · i(v) adds dq/dt; see
    :func:`~analogep.devices.semiconductors.depletion.depletion`. At rest it has no effect.

    A resistor in series stands for a series resistance: the charge sits at the inner junction. All values hold at
    ``temperature``; no temperature law is applied.

    Source: ngspice manual, section "Diode model"; its reverse branches as in SPICE3.
    """

    kind: ClassVar[str] = "junction_diode"
    pins: ClassVar[tuple[str, ...]] = ("anode", "cathode")
    linear: ClassVar[bool] = False
    analytic: ClassVar[bool] = False
    saturation_current: float = parameter("A", "saturation current Is", default=1e-14, low=0.0, low_open=True)
    emission: float = parameter("1", "emission coefficient n", default=1.0, low=0.0, low_open=True)
    gmin: float = parameter("S", "shunt conductance of the junction", default=1e-15, low=0.0)
    temperature: float = parameter(
        "K", "junction temperature", default=NOMINAL_TEMPERATURE, low=0.0, low_open=True
    )
    junction_capacitance: float = parameter("F", "depletion capacitance CJO at 0 V", default=0.0, low=0.0)
    junction_potential: float = parameter("V", "junction potential VJ", default=1.0, low=0.0, low_open=True)
    grading: float = parameter("1", "grading coefficient M", default=0.5, low=0.0, high=GRADING)
    forward_coefficient: float = parameter(
        "1", "share FC of VJ above which the capacitance is a line", default=0.5, low=0.0, high=FORWARD
    )
    transit_time: float = parameter("s", "transit time TT", default=0.0, low=0.0)
    breakdown_voltage: float = parameter("V", "reverse breakdown voltage BV, 0 for none", default=0.0, low=0.0)
    breakdown_current: float = parameter("A", "current IBV at the breakdown voltage", default=1e-3, low=0.0)
    breakdown_emission: float = parameter(
        "1", "emission coefficient NBV of the breakdown", default=1.0, low=0.0, low_open=True
    )

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        i, g = static_law(z[..., 0] - z[..., 1], p)
        return _between(i, g)

    @staticmethod
    def charge(z: Array, p: Values) -> tuple[Array, Array] | None:
        if not (np.any(p["junction_capacitance"]) or np.any(p["transit_time"])):
            return None
        v = z[..., 0] - z[..., 1]
        q, c = depletion(
            v, p["junction_capacitance"], p["junction_potential"], p["grading"], p["forward_coefficient"]
        )
        i, g = static_law(v, p)
        return _between(q + p["transit_time"] * i, c + p["transit_time"] * g)

    @staticmethod
    def limit(z_new: Array, z_old: Array, p: Values) -> Array:
        """Limit the junction voltage as SPICE does, from the knee of the breakdown too."""
        new, old = z_new[..., 0] - z_new[..., 1], z_old[..., 0] - z_old[..., 1]
        critical = critical_voltage(p)
        limited = limit_junction(new, old, junction_width(p), critical)
        breaks = p["breakdown_voltage"] > 0.0
        if np.any(breaks):
            width, knee = _breakdown_width(p), knee_voltage(p)
            beyond = limit_junction(-(new + knee), -(old + knee), width, critical)
            deep = breaks & (new < np.minimum(0.0, 10.0 * width - knee))
            limited = np.where(deep, -(beyond + knee), limited)
        move = limited - new
        return z_new + np.stack([0.5 * move, -0.5 * move], axis=-1)

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        card: tuple[tuple[str, float], ...] = (
            ("is", p["saturation_current"]),
            ("n", p["emission"]),
            ("rs", 0.0),
            ("gmin", p["gmin"]),
            ("cjo", p["junction_capacitance"]),
            ("vj", p["junction_potential"]),
            ("m", p["grading"]),
            ("fc", p["forward_coefficient"]),
            ("tt", p["transit_time"]),
            ("ibv", p["breakdown_current"]),
            ("nbv", p["breakdown_emission"]),
        )
        if p["breakdown_voltage"] > 0.0:
            card = (*card, ("bv", p["breakdown_voltage"]))
        return [Primitive("D", name, nodes, (), ("D", card), p["temperature"])]


def static_law(v: Array, p: Values) -> tuple[Array, Array]:
    """Return current [A] and slope [S] at junction voltages v (..., E), breakdown included."""
    i, g = junction_law(v, p)
    breaks = p["breakdown_voltage"] > 0.0
    if not np.any(breaks):
        return i, g
    width, knee = _breakdown_width(p), knee_voltage(p)
    broken = breaks & (v < -knee) & (v < -3.0 * junction_width(p))
    if not broken.any():
        return i, g
    x = np.where(broken, -(v + knee) / width, 0.0)
    inner = np.minimum(x, MAX_EXPONENT)
    grown = p["saturation_current"] * np.exp(inner)
    reverse = -grown * (1.0 + (x - inner)) + p["gmin"] * v
    return np.where(broken, reverse, i), np.where(broken, grown / width + p["gmin"], g)


def knee_voltage(p: Values) -> Array:
    """Return the voltage Vz [V] below −which the breakdown's law holds, (E,); see :class:`JunctionDiode`."""
    voltage, width, thermal = p["breakdown_voltage"], _breakdown_width(p), thermal_voltage(p["temperature"])
    ratio = p["breakdown_current"] / p["saturation_current"]
    given = ratio >= voltage / thermal
    ratio = np.where(given, ratio, voltage / thermal)
    knee = voltage - width * np.log1p(ratio)
    for _ in range(_KNEE_STEPS):
        last, knee = knee, voltage - width * np.log(ratio + 1.0 - knee / thermal)
        if np.all(np.abs(knee - last) <= 1e-15 * voltage):
            break
    out: Array = np.where(given, knee, voltage)
    return out


_KNEE_STEPS = 25  # as SPICE; one or two are enough where IBV is far above Is


def _breakdown_width(p: Values) -> Array:
    out: Array = p["breakdown_emission"] * thermal_voltage(p["temperature"])
    return out


def _between(value: Array, slope: Array) -> tuple[Array, Array]:
    """Return what goes into the first pin and out of the second, (..., E, 2), and its slopes."""
    flow = np.stack([value, -value], axis=-1)
    row = np.stack([slope, -slope], axis=-1)
    return flow, np.stack([row, -row], axis=-2)
