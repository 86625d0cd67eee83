"""Nodes that inductors and current sources alone hold: between them currents have no way to differ.

A current source that is switched makes the current of the inductor in series jump, which takes an infinite
voltage. Where the leaky integrator's small capacitance lets the current through, the two ring, quickly.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from analogep.circuit import Bank, Circuit
from analogep.circuit.validation import conducting_pairs
from analogep.devices import MultiPort, OnePort


def cutset(circuit: Circuit) -> str:
    """Return a sentence that names an inductor of a cutset, its node and a remedy; empty if there is none."""
    count = len(circuit.nodes)
    pairs = np.array([(0, 0), *_joined(circuit)], dtype=np.int64)
    graph = sp.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, island = connected_components(graph, directed=False)
    for bank in circuit.banks:
        if not _inductive(bank):
            continue
        for name, pins in zip(bank.names, bank.pins, strict=True):
            open_ends = [int(n) for n in pins[:2] if island[n] != island[0]]
            if open_ends and island[pins[0]] != island[pins[1]]:
                node = circuit.nodes[open_ends[0]]
                return (
                    f"Inductors and current sources alone hold node {node}, where {name} ends, so its current "
                    f"cannot differ from theirs: put a resistor in parallel with {name}. "
                )
    return ""


def _joined(circuit: Circuit) -> Iterator[tuple[int, int]]:
    """Yield the pairs of nodes that something other than an inductor joins; inputs are joined to ground."""
    for node in circuit.input_nodes:
        yield int(node), 0
    for bank in circuit.banks:
        if not _inductive(bank):
            yield from conducting_pairs(bank.device, bank.pins, bank.values)
        if issubclass(bank.device, OnePort) and (stored := bank.device.capacitance(bank.values)) is not None:
            yield from ((int(a), int(b)) for a, b in bank.pins[stored > 0.0])
    for crossbar in circuit.crossbars:
        for r, c in np.argwhere(crossbar.conductance > 0.0):
            yield int(crossbar.rows[r]), int(crossbar.columns[c])


def _inductive(bank: Bank) -> bool:
    """Return whether the bank's elements have a current of their own with inertia."""
    return issubclass(bank.device, MultiPort) and bank.device.storage(bank.values) is not None
