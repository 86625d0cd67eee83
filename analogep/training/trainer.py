"""The training loop: epochs, evaluation, early stop, checkpoints."""

from __future__ import annotations

import copy
import math
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.errors import ConfigError, ConvergenceError, EngineError, Fault
from analogep.kinds import checked
from analogep.spice import SpiceSolver
from analogep.training.configuration.config import TrainConfig, load_config
from analogep.training.evaluation import evaluate, predictions
from analogep.training.files.checkpoint import Checkpoint
from analogep.training.files.consistency import require_memory
from analogep.training.files.folder import CHECKPOINT, CONFIG, RunFolder, saved_circuit
from analogep.training.files.record import EpochMetrics, Run, metrics_csv
from analogep.training.interrupt import Interrupted, StopSignals
from analogep.training.problem import Problem, build_problem, trainable, trained
from analogep.training.runners.base import Chunk
from analogep.training.runners.choice import method_of, runner_for

__all__ = [
    "EpochMetrics",
    "Progress",
    "Run",
    "evaluate",
    "metrics_csv",
    "predictions",
    "train",
    "train_problem",
]

Array = NDArray[np.float64]

SPACING = 0.5
"""Least time between the checkpoints at the ends of short epochs [s]."""


class Progress:
    """What a caller may watch; called by :func:`train`. Override what you need."""

    def start(self, problem: Problem, beta_reason: str) -> None:
        """Note that training is about to start."""

    def compiling(self) -> None:
        """Note, after ``start``, that loops are compiled first: once per version of analogep."""

    def resumed(self, epoch: int, samples: int) -> None:
        """Note, after ``start``, that training goes on in ``epoch`` after so many of its samples."""

    def batch(self, epoch: int, samples: int, loss: float, error: float) -> None:
        """Note that a batch is done: samples so far in this epoch, running mean loss [V²] and error."""

    def epoch(self, row: EpochMetrics) -> None:
        """Note that an epoch is done."""


@checked()
def train(
    config: TrainConfig | str | Path,
    progress: Progress | None = None,
    *,
    out: Path | None = None,
    resume: Path | None = None,
) -> Run:
    """Train the network that ``config`` describes.

    Parameters
    ----------
    config
        A configuration, a TOML path, or the name of a configuration that ships with analogep.
    progress
        Watches the run.
    out
        Folder in which a run folder is made before the first update; none if not given. With a run folder,
        checkpoints are written, and Ctrl-C or SIGTERM finishes the update under way and writes one more.
    resume
        Run folder of an unfinished run to go on with, to the same bits as if it had never stopped.

    Returns
    -------
    Run
        The trained circuit with its metrics.

    Raises
    ------
    ConfigError, CircuitError, InputError
        If the configuration does not describe a trainable network, or not the run to resume.
    ConvergenceError
        If a phase of some batch has no operating point.
    EngineError
        If SPICE is to solve the phases and is missing (before anything is trained) or fails.
    Interrupted
        After Ctrl-C or SIGTERM, if there is a run folder; a :class:`KeyboardInterrupt`.
    """
    if not isinstance(config, TrainConfig):
        config = load_config(config)
    return train_problem(build_problem(config), progress, out=out, resume=resume)


@checked()
def train_problem(
    problem: Problem, progress: Progress | None = None, *, out: Path | None = None, resume: Path | None = None
) -> Run:
    """Train a problem that is already built; see :func:`train`."""
    problem.check()
    if isinstance(problem.solver, SpiceSolver):
        problem.solver.require()
    if problem.config.training.keep == "best" and problem.validation is None:
        what = '"best" needs a validation part; hold one out in the section data, or keep the last'
        raise ConfigError("configuration", [Fault("training.keep", what)])
    progress = progress or Progress()
    if out is None and resume is None:
        return _Training(problem, progress, None).run(None, StopSignals())
    with StopSignals() as stop:
        if resume is not None:
            if not problem.replaced() and (saved := saved_circuit(resume)) is not None:
                problem = build_problem(problem.config, circuit=saved)
            folder, checkpoint = RunFolder.resume(problem, resume)
            return _Training(problem, progress, checkpoint, folder.path / CHECKPOINT).run(folder, stop)
        assert out is not None
        training = _Training(problem, progress, None)
        return training.run(RunFolder.create(problem, out, training.checkpoint()), stop)


