"""Whether the leaky integrator stays at an operating point.

Near it C dv/dt = −J v, C being the circuit's own capacitances and inductances, and a small equal capacitance at
every other node. The point is stable where no mode grows. A circuit of passive elements has no other points;
elsewhere cheap certificates come first (Gershgorin's circles, a Cholesky factorisation of the symmetric part), and
only what they leave open takes the spectrum of the pencil (J, C), from which ideal sources and amplifiers,
unknowns without memory, have been eliminated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.solve import checks
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.model import Model
from analogep.solve.equations.scaling import energy_scale
from analogep.solve.equations.system import System

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Index = NDArray[np.int64]

NODE_CAPACITANCE = 1e-12
"""Capacitance [F] of the leaky integrator at nodes without a capacitor of their own."""

LARGEST = 1200
"""Unknowns up to which a spectrum is taken; of larger circuits only the certificates are tried."""

_ROUNDING = 1e-11
"""Rate, relative to the fastest, that is not told from zero."""

_NO_MASS = 3e-14
"""Storage, relative to the largest, that rounding may have left where there is none."""

_ENTRIES = 1 << 22  # of the Jacobians held at a time


@dataclass(frozen=True)
class Modes:
    """The fastest growing mode of each sample.

    Attributes
    ----------
    rates
        Real parts of its eigenvalue, (B,) [1/s]: positive where the point is unstable, −inf without any mode; at
        most zero, and no more exact, where a certificate told that nothing grows.
    turns
        Imaginary parts, (B,) [1/s].
    shapes
        Unknowns (B, n) along it, the largest voltage being 1; zero where a certificate told.
    known
        Whether the sample was judged at all, (B,).
    """

    rates: Array
    turns: Array
    shapes: Array
    known: Flags

    @property
    def unstable(self) -> Flags:
        """Samples (B,) that the leaky integrator leaves."""
        return self.rates > 0.0


def monotone(circuit: Circuit) -> bool:
    """Return whether the devices alone say that the circuit has one operating point, and a stable one."""
    kept: bool | None = circuit.derived.get("monotone")
    if kept is None:
        kept = not circuit.transconductances and all(b.device.passive for b in circuit.banks)
        amplifiers = [b for b in circuit.constraint_banks if not b.device.reversible]  # type: ignore[attr-defined]
        if kept and amplifiers:
            scale = energy_scale(circuit)
            kept = scale.culprit is None and not (scale.nodes < 0.0).any()
        circuit.derived["monotone"] = kept
    return kept


@checked()
def stability(solution: Solution, node_capacitance: float = NODE_CAPACITANCE) -> Array:
    """Return the rate at which the fastest deviation from each operating point grows.

    Parameters
    ----------
    solution
        Operating points, with their inputs and nudge.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own.

    Returns
    -------
    numpy.ndarray
        Largest real parts of the modes, (B,) [1/s]: positive where the leaky integrator leaves the point, −inf
        where sources fix everything. Rates below rounding count as zero.

    Raises
    ------
    InputError
        If the capacitance is no positive number.
    """
    if not checks.positive(node_capacitance):
        raise InputError(f"node_capacitance = {node_capacitance!r}; give positive farads, such as 1e-12")
    circuit = solution.circuit
    system = System(circuit, solution.voltages[:, circuit.input_nodes], solution.nudge)
    system.held = {b: dict(held) for b, held in solution.states.items()}
    x = system.model.unknowns(solution.voltages, solution.branches)
    return fastest(system, x, node_capacitance, certificates=False).rates


def fastest(
    system: System, x: Array, node_capacitance: float = NODE_CAPACITANCE, *, certificates: bool = True
) -> Modes:
    """Return the fastest growing mode of each sample at unknowns x (B, n).

    Parameters
    ----------
    system
        The batch.
    x
        Its operating points.
    node_capacitance
        See :func:`stability`.
    certificates
        Whether a proof that nothing grows will do in the place of a rate.
    """
    model, (batch, size) = system.model, x.shape
    found = Modes(np.full(batch, -np.inf), np.zeros(batch), np.zeros_like(x), np.ones(batch, dtype=bool))
    if not size:
        return found
    storage = model.integrator_capacitance(node_capacitance)
    chunk = max(1, _ENTRIES // size**2)
    for start in range(0, batch, chunk):
        rows = np.arange(start, min(batch, start + chunk))
        part = system.select(rows)
        entries = model.slots.values(part.evaluate(x[rows]).slopes)
        if certificates and not model.dense and _definite(model, entries):
            found.rates[rows] = 0.0
            continue
        if size > LARGEST:
            found.known[rows] = False
            continue
        jacobians = _dense(model, entries)
        left = np.arange(len(rows))
        if certificates:
            sure = _certified(jacobians, storage)
            found.rates[rows[sure]] = 0.0
            left = np.flatnonzero(~sure)
        if len(left):
            rates, turns, shapes = _spectrum(jacobians[left], storage.toarray())
            found.rates[rows[left]], found.turns[rows[left]] = rates, turns
            found.shapes[rows[left]] = shapes
    return found


def _dense(model: Model, entries: Array) -> Array:
    """Return the Jacobians (B, n, n)."""
    linear = model.linear_matrix
    base = linear if isinstance(linear, np.ndarray) else linear.toarray()
    out = np.repeat(base[None], len(entries), axis=0)
    out[:, model.slots.rows, model.slots.columns] += entries
    return out


def _definite(model: Model, entries: Array) -> bool:
    """Return whether all Jacobians of a large circuit are symmetric and positive definite."""
    from analogep.solve.linear.systems import SparseSolver, linear_solver

    solver = linear_solver(model)
    return isinstance(solver, SparseSolver) and solver.definite(entries)


def _certified(jacobians: Array, storage: sp.csr_array) -> Flags:
    """Return the samples (B,) for which Gershgorin's circles or the symmetric part tell that nothing grows.

    With a diagonal C of one sign in each row both hold whatever its values are: C⁻¹J has its circles where J has
    them, and −xᵀJx is the rate of xᵀCx.
    """
    none = np.zeros(len(jacobians), dtype=bool)
    kept = storage.diagonal()
    if storage.count_nonzero() > np.count_nonzero(kept) or not kept.all():
        return none
    turned = jacobians if (kept > 0.0).all() else np.sign(kept)[:, None] * jacobians
    own = np.diagonal(turned, axis1=1, axis2=2)
    sure: Flags = np.asarray((own >= 0.0).all(axis=1))
    if not sure.any():
        return sure
    size = np.abs(turned)
    least = (2.0 + 1e-12) * own
    circles = (size.sum(axis=2) <= least).all(axis=1) | (size.sum(axis=1) <= least).all(axis=1)
    rest = np.flatnonzero(sure & ~circles & (own > 0.0).all(axis=1))
    sure &= circles
    if len(rest):
        root = 1.0 / np.sqrt(own[rest])
        scaled = (turned[rest] + turned[rest].swapaxes(1, 2)) * (0.5 * root[:, :, None] * root[:, None, :])
        sure[rest] = _positive(scaled)
    return sure


def _positive(matrices: Array) -> Flags:
    """Return which symmetric matrices (B, n, n) of unit diagonal are positive definite."""
    if not np.isfinite(matrices).all():
        return np.zeros(len(matrices), dtype=bool)
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        lowest: Flags = np.linalg.eigvalsh(matrices)[:, 0] > 0.0
        return lowest
    return np.ones(len(matrices), dtype=bool)


# --- the spectrum ------------------------------------------------------------------------------------------


def _spectrum(jacobians: Array, storage: Array) -> tuple[Array, Array, Array]:
    """Return rates, turns (B,) [1/s] and shapes (B, n) of the fastest growing modes of C dx/dt = −J x."""
    batch, size = jacobians.shape[:2]
    rates, turns, shapes = np.full(batch, -np.inf), np.zeros(batch), np.zeros((batch, size))
    sound = np.isfinite(jacobians).all(axis=(1, 2))
    rates[~sound] = 0.0
    turned, back, masses = _memory(jacobians, storage)
    states = len(masses)
    if not states:
        return rates, turns, shapes
    instant = size - states
    ranks = _ranks(turned[:, states:, states:]) if instant else np.zeros(batch, dtype=np.int64)
    for rank in np.unique(ranks[sound]):
        rows = np.flatnonzero(sound & (ranks == rank))
        k, m, right = _reduced(turned[rows], masses, int(rank))
        if not k.shape[1]:
            continue
        for at, (row, (values, vectors)) in enumerate(zip(rows, _eigen(k, m, float(masses.max())), strict=True)):
            if not len(values):
                continue
            worst = int(np.argmax(values.real))
            fast = float(np.abs(values).max())
            if abs(values[worst].real) > _ROUNDING * fast:
                rates[row], turns[row] = values[worst].real, values[worst].imag
            else:
                rates[row] = 0.0
            shape = np.zeros(size)
            shape[:states] = (right[at] @ vectors[:, worst]).real
            shape = back @ shape
            most = shape[np.argmax(np.abs(shape))]
            shapes[row] = shape / most if most else shape
    return rates, turns, shapes


def _memory(jacobians: Array, storage: Array) -> tuple[Array, Array, Array]:
    """Return the Jacobians with unknowns that have memory first, how to turn back, and their storage.

    Where C is not diagonal, its singular vectors take the place of single unknowns.
    """
    kept = np.diagonal(storage)
    if np.count_nonzero(storage) == np.count_nonzero(kept):
        order = np.argsort(kept == 0.0, kind="stable")
        back = np.eye(len(storage))[:, order]
        return jacobians[:, order][:, :, order], back, kept[order][: np.count_nonzero(kept)]
    u, s, vt = np.linalg.svd(storage)
    rank = int(np.count_nonzero(s > len(s) * np.finfo(float).eps * s.max(initial=0.0)))
    return u.T @ jacobians @ vt.T, vt.T, s[:rank]


def _equilibrated(rows_and_columns: Array) -> Array:
    peak = np.abs(rows_and_columns).max(axis=2, keepdims=True, initial=0.0)
    return rows_and_columns / np.where(peak > 0.0, peak, 1.0)


def _ranks(instant: Array) -> Index:
    """Return the ranks (B,) of the blocks (B, a, a) of unknowns without memory, their rows being of one size."""
    values = np.linalg.svd(_equilibrated(instant), compute_uv=False)
    ranks: Index = np.count_nonzero(values > 1e-12, axis=1)
    return ranks


def _reduced(jacobians: Array, masses: Array, rank: int) -> tuple[Array, Array, Array]:
    """Eliminate the unknowns without memory; return K, M (B, r, r) and R (B, s, r): M dy/dt = −K y, x = R y.

    What their own block determines goes by a Schur complement. The rest are currents through which sources hold
    voltages together: states stay within what all sources allow, and the sums in which no current occurs count.
    """
    s = len(masses)
    own, into, by, inner = jacobians[:, :s, :s], jacobians[:, :s, s:], jacobians[:, s:, :s], jacobians[:, s:, s:]
    batch, count = len(jacobians), inner.shape[1]
    mass = np.repeat(np.diag(masses)[None], batch, axis=0)
    if not count:
        return own, mass, np.repeat(np.eye(s)[None], batch, axis=0)
    peak = np.abs(inner).max(axis=2, keepdims=True)
    peak = np.where(peak > 0.0, peak, np.abs(by).max(axis=2, keepdims=True))
    peak = np.where(peak > 0.0, peak, 1.0)
    inner, by = inner / peak, by / peak
    if rank:
        u, d, vt = np.linalg.svd(inner)
        by, into = u.swapaxes(1, 2) @ by, into @ vt.swapaxes(1, 2)
        own = own - into[:, :, :rank] @ (by[:, :rank] / d[:, :rank, None])
        by, into = by[:, rank:], into[:, :, rank:]
    if rank == count:
        return own, mass, np.repeat(np.eye(s)[None], batch, axis=0)
    right = np.linalg.svd(_equilibrated(by))[2][:, count - rank :].swapaxes(1, 2)
    left = np.linalg.svd(_equilibrated(into.swapaxes(1, 2)))[2][:, count - rank :]
    return left @ own @ right, left @ mass @ right, right


def _eigen(k: Array, m: Array, mass: float) -> list[tuple[NDArray[np.complex128], NDArray[np.complex128]]]:
    """Return eigenvalues and vectors of −M⁻¹K, one pair a sample; infinite ones are left out.

    Those are modes whose storage is nothing but the rounding of the largest ``mass`` that went into M: a
    bidirectional amplifier with A·B = −1, say, sees as much negative capacitance as positive.
    """
    found = []
    for stiffness, storage in zip(k, m, strict=True):
        try:
            values, vectors = np.linalg.eig(-np.linalg.solve(storage, stiffness))
        except np.linalg.LinAlgError:
            values, vectors = scipy.linalg.eig(-stiffness, storage)
        most = np.abs(stiffness).max(initial=0.0) / (_NO_MASS * mass)
        finite = np.isfinite(values) & (np.abs(values) <= most)
        found.append((values[finite].astype(complex), vectors[:, finite].astype(complex)))
    return found
