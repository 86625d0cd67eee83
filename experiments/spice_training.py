"""The digits network trained natively, in ngspice and in PySpice: the same conductances after the same updates.

Run: python experiments/spice_training.py [--updates 20] [--hidden 16] [--unfolded]

Prints, for each engine, the largest relative difference of any conductance or bias from native training
(Newton's method, residuals at 1e-12), and the time per update.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import numpy as np

from analogep.circuit import Circuit
from analogep.training import TrainConfig, build_problem, load_config


def trained(config: TrainConfig, updates: int) -> tuple[Circuit, float]:
    """Return the circuit after a number of updates on the first batches, and seconds per update."""
    problem = build_problem(config)
    circuit, size = problem.circuit, config.training.batch
    rule, _ = problem.rule()
    problem.solver(circuit, problem.train.inputs(slice(1)))  # compile, or start the worker
    started = time.perf_counter()
    for k in range(updates):
        batch = slice(k * size, (k + 1) * size)
        inputs, targets = problem.train.inputs(batch), problem.train.targets[batch]
        gradient = rule.gradient(circuit, inputs, targets, solver=problem.solver)
        circuit = circuit.with_parameters(problem.optimizer.step(circuit.parameters, gradient)[0])
    return circuit, (time.perf_counter() - started) / updates


def largest_relative(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """Return the largest |a − b| / |b| over all parameters, and the block where it is."""
    worst = {}
    for name, values in expected.items():
        differs = found[name] != values
        with np.errstate(divide="ignore"):
            relative = np.abs(found[name] - values)[differs] / np.abs(values)[differs]
        worst[name] = float(relative.max(initial=0.0))
    block = max(worst, key=worst.__getitem__)
    return worst[block], block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=16)
    parser.add_argument("--unfolded", action="store_true", help="give SPICE every resistor at the inputs")
    options = parser.parse_args()
    config = load_config("digits").changed(
        network={"hidden_layers": [options.hidden]},
        learning={"tolerance": 1e-12},
        spice={"fold_inputs": not options.unfolded},
    )
    native, seconds = trained(config.changed(engine="newton"), options.updates)
    initial = build_problem(config).circuit.parameters
    names = [name for name in initial if name.endswith(".conductance")]
    moved = np.sqrt(sum(((native.parameters[name] - initial[name]) ** 2).sum() for name in names))
    size = np.sqrt(sum((initial[name] ** 2).sum() for name in names))
    print(
        f"{native.element_count} elements, {options.updates} updates of {config.training.batch} samples, "
        f"which move the conductances by {moved / size:.1%} (2-norm)"
    )
    print(f"newton: {1e3 * seconds:.1f} ms per update")
    for engine in ("ngspice", "pyspice"):
        circuit, seconds = trained(config.changed(engine=engine), options.updates)
        worst, block = largest_relative(circuit.parameters, native.parameters)
        print(
            f"{engine}: largest relative difference from newton {worst:.1e} ({block}), "
            f"{1e3 * seconds:.1f} ms per update"
        )


if __name__ == "__main__":
    main()
