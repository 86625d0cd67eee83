"""The first crossbar, whose lines are clamped: one pass updates it, and makes the next batch's currents.

The layout is :class:`~analogep.learning.fused.layout.FirstCrossbar`'s: four lines a time, whose
(trans)conductances at a vector of columns lie in one piece. What samples have at columns lies likewise, four
samples a time, so that a loop over columns has few places to keep track of. Everything is elementwise over
columns: bits do not depend on tiles.
"""

from __future__ import annotations

import numpy as np

from analogep.learning.fused.kernels.intrinsics.vectors import (
    fused,
    fused_less,
    get,
    larger,
    per_vector,
    put,
    smaller,
    spread,
)
from analogep.learning.fused.kernels.intrinsics.views import part, span
from analogep.learning.fused.layout import COLUMNS
from analogep.solve.compiled import ELEMENTWISE, compiled


@compiled(inner=True)
def tile_at(net, t):  # type: ignore[no-untyped-def]
    """Return where tile ``t``, one of the first crossbar, begins in memory, and its width there."""
    first, last = net.tiles[t, 1], net.tiles[t, 2]
    return first * net.depth, (last - first + COLUMNS - 1) // COLUMNS * COLUMNS


@compiled(inner=True)
def light(data, samples, front, slot):  # type: ignore[no-untyped-def]
    """Set the lines' voltages for a batch, from ``data`` (S, F), and where four by four are not all zero."""
    volts, lit = front.volts, front.lit
    features = data.shape[1]
    zero = volts.dtype.type(0)
    for q in range(lit.shape[1]):
        for b in range(4 * q, 4 * q + 4):
            known = features if b < len(samples) else 0
            for i in range(known):
                volts[slot, b, i] = data[samples[b], i]
            for i in range(known, volts.shape[2]):
                volts[slot, b, i] = zero
        for k in range(lit.shape[2]):
            some = False
            for i in range(4 * k, 4 * k + 4):
                some |= (volts[slot, 4 * q, i] != 0) | (volts[slot, 4 * q + 1, i] != 0)
                some |= (volts[slot, 4 * q + 2, i] != 0) | (volts[slot, 4 * q + 3, i] != 0)
            lit[slot, q, k] = some


