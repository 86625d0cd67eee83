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
    """Set column sums and row shares, by an update of zero: so they have the very bits of updates.

    Transconductances load no node: their sums stay zero.

    Parameters
    ----------
    net
        The network; ``sums`` and ``shares`` change.
    layout
        How the first crossbar lies in memory.
    extra
        Voltages (E,) [V] of the first crossbar's constant lines.
    """
    dtype = net.weights.dtype
    if net.mutual:
        return
    zero, low, high = dtype.type(0), dtype.type(-np.inf), dtype.type(np.inf)
    front = front_room(net, 0)
    for c, first, last, number in net.tiles.tolist():
        sums = net.sums[net.node[c] + first : net.node[c] + last]
        if c == 0:
            start, size, width = layout.tile(first, last)
            lines = size - layout.constants * width
            table = net.first[start : start + size]
            update_first(
                table[:lines], dtype.type(1), net.kinds, layout.features, front, 0, 0, 0, width, low, high, 0
            )
            update_constant(table[lines:], extra, 0, 0, front, width, low, high)
            sums[:] = front.sums[: last - first]
            continue
        rows, columns, own = int(net.shape[c, 1] - net.shape[c, 0]), int(net.shape[c, 2]), int(net.ways[c, 0])
        most = max(last - first, rows)
        still, scratch, live = np.zeros((3, most), dtype), np.zeros(2 * most, dtype), np.zeros(4, np.int64)
        share = net.share_start[c] + number * rows
        shares, table = net.shares[share : share + rows], net.weights[own : own + rows * columns]
        if net.turned[c]:
            of, column, along = (columns, rows), 0, (sums, shares)
        else:
            of, column, along = (rows, columns), first, (shares, sums)
        update_inner(
            table.reshape(of), 0, *(still,) * 4, zero, low, high, column, *along, scratch, live, net.mutual
        )
