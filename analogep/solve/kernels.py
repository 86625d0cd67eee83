"""Compiled kernels of the layered engine (numba, cached on disk after the first use)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from analogep.solve.compiled import SUMS, compiled

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_INNER = 60  # Newton steps of one scalar equation
_MAX_EXPONENT = 600.0
_SETTLING = 4  # sweeps whose rate tells of the fast modes only
_ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


@compiled
def _junction(w, saturation, nvt, gmin):  # type: ignore[no-untyped-def]
    """Return current and slope of a bare junction; the same law as ``devices.diode``."""
    x = w / nvt
    if x < -3.0:
        cube = (3.0 / (math.e * x)) ** 3
        return -saturation * (1.0 + cube) + gmin * w, 3.0 * saturation * cube / w + gmin
    if x > _MAX_EXPONENT:
        g = saturation * math.exp(_MAX_EXPONENT) / nvt
        return saturation * math.expm1(_MAX_EXPONENT) + g * nvt * (x - _MAX_EXPONENT), g
    grown = math.exp(x)
    less_one = math.expm1(x) if abs(x) < 0.5 else grown - 1.0
    return saturation * less_one + gmin * w, saturation * grown / nvt + gmin


@compiled
def _diode(v, saturation, nvt, gmin, resistance):  # type: ignore[no-untyped-def]
    """Return current and slope of a diode with series resistance at its terminals."""
    if resistance == 0.0:
        return _junction(v, saturation, nvt, gmin)
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
def solve_node(v, conductance, current, low, high, start, stop, junctions, fixed):  # type: ignore[no-untyped-def]
    """Solve one node: G v + Σ diodes = I within [low, high].

    Returns v, the step that the first Newton iteration asked for, and the residual [A] before it. Newton
    stops early: what it leaves is within its quadratic reach in the next sweep.
    """
    if start == stop:
        new = min(max(current / conductance, low), high)
        return new, new - v, (v - new) * conductance
    first = 0.0
    lack = 0.0
    origin = v
    for iteration in range(_INNER):
        f = conductance * v - current
        slope = conductance
        for d in range(start, stop):
            sign, t, w = junctions[d, 0], junctions[d, 1], junctions[d, 2]
            i, g = _diode(
                sign * (t * v - fixed[d]), junctions[d, 3], junctions[d, 4], junctions[d, 5], junctions[d, 6]
            )
            f += w * sign * i
            slope += w * t * g
        step = -f / slope
        narrow = math.inf
        for d in range(start, stop):
            sign, t, nvt, critical = junctions[d, 0], junctions[d, 1], junctions[d, 4], junctions[d, 7]
            narrow = min(narrow, nvt)
            u = sign * (t * v - fixed[d])
            du = sign * t * step
            if u + du > critical and abs(du) > 2.0 * nvt:  # logarithmic step, as in devices.diode
                if u > 0.0:
                    ratio = 1.0 + du / nvt
                    u_new = u + nvt * math.log(ratio) if ratio > 0.0 else critical
                else:
                    u_new = nvt * math.log(max((u + du) / nvt, math.e))
                limited = (u_new - u) / (sign * t)
                if abs(limited) < abs(step):
                    step = limited
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
def _sweep_sample(  # type: ignore[no-untyped-def]
    xb,
    current,
    diagonal,
    low,
    high,
    partner,
    coupling,
    order,
    group_start,
    rows,
    columns,
    row_start,
    column_start,
    weights,
    weight_start,
    row_t,
    row_w,
    column_t,
    column_w,
    group_couplings,
    group_sides,
    group_coupling_start,
    junction_start,
    junctions,
    fixed,
    tolerance,
    max_sweeps,
):
    """Sweep over the groups of one sample; returns (sweeps, largest residual before the last)."""
    groups = len(group_start) - 1
    inflow = np.empty(len(xb))
    left_all = np.empty(max(len(rows), 1))
    right_all = np.empty(max(len(columns), 1))
    done = -max_sweeps
    lack = 0.0
    before = math.inf  # largest move of the sweep before
    for sweep in range(1, max_sweeps + 1):
        moved = 0.0
        largest = 1.0
        lack = 0.0
        for g in range(groups):
            begin, end = group_start[g], group_start[g + 1]
            for k in range(begin, end):
                inflow[order[k]] = current[order[k]]
            for q in range(group_coupling_start[g], group_coupling_start[g + 1]):
                c = group_couplings[q]
                r0, r1 = row_start[c], row_start[c + 1]
                c0, c1 = column_start[c], column_start[c + 1]
                width = c1 - c0
                table = weights[weight_start[c] : weight_start[c + 1]]
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
            for k in range(begin, end):
                n = order[k]
                into = inflow[n]
                if partner[n] >= 0:
                    into += coupling[n] * xb[partner[n]]
                v, step, f = solve_node(
                    xb[n],
                    diagonal[n],
                    into,
                    low[n],
                    high[n],
                    junction_start[n],
                    junction_start[n + 1],
                    junctions,
                    fixed,
                )
                xb[n] = v
                lack = max(lack, abs(f))
                if not abs(step) <= moved:  # also catches NaN
                    moved = abs(step)
                if abs(v) > largest:
                    largest = abs(v)
        # Small moves alone may be slow ones: with rate = moved/before, moved · rate/(1 − rate) is still to go.
        near = tolerance * largest
        ahead = sweep >= _SETTLING and before <= near and moved * moved <= near * (before - moved)
        if ahead or moved <= _ROUNDING * largest:
            done = sweep
            break
        if not moved < 1e300:
            break
        before = moved
    return done, lack


@compiled
def block_sweeps(  # type: ignore[no-untyped-def]
    x,
    current,
    diagonal,
    low,
    high,
    partner,
    coupling,
    order,
    group_start,
    rows,
    columns,
    row_start,
    column_start,
    weights,
    weight_start,
    row_t,
    row_w,
    column_t,
    column_w,
    group_couplings,
    group_sides,
    group_coupling_start,
    junction_start,
    junctions,
    fixed,
    tolerance,
    max_sweeps,
):
    """Sweep over the groups until no node moves; ``x`` (B, n) [V] is changed in place.

    Returns the number of sweeps per
    sample (B,), negative where ``max_sweeps`` was reached, and the largest
    residual (B,) [A] that the last sweep found before it removed it. The arrays are those of
    ``layered._Topology`` and ``layered.LayeredModel``.
    """
    batch = len(x)
    result = np.empty(batch, np.int64)
    residual = np.empty(batch)
    for b in range(batch):
        result[b], residual[b] = _sweep_sample(
            x[b],
            current[b],
            diagonal,
            low[b],
            high[b],
            partner,
            coupling,
            order,
            group_start,
            rows,
            columns,
            row_start,
            column_start,
            weights,
            weight_start,
            row_t,
            row_w,
            column_t,
            column_w,
            group_couplings,
            group_sides,
            group_coupling_start,
            junction_start,
            junctions,
            fixed[b],
            tolerance,
            max_sweeps,
        )
    return result, residual
