"""Costs for classes: cross-entropy behind a softmax readout, and the margin (hinge) cost.

Targets are one row per sample: class probabilities, or 1 for the right class and 0 for the others. Both costs are
in V², like the squared error, so that β is a conductance and gradients have the same units for every cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.kinds import checked
from analogep.learning.costs.base import NudgeForm, OnOutputs, nudge_of
from analogep.solve import Nudge

Array = NDArray[np.float64]


@checked()
@dataclass(frozen=True)
class CrossEntropy(OnOutputs):
    """Cross-entropy of a softmax readout outside the circuit, C = −s² Σ_k y_k ln p_k, p = softmax(o / s).

    The readout measures the outputs and returns currents: the error-dependent nudge is i = β s (p(o) − y) [A]
    with the slopes β (diag p − p pᵀ) [S], the frozen one keeps i of the free phase. The factor s² makes it a cost
    in V², whose curvature is at most ½. p is analytic in complex outputs, as holomorphic equilibrium propagation
    needs.

    Source: Laborieux et al. 2021, *Scaling equilibrium propagation to deep convnets*, section 3.2, with the
    readout on the circuit's outputs.

    Attributes
    ----------
    scale
        Voltage s [V] of one unit of the exponent: the readout's temperature.
    """

    name: ClassVar[str] = "cross_entropy"
    analytic: ClassVar[bool] = True
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 < self.scale < np.inf:
            raise InputError(f"scale = {self.scale!r} V must be finite and positive")

    def curvature(self, count: int) -> float:
        """Return ½, the most that the eigenvalues 2 p (1 − p) (Gershgorin) of diag p − p pᵀ reach."""
        return 0.5

    def probabilities(self, outputs: Array) -> Array:
        """Return softmax(o / s) (B, O)."""
        x = outputs / self.scale
        grown = np.exp(x - x.real.max(axis=1, keepdims=True))
        out: Array = grown / grown.sum(axis=1, keepdims=True)
        return out

    def value(self, outputs: Array, targets: Array) -> Array:
        """Return C (B,) [V²].

        Raises
        ------
        InputError
            If a row of ``targets`` (B, O) is no probability distribution.
        """
        check_probabilities(targets)
        x = outputs / self.scale
        top = x.max(axis=1, keepdims=True)
        spread = top[:, 0] + np.log(np.exp(x - top).sum(axis=1))
        out: Array = self.scale**2 * (spread - (targets * x).sum(axis=1))
        return out

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return ∂C/∂o = s (p − y), (B, O) [V]; raises as :meth:`value`."""
        check_probabilities(targets)
        out: Array = self.scale * (self.probabilities(outputs) - targets)
        return out

    def hessian(self, outputs: Array, targets: Array) -> Array:
        """Return ∂²C/∂o² = diag p − p pᵀ, (B, O, O)."""
        p = self.probabilities(outputs)
        out: Array = p[:, :, None] * (np.eye(p.shape[1]) - p[:, None, :])
        return out

    def nudge(self, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
        """Return the nudge of strength ``beta`` [S]; see the class."""
        check_probabilities(targets)
        return nudge_of(self, beta, outputs, targets, form)


@checked()
@dataclass(frozen=True)
class Hinge(OnOutputs):
    """Margin cost of the right class y over all others, C = m Σ_{k≠y} h(m + o_k − o_y) [V²].

    After Weston & Watkins (1999, *Support vector machines for multi-class pattern recognition*). h(u) is u where
    u > 0 and 0 elsewhere: a class that is beaten by the margin m no longer nudges, and the others pull with
    currents that do not depend on by how much they miss. With a ``width`` w the corner is a parabola, h = u²/2w
    for 0 ≤ u ≤ w and u − w/2 above, so that the currents are continuous. With w = 0 they are the subgradient that
    counts classes strictly within the margin: an error-dependent phase that would come to rest just on the
    margin, where the current jumps, then has no solution, while the frozen nudge always has one.

    Not analytic. The right class is that of the largest target.

    Attributes
    ----------
    margin
        m [V].
    width
        w [V], at most the margin.
    """

    name: ClassVar[str] = "hinge"
    analytic: ClassVar[bool] = False
    margin: float = 0.1
    width: float = 0.01

    def __post_init__(self) -> None:
        if not 0.0 < self.margin < np.inf:
            raise InputError(f"margin = {self.margin!r} V must be finite and positive")
        if not 0.0 <= self.width <= self.margin:
            raise InputError(f"width = {self.width!r} V must lie between 0 V and the margin, {self.margin:g} V")

    def curvature(self, count: int) -> float:
        """Return O m/w, reached with all other classes on their corners; infinite for w = 0."""
        return count * self.margin / self.width if self.width else np.inf

    def value(self, outputs: Array, targets: Array) -> Array:
        """Return C (B,) [V²].

        Raises
        ------
        InputError
            If a row of ``targets`` (B, O) has no single largest entry.
        """
        u, right = self._misses(outputs, targets)
        w = self.width
        past = np.maximum(u - w, 0.0)
        corner = np.clip(u, 0.0, w) ** 2 / (2.0 * w) if w else 0.0 * u
        out: Array = self.margin * np.where(right, 0.0, corner + past).sum(axis=1)
        return out

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return ∂C/∂o, or a subgradient, (B, O) [V]; raises as :meth:`value`."""
        u, right = self._misses(outputs, targets)
        slope = np.clip(u / self.width, 0.0, 1.0) if self.width else (u > 0.0).astype(float)
        slope = np.where(right, 0.0, slope)
        out: Array = self.margin * (slope - right * slope.sum(axis=1, keepdims=True))
        return out

    def hessian(self, outputs: Array, targets: Array) -> Array:
        """Return ∂²C/∂o² (B, O, O); zero off the corners."""
        u, right = self._misses(outputs, targets)
        bent = ~right & (u > 0.0) & (u < self.width)
        # each bent corner k adds a aᵀ with a = e_k − e_y
        ahead = np.eye(outputs.shape[1])[None] - right[:, None, :]
        weights = (self.margin / self.width if self.width else 0.0) * bent
        out: Array = np.einsum("bk,bki,bkj->bij", weights, ahead, ahead)
        return out

    def nudge(self, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
        """Return the nudge of strength ``beta`` [S]; see the class."""
        return nudge_of(self, beta, outputs, targets, form)

    def _misses(self, outputs: Array, targets: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Return m + o_k − o_y (B, O) [V] and which entry is the right class."""
        right = targets == targets.max(axis=1, keepdims=True)
        bad = np.flatnonzero(right.sum(axis=1) != 1)
        if len(bad):
            raise InputError(
                f"targets of sample {bad[0]} are {targets[bad[0]].tolist()}; the hinge cost needs one class with "
                "the largest target"
            )
        return self.margin + outputs - outputs[right][:, None], right


def check_probabilities(targets: Array) -> None:
    """Raise :class:`InputError` unless every row of targets (B, K) is a probability distribution."""
    bad = np.flatnonzero((targets < 0.0).any(axis=1) | (np.abs(targets.sum(axis=1) - 1.0) > 1e-9))
    if len(bad):
        raise InputError(
            f"targets of sample {bad[0]} are {targets[bad[0]].tolist()}; cross-entropy needs class probabilities, "
            "such as 1 for the right class and 0 for the others"
        )
