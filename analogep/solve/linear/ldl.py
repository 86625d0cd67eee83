"""Sparse LDLᵀ of symmetric matrices: the symbolic part once per pattern, the numeric part compiled.

The pattern of L comes from the elimination tree as in Davis (2005, ACM TOMS 31, algorithm 849). The values are
found column by column: each one, once complete, is subtracted from the columns that it touches (George and Liu
1981, section 5.5), at places that are found once per pattern. The order is
:mod:`~analogep.solve.linear.ordering`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.solve.compiled import compiled
from analogep.solve.equations.pattern import Pattern
from analogep.solve.linear.ordering import minimum_degree

Array = NDArray[np.float64]
Index = NDArray[np.int64]


_RECORDED = 2**24
"""Updates of a factorisation whose places are written down (4 bytes each); of more, they are looked for."""


@dataclass(frozen=True)
class Symbolic:
    """What the factorisation needs to know of a symmetric pattern.

    Attributes
    ----------
    order
        Row of the matrix that is eliminated k-th, (n,).
    source, place
        Position of each entry of the permuted upper triangle in the data of the matrix in CSC form, and its place
        in L: a position in its values, or −1 − k for the k-th diagonal element.
    factor_start, below
        L by columns without its diagonal: column pointers (n + 1,) and ascending rows.
    targets
        Position in L that each update of the factorisation goes to, in the order of the updates; empty where
        they are too many.
    """

    order: Index
    source: Index
    place: Index
    factor_start: Index
    below: NDArray[np.int32]
    targets: NDArray[np.int32]


def analyse(pattern: Pattern | sp.csc_array) -> Symbolic:
    """Return the symbolic factorisation of a structurally symmetric pattern with a full diagonal.

    Parameters
    ----------
    pattern
        Pattern, or CSC matrix with sorted indices, whose values do not matter.
    """
    size = len(pattern.indptr) - 1
    order = minimum_degree(pattern.indptr, pattern.indices)
    rank = np.empty(size, np.int64)
    rank[order] = np.arange(size)
    start, row, source = _upper(rank, pattern.indptr, pattern.indices)
    parent, counts = _tree(size, start, row)
    factor_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    below, place = _columns(size, start, row, parent, factor_start)
    updates = int((counts * (counts - 1) // 2).sum())
    targets = np.empty(updates if updates <= _RECORDED else 0, np.int32)
    if len(targets):
        _record(size, factor_start, below, targets)
    return Symbolic(order, source, place, factor_start, below, targets)


@compiled
def _upper(place, indptr, indices):  # type: ignore[no-untyped-def]
    """Return pointers, rows and sources of the upper triangle after permutation; rows in no special order."""
    size = len(place)
    start = np.zeros(size + 1, np.int64)
    for column in range(size):
        j = place[column]
        for p in range(indptr[column], indptr[column + 1]):
            if place[indices[p]] <= j:
                start[j + 1] += 1
    for j in range(size):
        start[j + 1] += start[j]
    row = np.empty(start[size], np.int64)
    source = np.empty(start[size], np.int64)
    for column in range(size):
        j = place[column]
        q = start[j]
        for p in range(indptr[column], indptr[column + 1]):
            if place[indices[p]] <= j:
                row[q] = place[indices[p]]
                source[q] = p
                q += 1
    return start, row, source


@compiled
def _tree(size, start, row):  # type: ignore[no-untyped-def]
    """Return the elimination tree and the number of entries below the diagonal in each column of L."""
    parent = np.full(size, -1, np.int64)
    counts = np.zeros(size, np.int64)
    mark = np.empty(size, np.int64)
    for k in range(size):
        mark[k] = k
        for p in range(start[k], start[k + 1]):
            i = row[p]
            while i < k and mark[i] != k:
                if parent[i] == -1:
                    parent[i] = k
                counts[i] += 1
                mark[i] = k
                i = parent[i]
    return parent, counts


@compiled
def _columns(size, start, row, parent, factor_start):  # type: ignore[no-untyped-def]
    """Return the rows of L's columns and the place in L of each entry of the upper triangle."""
    below = np.empty(factor_start[size], np.int32)
    place = np.empty(len(row), np.int64)
    free = factor_start[:size].copy()
    mark = np.empty(size, np.int64)
    for k in range(size):
        mark[k] = k
        for p in range(start[k], start[k + 1]):
            i = row[p]
            while mark[i] != k:
                mark[i] = k
                below[free[i]] = k
                free[i] += 1
                i = parent[i]
            place[p] = -1 - k if row[p] == k else free[row[p]] - 1
    return below, place


