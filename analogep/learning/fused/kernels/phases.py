"""Block steps of one phase: what flows into each group, and the law of its nodes."""

from __future__ import annotations

import math

from analogep.solve.compiled import FINITE, SUMS, compiled
from analogep.solve.kernels import solve_node

CHUNK = 32768  # numbers of a crossbar that several lanes use while they are in the cache
_SETTLING = 4  # sweeps whose rate tells of the fast modes only


@compiled(fastmath=SUMS)
def _forward(table, left, chosen, right):  # type: ignore[no-untyped-def]
    """Add Σ_r left_r g_rc to right_c; rows at zero volts cost nothing. ``chosen`` is scratch, (R + 1,)."""
    count = 0
    for r in range(len(left)):
        chosen[count] = r
        if left[r] != 0:
            count += 1
    width = len(right)
    k = 0
    while k + 8 <= count:
        r0, r1, r2, r3 = chosen[k], chosen[k + 1], chosen[k + 2], chosen[k + 3]
        r4, r5, r6, r7 = chosen[k + 4], chosen[k + 5], chosen[k + 6], chosen[k + 7]
        a0, a1, a2, a3 = left[r0], left[r1], left[r2], left[r3]
        a4, a5, a6, a7 = left[r4], left[r5], left[r6], left[r7]
        for j in range(width):
            low = a0 * table[r0, j] + a1 * table[r1, j] + a2 * table[r2, j] + a3 * table[r3, j]
            high = a4 * table[r4, j] + a5 * table[r5, j] + a6 * table[r6, j] + a7 * table[r7, j]
            right[j] += low + high
        k += 8
    while k < count:
        r = chosen[k]
        a = left[r]
        for j in range(width):
            right[j] += a * table[r, j]
        k += 1


@compiled(fastmath=SUMS)
def _backward(table, h, out):  # type: ignore[no-untyped-def]
    """Set out[k, r] = Σ_c g_rc h[k, c] for two or four lanes."""
    rows, width = table.shape
    zero = table.dtype.type(0)
    if len(h) == 2:
        for r in range(rows):
            t0 = zero
            t1 = zero
            for j in range(width):
                t0 += table[r, j] * h[0, j]
                t1 += table[r, j] * h[1, j]
            out[0, r] = t0
            out[1, r] = t1
        return
    for r in range(rows):
        t0 = zero
        t1 = zero
        t2 = zero
        t3 = zero
        for j in range(width):
            g = table[r, j]
            t0 += g * h[0, j]
            t1 += g * h[1, j]
            t2 += g * h[2, j]
            t3 += g * h[3, j]
        out[0, r] = t0
        out[1, r] = t1
        out[2, r] = t2
        out[3, r] = t3


@compiled(fastmath=FINITE)
def _clamped(v, into, held, low, high):  # type: ignore[no-untyped-def]
    """Set nodes that ideal diodes clamp; returns the largest move [V]."""
    moved = v.dtype.type(0)
    for j in range(len(v)):
        new = min(max(into[j] / held[j], low[j]), high[j])
        moved = max(moved, abs(new - v[j]))
        v[j] = new
    return moved


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


@compiled(fastmath=SUMS)
def _outputs(v, into, held, beta, target, freeze, error, partner, position):  # type: ignore[no-untyped-def]
    """Set the output nodes with their nudge; returns the largest move [V].

    ``position`` (n,) is k for the positive node of output k, −k − 2 for its negative node, −1 for neither;
    ``partner`` (n,) the other node of its pair, −1 if there is none.
    """
    moved = v.dtype.type(0)
    for j in range(len(v)):
        k = position[j]
        here, g = into[j], held[j]
        if k >= 0:
            g += beta
            here += beta * target[k] + freeze * error[k]
            if partner[j] >= 0:
                here += beta * v[partner[j]]
        elif k < -1:
            k = -k - 2
            g += beta
            here += beta * (v[partner[j]] - target[k]) - freeze * error[k]
        if g <= 0:  # repelled by more than what holds it: no equilibrium to settle in
            return v.dtype.type(math.inf)
        new = here / g
        moved = max(moved, abs(new - v[j]))
        v[j] = new
    return moved


@compiled(fastmath=FINITE)
def _row_voltages(left, below, known, factor):  # type: ignore[no-untyped-def]
    """Set the voltages of a crossbar's rows: those of the group below, amplified, then constant lines."""
    count = len(below)
    for r in range(count):
        left[r] = factor[r] * below[r]
    for r in range(count, len(left)):
        left[r] = known[r]


@compiled(fastmath=FINITE)
def _join(into, flow, factor):  # type: ignore[no-untyped-def]
    """Add what flows back from a crossbar's rows to the currents into the nodes behind them."""
    for r in range(len(into)):
        into[r] += factor[r] * flow[r]


