"""What follows from a network's weights, counted once when they are laid out; updates then keep it up to date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.learning.fused.kernels.arrays import Net
from analogep.learning.fused.kernels.updates import update_constant, update_first, update_inner


def recount(net: Net, features: int, extra: NDArray[np.floating]) -> None:
    """Set column sums, row shares and turned tables, by an update of zero: so they have the very bits of updates.

    Transconductances load no node: their sums stay zero.

    Parameters
    ----------
    net
        The network; ``sums``, ``shares`` and ``flipped`` change.
    features
        Clamped lines, without the negated half of doubled ones.
    extra
        Voltages (E,) [V] of the first crossbar's constant lines.
    """
    dtype, constants = net.weights.dtype, len(extra)
    for c in range(1, len(net.shape)):
        rows, columns = int(net.shape[c, 1] - net.shape[c, 0]), int(net.shape[c, 2])
        for start, own in zip(net.flip[c], net.ways[c], strict=True):
            if start >= 0:
                turned = net.flipped[start : start + rows * columns].reshape(columns, rows)
                turned[:] = net.weights[own : own + rows * columns].reshape(rows, columns).T
    if net.mutual:
        return
    none = np.zeros(0, np.int64)
    zero, low, high = dtype.type(0), dtype.type(-np.inf), dtype.type(np.inf)
    for c, first, last, number in net.tiles.tolist():
        width = last - first
        rows = int(net.shape[c, 1] - net.shape[c, 0]) if c else features * net.kinds + constants
        sums = net.sums[net.node[c] + first : net.node[c] + last]
        still, scratch = np.zeros((3, max(width, rows)), dtype), np.zeros(2 * width, dtype)
        if c == 0:
            table = net.weights[first * rows : last * rows].reshape(rows, width)
            lit = table[: features * net.kinds].reshape(features, net.kinds, width)
            shift, into = np.zeros((3, width), dtype), np.zeros((0, width), dtype)
            volts = np.zeros((2, 3, features), dtype)
            no_data = np.zeros((0, features), dtype)
            update_first(lit, no_data, none, none, shift, still[0], low, high, sums, into, scratch, volts)
            update_constant(table[features * net.kinds :], extra, 0, 0, shift, still[0], low, high, sums, into)
            continue
        own, columns = int(net.ways[c, 0]), int(net.shape[c, 2])
        share = net.share_start[c] + number * rows
        table, shares = net.weights[own : own + rows * columns], net.shares[share : share + rows]
        update_inner(
            table.reshape(rows, columns), 0, still, still, still, still, zero, low, high, first, shares, sums,
            scratch, np.zeros(4, np.int64), net.mutual,
        )  # fmt: skip
