"""Truncated backpropagation through the relaxation to the free equilibrium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, InputError, RuleError
from analogep.kinds import checked
from analogep.learning.costs.base import Cost, target_array
from analogep.learning.gradient import Gradient, adjoint_products
from analogep.learning.rules.base import NATIVE, SQUARED_ERROR, Inputs, Solver
from analogep.solve import time_constants
from analogep.solve.response.adjoint import truncated_adjoint

Array = NDArray[np.float64]


@checked()
@dataclass(frozen=True)
class TruncatedBackprop:
    """Backpropagation through the last K steps of the relaxation (Ernoult et al. 2019, section 3, on BPTT).

    The steps are implicit Euler steps of the leaky integrator C dv/dt = −F(v), at rest in the free equilibrium:
    v ← v − (C/h + J)⁻¹ F(v), with the parameters the same in every step and the state before the first one
    taken as given. The estimate approaches the adjoint's as (1 + h/τ)^−K, τ being the slowest time constant;
    a circuit need not be reciprocal.

    Attributes
    ----------
    steps
        Number of steps K.
    step
        Length h of a step [s]; by default the slowest finite time constant of the batch, so that every further
        step halves the error at least.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own.
    """

    steps: int = 20
    step: float | None = None
    node_capacitance: float = 1e-12

    def __post_init__(self) -> None:
        if not 0.0 <= self.node_capacitance < np.inf:
            raise InputError(f"node_capacitance = {self.node_capacitance:g} F must be finite and not negative")
        if self.steps < 1:
            raise InputError(f"steps = {self.steps}; give at least one step to go back through")
        if self.step is not None and not (0 < self.step < np.inf):
            raise InputError(f"step = {self.step:g} s must be finite and positive, or None")

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return "truncated backprop"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate of dC/dθ, a mean over the batch; parameters as for ``EquilibriumPropagation``.

        Raises
        ------
        RuleError
            If the free equilibrium is unstable, so that no relaxation leads to it.
        InputError
            If nothing in the circuit has a time constant.
        ConvergenceError
            If a step back has no unique solution.
        """
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        tau = time_constants(circuit, array, node_capacitance=self.node_capacitance)
        if not np.isfinite(tau).all():
            raise RuleError(
                f"{self.name} goes back through the relaxation, and the free equilibrium of sample "
                f"{int(np.argmax(~np.isfinite(tau[:, 0])))} is unstable; use the Adjoint rule"
            )
        step = self.step or float(tau.max())
        pull = cost.gradient(free.outputs, wanted)
        lam, branches = truncated_adjoint(free, array, pull, self.steps, step, self.node_capacitance)
        if not np.isfinite(lam).all():
            sample = int(np.argmax(~np.isfinite(lam).all(axis=1)))
            raise ConvergenceError(
                f"a step back from the free equilibrium of sample {sample} has no unique solution; give nodes "
                "that nothing holds a node_capacitance above zero"
            )
        blocks = adjoint_products(circuit, free, lam, branches)
        return Gradient(
            blocks,
            blocks,
            cost.value(free.outputs, wanted),
            free,
            self.name,
            {"step": step, "tau": float(tau.max())},
        )
