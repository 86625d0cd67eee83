"""Layered engine: groups of nodes joined by crossbars, solved by exact block steps.

Nodes of one group touch only other groups, so given the rest each solves a scalar equation of its own (its
*node law*): conductance times voltage, minus what flows in, plus its diodes and sinh resistors to fixed nodes.
Groups take turns until Kirchhoff's law holds everywhere (Scellier 2024, section 4, with a test of convergence
instead of a fixed number of sweeps, unless one is asked for). Amplifiers and sources are eliminated before, as
for every engine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit, Crossbar, TransconductanceCrossbar
from analogep.devices import Constraint, Diode, IdealDiode, Resistor, SinhResistor, TanhNeuron
from analogep.devices.semiconductors.diode import junction_width
from analogep.errors import ConvergenceError
from analogep.solve.answers.outcome import failure_message, finish
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.model import Model
from analogep.solve.equations.plan import Plan
from analogep.solve.equations.stamps import scatter_add
from analogep.solve.equations.system import System
from analogep.solve.layered.groups import LayeredPlan
from analogep.solve.newton.newton import NewtonOptions, NewtonResult, residual_bound
from analogep.solve.newton.plausible import implausible
from analogep.solve.newton.strategies import Attempt, robust_newton
from analogep.solve.nudge import Nudge
from analogep.solve.stable_points.leaving import settled

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MAX_SWEEPS = 2000
"""Sweeps after which the engine hands a sample over to Newton's method."""


@dataclass(frozen=True)
class _Topology:
    """Flat integer arrays that the kernels read; depends on topology alone."""

    order: Index  # unknowns, group after group
    group_start: Index  # (groups + 1,) into order
    rows: Index  # row unknowns of all couplings, one after another
    columns: Index
    row_start: Index  # (couplings + 1,)
    column_start: Index
    group_couplings: Index  # couplings of each group, one group after another
    group_sides: Index  # 0: the group holds its rows, 1: its columns
    group_coupling_start: Index  # (groups + 1,)
    junction_start: Index  # (n + 1,) into the nonlinear elements, by unknown


def _kernel_topology(circuit: Circuit, plan: Plan, layered: LayeredPlan, junctions: Index) -> _Topology:
    member = np.zeros(len(plan.nodes), np.int64)
    for g, unknowns in enumerate(layered.groups):
        member[unknowns] = g
    rows, columns = [], []
    by_group: list[list[tuple[int, int]]] = [[] for _ in layered.groups]
    for k, index in enumerate(layered.couplings):
        c = circuit.couplings[index]
        r, col = plan.unknown[c.rows], plan.unknown[c.columns]
        rows.append(r[r >= 0])
        columns.append(col[col >= 0])
        if isinstance(c, Crossbar) or c.backward is not None:
            by_group[member[rows[-1][0]]].append((k, 0))
        by_group[member[columns[-1][0]]].append((k, 1))
    flat = [pair for group in by_group for pair in group]
    empty = np.zeros(0, np.int64)
    return _Topology(
        np.concatenate(layered.groups),
        _starts(layered.groups),
        np.concatenate([empty, *rows]),
        np.concatenate([empty, *columns]),
        _starts(rows),
        _starts(columns),
        np.array([k for k, _ in flat], np.int64),
        np.array([s for _, s in flat], np.int64),
        _starts(by_group),
        np.searchsorted(junctions, np.arange(len(plan.nodes) + 1)).astype(np.int64),
    )


def _starts(parts: object) -> Index:
    return np.cumsum([0, *(len(p) for p in parts)]).astype(np.int64)  # type: ignore[attr-defined]


class LayeredModel:
    """Values of a layered circuit in the kernels' layout; kept with the circuit."""

    def __init__(self, circuit: Circuit, layered: LayeredPlan, model: Model) -> None:
        self.model = model
        plan = model.plan
        self.diagonal = _diagonal(model)
        bent = (Constraint, Diode, IdealDiode, SinhResistor, TanhNeuron)
        laws = [b for b in circuit.banks if issubclass(b.device, bent)]
        self.junction_nodes, self.junction_own, self.junctions, unknowns = circuit.reuse(
            "junction_table", laws, lambda: _junction_table(circuit, model)
        )
        derived = circuit.topology.derived
        if "layered_kernel" not in derived:
            derived["layered_kernel"] = _kernel_topology(circuit, plan, layered, unknowns)
        self.topology: _Topology = derived["layered_kernel"]
        weights: list[Array] = []
        factors, forth, back = [], [], []
        for k in layered.couplings:
            c = circuit.couplings[k]
            r, col = plan.unknown[c.rows] >= 0, plan.unknown[c.columns] >= 0
            tables = [c.conductance] if isinstance(c, Crossbar) else [c.forward]
            if isinstance(c, TransconductanceCrossbar) and c.backward is not None and not c.symmetric:
                tables.append(c.backward)
            forth.append(len(weights))
            back.append(len(weights) + len(tables) - 1)
            for table in tables:
                part = table if r.all() else table[r]
                part = part if col.all() else part[:, col]
                weights.append(np.ascontiguousarray(part).ravel())
            factors.append((c.rows[r], c.columns[col]))
        empty = np.zeros(0)
        none = np.zeros(0, np.int64)
        self.weights = weights[0] if len(weights) == 1 else np.concatenate([empty, *weights])
        starts = _starts(weights)
        self.weight_starts = starts[forth], starts[back]
        row_nodes = np.concatenate([none, *(r for r, _ in factors)])
        column_nodes = np.concatenate([none, *(c for _, c in factors)])
        self.scales = (model.t[row_nodes], model.w[row_nodes], model.t[column_nodes], model.w[column_nodes])
        self.clamps = circuit.reuse("clamps", laws, lambda: _clamps(circuit, model))


