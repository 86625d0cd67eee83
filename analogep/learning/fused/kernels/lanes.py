"""Loops over the lanes of a phase: products with rows of a crossbar, and what is done number by number.

Lanes are samples, or samples in a nudged phase. Inner loops start at 0, which lets the compiler use vectors.
"""

from __future__ import annotations

from analogep.learning.fused.kernels.intrinsics.vectors import larger
from analogep.learning.fused.kernels.intrinsics.views import matrix
from analogep.solve.compiled import FINITE, SUMS, compiled


@compiled(fastmath=SUMS, inner=True)
def add_rows(table, picked, count, weight, v, lanes, out):  # type: ignore[no-untyped-def]
    """Add Σ_r weight[v, r] table[r] over ``count`` rows ``picked`` to out[v], for one lane or two from v on."""
    width = table.shape[1]
    zero = table.dtype.type(0)
    k = 0
    while lanes == 1 and k + 8 <= count:
        r0, r1, r2, r3 = picked[k], picked[k + 1], picked[k + 2], picked[k + 3]
        r4, r5, r6, r7 = picked[k + 4], picked[k + 5], picked[k + 6], picked[k + 7]
        a0, a1, a2, a3 = weight[v, r0], weight[v, r1], weight[v, r2], weight[v, r3]
        a4, a5, a6, a7 = weight[v, r4], weight[v, r5], weight[v, r6], weight[v, r7]
        for j in range(width):
            low = a0 * table[r0, j] + a1 * table[r1, j] + a2 * table[r2, j] + a3 * table[r3, j]
            high = a4 * table[r4, j] + a5 * table[r5, j] + a6 * table[r6, j] + a7 * table[r7, j]
            out[v, j] += low + high
        k += 8
    while k < count:  # four rows a time, the last ones with a row of weight zero in place of one that is missing
        r0, r1, r2, r3 = picked[k], picked[k], picked[k], picked[k]
        a0, a1, a2, a3 = weight[v, r0], zero, zero, zero
        w = v + lanes - 1
        b0, b1, b2, b3 = weight[w, r0], zero, zero, zero
        if k + 1 < count:
            r1 = picked[k + 1]
            a1, b1 = weight[v, r1], weight[w, r1]
        if k + 2 < count:
            r2 = picked[k + 2]
            a2, b2 = weight[v, r2], weight[w, r2]
        if k + 3 < count:
            r3 = picked[k + 3]
            a3, b3 = weight[v, r3], weight[w, r3]
        if lanes == 1:
            for j in range(width):
                out[v, j] += (a0 * table[r0, j] + a1 * table[r1, j]) + (a2 * table[r2, j] + a3 * table[r3, j])
        else:
            for j in range(width):
                g0, g1, g2, g3 = table[r0, j], table[r1, j], table[r2, j], table[r3, j]
                out[v, j] += (a0 * g0 + a1 * g1) + (a2 * g2 + a3 * g3)
                out[w, j] += (b0 * g0 + b1 * g1) + (b2 * g2 + b3 * g3)
        k += 4


