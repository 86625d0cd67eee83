"""Block steps of one phase: what flows into each group, and the law of its nodes."""

from __future__ import annotations

import math

import numpy as np

from analogep.learning.fused.kernels.intrinsics.pointers import through
from analogep.learning.fused.kernels.intrinsics.vectors import larger, smaller
from analogep.learning.fused.kernels.intrinsics.views import matrix, part, span
from analogep.learning.fused.kernels.lanes import (
    add,
    add_dots,
    add_rows,
    begin,
    begin_lit,
    copy_lane,
    every,
    join,
    nonzero,
    peak_of,
    row_voltages,
    table_at,
)
from analogep.solve.compiled import FINITE, SUMS, compiled
from analogep.solve.layered.kernels import solve_node

CHUNK = 32768  # numbers of a crossbar that all lanes use while they are in the second-level cache
_SETTLING = 4  # sweeps whose rate tells of the fast modes only


_ROOM = 1e-3  # how far sums of rounded numbers may lie from exact ones, relatively


@compiled(fastmath=FINITE, inner=True)
def _lean(held, reach, voltage, factor, shares, room):  # type: ignore[no-untyped-def]
    """Add what a tile of the crossbar behind nodes holds them with, and how far it reaches back."""
    for r in range(len(held)):
        held[r] += voltage[r] * factor[r] * shares[r]
        reach[r] += room * abs(factor[r]) * shares[r]  # conductances are not negative


@compiled(fastmath=FINITE, inner=True)
def _limits(held, low, high, near, floor, ceiling):  # type: ignore[no-untyped-def]
    """Set the currents beyond which nodes are at a bound for sure."""
    for j in range(len(held)):
        least, most = low[j] * held[j], high[j] * held[j]
        floor[j] = least - near * abs(least)
        ceiling[j] = most + near * abs(most)


@compiled(inner=True)
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
        s0, p0, n0 = net.share_start[c] + net.tiles[t, 3] * rows, net.node[c - 1], net.node[c]
        end = r0 + n0 - p0
        factors = span(net.row_t, r0, end), span(net.row_w, r0, end)
        _lean(span(held, p0, n0), span(reach, p0, n0), *factors, span(net.shares, s0, s0 + n0 - p0), room)
    for g in range(len(net.shape)):
        n0, n1 = net.node[g], net.node[g + 1]
        floor, ceiling = span(grip.floor, n0, n1), span(grip.ceiling, n0, n1)
        if net.law[g] == 0 and not net.mutual:  # what flows back is bounded for conductances alone
            bounds = span(net.low, n0, n1), span(net.high, n0, n1)
            _limits(span(held, n0, n1), *bounds, near, floor, ceiling)
        else:
            for j in range(n1 - n0):
                floor[j] = -np.inf
                ceiling[j] = np.inf


@compiled(inner=True)
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


@compiled(fastmath=FINITE, inner=True)
def _clamped(v, into, held, low, high):  # type: ignore[no-untyped-def]
    """Set nodes that ideal diodes clamp; returns the largest move [V]."""
    moved = held.dtype.type(0)
    for j in range(len(v)):
        new = smaller(larger(into[j] / held[j], low[j]), high[j])
        moved = larger(moved, abs(new - v[j]))
        v[j] = new
    return float(moved)


@compiled(inner=True)
def with_junctions(v, into, held, low, high, start, junctions, fixed, move, lane):  # type: ignore[no-untyped-def]
    """Set nodes with junctions; notes the largest step that Newton's method asked for [V] in ``move[lane]``."""
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
        if not abs(step) <= move[lane]:
            move[lane] = abs(step)
        v[j] = new


@compiled(fastmath=FINITE, inner=True)
def _plain_outputs(v, lane, into, held, low, high, beta, target, freeze, error, b):  # type: ignore[no-untyped-def]
    """Set single-ended outputs, node k being output k, with their nudge; returns the largest move [V]."""
    moved = held.dtype.type(0)
    least = held[0] + beta
    for j in range(v.shape[1]):
        g = held[j] + beta
        least = smaller(least, g)
        new = (into[lane, j] + beta * target[b, j] + freeze * error[b, j]) / g
        new = smaller(larger(new, low[j]), high[j])
        moved = larger(moved, abs(new - v[lane, j]))
        v[lane, j] = new
    if least <= 0:  # repelled by more than what holds it: no equilibrium to settle in
        return 1e300
    return float(moved)


