"""From an operating point at which the circuit would not stay to one at which it does.

Newton's method finds saddles as readily as minima. A sample that rests at one is pushed a little along the mode
that grows fastest and follows the leaky integrator by steps of implicit Euler, first so short that the mode does
grow, then ever longer; Newton's method certifies where it comes to rest, and the spectrum that it stays there.
Deterministic: of the two ways out the one that raises the voltage that moves most comes first.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.errors import UnstableWarning
from analogep.solve.equations.pieces import sharing
from analogep.solve.equations.system import System
from analogep.solve.newton.newton import Anchor, NewtonOptions, NewtonResult, newton
from analogep.solve.newton.plausible import implausible
from analogep.solve.newton.strategies import Attempt, certify, merge
from analogep.solve.stable_points.spectrum import NODE_CAPACITANCE, Modes, fastest, monotone

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Flags = NDArray[np.bool_]

_PUSH = 1e-2
"""First deviation [V], per volt around but at most that of one volt."""

_SHORT = 0.5
"""Steps while a mode grows, in its own time constants: below 1, the step's equations have one solution nearby."""

_STEPS = 150
_FAILURES = 10  # steps without a solution: the way ends at a wall that the circuit's equations have
_ROUNDS = 2
_OCTAVES = 2.0  # samples whose rates differ by more, in log2, are followed apart


def settled(
    system: System, result: NewtonResult, options: NewtonOptions
) -> tuple[NewtonResult, tuple[Attempt, ...], Flags | None]:
    """Return a converged result with its unstable samples led to stable points, where there are any.

    Returns
    -------
    tuple
        The result; what was done, for the trace; which samples (B,) rest at a stable point, ``None`` if the
        devices alone say that all do. A sample whose circuit is too large to be judged counts as stable.

    Warns
    -----
    UnstableWarning
        If a sample has no stable point that was found; it keeps the one that Newton's method found.
    """
    if monotone(system.model.circuit) or not len(result.x) or not system.model.plan.size:
        return result, (), None
    modes = fastest(system, result.x)
    stable = ~modes.unstable
    if stable.all():
        return result, (), stable
    tried = np.flatnonzero(~stable)
    if not system.model.nonlinear and not system.model.nonlinear_multiports:  # it has no other point
        static = tried[modes.turns[tried] == 0.0]  # with other capacitances an oscillation might die out
        if len(static):
            _warn(system, modes, static, len(stable))
        return result, (), stable
    result = replace(
        result, x=result.x.copy(), residual=result.residual.copy(), iterations=result.iterations.copy()
    )
    for rows in _alike(modes, tried):
        part = system.select(rows)
        left = NewtonResult(result.x[rows], result.converged[rows], result.residual[rows], result.iterations[rows])
        better, ok = _leave(part, left, _select(modes, rows), options)
        result = merge(result, rows, better)
        stable[rows] = ok
    solved = int(stable[tried].sum())
    attempt = Attempt("leaving unstable points", len(tried), solved, int(result.iterations[tried].max()))
    if not stable.all():
        _warn(system, modes, np.flatnonzero(~stable), len(stable))
    return result, (attempt,), stable


def _select(modes: Modes, rows: Index) -> Modes:
    return Modes(modes.rates[rows], modes.turns[rows], modes.shapes[rows], modes.known[rows])


def _alike(modes: Modes, rows: Index) -> list[Index]:
    """Return the samples in groups of like rates, so that a group can share the length of its steps."""
    octaves = np.floor(np.log2(_pace(modes)[rows]) / _OCTAVES)
    return [rows[octaves == octave] for octave in np.unique(octaves)]


