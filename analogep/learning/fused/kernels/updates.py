"""One pass over a crossbar: update, clip, and the sums and currents that the next batch needs.

These loops are elementwise over columns, so that their bits do not depend on where a tile begins.
"""

from __future__ import annotations

from analogep.solve.compiled import ELEMENTWISE, SUMS, compiled


@compiled(fastmath=ELEMENTWISE)
def update_first(table, data, now, nxt, shift, level, lo, hi, sums, into, scratch):  # type: ignore[no-untyped-def]
    """Update a tile of C columns of the first crossbar, and make the next batch's currents ``into`` it (B, C).

    ``table`` is (F, K, C): K = 2 for lines at ±x, else 1. With the voltage u of a line, g ← clip(g − u·shift −
    level). ``data`` (S, F) holds the lines' voltages, ``now`` and ``nxt`` the samples of the two batches;
    ``shift`` has three more rows than ``now``, all zero.
    """
    features, kinds, size = table.shape
    batch = len(now)
    zero = table.dtype.type(0)
    for j in range(size):
        sums[j] = zero
    for b in range(len(nxt)):
        for j in range(size):
            into[b, j] = zero
    for i in range(features):
        lit = False
        for q in range(0, batch, 4):
            u0 = data[now[q], i]
            u1 = data[now[q + 1], i] if q + 1 < batch else zero
            u2 = data[now[q + 2], i] if q + 2 < batch else zero
            u3 = data[now[q + 3], i] if q + 3 < batch else zero
            if u0 != 0 or u1 != 0 or u2 != 0 or u3 != 0:
                p0, p1, p2, p3 = shift[q], shift[q + 1], shift[q + 2], shift[q + 3]
                if lit:
                    for j in range(size):
                        scratch[j] += (u0 * p0[j] + u1 * p1[j]) + (u2 * p2[j] + u3 * p3[j])
                else:
                    for j in range(size):
                        scratch[j] = (u0 * p0[j] + u1 * p1[j]) + (u2 * p2[j] + u3 * p3[j])
                    lit = True
        plus = table[i, 0]
        if kinds == 2:
            minus = table[i, 1]
            if lit:
                for j in range(size):
                    a = min(max(plus[j] - (level[j] + scratch[j]), lo), hi)
                    c = min(max(minus[j] - (level[j] - scratch[j]), lo), hi)
                    plus[j] = a
                    minus[j] = c
                    sums[j] += a + c
            else:
                for j in range(size):
                    a = min(max(plus[j] - level[j], lo), hi)
                    c = min(max(minus[j] - level[j], lo), hi)
                    plus[j] = a
                    minus[j] = c
                    sums[j] += a + c
            for b in range(len(nxt)):
                u = data[nxt[b], i]
                if u != 0:
                    row = into[b]
                    for j in range(size):
                        row[j] += u * (plus[j] - minus[j])
        else:
            if lit:
                for j in range(size):
                    a = min(max(plus[j] - (level[j] + scratch[j]), lo), hi)
                    plus[j] = a
                    sums[j] += a
            else:
                for j in range(size):
                    a = min(max(plus[j] - level[j], lo), hi)
                    plus[j] = a
                    sums[j] += a
            for b in range(len(nxt)):
                u = data[nxt[b], i]
                if u != 0:
                    row = into[b]
                    for j in range(size):
                        row[j] += u * plus[j]


@compiled(fastmath=ELEMENTWISE)
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


@compiled(fastmath=SUMS)
def _total(line):  # type: ignore[no-untyped-def]
    total = line.dtype.type(0)
    for j in range(len(line)):
        total += line[j]
    return total


