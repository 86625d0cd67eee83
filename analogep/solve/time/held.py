"""Kirchhoff's law at one moment, with all charges and flux linkages held: what is left moves until it is met.

Newton's method, its limiting and its fallbacks see the usual unknowns and rows. The moves that storage forbids
are taken out of every step, and rows are added up so that no capacitor's current enters any of them.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from analogep.solve.equations.model import DENSE_LIMIT, Model
from analogep.solve.equations.system import System
from analogep.solve.linear.systems import LinearSolver, solve_batch
from analogep.solve.time.storage import Space

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_ROOM = 4_000_000  # numbers in the dense matrices that are solved together


class Held(System):
    """A system that keeps its unknowns but for the free moves.

    Parameters
    ----------
    system
        The system.
    space
        Its free moves.
    base
        Unknowns (B, n) whose charges are kept.
    """

    def __init__(self, system: System, space: Space, base: Array) -> None:
        self.__dict__.update(system.__dict__)
        self.space, self.base = space, base

    def select(self, samples: Index) -> Held:
        """See :class:`System`."""
        return Held(super().select(samples), self.space, self.base[samples])

    def scaled(self, factor: float) -> Held:
        """Return the system whose sources and charges are ``factor`` times these."""
        return Held(super().scaled(factor), self.space, factor * self.base)

    def fix(self, x: Array) -> Array:
        """See :class:`System`."""
        group, lead = self.space.group, self.space.lead
        far = np.where(group >= 0, self.space.move * (x - self.base)[:, lead][:, group], 0.0)
        alone = np.zeros(len(group), dtype=bool)
        alone[lead] = True  # these keep x to the last digit
        return np.where(alone, x, self.base + far)

    def project(self, rows: Array) -> Array:
        """See :class:`System`."""
        out = np.zeros_like(rows)
        out[:, self.space.lead] = (self._sums @ rows.T).T
        return out

    def bound(self, rows: Array) -> Array:
        """See :class:`System`."""
        out = np.zeros_like(rows)
        out[:, self.space.lead] = (abs(self._sums) @ rows.T).T
        return out

    @cached_property
    def _sums(self) -> sp.csr_array:
        return sums(self.space)

    def solver(self, shunt: sp.csr_array | None = None) -> LinearSolver:
        """See :class:`System`."""
        return _Solver(self.model, self.space, shunt)


def sums(space: Space) -> sp.csr_array:
    """Return the matrix (m, n) that adds up the rows of each free move."""
    on = np.flatnonzero(space.group >= 0)
    shape = (len(space.lead), len(space.group))
    return sp.csr_array(sp.coo_array((space.weight[on], (space.group[on], on)), shape=shape))


class _Solver:
    """Solves for the free moves, one small matrix for each sample."""

    def __init__(self, model: Model, space: Space, shunt: sp.csr_array | None) -> None:
        self.space, self.size = space, len(space.lead)
        on = np.flatnonzero(space.group >= 0)
        shape = (len(space.group), self.size)
        moves = sp.csr_array(sp.coo_array((space.move[on], (on, space.group[on])), shape=shape))
        rows = sums(space)
        matrix = (rows @ model.linear_matrix) @ moves
        if shunt is not None:
            matrix = matrix + (rows @ shunt @ moves)
        self.dense = self.size <= DENSE_LIMIT
        if self.dense:
            self.base: Array = matrix.toarray() if sp.issparse(matrix) else np.asarray(matrix)
        else:
            self.base = sp.csc_array(matrix)
        slots = model.slots
        row, column = space.group[slots.rows], space.group[slots.columns]
        keep = np.flatnonzero((row >= 0) & (column >= 0))
        factor = space.weight[slots.rows[keep]] * space.move[slots.columns[keep]]
        code, place = np.unique(row[keep] * max(self.size, 1) + column[keep], return_inverse=True)
        self.rows, self.columns = code // max(self.size, 1), code % max(self.size, 1)
        self.map = sp.csr_array(sp.coo_array((factor, (place, keep)), shape=(len(code), len(slots.rows))))

    def solve(self, entries: Array, rhs: Array, *, transpose: bool = False) -> Array:
        """See :class:`~analogep.solve.linear.systems.LinearSolver`."""
        right, changing = rhs[:, self.space.lead], (self.map @ entries.T).T
        found = np.full_like(right, np.nan)
        if self.dense:
            several = max(1, _ROOM // max(1, self.size**2))
            for k in range(0, len(rhs), several):
                part = slice(k, k + several)
                found[part] = self._dense(changing[part], right[part], transpose)
        else:
            for b in range(len(rhs)):
                new = sp.csc_array(
                    sp.coo_array((changing[b], (self.rows, self.columns)), shape=(self.size, self.size))
                )
                try:
                    lu = spl.splu(sp.csc_array(self.base + new))
                except RuntimeError:  # exactly singular
                    continue
                found[b] = lu.solve(right[b], trans="T" if transpose else "N")
        out: Array = np.where(
            self.space.group >= 0, self.space.move * found[:, np.maximum(self.space.group, 0)], 0.0
        )
        return out

    def _dense(self, changing: Array, right: Array, transpose: bool) -> Array:
        matrix = np.repeat(self.base[None], len(right), axis=0)
        matrix[:, self.rows, self.columns] += changing
        if transpose:
            matrix = matrix.swapaxes(1, 2)
        return solve_batch(matrix, right)
