"""Block steps of one phase: what flows into each group, and the law of its nodes."""

from __future__ import annotations

import math

import numpy as np

from analogep.solve.compiled import FINITE, SUMS, compiled
from analogep.solve.kernels import solve_node

CHUNK = 32768  # numbers of a crossbar that all lanes use while they are in the second-level cache
_SETTLING = 4  # sweeps whose rate tells of the fast modes only


# Lanes are samples, or samples in a nudged phase. Inner loops start at 0, which lets the compiler use vectors.


@compiled(fastmath=SUMS)
def _add_rows(table, picked, count, weight, v, lanes, out):  # type: ignore[no-untyped-def]
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


@compiled(fastmath=SUMS)
def _add_dots(table, picked, count, h, v, lanes, factor, out):  # type: ignore[no-untyped-def]
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


@compiled
def _all(count, picked):  # type: ignore[no-untyped-def]
    for r in range(count):
        picked[r] = r
    return count


@compiled
def _nonzero(start, stop, weight, v, lanes, picked):  # type: ignore[no-untyped-def]
    """List where ``weight`` is not zero in all of a sample's lanes; returns how many."""
    count = 0
    w = v + lanes - 1
    for r in range(start, stop):
        picked[count] = r
        if weight[v, r] != 0 or weight[w, r] != 0:
            count += 1
    return count


@compiled
def _loose(start, stop, v, lanes, into, grip, p0, peak, picked):  # type: ignore[no-untyped-def]
    """List nodes that may leave their bounds, whatever flows back from voltages up to ``peak``; returns how many.

    The others, mostly those that an ideal diode clamps, stay where they are: nobody needs to know how far beyond
    its bound a node's current would take it.
    """
    count = 0
    for r in range(start, stop):
        picked[count] = r
        reach, floor, ceiling = grip.reach[p0 + r], grip.floor[p0 + r], grip.ceiling[p0 + r]
        for lane in range(v, v + lanes):
            most = reach * peak[lane]
            if not (into[lane, r] + most < floor or into[lane, r] - most > ceiling):
                count += 1
                break
    return count


@compiled(fastmath=FINITE)
def _peak(h):  # type: ignore[no-untyped-def]
    most = h.dtype.type(0)
    for j in range(len(h)):
        most = max(most, abs(h[j]))
    return most


@compiled(fastmath=FINITE)
def _clamped(v, into, held, low, high):  # type: ignore[no-untyped-def]
    """Set nodes that ideal diodes clamp; returns the largest move [V]."""
    moved = held.dtype.type(0)
    for j in range(len(v)):
        new = min(max(into[j] / held[j], low[j]), high[j])
        moved = max(moved, abs(new - v[j]))
        v[j] = new
    return float(moved)


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
def _plain_outputs(v, lane, into, held, low, high, beta, target, freeze, error, b):  # type: ignore[no-untyped-def]
    """Set single-ended outputs, node k being output k, with their nudge; returns the largest move [V]."""
    moved = held.dtype.type(0)
    least = held[0] + beta
    for j in range(v.shape[1]):
        g = held[j] + beta
        least = min(least, g)
        new = (into[lane, j] + beta * target[b, j] + freeze * error[b, j]) / g
        new = min(max(new, low[j]), high[j])
        moved = max(moved, abs(new - v[lane, j]))
        v[lane, j] = new
    if least <= 0:  # repelled by more than what holds it: no equilibrium to settle in
        return 1e300
    return float(moved)


@compiled(fastmath=SUMS)
def _outputs(  # type: ignore[no-untyped-def]
    v, lane, into, held, low, high, beta, target, freeze, error, b, partner, position
):
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
        new = min(max(here / g, low[j]), high[j])
        moved = max(moved, abs(new - v[lane, j]))
        v[lane, j] = new
    return float(moved)


@compiled(fastmath=FINITE)
def _begin(into, bias, steady):  # type: ignore[no-untyped-def]
    """Set the currents into a group that depend on no other group."""
    for j in range(len(into)):
        into[j] = bias[j] + steady[j]


