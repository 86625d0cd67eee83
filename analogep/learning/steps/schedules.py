"""Schedules: the factor on all learning rates in each epoch."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

from analogep.errors import InputError
from analogep.kinds import checked, require_parts


class Schedule(Protocol):
    """Anything that gives a factor on the learning rates for each epoch."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        require_parts(cls, "schedule")

    @abstractmethod
    def factor(self, epoch: int) -> float:
        """Return the factor in ``epoch``, counted from 1."""
        ...


@dataclass(frozen=True)
class Constant:
    """The factor is 1 in every epoch."""

    def factor(self, epoch: int) -> float:
        """Return 1."""
        return 1.0


@checked()
@dataclass(frozen=True)
class Exponential:
    """decay^(k − 1) in epoch k.

    Attributes
    ----------
    decay
        Factor from one epoch to the next, in (0, 1].
    """

    decay: float

    def __post_init__(self) -> None:
        if not 0.0 < self.decay <= 1.0:
            raise InputError(f"decay = {self.decay:g} must be above 0 and at most 1")

    def factor(self, epoch: int) -> float:
        """Return decay^(epoch − 1)."""
        return float(self.decay ** (epoch - 1))


@checked()
@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 in the first epoch to ``final`` in the last (Loshchilov & Hutter 2017, equation 5).

    final + (1 − final) · ½ (1 + cos(π (k − 1) / (K − 1))) in epoch k of K.

    Attributes
    ----------
    epochs
        Number of epochs K; a single epoch has the factor 1.
    final
        Factor in the last epoch, in [0, 1].
    """

    epochs: int
    final: float = 0.0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0.0 <= self.final <= 1.0:
            what = "give at least one epoch and a final factor between 0 and 1"
            raise InputError(f"epochs = {self.epochs}, final = {self.final:g}: {what}")

    def factor(self, epoch: int) -> float:
        """Return the factor in ``epoch``."""
        if self.epochs == 1:
            return 1.0
        share = (epoch - 1) / (self.epochs - 1)
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * share))


@checked()
@dataclass(frozen=True)
class WarmUp:
    """k / (n + 1) in the first n epochs, then another schedule as if it began there (Goyal et al. 2017, 2.2).

    Attributes
    ----------
    epochs
        Epochs n of the warm-up.
    then
        The schedule that follows.
    """

    epochs: int
    then: Schedule

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise InputError(f"epochs = {self.epochs}; give how many epochs the rates rise, zero or more")

    def factor(self, epoch: int) -> float:
        """Return the factor in ``epoch``."""
        if epoch <= self.epochs:
            return epoch / (self.epochs + 1) * self.then.factor(1)
        return self.then.factor(epoch - self.epochs)
