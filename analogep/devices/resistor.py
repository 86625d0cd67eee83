"""Ohmic conductance: the trainable synapse of a resistive network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analogep.devices.base import Array, OnePort, Primitive, Values, parameter
from analogep.errors import CircuitError, Fault


@dataclass(frozen=True)
class Resistor(OnePort):
    """Linear conductance, i = g v.

    Its co-content is ½ g v², so that the observable of equilibrium propagation is v²/2 (Kendall et al. 2020,
    theorem 1).
    """

    kind: ClassVar[str] = "resistor"
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    conductance: float = parameter("S", "conductance g", low=0.0, trainable=True)

    @classmethod
    def from_resistance(cls, resistance: float) -> Resistor:
        """Return the resistor of ``resistance`` [Ω]; raises :class:`CircuitError` unless it is positive."""
        if not 0 < resistance < math.inf:
            raise CircuitError(
                "device resistor", [Fault("resistance", f"{resistance:g} Ω must be finite and positive")]
            )
        return cls(conductance=1.0 / resistance)

    @staticmethod
    def current(v: Array, p: Values) -> tuple[Array, Array]:
        g = p["conductance"]
        return g * v, np.broadcast_to(g, v.shape)

    @staticmethod
    def cocontent(v: Array, p: Values) -> Array:
        return 0.5 * p["conductance"] * v * v

    @staticmethod
    def current_gradient(v: Array, p: Values) -> dict[str, Array]:
        return {"conductance": v}

    @staticmethod
    def cocontent_gradient(v: Array, p: Values) -> dict[str, Array]:
        return {"conductance": 0.5 * v * v}

    @classmethod
    def noise(cls, v: Array, p: Values) -> Array | None:
        return np.broadcast_to(p["conductance"], v.shape)

    @staticmethod
    def conducts(p: Values) -> NDArray[np.bool_]:
        return p["conductance"] > 0

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        if p["conductance"] == 0.0:
            return []  # an open; SPICE would silently read R = 0 or 1e300 as something else
        return [Primitive("R", name, nodes, (1.0 / p["conductance"],))]
