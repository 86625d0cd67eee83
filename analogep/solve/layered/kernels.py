"""Compiled kernels of the layered engine (numba, cached on disk after the first use)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analogep.devices.tanh_neuron import EDGE, EDGE_SLOPE, EDGE_VALUE
from analogep.solve.compiled import SUMS, compiled

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_INNER = 60  # Newton steps of one scalar equation
_MAX_EXPONENT = 600.0
_SETTLING = 4  # sweeps whose rate tells of the fast modes only
_WATCH, _PROGRESS = 64, 0.9  # sweeps after which a factor of less progress than this has to lead to the end
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


@compiled
def _junction(w, saturation, nvt, gmin):  # type: ignore[no-untyped-def]
    """Return current and slope of a bare junction; the same law as ``devices.diode``."""
    x = w / nvt
    if x < -3.0:
        inverse = 1.0 / w
        part = (3.0 / math.e) * nvt * inverse
        cube = saturation * part * part * part
        return gmin * w - saturation - cube, 3.0 * cube * inverse + gmin
    if x > _MAX_EXPONENT:
        g = saturation * math.exp(_MAX_EXPONENT) / nvt
        return saturation * math.expm1(_MAX_EXPONENT) + g * nvt * (x - _MAX_EXPONENT), g
    grown = math.exp(x)
    less_one = math.expm1(x) if abs(x) < 0.5 else grown - 1.0
    return saturation * less_one + gmin * w, saturation * grown / nvt + gmin


@compiled
def _diode(v, saturation, nvt, gmin, resistance):  # type: ignore[no-untyped-def]
    """Return current and slope of a diode with series resistance at its terminals."""
    w = 0.0  # right of the root, as in devices.diode
    if v > 0.0:
        w = min(v, nvt * math.log1p(v / (resistance * saturation)))
    for _ in range(100):
        i, g = _junction(w, saturation, nvt, gmin)
        step = (w + resistance * i - v) / (1.0 + resistance * g)
        w -= step
        if abs(step) <= 1e-15 * (abs(w) + nvt):
            break
    i, g = _junction(w, saturation, nvt, gmin)
    return i, g / (1.0 + resistance * g)


@compiled
def _sinh(v, conductance, v0):  # type: ignore[no-untyped-def]
    """Return current and slope of a sinh resistor; the same law as ``devices.sinh_resistor``."""
    x = v / v0
    inner = min(max(x, -_MAX_EXPONENT), _MAX_EXPONENT)
    slope = conductance * math.cosh(inner)
    return conductance * v0 * math.sinh(inner) + slope * v0 * (x - inner), slope


@compiled
def _artanh(v, conductance, limit):  # type: ignore[no-untyped-def]
    """Return current and slope of a saturating neuron; the same law as ``devices.tanh_neuron``."""
    x = v / limit
    inner = min(max(x, -EDGE), EDGE)
    slope = 1.0 / ((1.0 - inner) * (1.0 + inner))
    return conductance * limit * (math.atanh(inner) + slope * (x - inner)), conductance * slope


@compiled
def _reach(law, u, more):  # type: ignore[no-untyped-def]
    """Return a voltage [V] at which an element draws at least ``more`` [A] beyond what it does at ``u``."""
    width = law[4]
    if law[7] == 2.0:
        i, _ = _artanh(u, law[3], law[5])
        y = (i + more) / (law[3] * law[5])
        if abs(y) > EDGE_VALUE:
            return law[5] * math.copysign(EDGE + (abs(y) - EDGE_VALUE) / EDGE_SLOPE, y)
        return law[5] * math.tanh(y)
    if law[7] == 1.0:
        i, _ = _sinh(u, law[3], width)
        return width * math.asinh((i + more) / (law[3] * width))
    if law[6] == 0.0:
        i, _ = _junction(u, law[3], width, law[5])
    else:
        i, _ = _diode(u, law[3], width, law[5], law[6])
    i = max(i, 0.0) + more
    return width * math.log1p(i / law[3]) + law[6] * i


@compiled
def solve_node(v, conductance, current, low, high, start, stop, junctions, fixed):  # type: ignore[no-untyped-def]
    """Solve one node: G v + Σ elements = I within [low, high]; the elements are ``layered``'s node laws.

    Returns v, the step that the first Newton iteration asked for, and the residual [A] before it. Newton
    stops early: what it leaves is within its quadratic reach in the next sweep. Its steps stay between the
    voltages that proved too low and too high: the current grows with v, so the root lies there. For the same
    reason no element takes more than the current that the node has too much, which bounds long steps.
    """
    if start == stop:
        new = min(max(current / conductance, low), high)
        return new, new - v, (v - new) * conductance
    first = 0.0
    lack = 0.0
    origin = v
    below, above = -math.inf, math.inf
    for iteration in range(_INNER):
        f = conductance * v - current
        slope = conductance
        narrow = math.inf
        for d in range(start, stop):
            sign, t, w, width = junctions[d, 0], junctions[d, 1], junctions[d, 2], junctions[d, 4]
            u = sign * (t * v - fixed[d])
            if junctions[d, 7] == 1.0:
                i, g = _sinh(u, junctions[d, 3], width)
            elif junctions[d, 7] == 2.0:
                i, g = _artanh(u, junctions[d, 3], junctions[d, 5])
            elif junctions[d, 6] == 0.0:
                i, g = _junction(u, junctions[d, 3], width, junctions[d, 5])
            else:
                i, g = _diode(u, junctions[d, 3], width, junctions[d, 5], junctions[d, 6])
            f += w * sign * i
            slope += w * t * g
            narrow = min(narrow, width)
        step = -f / slope
        if not abs(step) <= 0.03 * narrow:
            if f > 0.0:
                above = v
            else:
                below = v
            for d in range(start, stop):
                scale, width = junctions[d, 0] * junctions[d, 1], junctions[d, 4]
                if (abs(scale * step) > width or junctions[d, 7] == 2.0) and (
                    scale * step > 0.0 or junctions[d, 7] != 0.0
                ):
                    u = junctions[d, 0] * (junctions[d, 1] * v - fixed[d])
                    more = math.copysign(abs(f / junctions[d, 2]), scale * step)
                    limited = (_reach(junctions[d], u, more) - u) / scale
                    if abs(limited) < abs(step):
                        step = limited
            if not below <= v + step <= above and above - below < math.inf:
                step = 0.5 * (below + above) - v
        v += step
        if iteration == 0:
            first = step
            lack = f
        if abs(step) <= 0.03 * narrow:
            break
    if v < low or v > high:
        v = min(max(v, low), high)
        first = v - origin
        lack = first * conductance
    return v, first, lack


@compiled(fastmath=SUMS)
def _columns_inflow(weights, left, width, right):  # type: ignore[no-untyped-def]
    """Return right_c = Σ_r left_r g_rc; a row whose value is zero costs nothing."""
    right[:width] = 0.0
    for r in range(len(left)):
        v = left[r]
        if v != 0.0:
            line = weights[r * width : (r + 1) * width]
            for j in range(width):
                right[j] += line[j] * v


@compiled(fastmath=SUMS)
def _rows_inflow(weights, right, width, left):  # type: ignore[no-untyped-def]
    """Return left_r = Σ_c g_rc right_c."""
    for r in range(len(left)):
        line = weights[r * width : (r + 1) * width]
        total = 0.0
        for j in range(width):
            total += line[j] * right[j]
        left[r] = total


@compiled
def _group_inflow(g, xb, current, wiring, inflow, left_all, right_all):  # type: ignore[no-untyped-def]
    """Set the current [A] that flows into each node of group ``g`` but for its partner's."""
    order, group_start, rows, columns, row_start, column_start = wiring[:6]
    weights, forward_start, backward_start, row_t, row_w, column_t, column_w = wiring[6:13]
    group_couplings, group_sides, group_coupling_start = wiring[13:]
    for k in range(group_start[g], group_start[g + 1]):
        inflow[order[k]] = current[order[k]]
    for q in range(group_coupling_start[g], group_coupling_start[g + 1]):
        c = group_couplings[q]
        r0, r1 = row_start[c], row_start[c + 1]
        c0, c1 = column_start[c], column_start[c + 1]
        width = c1 - c0
        start = forward_start[c] if group_sides[q] == 1 else backward_start[c]
        table = weights[start : start + (r1 - r0) * width]
        left = left_all[: r1 - r0]
        right = right_all[:width]
        if group_sides[q] == 1:
            for r in range(r1 - r0):
                left[r] = row_t[r0 + r] * xb[rows[r0 + r]]
            _columns_inflow(table, left, width, right)
            for j in range(width):
                inflow[columns[c0 + j]] += column_w[c0 + j] * right[j]
        else:
            for j in range(width):
                right[j] = column_t[c0 + j] * xb[columns[c0 + j]]
            _rows_inflow(table, right, width, left)
            for r in range(r1 - r0):
                inflow[rows[r0 + r]] += row_w[r0 + r] * left[r]


