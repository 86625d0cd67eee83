"""What a solver needs to know of a circuit's topology, computed once and reused for every value.

The unknowns are the root nodes that :mod:`analogep.circuit.constraints` leaves free, then the branch currents of
multi-port devices. The plan numbers them, says where each element's currents and slopes go, and picks an
*independent set*: unknowns that touch each other nowhere (the hidden nodes of a layered network, say), whose
diagonal block is eliminated elementwise so that only the rest meets a dense factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.circuit.constraints import Elimination, eliminate
from analogep.devices import Constraint, MultiPort, OnePort

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Plan:
    """Pattern of a circuit.

    Attributes
    ----------
    elimination
        Forest of voltage sources and amplifiers.
    unknown
        Index of the unknown that each node follows, (N,); −1 for nodes that inputs and sources fix.
    nodes
        Node whose voltage each of the first unknowns is, (n,).
    branch_start
        For each bank, the index of its first branch unknown.
    size
        Number of unknowns n + K.
    linear_banks, nonlinear_banks
        Indices of the one-port banks that are ohmic or constant-current, and of those that are not.
    multiport_banks
        Indices of the multi-port banks.
    pairs
        Coupled pairs of unknowns, (·, 2); a pair may occur more than once.
    pinned
        Unknowns whose diagonal must not be a pivot (outputs, since a nudge may repel; control ports; nodes
        that no conductance touches).
    """

    elimination: Elimination
    unknown: Index
    nodes: Index
    branch_start: dict[int, int]
    size: int
    linear_banks: tuple[int, ...]
    nonlinear_banks: tuple[int, ...]
    multiport_banks: tuple[int, ...]
    pairs: Index
    pinned: Index

    def local_unknowns(self, circuit: Circuit, b: int) -> Index:
        """Return the unknown behind each local variable of multi-port bank ``b``, (E, L); −1 if known."""
        if b not in self._locals:
            self._locals[b] = _local_unknowns(circuit, self.unknown, self.branch_start, b)
        return self._locals[b]

    @cached_property
    def _locals(self) -> dict[int, Index]:
        return {}

    @cached_property
    def independent(self) -> Index:
        """A maximal set of unknowns without any coupling between them, smallest degree first."""
        neighbours: list[set[int]] = [set() for _ in range(self.size)]
        for a, b in self.pairs:
            if a != b:
                neighbours[a].add(int(b))
                neighbours[b].add(int(a))
        blocked = np.zeros(self.size, dtype=bool)
        blocked[self.pinned] = True
        blocked[len(self.nodes) :] = True
        chosen = []
        for i in sorted(range(self.size), key=lambda k: (len(neighbours[k]), k)):
            if not blocked[i]:
                chosen.append(i)
                blocked[i] = True
                for j in neighbours[i]:
                    blocked[j] = True
        return np.array(sorted(chosen), np.int64)

    @cached_property
    def dependent(self) -> Index:
        """The other unknowns, which need a factorisation."""
        return np.setdiff1d(np.arange(self.size), self.independent)


def plan_for(circuit: Circuit) -> Plan:
    """Return the plan of ``circuit``, computed once for its topology."""
    derived = circuit.topology.derived
    if "plan" not in derived:
        derived["plan"] = _plan(circuit)
    plan: Plan = derived["plan"]
    return plan


def _plan(circuit: Circuit) -> Plan:
    elimination = eliminate(circuit)
    fixed = np.zeros(len(circuit.nodes), dtype=bool)
    fixed[0] = True
    fixed[circuit.input_nodes] = True
    roots = np.unique(elimination.root)
    nodes = roots[~fixed[roots]]
    number = np.full(len(circuit.nodes), -1, dtype=np.int64)
    number[nodes] = np.arange(len(nodes))
    unknown = number[elimination.root]

    branch_start: dict[int, int] = {}
    size = len(nodes)
    linear: list[int] = []
    nonlinear: list[int] = []
    multiport: list[int] = []
    for b, bank in enumerate(circuit.banks):
        if issubclass(bank.device, MultiPort):
            multiport.append(b)
            branch_start[b] = size
            size += bank.size * bank.device.branches
        elif issubclass(bank.device, OnePort):
            (linear if bank.device.linear else nonlinear).append(b)
        else:
            assert issubclass(bank.device, Constraint)

    pairs, pinned = _couplings(circuit, unknown, branch_start)
    return Plan(
        elimination,
        unknown,
        nodes,
        branch_start,
        size,
        tuple(linear),
        tuple(nonlinear),
        tuple(multiport),
        pairs,
        pinned,
    )


def _local_unknowns(circuit: Circuit, unknown: Index, branch_start: dict[int, int], b: int) -> Index:
    bank = circuit.banks[b]
    pins = unknown[bank.pins]
    count = bank.device.branches
    branches = branch_start[b] + np.arange(bank.size * count).reshape(bank.size, count)
    return np.concatenate([pins, branches], axis=1)


def _couplings(circuit: Circuit, unknown: Index, branch_start: dict[int, int]) -> tuple[Index, Index]:
    """Return the coupled pairs of unknowns, and those whose diagonal must not be a pivot."""
    pairs: list[Index] = [np.zeros((0, 2), np.int64)]
    pinned: list[Index] = [unknown[circuit.output_pairs.ravel()]]
    resistive = np.zeros(len(circuit.nodes), dtype=bool)
    for b, bank in enumerate(circuit.banks):
        if issubclass(bank.device, MultiPort):
            local = _local_unknowns(circuit, unknown, branch_start, b)
            count = local.shape[1]
            pairs += [local[:, [i, j]] for i in range(count) for j in range(i)]
            if not bank.device.reciprocal:
                pinned.append(unknown[bank.pins].ravel())
        elif issubclass(bank.device, OnePort):
            pairs.append(unknown[bank.pins])
            resistive[bank.pins[bank.device.conducts(bank.values)]] = True
    for c in circuit.crossbars:
        rows, columns = unknown[c.rows], unknown[c.columns]
        rows, columns = rows[rows >= 0], columns[columns >= 0]
        pairs.append(np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))], axis=1))
        resistive[c.rows] = resistive[c.columns] = True
    for t in circuit.transconductances:
        rows, columns = unknown[t.rows], unknown[t.columns]
        pairs.append(np.stack([np.repeat(rows, len(columns)), np.tile(columns, len(rows))], axis=1))
    count = int(unknown.max(initial=-1)) + 1
    held = np.zeros(count, dtype=bool)
    members = resistive & (unknown >= 0)
    held[unknown[members]] = True
    pinned.append(np.flatnonzero(~held))
    both = np.concatenate(pairs)
    both = both[(both >= 0).all(axis=1)]
    bad = np.unique(np.concatenate(pinned))
    return both, bad[bad >= 0]
