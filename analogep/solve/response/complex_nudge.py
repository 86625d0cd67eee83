"""Operating points at a complex nudge: Kirchhoff's law continued analytically from the free equilibrium.

All laws are used as they are, on complex voltages; matrices are transposed and never conjugated, so that the
equations stay analytic in β. A law in pieces (a diode's) keeps the piece of the free equilibrium all along, and
near the free equilibrium Newton's method needs no limiting.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.errors import ConvergenceError
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.system import System
from analogep.solve.linear.systems import linear_solver
from analogep.solve.newton.newton import NewtonOptions, residual_bound
from analogep.solve.nudge import Nudge

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
Index = NDArray[np.int64]

_SHARES = (1.0, 0.5, 0.25, 0.125)
"""First steps along the ray to β, of which the largest that succeeds is taken."""


@dataclass(frozen=True)
class ComplexNudge:
    """Another nudge, times a complex β."""

    unit: Nudge
    beta: complex

    def evaluate(self, outputs: Array) -> tuple[Array, Array]:
        """Return β times the currents (B, O) [A] and slopes of the other at complex outputs (B, O) [V]."""
        current, slope = self.unit.evaluate(outputs)
        return self.beta * current, self.beta * slope  # type: ignore[return-value]

    def select(self, samples: Index) -> ComplexNudge:
        """Return the nudge of some samples of the batch."""
        return ComplexNudge(self.unit.select(samples), self.beta)


class Continued(System):
    """A system whose unknowns may be complex, in the pieces of its real free equilibrium.

    Parameters
    ----------
    free
        The free equilibrium.
    inputs
        Its inputs (B, I) [V].
    nudge
        The nudge.
    """

    def __init__(self, free: Solution, inputs: Array, nudge: Nudge) -> None:
        super().__init__(free.circuit, inputs, nudge)
        self.at = self.model.junction_voltages(free.voltages[: len(inputs)])

    def junction_currents(self, u: Array) -> tuple[Array, Array]:
        """See :meth:`System.junction_currents`."""
        return self.model.continued_currents(u, self.at)


def continued_voltages(
    free: Solution, inputs: Array, unit: Nudge, beta: complex, options: NewtonOptions
) -> Complex:
    """Return the node voltages (B, N) [V] at the complex nudging strength β.

    Parameters
    ----------
    free
        The free equilibrium of a circuit of analytic elements.
    inputs
        Its inputs (B, I) [V].
    unit
        The nudge at β = 1 S, analytic in complex outputs.
    beta
        β [S].
    options
        Tolerances and limits of Newton's method.

    Raises
    ------
    ConvergenceError
        If some sample has no solution that Newton's method finds on the way from β = 0.
    """
    system = Continued(free, inputs, ComplexNudge(unit, beta))
    start = system.model.unknowns(free.voltages, free.branches).astype(complex)
    for share in _SHARES:
        x, done = start, np.zeros(len(start), dtype=bool)
        for part in np.arange(share, 1.0 + share / 2.0, share):
            system.nudge = ComplexNudge(unit, part * beta)
            x, done = _newton(system, x, options)
            if not done.all():
                break
        if done.all():
            voltages: Complex = system.voltages(x)  # type: ignore[assignment]
            return voltages
    raise ConvergenceError(
        f"no equilibrium found at the complex nudge β = {beta:.3g} S for {int((~done).sum())} of {len(done)} "
        f"samples (first: sample {np.flatnonzero(~done)[0]}); use a smaller radius"
    )


@np.errstate(over="ignore", invalid="ignore")  # a sample that runs away has failed
def _newton(system: Continued, x: Complex, options: NewtonOptions) -> tuple[Complex, NDArray[np.bool_]]:
    """Run Newton's method without limiting; return unknowns (B, n) and which samples converged (B,)."""
    model = system.model
    solver, nodes = linear_solver(model), len(model.plan.nodes)
    small = np.zeros(len(x), dtype=bool)
    for _ in range(options.max_iterations + 1):
        ev = system.evaluate(x)  # type: ignore[arg-type]
        entries = model.slots.values(ev.slopes)
        bound = residual_bound(model, x, ev, entries, options)  # type: ignore[arg-type]
        done: NDArray[np.bool_] = small & np.all(np.abs(ev.residual) <= bound, axis=1)
        if done.all() or not np.isfinite(ev.residual).all():
            break
        step = solver.solve(entries, -ev.residual)
        x = x + step
        moves = np.abs(step) / np.maximum(1.0, np.abs(x))
        small = moves[:, :nodes].max(axis=1, initial=0.0) <= options.voltage_tolerance
    return x, done
