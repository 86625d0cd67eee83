"""Transposed and forward linear solves at an equilibrium: the adjoint and the linear response."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.solve.answers.singular import undetermined
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.model import Model
from analogep.solve.equations.pieces import sharing
from analogep.solve.equations.stamps import scatter_add
from analogep.solve.equations.system import System
from analogep.solve.linear.systems import linear_solver

Array = NDArray[np.float64]

_BLOCKING = 1e9  # [A]
_ROUNDS = 10  # solves at most that part the currents of ideal diodes
_LONGEST = 60  # steps of a doubled state, the last of them 3^60 times as long as the first
_EXACT = 1e-12  # what the last of them may leave, relative to the right-hand side


def adjoint_voltages(free: Solution, inputs: Array, pull: Array) -> tuple[Array, dict[int, Array]]:
    """Solve Jᵀλ = ∂C/∂v at the free equilibrium.

    Parameters
    ----------
    free
        The free equilibrium.
    inputs
        Its inputs (B, I) [V].
    pull
        ∂C/∂o (B, O).

    Returns
    -------
    lam
        Adjoint of each node's Kirchhoff equation, (B, N); zero at nodes fixed by inputs and sources. NaN
        where J is singular.
    branches
        Adjoints of branch equations (B, E, K) of multi-port banks, by bank index. Ideal diodes that conduct
        side by side, or around a loop, share theirs equally.
    """
    system, entries = _linearise(free, inputs)
    model = system.model
    lam = _solve(model, entries, _project(system, pull, model.t), transpose=True)
    return spread(model, lam)


def spread(model: Model, lam: Array) -> tuple[Array, dict[int, Array]]:
    """Return adjoints (B, n) of the solver's equations as those of nodes and branches; see above."""
    unknown, none = model.plan.unknown, np.zeros((len(lam), len(model.circuit.nodes)))
    nodes = np.where(unknown >= 0, model.w * lam[:, model.gather], 0.0) if model.plan.size else none
    return nodes, model.branch_currents(lam)


def truncated_adjoint(
    free: Solution, inputs: Array, pull: Array, steps: int, step: float, node_capacitance: float
) -> tuple[Array, dict[int, Array]]:
    """Return what backpropagation through the last ``steps`` steps of the relaxation gives for the adjoint.

    At the free equilibrium a step of implicit Euler is v ← v − (C/h + J)⁻¹ F(v). Backwards through K of them λ
    grows from zero by (C/h + J)ᵀ λ_{k+1} = ∂C/∂v + (C/h)ᵀ λ_k, whose limit is the adjoint, Jᵀ λ = ∂C/∂v; a
    mode of time constant τ misses it by the factor (1 + h/τ)^−K.

    Parameters
    ----------
    free, inputs, pull
        As for :func:`adjoint_voltages`.
    steps
        Number of steps K.
    step
        Length h of a step [s].
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own.

    Returns
    -------
    lam, branches
        As for :func:`adjoint_voltages`.
    """
    system, entries = _linearise(free, inputs)
    model = system.model
    shunt = sp.csr_array(model.integrator_capacitance(node_capacitance) / step)
    shared = sharing(model)
    if shared is not None:  # ideal diodes side by side: their currents relax, too
        shunt = sp.csr_array(shunt + shared)
    solver, back = linear_solver(model, shunt), sp.csr_array(shunt.T)
    rhs = _project(system, pull, model.t)
    lam = np.zeros_like(rhs)
    for _ in range(steps):
        lam = solver.solve(entries, rhs + (back @ lam.T).T, transpose=True)
    return spread(model, lam)


def doubled_state(
    free: Solution, inputs: Array, force: Array, tolerance: float
) -> tuple[Array, dict[int, Array], int]:
    """Let the second half d of a doubled circuit settle: C dd/dt = −Jᵀd − ∂/∂x (force · o), from d = 0.

    J is the Jacobian at the free equilibrium, at which the first half m rests. Every node has a capacitor of its
    own conductance times one unit of time. Implicit Euler steps that grow threefold follow d until the current
    into the capacitors is below ``tolerance`` times the largest force.

    Parameters
    ----------
    free, inputs
        The free equilibrium and its inputs (B, I) [V].
    force
        Per output, (B, O) [A].
    tolerance
        Where d counts as settled.

    Returns
    -------
    tuple
        d at the nodes (B, N) and of the branch equations, as for :func:`adjoint_voltages`; number of steps. NaN
        where it does not settle.
    """
    system, entries = _linearise(free, inputs)
    model = system.model
    rhs = -_project(system, force, model.t)
    size = np.abs(rhs).max(axis=1, initial=0.0)
    capacitance = np.zeros(model.plan.size)
    nodes = len(model.plan.nodes)
    largest = float(model.linear_diagonal[:nodes].max(initial=0.0)) or 1e-6
    capacitance[:nodes] = np.maximum(model.linear_diagonal[:nodes], 1e-9 * largest)
    d, left, rate, steps = np.zeros_like(rhs), np.full(len(rhs), np.inf), 1.0, 0
    while steps < _LONGEST and not (left <= tolerance * size).all():
        charge = rate * capacitance
        solver = linear_solver(model, sp.csr_array(sp.diags_array(charge)))
        last, d = d, solver.solve(entries, rhs + charge * d, transpose=True)
        left = np.abs(charge * (d - last)).max(axis=1, initial=0.0)
        rate, steps = rate / 3.0, steps + 1
    d = np.where((left <= tolerance * size)[:, None], d, np.nan)
    return *spread(model, d), steps