@compiled(fastmath=SUMS, inner=True)
def add_dots(table, picked, count, h, v, lanes, factor, out):  # type: ignore[no-untyped-def]
    """Add factor[r] Σ_j table[r, j] h[v, j] to out[v, r] for ``count`` rows ``picked``, one lane or two."""
    width = table.shape[1]
    zero = table.dtype.type(0)
    w = v + lanes - 1
    for k in range(0, count, 4):
        r0, r1 = picked[k], picked[min(k + 1, count - 1)]
        r2, r3 = picked[min(k + 2, count - 1)], picked[min(k + 3, count - 1)]
        s0, s1, s2, s3 = zero, zero, zero, zero
        t0, t1, t2, t3 = zero, zero, zero, zero
        if lanes == 1:
            for j in range(width):
                x = h[v, j]
                s0 += table[r0, j] * x
                s1 += table[r1, j] * x
                s2 += table[r2, j] * x
                s3 += table[r3, j] * x
        else:
            for j in range(width):
                x, y = h[v, j], h[w, j]
                g0, g1, g2, g3 = table[r0, j], table[r1, j], table[r2, j], table[r3, j]
                s0 += g0 * x
                t0 += g0 * y
                s1 += g1 * x
                t1 += g1 * y
                s2 += g2 * x
                t2 += g2 * y
                s3 += g3 * x
                t3 += g3 * y
        out[v, r0] += factor[r0] * s0
        if k + 1 < count:
            out[v, r1] += factor[r1] * s1
        if k + 2 < count:
            out[v, r2] += factor[r2] * s2
        if k + 3 < count:
            out[v, r3] += factor[r3] * s3
        if lanes > 1:
            out[w, r0] += factor[r0] * t0
            if k + 1 < count:
                out[w, r1] += factor[r1] * t1
            if k + 2 < count:
                out[w, r2] += factor[r2] * t2
            if k + 3 < count:
                out[w, r3] += factor[r3] * t3


@compiled(inner=True)
def every(count, picked):  # type: ignore[no-untyped-def]
    """List all of ``count`` rows; returns how many."""
    for r in range(count):
        picked[r] = r
    return count


@compiled(inner=True)
def nonzero(start, stop, weight, v, lanes, picked):  # type: ignore[no-untyped-def]
    """List where ``weight`` is not zero in any of the lanes; returns how many."""
    count = 0
    w = v + lanes - 1
    for r in range(start, stop):
        picked[count] = r
        if weight[v, r] != 0 or weight[w, r] != 0:
            count += 1
    return count


@compiled(fastmath=FINITE, inner=True)
def peak_of(h):  # type: ignore[no-untyped-def]
    """Return the largest magnitude."""
    most = h.dtype.type(0)
    for j in range(len(h)):
        most = larger(most, abs(h[j]))
    return most


@compiled(fastmath=FINITE, inner=True)
def begin(into, bias, steady):  # type: ignore[no-untyped-def]
    """Set the currents into a group that depend on no other group."""
    for j in range(len(into)):
        into[j] = bias[j] + steady[j]


@compiled(fastmath=FINITE, inner=True)
def begin_lit(into, bias, steady, current):  # type: ignore[no-untyped-def]
    """Set the currents into the first group that depend on no other group: the clamped lines' are among them."""
    for j in range(len(into)):
        into[j] = (bias[j] + steady[j]) + current[j]


@compiled(fastmath=FINITE, inner=True)
def row_voltages(left, below, known, factor):  # type: ignore[no-untyped-def]
    """Set the voltages of some of a crossbar's rows: those of the group below, amplified, then constant lines."""
    count = len(below)
    for r in range(count):
        left[r] = factor[r] * below[r]
    for r in range(count, len(left)):
        left[r] = known[r]


@compiled(fastmath=FINITE, inner=True)
def join(into, flow, factor):  # type: ignore[no-untyped-def]
    """Add what flows back from a crossbar's rows to the currents into the nodes behind them."""
    for r in range(len(into)):
        into[r] += factor[r] * flow[r]


@compiled(fastmath=FINITE, inner=True)
def add(into, extra):  # type: ignore[no-untyped-def]
    """Add ``extra`` in place."""
    for j in range(len(into)):
        into[j] += extra[j]


@compiled(inline=True, inner=True)
def table_at(numbers, start, rows, columns):  # type: ignore[no-untyped-def]
    """Return the table (rows, columns) that begins at ``start`` of flat numbers; one without rows if negative."""
    return matrix(numbers, max(start, 0), rows if start >= 0 else 0, columns)


@compiled(inner=True)
def copy_lane(lane, table):  # type: ignore[no-untyped-def]
    """Let the lane behind ``lane`` be the same."""
    for j in range(table.shape[1]):
        table[lane + 1, j] = table[lane, j]
