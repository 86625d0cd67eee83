"""How crossbars lie in memory: on cache lines, and the first one in blocks of lines by vectors of columns.

A line of the first crossbar is updated and summed in little arithmetic, so that its pass is bound by memory and by
the number of accesses to what lines share. Four lines a time share them: for each vector of columns, the
(trans)conductances of the four lie in one piece, those of the lines at −x behind those at +x.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CACHE_LINE = 64
"""Bytes of a cache line, and of a vector of columns."""

BLOCK_LINES = 4
"""Lines of a block."""

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
    """The layout of the first crossbar, tile by tile of columns; a tile's rest is filled up with zeros.

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
        return -(-self.features // BLOCK_LINES)

    @property
    def depth(self) -> int:
        """Numbers per column."""
        return self.blocks * BLOCK_LINES * self.kinds + self.constants

    def tile(self, first: int, last: int) -> tuple[int, int, int]:
        """Return where the tile of columns ``first`` to ``last`` begins, its numbers and its width in memory."""
        width = rounded(last - first, COLUMNS)
        return first * self.depth, width * self.depth, width

    def empty(self, columns: int, dtype: np.dtype[np.floating]) -> Real:
        """Return zeros for a crossbar of so many columns."""
        out = aligned(rounded(columns, COLUMNS) * self.depth, dtype)
        out[:] = 0
        return out

    def views(self, numbers: Real, first: int, last: int) -> Iterator[tuple[int, int, Real]]:
        """Yield line or constant line (feature and kind, or number and −1) and its row of a tile, (columns,)."""
        start, size, width = self.tile(first, last)
        tile = numbers[start : start + size]
        lines = self.depth - self.constants
        count = CACHE_LINE // numbers.itemsize
        blocks = tile[: lines * width].reshape(self.blocks, width // count, self.kinds, BLOCK_LINES, count)
        for i in range(self.features):
            for kind in range(self.kinds):
                yield i, kind, blocks[i // BLOCK_LINES, :, kind, i % BLOCK_LINES]
        for i, row in enumerate(tile[lines * width :].reshape(self.constants, width)):
            yield i, -1, row.reshape(-1, count)