@compiled(fastmath=FINITE)
def _begin_lit(into, bias, steady, current):  # type: ignore[no-untyped-def]
    """Set the currents into the first group that depend on no other group: the clamped lines' are among them."""
    for j in range(len(into)):
        into[j] = (bias[j] + steady[j]) + current[j]


@compiled(fastmath=FINITE)
def _row_voltages(start, stop, left, below, known, factor):  # type: ignore[no-untyped-def]
    """Set the voltages of some of a crossbar's rows: those of the group below, amplified, then constant lines."""
    count = len(below)
    for r in range(start, min(stop, count)):
        left[r] = factor[r] * below[r]
    for r in range(max(start, count), stop):
        left[r] = known[r]


@compiled(fastmath=FINITE)
def _join(into, flow, factor):  # type: ignore[no-untyped-def]
    """Add what flows back from a crossbar's rows to the currents into the nodes behind them."""
    for r in range(len(into)):
        into[r] += factor[r] * flow[r]


@compiled(fastmath=FINITE)
def _add(into, extra):  # type: ignore[no-untyped-def]
    for j in range(len(into)):
        into[j] += extra[j]


@compiled(inline=True)
def _table(numbers, start, rows, columns):  # type: ignore[no-untyped-def]
    """Return the table (rows, columns) that begins at ``start`` of flat numbers; one without rows if negative."""
    count = rows if start >= 0 else 0
    begin = max(start, 0)
    return numbers[begin : begin + count * columns].reshape(count, columns)


@compiled
def _copy(lane, table):  # type: ignore[no-untyped-def]
    for j in range(table.shape[1]):
        table[lane + 1, j] = table[lane, j]


