"""The first crossbar, whose lines are clamped: one pass updates it, and makes the next batch's currents.

The layout is :class:`~analogep.learning.fused.layout.FirstCrossbar`'s: four lines a time, whose (trans)conductances
at a vector of columns lie in one piece. Everything is elementwise over columns: bits do not depend on tiles.
"""

from __future__ import annotations

import numpy as np

from analogep.learning.fused.kernels.intrinsics.vectors import fused, get, larger, per_vector, put, smaller, spread
from analogep.learning.fused.kernels.intrinsics.views import part, span
from analogep.learning.fused.layout import COLUMNS
from analogep.solve.compiled import ELEMENTWISE, compiled


@compiled(inner=True)
def light(data, samples, front, slot):  # type: ignore[no-untyped-def]
    """Set the lines' voltages for a batch, from ``data`` (S, F), and where four by four are not all zero."""
    volts, lit = front.volts, front.lit
    features = data.shape[1]
    for b in range(volts.shape[1]):
        known = features if b < len(samples) else 0
        for i in range(known):
            volts[slot, b, i] = data[samples[b], i]
        for i in range(known, volts.shape[2]):
            volts[slot, b, i] = 0
    for q in range(lit.shape[1]):
        for k in range(lit.shape[2]):
            some = False
            for b in range(4 * q, 4 * q + 4):
                for i in range(4 * k, 4 * k + 4):
                    some |= volts[slot, b, i] != 0
            lit[slot, q, k] = some


@compiled(fastmath=ELEMENTWISE, inner=True)
def _flow(table, at, kinds, width, volts, slot, b, i, into):  # type: ignore[no-untyped-def]
    """Add the currents of four samples from ``b`` on, through the four lines from ``i`` on that begin at ``at``."""
    n = per_vector(table)
    u00, u10 = spread(volts[slot, b, i]), spread(volts[slot, b, i + 1])
    u20, u30 = spread(volts[slot, b, i + 2]), spread(volts[slot, b, i + 3])
    u01, u11 = spread(volts[slot, b + 1, i]), spread(volts[slot, b + 1, i + 1])
    u21, u31 = spread(volts[slot, b + 1, i + 2]), spread(volts[slot, b + 1, i + 3])
    u02, u12 = spread(volts[slot, b + 2, i]), spread(volts[slot, b + 2, i + 1])
    u22, u32 = spread(volts[slot, b + 2, i + 2]), spread(volts[slot, b + 2, i + 3])
    u03, u13 = spread(volts[slot, b + 3, i]), spread(volts[slot, b + 3, i + 1])
    u23, u33 = spread(volts[slot, b + 3, i + 2]), spread(volts[slot, b + 3, i + 3])
    i0, i1, i2, i3 = b * width, (b + 1) * width, (b + 2) * width, (b + 3) * width
    for j in range(0, width, n):
        d0, d1 = get(table, at), get(table, at + n)
        d2, d3 = get(table, at + 2 * n), get(table, at + 3 * n)
        if kinds == 2:
            d0, d1 = d0 - get(table, at + 4 * n), d1 - get(table, at + 5 * n)
            d2, d3 = d2 - get(table, at + 6 * n), d3 - get(table, at + 7 * n)
        at += 4 * kinds * n
        put(into, i0 + j, fused(u30, d3, fused(u20, d2, fused(u10, d1, fused(u00, d0, get(into, i0 + j))))))
        put(into, i1 + j, fused(u31, d3, fused(u21, d2, fused(u11, d1, fused(u01, d0, get(into, i1 + j))))))
        put(into, i2 + j, fused(u32, d3, fused(u22, d2, fused(u12, d1, fused(u02, d0, get(into, i2 + j))))))
        put(into, i3 + j, fused(u33, d3, fused(u23, d2, fused(u13, d1, fused(u03, d0, get(into, i3 + j))))))


