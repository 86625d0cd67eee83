"""Entries of sparse matrices, and currents of crossbars, as they are collected node by node."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.circuit import Circuit

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Entries:
    """Collects (row, column, value) contributions of a sparse matrix."""

    def __init__(self) -> None:
        self.rows: list[Index] = []
        self.columns: list[Index] = []
        self.data: list[Array] = []

    def add(self, rows: Index, columns: Index, data: Array) -> None:
        """Add values to the places (rows, columns); those with a negative row or column belong to no unknown."""
        keep = (rows >= 0) & (columns >= 0)
        self.rows.append(rows[keep])
        self.columns.append(columns[keep])
        self.data.append(np.broadcast_to(data, rows.shape)[keep])

    def matrix(self, shape: tuple[int, int]) -> sp.csr_array:
        """Return the matrix, entries at the same place added up."""
        if not self.rows:
            return sp.csr_array(shape)
        triple = (
            np.concatenate(self.data),
            (np.concatenate(self.rows), np.concatenate(self.columns)),
        )
        return sp.csr_array(sp.coo_array(triple, shape=shape))


def crossbar_currents(g: Array, rows: Array, columns: Array) -> tuple[Array, Array]:
    """Return the currents leaving the row nodes (B, R) and the column nodes (B, C) through a crossbar [A].

    Parameters
    ----------
    g
        Conductances [S], (R, C).
    rows, columns
        Node voltages [V], (B, R) and (B, C).
    """
    into_rows = rows * g.sum(axis=1)
    into_columns = columns * g.sum(axis=0)
    if columns.any():
        into_rows = into_rows - columns @ g.T
    if rows.any():
        into_columns = into_columns - rows @ g
    return into_rows, into_columns


def add_transconductances(node_currents: Array, circuit: Circuit, voltages: Array) -> None:
    """Add what couplings by transconductance take from each node (B, N) [A] at voltages (B, N) [V], in place."""
    for t in circuit.transconductances:
        node_currents[:, t.columns] -= voltages[:, t.rows] @ t.forward
        if t.backward is not None:
            node_currents[:, t.rows] -= voltages[:, t.columns] @ t.backward.T


def scatter_add(target: Array, columns: Index, values: Array) -> None:
    """Add ``values`` (B, k) to the named ``columns`` of ``target`` in place; columns may repeat."""
    np.add.at(target, (slice(None), columns), values)  # type: ignore[arg-type]
