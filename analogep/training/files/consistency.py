"""Whether a checkpoint is one of the run that is to go on: each entry against what its configuration describes."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.errors import Fault, FaultsError, InputError
from analogep.kinds import is_number, is_whole
from analogep.training.files.checkpoint import Checkpoint
from analogep.training.problem import Problem
from analogep.training.runners.base import Runner

Arrays = Mapping[str, NDArray[Any]]


class CheckpointError(FaultsError, InputError):
    """A checkpoint that contradicts its configuration; names every entry that does."""


def require_consistent(path: Path, problem: Problem, checkpoint: Checkpoint) -> None:
    """Raise :class:`CheckpointError` unless a checkpoint may be one of this problem's training."""
    faults = [*_progress(problem, checkpoint), *_arrays(problem, checkpoint)]
    if not faults:
        faults = [*_order(problem, checkpoint)]
    if faults:
        raise CheckpointError(f"{path} contradicts its configuration, and", faults)


def require_memory(path: Path, runner: Runner, checkpoint: Checkpoint) -> None:
    """Raise :class:`CheckpointError` unless the state of a checkpoint's runner is one that ``runner`` has."""
    fresh = checkpoint.epoch == 1 and not checkpoint.position
    if fresh and not checkpoint.runner:
        return
    faults = list(_blocks("state of the optimizer or engine", checkpoint.runner, runner.shapes()))
    if faults:
        raise CheckpointError(f"{path} contradicts its configuration, and", faults)


def require_result(path: Path, parameters: Arrays, beta: float) -> None:
    """Raise :class:`CheckpointError` unless what a finished run left is finite."""
    faults = list(_blocks("parameters", parameters, {name: np.shape(a) for name, a in parameters.items()}))
    if not (math.isfinite(beta) and beta > 0.0):
        faults.append(Fault("beta", f"{beta:g} S is not finite and positive"))
    if faults:
        raise CheckpointError(str(path), faults)


def _progress(problem: Problem, there: Checkpoint) -> Iterator[Fault]:
    """Faults of how far training is said to be."""
    config, settings = problem.config, problem.config.training
    samples = len(problem.train)
    for name in ("epoch", "position", "best_epoch", "kept_epoch"):
        if not is_whole(getattr(there, name)) or getattr(there, name) < 0:
            yield Fault(name, f"{getattr(there, name)!r} is not a count")
            return
    if not is_number(there.seconds) or not 0.0 <= there.seconds < math.inf:
        yield Fault("seconds", f"{there.seconds!r} is not a time in seconds")
    if not is_number(there.best_value) or math.isnan(there.best_value):
        yield Fault("best_value", f"{there.best_value!r} is not a number")
    last = settings.epochs + 1 if there.done else settings.epochs
    if not 1 <= there.epoch <= last:
        yield Fault("epoch", f"{there.epoch} is not one of {settings.epochs}")
    if there.position > samples or (there.position % settings.batch and there.position != samples):
        yield Fault(
            "position", f"{there.position} is not the end of a batch of {settings.batch} of {samples} samples"
        )
    if [row.epoch for row in there.metrics] != list(range(1, there.epoch)):
        yield Fault(
            "metrics", f"have rows {[r.epoch for r in there.metrics]}, and epoch {there.epoch} is under way"
        )
    for name in ("best_epoch", "kept_epoch"):
        if getattr(there, name) > len(there.metrics):
            yield Fault(name, f"{getattr(there, name)} is not done yet")
    if not (math.isfinite(there.beta) and there.beta > 0.0):
        yield Fault("beta", f"{there.beta:g} S is not finite and positive")
    elif config.learning.beta != "auto" and there.beta != config.learning.beta:
        yield Fault("beta", f"{there.beta:g} S is not that of the configuration, {config.learning.beta:g} S")


def _arrays(problem: Problem, there: Checkpoint) -> Iterator[Fault]:
    """Faults of parameters, losses and the best parameters so far."""
    shapes = {name: value.shape for name, value in problem.parameters.items()}
    yield from _blocks("parameters", there.parameters, shapes)
    if there.best:
        yield from _blocks("best parameters", there.best, shapes)
    step = float(np.finfo(problem.config.learning.precision).eps)  # bounds are rounded as the run's numbers are
    for name, (low, high) in problem.optimizer.bounds.items():
        value = there.parameters.get(name)
        if (
            value is not None
            and value.dtype.kind == "f"
            and value.size
            and (value.min() < low - step * abs(low) or value.max() > high + step * abs(high))
        ):
            yield Fault(
                name, f"goes from {value.min():g} to {value.max():g}, beyond its bounds {low:g} to {high:g}"
            )
    for name in ("losses", "wrong"):
        array = getattr(there, name)
        if array.shape != (there.position,):
            yield Fault(name, f"has shape {array.shape}, and {there.position} samples are done")
        elif array.dtype.kind not in "fb" or not np.isfinite(array).all():
            yield Fault(name, "holds what is no finite number")


def _blocks(what: str, found: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Fault]:
    """Faults of arrays by name against the shapes that they must have."""
    for name in sorted(set(found) | set(shapes)):
        if name not in found:
            yield Fault(name, f"is missing from the {what}")
        elif name not in shapes:
            yield Fault(name, f"is not one of the {what}: {', '.join(shapes) or 'there are none'}")
        elif np.shape(found[name]) != shapes[name]:
            yield Fault(name, f"has shape {np.shape(found[name])}, expected {shapes[name]}")
        elif np.asarray(found[name]).dtype.kind not in "fiu" or not np.isfinite(found[name]).all():
            yield Fault(name, "holds what is no finite number")


def _order(problem: Problem, there: Checkpoint) -> Iterator[Fault]:
    """Fault of a shuffling generator that the seed does not lead to."""
    shuffle = copy.deepcopy(problem.shuffle)
    order = np.arange(len(problem.train))
    for _ in range(there.epoch - 1 if problem.config.training.shuffle else 0):
        shuffle.shuffle(order)
    if shuffle.bit_generator.state != there.generator:
        what = f"is not that of seed = {problem.config.seed} at the start of epoch {there.epoch}"
        yield Fault("generator", f"{what}: another run's, or changed")
