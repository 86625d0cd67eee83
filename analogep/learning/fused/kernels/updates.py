"""One pass over a crossbar between groups: update, clip, and the sums that the next batch needs.

These loops are elementwise over columns, so that their bits do not depend on where a tile begins.
"""

from __future__ import annotations

from analogep.learning.fused.kernels.intrinsics.views import part, span
from analogep.solve.compiled import ELEMENTWISE, SUMS, compiled


@compiled(fastmath=SUMS, inner=True)
def _total(line):  # type: ignore[no-untyped-def]
    total = line.dtype.type(0)
    for j in range(len(line)):
        total += line[j]
    return total


@compiled(fastmath=ELEMENTWISE, borrows=True)
def update_inner(  # type: ignore[no-untyped-def]
    table, batch, dr, sr, dc, sc, rate, lo, hi, first, share, sums, scratch, live, mutual
):
    """Update a tile of a crossbar between groups, from column ``first`` on.

    g ← clip(g − rate Σ_b (d_r − d_c)(s_r − s_c)) with differences d (B + 1, ·) and sums s (B + 1, ·) of the two
    phases, for all rows but for the tile's columns alone, sample number B = ``batch`` being all zeros; ``share``
    (R,) gets the tile's part of the row sums, ``sums`` (tile,) its column sums. ``live`` (B + 4,) is scratch.
    Transconductances (``mutual``) have the mixed terms d_r s_c + s_r d_c alone, and no sums. Of a crossbar that
    lies column by column, rows here are columns there, in all arguments.
    """
    rows, size = len(share), len(sums)
    zero = table.dtype.type(0)
    own, step = span(scratch, 0, size), span(scratch, size, 2 * size)
    for j in range(size):
        own[j] = zero
        sums[j] = zero
    for b in range(0 if mutual else batch):
        for j in range(size):
            own[j] += dc[b, j] * sc[b, j]
    for r in range(rows):
        line = part(table, r, first, first + size)
        level = zero
        count = 0
        for b in range(batch):
            level += zero if mutual else dr[b, r] * sr[b, r]
            live[count] = b
            count += dr[b, r] != 0 or sr[b, r] != 0
        for k in range(count, count + 4):
            live[k] = batch
        rest = own
        k = 0
        while count - k > 4:
            b0, b1, b2, b3 = live[k], live[k + 1], live[k + 2], live[k + 3]
            x0, x1, x2, x3 = dr[b0, r], dr[b1, r], dr[b2, r], dr[b3, r]
            y0, y1, y2, y3 = sr[b0, r], sr[b1, r], sr[b2, r], sr[b3, r]
            for j in range(size):
                step[j] = rest[j] - (
                    (x0 * sc[b0, j] + y0 * dc[b0, j])
                    + (x1 * sc[b1, j] + y1 * dc[b1, j])
                    + (x2 * sc[b2, j] + y2 * dc[b2, j])
                    + (x3 * sc[b3, j] + y3 * dc[b3, j])
                )
            rest = step
            k += 4
        b0, b1, b2, b3 = live[k], live[k + 1], live[k + 2], live[k + 3]
        x0, x1, x2, x3 = dr[b0, r], dr[b1, r], dr[b2, r], dr[b3, r]
        y0, y1, y2, y3 = sr[b0, r], sr[b1, r], sr[b2, r], sr[b3, r]
        if count - k > 2:
            for j in range(size):
                push = ((x0 * sc[b0, j] + y0 * dc[b0, j]) + (x1 * sc[b1, j] + y1 * dc[b1, j])) + (
                    (x2 * sc[b2, j] + y2 * dc[b2, j]) + (x3 * sc[b3, j] + y3 * dc[b3, j])
                )
                a = min(max(line[j] - rate * ((rest[j] + level) - push), lo), hi)
                line[j] = a
                sums[j] += a
        elif count > k:
            for j in range(size):
                push = (x0 * sc[b0, j] + y0 * dc[b0, j]) + (x1 * sc[b1, j] + y1 * dc[b1, j])
                a = min(max(line[j] - rate * ((rest[j] + level) - push), lo), hi)
                line[j] = a
                sums[j] += a
        else:
            for j in range(size):
                a = min(max(line[j] - rate * (rest[j] + level), lo), hi)
                line[j] = a
                sums[j] += a
        share[r] = zero if mutual else _total(line)
    if mutual:
        for j in range(size):
            sums[j] = zero
