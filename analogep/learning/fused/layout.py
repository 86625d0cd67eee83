"""How crossbars lie in memory: on cache lines, and the first one in blocks of lines by vectors of columns.

A line of the first crossbar is updated and summed in little arithmetic, so that its pass is bound by memory and by
the number of accesses to what lines share. Four lines a time share them: for each vector of columns, the
(trans)conductances of the four lie in one piece, those of the lines at −x behind those at +x.
"""

# Kernels take constants from this file.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CACHE_LINE = 64
"""Bytes of a cache line, and of a vector of columns."""

QUAD = 4
"""Lines of a block, and samples that are taken together: what the kernels' loops are unrolled by."""

COLUMNS = 16
"""Columns of which tiles of the first crossbar have a multiple: a vector of float32, two of float64."""

Real = NDArray[Any]


def aligned(size: int, dtype: np.dtype[np.floating]) -> Real:
    """Return an uninitialised array (size,) that starts on a cache line, so that vectors do not straddle two."""
    raw = np.empty(size * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + size * dtype.itemsize].view(dtype)


def rounded(count: int, unit: int) -> int:
    """Return the least multiple of ``unit`` that is not below ``count``."""
    return -(-count // unit) * unit


@dataclass(frozen=True)
class FirstCrossbar:
    """The first crossbar in memory, tile by tile of columns, filled up with columns and lines that nobody reads.

    Attributes
    ----------
    features
        Clamped lines, without the negated half of doubled ones.
    kinds
        2 where lines come at +x and −x, else 1.
    constants
        Lines at constant voltages, which lie behind the others, line by line.
    """

    features: int
    kinds: int
    constants: int

    @property
    def blocks(self) -> int:
        """Blocks of lines."""
        return -(-self.features // QUAD)

    @property
    def depth(self) -> int:
        """Numbers per column."""
        return self.blocks * QUAD * self.kinds + self.constants

    def tile(self, first: int, last: int) -> tuple[int, int, int]:
        """Return where the tile of columns ``first`` to ``last`` begins, its numbers and its width in memory."""
        width = rounded(last - first, COLUMNS)
        return first * self.depth, width * self.depth, width

    def empty(self, columns: int, dtype: np.dtype[np.floating]) -> Real:
        """Return zeros for a crossbar of so many columns."""
        out = aligned(rounded(columns, COLUMNS) * self.depth, dtype)
        out[:] = 0
        return out

    def _parts(self, numbers: Real, first: int, last: int) -> tuple[Real, Real]:
        """Return views of a tile: lines (kinds, blocks, 4, vectors, vector) and constant lines (E, width)."""
        start, size, width = self.tile(first, last)
        tile, lines = numbers[start : start + size], self.depth - self.constants
        count = CACHE_LINE // numbers.itemsize
        blocks = tile[: lines * width].reshape(self.blocks, width // count, self.kinds, QUAD, count)
        return blocks.transpose(2, 0, 3, 1, 4), tile[lines * width :].reshape(self.constants, width)

    def put(self, numbers: Real, first: int, last: int, lines: Real, constants: Real) -> None:
        """Set a tile of ``numbers``, columns ``first`` to ``last``.

        Parameters
        ----------
        numbers
            The whole crossbar, as :meth:`empty` makes it.
        first, last
            Columns of the tile.
        lines
            (kinds, features, columns) [S].
        constants
            (constants, columns) [S].
        """
        blocks, ends = self._parts(numbers, first, last)
        filled = np.zeros((self.kinds, self.blocks * QUAD, ends.shape[1]), numbers.dtype)
        filled[:, : self.features, : last - first] = lines
        blocks[...] = filled.reshape(blocks.shape)
        ends[:, : last - first] = constants

    def get(self, numbers: Real, first: int, last: int) -> tuple[Real, Real]:
        """Return a tile's lines (kinds, features, columns) and constant lines (constants, columns) [S]."""
        blocks, ends = self._parts(numbers, first, last)
        lines = blocks.reshape(self.kinds, self.blocks * QUAD, ends.shape[1])
        return lines[:, : self.features, : last - first], ends[:, : last - first].copy()
