"""Where a junction meets the load line of the circuit around it: the next place to linearise it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.devices import OnePort
from analogep.devices.base import Values

Array = NDArray[np.float64]

FREE_STEP = 0.1
"""Step of a junction, in units of nV_T, that its tangent describes well enough."""


def meet_load(device: type[OnePort], u_new: Array, u_old: Array, p: Values, load: Array) -> Array:
    """Return where the law meets the load line through the linearised solution, (B, E) [V].

    The line passes through (u_new, i_new) of the tangent with a slope of −1/R. Without a load this is the
    voltage step of Newton's method, which overshoots upwards and comes down by nV_T a time; with an infinite
    one it is the step to the law's own voltage at i_new, as SPICE limits upwards. In between, a diode that
    turns on goes to its place in one step. Steps of less than a tenth of nV_T are taken as they are, so the
    end is Newton's. An element that is turned off lands no lower than at 0 V or u_new.
    """
    width = np.broadcast_to(np.asarray(device.thermal_scale(p)), u_new.shape)
    far = (u_new > 0.0) & (np.abs(u_new - u_old) > FREE_STEP * width)
    out = u_new
    if not np.isfinite(load).all():
        out = np.where(np.isfinite(load), u_new, device.limit(u_new, u_old, p))
    far &= np.isfinite(load) & (load > 0.0)
    where = np.nonzero(far)
    if len(where[0]):
        few = {key: np.broadcast_to(value, u_new.shape[1:])[where[1]] for key, value in p.items()}
        new, old, resistance = u_new[where], u_old[where], load[where[1]]
        i, g = device.current(old, few)
        met = device.load_point(new + resistance * (i + g * (new - old)), resistance, few)
        assert met is not None
        out = out.copy()
        out[where] = np.maximum(met, 0.0)
    return out
