"""Block steps of one phase: what flows into each group, and the law of its nodes."""

from __future__ import annotations

import math

from analogep.solve.compiled import FINITE, SUMS, compiled
from analogep.solve.kernels import solve_node

CHUNK = 32768  # numbers of a crossbar that several lanes use while they are in the cache
_SETTLING = 4  # sweeps whose rate tells of the fast modes only


# Lanes are samples, or samples in a nudged phase. Inner loops start at 0, which lets the compiler use vectors.


@compiled(fastmath=SUMS)
def _add_rows(table, start, stop, weight, v, chosen, out):  # type: ignore[no-untyped-def]
    """Add Σ_r weight[v, r] table[r] over the rows ``start`` to ``stop`` to out[v]; zeros cost nothing."""
    count = 0
    for r in range(start, stop):
        chosen[count] = r
        if weight[v, r] != 0:
            count += 1
    width = table.shape[1]
    k = 0
    while k + 8 <= count:
        r0, r1, r2, r3 = chosen[k], chosen[k + 1], chosen[k + 2], chosen[k + 3]
        r4, r5, r6, r7 = chosen[k + 4], chosen[k + 5], chosen[k + 6], chosen[k + 7]
        a0, a1, a2, a3 = weight[v, r0], weight[v, r1], weight[v, r2], weight[v, r3]
        a4, a5, a6, a7 = weight[v, r4], weight[v, r5], weight[v, r6], weight[v, r7]
        for j in range(width):
            low = a0 * table[r0, j] + a1 * table[r1, j] + a2 * table[r2, j] + a3 * table[r3, j]
            high = a4 * table[r4, j] + a5 * table[r5, j] + a6 * table[r6, j] + a7 * table[r7, j]
            out[v, j] += low + high
        k += 8
    while k < count:
        r = chosen[k]
        a = weight[v, r]
        for j in range(width):
            out[v, j] += a * table[r, j]
        k += 1


@compiled(fastmath=SUMS)
def _add_dots(table, start, stop, h, v, bunch, count, factor, out):  # type: ignore[no-untyped-def]
    """Add factor[r] Σ_c table[r, c] h[v, c] to out[v, r] for two or four lanes, ``count`` of them used."""
    width = table.shape[1]
    zero = table.dtype.type(0)
    for r in range(start, stop):
        t0 = zero
        t1 = zero
        t2 = zero
        t3 = zero
        if bunch == 2:
            for j in range(width):
                g = table[r, j]
                t0 += g * h[v, j]
                t1 += g * h[v + 1, j]
        else:
            for j in range(width):
                g = table[r, j]
                t0 += g * h[v, j]
                t1 += g * h[v + 1, j]
                t2 += g * h[v + 2, j]
                t3 += g * h[v + 3, j]
        w = factor[r]
        out[v, r] += w * t0
        if count > 1:
            out[v + 1, r] += w * t1
        if count > 2:
            out[v + 2, r] += w * t2
        if count > 3:
            out[v + 3, r] += w * t3


@compiled(fastmath=FINITE)
def _clamped(first, last, settled, v, into, held, low, high, move):  # type: ignore[no-untyped-def]
    """Set nodes that ideal diodes clamp; notes each lane's largest move [V]."""
    size = v.shape[1]
    for lane in range(first, last):
        if settled[lane] == 0:
            moved = held.dtype.type(0)
            for j in range(size):
                new = min(max(into[lane, j] / held[j], low[j]), high[j])
                moved = max(moved, abs(new - v[lane, j]))
                v[lane, j] = new
            move[lane] = max(move[lane], float(moved))


@compiled
def _with_junctions(v, into, held, low, high, start, junctions, fixed):  # type: ignore[no-untyped-def]
    """Set nodes with junctions; returns the largest step that Newton's method asked for [V]."""
    moved = 0.0
    for j in range(len(v)):
        new, step, _ = solve_node(
            float(v[j]),
            float(held[j]),
            float(into[j]),
            float(low[j]),
            float(high[j]),
            start[j],
            start[j + 1],
            junctions,
            fixed,
        )
        if not abs(step) <= moved:
            moved = abs(step)
        v[j] = new
    return moved


@compiled(fastmath=FINITE)
def _plain_outputs(v, lane, into, held, beta, target, freeze, error, b):  # type: ignore[no-untyped-def]
    """Set single-ended outputs, node k being output k, with their nudge; returns the largest move [V]."""
    moved = held.dtype.type(0)
    least = held[0] + beta
    for j in range(v.shape[1]):
        g = held[j] + beta
        least = min(least, g)
        new = (into[lane, j] + beta * target[b, j] + freeze * error[b, j]) / g
        moved = max(moved, abs(new - v[lane, j]))
        v[lane, j] = new
    if least <= 0:  # repelled by more than what holds it: no equilibrium to settle in
        return 1e300
    return float(moved)


