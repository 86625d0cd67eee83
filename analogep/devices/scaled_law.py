"""What conductances share whose current bends over one voltage: i = g a f(v / a)."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analogep.devices.base import Array, OnePort, Values


class ScaledLaw(OnePort):
    """A conductance g at rest whose current is i = g a f(v / a); f is odd, its slope 1 at rest and never less.

    A subclass has the trainable parameter ``conductance`` g [S], names the one that holds a [V], and gives f.
    """

    linear: ClassVar[bool] = False
    voltage: ClassVar[str]
    """Name of the parameter a."""

    @staticmethod
    @abstractmethod
    def shape(x: Array) -> tuple[Array, Array, Array]:
        """Return f, its slope and its integral from 0 at x, real or complex."""

    @classmethod
    def current(cls, v: Array, p: Values) -> tuple[Array, Array]:
        g, a = p["conductance"], p[cls.voltage]
        value, slope, _ = cls.shape(v / a)
        return g * (a * value), g * slope

    @classmethod
    def cocontent(cls, v: Array, p: Values) -> Array:
        return p["conductance"] * cls.cocontent_gradient(v, p)["conductance"]

    @classmethod
    def current_gradient(cls, v: Array, p: Values) -> dict[str, Array]:
        a = p[cls.voltage]
        return {"conductance": a * cls.shape(v / a)[0]}

    @classmethod
    def cocontent_gradient(cls, v: Array, p: Values) -> dict[str, Array]:
        a = p[cls.voltage]
        return {"conductance": a * a * cls.shape(v / a)[2]}

    @classmethod
    def noise(cls, v: Array, p: Values) -> Array | None:
        """Return i/v: with it, and no other white noise, a charge q on C has the density exp(−q²/2CkT) at rest."""
        x = v / p[cls.voltage]
        small = np.abs(x) < 1e-8
        ratio = np.where(small, 1.0, cls.shape(np.where(small, 1.0, x))[0] / np.where(small, 1.0, x))
        return p["conductance"] * ratio

    @staticmethod
    def least_slope(p: Values) -> Array:
        return p["conductance"]

    @staticmethod
    def conducts(p: Values) -> NDArray[np.bool_]:
        return p["conductance"] > 0.0
