"""Nudges: the extra currents of the second phase, as a term of Kirchhoff's law at the outputs.

A nudge knows nothing of how the circuit is solved; a solver knows nothing of costs. With the output
o = v₊ − v₋ the current ``i`` leaves the circuit at v₊ and enters it at v₋.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.kinds import ByValue, checked, require_parts

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Nudge(Protocol):
    """Anything with a current, and its slope, as a function of the outputs."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        require_parts(cls, "nudge")

    @abstractmethod
    def evaluate(self, outputs: Array) -> tuple[Array, Array]:
        """Return the currents (B, O) [A] and their slopes, (B, O) or (B, O, O) [S], at ``outputs`` (B, O)."""
        ...

    @abstractmethod
    def select(self, samples: Index) -> Nudge:
        """Return the nudge of some samples of the batch."""
        ...


@checked()
@dataclass(frozen=True, eq=False)
class ConductanceNudge(ByValue):
    """A conductance β [S] from each output to its target: i = β (o − y). Negative β repels.

    This is the error-dependent nudge of the squared error ½‖o − y‖².
    """

    beta: float
    target: Array

    def evaluate(self, outputs: Array) -> tuple[Array, Array]:
        """Return β (o − y) and β."""
        return self.beta * (outputs - self.target), np.full(outputs.shape, self.beta)

    def select(self, samples: Index) -> ConductanceNudge:
        """Return the nudge of some samples of the batch."""
        return ConductanceNudge(self.beta, self.target[samples])


@checked()
@dataclass(frozen=True, eq=False)
class CurrentNudge(ByValue):
    """Constant currents (B, O) [A]: the frozen nudge, β ∂C/∂o at the free equilibrium."""

    current: Array

    def evaluate(self, outputs: Array) -> tuple[Array, Array]:
        """Return the currents and no slope."""
        return self.current, np.zeros(outputs.shape)

    def select(self, samples: Index) -> CurrentNudge:
        """Return the nudge of some samples of the batch."""
        return CurrentNudge(self.current[samples])


@checked()
@dataclass(frozen=True, eq=False)
class SineNudge(ByValue):
    """Alternating currents (B, O) [A], amplitude · sin(2π f t), for a transient from time zero.

    Attributes
    ----------
    amplitude
        Amplitudes (B, O) [A].
    frequency
        Frequency f [Hz].
    """

    amplitude: Array
    frequency: float

    def __post_init__(self) -> None:
        if not 0.0 < self.frequency < math.inf:
            raise InputError(f"frequency = {self.frequency:g} Hz must be finite and positive")

    def at(self, t: float) -> CurrentNudge:
        """Return the nudge of a moment [s]."""
        return CurrentNudge(self.amplitude * math.sin(2.0 * math.pi * self.frequency * t))

    def evaluate(self, outputs: Array) -> tuple[Array, Array]:
        """Return the currents at time zero, none, and no slope."""
        return self.at(0.0).evaluate(outputs)

    def select(self, samples: Index) -> SineNudge:
        """Return the nudge of some samples of the batch."""
        return SineNudge(self.amplitude[samples], self.frequency)


@checked()
@dataclass(frozen=True)
class ScaledNudge:
    """Another nudge with its constant part, such as its targets, multiplied by a factor."""

    nudge: Nudge
    factor: float

    def evaluate(self, outputs: Array) -> tuple[Array, Array]:
        """Return the other's currents less (1 − factor) of those at zero, and its slopes."""
        current, slope = self.nudge.evaluate(outputs)
        at_zero, _ = self.nudge.evaluate(np.zeros_like(outputs))
        return current - (1.0 - self.factor) * at_zero, slope

    def select(self, samples: Index) -> ScaledNudge:
        """Return the nudge of some samples of the batch."""
        return ScaledNudge(self.nudge.select(samples), self.factor)
