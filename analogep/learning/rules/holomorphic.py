"""Holomorphic equilibrium propagation: the exact derivative from phases at finite, complex nudges."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError, RuleError
from analogep.kinds import checked
from analogep.learning.costs.base import Cost, NudgeForm, check_nudge_form, target_array
from analogep.learning.gradient import Gradient, energy_difference, scaled
from analogep.learning.resolution import check_resolved
from analogep.learning.rules.base import (
    NATIVE,
    SQUARED_ERROR,
    Inputs,
    Solver,
    check_convex,
    check_stable,
    require_observables,
)
from analogep.learning.scaling import require_energy
from analogep.solve import NewtonOptions
from analogep.solve.response.complex_nudge import continued_voltages

Array = NDArray[np.float64]


@checked()
@dataclass(frozen=True)
class HolomorphicEP:
    """Holomorphic equilibrium propagation (Laborieux & Zenke 2022, *Holomorphic equilibrium propagation*).

    The phases are solved at β_k = r e^{2πik/N} on a circle around the free phase, and Cauchy's integral formula
    gives the derivative at its centre, dC/dθ = (1/Nr) Σ_k ∂E/∂θ(s_k) e^{−2πik/N}, up to O(r^N); N = 2 is centered
    equilibrium propagation. Phases at conjugate β are conjugate, so that N phases take ⌊N/2⌋ + 1 solves.

    Every element must be analytic. A diode's law has two pieces (ngspice's): each diode keeps, in all phases, the
    piece on which the real voltage of the free phase lies, so that what is differentiated is analytic. The complex
    phases are solved by the native Newton method whatever solves the free one.

    Attributes
    ----------
    radius
        Radius r [S] of the circle; within it the equilibrium must have no singularity as a function of β.
    points
        Number of phases N, at least 2.
    nudge
        ``"error"`` or ``"frozen"``; see :class:`~analogep.learning.EquilibriumPropagation`.
    check
        Whether the radius is checked against the largest β that keeps the repelled phase convex.
    options
        Tolerances of Newton's method.
    """

    radius: float = 1e-6
    points: int = 6
    nudge: NudgeForm = "error"
    check: bool = True
    options: NewtonOptions = field(default_factory=NewtonOptions)

    def __post_init__(self) -> None:
        if not (0 < self.radius < np.inf):
            raise InputError(f"radius = {self.radius:g} S must be finite and positive")
        if isinstance(self.points, bool) or not isinstance(self.points, int) or self.points < 2:
            raise InputError(f"points = {self.points!r}; give a whole number of at least 2")
        check_nudge_form(self.nudge)

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return f"holomorphic EP N={self.points}"

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
        RuleError
            If the circuit has no energy, or an element or the cost is not analytic; names it and another rule.
        InputError
            If the radius makes the repelled phase non-convex, or the phases differ by rounding alone.
        ConvergenceError
            If a phase has no operating point.
        """
        scale = require_energy(circuit, self.name)
        require_observables(circuit, self.name)
        self._require_analytic(circuit, cost)
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        if self.check:
            check_stable(free, array, self.name)
            if self.nudge == "error":
                check_convex(free, array, self.radius, cost)
        unit = cost.nudge(1.0, free.outputs, wanted, self.nudge)
        raw = {key: np.zeros(value.shape) for key, value in circuit.parameters.items()}
        betas = self.radius * np.exp(2j * np.pi * np.arange(self.points) / self.points)
        for k in range(self.points // 2 + 1):
            beta = complex(betas[k].real) if k in (0, self.points / 2) else complex(betas[k])
            voltages = continued_voltages(free, array, unit, beta, self.options)
            mirrored = 1.0 if k in (0, self.points / 2) else 2.0
            # E(s_k) − E(s_0), since the part of the free phase sums to zero
            if k == 0:
                pull, move = cost.gradient(free.outputs, wanted), voltages.real - free.voltages
                check_resolved(self.name, ("radius", self.radius, " S"), free, array, pull, move)
            moved = energy_difference(circuit, free.voltages, voltages)  # type: ignore[arg-type]  # complex ones
            for key, value in moved.items():
                raw[key] += mirrored * (value / beta).real / self.points
        return Gradient(
            scaled(circuit, scale, raw),
            raw,
            cost.value(free.outputs, wanted),
            free,
            self.name,
            {"betas": tuple(map(complex, betas))},
        )

    def _require_analytic(self, circuit: Circuit, cost: Cost) -> None:
        for bank in circuit.banks:
            if not bank.device.analytic:
                raise RuleError(
                    f"{self.name} needs analytic elements, and {bank.names[0]} is a {bank.device.kind}; use "
                    "EquilibriumPropagation, or a device with a smooth law such as Diode"
                )
        if not cost.analytic:
            raise RuleError(
                f"{self.name} needs an analytic cost, and {cost.name} is none; use EquilibriumPropagation, or "
                "another cost"
            )
