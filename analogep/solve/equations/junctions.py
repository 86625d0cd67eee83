"""Compiled evaluation of large banks of diodes, element by element (numba).

The laws are those of :mod:`analogep.devices.semiconductors.diode` and of
:func:`analogep.solve.equations.load_line.meet_load`, without their temporary arrays.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analogep.devices.base import Values
from analogep.devices.semiconductors.diode import LOAD_TOLERANCE, critical_voltage, junction_width
from analogep.solve.compiled import compiled
from analogep.solve.layered.kernels import _diode, _junction

Array = NDArray[np.float64]


def table(p: Values, size: int) -> Array:
    """Return Is, nV_T, gmin, Rs and the critical voltage of each diode, (E, 5)."""
    columns = (p["saturation_current"], junction_width(p), p["gmin"], p["series_resistance"], critical_voltage(p))
    return np.stack([np.broadcast_to(column, size) for column in columns], axis=1)


@compiled
def currents(u, diodes, i, g):  # type: ignore[no-untyped-def]
    """Fill currents and slopes (B, E) at voltages u (B, E)."""
    for b in range(u.shape[0]):
        for e in range(u.shape[1]):
            i[b, e], g[b, e] = _diode(u[b, e], diodes[e, 0], diodes[e, 1], diodes[e, 2], diodes[e, 3])


@compiled
def meet_loads(u_new, u_old, diodes, load, free, out):  # type: ignore[no-untyped-def]
    """Fill the voltages (B, E) at which to linearise next; ``free`` is the step that needs no limit, in nV_T."""
    for b in range(u_new.shape[0]):
        for e in range(u_new.shape[1]):
            new, old, resistance = u_new[b, e], u_old[b, e], load[e]
            saturation, nvt, gmin, series = diodes[e, 0], diodes[e, 1], diodes[e, 2], diodes[e, 3]
            out[b, e] = new
            if not resistance < math.inf:
                out[b, e] = _limit(new, old, nvt, diodes[e, 4])
            elif new > 0.0 and abs(new - old) > free * nvt and resistance > 0.0:
                i, g = _diode(old, saturation, nvt, gmin, series)
                open_voltage = new + resistance * (i + g * (new - old))
                whole = series + resistance
                w = _load_voltage(open_voltage, saturation, nvt, gmin, whole)
                out[b, e] = max(open_voltage - resistance / whole * (open_voltage - w), 0.0)


@compiled
def _limit(new, old, nvt, critical):  # type: ignore[no-untyped-def]
    """Limit one junction's step as ``limit_junction`` does."""
    step = new - old
    if not (new > critical and abs(step) > 2.0 * nvt):
        return new
    if old > 0.0:
        ratio = 1.0 + step / nvt
        return old + nvt * math.log(ratio) if ratio > 0.0 else critical
    return nvt * math.log(max(new / nvt, math.e))


@compiled
def _load_voltage(v, saturation, nvt, gmin, resistance):  # type: ignore[no-untyped-def]
    """Solve v = w + R i(w) for w, well enough for a point of contact."""
    w = 0.0
    if v > 0.0:
        w = min(v, nvt * math.log1p(v / (resistance * saturation)))
    for _ in range(100):
        i, g = _junction(w, saturation, nvt, gmin)
        step = (w + resistance * i - v) / (1.0 + resistance * g)
        w -= step
        if abs(step) <= LOAD_TOLERANCE * (abs(w) + nvt):
            break
    return w
