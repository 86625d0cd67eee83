"""Mutual transconductance: two ports that drive each other alike, the symmetric synapse of Hopfield networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter


@dataclass(frozen=True)
class MutualTransconductance(MultiPort):
    """Two ports, each with a current in proportion to the other's voltage.

    i(p → n) = g · (v(cp) − v(cn)) and i(cp → cn) = g · (v(p) − v(n)), two SPICE ``G`` sources. It is reciprocal,
    with the co-content g v_pn v_c: a synapse of weight W between two nodes against ground is g = −W (Hopfield
    1984, PNAS 81, 3088). It can be active: a circuit needs leaks that outweigh it.
    """

    kind: ClassVar[str] = "mutual_transconductance"
    pins: ClassVar[tuple[str, ...]] = ("p", "n", "cp", "cn")
    transconductance: float = parameter("S", "mutual transconductance", trainable=True)
    control: tuple[str, str] | None = None

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        g = p["transconductance"]
        jac = np.zeros((g.size, 4, 4))
        for row, column, sign in ((0, 2, 1.0), (0, 3, -1.0), (1, 2, -1.0), (1, 3, 1.0)):
            jac[:, row, column] = jac[:, column, row] = sign * g
        return np.einsum("eij,...ej->...ei", jac, z), jac

    @staticmethod
    def stamp_gradient(z: Array, p: Values) -> dict[str, Array]:
        df = np.empty_like(z)
        df[..., 0] = z[..., 2] - z[..., 3]
        df[..., 1] = -df[..., 0]
        df[..., 2] = z[..., 0] - z[..., 1]
        df[..., 3] = -df[..., 2]
        return {"transconductance": df}

    @staticmethod
    def observable(z: Array, p: Values) -> dict[str, Array] | None:
        return {"transconductance": (z[..., 0] - z[..., 1]) * (z[..., 2] - z[..., 3])}

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        g = p["transconductance"]
        return [
            Primitive("G", f"{name}_forward", nodes, (g,)),
            Primitive("G", f"{name}_backward", (*nodes[2:], *nodes[:2]), (g,)),
        ]
