"""Equilibrium propagation and its holomorphic form under the noise of neurons, on MNIST.

Run: python experiments/holomorphic_noise.py ep|holomorphic [--epochs 10] [--noise 0.04]

The Hopfield network 784-256-256-10 of `networks.hopfield(activation="sigmoid")`, leak 1 S and limit 1 V. All
phases of a batch settle together by block steps, complex ones included: v = activation(current), layer by
layer, which is exact where no nodes of a layer are coupled. Every settled voltage of every phase is then read
with independent Gaussian noise, real and imaginary part each, before the gradient is formed; accuracies are
read without noise. Batch 20, noise 4e-2, beta 0.1 for centered equilibrium propagation (N = 2) and N = 10 are
those of Laborieux & Zenke 2022; radius 0.5 is as large as the circle can well be, since nodes of 1 S hold the
outputs where they respond most, and of the noise a share of 1/(r sqrt(N)) gets into the gradient. The biases
start at -0.5 A, so that neurons begin as 1/(1 + exp(-4x + 2)).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.networks import glorot
from analogep.training.data import Part, load
from analogep.training.data_config import DataConfig

Array = NDArray[Any]  # real or complex, of the network's precision
LAYERS = (784, 256, 256, 10)
BATCH = 20


def product(v: Array, w: Array) -> Array:
    """Return v @ w for real w; of complex v, both parts in one real product."""
    if not np.iscomplexobj(v):
        return v @ w
    parts = np.concatenate([v.real, v.imag]) @ w
    out = np.empty((len(v), w.shape[1]), v.dtype)
    out.real, out.imag = parts[: len(v)], parts[len(v) :]
    return out


def logistic(current: Array) -> Array:
    """Return ½ + ½ tanh(2 I), the neuron of 1 S and 1 V; of complex I by real functions, which are faster."""
    if not np.iscomplexobj(current):
        return 0.5 + 0.5 * np.tanh(2.0 * current)
    e = np.exp(np.clip(4.0 * current.real, -40.0, 40.0))
    q = 4.0 * current.imag
    scale = 0.5 / (0.5 * (e + 1.0 / e) + np.cos(q))
    out = np.empty_like(current)
    out.real, out.imag = 0.5 + 0.5 * (e - 1.0 / e) * scale, np.sin(q) * scale
    return out


@dataclass
class Network:
    """Layers of logistic neurons: transconductances (R, C) [S] between neighbours and biases (C,) [A]."""

    weights: list[Array]
    biases: list[Array]

    def settle(
        self, x: Array, v: list[Array], beta: Array, y: Array, tolerance: float, most: int
    ) -> tuple[list[Array], float]:
        """Return the equilibrium of K batches (K B, ·) nudged by β (K B, 1) towards y, from v, and mean sweeps.

        A row that moves by less than ``tolerance`` [V] in a sweep is done.
        """
        out, last, total = [value.copy() for value in v], len(v) - 1, 0
        first = np.tile(x @ self.weights[0] + self.biases[0], (len(v[0]) // len(x), 1))
        rows = np.arange(len(v[0]))
        for _ in range(most):
            total += len(rows)
            moved = np.zeros(len(rows))
            for k in [*range(0, last + 1, 2), *range(1, last + 1, 2)]:
                current = first if k == 0 else product(v[k - 1], self.weights[k]) + self.biases[k]
                if k < last:
                    new = logistic(current + product(v[k + 1], self.weights[k + 1].T))
                else:  # v = logistic(current + β (y − v)) by a step of Newton's method
                    new = logistic(current + beta * (y - v[k]))
                    new = v[k] - (v[k] - new) / (1.0 + beta * 4.0 * new * (1.0 - new))
                moved = np.maximum(moved, np.abs(new - v[k]).max(axis=1))
                v = [*v[:k], new, *v[k + 1 :]]
                out[k][rows] = new
            left = moved >= tolerance
            rows, first, beta, y = rows[left], first[left], beta[left], y[left]
            v = [value[left] for value in v]
            if not len(rows):
                break
        return out, total / len(out[0])

    def free(self, x: Array, tolerance: float, most: int = 200) -> tuple[list[Array], float]:
        """Return the free equilibrium, from rest."""
        rest = [np.broadcast_to(logistic(b), (len(x), len(b))) for b in self.biases]
        return self.settle(x, rest, np.zeros((len(x), 1), x.dtype), rest[-1], tolerance, most)

    def gradient(
        self, x: Array, y: Array, radius: float, points: int, noise: float, rng: np.random.Generator,
        tolerance: float, most: int = 200,
    ) -> tuple[list[Array], list[Array], tuple[float, float]]:  # fmt: skip
        """Return dC/dW and dC/db by ``points`` phases at β = r exp(2πik/N), and sweeps; N = 2 is centered EP.

        Phases at conjugate β are conjugate: only those of the upper half plane are solved; all are read.
        """
        batch, kind, plain = len(x), x.dtype, points == 2
        rest, sweeps = self.free(x, tolerance, most)
        betas = radius * np.exp(2j * np.pi * np.arange(points) / points)
        betas = betas.real.astype(kind) if plain else betas.astype(np.result_type(kind, 1j))
        half = points // 2 + 1
        start = [np.tile(v, (half, 1)).astype(betas.dtype) for v in rest]
        nudges = np.repeat(betas[:half], batch)[:, None]
        settled, more = self.settle(x, start, nudges, np.tile(y, (half, 1)), tolerance, most)
        reads = []
        for v in settled:
            upper = v.reshape(half, batch, -1)
            read = np.concatenate([upper, np.conj(upper[points - half : 0 : -1])])
            read = read + noise * rng.standard_normal(read.shape, dtype=kind)
            reads.append(read if plain else read + 1j * noise * rng.standard_normal(read.shape, dtype=kind))
        turned = [(1.0 / (points * betas))[:, None, None] * read for read in reads]
        db = [-t.real.sum(axis=(0, 1)) / batch for t in turned]
        dw = [-(x.T @ turned[0].real.sum(axis=0)) / batch]
        for below, here in zip(reads[:-1], turned[1:], strict=True):
            rows, columns = (part.reshape(points * batch, -1) for part in (below, here))
            moment = rows.real.T @ columns.real
            if not plain:
                moment = moment - rows.imag.T @ columns.imag
            dw.append(-moment / batch)
        return dw, db, (sweeps, more)


def network(
    layers: Sequence[int], gains: Sequence[float], rng: np.random.Generator, kind: type = np.float32
) -> Network:
    shapes = list(pairwise(layers))
    weights = [glorot(1.0, gain)(rng, shape).astype(kind) for gain, shape in zip(gains, shapes, strict=True)]
    return Network(weights, [np.full(n, -0.5, kind) for n in layers[1:]])


def voltages(part: Part) -> Array:
    """Return the clamped inputs, 1 V for a white pixel."""
    return part.features.astype(np.float32) / np.float32(part.full_scale)


def error(net: Network, part: Part) -> float:
    """Return the share of samples whose largest free output is the wrong one."""
    x, wrong = voltages(part), 0
    for first in range(0, len(x), 1000):
        outputs = net.free(x[first : first + 1000], 1e-3, 50)[0][-1]
        wrong += int((outputs.argmax(axis=1) != part.labels[first : first + 1000]).sum())
    return wrong / len(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=("ep", "holomorphic"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--noise", type=float, default=0.04, help="of one read of a voltage [V]")
    parser.add_argument("--beta", type=float, help="nudge or radius [S]; 0.1 and 0.5 if not given")
    parser.add_argument("--rates", type=float, nargs=3, default=(0.05, 0.05, 0.05), help="by layer")
    parser.add_argument("--decay", action="store_true", help="let the rates fall to zero, linearly, by the end")
    parser.add_argument("--gains", type=float, nargs=3, default=(1.0, 0.5, 0.5), help="of Glorot's initial range")
    parser.add_argument("--tolerance", type=float, default=1e-3, help="last move of a voltage in a phase [V]")
    parser.add_argument("--sweeps", type=int, default=30, help="most in a phase")
    parser.add_argument("--samples", type=int, default=50000, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    points, radius = {"ep": (2, 0.1), "holomorphic": (10, 0.5)}[options.rule]
    radius = options.beta or radius
    rng = np.random.default_rng(options.seed)
    data = load(DataConfig(name="mnist", validation_fraction=1 / 6, train_size=options.samples))
    x, y = voltages(data.train), np.eye(10, dtype=np.float32)[data.train.labels]
    net = network(LAYERS, options.gains, rng)
    began, done, updates = time.perf_counter(), 0, options.epochs * (len(x) // BATCH)
    for epoch in range(1, options.epochs + 1):
        sweeps = np.zeros(2)
        for batch in rng.permutation(len(x))[: len(x) // BATCH * BATCH].reshape(-1, BATCH):
            dw, db, counts = net.gradient(
                x[batch], y[batch], radius, points, options.noise, rng, options.tolerance, options.sweeps
            )
            sweeps += counts
            share = 1.0 - done / updates if options.decay else 1.0
            done += 1
            for values, gradient in ((net.weights, dw), (net.biases, db)):
                for value, g, rate in zip(values, gradient, options.rates, strict=True):
                    value -= np.float32(rate * share) * g
        assert data.validation is not None
        print(
            f"{options.rule}, epoch {epoch}: validation error {error(net, data.validation):.2%}, test error "
            f"{error(net, data.test):.2%}; {sweeps[0] / (len(x) // BATCH):.1f} and "
            f"{sweeps[1] / (len(x) // BATCH):.1f} sweeps a phase; {time.perf_counter() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