class _Training:
    """A run under way, between two updates; everything that a checkpoint holds."""

    def __init__(
        self, problem: Problem, progress: Progress, there: Checkpoint | None, path: Path = Path(CHECKPOINT)
    ) -> None:
        self.problem, self.progress, self.settings = problem, progress, problem.config.training
        self.shuffle = copy.deepcopy(problem.shuffle)  # training a problem twice gives the same run twice
        circuit, cost = problem.circuit, problem.cost
        if there is None:
            rule, reason = problem.rule()
            there = Checkpoint(
                parameters={},
                beta=rule.beta,
                beta_reason=reason,
                epoch=1,
                position=0,
                generator=self.shuffle.bit_generator.state,
                losses=np.empty(0),
                wrong=np.empty(0),
                runner={},
            )
        else:
            rule = problem.rule_at(there.beta)
            circuit, cost = trained(circuit, cost, there.parameters)
        problem.check_beta(circuit, cost, rule.beta)
        self.beta, self.beta_reason = there.beta, there.beta_reason
        self.epoch, self.position, self.seconds = there.epoch, there.position, there.seconds
        self.shuffle.bit_generator.state = there.generator
        self.generator: Mapping[str, Any] = there.generator
        self.losses, self.wrong = np.empty(len(problem.train)), np.empty(len(problem.train))
        self.losses[: self.position], self.wrong[: self.position] = there.losses, there.wrong
        self.rows = list(there.metrics)
        self.best_epoch, self.best_value = there.best_epoch, there.best_value
        self.best: Mapping[str, Array] = there.best
        self.done, self.kept_epoch, self.stopped = there.done, there.kept_epoch, there.stopped
        self.runner = runner_for(problem, rule)
        if there.parameters:
            require_memory(path, self.runner, there)
            self.runner.restore(circuit, cost, there.runner)
        self.engine = there.engine or self.runner.engine
        self.saved_at, self.updates = time.monotonic(), 0
        self.resumed = bool(there.parameters)

    def checkpoint(self) -> Checkpoint:
        """Return the state of now."""
        return Checkpoint(
            parameters=trainable(self.runner.circuit, self.runner.cost),
            beta=self.beta,
            beta_reason=self.beta_reason,
            epoch=self.epoch,
            position=self.position,
            generator=self.generator,
            losses=self.losses[: self.position],
            wrong=self.wrong[: self.position],
            runner=self.runner.state(),
            metrics=tuple(self.rows),
            best_epoch=self.best_epoch,
            best_value=self.best_value,
            best=self.best,
            engine=self.engine,
            seconds=self.seconds,
            done=self.done,
            kept_epoch=self.kept_epoch,
            stopped=self.stopped,
        )

    def run(self, folder: RunFolder | None, stop: StopSignals) -> Run:
        """Train to the end."""
        self.progress.start(self.problem, self.beta_reason)
        if self.runner.compiles and not self.done:
            self.progress.compiling()
        if self.resumed:
            self.progress.resumed(self.epoch, self.position)
        while not self.done:
            self._updates(folder, stop)
            self._end_of_epoch()
            if folder is not None and (self.done or time.monotonic() - self.saved_at >= SPACING):
                self._save(folder)
            if not self.done:
                self._stop_if_asked(folder, stop)
        circuit, cost = self.runner.circuit, self.runner.cost
        if self.kept_epoch != len(self.rows):
            circuit, cost = trained(circuit, cost, self.best)
        run = Run(
            self.problem.config,
            self.problem,
            circuit,
            cost,
            tuple(self.rows),
            self.beta,
            self.beta_reason,
            self.engine,
            self.kept_epoch,
            self.stopped,
            None if folder is None else folder.path,
            method_of(self.problem, self.runner),
        )
        if folder is not None:
            folder.finish(run)
        return run

    def _updates(self, folder: RunFolder | None, stop: StopSignals) -> None:
        """Do the updates that are left in the epoch."""
        order = np.arange(len(self.problem.train))
        if self.settings.shuffle:
            self.shuffle.shuffle(order)
        factor = self.problem.schedule.factor(self.epoch)
        loss, error = float(self.losses[: self.position].sum()), float(self.wrong[: self.position].sum())
        before, began = self.seconds, time.perf_counter()
        chunks = self.runner.run_epoch(order[self.position :], factor)
        while self.position < len(order):
            try:
                chunk: Chunk = next(chunks)
            except (ConvergenceError, EngineError) as failure:
                self._stop_if_asked(folder, stop)  # Ctrl-C in a terminal reaches ngspice as well
                where = f"epoch {self.epoch}, after {self.position} samples"
                raise type(failure)(f"{where}: {failure}") from None
            here = slice(self.position, self.position + len(chunk.losses))
            self.losses[here], self.wrong[here] = chunk.losses, chunk.wrong
            self.position, self.updates = here.stop, self.updates + chunk.updates
            self.engine = self.runner.engine
            self.seconds = before + time.perf_counter() - began
            loss, error = loss + float(chunk.losses.sum()), error + float(chunk.wrong.sum())
            self.progress.batch(self.epoch, self.position, loss / self.position, error / self.position)
            if self.position < len(order):
                self._stop_if_asked(folder, stop)
            if folder is not None and self._due():
                self._save(folder)

    def _due(self) -> bool:
        limit = self.settings.checkpoint_updates
        if limit is not None and self.updates >= limit:
            return True
        return time.monotonic() - self.saved_at >= 60.0 * self.settings.checkpoint_minutes

    def _save(self, folder: RunFolder) -> None:
        folder.save(self.checkpoint())
        self.saved_at, self.updates = time.monotonic(), 0

    def _stop_if_asked(self, folder: RunFolder | None, stop: StopSignals) -> None:
        if folder is None or not stop.caught:
            return
        self._save(folder)
        config, path = shlex.quote(str(folder.path / CONFIG)), shlex.quote(str(folder.path))
        raise Interrupted(
            f"interrupted in epoch {self.epoch} after {self.position} samples; "
            f"go on with: analogep train {config} --resume {path}",
            folder.path,
        )

    def _end_of_epoch(self) -> None:
        """Evaluate, note the metrics, and decide whether to go on."""
        problem, settings, epoch = self.problem, self.settings, self.epoch
        circuit, cost = self.runner.circuit, self.runner.cost
        train = float(self.losses.mean()), float(self.wrong.mean())
        if train[0] < settings.stop_loss:
            self.stopped = f"training loss {train[0]:.4g} V² is below stop_loss = {settings.stop_loss:g} V²"
        last = epoch == settings.epochs or bool(self.stopped)
        looked = last or epoch % settings.evaluate_every == 0
        validation = test = (math.nan, math.nan)
        if looked and problem.validation is not None:
            validation = evaluate(problem, cost, self.runner.outputs, problem.validation)
        watched = (train if problem.validation is None else validation)[settings.watch == "error"]
        if watched < self.best_value:
            self.best_epoch, self.best_value = epoch, watched
            if settings.keep == "best":
                self.best = trainable(circuit, cost)
        seen = looked or problem.validation is None
        if not last and seen and settings.patience is not None and epoch - self.best_epoch >= settings.patience:
            self.stopped = f"no lower {settings.watch} than in epoch {self.best_epoch}"
            last = True
        if last or looked:
            test = evaluate(problem, cost, self.runner.outputs, problem.test)
        factor, spent = problem.schedule.factor(epoch), self.seconds + sum(r.wall_time for r in self.rows[-1:])
        speed = len(problem.train) / max(self.seconds, 1e-9)
        row = EpochMetrics(epoch, *train, *validation, *test, factor, spent, speed)
        self.rows.append(row)
        self.progress.epoch(row)
        problem.check_beta(circuit, cost, self.beta)
        self.done = last
        if last:
            self.kept_epoch = self.best_epoch if settings.keep == "best" else epoch
        self.epoch, self.position, self.seconds = epoch + 1, 0, 0.0
        self.generator = self.shuffle.bit_generator.state
