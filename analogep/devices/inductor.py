"""Linear inductor: a short at the operating point, a current with inertia over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter

_STAMP = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Inductor(MultiPort):
    """Linear inductor, v(p) − v(n) = L di/dt, with its current i from p to n as an unknown; SPICE ``L``."""

    kind: ClassVar[str] = "inductor"
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    branches: ClassVar[int] = 1
    passive: ClassVar[bool] = True
    inductance: float = parameter("H", "inductance L", low=0.0, low_open=True)

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        jac = np.repeat(_STAMP[None], p["inductance"].size, axis=0)
        return np.einsum("ij,...ej->...ei", _STAMP, z), jac

    @staticmethod
    def storage(p: Values) -> Array | None:
        out = np.zeros((p["inductance"].size, 3, 3))
        out[:, 2, 2] = -p["inductance"]
        return out

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        return [Primitive("L", name, nodes, (p["inductance"],))]