@compiled
def _inflow(first, last, many, per, g, current, net, phase):  # type: ignore[no-untyped-def]
    """Set the current into the nodes of group ``g`` for the lanes that have not settled."""
    n0, n1 = net.node[g], net.node[g + 1]
    size = n1 - n0
    bunch = 2 * per
    into = phase.into[: many * size].reshape(many, size)
    for v in range(first, last):
        source = into[v]
        for j in range(size):
            source[j] = net.bias[n0 + j] + net.steady[n0 + j]
        if g == 0:
            lines = current[v // per]
            for j in range(size):
                source[j] += lines[j]
    if g > 0:
        r0, rows, width = net.shape[g, 0], net.shape[g, 1] - net.shape[g, 0], net.shape[g, 2]
        table = net.weights[net.shape[g, 3] : net.shape[g, 3] + rows * width].reshape(rows, width)
        p0, p1 = net.node[g - 1], net.node[g]
        below = phase.state[many * p0 : many * p1].reshape(many, p1 - p0)
        known, factor = net.row_known[r0 : r0 + rows], net.row_t[r0 : r0 + rows]
        if net.flip[g] >= 0:
            flipped = net.flipped[net.flip[g] : net.flip[g] + rows * width].reshape(width, rows)
            lefts = phase.row[: bunch * rows].reshape(bunch, rows)
            rights = phase.row[bunch * rows : bunch * (rows + width)].reshape(bunch, width)
            for v in range(first, last, bunch):
                if phase.settled[v] == 0:
                    for k in range(min(bunch, last - v)):
                        _row_voltages(lefts[k], below[v + k], known, factor)
                    _backward(flipped, lefts, rights)
                    for k in range(min(bunch, last - v)):
                        for j in range(width):
                            into[v + k, j] += rights[k, j]
        else:
            left = phase.row[:rows]
            chunk = max(8, CHUNK // width)
            for c0 in range(0, rows, chunk):
                c1 = min(c0 + chunk, rows)
                for v in range(first, last):
                    if phase.settled[v] == 0:
                        _row_voltages(left, below[v], known, factor)
                        _forward(table[c0:c1], left[c0:c1], phase.chosen, into[v])
    if g + 1 < len(net.shape):  # what flows back from the next group
        r0, rows, width = net.shape[g + 1, 0], net.shape[g + 1, 1] - net.shape[g + 1, 0], net.shape[g + 1, 2]
        table = net.weights[net.shape[g + 1, 3] : net.shape[g + 1, 3] + rows * width].reshape(rows, width)
        m0, m1 = net.node[g + 1], net.node[g + 2]
        above = phase.state[many * m0 : many * m1].reshape(many, m1 - m0)
        factor = net.row_w[r0 : r0 + size]
        if net.flip[g + 1] >= 0:
            flipped = net.flipped[net.flip[g + 1] : net.flip[g + 1] + rows * width].reshape(width, rows)
            flow = phase.row[:rows]
            for v in range(first, last):
                if phase.settled[v] == 0:
                    for r in range(rows):
                        flow[r] = 0
                    _forward(flipped, above[v], phase.chosen, flow)
                    _join(into[v], flow, factor)
            return
        chunk = max(8, CHUNK // width)
        for c0 in range(0, size, chunk):
            c1 = min(c0 + chunk, size)
            out = phase.row[: bunch * (c1 - c0)].reshape(bunch, c1 - c0)
            for v in range(first, last, bunch):
                if phase.settled[v] == 0:
                    _backward(table[c0:c1], above[v : v + bunch], out)
                    for k in range(min(bunch, last - v)):
                        _join(into[v + k][c0:c1], out[k], factor[c0:c1])


@compiled
def _set_group(first, last, many, per, g, held, nudging, net, phase):  # type: ignore[no-untyped-def]
    """Solve the nodes of group ``g`` in all lanes that have not settled; notes the largest move [V] of each."""
    n0, n1 = net.node[g], net.node[g + 1]
    size = n1 - n0
    output = g == len(net.shape) - 1
    junctions = net.law[g] != 0
    own_held, low, high = held[n0:n1], net.low[n0:n1], net.high[n0:n1]
    start = net.junction_start[n0 : n1 + 1]
    for v in range(first, last):
        if phase.settled[v] != 0:
            continue
        own = phase.state[many * n0 + v * size : many * n0 + (v + 1) * size]
        into = phase.into[v * size : (v + 1) * size]
        if output:
            b = v // per
            k = v - b * per
            target, error = nudging.target[b], nudging.error[b]
            beta, freeze = nudging.beta[k], nudging.freeze[k]
            step = float(_outputs(own, into, own_held, beta, target, freeze, error, net.partner, net.position))
        elif junctions:
            step = _with_junctions(own, into, own_held, low, high, start, net.junctions, net.fixed)
        else:
            step = float(_clamped(own, into, own_held, low, high))
        if not step <= phase.move[v]:
            phase.move[v] = step


@compiled
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
