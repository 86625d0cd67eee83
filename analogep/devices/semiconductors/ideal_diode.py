"""Ideal diode: no current below its threshold, no voltage beyond it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter


@dataclass(frozen=True)
class IdealDiode(MultiPort):
    """Ideal diode: v ≤ threshold, i ≥ 0, and one of the two holds with equality.

    Its co-content is the indicator function of v ≤ threshold, which turns the energy of a resistive network
    into a convex quadratic programme (Scellier 2024, section 3). The solver has its branch current as an
    unknown and the complementarity function j − max(0, j + c (v − threshold)) as its equation: Newton's
    method on it is the primal-dual active-set method, and the scale c only orders its steps.
    """

    kind: ClassVar[str] = "ideal_diode"
    pins: ClassVar[tuple[str, ...]] = ("anode", "cathode")
    branches: ClassVar[int] = 1
    linear: ClassVar[bool] = False
    analytic: ClassVar[bool] = False
    passive: ClassVar[bool] = True
    threshold: float = parameter("V", "voltage at which it starts to conduct", default=0.0)

    SCALE: ClassVar[float] = 1e-3
    """Conductance [S] that weighs voltage against current when the active set is chosen."""

    @staticmethod
    def piece(z: Array, p: Values) -> NDArray[np.bool_]:
        """Return which diodes conduct: those of the active set."""
        conducting: NDArray[np.bool_] = z[..., 2] + IdealDiode.SCALE * (z[..., 0] - z[..., 1] - p["threshold"]) > 0
        return conducting

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        v = z[..., 0] - z[..., 1] - p["threshold"]
        j = z[..., 2]
        conducting = IdealDiode.piece(z, p)
        f = np.stack([j, -j, np.where(conducting, -v, j)], axis=-1)
        jac = np.zeros((*z.shape, 3))
        jac[..., 0, 2] = 1.0
        jac[..., 1, 2] = -1.0
        jac[..., 2, 0] = np.where(conducting, -1.0, 0.0)
        jac[..., 2, 1] = np.where(conducting, 1.0, 0.0)
        jac[..., 2, 2] = np.where(conducting, 0.0, 1.0)
        return f, jac

    @staticmethod
    def cocontent(v: Array, p: Values) -> Array:
        """Return 0 up to the threshold and infinity beyond it."""
        return np.where(v <= p["threshold"], 0.0, np.inf)

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        # A steep slope above the threshold would turn the rounding of node voltages into current (at 1e9 S,
        # 1e-7 A). Instead a state s, the voltage of a node of its own, runs along the diode's curve:
        # i = k max(0, s), v - threshold = s - max(0, s). That law is Kirchhoff's at the state's node, times k;
        # its linear part is made of G, R and I, since ngspice rounds numbers in expressions to 11 digits.
        k, state, inner = IdealDiode.SCALE, f"B{name}_state", f"{name}_state"
        above = f"{k!r}*max(0,V({state}))"
        return [
            Primitive("B", name, nodes, (above,)),
            Primitive("B", inner, (state, "0"), (f"-{above}",)),
            Primitive("R", inner, (state, "0"), (1.0 / k,)),
            Primitive("G", inner, (state, "0", *nodes), (-k,)),
            Primitive("I", inner, (state, "0"), (k * p["threshold"],)),
        ]
