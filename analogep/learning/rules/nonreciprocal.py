"""Equilibrium propagation on circuits without an energy: amplifiers, controlled sources, transistors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, InputError
from analogep.kinds import checked
from analogep.learning.costs.base import Cost, NudgeForm, check_nudge_form, target_array
from analogep.learning.gradient import Gradient, adjoint_products
from analogep.learning.resolution import check_resolved
from analogep.learning.rules.base import (
    NATIVE,
    SQUARED_ERROR,
    Inputs,
    Solver,
    Variant,
    check_beta,
    check_variant,
    phase_betas,
)
from analogep.solve import NewtonOptions
from analogep.solve.response.adjoint import doubled_state
from analogep.solve.response.transposed_phase import corrected_phase

Array = NDArray[np.float64]
_RESOLVED = 1e-9
"""Move of an output, per volt, below which it may be the solver's rounding."""

Adjoints = tuple[Array, dict[int, Array]]


def _per_beta(high: Adjoints, low: Adjoints, span: float) -> Adjoints:
    """Return −(high − low)/span: what stands for the adjoint in a rule of two phases."""
    return (low[0] - high[0]) / span, {b: (low[1][b] - i) / span for b, i in high[1].items()}


@dataclass(frozen=True)
class TwoPhases:
    """Settings of a rule that compares two phases; attributes as described at :class:`NonReciprocalEP`."""

    beta: float = 1e-6
    variant: Variant = "centered"
    nudge: NudgeForm = "error"

    def __post_init__(self) -> None:
        check_beta(self.beta)
        check_variant(self.variant)
        check_nudge_form(self.nudge)


@checked()
@dataclass(frozen=True)
class NonReciprocalEP(TwoPhases):
    """Equilibrium propagation with a correction for non-reciprocal elements (Scurria et al. 2026).

    The nudged phases s± solve F(s) ± β ∂C/∂s + (J₀ᵀ − J₀)(s − s₀) = 0, J₀ being the Jacobian of Kirchhoff's law
    F at the free equilibrium s₀: every controlled source acts backwards on how far the circuit has moved. Then
    λ = −(s₊ − s₋)/2β tends to the adjoint and dC/dθ = −λᵀ ∂F/∂θ(s₀); the bias is O(β²), or O(β) one-sided. Works
    on any circuit, and needs what a circuit at rest can show: its phases and the free currents' dependence on θ.

    Attributes
    ----------
    beta
        Nudging strength β [S].
    variant
        ``"positive"``, ``"negative"`` or ``"centered"``.
    nudge
        ``"error"`` or ``"frozen"``; see :class:`~analogep.learning.EquilibriumPropagation`.
    options
        Tolerances of Newton's method, which solves the nudged phases whatever solves the free one.
    """

    options: NewtonOptions = field(default_factory=NewtonOptions)

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return f"non-reciprocal EP {self.variant}"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate of dC/dθ; parameters as for ``EquilibriumPropagation.gradient``.

        Raises
        ------
        InputError
            If the centered phases are no mirror images of each other about the free one, so that β is too large,
            or differ by rounding alone.
        ConvergenceError
            If a phase has no operating point.
        """
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        outputs = free.outputs
        betas = phase_betas(self.variant, self.beta)
        phases: list[Adjoints] = []
        moves = []
        for beta in betas:
            nudge = cost.nudge(beta, outputs, wanted, self.nudge)
            nodes, branches, moved = corrected_phase(free, array, nudge, self.options)
            phases.append((nodes, branches))
            moves.append(moved)
        move = phases[1][0] - phases[0][0]
        pull = cost.gradient(outputs, wanted)
        check_resolved(self.name, ("β", self.beta, " S"), free, array, pull, move)
        if self.variant == "centered":
            self._check_mirror(moves[0], moves[1], outputs)
        lam, branch_lam = _per_beta(phases[1], phases[0], betas[1] - betas[0])
        blocks = adjoint_products(circuit, free, lam, branch_lam)
        return Gradient(blocks, blocks, cost.value(outputs, wanted), free, self.name, {"betas": betas})

    def _check_mirror(self, low: Array, high: Array, outputs: Array) -> None:
        odd, even = (np.linalg.norm(part, axis=1) for part in (high - low, high + low))
        resolved = _RESOLVED * np.maximum(1.0, np.abs(outputs).max(axis=1, initial=0.0))
        bad = np.flatnonzero((even > odd) & (even > resolved))
        if len(bad):
            raise InputError(
                f"β = {self.beta:g} S is too large: nudged by ±β the outputs of sample {bad[0]} do not move to "
                "opposite sides of the free phase. Use a smaller β"
            )


@checked()
@dataclass(frozen=True)
class VectorFieldEP(TwoPhases):
    """Equilibrium propagation on the equations alone, without a correction: biased on non-reciprocal circuits.

    dC/dθ ≈ ((s₊ − s₋)/2β)ᵀ ∂F/∂θ(s₀) with plain nudged phases (Scellier, Goyal, Binas, Mesnard & Bengio 2018,
    *Generalization of equilibrium propagation to vector field dynamics*). It takes J⁻¹ for J⁻ᵀ: exact as β → 0
    where the circuit is reciprocal without unequal amplifiers, wrong by a finite amount elsewhere, however small
    β is. Kept to compare with :class:`NonReciprocalEP`.

    Attributes are those of :class:`NonReciprocalEP`.
    """

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return f"vector field EP {self.variant}"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate of dC/dθ; parameters as for ``EquilibriumPropagation.gradient``.

        Raises
        ------
        InputError
            If the phases differ by rounding alone.
        ConvergenceError
            If a phase has no operating point.
        """
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        betas = phase_betas(self.variant, self.beta)
        phases: list[Adjoints] = []
        for beta in betas:
            nudge = cost.nudge(beta, free.outputs, wanted, self.nudge)
            phase = free if beta == 0.0 else solver(circuit, array, nudge, v0=free)
            phases.append((phase.voltages, phase.branches))
        pull, move = cost.gradient(free.outputs, wanted), phases[1][0] - phases[0][0]
        check_resolved(self.name, ("β", self.beta, " S"), free, array, pull, move)
        lam, branch_lam = _per_beta(phases[1], phases[0], betas[1] - betas[0])
        blocks = adjoint_products(circuit, free, lam, branch_lam)
        return Gradient(blocks, blocks, cost.value(free.outputs, wanted), free, self.name, {"betas": betas})


