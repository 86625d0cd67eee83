"""What a circuit stores over time, and which of its unknowns that leaves free at one moment.

Linear elements store C x, with a constant matrix C (n, n) [F], [H] in branch rows; devices may state a charge of
their own, whose differences and slopes they give. Unknowns between which storage acts hang together in islands.
An island that also reaches ground, an input or a source is known as long as its charge is; one that floats can
still move as a whole, by Kirchhoff's law of its total. What nothing stored touches follows from Kirchhoff's law
alone. :class:`Space` says so as two bases: of the moves that change no charge, and of the sums of rows in which
no stored charge counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, connected_components

from analogep.circuit import Bank
from analogep.devices import MultiPort, OnePort
from analogep.solve.equations.model import Model
from analogep.solve.equations.system import Memory, System

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Local = Mapping[int, Array]
"""Local unknowns (B, E, L) of the banks that state a charge, by bank index."""

_LEAST = 1e-21
"""Capacitance [F] of a device's own law below which it holds nothing: less than a thousandth of an attofarad."""

_ROUNDING = 1e-9  # of sums of entries that cancel, and of ratios around a loop


@dataclass(frozen=True)
class Space:
    """Free moves of the unknowns, and the rows that decide on them.

    Attributes
    ----------
    group
        Number of the free move that each unknown takes part in, and of the sum of rows that its row enters, (n,);
        −1 for unknowns that storage fixes.
    move, weight
        How far each unknown goes in its move, and by what factor its row counts, (n,).
    lead
        One unknown of each move, whose factors are 1, (m,).
    """

    group: Index
    move: Array
    weight: Array
    lead: Index

    @property
    def fixed(self) -> bool:
        """Whether storage fixes all unknowns."""
        return not len(self.lead)


