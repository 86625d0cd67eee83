"""Encoders: from the numbers of a data set to the voltages of the input lines, and from classes to targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class VoltageEncoder:
    """v = gain · (x − center), doubled to (v, −v) if ``doubled``.

    Doubling gives every feature a line of either sign, since conductances cannot be negative.

    Attributes
    ----------
    gain
        Volts per unit of x.
    center
        Value of x that maps to 0 V.
    doubled
        Whether to append the negated lines.
    """

    gain: float = 1.0
    center: float = 0.0
    doubled: bool = True

    def lines(self, features: int) -> int:
        """Return the number of input lines for ``features`` features."""
        return 2 * features if self.doubled else features

    def __call__(self, features: Array) -> Array:
        """Return voltages (S, lines) [V] for features (S, F)."""
        v = self.single(features)
        return np.concatenate([v, -v], axis=1) if self.doubled else v

    def single(self, features: Array) -> Array:
        """Return voltages (S, F) [V] of the lines before doubling."""
        return self.gain * (features - self.center)


def one_hot(labels: NDArray[np.int64], classes: int, high: float, low: float) -> Array:
    """Return target voltages (S, classes) [V]: ``high`` for the class, ``low`` elsewhere."""
    targets = np.full((len(labels), classes), low)
    targets[np.arange(len(labels)), labels] = high
    return targets
