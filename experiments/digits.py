"""Figures of the digits network: accuracy over seeds, agreement of engines, parity with ngspice.

Run: python experiments/digits.py [--seeds 5] [--skip-parity]
"""

from __future__ import annotations

import argparse

import numpy as np

from analogep.cli.netlists import verify_circuit
from analogep.learning import EquilibriumPropagation
from analogep.training import build_problem, load_config, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--skip-parity", action="store_true")
    options = parser.parse_args()
    config = load_config("digits")

    train(config.changed(training={"epochs": 1}))  # compile
    accuracy, seconds = [], []
    for seed in range(options.seeds):
        run = train(config.changed(seed=seed))
        last = run.metrics[-1]
        accuracy.append(100.0 * (1.0 - last.test_error))
        seconds.append(last.wall_time)
        print(
            f"seed {seed}: test accuracy {accuracy[-1]:.2f} %, train error {100 * last.train_error:.2f} %, "
            f"{seconds[-1]:.2f} s of training",
            flush=True,
        )
    spread = np.std(accuracy, ddof=1) if len(accuracy) > 1 else 0.0
    print(
        f"test accuracy {np.mean(accuracy):.2f} ± {spread:.2f} % (mean ± standard deviation "
        f"over {options.seeds} seeds, {min(accuracy):.2f} to {max(accuracy):.2f} %); "
        f"training time {np.median(seconds):.2f} s (median)"
    )

    problem = build_problem(config)
    batch = slice(0, config.training.batch)
    inputs, targets = problem.train.inputs(batch), problem.train.targets[batch]
    rule = EquilibriumPropagation(run.beta)
    for name, circuit in (("initial", problem.circuit), ("trained", run.circuit)):
        reference, *others = (
            rule.gradient(circuit, inputs, targets, solver=build_problem(config.changed(engine=engine)).solver)
            for engine in ("newton", "auto", "transient")
        )
        for other in others:
            worst = max(
                float(np.linalg.norm(other[key] - reference[key]) / np.linalg.norm(reference[key]))
                for key in reference
            )
            print(f"{name} network: gradient by {other.free.engine} against newton: {worst:.1e} relative")
    if not options.skip_parity:
        report = verify_circuit(run.problem, run.circuit, run.cost, run.beta, 20, 1e-9)
        print(report)


if __name__ == "__main__":
    main()
