"""Iterative refinement against Kirchhoff's law summed element by element.

Each step gains as many digits as the
factorised Jacobian is good for (Higham, Accuracy and Stability of Numerical Algorithms, section 12.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.solve.equations.elementwise import conductance_spread, evaluate_by_element
from analogep.solve.equations.system import System
from analogep.solve.linear.systems import linear_solver
from analogep.solve.newton.newton import NewtonResult

Array = NDArray[np.float64]

SPREAD = 1e5
"""Ratio of conductances from which refinement pays: eps times that is 2e-11."""

_STEPS = 3
_PROBES = 3
_WORTH = 1e-12  # movement, per volt around, that makes refinement of the whole batch worth its time


def refine(system: System, result: NewtonResult) -> NewtonResult:
    """Return a converged result with its unknowns refined, where the conductances span enough decades.

    Of a large batch a few samples are tried first, and the rest only if these moved: how well a group of nodes
    is held depends on the conductances far more than on the inputs.
    """
    model, batch = system.model, len(result.x)
    if not batch or not model.plan.size or conductance_spread(model) < SPREAD:
        return result
    if batch > 2 * _PROBES:
        few = np.linspace(0, batch - 1, _PROBES).astype(np.int64)
        probe = NewtonResult(result.x[few], result.converged[few], result.residual[few], result.iterations[few])
        moved = np.abs(_refined(system.select(few), probe).x - probe.x)[:, : len(model.plan.nodes)]
        if moved.max(initial=0.0) < _WORTH * max(1.0, float(np.abs(probe.x).max())):
            return result
    return _refined(system, result)


def _refined(system: System, result: NewtonResult) -> NewtonResult:
    """Take refinement steps while they are small and shrink, so that they cannot lead away."""
    model = system.model
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
