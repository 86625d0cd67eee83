"""Many updates in one call, and the free phases of many samples."""

from __future__ import annotations

import math

import numpy as np

from analogep.learning.fused.kernels.arrays import Grip, Nudging, Phase
from analogep.learning.fused.kernels.phases import relax, twist
from analogep.learning.fused.kernels.sync import add, barrier
from analogep.learning.fused.kernels.updates import (
    line_currents,
    turn,
    update_constant,
    update_first,
    update_inner,
)
from analogep.solve.compiled import compiled


@compiled
def _workspace(net):  # type: ignore[no-untyped-def]
    """Return the most rows and columns that a crossbar behind a group has."""
    rows, widest = 1, 1
    for k in range(len(net.shape)):
        rows = max(rows, net.shape[k, 1] - net.shape[k, 0])
        widest = max(widest, net.shape[k, 2])
    return rows, widest


@compiled
def _phase(state, net, lanes):  # type: ignore[no-untyped-def]
    """Return room for so many lanes with their state."""
    rows, widest = _workspace(net)
    dtype = net.weights.dtype
    return Phase(
        state,
        np.zeros(len(state), dtype),
        np.zeros(lanes * rows, dtype),
        np.zeros(max(rows, widest) + 1, np.int64),
        np.zeros(lanes, np.int64),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes, dtype),
    )


@compiled
def _grip(net):  # type: ignore[no-untyped-def]
    """Return room for what holds the nodes."""
    nodes, dtype = net.node[len(net.shape)], net.weights.dtype
    return Grip(np.zeros(nodes, dtype), np.zeros(nodes, dtype), np.zeros(nodes, dtype), np.zeros(nodes, dtype))


_ROOM = 1e-3  # how far sums of rounded numbers may lie from exact ones, relatively


@compiled
def hold(net, grip):  # type: ignore[no-untyped-def]
    """Set what holds each node."""
    held, reach = grip.held, grip.reach
    kind = net.weights.dtype.type
    room, near = kind(1.0 + _ROOM), kind(_ROOM)
    for j in range(len(held)):
        held[j] = net.sums[j] + net.leak[j]
        reach[j] = 0
    for t in range(len(net.tiles)):
        c = net.tiles[t, 0]
        if c == 0:
            continue
        r0, rows = net.shape[c, 0], net.shape[c, 1] - net.shape[c, 0]
        s0 = net.share_start[c] + net.tiles[t, 3] * rows
        here = net.node[c - 1]
        for r in range(net.node[c] - here):
            held[here + r] += net.row_t[r0 + r] * net.row_w[r0 + r] * net.shares[s0 + r]
            reach[here + r] += room * abs(net.row_w[r0 + r]) * net.shares[s0 + r]  # conductances are not negative
    for g in range(len(net.shape)):
        for j in range(net.node[g], net.node[g + 1]):
            floor, ceiling = net.low[j] * held[j], net.high[j] * held[j]
            known = net.law[g] == 0 and not net.mutual  # what flows back is bounded for conductances alone
            grip.floor[j] = floor - near * abs(floor) if known else -np.inf
            grip.ceiling[j] = ceiling + near * abs(ceiling) if known else np.inf


@compiled
def _output(net, ends, k):  # type: ignore[no-untyped-def]
    """Return output ``k`` from the voltages of the last group."""
    o = ends.dtype.type(0)
    for j in range(len(ends)):
        if net.position[j] == k:
            o += ends[j]
        elif net.position[j] == -k - 2:
            o -= ends[j]
    return o


@compiled
def _moves(many, batch, per, betas, start, size, first, last, free, nudged, difference, total):  # type: ignore[no-untyped-def]
    """Set difference and sum (B, n) of the two phases at the nodes ``first`` to ``last`` of one group."""
    for b in range(many):
        at = batch * start + b * size
        to = per * batch * start + per * b * size
        for j in range(first, last):
            x1 = free[at + j]
            x2 = x1
            if betas[0] != 0:
                x1 = nudged[to + j]
            if betas[1] != 0:
                x2 = nudged[to + (per - 1) * size + j]
            difference[b, j] = x2 - x1
            total[b, j] = x2 + x1


@compiled
def _twice(many, batch, start, size, first, last, free, total):  # type: ignore[no-untyped-def]
    """Set twice the free phase's voltages (B, n) at the nodes ``first`` to ``last`` of one group."""
    for b in range(many):
        for j in range(first, last):
            total[b, j] = 2 * free[batch * start + b * size + j]


