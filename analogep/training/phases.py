"""The phases of a learning rule on a circuit, for reports and for checks against SPICE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.learning import Cost
from analogep.learning.rules.base import phase_betas
from analogep.solve import Nudge, Solution
from analogep.training.problem import Batch, Problem

Array = NDArray[np.float64]


def phase_nudges(problem: Problem, cost: Cost, beta: float, outputs: Array, batch: Batch) -> dict[str, Nudge]:
    """Return the nudges of the learning rule's phases by the sign of β, "+β" or "-β".

    Parameters
    ----------
    problem, cost
        The problem, and its cost as trained.
    beta
        β [S].
    outputs
        Outputs (B, O) [V] of the free phase of the test samples of ``batch``.
    batch
        The samples.
    """
    learning, targets = problem.config.learning, problem.test.targets[batch]
    low, high = phase_betas(learning.variant, beta)
    return {"+β" if b > 0 else "-β": cost.nudge(b, outputs, targets, learning.nudge) for b in (high, low) if b}


def sample_phases(
    problem: Problem, circuit: Circuit, cost: Cost, beta: float, batch: Batch
) -> tuple[Solution, dict[str, Solution]]:
    """Return the free phase of the test samples of ``batch``, and the nudged phases by the sign of β."""
    inputs, solver = problem.test.inputs(batch), problem.solver
    free = solver(circuit, inputs)
    nudges = phase_nudges(problem, cost, beta, free.outputs, batch)
    return free, {name: solver(circuit, inputs, nudge, v0=free) for name, nudge in nudges.items()}
