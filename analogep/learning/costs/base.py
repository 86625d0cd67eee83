"""Costs on the outputs, and the nudges that belong to them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import ByValue, require_parts
from analogep.solve import ConductanceNudge, CurrentNudge, Nudge

Array = NDArray[np.float64]
Index = NDArray[np.int64]
NudgeForm = Literal["error", "frozen"]
NUDGE_FORMS: tuple[str, ...] = get_args(NudgeForm)


class Cost(Protocol):
    """A cost per sample C(o, y) [V²], o being the outputs (B, O) [V]."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        require_parts(cls, "cost")

    @property
    @abstractmethod
    def name(self) -> str:
        """Name in configurations and messages."""
        ...

    @abstractmethod
    def curvature(self, count: int) -> float:
        """Return a bound on the eigenvalues of ∂²C/∂o² with ``count`` outputs.

        β times it is the largest conductance [S] of an error-dependent nudge.
        """
        ...

    @abstractmethod
    def target_count(self, outputs: int) -> int:
        """Return how many targets a sample has where the circuit has so many outputs.

        Raises
        ------
        InputError
            If the cost does not fit so many outputs.
        """
        ...

    @abstractmethod
    def scores(self, outputs: Array) -> Array:
        """Return what targets are compared with, (B, targets): the largest names the class."""
        ...

    @property
    @abstractmethod
    def analytic(self) -> bool:
        """Whether gradient and nudges are analytic functions of complex outputs, as holomorphic rules need."""
        ...

    @abstractmethod
    def value(self, outputs: Array, targets: Array) -> Array:
        """Return C (B,)."""
        ...

    @abstractmethod
    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return ∂C/∂o (B, O)."""
        ...

    @abstractmethod
    def nudge(self, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
        """Return the nudge of strength ``beta`` [S]; ``outputs`` are those of the free phase."""
        ...


class CurvedCost(Cost, Protocol):
    """A cost with second derivatives, whose error-dependent nudge is :class:`CostNudge`."""

    @abstractmethod
    def hessian(self, outputs: Array, targets: Array) -> Array:
        """Return ∂²C/∂o² (B, O, O)."""
        ...


@dataclass(frozen=True, eq=False)
class CostNudge(ByValue):
    """The error-dependent nudge of any cost: currents β ∂C/∂o [A] at the outputs as they are, β in siemens."""

    cost: CurvedCost
    beta: float
    targets: Array

    def evaluate(self, outputs: Array) -> tuple[Array, Array]:
        """Return β ∂C/∂o (B, O) [A] and β ∂²C/∂o² (B, O, O) [S]."""
        current = self.beta * self.cost.gradient(outputs, self.targets)
        return current, self.beta * self.cost.hessian(outputs, self.targets)

    def select(self, samples: Index) -> CostNudge:
        """Return the nudge of some samples of the batch."""
        return CostNudge(self.cost, self.beta, self.targets[samples])


def nudge_of(cost: CurvedCost, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
    """Return a cost's nudge of strength ``beta`` [S], of either form."""
    check_nudge_form(form)
    if form == "error":
        return CostNudge(cost, beta, targets)
    return CurrentNudge(beta * cost.gradient(outputs, targets))


def check_nudge_form(form: str) -> None:
    """Raise :class:`InputError` unless the form is one of :data:`NUDGE_FORMS`."""
    if form not in NUDGE_FORMS:
        raise InputError(f"unknown nudge form {form!r}; use one of {', '.join(NUDGE_FORMS)}")


class OnOutputs:
    """What costs share whose targets are the outputs' own, one each."""

    def target_count(self, outputs: int) -> int:
        """Return the number of outputs."""
        return outputs

    def scores(self, outputs: Array) -> Array:
        """Return the outputs."""
        return outputs


class SquaredError(OnOutputs):
    """Squared error C = ½ ‖o − y‖² [V²] per sample.

    Its error-dependent nudge is a conductance β [S] from each output to its target; the frozen one the constant
    current β (o − y) at the free phase's outputs. They differ at finite β (Kendall et al. 2020, section 3).
    """

    name = "squared_error"
    analytic = True

    def curvature(self, count: int) -> float:
        """Return 1."""
        return 1.0

    def value(self, outputs: Array, targets: Array) -> Array:
        """Return ½ ‖o − y‖² (B,) [V²]."""
        out: Array = 0.5 * ((outputs - targets) ** 2).sum(axis=1)
        return out

    def gradient(self, outputs: Array, targets: Array) -> Array:
        """Return o − y (B, O) [V]."""
        return outputs - targets

    def nudge(self, beta: float, outputs: Array, targets: Array, form: NudgeForm) -> Nudge:
        """Return the nudge of strength ``beta`` [S]; see the class."""
        check_nudge_form(form)
        return ConductanceNudge(beta, targets) if form == "error" else CurrentNudge(beta * (outputs - targets))


def target_array(circuit: Circuit, targets: ArrayLike, batch: int, cost: Cost) -> Array:
    """Return targets (B, T); raises :class:`InputError` if they do not fit the cost on the circuit's outputs."""
    outputs = len(circuit.output_pairs)
    if not outputs:
        raise InputError("the circuit has no outputs to learn from; name outputs when you build it")
    count = cost.target_count(outputs)
    try:
        array = np.atleast_2d(np.asarray(targets, dtype=float))
    except (TypeError, ValueError) as error:
        raise InputError(f"targets are not numbers: {error}") from None
    if array.shape != (batch, count):
        raise InputError(f"targets have shape {array.shape}; expected (batch, targets) = {(batch, count)}")
    if not np.isfinite(array).all():
        b, k = np.argwhere(~np.isfinite(array))[0]
        raise InputError(f"target {k} of sample {b} is {array[b, k]}; give a finite voltage")
    return array
