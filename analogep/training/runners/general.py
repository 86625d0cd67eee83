"""The general runner: one gradient of the learning rule per batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.learning import Cost
from analogep.learning.costs.readout import TrainableCost
from analogep.learning.rules.registry import PhaseRule
from analogep.learning.steps.signs import hashed_signs
from analogep.solve.layered.groups import layered_plan
from analogep.training.evaluation import wrong
from analogep.training.problem import Problem, Volts, trainable, trained
from analogep.training.runners.base import Array, Arrays, Chunk


class GeneralRunner:
    """One gradient of the learning rule per batch: any circuit, engine and optimizer.

    Parameters
    ----------
    problem
        What to train.
    rule
        The rule of every update.
    declined
        Why the compiled epochs do not train it, if they were asked.
    """

    def __init__(self, problem: Problem, rule: PhaseRule, declined: str = "") -> None:
        self.problem, self.rule, self.declined = problem, rule, declined
        self.circuit, self.cost, self.engine = problem.circuit, problem.cost, str(problem.config.engine)
        self.memory: dict[str, Array] = {}

    @property
    def compiles(self) -> bool:
        """Whether block steps still have to be compiled, if they are what this will take."""
        if self.problem.config.engine not in ("auto", "layered") or layered_plan(self.circuit).reason is not None:
            return False
        from analogep.solve.compiled import is_kept  # numba takes half a second to load

        return not is_kept("kernels.block_sweeps")

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what the optimizer remembers."""
        return dict(self.memory)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what the optimizer remembers after a step."""
        nothing = {name: np.zeros(value.shape) for name, value in trainable(self.circuit, self.cost).items()}
        return {name: value.shape for name, value in self.problem.optimizer.directions(nothing, {})[1].items()}

    def restore(self, circuit: Circuit, cost: Cost, state: Arrays) -> None:
        """Go on from a circuit, a cost and what the optimizer remembered."""
        self.circuit, self.cost = circuit, cost
        self.memory = {name: np.array(value, np.float64) for name, value in state.items()}

    def outputs(self, part: Volts, batch: NDArray[np.int64]) -> Array:
        """Return the outputs (B, O) [V] of the free phase of some samples."""
        return self.problem.solver(self.circuit, part.inputs(batch)).outputs

    def run_epoch(self, order: NDArray[np.int64], factor: float) -> Iterator[Chunk]:
        """Do the updates for ``order``; a chunk is one batch."""
        size = self.problem.config.training.batch
        for start in range(0, len(order), size):
            yield self.update(order[start : start + size], factor)

    def update(self, batch: NDArray[np.int64], factor: float) -> Chunk:
        """Do one update."""
        problem = self.problem
        inputs, targets = problem.train.inputs(batch), problem.train.targets[batch]
        rule, cost = self.rule, self.cost
        if problem.random_signs:
            sign = hashed_signs(batch, len(batch))[0]
            rule = replace(rule, variant="positive" if sign > 0 else "negative")
        gradient = rule.gradient(self.circuit, inputs, targets, cost, problem.solver)
        free = gradient.free
        slopes: dict[str, Array] = dict(gradient)
        if isinstance(cost, TrainableCost):
            slopes |= cost.parameter_gradient(free.outputs, targets)
        new, self.memory = problem.optimizer.step(trainable(self.circuit, cost), slopes, self.memory, factor)
        self.circuit, self.cost = trained(self.circuit, cost, new)
        self.engine = free.engine
        return Chunk(gradient.cost, wrong(problem.data, problem.train, batch, cost.scores(free.outputs)), 1)
