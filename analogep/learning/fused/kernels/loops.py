"""Many updates in one call, and the free phases of many samples."""

from __future__ import annotations

import math

import numpy as np

from analogep.learning.fused.kernels.first import light, prepare, take, tile_at
from analogep.learning.fused.kernels.intrinsics.pointers import through
from analogep.learning.fused.kernels.intrinsics.sync import add, barrier
from analogep.learning.fused.kernels.intrinsics.vectors import larger, smaller
from analogep.learning.fused.kernels.intrinsics.views import matrix, part, span
from analogep.solve.compiled import ELEMENTWISE, compiled


@compiled(inner=True)
def _output(net, ends, k):  # type: ignore[no-untyped-def]
    """Return output ``k`` from the voltages of the last group."""
    o = ends.dtype.type(0)
    for j in range(len(ends)):
        if net.position[j] == k:
            o += ends[j]
        elif net.position[j] == -k - 2:
            o -= ends[j]
    return o


@compiled(inner=True)
def _moves(many, batch, per, step, start, size, first, last, free, nudged, difference, total):  # type: ignore[no-untyped-def]
    """Set difference and sum (B + 1, n) of the two phases at the nodes ``first`` to ``last`` of one group.

    Without an energy the sum is twice the free phase. Behind the samples both are zero.
    """
    zero = free.dtype.type(0)
    for b in range(many):
        at = batch * start + b * size + first
        rest = span(free, at, at + last - first)
        low, high, to = rest, rest, per * batch * start + per * b * size + first
        if step.betas[0] != 0:
            low = span(nudged, to, to + last - first)
        if step.betas[1] != 0:
            to += (per - 1) * size
            high = span(nudged, to, to + last - first)
        moves, sums = part(difference, b, 0, last - first), part(total, b, 0, last - first)
        for j in range(last - first):
            moves[j] = high[j] - low[j]
            sums[j] = high[j] + low[j]
        for j in range(last - first if step.rule != 0 else 0):
            sums[j] = 2 * rest[j]
    for j in range(last - first):
        difference[many, j] = zero
        total[many, j] = zero


@compiled(fastmath=ELEMENTWISE, inner=True)
def _drive(many, rate, lo, hi, moves, bias, scratch):  # type: ignore[no-untyped-def]
    """Change the currents (n,) into some nodes by ``rate`` times what the batch moves these."""
    pushed = span(scratch, 0, len(bias))
    for j in range(len(bias)):
        pushed[j] = 0
    for b in range(many):
        row = part(moves, b, 0, len(bias))
        for j in range(len(bias)):
            pushed[j] += row[j]
    for j in range(len(bias)):
        bias[j] = smaller(larger(bias[j] + rate * pushed[j], lo), hi)


@compiled(inner=True)
def _copy(into, source):  # type: ignore[no-untyped-def]
    """Copy numbers."""
    for j in range(len(into)):
        into[j] = source[j]