@compiled(fastmath=ELEMENTWISE)
def update_inner(table, dr, sr, dc, sc, rate, lo, hi, first, last, share, sums, scratch):  # type: ignore[no-untyped-def]
    """Update the columns ``first`` to ``last`` of a crossbar between groups.

    g ← clip(g − rate Σ_b (d_r − d_c)(s_r − s_c)) with differences d (B, ·) and sums s (B, ·) of the two phases;
    ``share`` (R,) gets this tile's part of the row sums, ``sums`` (C,) the column sums.
    """
    rows = len(share)
    size = last - first
    batch = len(dr)
    zero = table.dtype.type(0)
    own = scratch[:size]
    step = scratch[size : 2 * size]
    total = sums[first:last]
    for j in range(size):
        own[j] = zero
        total[j] = zero
    for b in range(batch):
        d, s = dc[b][first:last], sc[b][first:last]
        for j in range(size):
            own[j] += d[j] * s[j]
    for r in range(rows):
        line = table[r][first:last]
        level = zero
        for b in range(batch):
            level += dr[b, r] * sr[b, r]
        for j in range(size):
            step[j] = own[j] + level
        for b in range(0, batch, 2):
            e = min(b + 1, batch - 1)
            x0, y0 = dr[b, r], sr[b, r]
            x1, y1 = (dr[e, r], sr[e, r]) if e > b else (zero, zero)
            if x0 != 0 or y0 != 0 or x1 != 0 or y1 != 0:
                d0, s0 = dc[b][first:last], sc[b][first:last]
                d1, s1 = dc[e][first:last], sc[e][first:last]
                for j in range(size):
                    step[j] -= (x0 * s0[j] + y0 * d0[j]) + (x1 * s1[j] + y1 * d1[j])
        for j in range(size):
            a = min(max(line[j] - rate * step[j], lo), hi)
            line[j] = a
            total[j] += a
        share[r] = _total(line)


@compiled(fastmath=ELEMENTWISE)
def recount(net, features, constants):  # type: ignore[no-untyped-def]
    """Set the column sums and row shares of a network from its weights, in the order in which updates do."""
    for t in range(len(net.tiles)):
        c, first, last = net.tiles[t, 0], net.tiles[t, 1], net.tiles[t, 2]
        width = last - first
        n0 = net.node[c]
        sums = net.sums[n0 + first : n0 + last]
        for j in range(width):
            sums[j] = 0
        if c == 0:
            lines = features * net.kinds
            place = first * (lines + constants)
            for _ in range(features):
                plus = net.weights[place : place + width]
                if net.kinds == 2:
                    minus = net.weights[place + width : place + 2 * width]
                    for j in range(width):
                        sums[j] += plus[j] + minus[j]
                else:
                    for j in range(width):
                        sums[j] += plus[j]
                place += net.kinds * width
            for i in range(constants):
                line = net.weights[place + i * width : place + (i + 1) * width]
                for j in range(width):
                    sums[j] += line[j]
            continue
        rows, columns = net.shape[c, 1] - net.shape[c, 0], net.shape[c, 2]
        s0 = net.share_start[c] + net.tiles[t, 3] * rows
        for r in range(rows):
            start = net.shape[c, 3] + r * columns + first
            line = net.weights[start : start + width]
            for j in range(width):
                sums[j] += line[j]
            net.shares[s0 + r] = _total(line)


@compiled(fastmath=ELEMENTWISE)
def line_currents(net, lines, samples, into):  # type: ignore[no-untyped-def]
    """Set the current (B, n0) of the clamped lines into the first group, in the order in which updates do."""
    features, constants = lines.data.shape[1], len(lines.extra)
    count = features * net.kinds
    for t in range(len(net.tiles)):
        if net.tiles[t, 0] != 0:
            continue
        first, width = net.tiles[t, 1], net.tiles[t, 2] - net.tiles[t, 1]
        place = first * (count + constants)
        table = net.weights[place : place + count * width].reshape(features, net.kinds, width)
        place += count * width
        for b in range(len(samples)):
            row = into[b][first : first + width]
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
                line = net.weights[place + i * width : place + (i + 1) * width]
                for j in range(width):
                    row[j] += lines.extra[i] * line[j]