@compiled(fastmath=SUMS)
def _outputs(v, lane, into, held, beta, target, freeze, error, b, partner, position):  # type: ignore[no-untyped-def]
    """Set the output nodes with their nudge; returns the largest move [V].

    ``position`` (n,) is k for the positive node of output k, −k − 2 for its negative node, −1 for neither;
    ``partner`` (n,) the other node of its pair, −1 if there is none.
    """
    moved = held.dtype.type(0)
    for j in range(v.shape[1]):
        k = position[j]
        here, g = into[lane, j], held[j]
        if k >= 0:
            g += beta
            here += beta * target[b, k] + freeze * error[b, k]
            if partner[j] >= 0:
                here += beta * v[lane, partner[j]]
        elif k < -1:
            k = -k - 2
            g += beta
            here += beta * (v[lane, partner[j]] - target[b, k]) - freeze * error[b, k]
        if g <= 0:
            return 1e300
        new = here / g
        moved = max(moved, abs(new - v[lane, j]))
        v[lane, j] = new
    return float(moved)


@compiled(fastmath=FINITE)
def _begin(first, last, per, into, bias, steady, current, lit):  # type: ignore[no-untyped-def]
    """Set the currents that do not depend on other groups: biases, and the clamped lines' if ``lit``."""
    size = into.shape[1]
    for v in range(first, last):
        if lit:
            b = v // per
            for j in range(size):
                into[v, j] = (bias[j] + steady[j]) + current[b, j]
        else:
            for j in range(size):
                into[v, j] = bias[j] + steady[j]


@compiled(fastmath=FINITE)
def _row_voltages(first, last, left, below, known, factor):  # type: ignore[no-untyped-def]
    """Set the voltages of a crossbar's rows: those of the group below, amplified, then constant lines."""
    count, rows = below.shape[1], left.shape[1]
    for v in range(first, last):
        for r in range(count):
            left[v, r] = factor[r] * below[v, r]
        for r in range(count, rows):
            left[v, r] = known[r]


@compiled(fastmath=FINITE)
def _join(first, last, into, flow, factor):  # type: ignore[no-untyped-def]
    """Add what flows back from a crossbar's rows to the currents into the nodes behind them."""
    for v in range(first, last):
        for r in range(into.shape[1]):
            into[v, r] += factor[r] * flow[v, r]


