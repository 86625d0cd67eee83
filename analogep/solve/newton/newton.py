"""Newton's method with limited steps.

Each iteration solves the circuit linearised at the (limited) junction voltages, as SPICE does. Samples leave
the batch as they converge. What to try when it fails is in :mod:`analogep.solve.newton.strategies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.solve import checks
from analogep.solve.equations.elementwise import evaluate_by_element
from analogep.solve.equations.model import Model
from analogep.solve.equations.stamps import scatter_add
from analogep.solve.equations.system import Evaluation, System
from analogep.solve.newton.limiting import Linearisation

Array = NDArray[np.float64]
Index = NDArray[np.int64]


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

    Raises
    ------
    InputError
        If a field is out of its range: names all such fields.
    """

    voltage_tolerance: float = 1e-9
    residual_tolerance: float = 1e-12
    current_tolerance: float = 1e-18
    max_iterations: int = 200

    def __post_init__(self) -> None:
        checks.require(
            self,
            (
                ("voltage_tolerance", checks.positive(self.voltage_tolerance), "positive volts"),
                ("residual_tolerance", checks.not_negative(self.residual_tolerance), "zero or a small fraction"),
                ("current_tolerance", checks.not_negative(self.current_tolerance), "zero or positive amperes"),
                ("max_iterations", checks.count(self.max_iterations), "a whole number of at least 1"),
            ),
        )


class Term(Protocol):
    """Something that a method adds to Kirchhoff's law of a batch."""

    @property
    def conductance(self) -> sp.csr_array:
        """The part of its slopes that all samples share, (n, n) [S]."""
        ...

    @property
    def rounding(self) -> Array:
        """Conductance (n,) [S] at each row whose currents it rounds."""
        ...

    def currents(self, x: Array, samples: Index) -> Array:
        """Return what it adds to the residual of some samples of the batch at their unknowns x (b, n), (b, n)."""
        ...

    def entries(self, x: Array, samples: Index) -> Array | None:
        """Return the rest of its slopes at the positions of ``Slots``, (b, S); ``None`` if there is none."""
        ...


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

    @property
    def rounding(self) -> Array:
        """See :class:`Term`."""
        out: Array = abs(self.conductance.diagonal())
        return out

    def currents(self, x: Array, samples: Index) -> Array:
        """See :class:`Term`."""
        out: Array = (self.conductance @ (x - self.target[samples]).T).T
        return out if self.current is None else out + self.current[samples]

    def entries(self, x: Array, samples: Index) -> None:
        """Return nothing: all samples share G."""


@dataclass(frozen=True)
class NewtonResult:
    """Outcome for a batch: unknowns (B, n), converged (B,), residual rows (B, n) [A], iterations (B,)."""

    x: Array
    converged: NDArray[np.bool_]
    residual: Array
    iterations: NDArray[np.int64]


@np.errstate(over="ignore", invalid="ignore")  # a sample that runs away is dropped where it overflows
def newton(
    system: System,
    x0: Array,
    options: NewtonOptions,
    anchor: Term | None = None,
    tangent: sp.csr_array | None = None,
    by_element: bool = False,
    guess: bool = True,
) -> NewtonResult:
    """Run plain Newton with junction limiting.

    Parameters
    ----------
    system
        What to solve.
    x0
        First unknowns (B, n).
    options
        Tolerances.
    anchor
        A term to add to Kirchhoff's law.
    tangent
        A matrix (n, n) to add to the Jacobian alone: it changes the steps, not the solution.
    by_element
        Sum Kirchhoff's law element by element: slower, and exact where conductances span many decades.
    guess
        Whether x0 is a guess of the solution; see :class:`~analogep.solve.newton.limiting.Linearisation`.
    """
    model, size = system.model, system.model.plan.size
    batch = len(x0)
    x = system.fix(x0.copy())
    converged = np.zeros(batch, dtype=bool)
    iterations = np.zeros(batch, dtype=np.int64)
    rows = np.zeros((batch, size))
    if size == 0:
        return NewtonResult(x, ~converged, rows, iterations)
    added = [m for m in (tangent, None if anchor is None else anchor.conductance) if m is not None]
    solver = system.solver(sum(added[1:], added[0]) if added else None)
    alive = np.arange(batch)
    part = system
    contact = Linearisation(system, x, guess)
    small = np.zeros(batch, dtype=bool)  # last step within tolerance, and nothing limited
    for iteration in range(options.max_iterations + 1):
        evaluate = evaluate_by_element if by_element else System.evaluate
        ev = evaluate(part, x[alive], *contact.points)
        residual = ev.residual
        entries = model.slots.values(ev.slopes)
        bound = residual_bound(model, x[alive], ev, entries, options)
        if anchor is not None:
            residual = residual + anchor.currents(x[alive], alive)
            own = anchor.entries(x[alive], alive)
            entries = entries if own is None else entries + own
            largest = np.maximum(1.0, np.abs(x[alive]).max(axis=1, initial=0.0))[:, None]
            bound = bound + options.residual_tolerance * largest * anchor.rounding  # its currents round, too
        residual, bound = part.project(residual), part.bound(bound)
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
    branches carry there. Branch equations [V] get 1e-12 of the same voltage and of their own terms, which gains
    make large.
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
    if model.plan.size > nodes:
        own = (abs(model.linear_matrix[nodes:]) @ np.abs(x).T).T
        on = np.flatnonzero(slots.rows >= nodes)
        scatter_add(own, slots.rows[on] - nodes, np.abs(entries[:, on]) * np.abs(x[:, slots.columns[on]]))
        bound[:, nodes:] += 1e-12 * own
    return bound


_ROUNDING = 16.0 * float(np.finfo(float).eps)
"""Residual that is mere rounding, relative to the node's conductance times its voltage."""

_LOOSER = 1e4
"""How much more an ill-conditioned circuit may move: far less than a singular one does."""
