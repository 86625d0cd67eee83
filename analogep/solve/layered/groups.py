"""Which circuits are layered: groups of nodes joined by crossbars, and why others are not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import (
    Capacitor,
    Constraint,
    CurrentSource,
    Device,
    Diode,
    IdealDiode,
    Resistor,
    SinhResistor,
    TanhNeuron,
)
from analogep.solve.equations.plan import Plan, plan_for
from analogep.solve.nudge import ConductanceNudge, CurrentNudge, Nudge

Index = NDArray[np.int64]

BLOCK_LAWS: tuple[type[Device], ...] = (Resistor, Diode, IdealDiode, SinhResistor, TanhNeuron)
"""Devices whose laws the block steps have by heart; a subclass may have another one."""


@dataclass(frozen=True)
class LayeredPlan:
    """Groups and couplings of a circuit, or the reason why it has none.

    Attributes
    ----------
    reason
        ``None`` if the circuit is layered; otherwise what prevents it, naming an element.
    groups
        Unknowns of each group, in the order in which they take turns.
    couplings
        Indices into ``circuit.couplings`` of those that couple two groups.
    shared
        Name of a node that two output pairs share, ``None`` if there is none: a block step couples a node to
        one partner, which is all that a nudge of separate pairs needs.
    """

    reason: str | None
    groups: tuple[Index, ...] = ()
    couplings: tuple[int, ...] = ()
    shared: str | None = None

    def accepts(self, nudge: Nudge | None) -> bool:
        """Return whether the block steps know this nudge."""
        if isinstance(nudge, ConductanceNudge):
            return self.shared is None
        return nudge is None or isinstance(nudge, CurrentNudge)

    def why(self, nudge: Nudge | None) -> str:
        """Return why the engine does not apply."""
        if self.reason is not None:
            return self.reason
        if isinstance(nudge, ConductanceNudge):
            return f"node {self.shared} belongs to two nudged output pairs"
        return f"it does not know the nudge {type(nudge).__name__}"


def layered_plan(circuit: Circuit) -> LayeredPlan:
    """Return the layered plan of ``circuit``, computed once for its topology."""
    derived = circuit.topology.derived
    if "layered" not in derived:
        derived["layered"] = _layered_plan(circuit)
    plan: LayeredPlan = derived["layered"]
    return plan


def _layered_plan(circuit: Circuit) -> LayeredPlan:
    plan = plan_for(circuit)
    reason = _foreign_element(circuit, plan)
    if reason is not None:
        return LayeredPlan(reason)
    if not len(plan.nodes):
        return LayeredPlan("every node is fixed by inputs and sources")
    groups = _groups(circuit, plan)
    member = np.full(len(plan.nodes), -1)
    for g, unknowns in enumerate(groups):
        member[unknowns] = g
    joining = []
    for k, c in enumerate(circuit.couplings):
        rows, columns = plan.unknown[c.rows], plan.unknown[c.columns]
        rows, columns = rows[rows >= 0], columns[columns >= 0]
        if not len(rows) or not len(columns):
            continue
        if member[rows[0]] == member[columns[0]]:
            return LayeredPlan(f"crossbar {c.name} joins nodes of one group")
        joining.append(k)
    return LayeredPlan(None, groups, tuple(joining), _shared_node(circuit, plan))


def _shared_node(circuit: Circuit, plan: Plan) -> str | None:
    """Return the name of a node whose unknown occurs in two pairs of unsolved output nodes."""
    unknowns = plan.unknown[circuit.output_pairs]
    paired = (unknowns >= 0).all(axis=1)
    members, counts = np.unique(unknowns[paired], return_counts=True)
    twice = members[counts > 1]
    return circuit.nodes[int(plan.nodes[twice[0]])] if len(twice) else None


def _foreign_element(circuit: Circuit, plan: Plan) -> str | None:
    """Return a sentence on the first element that the block steps cannot handle."""
    for bank in circuit.banks:
        if issubclass(bank.device, Constraint) or bank.device in (Capacitor, CurrentSource):
            continue
        if bank.device not in BLOCK_LAWS:
            return f"element {bank.names[0]} is a {bank.device.kind}, of class {bank.device.__name__}"
        both = (plan.unknown[bank.pins] >= 0).all(axis=1)
        if both.any():
            return f"{bank.device.kind} {bank.names[int(np.argmax(both))]} joins two unsolved nodes"
    for c in circuit.couplings:
        for side in (c.rows, c.columns):
            free = plan.unknown[side]
            free = free[free >= 0]
            if len(np.unique(free)) < len(free):
                return f"crossbar {c.name} touches one unsolved node twice"
    return None


def _groups(circuit: Circuit, plan: Plan) -> tuple[Index, ...]:
    """Return the finest partition in which each crossbar side lies in one group, in crossbar order."""
    label = np.arange(len(plan.nodes))
    for c in circuit.couplings:
        for side in (c.rows, c.columns):
            free = plan.unknown[side]
            free = free[free >= 0]
            if len(free):
                label[np.isin(label, label[free])] = label[free].min()
    order: dict[int, None] = {}
    for c in circuit.couplings:
        for side in (c.rows, c.columns):
            free = plan.unknown[side]
            for k in free[free >= 0][:1]:
                order[int(label[k])] = None
    for k in label:
        order[int(k)] = None
    return tuple(np.flatnonzero(label == k) for k in order)
