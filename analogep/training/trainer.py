"""The training loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, EngineError
from analogep.spice import SpiceSolver
from analogep.training.config import TrainConfig, load_config
from analogep.training.data import DataSet
from analogep.training.problem import Problem, Volts, build_problem

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EpochMetrics:
    """One row of the metrics table.

    Losses are means of ½‖o − y‖² [V²]. Training figures are taken from the free phases as training went by,
    test figures after the epoch. ``wall_time`` is training time since the start, evaluation excluded.
    """

    epoch: int
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    wall_time: float
    samples_per_second: float

    @classmethod
    def units(cls) -> dict[str, str]:
        """Return the unit of each column."""
        return {
            "epoch": "1",
            "train_loss": "V^2",
            "train_error": "1",
            "test_loss": "V^2",
            "test_error": "1",
            "wall_time": "s",
            "samples_per_second": "1/s",
        }


@dataclass(frozen=True)
class Run:
    """A finished (or stopped) training run.

    Attributes
    ----------
    config
        Its configuration.
    problem
        Data and initial circuit.
    circuit
        The trained circuit.
    metrics
        One row per epoch.
    beta
        Nudging strength [S], and in ``beta_reason`` where it comes from.
    engine
        Engine that solved the last phase.
    """

    config: TrainConfig
    problem: Problem
    circuit: Circuit
    metrics: tuple[EpochMetrics, ...]
    beta: float
    beta_reason: str
    engine: str

    def table(self) -> dict[str, list[float]]:
        """Return the metrics by column."""
        return {f.name: [getattr(row, f.name) for row in self.metrics] for f in fields(EpochMetrics)}


class Progress:
    """What a caller may watch; called by :func:`train`. Override what you need."""

    def start(self, problem: Problem, beta_reason: str) -> None:
        """Note that training is about to start."""

    def batch(self, epoch: int, samples: int, loss: float, error: float) -> None:
        """Note that a batch is done: samples so far in this epoch, running mean loss [V²] and error."""

    def epoch(self, row: EpochMetrics) -> None:
        """Note that an epoch is done."""


def train(config: TrainConfig | str | Path, progress: Progress | None = None) -> Run:
    """Train the network that ``config`` describes.

    Parameters
    ----------
    config
        A configuration, a TOML path, or the name of a configuration that ships with analogep.
    progress
        Watches the run.

    Returns
    -------
    Run
        The trained circuit with its metrics.

    Raises
    ------
    ConfigError, CircuitError, InputError
        If the configuration does not describe a trainable network.
    ConvergenceError
        If a phase of some batch has no operating point.
    EngineError
        If SPICE is to solve the phases and is missing (before anything is trained) or fails.
    """
    if not isinstance(config, TrainConfig):
        config = load_config(config)
    return train_problem(build_problem(config), progress)


def train_problem(problem: Problem, progress: Progress | None = None) -> Run:
    """Train a problem that is already built; see :func:`train`."""
    progress = progress or Progress()
    config, circuit, optimizer = problem.config, problem.circuit, problem.optimizer
    if isinstance(problem.solver, SpiceSolver):
        problem.solver.require()
    rule, reason = problem.rule(circuit)
    problem.check_beta(circuit, rule.beta)
    progress.start(problem, reason)
    rows: list[EpochMetrics] = []
    spent, engine = 0.0, str(config.engine)
    shuffle = copy.deepcopy(problem.shuffle)  # training a problem twice gives the same run twice
    for epoch in range(1, config.training.epochs + 1):
        began = time.perf_counter()
        losses, wrong, seen = 0.0, 0.0, 0
        for batch in _batches(problem, shuffle):
            inputs, targets = problem.train.inputs(batch), problem.train.targets[batch]
            try:
                gradient = rule.gradient(circuit, inputs, targets, solver=problem.solver)
            except (ConvergenceError, EngineError) as error:
                raise type(error)(f"epoch {epoch}, after {seen} samples: {error}") from None
            circuit = circuit.with_parameters(optimizer.step(circuit.parameters, gradient))
            losses += float(gradient.cost.sum())
            wrong += float(_errors(problem.data, problem.train, batch, gradient.free.outputs).sum())
            seen += len(batch)
            engine = gradient.free.engine
            progress.batch(epoch, seen, losses / seen, wrong / seen)
        took = time.perf_counter() - began
        spent += took
        test_loss, test_error = evaluate(problem, circuit, problem.test)
        row = EpochMetrics(
            epoch, losses / seen, wrong / seen, test_loss, test_error, spent, seen / max(took, 1e-9)
        )
        rows.append(row)
        progress.epoch(row)
        optimizer = optimizer.decayed(config.training.decay)
        problem.check_beta(circuit, rule.beta)
        if row.train_loss < config.training.stop_loss:
            break
    return Run(config, problem, circuit, tuple(rows), rule.beta, reason, engine)


def _batches(problem: Problem, shuffle: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    count, size = len(problem.train), problem.config.training.batch
    order = np.arange(count)
    if problem.config.training.shuffle:
        shuffle.shuffle(order)
    for start in range(0, count, size):
        yield order[start : start + size]


def predictions(outputs: Array) -> NDArray[np.int64]:
    """Return the predicted class (S,) for outputs (S, O)."""
    classes: NDArray[np.int64] = np.argmax(outputs, axis=1).astype(np.int64)
    return classes


def _errors(data: DataSet, part: Volts, batch: NDArray[np.int64], outputs: Array) -> NDArray[np.bool_]:
    if part.labels is not None:
        return np.not_equal(predictions(outputs), part.labels[batch])
    far: NDArray[np.bool_] = np.any(np.abs(outputs - part.targets[batch]) > data.tolerance, axis=1)
    return far


def evaluate(problem: Problem, circuit: Circuit, part: Volts) -> tuple[float, float]:
    """Return the mean loss [V²] and the error rate of ``circuit`` on one part of the data."""
    outputs = problem.solver(circuit, part.inputs()).outputs
    loss = float(0.5 * ((outputs - part.targets) ** 2).sum(axis=1).mean())
    return loss, float(_errors(problem.data, part, np.arange(len(part)), outputs).mean())


def metrics_csv(rows: tuple[EpochMetrics, ...]) -> str:
    """Return the metrics as CSV, with the unit of each column in its head."""
    units = EpochMetrics.units()
    lines = [",".join(f"{name} [{unit}]" if unit != "1" else name for name, unit in units.items())]
    lines += [",".join(f"{value:.10g}" for value in asdict(row).values()) for row in rows]
    return "\n".join(lines) + "\n"