@compiled(inline=True)
def _pass_through(first, last, many, per, lanes, c, way, extra, grip, net, phase):  # type: ignore[no-untyped-def]
    """Let current flow through crossbar ``c``, whose rows pass through the cache once.

    Rows by rows: what flows back completes the current into nodes of group c − 1; these are set; what then flows
    on is added to the current into group c. With ``way`` = 1 the crossbar is turned round, and ``extra`` (B, n),
    laid out as the phase's state is, flows into the nodes as well. If ``lanes`` is less than ``per``, the two
    lanes of a sample do not differ yet, and the first counts for both.
    """
    p0, n0, n1 = net.node[c - 1], net.node[c], net.node[c + 1]
    size, width = n0 - p0, n1 - n0
    r0, rows = net.shape[c, 0], net.shape[c, 1] - net.shape[c, 0]
    settled, picked, move, peak = phase.settled, phase.picked, phase.move, phase.peak
    below = phase.state[many * p0 : many * n0].reshape(many, size)
    above = phase.state[many * n0 : many * n1].reshape(many, width)
    into = phase.into[many * p0 : many * n0].reshape(many, size)
    onward = phase.into[many * n0 : many * n1].reshape(many, width)
    left = phase.row[: many * rows].reshape(many, rows)
    forth = _table(net.weights, net.ways[c, way], rows, width)
    back = _table(net.weights, net.ways[c, 1 - way], rows, width)
    turned = net.flip[c, 0] >= 0
    forth_turned = _table(net.flipped, net.flip[c, way], width, rows)
    back_turned = _table(net.flipped, net.flip[c, 1 - way], width, rows)
    samples = many // per
    more = extra[samples * n0 : samples * n1].reshape(samples, width)
    known, voltage_factor = net.row_known[r0 : r0 + rows], net.row_t[r0 : r0 + rows]
    factor, held = net.row_w[r0 : r0 + rows], grip.held[p0:n0]
    low, high, law = net.low[p0:n0], net.high[p0:n0], net.law[c - 1]
    chunk = rows if turned else max(8, CHUNK // width)
    for v in range(first, last, per):
        if settled[v] == 0:
            for lane in range(v, v + lanes):
                _begin(onward[lane], net.bias[n0:n1], net.steady[n0:n1])
                if way != 0:
                    _add(onward[lane], more[v // per])
                peak[lane] = _peak(above[lane]) if len(back) else net.weights.dtype.type(0)
    for c0 in range(0, rows, chunk):
        c1 = min(c0 + chunk, rows)
        e1 = min(c1, size)  # rows from there on are constant lines
        for v in range(first, last, per):
            if settled[v] != 0:
                continue
            if turned:
                if len(back):
                    count = _nonzero(0, width, above, v, lanes, picked)
                    for lane in range(v, v + lanes):
                        left[lane] = 0
                    _add_rows(back_turned, picked, count, above, v, lanes, left)
                    for lane in range(v, v + lanes):
                        _join(into[lane], left[lane], factor)
            elif peak[v] != 0 or peak[v + lanes - 1] != 0:
                count = _loose(c0, e1, v, lanes, into, grip, p0, peak, picked)
                _add_dots(back, picked, count, above, v, lanes, factor, into)
            for lane in range(v, v + lanes):
                if law != 0:
                    junction_start = net.junction_start[p0 + c0 : p0 + e1 + 1]
                    step = _with_junctions(
                        below[lane, c0:e1], into[lane, c0:e1], held[c0:e1], low[c0:e1], high[c0:e1],
                        junction_start, net.junctions, net.fixed,
                    )  # fmt: skip
                else:
                    step = _clamped(below[lane, c0:e1], into[lane, c0:e1], held[c0:e1], low[c0:e1], high[c0:e1])
                if not step <= move[lane]:
                    move[lane] = step
                _row_voltages(c0, c1, left[lane], below[lane], known, voltage_factor)
            if turned:
                if len(forth):
                    _add_dots(forth_turned, picked, _all(width, picked), left, v, lanes, net.unit, onward)
            elif len(forth):
                count = _nonzero(c0, c1, left, v, lanes, picked)
                _add_rows(forth, picked, count, left, v, lanes, onward)
    if lanes < per:
        for v in range(first, last, per):
            if settled[v] == 0:
                _copy(v, below)
                _copy(v, onward)


@compiled(inline=True)
def _set_outputs(first, last, many, per, grip, nudging, net, phase):  # type: ignore[no-untyped-def]
    """Set the nodes of the last group in all lanes that have not settled; notes the largest move [V] of each."""
    groups = len(net.shape)
    n0, n1 = net.node[groups - 1], net.node[groups]
    size = n1 - n0
    settled, move, held = phase.settled, phase.move, grip.held[n0:n1]
    low, high = net.low[n0:n1], net.high[n0:n1]
    own = phase.state[many * n0 : many * n1].reshape(many, size)
    into = phase.into[many * n0 : many * n1].reshape(many, size)
    plain = net.plain != 0
    beta, target, freeze, error = nudging.beta, nudging.target, nudging.freeze, nudging.error
    for v in range(first, last):
        if settled[v] == 0:
            b = v // per
            k = v - b * per
            if plain:
                step = _plain_outputs(own, v, into, held, low, high, beta[k], target, freeze[k], error, b)
            else:
                step = _outputs(
                    own, v, into, held, low, high, beta[k], target, freeze[k], error, b, net.partner, net.position
                )
            if not step <= move[v]:
                move[v] = step


@compiled(inline=True)
def _judge(first, last, many, per, sweep, stop, net, phase):  # type: ignore[no-untyped-def]
    """Note which samples have settled, with all their lanes: the sweeps they took, negative if they never will."""
    for v in range(first, last, per):
        if phase.settled[v] != 0:
            continue
        end = v + per
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
def relax(first, last, many, per, current, way, extra, grip, nudging, stop, net, phase):  # type: ignore[no-untyped-def]
    """Let the lanes ``first`` to ``last`` of one phase settle.

    ``many`` is how many lanes the arrays of ``phase`` hold, ``per`` how many there are per sample: 1, or 2 that
    start from the same voltages. ``current`` (B, n0) is the clamped lines' current into the first group.
    With ``way`` = 1 all crossbars behind the first are turned round, and ``extra`` flows in (see :func:`twist`).
    Two lanes of a sample differ by their nudges alone, which reach one group more in each sweep.
    """
    groups = len(net.shape)
    size = net.node[1]
    for v in range(first, last):
        phase.settled[v] = 0
        phase.before[v] = math.inf
    for sweep in range(1, stop.sweeps + 1):
        unsettled = False
        for v in range(first, last):
            phase.move[v] = 0.0
            if phase.settled[v] == 0:
                unsettled = True
                _begin_lit(
                    phase.into[v * size : (v + 1) * size], net.bias[:size], net.steady[:size], current[v // per]
                )
                if way != 0:
                    _add(phase.into[v * size : (v + 1) * size], extra[v // per * size : (v // per + 1) * size])
        if not unsettled:
            break
        for c in range(1, groups):
            lanes = per if sweep + c > groups else np.int64(1)
            _pass_through(first, last, many, per, lanes, c, way, extra, grip, net, phase)
        _set_outputs(first, last, many, per, grip, nudging, net, phase)
        _judge(first, last, many, per, sweep, stop, net, phase)
    for v in range(first, last):
        if not bounded(v, many, net, phase):
            phase.settled[v] = -stop.sweeps


@compiled
def _inflow(first, last, many, c, way, state, net, phase, onward, backward):  # type: ignore[no-untyped-def]
    """Add what crossbar ``c`` carries at ``state``, forth into ``onward`` (B, n_c) and back into ``backward``."""
    p0, n0, n1 = net.node[c - 1], net.node[c], net.node[c + 1]
    size, width = n0 - p0, n1 - n0
    r0, rows = net.shape[c, 0], net.shape[c, 1] - net.shape[c, 0]
    forth = _table(net.weights, net.ways[c, way], rows, width)
    back = _table(net.weights, net.ways[c, 1 - way], rows, width)
    below = state[many * p0 : many * n0].reshape(many, size)
    above = state[many * n0 : many * n1].reshape(many, width)
    left = phase.row[: many * rows].reshape(many, rows)
    one = np.int64(1)
    for v in range(first, last):
        _row_voltages(0, rows, left[v], below[v], net.row_known[r0 : r0 + rows], net.row_t[r0 : r0 + rows])
        if len(forth):
            count = _nonzero(0, rows, left, v, one, phase.picked)
            _add_rows(forth, phase.picked, count, left, v, one, onward)
        if len(back):
            factor = net.row_w[r0 : r0 + rows]
            _add_dots(back, phase.picked, _all(size, phase.picked), above, v, one, factor, backward)


@compiled
def twist(first, last, many, net, phase, extra):  # type: ignore[no-untyped-def]
    """Set the currents ``extra`` that keep a phase with its crossbars turned round where the free phase is.

    Let f(s) be what flows into the nodes, J its Jacobian and s₀ the free phase. Kirchhoff's law of the phase whose
    response is that of Jᵀ is f(s) − (J − Jᵀ)(s − s₀) = 0 (Scurria et al. 2026). J and Jᵀ differ by the directions
    of the crossbars alone: with crossbars turned round, what is left is (J − Jᵀ) s₀, a constant current.
    """
    for g in range(len(net.shape)):
        size = net.node[g + 1] - net.node[g]
        for k in range(many * net.node[g] + first * size, many * net.node[g] + last * size):
            extra[k] = 0
            phase.into[k] = 0
    for way in range(2):
        for c in range(1, len(net.shape)):
            if net.ways[c, 0] == net.ways[c, 1]:
                continue
            p0, n0, n1 = net.node[c - 1], net.node[c], net.node[c + 1]
            _inflow(
                first, last, many, c, way, phase.state, net, phase,
                phase.into[many * n0 : many * n1].reshape(many, n1 - n0),
                phase.into[many * p0 : many * n0].reshape(many, n0 - p0),
            )  # fmt: skip
        for g in range(len(net.shape)):
            size = net.node[g + 1] - net.node[g]
            for k in range(many * net.node[g] + first * size, many * net.node[g] + last * size):
                extra[k] = phase.into[k] if way == 0 else extra[k] - phase.into[k]
                phase.into[k] = 0
