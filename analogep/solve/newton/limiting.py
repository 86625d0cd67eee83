"""Where each nonlinear element is linearised: junction limiting, and pieces of piecewise linear laws.

Newton's method solves the circuit with every element replaced by its tangent. Devices say through ``limit``
how far the point of contact may move in one step. A law of two pieces (an ideal diode) has no slope to limit,
but the method may run around a cycle of active sets; the first set to come back puts that sample under the
least-index rule, by which only the first element on the wrong piece changes over (Murty 1974, for linear
complementarity problems with a P-matrix, where it ends for certain).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.devices import MultiPort
from analogep.solve.equations.system import System

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ROUNDING = 1e-13
"""Miss of an element's own law [V or A], per volt around, that is no reason to change its piece."""


class Linearisation:
    """The points of contact of a batch, moved on after each step.

    Parameters
    ----------
    system
        The system of all samples.
    x
        First unknowns (B, n).
    guess
        Whether x is a guess of the solution. Where it is none, or is zero throughout, elements are linearised
        one limited step away from rest: sources, or random voltages, may put volts across a junction, from
        where Newton's method comes back by one nV_T a step.
    """

    def __init__(self, system: System, x: Array, guess: bool = True) -> None:
        model = system.model
        cold = np.ones(len(x), dtype=bool)
        if guess:
            cold &= ~x.any(axis=1)
        self.junctions = _first_junctions(system, x, cold) if len(model.junction_pins) else None
        banks = [model.circuit.banks[b] for b in model.nonlinear_multiports]
        self.banks = banks
        self.devices = [bank.device for bank in banks if issubclass(bank.device, MultiPort)]
        self.limited = [device.limit is not MultiPort.limit for device in self.devices]
        self.pieces = [device.piece is not MultiPort.piece for device in self.devices]
        self.local = self._first_local(system, x, cold) if any(self.limited) or any(self.pieces) else None
        count = sum(bank.size for bank, two in zip(banks, self.pieces, strict=True) if two)
        self.keys = np.random.default_rng(0).integers(1, 2**62, count)  # one sum of keys per active set
        self.seen: list[NDArray[np.int64]] = []
        self.single = np.zeros(len(x), dtype=bool)  # samples under the least-index rule

    @property
    def points(self) -> tuple[Array | None, tuple[Array, ...] | None]:
        """Points of contact, as :meth:`System.evaluate` takes them."""
        return self.junctions, self.local if any(self.limited) or self.single.any() else None

    def _first_local(self, system: System, x: Array, cold: Flags) -> tuple[Array, ...]:
        first = list(system.local(x))
        for k, device in enumerate(self.devices):
            if self.limited[k] and cold.any():
                own = first[k][cold]
                first[k][cold] = device.limit(own, np.zeros_like(own), self.banks[k].values)
        return tuple(first)

    def select(self, keep: Flags) -> None:
        """Drop the samples that are not to be kept."""
        self.junctions = None if self.junctions is None else self.junctions[keep]
        self.local = None if self.local is None else tuple(z[keep] for z in self.local)
        self.seen = [codes[keep] for codes in self.seen]
        self.single = self.single[keep]

    def advance(self, system: System, x: Array) -> Flags:
        """Move on to x (B, n); return which samples are linearised exactly there, (B,)."""
        at_own = np.ones(len(x), dtype=bool)
        model = system.model
        if self.junctions is not None:
            own = model.junction_voltages(system.voltages(x))
            self.junctions = model.limit(own, self.junctions)
            at_own &= (self.junctions == own).all(axis=1)
        if self.local is None:
            return at_own
        fresh = list(system.local(x))
        for k, device in enumerate(self.devices):
            if self.limited[k]:
                own = fresh[k]
                fresh[k] = device.limit(own, self.local[k], self.banks[k].values)
                at_own &= (fresh[k] == own).all(axis=(1, 2))
        if any(self.pieces):
            at_own &= self._switch(x, fresh)
        self.local = tuple(fresh)
        return at_own

    def _switch(self, x: Array, fresh: list[Array]) -> Flags:
        """Notice cycles of active sets, and let samples that were in one change one piece at a time."""
        assert self.local is not None
        ways = [k for k, two in enumerate(self.pieces) if two]
        now = np.concatenate([self._piece(k, fresh[k]) for k in ways], axis=1)
        free = np.ones(len(x), dtype=bool)
        if self.single.any():
            before = np.concatenate([self._piece(k, self.local[k]) for k in ways], axis=1)
            wrong = (now != before) & self.single[:, None]
            wrong &= np.concatenate([self._missed(k, fresh[k], x) for k in ways], axis=1)
            first = np.zeros_like(wrong)
            rows = np.flatnonzero(wrong.any(axis=1))
            first[rows, np.argmax(wrong[rows], axis=1)] = True
            held, start = wrong & ~first, 0
            for k in ways:
                part = held[:, start : start + self.banks[k].size]
                fresh[k] = np.where(part[..., None], self.local[k], fresh[k])
                start += self.banks[k].size
            free = ~held.any(axis=1)
        code = (now * self.keys).sum(axis=1)
        if self.seen:
            again = np.stack(self.seen[:-1] or [code - 1]) == code
            self.single |= again.any(axis=0) & (code != self.seen[-1])
        self.seen.append(code)
        return free

    def _piece(self, k: int, z: Array) -> Flags:
        piece = self.devices[k].piece(z, self.banks[k].values)
        assert piece is not None
        return piece

    def _missed(self, k: int, z: Array, x: Array) -> Flags:
        """Return whether each element misses its own branch equation by more than rounding, (B, E)."""
        f, _ = self.devices[k].stamp(z, self.banks[k].values)
        scale = np.maximum(1.0, np.abs(x).max(axis=1, initial=0.0))[:, None]
        missed: Flags = np.abs(f[..., len(self.devices[k].pins) :]).max(axis=-1) > _ROUNDING * scale
        return missed


def _first_junctions(system: System, x: Array, cold: Flags) -> Array:
    """Return the junction voltages (B, E) at which to linearise first; see :class:`Linearisation`."""
    own = system.model.junction_voltages(system.voltages(x))
    if cold.any():
        own[cold] = system.model.limit(own[cold], np.zeros_like(own[cold]))
    return own