class Links:
    """Collects between which unknowns storage acts, from elements' local matrices.

    Parameters
    ----------
    size
        Number of unknowns.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.grounded = np.zeros(size, dtype=bool)
        self.pairs: list[Index] = [np.zeros((0, 2), np.int64)]
        self.factors: list[Array] = [np.zeros((0, 4))]  # t of both ends, then w

    def copy(self) -> Links:
        """Return links to which others can be added."""
        other = Links(self.size)
        other.grounded, other.pairs, other.factors = self.grounded.copy(), [*self.pairs], [*self.factors]
        return other

    def add(self, matrix: Array, local: Index, t: Array, w: Array, least: float = 0.0) -> None:
        """Add elements with local storage (E, L, L) at unknowns (E, L).

        Their voltages count t times, their rows w times, both (E, L). Entries up to ``least`` count as none.
        """
        size = np.abs(matrix)
        strong = size > least
        for sums, largest in ((matrix.sum(axis=2), size.max(axis=2)), (matrix.sum(axis=1), size.max(axis=1))):
            alone = (np.abs(sums) > np.maximum(_ROUNDING * largest, least)) & (local >= 0)
            self.grounded[local[alone]] = True
        count = local.shape[1]
        for i in range(count):
            for j in range(i):
                act = strong[:, i, j] | strong[:, j, i]
                a, b = local[act, i], local[act, j]
                for one, other in ((a, b), (b, a)):
                    self.grounded[one[(one >= 0) & (other < 0)]] = True
                factors = np.stack([t[act, i], t[act, j], w[act, i], w[act, j]], axis=1)
                both = (a >= 0) & (b >= 0)
                self.pairs.append(np.stack([a, b], axis=1)[both])
                self.factors.append(factors[both])

    def space(self) -> Space:
        """Return the free moves."""
        pairs, factors = np.concatenate(self.pairs), np.concatenate(self.factors)
        same = pairs[:, 0] == pairs[:, 1]
        differ = (factors[:, 0] != factors[:, 1]) | (factors[:, 2] != factors[:, 3])
        grounded = self.grounded.copy()
        grounded[pairs[same & differ, 0]] = True
        pairs, factors = pairs[~same], factors[~same]
        graph = sp.csr_array(
            sp.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(self.size,) * 2)
        )
        count, island = connected_components(graph, directed=False)
        held = np.zeros(count, dtype=bool)
        held[island[grounded]] = True
        move, weight = np.ones(self.size), np.ones(self.size)
        uneven = ((factors != 1.0).any(axis=1)) & ~held[island[pairs[:, 0]]]
        for k in np.unique(island[pairs[uneven, 0]]):
            own = np.flatnonzero(island[pairs[:, 0]] == k)
            held[k] = not _spread(graph, pairs[own], factors[own], move, weight)
        group = np.where(held, -1, np.cumsum(~held) - 1)[island]
        free = np.flatnonzero(group >= 0)
        _, first = np.unique(group[free], return_index=True)
        return Space(group, move, weight, free[first])


def _spread(graph: sp.csr_array, pairs: Index, factors: Array, move: Array, weight: Array) -> bool:
    """Put the move and the weights of a floating island into place; return whether they agree around all loops."""
    start = int(pairs.min())
    order, before = breadth_first_order(graph, start, directed=False)
    known = {(int(a), int(b)): f for (a, b), f in zip(pairs, factors, strict=True)}
    known |= {(b, a): f[[1, 0, 3, 2]] for (a, b), f in known.items()}
    move[start] = weight[start] = 1.0
    for there in order[1:]:
        here = int(before[there])
        t_here, t_there, w_here, w_there = known[here, int(there)]
        if t_there == 0.0 or w_there == 0.0:
            return False
        move[there] = move[here] * t_here / t_there
        weight[there] = weight[here] * w_here / w_there
    a, b = pairs.T
    for values, first, second in ((move, 0, 1), (weight, 2, 3)):
        one, other = values[a] * factors[:, first], values[b] * factors[:, second]
        if (np.abs(one - other) > _ROUNDING * np.maximum(np.abs(one), np.abs(other))).any():
            return False
    return True


class Storage:
    """What a circuit's elements store.

    Parameters
    ----------
    model
        The circuit with its values.
    node_capacitance
        Capacitance [F] to ground of every solved node that no capacitance touches.

    Attributes
    ----------
    banks
        Banks whose devices state a charge of their own.
    capacitance
        C (n, n) of all linear storage.
    dynamic
        Rows (n,) with memory.
    island
        Number of the island of each unknown, (n,).
    """

    def __init__(self, model: Model, node_capacitance: float) -> None:
        self.model = model
        circuit, plan = model.circuit, model.plan
        self.banks = tuple(b for b in model.nonlinear_multiports if _states_charge(circuit.banks[b]))
        touched = np.zeros(plan.size, dtype=bool)
        joined = [np.zeros((0, 2), np.int64)]
        for b in self.banks:
            local = plan.local_unknowns(circuit, b)
            touched[local[local >= 0]] = True
            joined += [local[:, [0, k]] for k in range(1, local.shape[1])]
        self.capacitance = model.integrator_capacitance(node_capacitance, touched)
        self.dynamic = (np.asarray(abs(self.capacitance).sum(axis=1)).ravel() > 0.0) | touched
        self.links = self._linear_links()
        self._space = None if self.banks else self.links.space()
        both = np.concatenate(joined)
        both = both[(both >= 0).all(axis=1)]
        marks = sp.coo_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(plan.size,) * 2)
        self.island: Index = connected_components(abs(self.capacitance) + marks, directed=False)[1]

    @property
    def closed(self) -> bool:
        """Whether linear storage fixes all unknowns at every moment."""
        return self._space is not None and self._space.fixed

    def _linear_links(self) -> Links:
        model = self.model
        circuit, plan = model.circuit, model.plan
        links = Links(plan.size)
        own = np.asarray(abs(model.capacitance_matrix).sum(axis=1)).ravel() > 0.0
        links.grounded |= self.capacitance.diagonal() * ~own != 0.0  # the leaky integrator's
        for b in (*plan.linear_banks, *plan.nonlinear_banks):
            bank = circuit.banks[b]
            assert issubclass(bank.device, OnePort)
            value = bank.device.capacitance(bank.values)
            if value is not None:
                matrix = np.broadcast_to(value, bank.size)[:, None, None] * np.array([[1.0, -1.0], [-1.0, 1.0]])
                links.add(matrix, plan.unknown[bank.pins], model.t[bank.pins], model.w[bank.pins])
        for b in plan.multiport_banks:
            bank = circuit.banks[b]
            assert issubclass(bank.device, MultiPort)
            stored = bank.device.storage(bank.values)
            if stored is not None:
                links.add(stored, *self._local_factors(b))
        return links

    def _local_factors(self, b: int) -> tuple[Index, Array, Array]:
        """Return the unknowns (E, L) of a multi-port bank, and by what factors its voltages and rows count."""
        model = self.model
        bank, local = model.circuit.banks[b], model.plan.local_unknowns(model.circuit, b)
        ones = np.ones((bank.size, local.shape[1] - len(bank.device.pins)))
        t, w = (np.concatenate([a[bank.pins], ones], axis=1) for a in (model.t, model.w))
        return local, t, w

    def spaces(self, system: System, x: Array) -> list[tuple[Index, Space]]:
        """Return the free moves at unknowns (B, n): groups of samples, and what is free in each."""
        if self._space is not None:
            return [(np.arange(len(x)), self._space)]
        at = self.local(system, x)
        slopes = {b: self._charge(system, b, at[b], at[b])[1] for b in self.banks}
        marks = np.concatenate([(np.abs(m) > _LEAST).reshape(len(x), -1) for m in slopes.values()], axis=1)
        _, first, kind = np.unique(marks, axis=0, return_index=True, return_inverse=True)
        found = []
        for k, sample in enumerate(first):
            links = self.links.copy()
            for b in self.banks:
                links.add(slopes[b][sample], *self._local_factors(b), least=_LEAST)
            found.append((np.flatnonzero(kind.ravel() == k), links.space()))
        return found

    # --- charges that devices state ---------------------------------------------------------------------

    def local(self, system: System, x: Array) -> dict[int, Array]:
        """Return the local unknowns of the banks that state a charge, at unknowns (B, n)."""
        if not self.banks:
            return {}
        v = system.voltages(x)
        return {b: self.model.local_values(b, v, x) for b in self.banks}

    def _charge(self, system: System, b: int, z: Array, origin: Array) -> tuple[Array, Array]:
        device = self.model.circuit.banks[b].device
        assert issubclass(device, MultiPort)
        found = device.charge_step(z, origin, system.bank_values(b))
        assert found is not None
        return found

    def moved(self, system: System, at: Local, origin: Local) -> Array:
        """Return the charge rows (B, n) that have come on the way from one place to another."""
        model = self.model
        out = np.zeros((len(system.inputs), model.plan.size))
        for b in self.banks:
            charge, _ = self._charge(system, b, at[b], origin[b])
            model._scatter_local(out, model.circuit.banks[b], model.plan.local_unknowns(model.circuit, b), charge)
        return out

    def entries(self, system: System, at: Local, origin: Local) -> Array:
        """Return the slopes of that charge at the positions of ``Slots``, (B, S) [F]."""
        model = self.model
        slopes = np.zeros((len(system.inputs), model.slots.count))
        start = len(model.junction_pins)
        for b in model.nonlinear_multiports:
            size = model.plan.local_unknowns(model.circuit, b).shape[1] ** 2 * model.circuit.banks[b].size
            if b in self.banks:
                slope = self._charge(system, b, at[b], origin[b])[1]
                slopes[:, start : start + size] = slope.reshape(len(slopes), size)
            start += size
        return model.slots.values(slopes)

    def slopes(self, system: System, x: Array) -> Array | None:
        """Return dq/dx (B, n, n) [F] of all storage at unknowns (B, n); ``None`` where it is constant."""
        if not self.banks:
            return None
        at, slots = self.local(system, x), self.model.slots
        out = np.repeat(self.capacitance.toarray()[None], len(x), axis=0)
        out[:, slots.rows, slots.columns] += self.entries(system, at, at)
        return out

    def memory(self, rates: float | Array, origin: Local) -> Memory | None:
        """Return what charges add to Kirchhoff's law in a step of ``rates`` [1/s], one or of each row (n,)."""
        if not self.banks:
            return None
        each = {}
        for b in self.banks:
            local = self.model.plan.local_unknowns(self.model.circuit, b)
            of_rows = np.where(local >= 0, np.broadcast_to(rates, self.model.plan.size)[local], 0.0)
            each[b] = of_rows.max(axis=1)  # an element's unknowns are all of one island
        return Memory(each, origin)

    def diagonal(self, system: System, at: Local) -> Array:
        """Return the diagonal of dq/dx, (B, n)."""
        out: Array = np.repeat(np.abs(self.capacitance.diagonal())[None], len(system.inputs), axis=0)
        if self.banks:
            slots = self.model.slots
            on = np.flatnonzero(slots.rows == slots.columns)
            out[:, slots.rows[on]] += np.abs(self.entries(system, at, at)[:, on])
        return out


def _states_charge(bank: Bank) -> bool:
    """Return whether a multi-port bank stores a charge that its device's law states."""
    assert issubclass(bank.device, MultiPort)
    rest = np.zeros((1, bank.size, len(bank.device.pins) + bank.device.branches))
    return bank.device.charge_step(rest, rest, bank.values) is not None
