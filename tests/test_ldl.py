"""The sparse LDLᵀ: solves what a dense solver solves, and says when a matrix is not positive definite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ordering import symmetric

from analogep.solve.linear import ldl


@st.composite
def laplacians(draw: st.DrawFn) -> np.ndarray:
    """Conductance matrices (n, n) [S] of connected and disconnected graphs, every node leaking a little."""
    size = draw(st.integers(1, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    present = rng.uniform(size=(size, size)) < draw(st.floats(0.0, 0.6))
    g = np.triu(present * 10.0 ** rng.uniform(-3, 3, (size, size)), 1)
    g = g + g.T
    matrix: np.ndarray = np.diag(g.sum(axis=1) + 0.1) - g
    return matrix


def factor_of(matrix: np.ndarray) -> tuple[ldl.Factor, np.ndarray]:
    """Return storage for the pattern of ``matrix`` and its values in CSC form."""
    rows, columns = np.nonzero(np.triu(matrix, 1))
    pattern = symmetric(len(matrix), list(zip(rows, columns, strict=True)))
    at = np.repeat(np.arange(len(matrix)), np.diff(pattern.indptr))
    return ldl.Factor(ldl.analyse(pattern)), matrix[pattern.indices, at]


@pytest.mark.parametrize("recorded", [2**24, 0], ids=["places written down", "places looked for"])
@given(matrix=laplacians(), seed=st.integers(0, 2**32 - 1))
def test_solves_what_a_dense_solver_solves(recorded: int, matrix: np.ndarray, seed: int) -> None:
    expected = np.random.default_rng(seed).standard_normal(len(matrix))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ldl, "_RECORDED", recorded)
        factor, data = factor_of(matrix)
        assert bool(len(factor.symbolic.targets)) <= (recorded > 0)
        for scale in (1.0, 3.0):  # values anew on the same pattern
            assert factor.factorise(scale * data)
            residual = scale * matrix @ factor.solve(matrix @ expected) - matrix @ expected
            assert np.abs(residual).max() <= 1e-12 * np.abs(matrix).max() * max(1.0, np.abs(expected).max())


@given(matrix=laplacians(), where=st.integers(0, 24))
def test_refuses_a_matrix_that_is_not_positive_definite(matrix: np.ndarray, where: int) -> None:
    where %= len(matrix)
    matrix[where, where] = -matrix[where, where]
    factor, data = factor_of(matrix)
    assert not factor.factorise(data)


def test_two_nodes_by_hand() -> None:
    """[[2, −1], [−1, 1]] has det 1 and the inverse [[1, 1], [1, 2]]."""
    factor, data = factor_of(np.array([[2.0, -1.0], [-1.0, 1.0]]))
    assert factor.factorise(data)
    np.testing.assert_allclose(factor.solve(np.array([1.0, 10.0])), [11.0, 21.0])
