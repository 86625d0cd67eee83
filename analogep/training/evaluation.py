"""Losses and errors of a circuit on one part of the data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.kinds import checked
from analogep.learning import Cost
from analogep.training.data import DataSet
from analogep.training.problem import Problem, Volts

Array = NDArray[np.float64]

TOGETHER = 1024
"""Samples solved at once."""


@checked()
def predictions(scores: Array) -> NDArray[np.int64]:
    """Return the predicted class (S,) for a cost's scores (S, T): the outputs, or what a readout makes of them."""
    scores = np.asarray(scores)
    if scores.ndim != 2 or not scores.shape[1]:
        raise InputError(f"scores have shape {scores.shape}; give (samples, classes)")
    classes: NDArray[np.int64] = np.argmax(scores, axis=1).astype(np.int64)
    return classes


def wrong(data: DataSet, part: Volts, batch: NDArray[np.int64], scores: Array) -> NDArray[np.bool_]:
    """Return which samples of ``batch`` (S,) have a wrong class, or an output beyond the tolerance."""
    if part.labels is not None:
        return np.not_equal(predictions(scores), part.labels[batch])
    far: NDArray[np.bool_] = np.any(np.abs(scores - part.targets[batch]) > data.tolerance, axis=1)
    return far


Outputs = Callable[[Volts, NDArray[np.int64]], Array]
"""Finds the outputs (B, O) [V] of the free phase for some samples of one part of the data."""


@checked()
def evaluate(problem: Problem, cost: Cost, outputs_of: Outputs, part: Volts) -> tuple[float, float]:
    """Return the mean loss [V²] and the error rate on one part of the data, by a cost as it is trained by now."""
    losses, errors = np.empty(len(part)), np.empty(len(part))
    for start in range(0, len(part), TOGETHER):
        batch = np.arange(start, min(start + TOGETHER, len(part)))
        outputs = outputs_of(part, batch)
        losses[batch] = cost.value(outputs, part.targets[batch])
        errors[batch] = wrong(problem.data, part, batch, cost.scores(outputs))
    return float(losses.mean()), float(errors.mean())