def layered_model(circuit: Circuit, layered: LayeredPlan, model: Model) -> LayeredModel:
    """Return the layered model of ``circuit``, computed once for its values."""
    if "layered_model" not in circuit.derived:
        circuit.derived["layered_model"] = LayeredModel(circuit, layered, model)
    found: LayeredModel = circuit.derived["layered_model"]
    return found


def _diagonal(model: Model) -> Array:
    """Return the linear conductance that each unknown sees, (n,) [S]."""
    circuit, plan = model.circuit, model.plan
    g = np.zeros(len(circuit.nodes))
    for c in circuit.crossbars:
        g[c.rows] += c.conductance.sum(axis=1)
        g[c.columns] += c.conductance.sum(axis=0)
    for bank in circuit.banks:
        if issubclass(bank.device, Resistor):
            np.add.at(g, bank.pins[:, 0], bank.values["conductance"])
            np.add.at(g, bank.pins[:, 1], bank.values["conductance"])
    out = np.zeros(len(plan.nodes))
    free = plan.unknown >= 0
    np.add.at(out, plan.unknown[free], (model.w * model.t * g)[free])
    return out


def _junction_table(circuit: Circuit, model: Model) -> tuple[Index, Index, Array, Index]:
    """Return (fixed node, free node, law, unknown) of all nonlinear one-ports, sorted by unknown.

    The law has the columns polarity (+1: first pin at the unknown), t, w, then Is, nV_T, gmin, Rs and 0 of a
    diode; or g, v0, two unused and 1 of a sinh resistor; or g, its bend, the saturation voltage, one unused and 2
    of a neuron.
    """
    none = np.zeros(0, np.int64)
    rows, nodes, own, unknowns = [np.zeros((0, 8))], [none], [none], [none]
    for bank in circuit.banks:
        u, p, zero = model.plan.unknown[bank.pins], bank.values, np.zeros(bank.size)
        if issubclass(bank.device, Diode):
            own_law = (p["saturation_current"], junction_width(p), p["gmin"], p["series_resistance"], zero)
        elif issubclass(bank.device, SinhResistor):
            own_law = (p["conductance"], p["v0"], zero, zero, zero + 1.0)
        elif issubclass(bank.device, TanhNeuron):
            limit = p["saturation_voltage"]
            own_law = (p["conductance"], 0.1 * limit, limit, zero, zero + 2.0)
        else:
            continue
        for pin, polarity in ((0, 1.0), (1, -1.0)):
            here = u[:, pin] >= 0
            at = bank.pins[here, pin]
            law = [np.full(len(at), polarity), model.t[at], model.w[at], *(column[here] for column in own_law)]
            rows.append(np.stack(law, axis=1))
            nodes.append(bank.pins[here, 1 - pin])
            own.append(at)
            unknowns.append(u[here, pin])
    order = np.argsort(np.concatenate(unknowns), kind="stable")
    first, second, third = (np.concatenate(part)[order] for part in (nodes, own, unknowns))
    return first, second, np.concatenate(rows)[order], third


@dataclass(frozen=True)
class _Clamps:
    """Ideal diodes: bank, element, unknown, pin that is free, its node and the fixed node."""

    bank: Index
    element: Index
    unknown: Index
    sign: Array  # +1: the anode is free, an upper bound
    node: Index
    other: Index
    threshold: Array


