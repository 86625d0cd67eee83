"""Costs on the outputs, and the nudges that belong to them."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.solve import ConductanceNudge, CurrentNudge, Nudge

Array = NDArray[np.float64]
NudgeForm = Literal["error", "frozen"]
NUDGE_FORMS: tuple[str, ...] = get_args(NudgeForm)


class Cost(Protocol):
    """A cost per sample C(o, y), o being the outputs (B, O) [V]."""

    def value(self, outputs: Array, targets: Array) -> Array:
        """Return C (B,)."""
        ...

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return ∂C/∂o (B, O)."""
        ...

    def nudge(self, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
        """Return the nudge of strength ``beta``; ``outputs`` are those of the free phase."""
        ...


class SquaredError:
    """Squared error C = ½ ‖o − y‖² [V²] per sample.

    Its error-dependent nudge is a conductance β [S] from each output to its target; the frozen one the constant
    current β (o − y) at the free phase's outputs. They differ at finite β (Kendall et al. 2020, section 3).
    """

    name = "squared_error"

    def value(self, outputs: Array, targets: Array) -> Array:
        """Return ½ ‖o − y‖² (B,) [V²]."""
        out: Array = 0.5 * ((outputs - targets) ** 2).sum(axis=1)
        return out

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return o − y (B, O) [V]."""
        return outputs - targets

    def nudge(self, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
        """Return the nudge of strength ``beta`` [S]; see the class."""
        if form == "error":
            return ConductanceNudge(beta, targets)
        if form == "frozen":
            return CurrentNudge(beta * (outputs - targets))
        raise InputError(f"unknown nudge form {form!r}; use one of {', '.join(NUDGE_FORMS)}")


def target_array(circuit: Circuit, targets: ArrayLike, batch: int) -> Array:
    """Return targets as (B, O) [V]; raises :class:`InputError` if they do not fit the circuit's outputs."""
    count = len(circuit.output_pairs)
    if not count:
        raise InputError("the circuit has no outputs to learn from; name outputs when you build it")
    try:
        array = np.atleast_2d(np.asarray(targets, dtype=float))
    except (TypeError, ValueError) as error:
        raise InputError(f"targets are not numbers: {error}") from None
    if array.shape != (batch, count):
        raise InputError(f"targets have shape {array.shape}; expected (batch, outputs) = {(batch, count)}")
    if not np.isfinite(array).all():
        b, k = np.argwhere(~np.isfinite(array))[0]
        raise InputError(f"target {k} of sample {b} is {array[b, k]}; give a finite voltage")
    return array
