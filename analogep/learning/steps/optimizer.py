"""Optimizers: from a gradient to the parameter change that a writer is asked for.

An optimizer is a frozen description; what it remembers between steps is a mapping of arrays that its caller
keeps, so that training can be stopped, saved and resumed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.circuit.couplings import given_away
from analogep.errors import ConfigError, Fault, InputError
from analogep.kinds import checked, require_parts

Array = NDArray[np.float64]
State = Mapping[str, Array]
"""What an optimizer remembers, as arrays by name; empty before the first step."""


@dataclass(frozen=True)
class Optimizer(ABC):
    """A step direction per block, a rate per block, and bounds: θ ← clip(θ − η · direction, low, high).

    Attributes
    ----------
    rates
        Learning rate η of each block.
    bounds
        (low, high) of each block in its SI unit; unbounded where missing.
    """

    rates: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        require_parts(cls, "optimizer")

    @abstractmethod
    def directions(self, gradient: Mapping[str, Array], state: State) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the direction of each block and the new state."""

    @checked()
    def check(self, blocks: Collection[str]) -> None:
        """Raise :class:`ConfigError` unless rates and bounds fit the trainable ``blocks``."""
        faults = []
        for kind, given in (("learning rate", self.rates), ("bounds", self.bounds)):
            for block in given:
                if block not in blocks:
                    faults.append(Fault(block, f"{kind} for an unknown block; trainable are {', '.join(blocks)}"))
        faults += [Fault(b, "has no learning rate") for b in blocks if b not in self.rates]
        faults += self.faults()
        if faults:
            raise ConfigError("optimizer", faults)

    def faults(self) -> list[Fault]:
        """Return the faults of the optimizer's own numbers."""
        faults = []
        for block, rate in self.rates.items():
            if not (0 <= rate < np.inf):
                faults.append(Fault(block, f"learning rate {rate:g} must be finite and non-negative"))
        for block, (low, high) in self.bounds.items():
            if not low < high:
                faults.append(Fault(block, f"bounds ({low:g}, {high:g}) must satisfy low < high"))
        return faults

    @checked()
    def step(
        self,
        parameters: Mapping[str, Array],
        gradient: Mapping[str, Array],
        state: State | None = None,
        factor: float = 1.0,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the new parameters and the new state.

        Parameters
        ----------
        parameters, gradient
            Arrays of the same shapes by block.
        state
            What the step before returned; nothing or empty before the first step.
        factor
            Factor on all rates, from a schedule.
        """
        if not 0.0 <= factor < np.inf:
            raise InputError(f"factor = {factor:g} must be finite and not negative")
        lacking = [block for block in parameters if block not in gradient or block not in self.rates]
        if lacking:
            raise InputError(f"{', '.join(lacking)}: give a gradient and a learning rate of every block")
        faults = self.faults()
        if faults:
            raise ConfigError("optimizer", faults)
        directions, state = self.directions(gradient, state or {})
        new = {}
        for block, value in parameters.items():
            new[block] = value - (self.rates[block] * factor) * directions[block]
        return self.clip(new), state

    def clip(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Return the parameters, each block within its bounds and then read-only."""
        return {
            block: given_away(np.clip(value, *self.bounds[block])) if block in self.bounds else value
            for block, value in parameters.items()
        }


@checked()
@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent, with momentum if asked: m ← μ m + dC/dθ, θ ← θ − η m (Polyak 1964; m = 0 at the start).

    Rates are in (SI unit of θ)² / V². A bound holds θ but not m.

    Attributes
    ----------
    momentum
        μ, in [0, 1).
    """

    momentum: float = 0.0

    def faults(self) -> list[Fault]:
        """Return the faults of rates, bounds and momentum."""
        wrong = [] if 0 <= self.momentum < 1 else [Fault("momentum", f"{self.momentum:g} must be in [0, 1)")]
        return [*super().faults(), *wrong]

    def directions(self, gradient: Mapping[str, Array], state: State) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the momentum of each block; the state is the same."""
        if self.momentum == 0.0:
            return dict(gradient), {}
        m = {}
        for block, slope in gradient.items():
            m[block] = self.momentum * state[block] + slope if block in state else np.array(slope)
        return m, m


@checked()
@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1): steps of about the rate, whatever the size of the gradient.

    Rates are in the SI unit of θ: the first step changes every parameter by η against the gradient's sign.

    Attributes
    ----------
    decays
        (b₁, b₂), decay rates of the running means of the gradient and of its square, each in [0, 1).
    epsilon
        Added to the root of the mean square, in V² / (SI unit of θ); gradients well below it make smaller steps.
    """

    decays: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def faults(self) -> list[Fault]:
        """Return the faults of rates, bounds, decays and epsilon."""
        faults = super().faults()
        faults += [Fault("decays", f"{d:g} must be in [0, 1)") for d in self.decays if not (0 <= d < 1)]
        if not (0 < self.epsilon < np.inf):
            faults.append(Fault("epsilon", f"{self.epsilon:g} must be finite and positive"))
        return faults

    def directions(self, gradient: Mapping[str, Array], state: State) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return mean / (root mean square + epsilon) of each block, both freed of their start at zero.

        The state is ``steps`` (), and ``mean/<block>`` and ``square/<block>`` with the block's shape.
        """
        first, second = self.decays
        steps = float(state.get("steps", np.float64(0.0))) + 1.0
        new: dict[str, Array] = {"steps": np.array(steps)}
        directions = {}
        for block, slope in gradient.items():
            mean, square = (1.0 - first) * slope, (1.0 - second) * slope**2
            if state:
                mean += first * state[f"mean/{block}"]
                square += second * state[f"square/{block}"]
            new[f"mean/{block}"], new[f"square/{block}"] = mean, square
            size = np.sqrt(square / (1.0 - second**steps)) + self.epsilon
            directions[block] = mean / (1.0 - first**steps) / size
        return directions, new
