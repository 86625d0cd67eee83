"""What a training run leaves: metrics and the trained circuit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from analogep.circuit import Circuit
from analogep.learning import Cost
from analogep.training.configuration.config import TrainConfig
from analogep.training.problem import Array, Problem, trainable


@dataclass(frozen=True)
class EpochMetrics:
    """One row of the metrics table.

    Losses are means of ½‖o − y‖² [V²]. Training figures are taken from the free phases as training went by,
    validation and test figures after the epoch; they are NaN where nothing was evaluated. ``rate_factor`` is the
    schedule's. ``wall_time`` is training time since the start, evaluation and interruptions excluded.
    """

    epoch: int
    train_loss: float
    train_error: float
    validation_loss: float
    validation_error: float
    test_loss: float
    test_error: float
    rate_factor: float
    wall_time: float
    samples_per_second: float

    @classmethod
    def units(cls) -> dict[str, str]:
        """Return the unit of each column."""
        units = {f.name: "V^2" if f.name.endswith("_loss") else "1" for f in fields(cls)}
        return units | {"wall_time": "s", "samples_per_second": "1/s"}


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
    cost
        The cost, with a trained readout if the configuration has one.
    metrics
        One row per epoch.
    beta
        Nudging strength [S], and in ``beta_reason`` where it comes from.
    engine
        Engine that solved the last phase.
    method
        In words, what truly trained: ``rule``, ``optimizer``, ``cost``, ``signs`` of β, ``schedule``, and in
        ``declined`` why the compiled epochs did not, if they were asked.
    kept_epoch
        Epoch after which the circuit was as it is: the last, or the best if that was asked for.
    stopped
        In words, why it ended before the last epoch; empty if it did not.
    folder
        Its run folder, if it has one.
    """

    config: TrainConfig
    problem: Problem
    circuit: Circuit
    cost: Cost
    metrics: tuple[EpochMetrics, ...]
    beta: float
    beta_reason: str
    engine: str
    kept_epoch: int
    stopped: str = ""
    folder: Path | None = None
    method: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Array]:
        """All that was trained, by block: the circuit's parameters, and those of a readout beside it."""
        return trainable(self.circuit, self.cost)

    def table(self) -> dict[str, list[float]]:
        """Return the metrics by column."""
        return {f.name: [getattr(row, f.name) for row in self.metrics] for f in fields(EpochMetrics)}


def metrics_csv(rows: tuple[EpochMetrics, ...]) -> str:
    """Return the metrics as CSV, with the unit of each column in its head; what is NaN is left empty."""
    units = EpochMetrics.units()
    lines = [",".join(f"{name} [{unit}]" if unit != "1" else name for name, unit in units.items())]
    lines += [",".join("" if math.isnan(v) else f"{v:.10g}" for v in asdict(row).values()) for row in rows]
    return "\n".join(lines) + "\n"
