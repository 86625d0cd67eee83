"""Newton's method with junction limiting, and what it falls back on.

Each iteration solves the circuit linearised at the (limited) junction voltages, as SPICE does. Samples leave
the batch as they converge. If the plain method fails, a shunt to ground at every node is stepped down to
zero (gmin stepping), then a pseudo-transient is followed to rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.solve.limiting import Linearisation
from analogep.solve.linear import linear_solver
from analogep.solve.model import Model, scatter_add
from analogep.solve.system import Evaluation, System

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NewtonOptions:
    """Tolerances and limits of Newton's method.

    Attributes
    ----------
    voltage_tolerance
        Largest last step [V]; convergence is quadratic, so the error left is far smaller.
    residual_tolerance
        Largest residual, relative to the node's conductance times its voltage.
    current_tolerance
        Largest residual that is always accepted [A].
    max_iterations
        Iterations of one Newton run.
    """

    voltage_tolerance: float = 1e-9
    residual_tolerance: float = 1e-12
    current_tolerance: float = 1e-18
    max_iterations: int = 200


@dataclass(frozen=True)
class Anchor:
    """A linear term that a method adds to Kirchhoff's law: R += G (x − target) + current.

    Attributes
    ----------
    conductance
        G (n, n) [S].
    target
        Unknowns (B, n) that G pulls to.
    current
        Constant part (B, n) [A].
    """

    conductance: sp.csr_array
    target: Array
    current: Array | None = None


@dataclass(frozen=True)
class NewtonResult:
    """Outcome for a batch: unknowns (B, n), converged (B,), residual rows (B, n) [A], iterations (B,)."""

    x: Array
    converged: NDArray[np.bool_]
    residual: Array
    iterations: NDArray[np.int64]


@np.errstate(over="ignore", invalid="ignore")  # a sample that runs away is dropped where it overflows
def newton(system: System, x0: Array, options: NewtonOptions, anchor: Anchor | None = None) -> NewtonResult:
    """Run plain Newton with junction limiting from ``x0`` (B, n)."""
    model, size = system.model, system.model.plan.size
    batch = len(x0)
    x = x0.copy()
    converged = np.zeros(batch, dtype=bool)
    iterations = np.zeros(batch, dtype=np.int64)
    rows = np.zeros((batch, size))
    if size == 0:
        return NewtonResult(x, ~converged, rows, iterations)
    solver = linear_solver(model, None if anchor is None else anchor.conductance)
    alive = np.arange(batch)
    part = system
    contact = Linearisation(system, x)
    small = np.zeros(batch, dtype=bool)  # last step within tolerance, and nothing limited
    for iteration in range(options.max_iterations + 1):
        ev = contact.evaluate(part, x[alive])
        residual = ev.residual
        if anchor is not None:
            pull = x[alive] - anchor.target[alive]
            residual = residual + (anchor.conductance @ pull.T).T
            if anchor.current is not None:
                residual = residual + anchor.current[alive]
        entries = model.slots.values(ev.slopes)
        bound = residual_bound(model, x[alive], ev, entries, options)
        if anchor is not None:  # its currents round, too
            largest = np.maximum(1.0, np.abs(x[alive]).max(axis=1, initial=0.0))[:, None]
            bound = bound + options.residual_tolerance * largest * abs(anchor.conductance.diagonal())
        rows[alive] = residual
        done = small[alive] & np.all(np.abs(residual) <= bound, axis=1)
        converged[alive[done]] = True
        iterations[alive] = iteration
        rounding = _ROUNDING / options.residual_tolerance * bound
        exact = np.all(np.abs(residual) <= rounding, axis=1)
        lost = ~np.isfinite(residual).all(axis=1)
        keep = ~(done | lost)
        if not keep.any() or iteration == options.max_iterations:
            break
        if not keep.all():
            alive = alive[keep]
            part = system.select(alive)
            residual, entries, exact = residual[keep], entries[keep], exact[keep]
            contact.select(keep)
        step = solver.solve(entries, -residual)
        x[alive] += step
        moves = np.abs(step) / np.maximum(1.0, np.abs(x[alive]))
        move = moves[:, : len(model.plan.nodes)].max(axis=1, initial=0.0)
        # From a residual of mere rounding, a step tells how ill-conditioned the circuit is, not how far away.
        small[alive] = move <= options.voltage_tolerance * np.where(exact, _LOOSER, 1.0)
        small[alive] &= contact.advance(part, x[alive])
    return NewtonResult(x, converged, rows, iterations)


def residual_bound(model: Model, x: Array, ev: Evaluation, entries: Array, options: NewtonOptions) -> Array:
    """Return the residual (B, n) below which a row counts as met.

    A current is measured against the node's own conductance times the largest voltage around (what a relative
    voltage error of ``residual_tolerance`` would cause) and against the currents that nonlinear elements and
    branches carry there. Branch equations [V] get 1e-12 of the same voltage.
    """
    slots, nodes = model.slots, len(model.plan.nodes)
    on = np.flatnonzero(slots.rows == slots.columns)
    terms: Array = np.repeat(model.linear_diagonal[None], len(x), axis=0)
    terms[:, slots.rows[on]] += np.abs(entries[:, on])
    scale = np.maximum(1.0, np.abs(x[:, :nodes]).max(axis=1, initial=0.0))[:, None]
    terms = terms * scale + ev.magnitude
    if model.plan.size > nodes:
        branches = np.abs(x[:, nodes:])
        terms[:, :nodes] += (abs(model.linear_matrix[:nodes, nodes:]) @ branches.T).T
        on = np.flatnonzero((slots.rows < nodes) & (slots.columns >= nodes))
        carried = np.abs(entries[:, on]) * branches[:, slots.columns[on] - nodes]
        scatter_add(terms, slots.rows[on], carried)
    bound: Array = options.current_tolerance + options.residual_tolerance * terms
    bound[:, nodes:] = 1e-12 * scale
    return bound


_ROUNDING = 16.0 * float(np.finfo(float).eps)
"""Residual that is mere rounding, relative to the node's conductance times its voltage."""