@compiled
def _sweep_sample(  # type: ignore[no-untyped-def]
    xb, current, diagonal, low, high, partner, coupling, wiring, junction_start, junctions, fixed, tolerance, most
):
    """Sweep over the groups of one sample; returns the sweeps taken, negative if it has not settled."""
    order, group_start = wiring[:2]
    groups = len(group_start) - 1
    inflow = np.empty(len(xb))
    left = np.empty(max(len(wiring[2]), 1))
    right = np.empty(max(len(wiring[3]), 1))
    before = math.inf  # largest move of the sweep before
    lowest = reached = math.inf  # least of these since the last look, and before it
    for sweep in range(1, most + 1):
        moved = 0.0
        largest = 1.0
        for g in range(groups):
            _group_inflow(g, xb, current, wiring, inflow, left, right)
            for k in range(group_start[g], group_start[g + 1]):
                n = order[k]
                into = inflow[n]
                if partner[n] >= 0:
                    into += coupling[n] * xb[partner[n]]
                first, last = junction_start[n], junction_start[n + 1]
                v, step, _ = solve_node(xb[n], diagonal[n], into, low[n], high[n], first, last, junctions, fixed)
                if tolerance < 0.0 and first < last:  # there is no next sweep to remove what Newton left
                    for _ in range(_INNER):
                        v, more, _ = solve_node(
                            v, diagonal[n], into, low[n], high[n], first, last, junctions, fixed
                        )
                        if not abs(more) > _ROUNDING * max(1.0, abs(v)):
                            break
                xb[n] = v
                if not abs(step) <= moved:  # also catches NaN
                    moved = abs(step)
                if abs(v) > largest:
                    largest = abs(v)
        if not moved < 1e300:
            break
        if tolerance < 0.0:
            if sweep == most:
                return sweep
            continue
        # Small moves alone may be slow ones: with rate = moved/before, moved · rate/(1 − rate) is still to go.
        near = tolerance * largest
        ahead = sweep >= _SETTLING and before <= near and moved * moved <= near * (before - moved)
        if ahead or moved <= _ROUNDING * largest:
            return sweep
        before = moved
        lowest = min(lowest, moved)
        if sweep % _WATCH == 0:
            if not lowest < reached:
                return -sweep  # it runs in a circle
            if lowest > _PROGRESS * reached:
                left_over = math.log(near / lowest) / math.log(lowest / reached) * _WATCH
                if left_over > most - sweep:
                    return -sweep
            reached, lowest = lowest, math.inf
    return -most