@compiled(inline=True)
def _inflow(first, last, many, per, g, current, net, phase):  # type: ignore[no-untyped-def]
    """Set the current into the nodes of group ``g`` for the lanes that have not settled."""
    n0, n1 = net.node[g], net.node[g + 1]
    size = n1 - n0
    bunch = 2 * per
    settled, chosen = phase.settled, phase.chosen
    into = phase.into[: many * size].reshape(many, size)
    _begin(first, last, per, into, net.bias[n0:n1], net.steady[n0:n1], current, g == 0)
    if g > 0:
        r0, rows, width = net.shape[g, 0], net.shape[g, 1] - net.shape[g, 0], net.shape[g, 2]
        p0, p1 = net.node[g - 1], net.node[g]
        below = phase.state[many * p0 : many * p1].reshape(many, p1 - p0)
        left = phase.row[: many * rows].reshape(many, rows)
        _row_voltages(first, last, left, below, net.row_known[r0 : r0 + rows], net.row_t[r0 : r0 + rows])
        if net.flip[g] >= 0:
            flipped = net.flipped[net.flip[g] : net.flip[g] + rows * width].reshape(width, rows)
            for v in range(first, last, bunch):
                if settled[v] == 0:
                    _add_dots(flipped, 0, width, left, v, bunch, last - v, net.unit, into)
        else:
            table = net.weights[net.shape[g, 3] : net.shape[g, 3] + rows * width].reshape(rows, width)
            chunk = max(8, CHUNK // width)
            for c0 in range(0, rows, chunk):
                for v in range(first, last):
                    if settled[v] == 0:
                        _add_rows(table, c0, min(c0 + chunk, rows), left, v, chosen, into)
    if g + 1 < len(net.shape):  # what flows back from the next group
        r0, rows, width = net.shape[g + 1, 0], net.shape[g + 1, 1] - net.shape[g + 1, 0], net.shape[g + 1, 2]
        m0, m1 = net.node[g + 1], net.node[g + 2]
        above = phase.state[many * m0 : many * m1].reshape(many, m1 - m0)
        factor = net.row_w[r0 : r0 + size]
        if net.flip[g + 1] >= 0:
            flipped = net.flipped[net.flip[g + 1] : net.flip[g + 1] + rows * width].reshape(width, rows)
            flow = phase.row[: many * rows].reshape(many, rows)
            for v in range(first, last):
                if settled[v] == 0:
                    for r in range(rows):
                        flow[v, r] = 0
                    _add_rows(flipped, 0, width, above, v, chosen, flow)
            _join(first, last, into, flow, factor)
            return
        table = net.weights[net.shape[g + 1, 3] : net.shape[g + 1, 3] + rows * width].reshape(rows, width)
        chunk = max(8, CHUNK // width)
        for c0 in range(0, size, chunk):
            for v in range(first, last, bunch):
                if settled[v] == 0:
                    _add_dots(table, c0, min(c0 + chunk, size), above, v, bunch, last - v, factor, into)


@compiled(inline=True)
def _set_group(first, last, many, per, g, held, nudging, net, phase):  # type: ignore[no-untyped-def]
    """Solve the nodes of group ``g`` in all lanes that have not settled; notes the largest move [V] of each."""
    n0, n1 = net.node[g], net.node[g + 1]
    size = n1 - n0
    settled, move, own_held = phase.settled, phase.move, held[n0:n1]
    own = phase.state[many * n0 : many * n1].reshape(many, size)
    into = phase.into[: many * size].reshape(many, size)
    if g == len(net.shape) - 1:
        plain = net.plain != 0
        beta, target, freeze, error = nudging.beta, nudging.target, nudging.freeze, nudging.error
        for v in range(first, last):
            if settled[v] == 0:
                b = v // per
                k = v - b * per
                if plain:
                    step = _plain_outputs(own, v, into, own_held, beta[k], target, freeze[k], error, b)
                else:
                    step = _outputs(
                        own, v, into, own_held, beta[k], target, freeze[k], error, b, net.partner, net.position
                    )
                if not step <= move[v]:
                    move[v] = step
    elif net.law[g] != 0:
        low, high, start = net.low[n0:n1], net.high[n0:n1], net.junction_start[n0 : n1 + 1]
        for v in range(first, last):
            if settled[v] == 0:
                step = _with_junctions(own[v], into[v], own_held, low, high, start, net.junctions, net.fixed)
                if not step <= move[v]:
                    move[v] = step
    else:
        _clamped(first, last, settled, own, into, own_held, net.low[n0:n1], net.high[n0:n1], move)


@compiled(inline=True)
def _judge(first, last, many, bunch, sweep, stop, net, phase):  # type: ignore[no-untyped-def]
    """Note which bunches of lanes have settled: the sweeps they took, negative if they never will."""
    for v in range(first, last, bunch):
        if phase.settled[v] != 0:
            continue
        end = min(v + bunch, last)
        moved = 0.0
        for k in range(v, end):
            if not phase.move[k] <= moved:
                moved = phase.move[k]
        done = 0
        if not moved < 1e30:
            done = -sweep
        elif stop.tolerance == 0.0:
            done = sweep if sweep == stop.sweeps else 0
        else:
            largest = 1.0
            for g in range(len(net.shape)):
                size = net.node[g + 1] - net.node[g]
                for k in range(many * net.node[g] + v * size, many * net.node[g] + end * size):
                    largest = max(largest, abs(float(phase.state[k])))
            # Small moves alone may be slow ones: with rate = moved/before, moved · rate/(1 − rate) is to come.
            near = stop.tolerance * largest
            before = phase.before[v]
            phase.before[v] = moved
            ahead = sweep >= _SETTLING and before <= near and moved * moved <= near * (before - moved)
            if ahead or moved <= stop.rounding * largest:
                done = sweep
            elif sweep == stop.sweeps:
                done = -sweep
        for k in range(v, end):
            phase.settled[k] = done


@compiled
def bounded(v, many, net, phase):  # type: ignore[no-untyped-def]
    """Return whether all voltages of a lane are finite and not absurd."""
    total = 0.0
    for g in range(len(net.shape)):
        size = net.node[g + 1] - net.node[g]
        for k in range(many * net.node[g] + v * size, many * net.node[g] + (v + 1) * size):
            total += abs(float(phase.state[k]))
    return total < 1e30


@compiled
def relax(first, last, many, per, current, held, nudging, stop, net, phase):  # type: ignore[no-untyped-def]
    """Let the lanes ``first`` to ``last`` of one phase settle, two samples together.

    ``many`` is how many lanes the arrays of ``phase`` hold, ``per`` how many there are per sample (1 or 2),
    ``current`` (B, n0) the clamped lines' current into the first group, ``held`` (n,) the conductance that holds
    each node.
    """
    bunch = 2 * per
    for v in range(first, last):
        phase.settled[v] = 0
        phase.before[v] = math.inf
    for sweep in range(1, stop.sweeps + 1):
        unsettled = False
        for v in range(first, last):
            phase.move[v] = 0.0
            unsettled |= phase.settled[v] == 0
        if not unsettled:
            break
        for g in range(len(net.shape)):
            _inflow(first, last, many, per, g, current, net, phase)
            _set_group(first, last, many, per, g, held, nudging, net, phase)
        _judge(first, last, many, bunch, sweep, stop, net, phase)
    for v in range(first, last):
        if not bounded(v, many, net, phase):
            phase.settled[v] = -stop.sweeps
