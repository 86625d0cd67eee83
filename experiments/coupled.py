"""Coupled learning on disordered and transistor boards (Stern et al. 2021; Dillavou et al. 2022, 2024).

Run: python experiments/coupled.py regression|xor|curve [--seeds 3] [--epochs N] [--rule NAME]

regression: a disordered graph of resistors learns a linear function of two voltages.
xor, curve: the periodic 4 x 4 lattice of transistors in the triode region, whose gate voltages are what is
learned, learns XOR and a curve with a knee. The figures of linear boards beside it are the best affine function's.
Inputs, biases and sizes of the transistor board follow Dillavou et al. 2024; targets and rates are ours.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import NMOS
from analogep.learning import RULES, SGD, CoupledLearning, Exponential, Rule
from analogep.networks import disordered, lattice
from analogep.solve import operating_point

Array = NDArray[np.float64]
CENTERED = CoupledLearning(0.5, "centered")  # with the positive variant half of the transistor boards go astray
TRANSISTOR = NMOS(threshold=0.7, transconductance=1e-4, width=1e-5, length=1e-6, control=("0", "0"))


@dataclass(frozen=True)
class Task:
    """A board and what it is to learn: inputs (S, I) and targets (S, O) [V], of training and of test samples."""

    circuit: Circuit
    train: tuple[Array, Array]
    test: tuple[Array, Array]
    block: str
    rate: float  # [unit² / W] for coupled and contrastive learning
    bounds: tuple[float, float]
    batch: int
    epochs: int
    decay: float
    rule: CoupledLearning


def regression(rng: np.random.Generator) -> Task:
    """64 nodes with resistors of 10 to 100 µS are to give 0.2 x0 + 0.3 x1 + 0.1 V."""
    board = disordered(64, 2, 1, bias_voltages=(0.0, 1.0), initial=(1e-5, 1e-4), rng=rng)
    x = rng.uniform(0.0, 1.0, (300, 2))
    y = x @ np.array([[0.2], [0.3]]) + 0.1
    parts = (x[:200], y[:200]), (x[200:], y[200:])
    return Task(board, *parts, "edge.conductance", 1e-2, (1e-7, 1e-3), 10, 20, 0.95, CoupledLearning(0.1))


def transistors(inputs: int, rng: np.random.Generator) -> Circuit:
    """32 transistors on a periodic 4 x 4 lattice, one differential output, biases at 0.11 V and 0.33 V."""
    return lattice(
        4, 4, inputs, 1, periodic=True, paired_outputs=True, bias_voltages=(0.11, 0.33), edge=TRANSISTOR,
        initial=(0.9, 2.0), rng=rng,
    )  # fmt: skip


def xor(rng: np.random.Generator) -> Task:
    """0 and 0.45 V at two inputs; the output is 30 mV where they differ."""
    x = 0.45 * np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    data = x, 0.03 * np.array([[0.0], [1.0], [1.0], [0.0]])
    return Task(transistors(2, rng), data, data, "edge.gate_voltage", 3e5, (0.8, 5.0), 4, 600, 0.997, CENTERED)


def curve(rng: np.random.Generator) -> Task:
    """The output is flat at 0 V up to an input of 0.2 V, and rises by 0.12 V per volt beyond it."""
    x = np.linspace(0.0, 0.45, 19)[:, None]
    y = 0.12 * np.maximum(x - 0.2, 0.0)
    data = (x[::2], y[::2]), (x[1::2], y[1::2])
    return Task(transistors(1, rng), *data, "edge.gate_voltage", 1e5, (0.8, 5.0), 5, 250, 0.996, CENTERED)


TASKS: dict[str, Callable[[np.random.Generator], Task]] = {"regression": regression, "xor": xor, "curve": curve}


def squared_error(circuit: Circuit, part: tuple[Array, Array]) -> float:
    """Return the mean square of output minus target [V²]."""
    return float(np.mean((operating_point(circuit, part[0]).outputs - part[1]) ** 2))


def affine_error(task: Task) -> float:
    """Return the least mean squared error [V²] of an affine function of the inputs on the training samples."""
    x, y = task.train
    design = np.column_stack([x, np.ones(len(x))])
    return float(np.mean((design @ np.linalg.lstsq(design, y, rcond=None)[0] - y) ** 2))


def learn(task: Task, rule: Rule, epochs: int, rng: np.random.Generator) -> tuple[Circuit, list[float]]:
    """Return the trained board, and the mean squared error [V²] of the training samples in every epoch."""
    circuit, (x, y) = task.circuit, task.train
    optimizer = SGD({task.block: task.rate}, {task.block: task.bounds})
    schedule = Exponential(task.decay)
    memory: dict[str, Array] = {}
    errors = []
    for epoch in range(1, epochs + 1):
        order, total = rng.permutation(len(x)), 0.0
        for batch in np.array_split(order, max(1, len(order) // task.batch)):
            gradient = rule.gradient(circuit, x[batch], y[batch])
            total += 2.0 * float(gradient.cost.sum())
            new, memory = optimizer.step(circuit.parameters, gradient, memory, schedule.factor(epoch))
            circuit = circuit.with_parameters(new)
        errors.append(total / y.size)
    return circuit, errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rule", choices=[name for name in RULES if name.startswith("co")])
    options = parser.parse_args()
    for seed in range(options.seeds):
        rng = np.random.default_rng(seed)
        task = TASKS[options.task](rng)
        rule = RULES[options.rule].make(0.0) if options.rule else task.rule
        if seed == 0:
            print(f"{options.task}: {task.circuit!r}, {rule.name}")
        began = time.perf_counter()
        circuit, errors = learn(task, rule, options.epochs or task.epochs, rng)
        last = squared_error(circuit, task.train)
        print(
            f"seed {seed}: mean squared error {errors[0]:.3g} -> {last:.3g} V² "
            f"(test {squared_error(circuit, task.test):.3g}, lowest epoch {min(errors):.3g}, best affine "
            f"{affine_error(task):.3g}, variance of the targets {np.mean(np.var(task.train[1], axis=0)):.3g} V²); "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )
        if options.task == "xor":
            print(
                "  outputs [mV]: "
                + ", ".join(f"{1e3 * v:.1f}" for v in operating_point(circuit, task.train[0]).outputs[:, 0])
            )


if __name__ == "__main__":
    main()
