"""Linear capacitor: the leak's memory; an open circuit at the operating point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analogep.devices.base import Array, OnePort, Primitive, Values, parameter


@dataclass(frozen=True)
class Capacitor(OnePort):
    """Linear capacitor, q = C v; it carries no direct current."""

    kind: ClassVar[str] = "capacitor"
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    value: float = parameter("F", "capacitance C", low=0.0)

    @staticmethod
    def current(v: Array, p: Values) -> tuple[Array, Array]:
        return np.zeros_like(v), np.zeros_like(v)

    @staticmethod
    def cocontent(v: Array, p: Values) -> Array:
        return np.zeros_like(v)

    @staticmethod
    def capacitance(p: Values) -> Array | None:
        return p["value"]

    @staticmethod
    def conducts(p: Values) -> NDArray[np.bool_]:
        return np.zeros(p["value"].shape, dtype=bool)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        return [Primitive("C", name, nodes, (p["value"],))]
