"""The state just after a jump: charges and flux linkages are what they were, Kirchhoff's law holds for the rest.

What sources push through capacitors by their jump spreads over the charges of their islands; everything that
stores nothing follows at once. Where that leaves something undetermined, a voltage that an ideal element forces on
a capacitor, say, an impulse of current flows: the limit of implicit Euler steps towards no time at all has it.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from analogep.errors import ConvergenceError
from analogep.solve.answers.outcome import worst_equation
from analogep.solve.equations.system import System
from analogep.solve.newton.newton import Anchor, NewtonOptions, NewtonResult, newton
from analogep.solve.newton.strategies import robust_newton
from analogep.solve.time.held import Held
from analogep.solve.time.storage import Local, Space, Storage

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_SUDDEN = 1e6  # how much shorter than a time constant "at once" is
_RIGID = 1e3  # largest resistance that an inductor may see, in that of the largest conductance
_REDISTRIBUTIONS = 60  # Newton steps that spread charges
_SPREAD = 1e-13  # last of them, per volt
_STEEPEST = 1e9  # slope of a law [S] that is still taken for real
_FLAT = 1e-6  # conductance [S] of a circuit without any


class Jumps:
    """Finds states just after jumps.

    Parameters
    ----------
    system, storage
        The circuit, its sources at their values just after the jump.
    options
        Tolerances of Newton's method.
    sharing
        Resistances in the tangent of ideal diodes; see :func:`~analogep.solve.newton.strategies.sharing`.
    """

    def __init__(
        self, system: System, storage: Storage, options: NewtonOptions, sharing: sp.csr_array | None
    ) -> None:
        self.system, self.storage, self.options, self.sharing = system, storage, options, sharing
        self.nodes = len(system.model.plan.nodes)

    def after(self, x: Array, change: Array, origin: Local, now: float) -> Array:
        """Return the unknowns (B, n) just after a jump.

        Parameters
        ----------
        x
            Unknowns (B, n) just before.
        change
            Charge (n,) or (B, n) that the sources' jump adds to the linear part of q.
        origin
            Local unknowns before the jump, of the banks that state a charge.
        now
            The time [s], for messages.

        Raises
        ------
        ConvergenceError
            If none is found.
        """
        out, done = x.copy(), np.zeros(len(x), dtype=bool)
        change = np.broadcast_to(change, x.shape)
        for samples, space in self.storage.spaces(self.system, x):
            part = self.system.select(samples)
            base, kept = self._spread(part, space, x[samples], change[samples], _rows(origin, samples))
            if not space.fixed:
                free = np.flatnonzero(kept)
                found = newton(Held(part.select(free), space, base[free]), base[free], self.options)
                base[free], kept[free] = found.x, found.converged
            out[samples[kept]], done[samples[kept]] = base[kept], True
        left = np.flatnonzero(~done)
        if len(left):
            out[left] = self._forced(self.system.select(left), x[left], change[left], _rows(origin, left), now)
        return out

    def _spread(
        self, system: System, space: Space, x: Array, change: Array, origin: Local
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return unknowns whose charges have taken in the sources' jump, and for which samples that is so."""
        storage, every = self.storage, np.ones(len(x), dtype=bool)
        held = np.ones(x.shape[1], dtype=bool)
        held[space.lead] = False  # of a part that floats, all but one follow that one, which Kirchhoff's law moves
        if not storage.banks:
            if not change.any():
                return x.copy(), every
            step = _solve(storage.capacitance, held, -change)
            return x + step, every & np.isfinite(step).all()
        out, done, slots = x.copy(), ~every, system.model.slots
        for _ in range(_REDISTRIBUTIONS):
            at = storage.local(system, out)
            rows = change + (storage.capacitance @ (out - x).T).T + storage.moved(system, at, origin)
            entries = storage.entries(system, at, origin)
            step = np.full_like(x, np.nan)
            for b in range(len(x)):
                more = sp.coo_array((entries[b], (slots.rows, slots.columns)), shape=storage.capacitance.shape)
                step[b] = _solve(sp.csr_array(storage.capacitance + more), held, -rows[[b]])[0]
            sound = np.isfinite(step).all(axis=1)
            out[sound] += step[sound]
            size = np.maximum(1.0, np.abs(out).max(axis=1, initial=0.0))
            done = sound & (np.abs(step).max(axis=1, initial=0.0) <= _SPREAD * size)
            if (done | ~sound).all():
                break
        return out, done

    def _forced(self, system: System, x: Array, change: Array, origin: Local, now: float) -> Array:
        """Return the limit of two implicit Euler steps, one half as long, towards no time at all."""
        rates = self.rates(system, x, largest_conductance(system, x))
        long, short = (self.euler(system, x, change, origin, factor * rates) for factor in (1.0, 2.0))
        out: Array = 2.0 * short.x - long.x
        for k in np.flatnonzero(~(long.converged & short.converged)):
            out[k] = self._last_resort(system.select(np.array([k])), x[[k]], now)
        return out

    def _last_resort(self, system: System, x: Array, now: float) -> Array:
        """Return the unknowns of one sample by the fallbacks of operating points, its charges held."""
        _, space = self.storage.spaces(system, x)[0]
        found = NewtonResult(x, np.zeros(1, dtype=bool), np.zeros_like(x), np.zeros(1, np.int64))
        if not space.fixed:
            found, _ = robust_newton(Held(system, space, x), x, self.options)
        if not found.converged.all():
            raise ConvergenceError(
                f"no state satisfies Kirchhoff's law just after t = {now:.3g} s with the charges of capacitors "
                f"and the currents of inductors kept. {worst_equation(system, found, 0)}"
            )
        out: Array = found.x[0]
        return out

    def rates(self, system: System, x: Array, steepest: float) -> Array:
        """Return by what to multiply charge rows (n,) [1/s] to outweigh conductances up to the steepest [S]."""
        storage, nodes = self.storage, self.nodes
        own = storage.diagonal(system, storage.local(system, x)).max(axis=0, initial=0.0)
        smallest = np.full(int(storage.island.max(initial=-1)) + 1, np.inf)
        np.minimum.at(smallest, storage.island[own > 0.0], own[own > 0.0])
        rates: Array = (_SUDDEN * steepest / smallest)[storage.island]
        branch = np.arange(nodes, len(rates))[storage.dynamic[nodes:]]
        rates[branch] = _SUDDEN * _RIGID / (steepest * smallest[storage.island[branch]])
        return rates

    def euler(self, system: System, x: Array, change: Array, origin: Local, rates: Array) -> NewtonResult:
        """Return an implicit Euler step from x whose charge rows count ``rates`` (n,) [1/s] times."""
        conductance = sp.csr_array(sp.diags_array(rates) @ self.storage.capacitance)
        anchor = Anchor(conductance, x, np.broadcast_to(rates * change, x.shape))
        system.memory = self.storage.memory(rates, origin)
        found = newton(system, x, self.options, anchor)
        if self.sharing is not None and not found.converged.all():
            found = newton(system, x, self.options, anchor, self.sharing)
        system.memory = None
        return found