_LOOSER = 1e4
"""How much more an ill-conditioned circuit may move: far less than a singular one does."""

_MOST_LEVELS = 200  # Newton runs of one continuation

Strategy = Callable[[System, Array, NewtonOptions], NewtonResult]


def _shunts(model: Model) -> tuple[float, Callable[[float], sp.csr_array]]:
    """Return a conductance typical of the circuit [S], and shunts of a given one from every node to ground."""
    marks = np.zeros(model.plan.size)
    marks[: len(model.plan.nodes)] = 1.0
    typical = float(np.max(model.linear_diagonal, initial=1e-6)) or 1e-6
    return typical, lambda level: sp.csr_array(sp.diags_array(level * marks))


def gmin_stepping(system: System, x0: Array, options: NewtonOptions) -> NewtonResult:
    """Follow the solution while a shunt from every node to ground shrinks to zero."""
    typical, shunt = _shunts(system.model)
    x = np.zeros_like(x0)
    reached, factor = 100.0 * typical, 10.0
    for _ in range(_MOST_LEVELS):
        level = reached / factor
        result = newton(system, x, options, Anchor(shunt(level), np.zeros_like(x)))
        if result.converged.all():
            x, reached, factor = result.x, level, min(factor * factor, 100.0)
        elif factor > 1.05:
            factor = factor**0.5
        else:
            break
        if reached <= 1e-13 * typical:
            break
    return newton(system, x, options)


def pseudo_transient(system: System, x0: Array, options: NewtonOptions) -> NewtonResult:
    """Follow implicit Euler steps of growing length until the circuit rests."""
    typical, shunt = _shunts(system.model)
    x = np.zeros_like(x0)
    level = 10.0 * typical
    for _ in range(_MOST_LEVELS):
        result = newton(system, x, options, Anchor(shunt(level), x.copy()))
        ok = result.converged
        x[ok] = result.x[ok]
        level = level / 3.0 if ok.all() else level * 10.0
        if level < 1e-12 * typical or level > 1e12 * typical:
            break
    return newton(system, x, options)


FALLBACKS: tuple[tuple[str, Strategy], ...] = (
    ("cold start", lambda system, x0, options: newton(system, np.zeros_like(x0), options)),
    ("gmin stepping", gmin_stepping),
    ("pseudo-transient", pseudo_transient),
)
"""What is tried, in order, for samples that plain Newton did not solve."""


def robust_newton(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, tuple[str, ...]]:
    """Run Newton from ``x0``, then each fallback on the samples that are left; also return what was tried."""
    result = newton(system, x0, options)
    tried = ["newton"]
    for name, strategy in FALLBACKS:
        left = np.flatnonzero(~result.converged)
        if not len(left):
            break
        tried.append(name)
        again = strategy(system.select(left), x0[left], options)
        x, converged = result.x.copy(), result.converged.copy()
        rows, iterations = result.residual.copy(), result.iterations.copy()
        x[left], converged[left], rows[left] = again.x, again.converged, again.residual
        iterations[left] += again.iterations
        result = NewtonResult(x, converged, rows, iterations)
    return result, tuple(tried)
