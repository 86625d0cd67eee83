"""Resistor whose current grows as a hyperbolic sine: a memristor between two writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.devices.base import Array, Primitive, Values, parameter
from analogep.devices.scaled_law import ScaledLaw

_MAX_EXPONENT = 600.0  # beyond it the law is continued linearly: far past any current that can flow


@dataclass(frozen=True)
class SinhResistor(ScaledLaw):
    """Memristive device in a fixed state, i = g v0 sinh(v / v0).

    ``conductance`` g is the slope at rest; beyond about v0 the current grows exponentially, in either
    direction. For v0 → ∞ it is a resistor. Analytic, complex voltages included.

    Source: the hopping of ions and of trapped electrons over a barrier that the field tilts (Mott & Gurney
    1940, *Electronic Processes in Ionic Crystals*, section II.10); as the static law of a memristor's ON
    state, Yang et al. 2008, Nature Nanotechnology 3, 429, eq. 1.
    """

    kind: ClassVar[str] = "sinh_resistor"
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    voltage: ClassVar[str] = "v0"
    conductance: float = parameter("S", "conductance at rest", low=0.0, trainable=True)
    v0: float = parameter("V", "voltage over which the current bends", low=0.0, low_open=True)

    @staticmethod
    def shape(x: Array) -> tuple[Array, Array, Array]:
        """Return sinh x, cosh x and cosh x − 1."""
        inner = np.clip(x.real, -_MAX_EXPONENT, _MAX_EXPONENT)
        if np.iscomplexobj(x):
            inner = np.where(inner == x.real, x, inner)
        past = x - inner
        sine, cosine = np.sinh(inner), np.cosh(inner)
        half = np.sinh(0.5 * inner)
        area = 2.0 * half * half + past * (sine + 0.5 * past * math.cosh(_MAX_EXPONENT))
        return sine + past * math.cosh(_MAX_EXPONENT), cosine, area

    @staticmethod
    def limit(v_new: Array, v_old: Array, p: Values) -> Array:
        # Logarithmic where the current would grow, as for a junction (Nagel 1975, SPICE2), on either side.
        v0 = p["v0"]
        step = v_new - v_old
        steep = (np.abs(v_new) > np.abs(v_old)) & (np.abs(step) > 2.0 * v0)
        shortened = v_old + np.sign(step) * v0 * np.log1p(np.abs(step) / v0)
        return np.where(steep, shortened, v_new)

    @staticmethod
    def thermal_scale(p: Values) -> Array | None:
        return p["v0"]

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        # ngspice rounds numbers in expressions to 11 digits, so the expression has none: one node of its own
        # carries v / v0, a second one the hyperbolic sine of that, each in volts across 1 Ω.
        g, v0 = p["conductance"], p["v0"]
        if g == 0.0:
            return []
        argument, sine = f"{name}_argument", f"{name}_sinh"
        return [
            Primitive("G", argument, ("0", argument, *nodes), (1.0 / v0,)),
            Primitive("R", argument, (argument, "0"), (1.0,)),
            Primitive("B", name, ("0", sine), (f"sinh(V({argument}))",)),
            Primitive("R", sine, (sine, "0"), (1.0,)),
            Primitive("G", name, (*nodes, sine, "0"), (g * v0,)),
        ]