def _clamps(circuit: Circuit, model: Model) -> _Clamps:
    parts: list[tuple[NDArray[Any], ...]] = []
    for b, bank in enumerate(circuit.banks):
        if not issubclass(bank.device, IdealDiode):
            continue
        u = model.plan.unknown[bank.pins]
        for pin, sign in ((0, 1.0), (1, -1.0)):
            e = np.flatnonzero(u[:, pin] >= 0)
            parts.append(
                (
                    np.full(len(e), b),
                    e,
                    u[e, pin],
                    np.full(len(e), sign),
                    bank.pins[e, pin],
                    bank.pins[e, 1 - pin],
                    bank.values["threshold"][e],
                )
            )
    if not parts:
        none = np.zeros(0, np.int64)
        return _Clamps(none, none, none, np.zeros(0), none, none, np.zeros(0))
    b_, e_, u_, s_, n_, o_, t_ = (np.concatenate(column) for column in zip(*parts, strict=True))
    as_index = [a.astype(np.int64) for a in (b_, e_, u_, n_, o_)]
    return _Clamps(as_index[0], as_index[1], as_index[2], s_, as_index[3], as_index[4], t_)


def node_bounds(lm: LayeredModel, known: Array, size: int) -> tuple[Array, Array]:
    """Return the lower and upper bounds (B, n) [V] that ideal diodes set."""
    k, t = lm.clamps, lm.model.t
    batch = len(known) if len(k.unknown) else 1
    low, high = np.full((batch, size), -np.inf), np.full((batch, size), np.inf)
    if not len(k.unknown):
        shape = (len(known), size)
        return np.broadcast_to(low, shape), np.broadcast_to(high, shape)
    # sign · (t x + c − v_other) ≤ threshold
    edge = (known[:, k.other] - lm.model.c[k.node] + k.sign * k.threshold) / t[k.node]
    upper = k.sign * t[k.node] > 0
    np.minimum.at(high, (slice(None), k.unknown[upper]), edge[:, upper])  # type: ignore[arg-type]
    np.maximum.at(low, (slice(None), k.unknown[~upper]), edge[:, ~upper])  # type: ignore[arg-type]
    return low, high


def _nudge_terms(model: Model, nudge: Nudge | None, known: Array) -> tuple[Array, Array | float, Index, Array]:
    """Return the nudge as (conductance (n,), current into nodes (B, n), partner (n,), coupling (n,))."""
    size, batch = len(model.plan.nodes), len(known)
    conductance, current = np.zeros(size), np.zeros((batch, size))
    partner, coupling = np.full(size, -1, np.int64), np.zeros(size)
    if nudge is None:
        return conductance, 0.0, partner, coupling
    pairs = model.circuit.output_pairs
    i, slope = nudge.evaluate(np.zeros((batch, len(pairs))))
    for pin, sign in ((0, 1.0), (1, -1.0)):
        free = np.flatnonzero(model.plan.unknown[pairs[:, pin]] >= 0)
        node, other = pairs[free, pin], pairs[free, 1 - pin]
        u, w = model.plan.unknown[node], model.w[node]
        # i = slope (v₊ − v₋) + i(0): what inputs and sources fix of both voltages joins the current
        into = -w * (sign * i[:, free] + slope[:, free] * (known[:, node] - known[:, other]))
        scatter_add(current, u, into)
        np.add.at(conductance, u, w * slope[0, free] * model.t[node])
        both = model.plan.unknown[other] >= 0
        partner[u[both]] = model.plan.unknown[other[both]]
        coupling[u[both]] = (w * slope[0, free] * model.t[other])[both]
    return conductance, current, partner, coupling