@compiled
def train(  # type: ignore[no-untyped-def]
    thread, threads, counter, owner, net, lines, targets, tolerance, order, batch, step, stop, into, free, nudged,
    lost, wrong, status,
):  # fmt: skip
    """Train on the samples ``order``, as thread number ``thread`` of ``threads``.

    ``owner`` (T,) is the thread of each tile, ``counter`` the barrier's; ``into`` (2, B, n0), ``free`` and
    ``nudged`` (lanes of :class:`Phase`) are shared scratch, ``into[0]`` holding the first batch's line currents.
    ``lost`` (S,) gets each sample's cost [V²] and ``wrong`` (S,) whether its free phase chose another class or, if
    ``tolerance`` [V] is not negative, whether some output is further than that from its target.
    ``status`` (2,) counts lanes that did not settle, in batch number ``status[1]``, which is then not applied.
    """
    crossbars = len(net.shape)
    nodes = net.node[crossbars]
    dtype = net.weights.dtype
    kind = dtype.type
    zero = kind(0)
    outputs = targets.shape[1]
    one = np.int64(1)  # a literal would have the loops compiled once more
    per = np.int64(0)
    for q in range(2):
        if step.betas[q] != 0:
            per += 1
    rows, widest = _workspace(net)
    rest = _phase(free, net, batch)
    pushed = _phase(nudged, net, per * batch)
    wanted = np.zeros((batch, outputs), dtype)
    error = np.zeros((batch, outputs), dtype)
    conductance = np.zeros(per, dtype)
    current = np.zeros(per, dtype)
    way = np.int64(0 if step.rule != 2 else 1)
    extra = np.zeros(len(free), dtype)
    still = np.zeros((batch + 1, max(rows, widest)), dtype)
    off = np.zeros(per, dtype)
    quiet = Nudging(off, wanted, off, error)
    nudging = Nudging(conductance, wanted, current, error)
    grip = _grip(net)
    scratch = np.zeros(2 * widest, dtype)
    shift_all = np.zeros((batch + 3) * net.shape[0, 2], dtype)
    fresh_all = np.zeros(batch * net.shape[0, 2], dtype)
    level = np.zeros(net.shape[0, 2], dtype)
    dr = np.zeros((batch + 1, rows), dtype)
    sr = np.zeros((batch + 1, rows), dtype)
    near = np.zeros((batch + 1, widest), dtype)
    far = np.zeros((batch + 1, widest), dtype)
    volts = np.zeros((2, batch + 3, lines.data.shape[1]), dtype)
    dc = np.zeros((batch, widest), dtype)
    sc = np.zeros((batch, widest), dtype)
    live = np.zeros(batch + 4, np.int64)
    last_node = net.node[crossbars - 1]
    top = nodes - last_node
    features, constants = lines.data.shape[1], len(lines.extra)
    passed = 0
    for u in range((len(order) + batch - 1) // batch):
        now = order[u * batch : min((u + 1) * batch, len(order))]
        nxt = order[min((u + 1) * batch, len(order)) : min((u + 2) * batch, len(order))]
        many = len(now)
        b0, b1 = many * thread // threads, many * (thread + 1) // threads
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
            hold(net, grip)
            for b in range(b0, b1):
                for k in range(outputs):
                    wanted[b, k] = targets[now[b], k]
            for g in range(crossbars):
                size = net.node[g + 1] - net.node[g]
                for k in range(batch * net.node[g] + b0 * size, batch * net.node[g] + b1 * size):
                    free[k] = zero
            relax(b0, b1, batch, one, into[u % 2], np.int64(0), extra, grip, quiet, stop, net, rest)
            if step.rule == 2:
                twist(b0, b1, batch, net, rest, extra)
            failed = 0
            for v in range(b0, b1):
                failed += rest.settled[v] < 0
            for b in range(b0, b1):
                ends = free[batch * last_node + b * top : batch * last_node + (b + 1) * top]
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
                    for p in range(per):
                        to = per * batch * net.node[g] + (per * b + p) * size
                        at = batch * net.node[g] + b * size
                        for j in range(size):
                            nudged[to + j] = free[at + j]
            relax(per * b0, per * b1, per * batch, per, into[u % 2], way, extra, grip, nudging, stop, net, pushed)
            for v in range(per * b0, per * b1):
                failed += pushed.settled[v] < 0
            if failed:
                status[1] = u
                add(status, 0, failed)  # type: ignore[call-arg]
        passed = barrier(counter, threads, passed)
        if status[0] != 0:
            return
        for t in range(len(net.tiles)):
            if owner[t] != thread:
                continue
            c, first, last = net.tiles[t, 0], net.tiles[t, 1], net.tiles[t, 2]
            size, n0 = net.shape[c, 2], net.node[c]
            _moves(many, batch, per, step.betas, n0, size, first, last, free, nudged, dc, sc)
            if step.rule != 0:
                _twice(many, batch, n0, size, first, last, free, sc)
            for j in range(first, last):
                total = zero
                for b in range(many):
                    total += dc[b, j]
                new = net.bias[n0 + j] + sign * step.bias_rates[c] * total / kind(many)
                net.bias[n0 + j] = min(max(new, step.bias_bounds[c, 0]), step.bias_bounds[c, 1])
            if c == 0:
                rate = sign * step.rates[c, 0] / kind(many)
                lo, hi = step.bounds[c, 0, 0], step.bounds[c, 0, 1]
                width = last - first
                shift = shift_all[: (batch + 3) * width].reshape(batch + 3, width)
                fresh = fresh_all[: batch * width].reshape(batch, width)
                for b in range(many):
                    for j in range(width):
                        shift[b, j] = kind(-2) * rate * dc[b, first + j]
                for b in range(many, many + 3):
                    for j in range(width):
                        shift[b, j] = zero
                for j in range(width):
                    total = zero
                    for b in range(0 if net.mutual else many):
                        total += dc[b, first + j] * sc[b, first + j]
                    level[j] = rate * total
                count = features * net.kinds
                place = first * (count + constants)
                table = net.weights[place : place + count * width].reshape(features, net.kinds, width)
                sums = net.sums[n0 + first : n0 + last]
                update_first(
                    table, lines.data, now, nxt, shift, level[:width], lo, hi, sums, fresh, scratch, volts,
                )  # fmt: skip
                place += count * width
                ends2 = net.weights[place : place + constants * width].reshape(constants, width)
                update_constant(ends2, lines.extra, many, len(nxt), shift, level, lo, hi, sums, fresh)
                for b in range(len(nxt)):
                    for j in range(width):
                        into[(u + 1) % 2, b, first + j] = fresh[b, j]
                if net.mutual:
                    for j in range(width):
                        sums[j] = zero
                continue
            r0, height = net.shape[c, 0], net.shape[c, 1] - net.shape[c, 0]
            p0 = net.node[c - 1]
            below = n0 - p0
            _moves(many, batch, per, step.betas, p0, below, 0, below, free, nudged, dr, sr)
            if step.rule != 0:
                _twice(many, batch, p0, below, 0, below, free, sr)
            for b in range(many):
                for r in range(below):
                    dr[b, r] *= net.row_t[r0 + r]
                    sr[b, r] *= net.row_t[r0 + r]
                for r in range(below, height):
                    dr[b, r] = zero
                    sr[b, r] = kind(2) * net.row_known[r0 + r]
            width = last - first
            for r in range(height):
                dr[many, r] = zero
                sr[many, r] = zero
            for b in range(many + 1):
                for j in range(width):
                    near[b, j] = dc[b, first + j] if b < many else zero
                    far[b, j] = sc[b, first + j] if b < many else zero
            s0 = net.share_start[c] + net.tiles[t, 3] * height
            for q in range(2):
                start = net.ways[c, q]
                if start < 0 or (q == 1 and start == net.ways[c, 0]):
                    continue
                # of a direction with a table of its own, ∂C/∂w is −λ at its end times s₀ at its origin
                one_way = net.ways[c, 0] != net.ways[c, 1]
                update_inner(
                    net.weights[start : start + height * size].reshape(height, size),
                    (still if one_way and q == 0 else dr)[: many + 1],
                    (still if one_way and q == 1 else sr)[: many + 1],
                    still if one_way and q == 1 else near,
                    still if one_way and q == 0 else far,
                    sign * step.rates[c, q] / kind(many),
                    step.bounds[c, q, 0],
                    step.bounds[c, q, 1],
                    first,
                    net.shares[s0 : s0 + height],
                    net.sums[n0 + first : n0 + last],
                    scratch,
                    live,
                    net.mutual,
                )
            turn(net, c)
        passed = barrier(counter, threads, passed)


BLOCK = 8
"""Samples that :func:`predict` solves together."""


@compiled
def predict(net, lines, stop, first, last, outputs):  # type: ignore[no-untyped-def]
    """Set the outputs (S, O) [V] of free phases of the samples ``first`` to ``last``, NaN where one stalls."""
    dtype = net.weights.dtype
    grip = _grip(net)
    hold(net, grip)
    nodes = len(grip.held)
    phase = _phase(np.zeros(BLOCK * nodes, dtype), net, BLOCK)
    off = np.zeros(1, dtype)
    none = np.zeros((BLOCK, outputs.shape[1]), dtype)
    quiet = Nudging(off, none, off, none)
    into = np.zeros((BLOCK, net.shape[0, 2]), dtype)
    extra = np.zeros(BLOCK * nodes, dtype)
    last_node = net.node[len(net.shape) - 1]
    top = nodes - last_node
    for start in range(first, last, BLOCK):
        samples = np.arange(start, min(start + BLOCK, last))
        line_currents(net, lines, samples, into)
        for k in range(len(phase.state)):
            phase.state[k] = 0
        relax(
            np.int64(0), len(samples), np.int64(BLOCK), np.int64(1), into, np.int64(0), extra, grip, quiet, stop,
            net, phase,
        )  # fmt: skip
        for b in range(len(samples)):
            ends = phase.state[BLOCK * last_node + b * top : BLOCK * last_node + (b + 1) * top]
            for k in range(outputs.shape[1]):
                outputs[start + b, k] = _output(net, ends, k) if phase.settled[b] >= 0 else np.nan
