"""A trainable softmax readout beside the circuit: it measures the outputs and nudges them with currents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.kinds import checked
from analogep.learning.costs.base import Cost, NudgeForm, nudge_of
from analogep.learning.costs.classification import CrossEntropy, check_probabilities
from analogep.solve import Nudge

Array = NDArray[np.float64]

WEIGHTS, BIAS = "readout.weights", "readout.bias"
BLOCKS = (WEIGHTS, BIAS)
"""Names of the readout's parameters among those of the circuit."""


@runtime_checkable
class TrainableCost(Protocol):
    """A cost that has parameters of its own, which training changes with those of the circuit."""

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Its parameters, by block; no block of a circuit has such a name."""
        ...

    def with_parameters(self, parameters: Mapping[str, Array]) -> Cost:
        """Return the cost with those of its blocks that are among ``parameters``."""
        ...

    def parameter_gradient(self, outputs: Array, targets: Array) -> Mapping[str, Array]:
        """Return the derivatives of its mean over the batch by its parameters, at outputs (B, O) [V]."""
        ...


@checked()
@dataclass(frozen=True, eq=False)
class SoftmaxReadout:
    """Cross-entropy behind a linear readout that is not part of the circuit, u = o W + b, p = softmax(u / s).

    The circuit relaxes without it: in the free phase nothing flows back from the classes. In the nudged phase the
    outputs get the currents β s (p − y) Wᵀ [A] with the slopes β W (diag p − p pᵀ) Wᵀ [S]. W and b learn from
    the free phase alone, by the exact derivatives of the cost, since the outputs at rest do not depend on them.

    A readout *within* the circuit is a trainable crossbar before the outputs with :class:`CrossEntropy` on them.

    Source: Laborieux et al. 2021, *Scaling equilibrium propagation to deep convnets by drastically reducing its
    gradient estimator bias*, section 3.2.

    Attributes
    ----------
    weights
        W (O, K), dimensionless, from O outputs to K classes.
    bias
        b (K,) [V].
    scale
        Voltage s [V] of one unit of the exponent.
    """

    name: ClassVar[str] = "cross_entropy"
    analytic: ClassVar[bool] = True
    weights: Array
    bias: Array
    scale: float = 1.0

    def __post_init__(self) -> None:
        weights, bias = np.array(self.weights, dtype=float), np.array(self.bias, dtype=float)
        if weights.ndim != 2 or bias.shape != weights.shape[1:]:
            raise InputError(
                f"readout weights have shape {weights.shape} and biases {bias.shape}; give (outputs, classes) and "
                "(classes,)"
            )
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise InputError("readout weights and biases must be finite")
        for array in (weights, bias):
            array.setflags(write=False)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", bias)
        CrossEntropy(self.scale)  # checks the scale

    @property
    def softmax(self) -> CrossEntropy:
        """The cost on u."""
        return CrossEntropy(self.scale)

    @property
    def parameters(self) -> dict[str, Array]:
        """W and b by the names of :data:`BLOCKS`."""
        return {WEIGHTS: self.weights, BIAS: self.bias}

    @checked()
    def with_parameters(self, parameters: Mapping[str, Array]) -> SoftmaxReadout:
        """Return the readout with W and b of ``parameters``, which may hold other blocks too."""
        lacking = [block for block in BLOCKS if block not in parameters]
        if lacking:
            raise InputError(f"the readout needs {', '.join(BLOCKS)}; {', '.join(lacking)} is missing")
        return replace(self, weights=parameters[WEIGHTS], bias=parameters[BIAS])

    def target_count(self, outputs: int) -> int:
        """Return the number of classes; raises :class:`InputError` unless W has so many rows."""
        if outputs != len(self.weights):
            raise InputError(f"the readout measures {len(self.weights)} outputs, and the circuit has {outputs}")
        return len(self.bias)

    def scores(self, outputs: Array) -> Array:
        """Return u (B, K) [V]."""
        out: Array = outputs @ self.weights + self.bias
        return out

    def curvature(self, count: int) -> float:
        """Return ½ ‖W‖² with the largest singular value of W."""
        return 0.5 * float(np.linalg.norm(self.weights, 2)) ** 2

    def value(self, outputs: Array, targets: Array) -> Array:
        """Return C (B,) [V²]; raises :class:`InputError` if a row of ``targets`` is no distribution."""
        return self.softmax.value(self.scores(outputs), targets)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return ∂C/∂o (B, O) [V]; raises as :meth:`value`."""
        out: Array = self.softmax.gradient(self.scores(outputs), targets) @ self.weights.T
        return out

    def hessian(self, outputs: Array, targets: Array) -> Array:
        """Return ∂²C/∂o² (B, O, O)."""
        out: Array = self.weights @ self.softmax.hessian(self.scores(outputs), targets) @ self.weights.T
        return out

    def parameter_gradient(self, outputs: Array, targets: Array) -> dict[str, Array]:
        """Return ∂C/∂W (O, K) [V²] and ∂C/∂b (K,) [V], means over the batch; raises as :meth:`value`."""
        pull = self.softmax.gradient(self.scores(outputs), targets) / len(outputs)
        return {WEIGHTS: outputs.T @ pull, BIAS: pull.sum(axis=0)}

    def nudge(self, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
        """Return the nudge of strength ``beta`` [S]; see the class."""
        check_probabilities(targets)
        return nudge_of(self, beta, outputs, targets, form)
