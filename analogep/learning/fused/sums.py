"""What follows from a network's weights, counted once when they are laid out; updates then keep it up to date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.learning.fused.kernels.arrays import Net
from analogep.learning.fused.kernels.first import update_constant, update_first
from analogep.learning.fused.kernels.updates import update_inner
from analogep.learning.fused.layout import FirstCrossbar
from analogep.learning.fused.scratch import front_room


def recount(net: Net, layout: FirstCrossbar, extra: NDArray[np.floating]) -> None:
    """Set column sums, row shares and turned tables, by an update of zero: so they have the very bits of updates.

    Transconductances load no node: their sums stay zero.

    Parameters
    ----------
    net
        The network; ``sums``, ``shares`` and ``flipped`` change.
    layout
        How the first crossbar lies in memory.
    extra
        Voltages (E,) [V] of the first crossbar's constant lines.
    """
    dtype = net.weights.dtype
    for c in range(1, len(net.shape)):
        rows, columns = int(net.shape[c, 1] - net.shape[c, 0]), int(net.shape[c, 2])
        for start, own in zip(net.flip[c], net.ways[c], strict=True):
            if start >= 0:
                turned = net.flipped[start : start + rows * columns].reshape(columns, rows)
                turned[:] = net.weights[own : own + rows * columns].reshape(rows, columns).T
    if net.mutual:
        return
    zero, low, high = dtype.type(0), dtype.type(-np.inf), dtype.type(np.inf)
    front = front_room(net, layout.features, 0)
    for c, first, last, number in net.tiles.tolist():
        sums = net.sums[net.node[c] + first : net.node[c] + last]
        if c == 0:
            start, size, width = layout.tile(first, last)
            lines = size - layout.constants * width
            table = net.first[start : start + size]
            update_first(table[:lines], net.kinds, layout.features, front, 0, 0, 0, width, low, high)
            update_constant(table[lines:], extra, 0, 0, front, width, low, high)
            sums[:] = front.sums[: last - first]
            continue
        rows, width = int(net.shape[c, 1] - net.shape[c, 0]), last - first
        still, scratch = np.zeros((3, max(width, rows)), dtype), np.zeros(2 * width, dtype)
        own, columns = int(net.ways[c, 0]), int(net.shape[c, 2])
        share = net.share_start[c] + number * rows
        table, shares = net.weights[own : own + rows * columns], net.shares[share : share + rows]
        update_inner(
            table.reshape(rows, columns), 0, still, still, still, still, zero, low, high, first, shares, sums,
            scratch, np.zeros(4, np.int64), net.mutual,
        )  # fmt: skip