@compiled
def _record(size, factor_start, below, targets):  # type: ignore[no-untyped-def]
    """Write down where the updates go: of column k, row r in column j, for all pairs j < r of its rows."""
    n = 0
    for k in range(size):
        end = factor_start[k + 1]
        for a in range(factor_start[k], end):
            q = factor_start[below[a]]
            for b in range(a + 1, end):
                while below[q] != below[b]:
                    q += 1
                targets[n] = q
                n += 1


@compiled
def _factorise(size, data, source, place, factor_start, below, targets, lower, diagonal):  # type: ignore[no-untyped-def]
    """Fill L (``lower``) and D; return the first pivot that is not positive, or −1."""
    lower[:] = 0.0
    diagonal[:] = 0.0
    for p in range(len(source)):
        q = place[p]
        if q < 0:
            diagonal[-1 - q] = data[source[p]]
        else:
            lower[q] = data[source[p]]
    recorded = len(targets) > 0
    n = 0
    for k in range(size):
        d = diagonal[k]
        if not d > 0.0:
            return k
        inverse = 1.0 / d
        end = factor_start[k + 1]
        for a in range(factor_start[k], end):
            y = lower[a]
            entry = y * inverse
            diagonal[below[a]] -= entry * y
            if recorded:
                for b in range(a + 1, end):
                    lower[targets[n]] -= entry * lower[b]
                    n += 1
            else:
                q = factor_start[below[a]]
                for b in range(a + 1, end):
                    while below[q] != below[b]:
                        q += 1
                    lower[q] -= entry * lower[b]
            lower[a] = entry
    return -1


@compiled
def _substitute(size, order, factor_start, below, lower, diagonal, rhs, out):  # type: ignore[no-untyped-def]
    """Solve P L D Lᵀ Pᵀ out = rhs."""
    y = np.empty(size)
    for k in range(size):
        y[k] = rhs[order[k]]
    for k in range(size):
        v = y[k]
        if v != 0.0:
            for p in range(factor_start[k], factor_start[k + 1]):
                y[below[p]] -= lower[p] * v
    for k in range(size - 1, -1, -1):
        total = y[k] / diagonal[k]
        for p in range(factor_start[k], factor_start[k + 1]):
            total -= lower[p] * y[below[p]]
        y[k] = total
        out[order[k]] = total


class Factor:
    """Storage of one LDLᵀ factorisation, reused for every matrix of the pattern."""

    def __init__(self, symbolic: Symbolic) -> None:
        self.symbolic = symbolic
        self.lower = np.empty(len(symbolic.below))
        self.diagonal = np.empty(len(symbolic.order))

    def factorise(self, data: Array) -> bool:
        """Factorise the matrix with CSC values ``data``; return whether it is positive definite."""
        s = self.symbolic
        failed = _factorise(
            len(s.order),
            data,
            s.source,
            s.place,
            s.factor_start,
            s.below,
            s.targets,
            self.lower,
            self.diagonal,
        )
        return int(failed) < 0

    def solve(self, rhs: Array) -> Array:
        """Return the solution (n,) for one right-hand side (n,)."""
        s = self.symbolic
        out = np.empty_like(rhs)
        _substitute(len(s.order), s.order, s.factor_start, s.below, self.lower, self.diagonal, rhs, out)
        return out
