"""The four linear controlled sources, each with its own control port.

Pins are (p, n, cp, cn). The port (cp, cn) is sensed: by its voltage for VCVS and VCCS (it draws no current),
by the current through it, from cp to cn, for CCVS and CCCS (it is a short). None is reciprocal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter

_PINS = ("p", "n", "cp", "cn")


def _linear(z: Array, jac: Array) -> tuple[Array, Array]:
    return np.einsum("eij,...ej->...ei", jac, z), jac


def _stamps(count: int, size: int, entries: dict[tuple[int, int], Array | float]) -> Array:
    jac = np.zeros((count, size, size))
    for (row, col), value in entries.items():
        jac[:, row, col] = value
    return jac


@dataclass(frozen=True)
class VCVS(MultiPort):
    """Voltage-controlled voltage source, v(p) − v(n) = gain · (v(cp) − v(cn)); SPICE ``E``."""

    kind: ClassVar[str] = "vcvs"
    pins: ClassVar[tuple[str, ...]] = _PINS
    branches: ClassVar[int] = 1
    reciprocal: ClassVar[bool] = False
    gain: float = parameter("1", "voltage gain", trainable=True)
    control: tuple[str, str] | None = None

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        a = p["gain"]
        entries: dict[tuple[int, int], Array | float] = {
            (0, 4): 1.0,
            (1, 4): -1.0,
            (4, 0): 1.0,
            (4, 1): -1.0,
            (4, 2): -a,
            (4, 3): a,
        }
        return _linear(z, _stamps(a.size, 5, entries))

    @staticmethod
    def stamp_gradient(z: Array, p: Values) -> dict[str, Array]:
        df = np.zeros_like(z)
        df[..., 4] = z[..., 3] - z[..., 2]
        return {"gain": df}

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        return [Primitive("E", name, nodes, (p["gain"],))]


@dataclass(frozen=True)
class VCCS(MultiPort):
    """Voltage-controlled current source, i(p → n) = transconductance · (v(cp) − v(cn)); SPICE ``G``."""

    kind: ClassVar[str] = "vccs"
    pins: ClassVar[tuple[str, ...]] = _PINS
    reciprocal: ClassVar[bool] = False
    transconductance: float = parameter("S", "transconductance", trainable=True)
    control: tuple[str, str] | None = None

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        g = p["transconductance"]
        return _linear(z, _stamps(g.size, 4, {(0, 2): g, (0, 3): -g, (1, 2): -g, (1, 3): g}))

    @staticmethod
    def stamp_gradient(z: Array, p: Values) -> dict[str, Array]:
        df = np.zeros_like(z)
        df[..., 0] = z[..., 2] - z[..., 3]
        df[..., 1] = -df[..., 0]
        return {"transconductance": df}

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        return [Primitive("G", name, nodes, (p["transconductance"],))]


@dataclass(frozen=True)
class CCVS(MultiPort):
    """Current-controlled voltage source, v(p) − v(n) = transresistance · i(cp → cn); SPICE ``H``."""

    kind: ClassVar[str] = "ccvs"
    pins: ClassVar[tuple[str, ...]] = _PINS
    branches: ClassVar[int] = 2
    reciprocal: ClassVar[bool] = False
    transresistance: float = parameter("Ω", "transresistance", trainable=True)
    control: tuple[str, str] | None = None

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        r = p["transresistance"]
        entries: dict[tuple[int, int], Array | float] = {
            (0, 4): 1.0, (1, 4): -1.0, (2, 5): 1.0, (3, 5): -1.0,
            (4, 0): 1.0, (4, 1): -1.0, (4, 5): -r, (5, 2): 1.0, (5, 3): -1.0,
        }  # fmt: skip
        return _linear(z, _stamps(r.size, 6, entries))

    @staticmethod
    def stamp_gradient(z: Array, p: Values) -> dict[str, Array]:
        df = np.zeros_like(z)
        df[..., 4] = -z[..., 5]
        return {"transresistance": df}

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1), (2, 3))

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        sense = Primitive("V", f"{name}_sense", nodes[2:], (0.0,))
        return [sense, Primitive("H", name, nodes[:2], (f"V{name}_sense", p["transresistance"]))]


@dataclass(frozen=True)
class CCCS(MultiPort):
    """Current-controlled current source, i(p → n) = gain · i(cp → cn); SPICE ``F``."""

    kind: ClassVar[str] = "cccs"
    pins: ClassVar[tuple[str, ...]] = _PINS
    branches: ClassVar[int] = 1
    reciprocal: ClassVar[bool] = False
    gain: float = parameter("1", "current gain", trainable=True)
    control: tuple[str, str] | None = None

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        b = p["gain"]
        entries: dict[tuple[int, int], Array | float] = {
            (0, 4): b, (1, 4): -b, (2, 4): 1.0, (3, 4): -1.0, (4, 2): 1.0, (4, 3): -1.0,
        }  # fmt: skip
        return _linear(z, _stamps(b.size, 5, entries))

    @staticmethod
    def stamp_gradient(z: Array, p: Values) -> dict[str, Array]:
        df = np.zeros_like(z)
        df[..., 0] = z[..., 4]
        df[..., 1] = -z[..., 4]
        return {"gain": df}

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((2, 3),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        sense = Primitive("V", f"{name}_sense", nodes[2:], (0.0,))
        return [sense, Primitive("F", name, nodes[:2], (f"V{name}_sense", p["gain"]))]
