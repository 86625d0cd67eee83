"""Sparse LDLᵀ of symmetric matrices: the symbolic part once per pattern, the numeric part compiled.

The up-looking method of Davis (2005, ACM TOMS 31, algorithm 849): row k of L is the solution of a triangular
system whose pattern is a subtree of the elimination tree. The order is :mod:`~analogep.solve.ordering`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.solve.ordering import minimum_degree

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Symbolic:
    """What the factorisation needs to know of a symmetric pattern.

    Attributes
    ----------
    order
        Row of the matrix that is eliminated k-th, (n,).
    start, row, source
        Upper triangle of the permuted matrix by columns: column pointers (n + 1,), rows, and the position of
        each entry in the data of the matrix in CSC form.
    parent
        Elimination tree, −1 at roots.
    factor_start
        Column pointers of L, (n + 1,).
    """

    order: Index
    start: Index
    row: Index
    source: Index
    parent: Index
    factor_start: Index


def analyse(pattern: sp.csc_array) -> Symbolic:
    """Return the symbolic factorisation of a structurally symmetric pattern with a full diagonal.

    Parameters
    ----------
    pattern
        CSC matrix with sorted indices; its values do not matter.
    """
    size = pattern.shape[0]
    order = minimum_degree(pattern.indptr, pattern.indices)
    place = np.empty(size, np.int64)
    place[order] = np.arange(size)
    start, row, source = _upper(place, pattern.indptr, pattern.indices)
    parent, counts = _tree(size, start, row)
    factor_start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Symbolic(order, start, row, source, parent, factor_start)


@nb.njit(cache=True)
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


@nb.njit(cache=True)
def positions(indptr, indices, rows, columns):  # type: ignore[no-untyped-def]
    """Return where entries (row, column) lie in the data of a CSC pattern that has them, with sorted indices."""
    out = np.empty(len(rows), np.int64)
    for k in range(len(rows)):
        low, high = np.int64(indptr[columns[k]]), np.int64(indptr[columns[k] + 1]) - 1
        while low < high:
            middle = (low + high) // 2
            if indices[middle] < rows[k]:
                low = middle + 1
            else:
                high = middle
        out[k] = low
    return out


@nb.njit(cache=True)
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


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _factorise(size, start, row, values, parent, factor_start, below, lower, diagonal):  # type: ignore[no-untyped-def]
    """Fill L (``below`` rows, ``lower`` values) and D; return the first pivot that is not positive, or −1."""
    work = np.zeros(size)
    path = np.empty(size, np.int64)
    mark = np.empty(size, np.int64)
    filled = np.zeros(size, np.int64)
    for k in range(size):
        top = size
        mark[k] = k
        d = 0.0
        for p in range(start[k], start[k + 1]):
            i = row[p]
            if i == k:
                d += values[p]
                continue
            work[i] += values[p]
            length = 0
            while mark[i] != k:
                path[length] = i
                length += 1
                mark[i] = k
                i = parent[i]
            while length > 0:
                length -= 1
                top -= 1
                path[top] = path[length]
        for q in range(top, size):
            i = path[q]
            y = work[i]
            work[i] = 0.0
            first = factor_start[i]
            last = first + filled[i]
            for p in range(first, last):
                work[below[p]] -= lower[p] * y
            entry = y / diagonal[i]
            d -= entry * y
            below[last] = k
            lower[last] = entry
            filled[i] += 1
        if not d > 0.0:
            return k
        diagonal[k] = d
    return -1


@nb.njit(cache=True, nogil=True, error_model="numpy")
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
        count = int(symbolic.factor_start[-1])
        self.below = np.empty(count, np.int64)
        self.lower = np.empty(count)
        self.diagonal = np.empty(len(symbolic.order))

    def factorise(self, data: Array) -> bool:
        """Factorise the matrix with CSC values ``data``; return whether it is positive definite."""
        s = self.symbolic
        failed = _factorise(
            len(s.order),
            s.start,
            s.row,
            data[s.source],
            s.parent,
            s.factor_start,
            self.below,
            self.lower,
            self.diagonal,
        )
        return int(failed) < 0

    def solve(self, rhs: Array) -> Array:
        """Return the solution (n,) for one right-hand side (n,)."""
        s = self.symbolic
        out = np.empty_like(rhs)
        _substitute(len(s.order), s.order, s.factor_start, self.below, self.lower, self.diagonal, rhs, out)
        return out
