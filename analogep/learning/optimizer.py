"""Optimizers: from a gradient to the parameter change that a writer is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import ConfigError, Fault

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SGD:
    """Gradient descent with bounds: θ ← clip(θ − η dC/dθ, low, high), per block.

    Attributes
    ----------
    rates
        Learning rate η of each block, in (SI unit of θ)² / V².
    bounds
        (low, high) of each block in its SI unit; unbounded where missing.
    """

    rates: Mapping[str, float]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def check(self, circuit: Circuit) -> None:
        """Raise :class:`ConfigError` unless rates and bounds fit the circuit's trainable blocks."""
        faults = []
        blocks = circuit.parameters
        for kind, given in (("learning rate", self.rates), ("bounds", self.bounds)):
            for block in given:
                if block not in blocks:
                    faults.append(Fault(block, f"{kind} for an unknown block; trainable are {', '.join(blocks)}"))
        faults += [Fault(b, "has no learning rate") for b in blocks if b not in self.rates]
        for block, rate in self.rates.items():
            if not (0 <= rate < np.inf):
                faults.append(Fault(block, f"learning rate {rate:g} must be finite and non-negative"))
        for block, (low, high) in self.bounds.items():
            if not low < high:
                faults.append(Fault(block, f"bounds ({low:g}, {high:g}) must satisfy low < high"))
        if faults:
            raise ConfigError("optimizer", faults)

    def step(self, parameters: Mapping[str, Array], gradient: Mapping[str, Array]) -> dict[str, Array]:
        """Return the new parameters."""
        new = {}
        for block, value in parameters.items():
            new[block] = value - self.rates[block] * gradient[block]
        return self.clip(new)

    def clip(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Return the parameters, each block within its bounds."""
        return {
            block: np.clip(value, *self.bounds[block]) if block in self.bounds else value
            for block, value in parameters.items()
        }

    def decayed(self, factor: float) -> SGD:
        """Return the optimizer with all rates multiplied by ``factor``."""
        return SGD({block: rate * factor for block, rate in self.rates.items()}, self.bounds)