@compiled(borrows=True)
def train(  # type: ignore[no-untyped-def]
    thread, threads, counter, owner, net, lines, targets, tolerance, order, batch, step, stop, halt, into, work,
    kept, lost, wrong, status,
):  # fmt: skip
    """Train on the samples ``order``, as thread number ``thread`` of ``threads``.

    Free phases end as ``stop`` says, nudged ones as ``halt`` does.
    ``owner`` (T,) is the thread of each tile, ``counter`` the barrier's; ``into`` (2, B, n0) is shared scratch,
    ``into[0]`` holding the first batch's line currents; ``work`` is this thread's :class:`Work`, whose phases
    share their states. ``lost`` (S,) gets each sample's cost [V²] and ``wrong`` (S,) whether its free phase chose
    another class or, if ``tolerance`` [V] is not negative, whether some output is further from its target.
    ``kept`` (S, n) [V] holds states in which free phases of the samples start and which they leave, or is empty.
    ``status`` (2,) counts lanes that did not settle, in batch number ``status[1]``, which is then not applied.
    """
    crossbars = len(net.shape)
    nodes = net.node[crossbars]
    kind = net.weights.dtype.type
    zero = kind(0)
    outputs = targets.shape[1]
    one = np.int64(1)  # a literal would have the loops compiled once more
    rest, pushed, grip, quiet, nudging = work.rest, work.pushed, work.grip, work.quiet, work.nudging
    free, nudged = rest.state, pushed.state
    conductance, current, wanted, error = nudging.beta, nudging.freeze, nudging.target, nudging.error
    per = len(conductance)
    way = np.int64(0 if step.rule != 2 else 1)
    tables, none = work.tables, np.int64(0)
    dr, sr, near, far, still = tables[0], tables[1], tables[2], tables[3], tables[4]
    front, scratch, live, extra = work.front, work.scratch, work.live, work.extra
    last_node = net.node[crossbars - 1]
    top = nodes - last_node
    lines_end = net.depth - len(lines.extra)  # numbers per column of the first crossbar without its constant lines
    passed = 0
    for u in range((len(order) + batch - 1) // batch):
        now = span(order, u * batch, min((u + 1) * batch, len(order)))
        nxt = span(order, min((u + 1) * batch, len(order)), min((u + 2) * batch, len(order)))
        many = len(now)
        pairs = (many + 1) // 2  # samples that go abreast are one thread's, however many threads there are
        b0 = min(2 * (pairs * thread // threads), many)
        b1 = min(2 * (pairs * (thread + 1) // threads), many)
        sign = step.signs[u]
        k = 0
        for q in range(2):
            if step.betas[q] != 0:
                if step.frozen:
                    current[k] = -sign * step.betas[q]
                else:
                    conductance[k] = sign * step.betas[q]
                k += 1
        if b1 > b0:
            lit = into[u % 2]
            through(work.hold, (net, grip))
            for b in range(b0, b1):
                for k in range(outputs):
                    wanted[b, k] = targets[now[b], k]
            for g in range(crossbars):
                size = net.node[g + 1] - net.node[g]
                for b in range(b0, b1):
                    at = batch * net.node[g] + b * size
                    own = span(free, at, at + size)
                    if len(kept):
                        _copy(own, part(kept, now[b], net.node[g], net.node[g + 1]))
                    else:
                        for j in range(size):
                            own[j] = zero
            through(work.relax, (b0, b1, batch, one, lit, none, extra, grip, quiet, stop, net, rest))
            if step.rule == 2:
                through(work.twist, (b0, b1, batch, net, rest, extra))
            failed = 0
            for v in range(b0, b1):
                failed += rest.settled[v] < 0
            for b in range(b0, b1):
                ends = span(free, batch * last_node + b * top, batch * last_node + (b + 1) * top)
                cost = 0.0
                best = 0
                right = 0
                beyond = 0
                value = -math.inf
                most = -math.inf
                for k in range(outputs):
                    o = _output(net, ends, k)
                    miss = o - wanted[b, k]
                    error[b, k] = miss
                    cost += 0.5 * float(miss) * float(miss)
                    beyond += not abs(float(miss)) <= tolerance
                    if o > value:
                        value = o
                        best = k
                    if wanted[b, k] > most:
                        most = wanted[b, k]
                        right = k
                lost[now[b]] = cost
                wrong[now[b]] = best != right if tolerance < 0 else beyond > 0
                for g in range(crossbars):
                    size = net.node[g + 1] - net.node[g]
                    at = batch * net.node[g] + b * size
                    own = span(free, at, at + size)
                    for p in range(per):
                        to = per * batch * net.node[g] + (per * b + p) * size
                        _copy(span(nudged, to, to + size), own)
                    if len(kept) and rest.settled[b] >= 0:
                        _copy(part(kept, now[b], net.node[g], net.node[g + 1]), own)
            through(
                work.relax,
                (per * b0, per * b1, per * batch, per, lit, way, extra, grip, nudging, halt, net, pushed),
            )
            for v in range(per * b0, per * b1):
                failed += pushed.settled[v] < 0
            if failed:
                status[1] = u
                add(status, 0, failed)
        passed = barrier(counter, threads, passed)
        if status[0] != 0:
            return
        lighted = False
        for t in range(len(net.tiles)):
            if owner[t] != thread:
                continue
            c, first, last = net.tiles[t, 0], net.tiles[t, 1], net.tiles[t, 2]
            size, n0, columns = net.shape[c, 2], net.node[c], last - first
            _moves(many, batch, per, step, n0, size, first, last, free, nudged, near, far)
            rate = sign * step.bias_rates[c] / kind(many)
            lo, hi = step.bias_bounds[c, 0], step.bias_bounds[c, 1]
            _drive(many, rate, lo, hi, near, span(net.bias, n0 + first, n0 + last), scratch)
            sums = span(net.sums, n0 + first, n0 + last)
            if c == 0:
                slot = u % 2
                if not lighted:
                    if u == 0:
                        light(lines.data, now, front, slot)
                    light(lines.data, nxt, front, 1 - slot)
                    lighted = True
                place, width = tile_at(net, t)
                middle, end = place + lines_end * width, place + net.depth * width
                rate = sign * step.rates[c, 0] / kind(many)
                lo, hi = step.bounds[c, 0, 0], step.bounds[c, 0, 1]
                bounded = np.int64(hi < np.inf)
                prepare(many, columns, width, rate, 1 - net.mutual, near, far, front)
                arguments = (
                    span(net.first, place, middle), kind(1), net.kinds, net.features, front, slot, many, len(nxt),
                    width, lo, hi, bounded,
                )  # fmt: skip
                through(work.update_first, arguments)
                through(
                    work.update_constant,
                    (span(net.first, middle, end), lines.extra, many, len(nxt), front, width, lo, hi),
                )
                for b in range(len(nxt)):
                    take(front.fresh, width, b, part(into[(u + 1) % 2], b, first, last))
                if not net.mutual:
                    _copy(sums, front.sums)
                continue
            r0, height = net.shape[c, 0], net.shape[c, 1] - net.shape[c, 0]
            p0 = net.node[c - 1]
            below = n0 - p0
            _moves(many, batch, per, step, p0, below, none, below, free, nudged, dr, sr)
            for b in range(many):
                moves, both = part(dr, b, 0, below), part(sr, b, 0, below)
                factor = span(net.row_t, r0, r0 + below)
                for r in range(below):
                    moves[r] *= factor[r]
                    both[r] *= factor[r]
            for b in range(many + 1):
                for r in range(below, height):
                    dr[b, r] = zero
                    sr[b, r] = kind(2) * net.row_known[r0 + r] if b < many else zero
            s0 = net.share_start[c] + net.tiles[t, 3] * height
            shares = span(net.shares, s0, s0 + height)
            for q in range(2):
                start = net.ways[c, q]
                if start < 0 or (q == 1 and start == net.ways[c, 0]):
                    continue
                # of a direction with a table of its own, ∂C/∂w is −λ at its end times s₀ at its origin
                one_way = net.ways[c, 0] != net.ways[c, 1]
                ahead, behind = one_way and q == 0, one_way and q == 1
                dx, sx = still if ahead else dr, still if behind else sr
                dy, sy = still if behind else near, still if ahead else far
                rate = sign * step.rates[c, q] / kind(many)
                lo, hi = step.bounds[c, q, 0], step.bounds[c, q, 1]
                deep, wide, at = height, size, first
                if net.turned[c]:
                    deep, wide, at = size, height, none
                    dx, sx, dy, sy = dy, sy, dx, sx
                by_rows, by_columns = (sums, shares) if net.turned[c] else (shares, sums)
                inner = (
                    matrix(net.weights, start, deep, wide), many, dx, sx, dy, sy, rate, lo, hi, at, by_rows,
                    by_columns, scratch, live, net.mutual,
                )  # fmt: skip
                through(work.update_inner, inner)
        passed = barrier(counter, threads, passed)


@compiled(borrows=True)
def predict(net, lines, stop, first, last, samples, reading, outputs):  # type: ignore[no-untyped-def]
    """Set the outputs (S, O) [V] of free phases of the samples ``first`` to ``last``, NaN where one stalls.

    ``samples`` (S,) counts from 0; ``reading`` is this thread's :class:`Reading`.
    """
    phase, into = reading.phase, reading.into
    through(reading.hold, (net, reading.grip))
    zero, one, block, groups = np.int64(0), np.int64(1), np.int64(len(into)), len(net.shape)
    last_node = net.node[groups - 1]
    top = net.node[groups] - last_node
    for start in range(first, last, block):
        now = span(samples, start, min(start + block, last))
        through(reading.line_currents, (net, lines, now, reading.front, into))
        for k in range(len(phase.state)):
            phase.state[k] = 0
        through(
            reading.relax,
            (zero, len(now), block, one, into, zero, reading.extra, reading.grip, reading.quiet, stop, net, phase),
        )
        for b in range(len(now)):
            ends = span(phase.state, block * last_node + b * top, block * last_node + (b + 1) * top)
            for k in range(outputs.shape[1]):
                outputs[start + b, k] = _output(net, ends, k) if phase.settled[b] >= 0 else np.nan
