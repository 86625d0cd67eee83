"""Linear systems J y = r for a batch of Jacobians that share everything but a few entries.

Small circuits are solved densely after eliminating the plan's independent unknowns elementwise, so that the
hidden nodes of a layered network cost one division each and only the Schur complement is factorised. Large
ones go through a sparse LU, one sample at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from analogep.solve.equations.model import Model

if TYPE_CHECKING:
    from analogep.solve.equations.pattern import Pattern
    from analogep.solve.linear.ldl import Factor, Symbolic

Array = NDArray[np.float64]


class LinearSolver(Protocol):
    """Solves J y = r, J being the model's linear part plus changing entries."""

    def solve(self, entries: Array, rhs: Array, *, transpose: bool = False) -> Array:
        """Return y (B, n); NaN in samples whose Jacobian is singular.

        Parameters
        ----------
        entries
            Changing entries (B, S) in the order of :class:`analogep.solve.equations.system.Slots`, real or
            complex.
        rhs
            Right-hand sides (B, n), of the same type.
        transpose
            Solve with Jᵀ instead.
        """
        ...


def linear_solver(model: Model, shunt: sp.csr_array | None = None) -> LinearSolver:
    """Return the solver for the model's Jacobian plus ``shunt`` (n, n) [S]."""
    if shunt is None:
        cached = model.circuit.derived.get("linear_solver")
        if cached is None:
            cached = DenseSolver(model, None) if model.dense else SparseSolver(model, None)
            model.circuit.derived["linear_solver"] = cached
        solver: LinearSolver = cached
        return solver
    return DenseSolver(model, shunt) if model.dense else SparseSolver(model, shunt)


class _Partition:
    """Where each changing entry lies relative to the independent set; depends on topology alone."""

    def __init__(self, model: Model) -> None:
        plan, slots = model.plan, model.slots
        self.i, self.k = plan.independent, plan.dependent
        place = np.empty(plan.size, dtype=np.int64)
        place[self.i] = np.arange(len(self.i))
        place[self.k] = np.arange(len(self.k))
        is_i = np.zeros(plan.size, dtype=bool)
        is_i[self.i] = True
        row_i, column_i = is_i[slots.rows], is_i[slots.columns]
        row, column = place[slots.rows], place[slots.columns]
        self.ii = np.flatnonzero(row_i & column_i)
        self.ik = np.flatnonzero(row_i & ~column_i)
        self.ki = np.flatnonzero(~row_i & column_i)
        self.kk = np.flatnonzero(~row_i & ~column_i)
        self.diagonal = row[self.ii]
        self.ik_at = (row[self.ik], column[self.ik])
        self.ki_at = (row[self.ki], column[self.ki])
        self.kk_at = (row[self.kk], column[self.kk])


class DenseSolver:
    """Elementwise elimination of the independent unknowns, dense LU of the Schur complement."""

    def __init__(self, model: Model, shunt: sp.csr_array | None) -> None:
        derived = model.circuit.topology.derived
        if "partition" not in derived:
            derived["partition"] = _Partition(model)
        self.part: _Partition = derived["partition"]
        matrix = np.asarray(model.linear_matrix)
        if shunt is not None:
            matrix = matrix + shunt.toarray()
        i, k = self.part.i, self.part.k
        self.ii = matrix[i, i].copy()
        self.ik = np.ascontiguousarray(matrix[np.ix_(i, k)])
        self.ki = np.ascontiguousarray(matrix[np.ix_(k, i)])
        self.kk = matrix[np.ix_(k, k)].copy()

    def solve(self, entries: Array, rhs: Array, *, transpose: bool = False) -> Array:
        """See :meth:`LinearSolver.solve`."""
        part, batch, kind = self.part, len(rhs), rhs.dtype
        d = np.repeat(self.ii[None].astype(kind, copy=False), batch, axis=0)
        d[:, part.diagonal] += entries[:, part.ii]
        kk = np.repeat(self.kk[None].astype(kind, copy=False), batch, axis=0)
        kk[(slice(None), *part.kk_at)] += entries[:, part.kk]
        ik: Array = self.ik[None]
        ki: Array = self.ki[None]
        if len(part.ik):
            ik = np.repeat(ik.astype(kind, copy=False), batch, axis=0)
            ik[(slice(None), *part.ik_at)] += entries[:, part.ik]
        if len(part.ki):
            ki = np.repeat(ki.astype(kind, copy=False), batch, axis=0)
            ki[(slice(None), *part.ki_at)] += entries[:, part.ki]
        if transpose:
            ik, ki, kk = ki.swapaxes(1, 2), ik.swapaxes(1, 2), kk.swapaxes(1, 2)
        out = np.empty_like(rhs)
        with np.errstate(all="ignore"):
            ri = rhs[:, part.i] / d
            scaled = ik / d[:, :, None]
            schur = kk - ki @ scaled
            rk = rhs[:, part.k] - (ki @ ri[:, :, None])[:, :, 0]
            yk = solve_batch(schur, rk)
            out[:, part.k] = yk
            out[:, part.i] = ri - (scaled @ yk[:, :, None])[:, :, 0]
        # A node whose own conductances are all zero may still be held by a branch: no pivot, yet not singular.
        zero = np.flatnonzero(~d.all(axis=1))
        if len(zero):
            whole = np.zeros((batch, rhs.shape[1], rhs.shape[1]), kind)
            whole[:, part.i, part.i] = d
            whole[:, part.i[:, None], part.k] = ik
            whole[:, part.k[:, None], part.i] = ki
            whole[:, part.k[:, None], part.k] = kk
            out[zero] = solve_batch(whole[zero], rhs[zero])
        return out