@compiled(fastmath=ELEMENTWISE, inner=True)
def prepare(many, columns, width, rate, loads, difference, total, front):  # type: ignore[no-untyped-def]
    """Set what an update takes off a tile: ``front.shift``, and the level in ``front.base``.

    The tile's columns are fewer than its ``width`` where they need filling up. ``difference`` and ``total``
    (B + 1, n) [V] are those of the two phases there; the former becomes zero behind the columns. ``loads`` is 0
    for transconductances, which have no level.
    """
    shift, base = front.shift, front.base
    n, row = per_vector(base), difference.shape[1]
    slope, factor = spread(-(rate + rate)), spread(rate)
    none = spread(base.dtype.type(0))
    for b in range(many):
        for j in range(columns, width):
            difference[b, j] = 0
    for v in range(width // n):
        level = none
        for b in range((many + 3) // 4 * 4):
            at = (b // 4 * width + v * n) * 4 + b % 4 * n
            if b < many:
                move = get(difference, b * row + v * n)
                put(shift, at, slope * move)
                if loads:
                    level = fused(move, get(total, b * row + v * n), level)
            else:
                put(shift, at, none)
        put(base, 5 * v * n, factor * level)


@compiled(fastmath=ELEMENTWISE, inner=True)
def _flow(table, at, kinds, width, volts, slot, b, i, into):  # type: ignore[no-untyped-def]
    """Add the currents of four samples from ``b`` on, through four lines from ``i`` on that begin at ``at``."""
    n = per_vector(table)
    u00, u10 = spread(volts[slot, b, i]), spread(volts[slot, b, i + 1])
    u20, u30 = spread(volts[slot, b, i + 2]), spread(volts[slot, b, i + 3])
    u01, u11 = spread(volts[slot, b + 1, i]), spread(volts[slot, b + 1, i + 1])
    u21, u31 = spread(volts[slot, b + 1, i + 2]), spread(volts[slot, b + 1, i + 3])
    u02, u12 = spread(volts[slot, b + 2, i]), spread(volts[slot, b + 2, i + 1])
    u22, u32 = spread(volts[slot, b + 2, i + 2]), spread(volts[slot, b + 2, i + 3])
    u03, u13 = spread(volts[slot, b + 3, i]), spread(volts[slot, b + 3, i + 1])
    u23, u33 = spread(volts[slot, b + 3, i + 2]), spread(volts[slot, b + 3, i + 3])
    to = b * width
    for _ in range(0, width, n):
        d0, d1 = get(table, at), get(table, at + n)
        d2, d3 = get(table, at + 2 * n), get(table, at + 3 * n)
        at += 4 * n
        if kinds == 2:
            d0, d1 = d0 - get(table, at), d1 - get(table, at + n)
            d2, d3 = d2 - get(table, at + 2 * n), d3 - get(table, at + 3 * n)
            at += 4 * n
        t1, t2, t3 = to + n, to + 2 * n, to + 3 * n
        put(into, to, fused(u30, d3, fused(u20, d2, fused(u10, d1, fused(u00, d0, get(into, to))))))
        put(into, t1, fused(u31, d3, fused(u21, d2, fused(u11, d1, fused(u01, d0, get(into, t1))))))
        put(into, t2, fused(u32, d3, fused(u22, d2, fused(u12, d1, fused(u02, d0, get(into, t2))))))
        put(into, t3, fused(u33, d3, fused(u23, d2, fused(u13, d1, fused(u03, d0, get(into, t3))))))
        to += 4 * n


@compiled(fastmath=ELEMENTWISE, inner=True)
def _four(table, at, x0, x1, x2, x3, one, lo, hi, odd, missing, total):  # type: ignore[no-untyped-def]
    """Reduce the conductances of four lines at a vector of columns by x and clip them; returns the sum with them.

    ``odd`` is 0 where there is no upper bound and no line is ``missing``; the last lines that are stay zero.
    ``one`` is 1, which the compiler must not know: some processors (AMD's Zen) have units for a b − c apart from
    those that add and compare, and the latter have enough to do here.
    """
    n = per_vector(table)
    g0 = larger(fused_less(one, get(table, at), x0), lo)
    g1 = larger(fused_less(one, get(table, at + n), x1), lo)
    g2 = larger(fused_less(one, get(table, at + 2 * n), x2), lo)
    g3 = larger(fused_less(one, get(table, at + 3 * n), x3), lo)
    if odd:
        none = spread(table.dtype.type(0))
        g0 = smaller(g0, hi)
        g1 = none if missing > 2 else smaller(g1, hi)
        g2 = none if missing > 1 else smaller(g2, hi)
        g3 = none if missing > 0 else smaller(g3, hi)
    put(table, at, g0)
    put(table, at + n, g1)
    put(table, at + 2 * n, g2)
    put(table, at + 3 * n, g3)
    return total + ((g0 + g1) + (g2 + g3))


@compiled(fastmath=ELEMENTWISE, inner=True)
def _gather(shift, base, volts, slot, b, i, width, several):  # type: ignore[no-untyped-def]
    """Add what four samples from ``b`` on take off four lines from ``i`` on to rows 1 to 4 of ``base``.

    The first such samples (``several`` = 0) add it to the level, which is row 0.
    """
    n = per_vector(base)
    for f in range(4):
        u0, u1 = spread(volts[slot, b, i + f]), spread(volts[slot, b + 1, i + f])
        u2, u3 = spread(volts[slot, b + 2, i + f]), spread(volts[slot, b + 3, i + f])
        at, to = b * width, (f + 1) * n
        for v in range(width // n):
            x = get(base, to if several else 5 * v * n)
            x = fused(u1, get(shift, at + n), fused(u0, get(shift, at), x))
            put(base, to, fused(u3, get(shift, at + 3 * n), fused(u2, get(shift, at + 2 * n), x)))
            at += 4 * n
            to += 5 * n


@compiled(fastmath=ELEMENTWISE, borrows=True)
def update_first(table, one, kinds, features, front, slot, batch, more, width, lo, hi, bounded):  # type: ignore[no-untyped-def]
    """Update a tile, ``width`` columns with those that fill it up, and make the next batch's currents into it.

    ``table`` is flat, (blocks, vectors, kinds, 4, vector). With the voltage u of a line, −u for lines of the
    second kind, g ← clip(g − u·shift − level), where ``front`` holds the voltages of the batch in ``slot`` and
    those of the next, of ``more`` samples, in the other, and what :func:`prepare` sets. Its ``sums`` become the
    tile's column sums, its ``fresh`` the currents. ``bounded`` is 1 if ``hi`` is finite, ``one`` is 1.
    """
    volts, lit, shift, base, sums, into = front.volts, front.lit, front.shift, front.base, front.sums, front.fresh
    n = per_vector(table)
    quads, following = (batch + 3) // 4, (more + 3) // 4
    floor, ceiling, unit = spread(lo), spread(hi), spread(one)
    none = spread(table.dtype.type(0))
    for j in range(0, width, n):
        put(sums, j, none)
    for j in range(0, 4 * following * width, n):
        put(into, j, none)
    for k in range((features + 3) // 4):
        i, at = 4 * k, 4 * k * kinds * width
        missing = max(i + 4 - features, 0)
        odd = bounded + missing
        last, several = np.int64(-1), np.int64(0)
        for q in range(quads):
            if lit[slot, q, k]:
                if last >= 0:
                    _gather(shift, base, volts, slot, 4 * last, i, width, several)
                    several = np.int64(1)
                last = np.int64(q)
        place = at
        if last >= 0:
            b = 4 * last
            u00, u01 = spread(volts[slot, b, i]), spread(volts[slot, b + 1, i])
            u02, u03 = spread(volts[slot, b + 2, i]), spread(volts[slot, b + 3, i])
            u10, u11 = spread(volts[slot, b, i + 1]), spread(volts[slot, b + 1, i + 1])
            u12, u13 = spread(volts[slot, b + 2, i + 1]), spread(volts[slot, b + 3, i + 1])
            u20, u21 = spread(volts[slot, b, i + 2]), spread(volts[slot, b + 1, i + 2])
            u22, u23 = spread(volts[slot, b + 2, i + 2]), spread(volts[slot, b + 3, i + 2])
            u30, u31 = spread(volts[slot, b, i + 3]), spread(volts[slot, b + 1, i + 3])
            u32, u33 = spread(volts[slot, b + 2, i + 3]), spread(volts[slot, b + 3, i + 3])
            off = b * width
            for v in range(width // n):
                s0, s1 = get(shift, off), get(shift, off + n)
                s2, s3 = get(shift, off + 2 * n), get(shift, off + 3 * n)
                off += 4 * n
                row = 5 * v * n
                level = get(base, row)
                x0, x1, x2, x3 = level, level, level, level
                if several:
                    x0, x1 = get(base, row + n), get(base, row + 2 * n)
                    x2, x3 = get(base, row + 3 * n), get(base, row + 4 * n)
                x0 = fused(u03, s3, fused(u02, s2, fused(u01, s1, fused(u00, s0, x0))))
                x1 = fused(u13, s3, fused(u12, s2, fused(u11, s1, fused(u10, s0, x1))))
                x2 = fused(u23, s3, fused(u22, s2, fused(u21, s1, fused(u20, s0, x2))))
                x3 = fused(u33, s3, fused(u32, s2, fused(u31, s1, fused(u30, s0, x3))))
                total = get(sums, v * n)
                total = _four(table, place, x0, x1, x2, x3, unit, floor, ceiling, odd, missing, total)
                place += 4 * n
                if kinds == 2:
                    twice = level + level
                    x0, x1, x2, x3 = twice - x0, twice - x1, twice - x2, twice - x3
                    total = _four(table, place, x0, x1, x2, x3, unit, floor, ceiling, odd, missing, total)
                    place += 4 * n
                put(sums, v * n, total)
        else:
            for v in range(width // n):
                x, total = get(base, 5 * v * n), get(sums, v * n)
                for _ in range(kinds):
                    total = _four(table, place, x, x, x, x, unit, floor, ceiling, odd, missing, total)
                    place += 4 * n
                put(sums, v * n, total)
        for q in range(following):
            if lit[1 - slot, q, k]:
                _flow(table, at, kinds, width, volts, 1 - slot, 4 * q, i, into)


@compiled(fastmath=ELEMENTWISE, inner=True)
def _add_constant(line, u, width, more, into):  # type: ignore[no-untyped-def]
    """Add the currents of so many samples through a line (width,) at the constant voltage ``u``."""
    n = per_vector(line)
    voltage = spread(u)
    for b in range(more):
        at = b // 4 * 4 * width + b % 4 * n
        for v in range(width // n):
            put(into, at, fused(voltage, get(line, v * n), get(into, at)))
            at += 4 * n


@compiled(fastmath=ELEMENTWISE, borrows=True)
def update_constant(table, extra, batch, more, front, width, lo, hi):  # type: ignore[no-untyped-def]
    """Update a tile's constant lines ``table`` (E · width), at ``extra`` (E,) [V], after :func:`update_first`."""
    shift, base, sums = front.shift, front.base, front.sums
    n = per_vector(table)
    floor, ceiling = spread(lo), spread(hi)
    for i in range(len(extra)):
        line = span(table, i * width, (i + 1) * width)
        u = spread(extra[i])
        for v in range(width // n):
            x = get(base, 5 * v * n)
            for b in range(batch):
                x = fused(u, get(shift, (b // 4 * width + v * n) * 4 + b % 4 * n), x)
            g = smaller(larger(get(line, v * n) - x, floor), ceiling)
            put(line, v * n, g)
            put(sums, v * n, get(sums, v * n) + g)
        _add_constant(line, extra[i], width, more, front.fresh)


@compiled(inner=True)
def take(fresh, width, b, into):  # type: ignore[no-untyped-def]
    """Copy the currents of sample ``b`` into a tile's columns."""
    n = per_vector(fresh)
    at = b // 4 * 4 * width + b % 4 * n
    whole = len(into) // n
    for v in range(whole):
        put(into, v * n, get(fresh, at + 4 * v * n))
    for j in range(len(into) - whole * n):
        into[whole * n + j] = fresh[at + 4 * whole * n + j]


@compiled(borrows=True)
def line_currents(net, lines, samples, front, into):  # type: ignore[no-untyped-def]
    """Set the current (B, n0) of the clamped lines into the first group, in the order in which updates do."""
    slot = np.int64(0)  # a literal would have the functions that get it compiled once more
    light(lines.data, samples, front, slot)
    volts, lit, fresh = front.volts, front.lit, front.fresh
    constants, quads = len(lines.extra), (len(samples) + 3) // 4
    for t in range(len(net.tiles)):
        if net.tiles[t, 0] != 0:
            continue
        place, width = tile_at(net, t)
        table = span(net.first, place, place + width * net.depth)
        for j in range(4 * quads * width):
            fresh[j] = 0
        for k in range(lit.shape[2]):
            for q in range(quads):
                if lit[slot, q, k]:
                    at = 4 * k * net.kinds * width
                    _flow(table, at, net.kinds, width, volts, slot, 4 * q, 4 * k, fresh)
        for i in range(constants):
            at = (net.depth - constants + i) * width
            _add_constant(span(table, at, at + width), lines.extra[i], width, len(samples), fresh)
        for b in range(len(samples)):
            take(fresh, width, b, part(into, b, net.tiles[t, 1], net.tiles[t, 2]))
