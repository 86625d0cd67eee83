"""Charge of a junction's depletion layer, as SPICE has it for diodes and for the bulk junctions of MOSFETs."""

from __future__ import annotations

import numpy as np

from analogep.devices.base import Array

FORWARD = 0.95
"""Largest coefficient fc of the forward bias: SPICE lowers a larger one to this."""

GRADING = 0.9
"""Largest grading coefficient m: SPICE lowers a larger one to this."""


def depletion(v: Array, zero: Array, potential: Array, grading: Array, forward: Array) -> tuple[Array, Array]:
    """Return charge q(v) [C] and capacitance dq/dv [F] of a depletion layer, both (..., E).

    Up to the voltage fc · vj the capacitance is C0 / (1 − v/vj)^m; above, it goes on along its tangent there.

    Parameters
    ----------
    v
        Junction voltages [V], (..., E).
    zero, potential, grading, forward
        C0 [F], vj [V], m and fc, each (E,).

    References
    ----------
    ngspice manual, section "Diode model", capacitance; Vladimirescu, The SPICE Book (1994), section 3.2.
    """
    edge = forward * potential
    below = 1.0 - np.minimum(v, edge) / potential
    power = below**-grading
    past = np.maximum(v - edge, 0.0)
    slope = zero * power
    bend = grading * zero / potential * (1.0 - forward) ** (-1.0 - grading)
    charge = zero * potential * (1.0 - below * power) / (1.0 - grading)
    return charge + past * (slope + 0.5 * bend * past), slope + bend * past
