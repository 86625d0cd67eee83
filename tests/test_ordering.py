"""The fill-reducing order: a permutation that leaves trees without fill and helps where it can."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from analogep.solve.linear.ordering import minimum_degree


def symmetric(size: int, edges: list[tuple[int, int]], diagonal: bool = True) -> sp.csc_array:
    """Return the pattern of a graph in CSC form with sorted indices."""
    a, b = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    rows, columns = np.concatenate([a, b]), np.concatenate([b, a])
    pattern = sp.coo_array((np.ones(len(rows)), (rows, columns)), shape=(size, size)).tocsc()
    if diagonal:
        pattern = sp.csc_array(pattern + sp.eye_array(size, format="csc"))
    pattern.sort_indices()
    return pattern


def fill(pattern: sp.csc_array, order: np.ndarray) -> int:
    """Entries of L below the diagonal that the matrix does not have, by elimination on sets."""
    around = [set(pattern.indices[a:b]) - {k} for k, (a, b) in enumerate(_columns(pattern))]
    added = 0
    for k in order:
        for i in around[k]:
            new = around[k] - around[i] - {i}
            added += len(new)
            around[i] |= new
            around[i].discard(k)
    return added // 2


def _columns(pattern: sp.csc_array) -> zip[tuple[int, int]]:
    return zip(pattern.indptr[:-1], pattern.indptr[1:], strict=True)


def order_of(pattern: sp.csc_array) -> np.ndarray:
    order: np.ndarray = minimum_degree(pattern.indptr, pattern.indices)
    assert sorted(order) == list(range(pattern.shape[0]))
    return order


@given(data=st.data(), size=st.integers(1, 30), diagonal=st.booleans())
def test_any_graph_gets_a_permutation(data: st.DataObject, size: int, diagonal: bool) -> None:
    pairs = [(a, b) for a in range(size) for b in range(a)]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    order_of(symmetric(size, edges, diagonal))


@given(data=st.data(), size=st.integers(1, 40))
def test_a_tree_does_not_fill(data: st.DataObject, size: int) -> None:
    """A leaf has the least degree, and taking it away leaves a tree."""
    edges = [(k, data.draw(st.integers(0, k - 1))) for k in range(1, size)]
    pattern = symmetric(size, edges)
    assert fill(pattern, order_of(pattern)) == 0


@pytest.mark.parametrize("side", [8, 20])
def test_a_grid_fills_less_than_row_by_row(side: int) -> None:
    """Row by row, L of a grid has a full band; minimum degree grows as n log n (George 1973)."""
    across = [(r * side + c, r * side + c + 1) for r in range(side) for c in range(side - 1)]
    down = [(r * side + c, (r + 1) * side + c) for r in range(side - 1) for c in range(side)]
    pattern = symmetric(side * side, across + down)
    assert fill(pattern, order_of(pattern)) < 0.6 * fill(pattern, np.arange(side * side))


def test_nothing_to_order() -> None:
    assert len(order_of(symmetric(0, []))) == 0
