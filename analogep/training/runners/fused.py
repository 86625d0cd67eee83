"""The fused engine as an epoch runner: compiled updates, a quarter of a second at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError
from analogep.learning import SGD, Cost, NativeSolver, NonReciprocalEP, SquaredError, VectorFieldEP
from analogep.learning.fused import FusedEpochs, FusedSettings, why_not
from analogep.learning.fused.epochs import Direction
from analogep.learning.resolution import RESOLVED, check_resolved
from analogep.learning.rules.base import EquilibriumPropagation
from analogep.learning.rules.registry import PhaseRule
from analogep.solve.compiled import is_kept
from analogep.training.problem import Problem, Volts
from analogep.training.runners.base import Arrays, Chunk
from analogep.training.runners.general import GeneralRunner

Array = NDArray[np.float64]

PATIENCE = 0.25
"""How long a chunk of updates takes [s]: as long as Ctrl-C may wait."""


DIRECTION_OF: dict[type[PhaseRule], Direction] = {
    EquilibriumPropagation: "energy",
    NonReciprocalEP: "non_reciprocal",
    VectorFieldEP: "vector_field",
}
"""The rules that the compiled epochs have by heart, and what they call them."""


def unfit(problem: Problem, rule: PhaseRule) -> str | None:
    """Return why the fused engine cannot train ``problem`` by ``rule``, ``None`` if it can.

    It knows rules, optimizers, costs and solvers by heart, so that only their very classes will do: a subclass may
    do something else.
    """
    optimizer, cost = problem.optimizer, problem.cost
    if type(rule) not in DIRECTION_OF:
        return f"it does not know the rule {type(rule).__name__}"
    if rule.variant == "random":
        return "it draws random signs from the samples, and the rule has a generator"
    if type(optimizer) is not SGD:
        return f"it has no optimizer but plain gradient descent, and this is {type(optimizer).__name__}"
    if optimizer.momentum:
        return "it has no momentum"
    if type(cost) is not SquaredError:
        return f"it has no cost but the squared error, and this is {type(cost).__name__}"
    if type(problem.solver) is not NativeSolver:
        return f"it solves phases itself, and the solver is {type(problem.solver).__name__}"
    missing = [block for block in problem.circuit.parameters if block not in optimizer.rates]
    if missing:
        return f"it needs a rate for every block, and {missing[0]} has none"
    return why_not(problem.circuit)


class FusedRunner:
    """Compiled updates on a chain of crossbars; a batch that does not settle goes to Newton's method."""

    def __init__(self, problem: Problem, rule: PhaseRule) -> None:
        config, optimizer = problem.config, problem.optimizer
        self.problem, self.rule, self.cost, self.declined = problem, rule, problem.cost, ""
        learning = config.learning
        settings = FusedSettings(
            rule.beta,
            "random" if problem.random_signs else rule.variant,
            rule.nudge,
            DIRECTION_OF[type(rule)],
            learning.sweeps,
            learning.nudged_sweeps,
            max(learning.tolerance, 1e-13),
            learning.precision,
            config.training.threads,
            learning.persistent,
        )
        self.epochs = FusedEpochs(
            problem.circuit,
            problem.train.single(dtype=settings.precision),
            problem.train.targets,
            rates=optimizer.rates,
            bounds=optimizer.bounds,
            batch=config.training.batch,
            settings=settings,
            doubled=problem.train.encoder.doubled,
            tolerance=None if problem.train.labels is not None else problem.data.tolerance,
        )
        self._check_resolved()
        self.engine = f"fused {learning.precision}"
        self.updates = 64  # of the next chunk

    def _check_resolved(self) -> None:
        """Raise :class:`InputError` if β moves nothing that the precision resolves, by two of the samples."""
        problem, samples = self.problem, np.arange(min(2, len(self.problem.train)))
        inputs, targets = problem.train.inputs(samples), problem.train.targets[samples]
        try:
            free = problem.solver(problem.circuit, inputs)
            nudge = self.cost.nudge(self.rule.beta, free.outputs, targets, self.rule.nudge)
            nudged = problem.solver(problem.circuit, inputs, nudge, v0=free)
        except ConvergenceError:
            return  # a fixed number of sweeps may train what does not settle, as in papers
        pull, move = self.cost.gradient(free.outputs, targets), nudged.voltages - free.voltages
        precision = float(np.finfo(self.epochs.dtype).eps) / (1.0 if self.epochs.dtype == np.float64 else RESOLVED)
        check_resolved(self.rule.name, ("β", self.rule.beta, " S"), free, inputs, pull, move, epsilon=precision)

    @property
    def circuit(self) -> Circuit:
        """The circuit with the parameters of now."""
        return self.epochs.circuit

    @property
    def compiles(self) -> bool:
        """Whether the loops still have to be compiled."""
        return not is_kept("loops.train")

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the states that samples keep; sums are made anew from the parameters, in the order of updates."""
        return {"kept": self.epochs.kept} if self.epochs.settings.persistent else {}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the states that samples keep."""
        return {name: value.shape for name, value in self.state().items()}

    def restore(self, circuit: Circuit, cost: Cost, state: Arrays) -> None:
        """Go on from a circuit and the states that samples kept; from 0 V where the state has none."""
        self.epochs.load(circuit)
        if "kept" in state:
            self.epochs.kept = np.array(state["kept"], self.epochs.dtype)

    def outputs(self, part: Volts, batch: NDArray[np.int64]) -> Array:
        """Return the outputs (B, O) [V] of the settled free phase of some samples, by Newton where it stalls."""

        def newton(stalled: NDArray[np.int64]) -> Array:
            return self.problem.solver(self.circuit, part.inputs(batch[stalled])).outputs

        return self.epochs.outputs(part.single(batch, self.epochs.dtype), newton)

    def run_epoch(self, order: NDArray[np.int64], factor: float) -> Iterator[Chunk]:
        """Do the updates for ``order``; a chunk takes about :data:`PATIENCE`."""
        size, at = self.problem.config.training.batch, 0
        while at < len(order):
            began = time.perf_counter()
            wanted = order[at : at + size * self.updates]
            done = self.epochs.run(wanted, factor)
            took = max(time.perf_counter() - began, 1e-6)
            if done:
                part = wanted[:done]
                updates = -(-done // size)
                yield Chunk(self.epochs.lost[part], self.epochs.wrong[part], updates)
                self.updates = max(1, min(2 * self.updates, int(updates * PATIENCE / took)))
            at += done
            if done < len(wanted):  # no block steps settle this batch
                general = GeneralRunner(self.problem, self.rule)
                general.circuit = self.epochs.circuit
                chunk = general.update(order[at : at + size], factor)
                self.epochs.load(general.circuit)
                self.engine = f"fused {self.epochs.settings.precision}, {general.engine} where it stalls"
                at += len(chunk.losses)
                yield chunk