@compiled(fastmath=SUMS, inner=True)
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


@compiled(inline=True, inner=True)
def _pass_through(first, last, many, per, lanes, c, way, extra, grip, net, phase):  # type: ignore[no-untyped-def]
    """Let current flow through crossbar ``c``, whose rows pass through the cache once.

    Rows by rows: what flows back completes the current into nodes of group c − 1; these are set; what then flows
    on is added to the current into group c. With ``way`` = 1 the crossbar is turned round, and ``extra`` (B, n),
    laid out as the phase's state is, flows into the nodes as well. If ``lanes`` is less than ``per``, the two
    lanes of a sample do not differ yet, and the first counts for both. With one lane per sample, samples 2 k and
    2 k + 1 go abreast while neither has settled, so that rows are read once for both.
    """
    p0, n0, n1 = net.node[c - 1], net.node[c], net.node[c + 1]
    size, width = n0 - p0, n1 - n0
    r0, rows = net.shape[c, 0], net.shape[c, 1] - net.shape[c, 0]
    settled, picked, move, peak = phase.settled, phase.picked, phase.move, phase.peak
    below = matrix(phase.state, many * p0, many, size)
    above = matrix(phase.state, many * n0, many, width)
    into = matrix(phase.into, many * p0, many, size)
    onward = matrix(phase.into, many * n0, many, width)
    left = matrix(phase.row, 0, many, rows)
    forth = table_at(net.weights, net.ways[c, way], rows, width)
    back = table_at(net.weights, net.ways[c, 1 - way], rows, width)
    turned = net.turned[c] != 0
    forth_turned = table_at(net.weights, net.ways[c, way], width, rows)
    back_turned = table_at(net.weights, net.ways[c, 1 - way], width, rows)
    samples = many // per
    more = matrix(extra, samples * n0, samples, width)
    known, voltage_factor = span(net.row_known, r0, r0 + rows), span(net.row_t, r0, r0 + rows)
    factor, held = span(net.row_w, r0, r0 + rows), span(grip.held, p0, n0)
    low, high, law = span(net.low, p0, n0), span(net.high, p0, n0), net.law[c - 1]
    chunk = rows if turned else max(8, CHUNK // width)
    for v in range(first, last, per):
        if settled[v] == 0:
            for lane in range(v, v + lanes):
                begin(onward[lane], span(net.bias, n0, n1), span(net.steady, n0, n1))
                if way != 0:
                    add(onward[lane], more[v // per])
                peak[lane] = peak_of(above[lane]) if len(back) else net.weights.dtype.type(0)
    for c0 in range(0, rows, chunk):
        c1 = min(c0 + chunk, rows)
        e1 = max(c0, min(c1, size))  # rows from there on are constant lines
        after = first
        while after < last:
            v = after
            after += per
            if settled[v] != 0:
                continue
            abreast = lanes
            if per == 1 and v % 2 == 0 and after < last and settled[after] == 0:
                abreast += 1
                after += 1
            end = v + abreast
            if turned:
                if len(back):
                    count = nonzero(0, width, above, v, abreast, picked)
                    for lane in range(v, end):
                        left[lane] = 0
                    add_rows(back_turned, picked, count, above, v, abreast, left)
                    for lane in range(v, end):
                        join(into[lane], left[lane], factor)
            elif peak[v] != 0 or peak[end - 1] != 0:
                count = _loose(c0, e1, v, abreast, into, grip, p0, peak, picked)
                add_dots(back, picked, count, above, v, abreast, factor, into)
            for lane in range(v, end):
                nodes, flow = part(below, lane, c0, e1), part(into, lane, c0, e1)
                grasp, least, most = span(held, c0, e1), span(low, c0, e1), span(high, c0, e1)
                if law != 0:
                    starts = span(net.junction_start, p0 + c0, p0 + e1 + 1)
                    arguments = (nodes, flow, grasp, least, most, starts, net.junctions, net.fixed, move, lane)
                    through(net.with_junctions, arguments)
                else:
                    step = _clamped(nodes, flow, grasp, least, most)
                    if not step <= move[lane]:
                        move[lane] = step
                row_voltages(part(left, lane, c0, c1), nodes, span(known, c0, c1), span(voltage_factor, c0, c1))
            if turned:
                if len(forth):
                    add_dots(forth_turned, picked, every(width, picked), left, v, abreast, net.unit, onward)
            elif len(forth):
                count = nonzero(c0, c1, left, v, abreast, picked)
                add_rows(forth, picked, count, left, v, abreast, onward)
    if lanes < per:
        for v in range(first, last, per):
            if settled[v] == 0:
                copy_lane(v, below)
                copy_lane(v, onward)


@compiled(inline=True, inner=True)
def _set_outputs(first, last, many, per, grip, nudging, net, phase):  # type: ignore[no-untyped-def]
    """Set the nodes of the last group in all lanes that have not settled; notes the largest move [V] of each."""
    groups = len(net.shape)
    n0, n1 = net.node[groups - 1], net.node[groups]
    size = n1 - n0
    settled, move, held = phase.settled, phase.move, span(grip.held, n0, n1)
    low, high = span(net.low, n0, n1), span(net.high, n0, n1)
    own = matrix(phase.state, many * n0, many, size)
    into = matrix(phase.into, many * n0, many, size)
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


@compiled(inline=True, inner=True)
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


@compiled(inner=True)
def bounded(v, many, net, phase):  # type: ignore[no-untyped-def]
    """Return whether all voltages of a lane are finite and not absurd."""
    total = 0.0
    for g in range(len(net.shape)):
        size = net.node[g + 1] - net.node[g]
        for k in range(many * net.node[g] + v * size, many * net.node[g] + (v + 1) * size):
            total += abs(float(phase.state[k]))
    return total < 1e30


@compiled(inner=True)
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
                begin_lit(
                    span(phase.into, v * size, (v + 1) * size),
                    span(net.bias, 0, size),
                    span(net.steady, 0, size),
                    current[v // per],
                )
                if way != 0:
                    add(
                        span(phase.into, v * size, (v + 1) * size),
                        span(extra, v // per * size, (v // per + 1) * size),
                    )
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


@compiled(inner=True)
def _inflow(first, last, many, c, way, state, net, phase, onward, backward):  # type: ignore[no-untyped-def]
    """Add what crossbar ``c`` carries at ``state``, forth into ``onward`` (B, n_c) and back into ``backward``."""
    p0, n0, n1 = net.node[c - 1], net.node[c], net.node[c + 1]
    size, width = n0 - p0, n1 - n0
    r0, rows = net.shape[c, 0], net.shape[c, 1] - net.shape[c, 0]
    forth = table_at(net.weights, net.ways[c, way], rows, width)
    back = table_at(net.weights, net.ways[c, 1 - way], rows, width)
    forth_turned = table_at(net.weights, net.ways[c, way], width, rows)
    back_turned = table_at(net.weights, net.ways[c, 1 - way], width, rows)
    below = matrix(state, many * p0, many, size)
    above = matrix(state, many * n0, many, width)
    left = matrix(phase.row, 0, many, rows)
    one = np.int64(1)
    for v in range(first, last):
        row_voltages(left[v], below[v], span(net.row_known, r0, r0 + rows), span(net.row_t, r0, r0 + rows))
        factor = span(net.row_w, r0, r0 + rows)
        if net.turned[c]:
            if len(forth_turned):
                count = every(width, phase.picked)
                add_dots(forth_turned, phase.picked, count, left, v, one, net.unit, onward)
            if len(back_turned):
                for r in range(rows):
                    left[v, r] = 0
                add_rows(back_turned, phase.picked, every(width, phase.picked), above, v, one, left)
                join(backward[v], left[v], factor)
            continue
        if len(forth):
            add_rows(forth, phase.picked, nonzero(0, rows, left, v, one, phase.picked), left, v, one, onward)
        if len(back):
            add_dots(back, phase.picked, every(size, phase.picked), above, v, one, factor, backward)


@compiled(inner=True)
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
                matrix(phase.into, many * n0, many, n1 - n0),
                matrix(phase.into, many * p0, many, n0 - p0),
            )  # fmt: skip
        for g in range(len(net.shape)):
            size = net.node[g + 1] - net.node[g]
            for k in range(many * net.node[g] + first * size, many * net.node[g] + last * size):
                extra[k] = phase.into[k] if way == 0 else extra[k] - phase.into[k]
                phase.into[k] = 0