@compiled
def block_sweeps(  # type: ignore[no-untyped-def]
    x, current, diagonal, low, high, partner, coupling, wiring, junction_start, junctions, fixed, tolerance, most
):
    """Sweep over the groups until no node moves; ``x`` (B, n) [V] is changed in place.

    Returns the number of sweeps per sample (B,), negative where they did not settle within ``most``, or gave up
    since they run in a circle or too slowly. A negative tolerance asks for exactly ``most``, in which every node
    law is met to rounding; a negative number of sweeps then means that voltages ran away. The arrays are those of
    ``layered._Topology`` and ``layered.LayeredModel``.
    """
    batch = len(x)
    result = np.empty(batch, np.int64)
    for b in range(batch):
        result[b] = _sweep_sample(
            x[b],
            current[b],
            diagonal,
            low[b],
            high[b],
            partner,
            coupling,
            wiring,
            junction_start,
            junctions,
            fixed[b],
            tolerance,
            most,
        )
    return result


@compiled
def kirchhoff(  # type: ignore[no-untyped-def]
    x, current, diagonal, partner, coupling, wiring, junction_start, junctions, fixed
):
    """Return the current [A] by which each node without ideal diodes misses Kirchhoff's law at x, (B, n)."""
    out = np.empty_like(x)
    left = np.empty(max(len(wiring[2]), 1))
    right = np.empty(max(len(wiring[3]), 1))
    for b in range(len(x)):
        for g in range(len(wiring[1]) - 1):
            _group_inflow(g, x[b], current[b], wiring, out[b], left, right)
        for n in range(x.shape[1]):
            into = out[b, n]
            if partner[n] >= 0:
                into += coupling[n] * x[b, partner[n]]
            first, last = junction_start[n], junction_start[n + 1]
            _, _, out[b, n] = solve_node(
                x[b, n], diagonal[n], into, -math.inf, math.inf, first, last, junctions, fixed[b]
            )
    return out