def solve_layered(
    layered: LayeredPlan,
    circuit: Circuit,
    inputs: Array,
    nudge: Nudge | None,
    v0: Array | None,
    options: NewtonOptions,
    started: float,
    fixed_sweeps: int = 0,
) -> Solution:
    """Solve by block steps; samples that stall go to Newton's method.

    With ``fixed_sweeps`` each sample gets exactly that many, and counts as converged where Kirchhoff's law is
    met as Newton's method asks.

    Raises
    ------
    ConvergenceError
        If a sample has no solution that was found, or runs away within the fixed number of sweeps.
    """
    from analogep.solve.layered.kernels import block_sweeps, kirchhoff  # numba takes half a second to load

    system = System(circuit, inputs, nudge)
    model, plan = system.model, system.model.plan
    lm = layered_model(circuit, layered, model)
    size, batch = len(plan.nodes), len(inputs)
    conductance, current, partner, coupling = _nudge_terms(model, nudge, system.known)
    current = current - system.offset[:, :size]
    held = lm.diagonal + conductance
    low, high = node_bounds(lm, system.known, size)
    x = np.zeros((batch, size)) if v0 is None else np.ascontiguousarray(v0[:, plan.nodes])
    np.clip(x, low, high, out=x)
    start = x.copy() if v0 is not None and circuit.transconductances else None
    # A block step presumes that a node's bounds leave room and that its conductance is positive.
    hopeless = (low > high).any(axis=1) | (held < 0.0).any()
    fixed = np.ascontiguousarray(system.known[:, lm.junction_nodes])
    # polarity · (t x + c − v_fixed): fold the node's own constant into the fixed side
    t = lm.topology
    fixed -= model.c[lm.junction_own]
    wiring = (
        *(t.order, t.group_start, t.rows, t.columns, t.row_start, t.column_start),
        *(lm.weights, *lm.weight_starts, *lm.scales),
        *(t.group_couplings, t.group_sides, t.group_coupling_start),
    )
    elements = (t.junction_start, lm.junctions, fixed)
    tolerance, most = (-1.0, fixed_sweeps) if fixed_sweeps else (options.residual_tolerance, MAX_SWEEPS)
    sweeps = block_sweeps(x, current, held, low, high, partner, coupling, wiring, *elements, tolerance, most)
    sweeps[hopeless] = -np.abs(sweeps[hopeless])
    stalled = np.flatnonzero(sweeps < 0)
    if fixed_sweeps and len(stalled):
        raise ConvergenceError(
            f"{fixed_sweeps} block steps lead nowhere in {len(stalled)} of {batch} samples (first: sample "
            f"{stalled[0]}): ideal diodes contradict each other, or a nudge repels more than the circuit holds; "
            "use sweeps = 0"
        )
    full = np.zeros((batch, plan.size))
    full[:, :size] = np.where(np.isfinite(x), x, 0.0)
    if len(lm.clamps.unknown):
        rows = _recover_branches(lm, system, full)[:, :size]
    else:
        rows = kirchhoff(full[:, :size], current, held, partner, coupling, wiring, *elements)
    engine = "layered"
    trace: tuple[Attempt, ...] = ()
    if len(stalled):
        if start is not None:  # steps that cycle leave an operating point where there may be several
            full[stalled, :size] = start[stalled]
        again, further = robust_newton(system.select(stalled), full[stalled], options)
        blocks = Attempt("block steps", batch, batch - len(stalled), int(np.abs(sweeps).max()))
        trace = (
            blocks,
            *(further or (Attempt("newton", len(stalled), len(stalled), int(again.iterations.max())),)),
        )
        if not again.converged.all():
            raise failure_message(circuit, system.select(stalled), again, trace)
        full[stalled] = again.x
        rows[stalled] = again.residual[:, :size]
        engine = "layered+newton"
    absurd = sorted({sample for sample, _, _ in implausible(system, full)})
    if absurd:
        reached = NewtonResult(full, np.ones(batch, dtype=bool), _padded(rows, plan.size), np.abs(sweeps))
        reached.converged[absurd] = False
        blocks = Attempt("block steps", batch, batch - len(absurd), int(np.abs(sweeps).max()))
        raise failure_message(circuit, system, reached, trace or (blocks,))
    stable = None
    if not fixed_sweeps and model.dense and circuit.transconductances:
        reached = NewtonResult(full, np.ones(batch, dtype=bool), _padded(rows, plan.size), np.abs(sweeps))
        reached, led, stable = settled(system, reached, options)
        full, rows, trace = reached.x, reached.residual[:, :size], (*trace, *led)
    found = finish(system, full, rows, np.abs(sweeps), engine, started, trace, stable)
    if not fixed_sweeps:
        return found
    ev = system.evaluate(full)
    bound = residual_bound(model, full, ev, model.slots.values(ev.slopes), options)
    return replace(found, converged=np.all(np.abs(ev.residual) <= bound, axis=1))


def _padded(rows: Array, size: int) -> Array:
    """Return residuals (B, n) of nodes with zeros for the branch equations, which the engine meets exactly."""
    return np.pad(rows, ((0, 0), (0, size - rows.shape[1])))


def _recover_branches(lm: LayeredModel, system: System, x: Array) -> Array:
    """Fill in the currents of ideal diodes from Kirchhoff's law at their nodes, in place.

    Returns what is left of Kirchhoff's law, (B, n) [A] at the nodes.
    """
    k, model = lm.clamps, lm.model
    v = system.voltages(x)
    lacking = system.evaluate(x).residual  # branch currents are still zero
    slack = np.abs(k.sign * (v[:, k.node] - v[:, k.other]) - k.threshold)
    for i in range(len(k.unknown)):
        bank = model.circuit.banks[k.bank[i]]
        column = model.plan.branch_start[int(k.bank[i])] + k.element[i] * bank.device.branches
        need = -k.sign[i] * lacking[:, k.unknown[i]] / model.w[k.node[i]]
        j = np.where(slack[:, i] <= 1e-9, np.maximum(need, 0.0), 0.0)
        x[:, column] = j
        lacking[:, k.unknown[i]] += k.sign[i] * model.w[k.node[i]] * j
    return lacking
