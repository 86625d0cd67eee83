"""Initial conductances or transconductances of a crossbar, drawn from an explicit generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analogep.circuit.couplings import given_away
from analogep.errors import InputError
from analogep.kinds import checked

Array = NDArray[np.float64]
Initial = Callable[[np.random.Generator, tuple[int, int]], Array]
"""Draws conductances or transconductances (R, C) [S]; the ones below return read-only arrays."""


@checked()
def positive_part(scale: float, gain: float = 1.0) -> Initial:
    """Conductances max(0, U(−s, s)) with s = ``scale`` · ``gain`` / √R (Scellier 2024, section 5).

    Parameters
    ----------
    scale
        Conductance [S] that stands for one unit of weight.
    gain
        Dimensionless gain.
    """
    _positive("scale", scale, "S")
    _positive("gain", gain, "1")

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        limit = scale * gain / np.sqrt(shape[0])
        drawn = rng.uniform(-limit, limit, shape)
        return given_away(np.maximum(0.0, drawn, out=drawn))

    return draw


@checked()
def uniform(low: float, high: float) -> Initial:
    """Conductances uniform in [``low``, ``high``] [S]."""
    if not 0 <= low <= high < np.inf:
        raise InputError(f"initial conductances [{low:g}, {high:g}] S must satisfy 0 ≤ low ≤ high")

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        return given_away(rng.uniform(low, high, shape))

    return draw


@checked()
def glorot(scale: float, gain: float = 1.0) -> Initial:
    """Transconductances U(−s, s) with s = ``scale`` · ``gain`` · √(6 / (R + C)) (Glorot & Bengio 2010, eq. 16).

    Parameters
    ----------
    scale
        Transconductance [S] that stands for one unit of weight.
    gain
        Dimensionless gain.
    """
    _positive("scale", scale, "S")
    _positive("gain", gain, "1")

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        limit = scale * gain * np.sqrt(6.0 / sum(shape))
        return given_away(rng.uniform(-limit, limit, shape))

    return draw


def _positive(name: str, value: float, unit: str) -> None:
    if not (0 < value < np.inf):
        raise InputError(f"{name} = {value:g} {unit} must be finite and positive")
