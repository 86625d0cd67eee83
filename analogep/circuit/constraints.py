"""Elimination of voltage sources and amplifiers: every node as t · (root voltage) + c.

Voltage sources and bidirectional amplifiers never become unknowns. They form a forest over the nodes; each
tree has one root (a fixed node, or a node to solve for), and every other node of the tree follows from it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit.elements import Parts
from analogep.devices import Constraint

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class ConstraintError(Exception):
    """Constraints that leave no consistent root; ``element`` names the culprit."""

    def __init__(self, element: str, message: str) -> None:
        super().__init__(message)
        self.element = element


@dataclass(frozen=True)
class Level:
    """Constraints of one bank at one depth of the forest: ``node`` follows from ``source``."""

    node: Index
    source: Index
    bank: int
    elements: Index
    reverse: bool


@dataclass(frozen=True)
class Elimination:
    """The forest of constraints; depends on topology alone.

    Attributes
    ----------
    root
        Root node of every node, (N,).
    levels
        Constraints in an order in which every source comes before its dependants.
    """

    root: Index
    levels: tuple[Level, ...]

    def factors(self, circuit: Parts) -> tuple[Array, Array, Array]:
        """Return (t, w, c), each (N,): v = t · v(root) + c [V], and i(root) = Σ w · i(node)."""
        count = len(circuit.nodes)
        t, w, c = np.ones(count), np.ones(count), np.zeros(count)
        for level in self.levels:
            bank = circuit.banks[level.bank]
            assert issubclass(bank.device, Constraint)
            ratio, back, offset = (a[level.elements] for a in bank.device.law(bank.values))
            if level.reverse:  # only sources are reversible, and theirs are ratio = back = 1
                ratio, back, offset = 1.0 / ratio, 1.0 / back, -offset
            t[level.node] = ratio * t[level.source]
            w[level.node] = back * w[level.source]
            c[level.node] = ratio * c[level.source] + offset
        return t, w, c


def eliminate(circuit: Parts) -> Elimination:
    """Return the forest of constraints of ``circuit``.

    Raises
    ------
    ConstraintError
        If a node is driven by two amplifiers, or an amplifier's output by a fixed node.
    """
    count = len(circuit.nodes)
    if not circuit.constraint_banks:
        return Elimination(np.arange(count), ())
    edges: list[list[tuple[int, int, int, bool]]] = [[] for _ in range(count)]
    driven: dict[int, str] = {}
    for b, bank in enumerate(circuit.banks):
        device = bank.device
        if not issubclass(device, Constraint):
            continue
        for e, pins in enumerate(bank.pins):
            child, parent = int(pins[device.child]), int(pins[1 - device.child])
            edges[parent].append((child, b, e, False))
            if device.reversible:
                edges[child].append((parent, b, e, True))
            else:
                if child in driven:
                    raise ConstraintError(
                        bank.names[e], f"drives node {circuit.nodes[child]}, as {driven[child]} does"
                    )
                driven[child] = bank.names[e]

    root = np.full(count, -1, dtype=np.int64)
    steps: dict[tuple[int, int, bool], list[tuple[int, int, int]]] = {}

    def grow(start: int) -> None:
        root[start] = start
        queue = deque([(start, 0)])
        while queue:
            node, depth = queue.popleft()
            for other, b, e, reverse in edges[node]:
                if root[other] >= 0:
                    continue
                root[other] = start
                steps.setdefault((depth, b, reverse), []).append((other, node, e))
                queue.append((other, depth + 1))

    fixed = [0, *(int(i) for i in circuit.input_nodes)]
    for node in fixed:
        root[node] = node
    for node in fixed:
        grow(node)
    downstream = _behind_amplifiers(edges, driven)
    for node in range(count):
        if root[node] < 0 and node not in downstream:
            grow(node)
    for node in range(count):
        if root[node] < 0:
            name = next((driven[n] for n in sorted(driven) if root[n] < 0), circuit.nodes[node])
            raise ConstraintError(name, "drives a node that a loop of amplifiers and sources already fixes")
    for bank in circuit.banks:
        if issubclass(bank.device, Constraint) and not bank.device.reversible:
            for name, pins in zip(bank.names, bank.pins, strict=True):
                child, parent = pins[bank.device.child], pins[1 - bank.device.child]
                if root[child] != root[parent]:
                    raise ConstraintError(
                        name, f"drives node {circuit.nodes[child]}, whose voltage is already fixed"
                    )
    levels = tuple(
        Level(
            np.array([n for n, _, _ in found], np.int64),
            np.array([s for _, s, _ in found], np.int64),
            b,
            np.array([e for _, _, e in found], np.int64),
            reverse,
        )
        for (_, b, reverse), found in sorted(steps.items())
    )
    return Elimination(root, levels)


def _behind_amplifiers(edges: list[list[tuple[int, int, int, bool]]], driven: dict[int, str]) -> set[int]:
    """Return the nodes that some amplifier determines: its outputs and what sources tie to them."""
    behind = set(driven)
    queue = deque(driven)
    while queue:
        node = queue.popleft()
        for other, _, _, _ in edges[node]:
            if other not in behind:
                behind.add(other)
                queue.append(other)
    return behind