@checked()
@dataclass(frozen=True)
class DoubledStateEP:
    """Equilibrium propagation of a doubled circuit (m, d) with the saddle function H = dᵀf(m) − β C(m).

    ṁ = ∂H/∂d = f(m) is the circuit itself, at rest in its free phase; ḋ = ∂H/∂m = J(m)ᵀd − β ∂C/∂m is the circuit
    linearised there, with every controlled source turned round (the adjoint network of Director & Rohrer 1969),
    and starts from rest. dC/dθ = −(1/β) dᵀ ∂f/∂θ(m) then holds at any β, on any circuit, up to how far d has
    settled; Scurria et al. (2026).

    Attributes
    ----------
    beta
        Strength β [S] with which the cost drives d.
    tolerance
        Current left in the capacitors of d, relative to what the cost drives, at which d counts as settled.
    """

    beta: float = 1e-6
    tolerance: float = 1e-10

    def __post_init__(self) -> None:
        check_beta(self.beta)
        if not 0.0 < self.tolerance < 1.0:
            raise InputError(f"tolerance = {self.tolerance!r}; give a fraction between 0 and 1")

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return "doubled-state EP"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate of dC/dθ; parameters as for ``EquilibriumPropagation.gradient``.

        Raises
        ------
        ConvergenceError
            If the free phase has no operating point, or d does not settle.
        """
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        force = self.beta * cost.gradient(free.outputs, wanted)
        d, branches, steps = doubled_state(free, array, force, self.tolerance)
        bad = np.flatnonzero(~np.isfinite(d).all(axis=1))
        if len(bad):
            raise ConvergenceError(
                f"the doubled state of sample {bad[0]} does not settle: something there is held by diodes alone; "
                "give them a gmin or use the Adjoint rule"
            )
        # d of Kirchhoff's residual F = −f has the opposite sign
        lam, branch_lam = -d / self.beta, {b: -i / self.beta for b, i in branches.items()}
        blocks = adjoint_products(circuit, free, lam, branch_lam)
        info = {"betas": (0.0, self.beta), "steps": steps}
        return Gradient(blocks, blocks, cost.value(free.outputs, wanted), free, self.name, info)