@compiled(fastmath=ELEMENTWISE, inner=True)
def _four(table, at, x0, x1, x2, x3, e0, e1, e2, e3, floor, ceiling, bounded, total):  # type: ignore[no-untyped-def]
    """Reduce the conductances of four lines at a vector of columns by x and clip them; returns the sum with them."""
    n = per_vector(table)
    g0, g1 = larger(e0 * get(table, at) - x0, floor), larger(e1 * get(table, at + n) - x1, floor)
    g2, g3 = larger(e2 * get(table, at + 2 * n) - x2, floor), larger(e3 * get(table, at + 3 * n) - x3, floor)
    if bounded:
        g0, g1, g2, g3 = smaller(g0, ceiling), smaller(g1, ceiling), smaller(g2, ceiling), smaller(g3, ceiling)
    put(table, at, g0)
    put(table, at + n, g1)
    put(table, at + 2 * n, g2)
    put(table, at + 3 * n, g3)
    return fused(e3, g3, fused(e2, g2, fused(e1, g1, fused(e0, g0, total))))


@compiled(fastmath=ELEMENTWISE, borrows=True)
def update_first(table, kinds, features, front, slot, batch, more, width, lo, hi):  # type: ignore[no-untyped-def]
    """Update a tile, ``width`` columns with those that fill it up, and make the next batch's currents into it.

    With the voltage u of a line, g ← clip(g − u·shift − level), where ``front`` holds the voltages of the batch in
    ``slot`` and those of the next, of ``more`` samples, in the other; ``level`` is the first row of its ``base``.
    Its ``sums`` (width,) become the tile's column sums, its ``fresh`` (B + 3, width) the currents.
    """
    volts, lit, shift, base, sums, into = front.volts, front.lit, front.shift, front.base, front.sums, front.fresh
    number = table.dtype.type
    n = per_vector(table)
    quads, following = (batch + 3) // 4, (more + 3) // 4
    floor, ceiling, bounded = spread(lo), spread(hi), hi < np.inf
    none = spread(number(0))
    for j in range(0, width, n):
        put(sums, j, none)
    for j in range(0, 4 * following * width, n):
        put(into, j, none)
    for k in range((features + 3) // 4):
        i, at = 4 * k, 4 * k * kinds * width
        # lines that fill up the last block stay out of the sums
        e0, e1 = spread(number(1)), spread(number(i + 1 < features))
        e2, e3 = spread(number(i + 2 < features)), spread(number(i + 3 < features))
        last, place = np.int64(-1), at
        f0, f1, f2, f3 = np.int64(0), np.int64(0), np.int64(0), np.int64(0)  # rows of base to start from
        for q in range(quads):
            if not lit[slot, q, k]:
                continue
            if last >= 0:
                b = 4 * last
                o0, o1, o2, o3 = b * width, (b + 1) * width, (b + 2) * width, (b + 3) * width
                for f in range(4):
                    u0, u1 = spread(volts[slot, b, i + f]), spread(volts[slot, b + 1, i + f])
                    u2, u3 = spread(volts[slot, b + 2, i + f]), spread(volts[slot, b + 3, i + f])
                    old, new = (f + 1) * width if f1 else 0, (f + 1) * width
                    for j in range(0, width, n):
                        x = fused(u1, get(shift, o1 + j), fused(u0, get(shift, o0 + j), get(base, old + j)))
                        x = fused(u3, get(shift, o3 + j), fused(u2, get(shift, o2 + j), x))
                        put(base, new + j, x)
                f0, f1, f2, f3 = width, 2 * width, 3 * width, 4 * width
            last = q
        if last >= 0:
            b = 4 * last
            o0, o1, o2, o3 = b * width, (b + 1) * width, (b + 2) * width, (b + 3) * width
            u00, u01 = spread(volts[slot, b, i]), spread(volts[slot, b + 1, i])
            u02, u03 = spread(volts[slot, b + 2, i]), spread(volts[slot, b + 3, i])
            u10, u11 = spread(volts[slot, b, i + 1]), spread(volts[slot, b + 1, i + 1])
            u12, u13 = spread(volts[slot, b + 2, i + 1]), spread(volts[slot, b + 3, i + 1])
            u20, u21 = spread(volts[slot, b, i + 2]), spread(volts[slot, b + 1, i + 2])
            u22, u23 = spread(volts[slot, b + 2, i + 2]), spread(volts[slot, b + 3, i + 2])
            u30, u31 = spread(volts[slot, b, i + 3]), spread(volts[slot, b + 1, i + 3])
            u32, u33 = spread(volts[slot, b + 2, i + 3]), spread(volts[slot, b + 3, i + 3])
            for j in range(0, width, n):
                s0, s1, s2, s3 = get(shift, o0 + j), get(shift, o1 + j), get(shift, o2 + j), get(shift, o3 + j)
                x0 = fused(u03, s3, fused(u02, s2, fused(u01, s1, fused(u00, s0, get(base, f0 + j)))))
                x1 = fused(u13, s3, fused(u12, s2, fused(u11, s1, fused(u10, s0, get(base, f1 + j)))))
                x2 = fused(u23, s3, fused(u22, s2, fused(u21, s1, fused(u20, s0, get(base, f2 + j)))))
                x3 = fused(u33, s3, fused(u32, s2, fused(u31, s1, fused(u30, s0, get(base, f3 + j)))))
                total = _four(table, place, x0, x1, x2, x3, e0, e1, e2, e3, floor, ceiling, bounded, get(sums, j))
                place += 4 * n
                if kinds == 2:
                    level = get(base, j)
                    twice = level + level
                    x0, x1, x2, x3 = twice - x0, twice - x1, twice - x2, twice - x3
                    total = _four(table, place, x0, x1, x2, x3, e0, e1, e2, e3, floor, ceiling, bounded, total)
                    place += 4 * n
                put(sums, j, total)
        else:
            for j in range(0, width, n):
                x, total = get(base, j), get(sums, j)
                for _ in range(kinds):
                    total = _four(table, place, x, x, x, x, e0, e1, e2, e3, floor, ceiling, bounded, total)
                    place += 4 * n
                put(sums, j, total)
        for q in range(following):
            if lit[1 - slot, q, k]:
                _flow(table, at, kinds, width, volts, 1 - slot, 4 * q, i, into)


@compiled(fastmath=ELEMENTWISE, borrows=True)
def update_constant(table, extra, many, more, front, width, lo, hi):  # type: ignore[no-untyped-def]
    """Update a tile's constant lines ``table`` (E · width), at ``extra`` (E,) [V], after :func:`update_first`."""
    shift, base, sums, into = front.shift, front.base, front.sums, front.fresh
    for i in range(len(extra)):
        line = span(table, i * width, (i + 1) * width)
        for j in range(width):
            push = table.dtype.type(0)
            for b in range(many):
                push += shift[b * width + j]
            a = min(max(line[j] - (extra[i] * push + base[j]), lo), hi)
            line[j] = a
            sums[j] += a
        for b in range(more):
            row = span(into, b * width, (b + 1) * width)
            for j in range(width):
                row[j] += extra[i] * line[j]


@compiled(fastmath=ELEMENTWISE, borrows=True)
def line_currents(net, lines, samples, front, into):  # type: ignore[no-untyped-def]
    """Set the current (B, n0) of the clamped lines into the first group, in the order in which updates do."""
    light(lines.data, samples, front, 0)
    volts, lit, fresh = front.volts, front.lit, front.fresh
    blocks, constants = lit.shape[2], len(lines.extra)
    depth = 4 * blocks * net.kinds + constants
    for t in range(len(net.tiles)):
        if net.tiles[t, 0] != 0:
            continue
        first, last, place = net.tiles[t, 1], net.tiles[t, 2], net.tiles[t, 1] * depth
        width = (last - first + COLUMNS - 1) // COLUMNS * COLUMNS
        table = span(net.first, place, place + width * depth)
        for j in range((len(samples) + 3) // 4 * 4 * width):
            fresh[j] = 0
        for k in range(blocks):
            for q in range((len(samples) + 3) // 4):
                if lit[0, q, k]:
                    at = 4 * k * net.kinds * width
                    _flow(table, at, net.kinds, width, volts, 0, 4 * q, 4 * k, fresh)
        for b in range(len(samples)):
            row, whole = part(into, b, first, last), span(fresh, b * width, (b + 1) * width)
            for i in range(constants):
                at = (depth - constants + i) * width
                line = span(table, at, at + width)
                for j in range(width):
                    whole[j] += lines.extra[i] * line[j]
            for j in range(last - first):
                row[j] = whole[j]
