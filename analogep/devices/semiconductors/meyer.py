"""Charges of MOSFETs of SPICE's level 1: overlaps, bulk junctions, and Meyer's capacitances of the channel."""

from __future__ import annotations

import numpy as np

from analogep.devices.base import Array, Values
from analogep.devices.semiconductors.depletion import depletion

LEAST_SATURATION = 0.025
"""Least saturation voltage [V] in Meyer's capacitances, as SPICE3 has it: it rounds their corner at v_ds = 0."""

OXIDE_PERMITTIVITY = 3.9 * 8.854214871e-12
"""Permittivity of the gate's oxide [F/m], with ngspice's digits."""

STORED = (
    "source_overlap",
    "drain_overlap",
    "bulk_overlap",
    "drain_capacitance",
    "source_capacitance",
    "drain_sidewall",
    "source_sidewall",
    "oxide_thickness",
)
"""Parameters of which at least one is above zero in a transistor that stores charge."""

_DRAIN, _SOURCE, _GATE, _BULK = range(4)


def stores(p: Values) -> bool:
    """Return whether any transistor of a bank stores charge."""
    return any(np.any(p[key]) for key in STORED)


class Charges:
    """Sums charges (..., E, 4) and their slopes (..., E, 4, 4) at drain, source, gate and bulk."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.q = np.zeros(shape)
        self.slope = np.zeros((*shape, 4))

    def add(self, a: int, b: int, charge: Array, slopes: dict[int, Array]) -> None:
        """Add a charge that pin ``a`` holds against pin ``b``, with its slopes by pin."""
        self.q[..., a] += charge
        self.q[..., b] -= charge
        for pin, slope in slopes.items():
            self.slope[..., a, pin] += slope
            self.slope[..., b, pin] -= slope

    def add_fixed(self, z: Array, p: Values) -> None:
        """Add overlaps: capacitors of their width (or length) from the gate to the others."""
        wide, long = p["width"], p["length"]
        for pin, key, size in (
            (_SOURCE, "source_overlap", wide),
            (_DRAIN, "drain_overlap", wide),
            (_BULK, "bulk_overlap", long),
        ):
            c = np.broadcast_to(p[key] * size, z.shape[:-1])
            self.add(_GATE, pin, c * (z[..., _GATE] - z[..., pin]), {_GATE: c, pin: -c})

    def add_junctions(self, z: Array, p: Values) -> None:
        """Add the depletion layers from bulk to drain and to source; z is that of an n-channel."""
        for pin, end in ((_DRAIN, "drain"), (_SOURCE, "source")):
            for key, grading in (("capacitance", "bottom_grading"), ("sidewall", "sidewall_grading")):
                zero = p[f"{end}_{key}"]
                if np.any(zero):
                    shape = (p["bulk_potential"], p[grading], p["forward_coefficient"])
                    q, c = depletion(z[..., _BULK] - z[..., pin], zero, *shape)
                    self.add(_BULK, pin, q, {_BULK: c, pin: -c})

    def add_channel(self, z: Array, origin: Array, before: Array, now: tuple[Array, Array]) -> None:
        """Add what has come through the channel's capacitances on the straight way from ``origin`` to z.

        It is the mean of the capacitances (..., E, 3) at both ends times the way, as SPICE has it: they derive
        from no charge. ``now`` is what :func:`channel` returns at z.
        """
        capacitances, slopes = now
        for k, pin in enumerate((_DRAIN, _SOURCE, _BULK)):
            way = (z - origin)[..., _GATE] - (z - origin)[..., pin]
            mean = 0.5 * (before[..., k] + capacitances[..., k])
            by_pin = {at: 0.5 * way * slopes[..., k, at] for at in range(4)}
            by_pin[_GATE] = by_pin[_GATE] + mean
            by_pin[pin] = by_pin[pin] - mean
            self.add(_GATE, pin, mean * way, by_pin)


def channel(over: Array, lean: Array, z: Array, p: Values) -> tuple[Array, Array]:
    """Return the capacitances [F] from the gate to drain, source and bulk, (..., E, 3), and their slopes by pin.

    Parameters
    ----------
    over
        Gate voltage above threshold, v_gs − v_on, from the lower end of the channel, (..., E).
    lean
        dv_on/dv_bs (..., E).
    z
        Voltages (..., E, 4) of an n-channel.

    References
    ----------
    Meyer, MOS models and circuit simulation (RCA Review 32, 1971), with the changes of SPICE3 (``DEVqmeyer``).
    """
    phi = p["surface_potential"]
    thick = p["oxide_thickness"] > 0.0
    per_area = np.where(thick, OXIDE_PERMITTIVITY / np.where(thick, p["oxide_thickness"], 1.0), 0.0)
    oxide = per_area * p["width"] * p["length"]
    turned = z[..., _DRAIN] < z[..., _SOURCE]
    span = np.abs(z[..., _DRAIN] - z[..., _SOURCE])
    full = oxide * np.clip(2.0 / 3.0 + 4.0 * over / (3.0 * phi), 0.0, 2.0 / 3.0)
    full_over = np.where((over > -0.5 * phi) & (over < 0.0), oxide * 4.0 / (3.0 * phi), 0.0)
    body = oxide * np.clip(-over / phi, 0.0, 1.0)
    body_over = np.where((over > -phi) & (over < 0.0), -oxide / phi, 0.0)
    saturation = np.maximum(over, LEAST_SATURATION)
    follows = np.where(over > LEAST_SATURATION, 1.0, 0.0)
    reach = np.minimum(span, saturation)
    triode = np.where(span < saturation, 1.0, 0.0)
    whole = 2.0 * saturation - reach
    far, near = saturation / whole, (saturation - reach) / whole
    # by the gate's voltage above threshold, and by the span
    slope_far = triode * -reach / whole**2 * follows, triode * saturation / whole**2
    slope_near = triode * reach / whole**2 * follows, triode * -saturation / whole**2
    high, low = full * (1.0 - far**2), full * (1.0 - near**2)
    high_by = full_over * (1.0 - far**2) - 2.0 * full * far * slope_far[0], -2.0 * full * far * slope_far[1]
    low_by = full_over * (1.0 - near**2) - 2.0 * full * near * slope_near[0], -2.0 * full * near * slope_near[1]
    pairs = (
        (np.where(turned, low, high), *(np.where(turned, a, b) for a, b in zip(low_by, high_by, strict=True))),
        (np.where(turned, high, low), *(np.where(turned, a, b) for a, b in zip(high_by, low_by, strict=True))),
        (body, body_over, np.zeros_like(body)),
    )
    value = np.stack([c for c, _, _ in pairs], axis=-1)
    slopes = np.zeros((*value.shape, 4))
    sign = np.where(turned, -1.0, 1.0)
    for k, (_, by_over, by_span) in enumerate(pairs):
        by_low = by_over * (lean - 1.0)
        slopes[..., k, _GATE] = by_over
        slopes[..., k, _BULK] = -lean * by_over
        slopes[..., k, _DRAIN] = np.where(turned, by_low, 0.0) + sign * by_span
        slopes[..., k, _SOURCE] = np.where(turned, 0.0, by_low) - sign * by_span
    return value, slopes
