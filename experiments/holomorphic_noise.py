"""Equilibrium propagation and its holomorphic form under the noise of neurons, on MNIST.

Run: python experiments/holomorphic_noise.py ep|holomorphic [--epochs 50] [--noise 0.04]

The Hopfield network 784-256-256 of `networks.hopfield(activation="sigmoid")`, leak 1 S and limit 1 V, with a
trainable softmax readout of ten classes beside it (`SoftmaxReadout`). In every sweep every neuron gets a current
of independent Gaussian noise: with 1 S to ground 0.04 A move its input by 40 mV. All phases of a batch run
together for a fixed number of block steps, complex ones included: v = activation(current + noise), layer by layer,
from the free equilibrium without noise. Test errors are those of free phases without noise.

The setting is that of table 1 of Laborieux & Zenke 2022, after the code they published: batch 20, rates 0.05, 50
epochs, noise of 4e-2 on what the activation function gets, read-out beside the network, which the noise does not
reach, N = 10 points at r = 0.4. Centered phases at beta = 0.1 stand for theirs with one sign, averaged over five
reads each: the noise of a gradient is 1/(beta sqrt(2)) against 1/(beta sqrt(2.5)). The biases start at -0.5 A, so
that neurons begin as their 1/(1 + exp(-4x + 2)).
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
from analogep.training.configuration.data import DataConfig
from analogep.training.data import Part, load

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


def softmax(u: Array) -> Array:
    """Return exp(u) / Σ exp(u) along the last axis; analytic in complex u."""
    e = np.exp(u - u.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@dataclass
class Network:
    """Layers of logistic neurons and a readout.

    Attributes
    ----------
    weights
        Transconductances (R, C) [S] between neighbours; last the readout's weights, dimensionless.
    biases
        Bias currents (C,) [A]; last the readout's biases [V].
    """

    weights: list[Array]
    biases: list[Array]

    def classes(self, v: Array) -> Array:
        """Return the probabilities of the classes for the voltages of the last layer."""
        return softmax(product(v, self.weights[-1]) + self.biases[-1])

    def settle(
        self, x: Array, v: list[Array], beta: Array | None, y: Array, sweeps: int,
        noise: float = 0.0, rng: np.random.Generator | None = None, tolerance: float = 0.0,
    ) -> list[Array]:  # fmt: skip
        """Return the state of K batches (K B, ·) nudged by β (K B, 1) towards y after block steps from v.

        They end early where no voltage moved by more than ``tolerance`` [V] in a sweep.
        """
        last, v = len(v) - 1, list(v)
        first = np.tile(x @ self.weights[0] + self.biases[0], (len(v[0]) // len(x), 1))
        for _ in range(sweeps):
            moved = 0.0
            for k in [*range(0, last + 1, 2), *range(1, last + 1, 2)]:
                current = first if k == 0 else product(v[k - 1], self.weights[k]) + self.biases[k]
                if k < last:
                    current = current + product(v[k + 1], self.weights[k + 1].T)
                elif beta is not None:
                    current = current + product(beta * (y - self.classes(v[k])), self.weights[-1].T)
                if rng is not None:
                    current = current + noise * rng.standard_normal(current.shape, dtype=x.dtype.type)
                new = logistic(current)
                if tolerance:
                    moved = max(moved, float(np.abs(new - v[k]).max()))
                v[k] = new
            if moved < tolerance:
                break
        return v

    def free(self, x: Array, tolerance: float, most: int = 200) -> list[Array]:
        """Return the free equilibrium without noise, from rest."""
        rest = [np.broadcast_to(logistic(b), (len(x), len(b))) for b in self.biases[:-1]]
        return self.settle(x, rest, None, x, most, tolerance=tolerance)

    def gradient(
        self, x: Array, y: Array, radius: float, points: int, noise: float, rng: np.random.Generator,
        sweeps: int, tolerance: float = 1e-3,
    ) -> tuple[list[Array], list[Array]]:  # fmt: skip
        """Return dC/dW and dC/db by ``points`` phases at β = r exp(2πik/N); N = 2 is centered EP."""
        batch, kind, plain = len(x), x.dtype, points == 2
        betas = radius * np.exp(2j * np.pi * np.arange(points) / points)
        betas = betas.real.astype(kind) if plain else betas.astype(np.result_type(kind, 1j))
        start = [np.tile(v, (points, 1)).astype(betas.dtype) for v in self.free(x, tolerance)]
        wanted = np.tile(y, (points, 1))
        v = self.settle(x, start, np.repeat(betas, batch)[:, None], wanted, sweeps, noise, rng if noise else None)
        turned = [(1.0 / (points * betas))[:, None, None] * s.reshape(points, batch, -1) for s in v]
        turned = [t.reshape(points * batch, -1) for t in turned]
        miss = (self.classes(v[-1]) - wanted) / points
        dw = [-x.T @ turned[0].real.reshape(points, batch, -1).sum(axis=0)]
        dw += [-moment(below, here) for below, here in zip(v[:-1], turned[1:], strict=True)]
        dw.append(moment(v[-1], miss))
        db = [*(-t.real.sum(axis=0) for t in turned), miss.real.sum(axis=0)]
        return [g / batch for g in dw], [g / batch for g in db]


def moment(rows: Array, columns: Array) -> Array:
    """Return Re rowsᵀ columns, without a conjugate."""
    if not np.iscomplexobj(rows):
        return rows.T @ columns
    return rows.real.T @ columns.real - rows.imag.T @ columns.imag


def network(
    layers: Sequence[int], gains: Sequence[float], rng: np.random.Generator, kind: type = np.float32
) -> Network:
    """Return a network with Glorot's initial ranges times ``gains``, the readout's last."""
    shapes = list(pairwise(layers))
    weights = [glorot(1.0, gain)(rng, shape).astype(kind) for gain, shape in zip(gains, shapes, strict=True)]
    return Network(weights, [*(np.full(n, -0.5, kind) for n in layers[1:-1]), np.zeros(layers[-1], kind)])


def voltages(part: Part) -> Array:
    """Return the clamped inputs, 1 V for a white pixel."""
    return part.features.astype(np.float32) / np.float32(part.full_scale)


def error(net: Network, part: Part) -> float:
    """Return the share of samples whose likeliest class in the free phase is the wrong one."""
    x, wrong = voltages(part), 0
    for first in range(0, len(x), 1000):
        classes = net.classes(net.free(x[first : first + 1000], 1e-3, 50)[-1])
        wrong += int((classes.argmax(axis=1) != part.labels[first : first + 1000]).sum())
    return wrong / len(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=("ep", "holomorphic"))
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--noise", type=float, default=0.04, help="current into each neuron in each sweep [A]")
    parser.add_argument("--beta", type=float, help="nudge or radius [S]; 0.1 and 0.4 if not given")
    parser.add_argument("--rate", type=float, default=0.05, help="of all parameters")
    parser.add_argument("--decay", action="store_true", help="let the rate fall to zero, linearly, by the end")
    parser.add_argument("--gains", type=float, nargs=3, default=(1.0, 0.5, 1.0), help="of Glorot's initial range")
    parser.add_argument("--sweeps", type=int, default=6, help="in the nudged phases")
    parser.add_argument("--samples", type=int, default=60000, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    points, radius = {"ep": (2, 0.1), "holomorphic": (10, 0.4)}[options.rule]
    radius = options.beta or radius
    rng = np.random.default_rng(options.seed)
    data = load(DataConfig(name="mnist", train_size=options.samples))
    x, y = voltages(data.train), np.eye(10, dtype=np.float32)[data.train.labels]
    net = network(LAYERS, options.gains, rng)
    began, done, updates = time.perf_counter(), 0, options.epochs * (len(x) // BATCH)
    for epoch in range(1, options.epochs + 1):
        for batch in rng.permutation(len(x))[: len(x) // BATCH * BATCH].reshape(-1, BATCH):
            dw, db = net.gradient(x[batch], y[batch], radius, points, options.noise, rng, options.sweeps)
            rate = np.float32(options.rate * (1.0 - done / updates if options.decay else 1.0))
            done += 1
            for value, g in zip(net.weights + net.biases, dw + db, strict=True):
                value -= rate * g
        print(
            f"{options.rule}, epoch {epoch}: test error {error(net, data.test):.2%}; "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