def largest_conductance(system: System, x: Array) -> float:
    """Return the largest slope of a current at a node by a node's voltage, at unknowns (B, n) [S]."""
    model = system.model
    nodes, slots = len(model.plan.nodes), model.slots
    with np.errstate(all="ignore"):
        entries = slots.values(system.evaluate(x).slopes)
    own = entries[:, (slots.rows < nodes) & (slots.columns < nodes)]
    largest = float(abs(model.linear_matrix[:nodes, :nodes]).max()) if nodes else 0.0
    changing = float(np.abs(own, where=np.isfinite(own), out=np.zeros_like(own)).max(initial=0.0))
    return max(largest, min(changing, _STEEPEST)) or _FLAT


def _rows(local: Local, samples: Index) -> Local:
    return {b: z[samples] for b, z in local.items()}


def _solve(matrix: sp.csr_array, held: NDArray[np.bool_], rhs: Array) -> Array:
    """Return the answers (B, n) in the rows and columns that are ``held`` (n,), zero elsewhere."""
    out, on = np.zeros_like(rhs), np.flatnonzero(held)
    if not len(on):
        return out
    own = sp.csc_array(matrix[on][:, on])
    size = 1.0 / np.maximum(abs(own).max(axis=1).toarray().ravel(), np.finfo(float).tiny)
    try:
        lu = spl.splu(sp.csc_array(sp.diags_array(size) @ own))
    except RuntimeError:  # exactly singular
        return np.full_like(rhs, np.nan)
    out[:, on] = lu.solve((size * rhs[:, on]).T).T
    return out
