"""Iterative refinement against Kirchhoff's law summed element by element.

Each step gains as many digits as the
factorised Jacobian is good for (Higham, Accuracy and Stability of Numerical Algorithms, section 12.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.solve.elementwise import conductance_spread, evaluate_by_element
from analogep.solve.linear import linear_solver
from analogep.solve.newton import NewtonResult
from analogep.solve.system import System

Array = NDArray[np.float64]

SPREAD = 1e5
"""Ratio of conductances from which refinement pays: eps times that is 2e-11."""

_STEPS = 3


def refine(system: System, result: NewtonResult) -> NewtonResult:
    """Return a converged result with its unknowns refined, where the conductances span enough decades.

    A step is taken only while it is small and shrinks, so that refinement cannot lead away.
    """
    model = system.model
    if not len(result.x) or not model.plan.size or conductance_spread(model) < SPREAD:
        return result
    x, last = result.x.copy(), np.full(len(result.x), 1e-3)
    solver = linear_solver(model)
    for _ in range(_STEPS):
        ev = evaluate_by_element(system, x)
        step = solver.solve(model.slots.values(ev.slopes), -ev.residual)
        scale = np.maximum(1.0, np.abs(x).max(axis=1))
        size = np.abs(step[:, : len(model.plan.nodes)]).max(axis=1, initial=0.0) / scale
        good = size < 0.1 * last  # false for a singular Jacobian
        x[good] += step[good]
        last = np.where(good, size, 0.0)
        if not (last > 1e-15).any():
            break
    return NewtonResult(x, result.converged, result.residual, result.iterations)
