"""The console, tables and the progress bar."""

from __future__ import annotations

import math
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from analogep.training import EpochMetrics, Problem
from analogep.training import Progress as Watcher

# in a pipe there is no terminal to ask for its width, and a table cut to 80 columns loses digits
console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


class TrainingBar(Watcher):
    """Shows epoch, loss, errors and samples per second while training goes on."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=4,
        )
        self.task: TaskID | None = None
        self.per_epoch = self.epochs = 0
        self.last = ""
        self.next_update = self.epoch_began = 0.0
        self.skipped = 0
        """Samples of the epoch that were done before the bar watched."""

    def compiling(self) -> None:
        """Say why nothing happens for a while."""
        console.print("compiling the training loops, which are then kept: about 20 s")

    def start(self, problem: Problem, beta_reason: str) -> None:
        """Describe the problem and open the bar."""
        self.per_epoch, self.epochs = len(problem.train), problem.config.training.epochs
        held = "" if problem.validation is None else f"{len(problem.validation)} validation, "
        count = f"{len(problem.train)} training, {held}{len(problem.test)} test samples"
        console.print(f"{problem.data.name}: {count}")
        console.print(f"{problem.circuit!r}")
        console.print(beta_reason)
        self.progress.start()
        self.task = self.progress.add_task("epoch 1", total=self.per_epoch * self.epochs, text="")
        self.epoch_began = time.monotonic()

    def resumed(self, epoch: int, samples: int) -> None:
        """Begin where the run was left."""
        assert self.task is not None
        console.print(f"resumed in epoch {epoch} after {samples} of {self.per_epoch} samples")
        self.skipped = samples
        self.progress.reset(self.task, completed=(epoch - 1) * self.per_epoch + samples)

    def batch(self, epoch: int, samples: int, loss: float, error: float) -> None:
        """Move the bar."""
        assert self.task is not None
        now = time.monotonic()
        if now < self.next_update:  # a batch takes a millisecond, and so does formatting
            return
        self.next_update = now + 0.1
        done = (epoch - 1) * self.per_epoch + samples
        speed = (samples - self.skipped) / max(now - self.epoch_began, 1e-9)
        text = f"loss {loss:.4g} V²  train error {error:6.2%}{self.last}  {speed:,.0f} samples/s"
        self.progress.update(self.task, completed=done, description=f"epoch {epoch}/{self.epochs}", text=text)

    def epoch(self, row: EpochMetrics) -> None:
        """Show the errors and the speed of the epoch."""
        assert self.task is not None
        self.last = ""
        if not math.isnan(row.validation_error):
            self.last = f"  validation error {row.validation_error:6.2%}"
        elif not math.isnan(row.test_error):
            self.last = f"  test error {row.test_error:6.2%}"
        text = f"loss {row.train_loss:.4g} V²  train error {row.train_error:6.2%}{self.last}"
        text += f"  {row.samples_per_second:,.0f} samples/s"
        done = row.epoch * self.per_epoch
        description = f"epoch {row.epoch}/{self.epochs}"
        self.progress.update(self.task, completed=done, description=description, text=text)
        self.epoch_began, self.skipped = time.monotonic(), 0

    def close(self) -> None:
        """Close the bar, if it was open."""
        if self.task is not None:
            self.progress.stop()
