"""The console, tables and the progress bar."""

from __future__ import annotations

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
        self.per_epoch = self.epochs = self.done = 0
        self.last = ""
        self.next_update = 0.0

    def start(self, problem: Problem, beta_reason: str) -> None:
        """Describe the problem and open the bar."""
        self.per_epoch, self.epochs = len(problem.train), problem.config.training.epochs
        console.print(f"{problem.data.name}: {len(problem.train)} training, {len(problem.test)} test samples")
        console.print(f"{problem.circuit!r}")
        console.print(beta_reason)
        self.progress.start()
        self.task = self.progress.add_task("epoch 1", total=self.per_epoch * self.epochs, text="")

    def batch(self, epoch: int, samples: int, loss: float, error: float) -> None:
        """Move the bar."""
        assert self.task is not None
        now = time.monotonic()
        if now < self.next_update:  # a batch takes a millisecond, and so does formatting
            return
        self.next_update = now + 0.1
        done = (epoch - 1) * self.per_epoch + samples
        text = f"loss {loss:.4g} V²  train error {error:6.2%}{self.last}"
        self.progress.update(self.task, completed=done, description=f"epoch {epoch}/{self.epochs}", text=text)

    def epoch(self, row: EpochMetrics) -> None:
        """Show the test error and the speed of the epoch."""
        assert self.task is not None
        self.last = f"  test error {row.test_error:6.2%}  {row.samples_per_second:,.0f} samples/s"
        text = f"loss {row.train_loss:.4g} V²  train error {row.train_error:6.2%}{self.last}"
        done = row.epoch * self.per_epoch
        description = f"epoch {row.epoch}/{self.epochs}"
        self.progress.update(self.task, completed=done, description=description, text=text)

    def close(self) -> None:
        """Close the bar."""
        self.progress.stop()
