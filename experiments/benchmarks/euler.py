"""Equilibrium propagation as Scellier & Bengio (2017) published it, in PyTorch, for a network of one hidden layer.

The free phase takes 20 Euler steps of 0.5 from the states that were kept for its samples, the nudged phase 4 from
where the free one ends; neurons are clipped to [0, 1], the sign of β is random, and the states of the free phase
are kept. The pixels' current into the hidden layer is computed once per sample, and no gradients are recorded.
``training.py`` measures our epochs against this.
"""

from __future__ import annotations

import numpy as np
import torch

from analogep.circuit import Circuit
from analogep.training.problem import Problem

STEP, FREE, NUDGED = 0.5, 20, 4
"""Length of an Euler step (in time constants of a neuron), steps of the free and of the nudged phase."""


class EulerNetwork:
    """One hidden layer of clipped ReLUs, trained by equilibrium propagation with Euler steps.

    Parameters
    ----------
    of
        Problem with data, targets, rates, β and batch.
    circuit
        Network to start from, with a leak of 1 S and a limit of 1 V.
    """

    def __init__(self, of: Problem, circuit: Circuit) -> None:
        single = {k: torch.from_numpy(v.astype(np.float32)) for k, v in circuit.parameters.items()}
        self.first, self.second = single["W1.forward"], single["W2.transconductance"]
        self.bias = single["b1.amplitude"], single["b2.amplitude"]
        self.rates = of.config.training.rates
        self.beta = float(of.config.learning.beta)
        self.pixels = torch.from_numpy(of.train.single(dtype=np.float32))
        self.targets = torch.from_numpy(np.asarray(of.train.targets, np.float32))
        self.kept = [torch.zeros(len(self.pixels), len(b)) for b in self.bias]
        self.signs = np.random.default_rng(0)

    def settle(
        self,
        hidden: torch.Tensor,
        output: torch.Tensor,
        into: torch.Tensor,
        steps: int,
        beta: float = 0.0,
        target: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states (B, n) after so many Euler steps; ``into`` (B, n1) flows in from the pixels."""
        for _ in range(steps):
            up = torch.addmm(into, output, self.second.T)
            out = torch.addmm(self.bias[1], hidden, self.second)
            if target is not None:
                out += beta * (target - output)
            hidden = torch.lerp(hidden, up, STEP).clamp_(0.0, 1.0)
            output = torch.lerp(output, out, STEP).clamp_(0.0, 1.0)
        return hidden, output

    def update(self, samples: torch.Tensor) -> None:
        """Do one update on the samples (B,)."""
        x, target = self.pixels[samples], self.targets[samples]
        into = torch.addmm(self.bias[0], x, self.first)
        h0, y0 = self.settle(self.kept[0][samples], self.kept[1][samples], into, FREE)
        self.kept[0][samples], self.kept[1][samples] = h0, y0
        beta = self.beta * self.signs.choice((-1.0, 1.0))
        h1, y1 = self.settle(h0, y0, into, NUDGED, beta, target)
        scale = 1.0 / (beta * len(samples))
        rates = {name: scale * rate for name, rate in self.rates.items()}
        dh, dy = h1 - h0, y1 - y0
        self.first.addmm_(x.T, dh, alpha=rates["W1.forward"])
        self.second.addmm_(h1.T, y1, alpha=rates["W2.transconductance"])
        self.second.addmm_(h0.T, y0, alpha=-rates["W2.transconductance"])
        self.bias[0].add_(dh.sum(0), alpha=rates["b1.amplitude"])
        self.bias[1].add_(dy.sum(0), alpha=rates["b2.amplitude"])

    def outputs(self, lines: np.ndarray, steps: int = FREE) -> np.ndarray:
        """Return the outputs (S, O) for lines (S, F) after so many steps from zero."""
        into = torch.addmm(self.bias[0], torch.from_numpy(lines), self.first)
        zero = [torch.zeros(len(lines), len(b)) for b in self.bias]
        return self.settle(*zero, into, steps)[1].numpy()
