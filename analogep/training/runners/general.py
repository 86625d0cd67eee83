"""Epoch runners: what does the updates of an epoch, chunk by chunk.

To add one: a class with the members of :class:`Runner`, and its choice in ``runner_for``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import ConfigError, Fault
from analogep.learning import SGD, Cost
from analogep.learning.costs.readout import TrainableCost
from analogep.learning.rules.base import phase_betas
from analogep.learning.rules.registry import PhaseRule
from analogep.learning.steps.signs import hashed_signs
from analogep.solve.layered.groups import layered_plan
from analogep.training.evaluation import wrong
from analogep.training.problem import Problem, Volts, trainable, trained

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[np.generic]]


class Chunk(NamedTuple):
    """Some updates that are done: loss (s,) [V²] and error (s,) of their samples, in the epoch's order."""

    losses: Array
    wrong: NDArray[np.bool_]
    updates: int


class Runner(Protocol):
    """Holds the circuit under training, and updates it."""

    @property
    def circuit(self) -> Circuit:
        """The circuit with the parameters of now."""
        ...

    @property
    def cost(self) -> Cost:
        """The cost, a readout with the parameters of now."""
        ...

    @property
    def engine(self) -> str:
        """The engine that solved the last phase."""
        ...

    @property
    def rule(self) -> PhaseRule:
        """The rule of every update; where signs are drawn, that of one of them."""
        ...

    @property
    def declined(self) -> str:
        """Why the compiled epochs, if they were asked, left this to the general engine; empty if they did not."""
        ...

    @property
    def compiles(self) -> bool:
        """Whether the first updates will wait for their loops to be compiled."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what else it takes to go on to the same bits: what the optimizer remembers, running sums."""
        ...

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays of ``state()`` after an update."""
        ...

    def restore(self, circuit: Circuit, cost: Cost, state: Arrays) -> None:
        """Go on from a circuit, a cost and a state that were saved together."""
        ...

    def outputs(self, part: Volts, batch: NDArray[np.int64]) -> Array:
        """Return the outputs (B, O) [V] of the free phase of some samples."""
        ...

    def run_epoch(self, order: NDArray[np.int64], factor: float) -> Iterator[Chunk]:
        """Do the updates for the training samples ``order`` (S,), batch by batch from its start.

        Parameters
        ----------
        order
            The samples of an epoch, or the rest of them from the start of some batch.
        factor
            The schedule's factor on the rates.

        Yields
        ------
        Chunk
            After one or more whole updates; then ``circuit`` and ``state()`` are those after them, and the
            caller may save them and stop.
        """
        ...


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


def runner_for(problem: Problem, rule: PhaseRule) -> Runner:
    """Return the runner for what ``problem`` describes.

    Raises
    ------
    ConfigError
        If the configuration asks for the fused engine where it does not apply; says why.
    """
    config = problem.config
    if config.engine in ("auto", "fused"):
        from analogep.training.runners.fused import FusedRunner, unfit

        reason = unfit(problem, rule)
        if reason is None:
            return FusedRunner(problem, rule)
        wishes = {
            "engine": config.engine == "fused",
            "learning.sweeps": config.learning.sweeps > 0,
            "learning.nudged_sweeps": config.learning.nudged_sweeps > 0,
            "learning.persistent": config.learning.persistent,
            "learning.precision": config.learning.precision == "float32",
            "training.threads": config.training.threads > 0,
        }
        faults = [Fault(key, f"needs the fused engine, and {reason}") for key, wish in wishes.items() if wish]
        if faults:
            raise ConfigError("configuration", faults)
        return GeneralRunner(problem, rule, reason)
    return GeneralRunner(problem, rule)


def method_of(problem: Problem, runner: Runner) -> dict[str, str]:
    """Return in words what trains: rule, optimizer, cost, signs of β, schedule, and why it is no faster engine."""
    rule, optimizer = runner.rule, problem.optimizer
    low, high = phase_betas(rule.variant, rule.beta)
    variant, signs = rule.variant, " and ".join(text for text, beta in (("−β", low), ("+β", high)) if beta)
    if problem.random_signs:
        variant, signs = "random", "drawn for each update, by a hash of its samples"
    elif variant == "random":
        signs = "drawn for each update, by the rule's generator"
    momentum = optimizer.momentum if isinstance(optimizer, SGD) else 0.0
    return {
        "rule": f"{type(rule).__name__} ({variant}, {rule.nudge} nudge)",
        "signs": signs,
        "cost": f"{runner.cost.name} ({type(runner.cost).__name__})",
        "optimizer": type(optimizer).__name__ + (f", momentum {momentum:g}" if momentum else ""),
        "schedule": type(problem.schedule).__name__,
        "declined": runner.declined,
    }
