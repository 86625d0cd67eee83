"""Newton homotopy by arc length: a path that may turn back on its way to the solution.

Where feedback gives a circuit several operating points, the paths of gmin and source stepping end at a fold.
The zeros of H(x, λ) = R(x) − (1 − λ) R(x₀) form a curve through (x₀, 0) that is followed by its arc length,
through folds, until λ = 1 (Melville, Trajković, Fang, Watson 1993, on homotopies for DC operating points;
Keller 1977 for the bordered step).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.solve.equations.system import System
from analogep.solve.linear.systems import LinearSolver, linear_solver

Array = NDArray[np.float64]

_STEPS = 120
_CORRECTIONS = 6
_FAR = 1e6  # [V]: the path has left for infinity


@np.errstate(all="ignore")  # a step that overflows is not taken
def follow(system: System, x0: Array, tangent: sp.csr_array | None) -> tuple[Array, float, int]:
    """Follow the path of one sample from x₀ (n,).

    Parameters
    ----------
    system
        The system of that sample alone.
    x0
        Where to start.
    tangent
        A matrix to add to the Jacobian alone; see :func:`analogep.solve.newton.newton.newton`.

    Returns
    -------
    tuple
        The unknowns (n,) at which the path reached λ = 1, or ended; the largest λ; linear solves.
    """
    path = _Path(system, x0, linear_solver(system.model, tangent))
    x, position, best = x0.copy(), 0.0, 0.0
    direction, rate = path.tangent(x)
    length = 0.1
    for _ in range(_STEPS):
        if not np.isfinite(rate) or np.abs(x).max(initial=0.0) > _FAR or length < 1e-7:
            break
        last = rate > 0 and position + length * rate >= 1.0
        step = (1.0 - position) / rate if last else length
        trial = path.correct(x + step * direction, position + step * rate, direction, rate)
        if trial is None:
            length = 0.25 * step
            continue
        new, there, count = trial
        moved = np.append(path.own(new - x), there - position)
        if np.linalg.norm(moved) > 3.0 * step:  # it jumped to another branch
            length = 0.25 * step
            continue
        x, position = new, there
        best = max(best, min(position, 1.0))
        if position >= 1.0 - 1e-9:
            break
        before, sign = direction, rate
        direction, rate = path.tangent(x)
        if path.own(before) @ path.own(direction) + sign * rate < 0:
            direction, rate = -direction, -rate
        length = step * (2.0 if count <= 3 else 1.0 if count <= 4 else 0.5)
    return x, best, path.solves


class _Path:
    """The curve H(x, λ) = 0 of one sample; lengths count the nodes' voltages and λ."""

    def __init__(self, system: System, x0: Array, solver: LinearSolver) -> None:
        self.system, self.solver, self.nodes = system, solver, len(system.model.plan.nodes)
        self.start = system.evaluate(x0[None]).residual[0]
        self.solves = 0

    def own(self, x: Array) -> Array:
        """Return what counts towards lengths: the nodes' voltages."""
        return x[: self.nodes]

    def _solve(self, x: Array, position: float) -> tuple[Array, Array, Array]:
        """Return H and, of the Jacobian there, the answers to −H and to −∂H/∂λ."""
        ev = self.system.evaluate(x[None])
        entries = self.system.model.slots.values(ev.slopes)
        h = ev.residual[0] - (1.0 - position) * self.start
        self.solves += 1
        both = self.solver.solve(np.repeat(entries, 2, axis=0), np.stack([-h, -self.start]))
        return h, both[0], both[1]

    def tangent(self, x: Array) -> tuple[Array, float]:
        """Return the unit tangent (dx/ds, dλ/ds) at a point of the curve, with λ growing."""
        _, _, along = self._solve(x, 0.0)
        rate = 1.0 / float(np.sqrt(1.0 + self.own(along) @ self.own(along)))
        return rate * along, rate

    def correct(self, x: Array, position: float, direction: Array, rate: float) -> tuple[Array, float, int] | None:
        """Return to the curve within the plane across the tangent, and say in how many steps; None on failure."""
        for k in range(1, _CORRECTIONS + 1):
            _, own, along = self._solve(x, position)
            shift = -(self.own(direction) @ self.own(own)) / (rate + self.own(direction) @ self.own(along))
            step = own + shift * along
            if not np.isfinite(step).all() or not np.isfinite(shift):
                return None
            x, position = x + step, position + float(shift)
            if np.abs(self.own(step)).max(initial=0.0) <= 1e-5 * max(1.0, np.abs(self.own(x)).max(initial=0.0)):
                return x, position, k
        return None
