"""One pass over a crossbar: update, clip, and the sums and currents that the next batch needs.

These loops are elementwise over columns, so that their bits do not depend on where a tile begins.
"""

from __future__ import annotations

from analogep.learning.fused.kernels.intrinsics.views import matrices, matrix, part, span
from analogep.solve.compiled import ELEMENTWISE, SUMS, compiled


@compiled(fastmath=ELEMENTWISE, borrows=True)
def update_first(table, data, now, nxt, shift, level, lo, hi, sums, into, scratch, volts):  # type: ignore[no-untyped-def]
    """Update a tile of C columns of the first crossbar, and make the next batch's currents ``into`` it (B, C).

    ``table`` is (F, K, C): K = 2 for lines at ±x, else 1. With the voltage u of a line, g ← clip(g − u·shift −
    level). ``data`` (S, F) holds the lines' voltages, ``now`` and ``nxt`` the samples of the two batches;
    ``shift`` has three more rows than ``now``, all zero; ``volts`` (2, B + 3, F) is scratch.
    """
    features, kinds, size = table.shape
    batch, more = len(now), len(nxt)
    zero = table.dtype.type(0)
    for b in range(batch + 3):
        for i in range(features):
            volts[0, b, i] = data[now[b], i] if b < batch else zero
    for b in range(more):
        for i in range(features):
            volts[1, b, i] = data[nxt[b], i]
    for j in range(size):
        sums[j] = zero
    for b in range(more):
        for j in range(size):
            into[b, j] = zero
    for i in range(features):
        lit = False
        for q in range(0, batch, 4):
            u0, u1, u2, u3 = volts[0, q, i], volts[0, q + 1, i], volts[0, q + 2, i], volts[0, q + 3, i]
            if u0 != 0 or u1 != 0 or u2 != 0 or u3 != 0:
                if lit:
                    for j in range(size):
                        scratch[j] += (u0 * shift[q, j] + u1 * shift[q + 1, j]) + (
                            u2 * shift[q + 2, j] + u3 * shift[q + 3, j]
                        )
                else:
                    for j in range(size):
                        scratch[j] = (u0 * shift[q, j] + u1 * shift[q + 1, j]) + (
                            u2 * shift[q + 2, j] + u3 * shift[q + 3, j]
                        )
                    lit = True
        if kinds == 2:
            if lit:
                for j in range(size):
                    a = min(max(table[i, 0, j] - (level[j] + scratch[j]), lo), hi)
                    c = min(max(table[i, 1, j] - (level[j] - scratch[j]), lo), hi)
                    table[i, 0, j] = a
                    table[i, 1, j] = c
                    sums[j] += a + c
            else:
                for j in range(size):
                    a = min(max(table[i, 0, j] - level[j], lo), hi)
                    c = min(max(table[i, 1, j] - level[j], lo), hi)
                    table[i, 0, j] = a
                    table[i, 1, j] = c
                    sums[j] += a + c
            for b in range(more):
                u = volts[1, b, i]
                if u != 0:
                    for j in range(size):
                        into[b, j] += u * (table[i, 0, j] - table[i, 1, j])
        else:
            if lit:
                for j in range(size):
                    a = min(max(table[i, 0, j] - (level[j] + scratch[j]), lo), hi)
                    table[i, 0, j] = a
                    sums[j] += a
            else:
                for j in range(size):
                    a = min(max(table[i, 0, j] - level[j], lo), hi)
                    table[i, 0, j] = a
                    sums[j] += a
            for b in range(more):
                u = volts[1, b, i]
                if u != 0:
                    for j in range(size):
                        into[b, j] += u * table[i, 0, j]


@compiled(fastmath=ELEMENTWISE, borrows=True)
def update_constant(table, extra, many, nxt, shift, level, lo, hi, sums, into):  # type: ignore[no-untyped-def]
    """Update a tile of the first crossbar's constant lines ``table`` (E, C), after :func:`update_first`."""
    lines, size = table.shape
    for i in range(lines):
        line = table[i]
        for j in range(size):
            push = table.dtype.type(0)
            for b in range(many):
                push += shift[b, j]
            a = min(max(line[j] - (extra[i] * push + level[j]), lo), hi)
            line[j] = a
            sums[j] += a
        for b in range(nxt):
            row = into[b]
            for j in range(size):
                row[j] += extra[i] * line[j]


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
    Transconductances (``mutual``) have the mixed terms d_r s_c + s_r d_c alone, and no sums.
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


@compiled(inner=True)
def turn(net, c):  # type: ignore[no-untyped-def]
    """Copy the tables of a narrow crossbar column by column."""
    rows, width = net.shape[c, 1] - net.shape[c, 0], net.shape[c, 2]
    for way in range(2):
        start, own = net.flip[c, way], net.ways[c, way]
        if start < 0 or (way == 1 and start == net.flip[c, 0]):
            continue
        table = matrix(net.weights, own, rows, width)
        flipped = matrix(net.flipped, start, width, rows)
        for r in range(rows):
            for j in range(width):
                flipped[j, r] = table[r, j]


@compiled(fastmath=ELEMENTWISE, borrows=True)
def line_currents(net, lines, samples, into):  # type: ignore[no-untyped-def]
    """Set the current (B, n0) of the clamped lines into the first group, in the order in which updates do."""
    features, constants = lines.data.shape[1], len(lines.extra)
    count = features * net.kinds
    for t in range(len(net.tiles)):
        if net.tiles[t, 0] != 0:
            continue
        first, width = net.tiles[t, 1], net.tiles[t, 2] - net.tiles[t, 1]
        place = first * (count + constants)
        table = matrices(net.weights, place, features, net.kinds, width)
        place += count * width
        for b in range(len(samples)):
            row = part(into, b, first, first + width)
            for j in range(width):
                row[j] = 0
            for i in range(features):
                u = lines.data[samples[b], i]
                if u != 0:
                    plus = table[i, 0]
                    if net.kinds == 2:
                        minus = table[i, 1]
                        for j in range(width):
                            row[j] += u * (plus[j] - minus[j])
                    else:
                        for j in range(width):
                            row[j] += u * plus[j]
            for i in range(constants):
                line = span(net.weights, place + i * width, place + (i + 1) * width)
                for j in range(width):
                    row[j] += lines.extra[i] * line[j]