def _pace(modes: Modes) -> Array:
    """Return |λ|²/Re λ [1/s]: steps shorter than twice its inverse let the mode grow."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pace: Array = np.hypot(modes.rates, modes.turns) ** 2 / modes.rates
    return pace


def _leave(
    system: System, result: NewtonResult, modes: Modes, options: NewtonOptions
) -> tuple[NewtonResult, Flags]:
    """Lead unstable samples on; return the result, unchanged where that fails, and which are stable."""
    ok = np.zeros(len(result.x), dtype=bool)
    for sign in (1.0, -1.0):
        left = np.flatnonzero(~ok & ((sign > 0.0) | (modes.turns == 0.0)))  # both sides lie on one spiral
        if not len(left):
            break
        end = _one_way(system.select(left), result.x[left], _select(modes, left), sign, options)
        good = np.flatnonzero(end.converged)
        x, residual = result.x.copy(), result.residual.copy()
        x[left[good]], residual[left[good]] = end.x[good], end.residual[good]
        iterations = result.iterations.copy()
        iterations[left] += end.iterations
        result = NewtonResult(x, result.converged, residual, iterations)
        ok[left[good]] = True
    return result, ok


def _one_way(system: System, x: Array, modes: Modes, sign: float, options: NewtonOptions) -> NewtonResult:
    """Leave unstable points x (B, n) by one side; ``converged`` says which samples came to a stable one."""
    end = NewtonResult(x.copy(), np.zeros(len(x), dtype=bool), np.zeros_like(x), np.zeros(len(x), dtype=np.int64))
    left = np.arange(len(x))
    for _ in range(_ROUNDS):
        if not len(left):
            break
        part, before = system.select(left), end.x[left]
        rest, iterations, fled = _follow(part, before, sign * modes.shapes, _pace(modes), options)
        end.iterations[left] += iterations
        if fled:
            break
        again = certify(part, rest, options)
        there = np.flatnonzero(again.converged)
        absurd = implausible(part.select(there), again.x[there])
        there = np.delete(there, [sample for sample, _, _ in absurd])
        after = fastest(part.select(there), again.x[there])
        again.converged[:] = False
        again.converged[there[~after.unstable]] = True
        end.x[left], end.residual[left], end.converged[left] = again.x, again.residual, again.converged
        end.iterations[left] += again.iterations
        # Another saddle leads further, the same one again nowhere.
        moved = np.abs(again.x - before)[there].max(axis=1, initial=0.0) > 1e-6
        on = after.unstable & moved
        left, modes = left[there[on]], _select(after, np.flatnonzero(on))
    return end


def _follow(
    system: System, x: Array, push: Array, pace: Array, options: NewtonOptions
) -> tuple[Array, Index, bool]:
    """Follow the leaky integrator from x (B, n), pushed along modes (B, n).

    All samples take the same steps, short ones until the last of them slows down.

    Returns
    -------
    tuple
        Where it ends; Newton's iterations (B,); whether some sample left for infinity, and all stopped.
    """
    model = system.model
    nodes = len(model.plan.nodes)
    storage = model.integrator_capacitance(NODE_CAPACITANCE)
    shared = sharing(model)
    brief = replace(options, max_iterations=min(_BRIEF, options.max_iterations))
    around = np.minimum(1.0, np.maximum(1e-3, np.abs(x[:, :nodes]).max(axis=1, initial=0.0)))
    target = x + _PUSH * around[:, None] * push
    bound = _FAR * np.maximum(1.0, np.abs(system.known).max(axis=1, initial=0.0))
    step = _SHORT / float(pace.max())
    longest, shortest = _LONGEST / float(pace.min()), 1e-6 * step
    iterations, last, failed = np.zeros(len(x), dtype=np.int64), np.full(len(x), np.inf), 0
    for _ in range(_STEPS):
        result = newton(system, target, brief, Anchor(sp.csr_array(storage / step), target), shared)
        iterations += result.iterations
        if not result.converged.all():
            step *= 0.125
            failed += 1
            if step < shortest or failed > _FAILURES:
                break
            continue
        move = np.abs(result.x - target)[:, :nodes].max(axis=1, initial=0.0)
        target = result.x
        if (np.abs(target)[:, :nodes].max(axis=1, initial=0.0) > bound).any():
            return target, iterations, True
        if step >= longest:
            break
        if ((move < 0.9 * last) | (move < 1e-9)).all():
            step *= 2.0
        last = move
    return target, iterations, False


def _warn(system: System, modes: Modes, rows: Index, batch: int) -> None:
    model = system.model
    first = int(rows[0])
    nodes = len(model.plan.nodes)
    at = int(np.argmax(np.abs(modes.shapes[first, :nodes])))
    node = model.circuit.nodes[model.plan.nodes[at]]
    rate, turn = modes.rates[first], modes.turns[first]
    how = f"oscillates at {abs(turn) / (2.0 * np.pi):.3g} Hz and grows" if turn else "grows"
    warnings.warn(
        f"{len(rows)} of {batch} samples rest where the circuit does not stay (first: sample {first}): with "
        f"{NODE_CAPACITANCE:g} F at every node without a capacitor a deviation of node {node} {how} at {rate:.3g} "
        "per second, and no stable operating point was found from there. Add the capacitances that the circuit "
        "has, or weaken its feedback",
        UnstableWarning,
        stacklevel=4,
    )


_BRIEF = 25
_LONGEST = 1e6  # last steps, in the time constants of the slowest mode that grows
_FAR = 1e3  # voltages, relative to the sources' or 1 V, at which a sample has left for infinity