def solve_batch(matrix: Array, rhs: Array) -> Array:
    """Return the answers (B, n) to matrices (B, n, n); NaN where one is exactly singular."""
    if not rhs.shape[1]:
        return rhs
    try:
        return np.asarray(np.linalg.solve(matrix, rhs[:, :, None])[:, :, 0], dtype=rhs.dtype)
    except np.linalg.LinAlgError:
        out = np.full_like(rhs, np.nan)
        for b in range(len(rhs)):
            try:
                out[b] = np.linalg.solve(matrix[b], rhs[b])
            except np.linalg.LinAlgError:
                continue
        return out


class SparseSolver:
    """Sparse factorisation, one sample at a time, on a pattern that is set up once per topology.

    Reciprocal circuits without branch currents are symmetric and, unless a nudge repels too much, positive
    definite: they get an LDLᵀ whose symbolic part is reused. Everything else, and any matrix that turns out
    not to be definite, gets SuperLU.
    """

    def __init__(self, model: Model, shunt: sp.csr_array | None) -> None:
        from analogep.solve.equations.pattern import pattern_for, positions
        from analogep.solve.linear.ldl import Factor  # numba takes half a second to load

        slots, size = model.slots, model.plan.size
        free = model.plan.unknown >= 0
        circuit = model.circuit
        symmetric = not model.plan.multiport_banks and np.array_equal(model.w[free], model.t[free])
        symmetric &= all(t.symmetric for t in circuit.transconductances)
        pattern: Pattern | sp.csc_array
        if model.on_pattern and shunt is None:
            pattern = pattern_for(model.circuit, model.plan)
            by_rows = sp.csr_array(model.linear_matrix)
            self.base: Array = by_rows.data if symmetric else sp.csc_array(by_rows).data
            self.places = model.circuit.reuse(
                "slot_places",
                model.circuit.constraint_banks,
                lambda: positions(pattern.indptr, pattern.indices, slots.rows, slots.columns),
            )
        else:
            base = sp.csc_array(model.linear_matrix)
            if shunt is not None:
                base = sp.csc_array(base + shunt)
            base.sort_indices()
            pattern = _pattern(model, base)
            self.base = np.zeros(pattern.nnz)
            columns = np.repeat(np.arange(size), np.diff(base.indptr))
            self.base[positions(pattern.indptr, pattern.indices, base.indices, columns)] = base.data
            self.places = positions(pattern.indptr, pattern.indices, slots.rows, slots.columns)
        self.indices, self.indptr, self.size = pattern.indices, pattern.indptr, size
        self.factor: Factor | None = None
        if symmetric:
            self.factor = Factor(_symbolic(model, pattern))

    def solve(self, entries: Array, rhs: Array, *, transpose: bool = False) -> Array:
        """See :meth:`LinearSolver.solve`."""
        out = np.full_like(rhs, np.nan)
        for b in range(len(rhs)):
            data = self.base.astype(rhs.dtype)
            data[self.places] += entries[b]
            if self.factor is not None and not np.iscomplexobj(data) and self.factor.factorise(data):
                out[b] = self.factor.solve(rhs[b])
                continue
            matrix = sp.csc_array((data, self.indices, self.indptr), shape=(self.size, self.size))
            try:
                out[b] = spl.splu(matrix).solve(rhs[b], trans="T" if transpose else "N")
            except RuntimeError:  # exactly singular
                continue
        return out

    def definite(self, entries: Array) -> bool:
        """Return whether the Jacobians of all samples are symmetric and positive definite."""
        if self.factor is None:
            return False
        for row in entries:
            data = self.base.copy()
            data[self.places] += row
            if not self.factor.factorise(data):
                return False
        return True


def _pattern(model: Model, base: sp.csc_array) -> sp.csc_array:
    """Return the union of the linear pattern, the changing entries and the diagonal, with sorted indices."""
    slots, size = model.slots, model.plan.size
    linear = sp.csc_array((np.ones(base.nnz), base.indices, base.indptr), shape=base.shape)
    ones = np.ones(len(slots.rows))
    marks = sp.csc_array(sp.coo_array((ones, (slots.rows, slots.columns)), shape=(size, size)))
    pattern = sp.csc_array(linear + marks + sp.eye_array(size, format="csc"))
    pattern.sort_indices()
    return pattern


def _symbolic(model: Model, pattern: Pattern | sp.csc_array) -> Symbolic:
    """Return the symbolic factorisation, kept with the topology as long as the pattern is the same."""
    derived = model.circuit.topology.derived
    kept = derived.get("symbolic")
    if kept is not None:
        indptr, indices, found = kept
        if indices is pattern.indices or (
            np.array_equal(indptr, pattern.indptr) and np.array_equal(indices, pattern.indices)
        ):
            known: Symbolic = found
            return known
    from analogep.solve.linear.ldl import analyse

    fresh = analyse(pattern)
    derived["symbolic"] = (pattern.indptr, pattern.indices, fresh)
    return fresh
