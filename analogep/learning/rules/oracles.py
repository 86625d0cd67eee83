"""Oracles: gradients that do not come from phases, to judge those that do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, InputError
from analogep.kinds import checked
from analogep.learning.costs.base import Cost, target_array
from analogep.learning.gradient import Gradient, adjoint_products
from analogep.learning.rules.base import NATIVE, SQUARED_ERROR, Inputs, Solver
from analogep.solve.response.adjoint import adjoint_voltages, left_open

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Adjoint:
    """Exact gradient by one transposed solve at the free equilibrium: Jᵀλ = ∂C/∂v, dC/dθ = −λᵀ ∂F/∂θ.

    Works on any circuit, reciprocal or not. On a circuit with ideal diodes it is the derivative on the active
    set of the free equilibrium; where diodes conduct side by side, the one of their common threshold, shared
    equally among them.
    """

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return "adjoint"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return dC/dθ, a mean over the batch; parameters as for ``EquilibriumPropagation.gradient``."""
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        pull = cost.gradient(free.outputs, wanted)
        lam, branch_lam = adjoint_voltages(free, array, pull)
        bad = np.flatnonzero(~np.isfinite(lam).all(axis=1))
        if len(bad):
            why = left_open(free, array, int(bad[0]))
            raise ConvergenceError(
                f"the adjoint has no unique solution at the free equilibrium of sample {bad[0]}. {why}"
                "Where a node is held by nothing but diodes that are off, give these a gmin"
            )
        blocks = adjoint_products(circuit, free, lam, branch_lam)
        return Gradient(blocks, blocks, cost.value(free.outputs, wanted), free, self.name)


@checked()
@dataclass(frozen=True)
class FiniteDifference:
    """Central finite differences of the mean cost, one parameter at a time.

    Attributes
    ----------
    step
        Step relative to the parameter, or to its block's root mean square where that is larger. The
        truncation error is O(step²), the rounding error O(1e-15/step).
    at
        Flat indices to evaluate, by block; the other entries are NaN. Everything where a block is missing.
    """

    step: float = 1e-4
    at: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 < self.step < np.inf:
            raise InputError(f"step = {self.step:g} must be finite and positive, such as 1e-4")

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return "finite difference"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return dC/dθ, a mean over the batch; parameters as for ``EquilibriumPropagation.gradient``.

        A parameter too close to its bound for a central difference gets the one-sided formula of second
        order, (−3f₀ + 4f₁ − f₂)/2h.
        """
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        base = cost.value(free.outputs, wanted)

        def mean_cost(block: str, value: Array) -> float:
            moved = circuit.with_parameters({block: value})
            outputs = solver(moved, array, v0=free).outputs
            # differences of per-sample costs, so that a large common part does not cost digits
            return float(np.mean(cost.value(outputs, wanted) - base))

        ranges = circuit.parameter_ranges
        out: dict[str, Array] = {}
        for block, value in circuit.parameters.items():
            grad = np.full(value.size, np.nan)
            typical = float(np.sqrt(np.mean(value**2))) or 1e-6
            for k in self.at.get(block, np.arange(value.size)):
                theta = value.flat[k]
                h = self.step * max(abs(theta), typical)

                def moved_by(delta: float, k: int = int(k), block: str = block, value: Array = value) -> float:
                    new = value.copy()
                    new.flat[k] += delta
                    return mean_cost(block, new)

                if theta - h >= ranges[block][0]:
                    grad[k] = (moved_by(h) - moved_by(-h)) / (2.0 * h)
                else:
                    grad[k] = (4.0 * moved_by(h) - moved_by(2.0 * h)) / (2.0 * h)
            out[block] = grad.reshape(value.shape)
        return Gradient(out, out, base, free, self.name)
