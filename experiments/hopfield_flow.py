"""Active Hopfield graphs: what the package finds, held against the network's own flow and energy.

The equations are the docstring's, written anew: F(s) = φ(s) − W s − b with φ the neuron's load; a point is stable
where ∂F/∂s is positive definite on the neurons that no clamp holds (capacitances are equal, W is symmetric).
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from census_tools import LONGEST, Array, Finding, Generator, TooSlow, limited

from analogep import operating_point
from analogep.circuit import Circuit
from analogep.errors import AnalogepError
from analogep.networks import hopfield_graph

LEAK = 1e-4


class Network:
    """A random graph: weights in units of the leak, the first neurons clamped."""

    def __init__(self, rng: Generator) -> None:
        n = int(rng.integers(3, 16))
        self.inputs = int(rng.integers(1, max(2, n // 2)))
        upper = np.triu(rng.random((n, n)) < rng.uniform(0.2, 0.9), 1)
        upper |= np.diag(np.ones(n - 1, bool), 1)
        self.edges = np.argwhere(upper)
        strength = 10.0 ** rng.uniform(-1, 0.8)
        self.weights = rng.normal(0, strength, len(self.edges))
        self.activation = str(rng.choice(["tanh", "sigmoid", "clipped_relu"]))
        self.drive = rng.uniform(-0.8, 0.8, self.inputs) * (rng.random() < 0.8)
        self.bias = rng.normal(0, 0.3, n - self.inputs) * (rng.random() < 0.5)
        self.size = n
        matrix = np.zeros((n, n))
        matrix[tuple(self.edges.T)] = self.weights
        matrix += matrix.T
        self.w = matrix[self.inputs :, self.inputs :]
        self.push = matrix[self.inputs :, : self.inputs] @ self.drive + self.bias

    def circuit(self) -> Circuit:
        circuit = hopfield_graph(
            self.edges, self.weights * LEAK, inputs=list(range(self.inputs)), outputs=[self.size - 1],
            activation=self.activation, leak=LEAK, bias=True,
        )  # fmt: skip
        return circuit.with_parameters({"b.amplitude": self.bias * LEAK})

    def answer(self, u: Array) -> Array:
        """Return the neurons' voltages under currents ``u`` (in leaks)."""
        if self.activation == "tanh":
            return np.tanh(u)
        if self.activation == "sigmoid":
            return 0.5 + 0.5 * np.tanh(2.0 * u)
        return np.clip(u, 0.0, 1.0)

    def missed(self, s: Array) -> float:
        """Return by how much [V] the neurons miss the answer to their own currents."""
        return float(np.abs(self.answer(self.w @ s + self.push) - s).max())

    def lowest(self, s: Array) -> float:
        """Return the least eigenvalue of ∂F/∂s (in leaks) over the neurons that are free."""
        if self.activation == "clipped_relu":
            u = self.w @ s + self.push
            free = (u > 0.0) & (u < 1.0)
            if not free.any():
                return 1.0
            return float(np.linalg.eigvalsh(np.eye(free.sum()) - self.w[np.ix_(free, free)]).min())
        ratio = s if self.activation == "tanh" else 2.0 * (s - 0.5)
        slope = 1.0 / np.maximum(1.0 - ratio**2, 1e-12)
        return float(np.linalg.eigvalsh(np.diag(slope) - self.w).min())

    def flow(self, rng: Generator, starts: int = 8) -> Array | None:
        """Return a stable point that u̇ = W s(u) + push − u leads to, if it does from some start."""
        for _ in range(starts):
            u = rng.normal(0, 1, len(self.push))
            for _ in range(20_000):
                move = self.w @ self.answer(u) + self.push - u
                u = u + 0.05 * move
                if np.abs(move).max() < 1e-11:
                    break
            s = self.answer(u)
            if self.missed(s) < 1e-8 and self.lowest(s) > 1e-6:
                return s
        return None


def one(seed: int, number: int, kind: str) -> Finding:
    rng = np.random.default_rng([seed, number])
    net = Network(rng)
    what = (
        f"{kind}\n* edges {net.edges.tolist()}\n* weights (of {LEAK:g} S) {net.weights.tolist()}\n"
        f"* {net.activation}, inputs {net.drive.tolist()}, bias (of {LEAK:g} A) {net.bias.tolist()}\n"
    )
    started = time.process_time()
    try:
        with limited(LONGEST), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            solution = operating_point(net.circuit(), net.drive)
    except TooSlow:
        return Finding(number, kind, "too slow", f"more than {LONGEST:g} s", what, LONGEST)
    except AnalogepError as error:
        seconds = time.process_time() - started
        stable = net.flow(rng)
        outcome = "refused, no stable point found" if stable is None else "refused, another point is stable"
        return Finding(number, kind, outcome, f"{error}; stable: {stable}", what, seconds)
    except Exception as error:  # what the census looks for: a foreign traceback
        return Finding(number, kind, "foreign error", f"{type(error).__name__}: {error}", what)
    seconds = time.process_time() - started
    s = np.array([float(solution.voltage(f"s{k}")[0]) for k in range(net.inputs, net.size)])
    missed, lowest = net.missed(s), net.lowest(s)
    if missed > 1e-6 * max(1.0, np.abs(net.weights).sum()):
        return Finding(number, kind, "silently wrong", f"{missed:.3g} V from its own answer", what, seconds)
    if lowest < -1e-7:
        said = "; ".join(str(w.message) for w in warned)
        outcome = (
            "unstable, said so"
            if said
            else "silently unstable"
            if net.flow(rng) is not None
            else "unstable, no stable point found"
        )
        return Finding(
            number, kind, outcome, f"eigenvalue {lowest:.3g} leaks, {solution.engine}; {said}", what, seconds
        )
    return Finding(number, kind, "stable", "", what, seconds)