def left_open(free: Solution, inputs: Array, sample: int) -> str:
    """Return a sentence that names what J leaves open in a sample, and a remedy; empty if nothing."""
    system, x = _at(free, inputs)
    return undetermined(system.select(np.array([sample])), x[sample])


def linear_response(free: Solution, inputs: Array, pull: Array) -> Array:
    """Return dv/dβ (B, N) [V/S]: how the nodes move under the nudge currents −β ``pull`` at the outputs."""
    system, entries = _linearise(free, inputs)
    model = system.model
    x = _solve(model, entries, -_project(system, pull, model.w))
    out: Array = model.t_free * x[:, model.gather] if model.plan.size else 0.0 * system.known
    return out


def output_impedance(free: Solution, inputs: Array, *, junctions_off: bool) -> Array:
    """Return the small-signal impedance between outputs, (B, O, O) [Ω].

    ``junctions_off`` leaves out the slopes of nonlinear elements (one matrix for all samples): the largest
    impedance a reciprocal circuit can have. Infinite where a node is then held by nothing.
    """
    system, entries = _linearise(free, inputs, junctions_off=junctions_off)
    model = system.model
    count, batch = len(model.circuit.output_pairs), len(entries)
    out = np.zeros((batch, count, count))
    if not model.plan.size:
        return out
    pairs = model.circuit.output_pairs
    for k in range(count):
        pull = np.zeros((batch, count))
        pull[:, k] = 1.0
        x = _solve(model, entries, _project(system, pull, model.w))
        v = model.t_free * x[:, model.gather]
        out[:, :, k] = v[:, pairs[:, 0]] - v[:, pairs[:, 1]]
    return np.where(np.isfinite(out), out, np.inf)


def _solve(model: Model, entries: Array, rhs: Array, *, transpose: bool = False) -> Array:
    """Solve J y = rhs (B, n); NaN where that has no solution, or where it leaves more than currents open.

    Ideal diodes that conduct side by side, or around a loop, leave their currents open and J singular, yet all
    voltages are determined. Proximal point steps, (J + S) y' = rhs + S y with small resistances S, end at the
    solution of J in which equal diodes share their current equally.
    """
    shared = sharing(model)
    if shared is None:
        return linear_solver(model).solve(entries, rhs, transpose=transpose)
    solver, small = linear_solver(model, shared), shared.diagonal()
    size = np.abs(rhs).max(axis=1, initial=0.0)
    y, missed = np.zeros_like(rhs), np.full(len(rhs), np.inf)
    for _ in range(_ROUNDS):
        last, y = y, solver.solve(entries, rhs + small * y, transpose=transpose)
        missed = np.abs(small * (y - last)).max(axis=1, initial=0.0)
        if not (missed > _EXACT * size).any():
            break
    return np.where((missed <= _EXACT * size)[:, None], y, np.nan)


def own_conductance(free: Solution, inputs: Array) -> float:
    """Return the least conductance [S] of an output node while all others are held, junctions left out.

    Infinite if sources fix all outputs.
    """
    system, entries = _linearise(free, inputs, junctions_off=True)
    model, slots = system.model, system.model.slots
    own = model.linear_matrix.diagonal().copy()
    on = np.flatnonzero(slots.rows == slots.columns)
    own[slots.rows[on]] += entries[0, on]
    outputs = model.plan.unknown[model.circuit.output_pairs.ravel()]
    return float(own[outputs[outputs >= 0]].min(initial=np.inf))


def dark_conductances(free: Solution, inputs: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the solved nodes and the conductances (n, n) [S] between them, junctions left out."""
    system, entries = _linearise(free, inputs, junctions_off=True)
    model, slots = system.model, system.model.slots
    dense = sp.csr_array(model.linear_matrix).toarray()
    np.add.at(dense, (slots.rows, slots.columns), entries[0])
    count = len(model.plan.nodes)
    return model.plan.nodes, dense[:count, :count]


def _at(free: Solution, inputs: Array) -> tuple[System, Array]:
    """Return the system of the first ``len(inputs)`` samples and its unknowns there."""
    system = System(free.circuit, inputs)
    batch = len(inputs)
    return system, system.model.unknowns(free.voltages[:batch], {b: i[:batch] for b, i in free.branches.items()})


def _linearise(free: Solution, inputs: Array, *, junctions_off: bool = False) -> tuple[System, Array]:
    system, x = _at(free, inputs[:1] if junctions_off else inputs)
    model = system.model
    if junctions_off:  # branch currents far below zero: no ideal diode conducts, whatever its voltage
        x[:, len(model.plan.nodes) :] = -_BLOCKING
    slopes = system.evaluate(x).slopes
    if junctions_off:
        slopes[:, : len(model.junction_pins)] = model.least_slopes
    return system, model.slots.values(slopes)


def _project(system: System, pull: Array, factor: Array) -> Array:
    """Return the right-hand side (B, n) of a unit of ``pull`` at each output."""
    model = system.model
    rhs = np.zeros((len(pull), model.plan.size))
    pairs = model.circuit.output_pairs
    for pin, sign in ((0, 1.0), (1, -1.0)):
        unknown = model.plan.unknown[pairs[:, pin]]
        keep = unknown >= 0
        scatter_add(rhs, unknown[keep], (sign * factor[pairs[:, pin]] * pull)[:, keep])
    return rhs
