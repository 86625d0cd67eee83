"""Train one configuration with several seeds.

Run: python experiments/reproduce.py experiments/mnist/drn-xs.toml --seeds 5 [--quiet] [--train] [--set KEY=VALUE]

Prints the test error of every seed after the last epoch, mean and standard deviation, and the time of training
(evaluation and set-up apart), with the published test error beside it where the configuration names one. The train
error is that of the free phases as training went by; with --train also that of the trained network.
"""

from __future__ import annotations

import argparse
import statistics
import time

from analogep.cli.settings import configured
from analogep.training import EpochMetrics, Progress, Run, evaluate, train
from analogep.training.runners.choice import runner_for


class Lines(Progress):
    """One line per epoch."""

    def epoch(self, row: EpochMetrics) -> None:
        print(
            f"  epoch {row.epoch}: train error {row.train_error:.2%}, test error {row.test_error:.2%}, "
            f"loss {row.train_loss:.5f} V², {row.wall_time:.2f} s",
            flush=True,
        )


def trained_error(run: Run) -> float:
    """Return the error of the trained network on the training part."""
    runner = runner_for(run.problem, run.problem.rule_at(run.beta))
    runner.restore(run.circuit, run.cost, {})
    return evaluate(run.problem, run.cost, runner.outputs, run.problem.train)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--train", action="store_true", help="evaluate the trained network on the training part")
    parser.add_argument("--quiet", action="store_true", help="no line per epoch")
    arguments = parser.parse_args()
    config = configured(arguments.config, arguments.set)
    errors, times, epochs = [], [], []
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        began = time.perf_counter()
        run = train(config.changed(seed=seed), Progress() if arguments.quiet else Lines())
        last = run.metrics[-1]
        errors.append(last.test_error)
        times.append(last.wall_time)
        epochs.append(last.wall_time / len(run.metrics))
        print(
            f"{config.name}, seed {seed}: test error {last.test_error:.2%}, train error {last.train_error:.2%} "
            f"after {len(run.metrics)} epochs in {last.wall_time:.2f} s of training ({epochs[-1]:.2f} s an epoch; "
            f"{time.perf_counter() - began:.1f} s in all; {run.engine})",
            flush=True,
        )
        if arguments.train:
            print(f"  the trained network's train error: {trained_error(run):.3%}", flush=True)
    spread = statistics.stdev(errors) if len(errors) > 1 else 0.0
    print(
        f"{config.name}: test error {statistics.mean(errors):.2%} ± {spread:.2%} (mean ± standard deviation over "
        f"{len(errors)} seeds, {min(errors):.2%} to {max(errors):.2%}); "
        f"training {statistics.median(times):.2f} s (median)"
        + (f"; {config.published}" if config.published is not None else "")
    )


if __name__ == "__main__":
    main()
