"""The sparsity pattern of circuits of one-ports, and their conductance matrix on it, compiled.

The pattern depends on topology alone and is symmetric: rows and columns share it. It holds every entry that the
linear part, nonlinear elements, a nudge, or the diagonal may need, so that values are written straight into place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.solve.compiled import compiled
from analogep.solve.equations.plan import Plan

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Pattern:
    """A structurally symmetric pattern with a full diagonal.

    Attributes
    ----------
    indptr, indices
        Row (or column) pointers (n + 1,), and sorted indices.
    """

    indptr: NDArray[np.int32]
    indices: NDArray[np.int32]

    @cached_property
    def diagonal(self) -> Index:
        """Where each diagonal entry lies, (n,)."""
        every = np.arange(len(self.indptr) - 1)
        found: Index = positions(self.indptr, self.indices, every, every)
        return found

    def pair_places(self, u: Index) -> Index:
        """Return where entries (a, b) and (b, a) by rows lie for pairs u (E, 2), (E, 2); 0 if one is negative."""
        there = (u >= 0).all(axis=1, keepdims=True)
        a, b = np.where(there, u, 0).T
        forth, back = (positions(self.indptr, self.indices, p, q) for p, q in ((b, a), (a, b)))
        return np.where(there, np.stack([forth, back], axis=1), 0)


def pattern_for(circuit: Circuit, plan: Plan) -> Pattern:
    """Return the pattern of a circuit without multi-ports, computed once for its topology."""
    derived = circuit.topology.derived
    if "pattern" not in derived:
        outputs = plan.unknown[circuit.output_pairs.ravel()]
        outputs = outputs[outputs >= 0]
        nudged = np.stack(np.meshgrid(outputs, outputs), axis=-1).reshape(-1, 2)
        pairs = np.concatenate([plan.pairs, nudged])
        derived["pattern"] = Pattern(*_symmetric(plan.size, pairs))
    found: Pattern = derived["pattern"]
    return found


@compiled
def _symmetric(size, pairs):  # type: ignore[no-untyped-def]
    """Return pointers and sorted indices of pairs, their mirror images and the diagonal, each once."""
    start = np.zeros(size + 1, np.int64)
    for e in range(len(pairs)):
        a, b = pairs[e, 0], pairs[e, 1]
        if a != b:
            start[a + 1] += 1
            start[b + 1] += 1
    for k in range(size):
        start[k + 1] += start[k] + 1
    indices = np.empty(start[size], np.int32)
    free = np.empty(size, np.int64)
    for k in range(size):
        indices[start[k]] = k
        free[k] = start[k] + 1
    for e in range(len(pairs)):
        a, b = pairs[e, 0], pairs[e, 1]
        if a != b:
            indices[free[a]] = b
            free[a] += 1
            indices[free[b]] = a
            free[b] += 1
    indptr = np.zeros(size + 1, np.int32)
    put = 0
    for k in range(size):
        first, last = start[k], start[k + 1]
        if last - first > 64:
            indices[first:last].sort()
        else:
            for p in range(first + 1, last):
                value = indices[p]
                q = p
                while q > first and indices[q - 1] > value:
                    indices[q] = indices[q - 1]
                    q -= 1
                indices[q] = value
        before = -1
        for p in range(first, last):
            if indices[p] != before:
                before = indices[p]
                indices[put] = before
                put += 1
        indptr[k + 1] = put
    return indptr, indices[:put].copy()


@compiled
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


@compiled
def add_conductances(data, diagonal, places, u, t, w, g):  # type: ignore[no-untyped-def]
    """Add conductances g (E,) [S] between nodes that follow unknowns u (E, 2) to the matrix's values by rows.

    A node's voltage is t times its unknown's, and its current counts w times there; both (E, 2).
    """
    for e in range(len(u)):
        a, b = u[e, 0], u[e, 1]
        if a >= 0:
            data[diagonal[a]] += w[e, 0] * t[e, 0] * g[e]
        if b >= 0:
            data[diagonal[b]] += w[e, 1] * t[e, 1] * g[e]
            if a >= 0:
                data[places[e, 0]] -= w[e, 0] * t[e, 1] * g[e]
                data[places[e, 1]] -= w[e, 1] * t[e, 0] * g[e]
