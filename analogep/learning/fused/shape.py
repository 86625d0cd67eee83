"""A chain of crossbars: which circuits are one, and how their values lie in the compiled epochs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit, Crossbar, TransconductanceCrossbar
from analogep.devices import (
    Capacitor,
    Constraint,
    CurrentSource,
    Diode,
    IdealDiode,
    SinhResistor,
    TanhNeuron,
)
from analogep.learning.fused.layout import COLUMNS, rounded
from analogep.learning.scaling import energy_scale
from analogep.solve.equations.model import model_for
from analogep.solve.layered.groups import BLOCK_LAWS, layered_plan

Array = NDArray[np.float64]
Index = NDArray[np.int64]

TILE = 512
"""Columns of an inner crossbar that are updated together: their working set stays in the first-level cache."""

SHARE = 256
"""Columns of the first crossbar that are worth a tile of their own, and so a thread; twice as many make two."""


class NotAChain(Exception):
    """Why the compiled epochs do not apply to a circuit; names an element."""


def why_not(circuit: Circuit) -> str | None:
    """Return why ``circuit`` is no chain, ``None`` if it is one; computed once for its topology."""
    derived = circuit.topology.derived
    if "chain" not in derived:
        try:
            chain_shape(circuit)
        except NotAChain as reason:
            derived["chain"] = str(reason)
        else:
            derived["chain"] = None
    found: str | None = derived["chain"]
    return found


@dataclass(frozen=True)
class Shape:
    """What follows from the circuit's topology, as flat arrays.

    Attributes
    ----------
    node
        First node of each group, (groups + 1,); group g holds the columns of crossbar g.
    shape
        Per crossbar: first and last of its rows in the row arrays, and columns, (C, 3). The first crossbar has no
        rows there: its lines are clamped.
    ways
        Where the tables of its two directions begin in the weights, (C, 2): the same of conductances and of
        symmetric transconductances, −1 where there is no way back, or none at all, as in the first crossbar.
    size
        Number of weights, those of the first crossbar apart.
    mutual
        Whether the crossbars are of transconductances, which load no node.
    reciprocal
        Whether the circuit has an energy.
    blocks
        Names of the parameters of the two directions, the second ``None`` if it has none of its own.
    lines
        Row of the first crossbar that each input drives, (I,).
    constant
        The other rows of the first crossbar, whose voltage is constant, (E,).
    rows
        Order of the other crossbars' rows in the kernels: the nodes of the group below, then constant lines.
    row_t, row_w, row_known
        Of these rows: voltage and current factor of the amplifier before them, and a constant line's voltage [V].
    tiles
        Crossbar, first and last column, number among the crossbar's tiles, (T, 4).
    share_start, shares
        Where each crossbar's row sums by tile start, and how many there are.
    position, partner
        Of the last group's nodes: k for the positive node of output k, −k − 2 for its negative one, −1 for
        others; and the pair's other node.
    bias
        Bank of trainable bias currents of each group, and the element at each of its nodes.
    scale
        The energy's scale at each group.
    """

    node: Index
    shape: Index
    ways: Index
    size: int
    mutual: bool
    reciprocal: bool
    blocks: tuple[tuple[str, str | None], ...]
    lines: Index
    constant: Index
    rows: tuple[Index, ...]
    row_t: Array
    row_w: Array
    row_known: Array
    tiles: Index
    share_start: Index
    shares: int
    position: Index
    partner: Index
    bias: tuple[tuple[int, Index] | None, ...]
    scale: Array


def chain_shape(circuit: Circuit, parts: int = 1) -> Shape:
    """Return the chain that ``circuit`` is, its first crossbar cut into about ``parts`` tiles.

    Raises
    ------
    NotAChain
        If it is not one; the message names an element.
    """
    if circuit.crossbars and circuit.transconductances:
        names = circuit.crossbars[0].name, circuit.transconductances[0].name
        raise NotAChain(f"crossbar {names[0]} is one of conductances, and {names[1]} of transconductances")
    layered = layered_plan(circuit)
    if layered.reason is not None:
        raise NotAChain(layered.reason)
    model = model_for(circuit)
    plan = model.plan
    dark = model.known_voltages(np.zeros((1, len(circuit.input_nodes))))[0]
    bright = model.known_voltages(np.ones((1, len(circuit.input_nodes))))[0]
    driven = dark != bright
    where = np.full((len(plan.nodes), 2), -1)  # group and position of each unknown
    node = [0]
    for k, c in enumerate(circuit.couplings):
        columns = plan.unknown[c.columns]
        if (columns < 0).any() or (plan.nodes[columns] != c.columns).any():
            raise NotAChain(f"the columns of crossbar {c.name} are not nodes of their own")
        if (where[columns, 0] >= 0).any():
            raise NotAChain(f"crossbar {c.name} and another share column nodes")
        where[columns, 0], where[columns, 1] = k, np.arange(len(columns))
        node.append(node[-1] + len(columns))
    if not circuit.couplings or (where[:, 0] < 0).any():
        raise NotAChain("some node is no column of a crossbar")
    first = circuit.couplings[0]
    rows = plan.unknown[first.rows]
    if (rows >= 0).any():
        raise NotAChain(f"the rows of crossbar {first.name}, the first, are not all clamped")
    place = {int(n): r for r, n in enumerate(first.rows)}
    if len(place) < len(first.rows) or any(int(n) not in place for n in circuit.input_nodes):
        raise NotAChain(f"the inputs are not all rows of crossbar {first.name}, once each")
    lines = np.array([place[int(n)] for n in circuit.input_nodes], np.int64)
    constant = np.setdiff1d(np.arange(len(first.rows)), lines)
    if driven[first.rows[constant]].any():
        raise NotAChain(f"a row of crossbar {first.name} follows an input without being one")
    if isinstance(first, TransconductanceCrossbar) and not set(first.values) <= {"transconductance", "forward"}:
        raise NotAChain(f"crossbar {first.name}, the first, has a matrix that drives its clamped rows")
    shape, ways, start = [(0, 0, len(first.columns))], [(-1, -1)], 0
    order: list[Index] = [np.arange(0)]
    row_t, row_w, row_known = [], [], []
    at = 0
    for k, c in enumerate(circuit.couplings[1:], 1):
        u = plan.unknown[c.rows]
        free = u >= 0
        if driven[c.rows[~free]].any() or (where[u[free], 0] != k - 1).any():
            raise NotAChain(f"the rows of crossbar {c.name} are not those behind crossbar {k} alone")
        if sorted(where[u[free], 1]) != list(range(node[k] - node[k - 1])):
            raise NotAChain(f"the rows of crossbar {c.name} are not all nodes behind crossbar {k}, once each")
        order.append(np.argsort(np.where(free, where[u, 1], len(plan.nodes)), kind="stable"))
        here = c.rows[order[-1]]
        row_t.append(model.t[here])
        row_w.append(model.w[here])
        row_known.append(dark[here])
        if (model.c[c.rows][free] != 0.0).any():
            raise NotAChain(f"a source lies between the rows of crossbar {c.name} and their nodes")
        shape.append((at, at + len(u), len(c.columns)))
        at += len(u)
        forth, back = matrices(c)
        ways.append((start, start if back is forth else -1 if back is None else start + forth.size))
        start += forth.size * (2 if back is not None and back is not forth else 1)
    tiles, share_start, shares = cut_into_tiles([s[2] for s in shape], [s[1] - s[0] for s in shape], parts)
    position, partner = _ports(circuit, where, len(shape), shape[-1][2])
    scale = energy_scale(circuit)
    if scale.culprit is not None and not circuit.transconductances:
        raise NotAChain(scale.culprit)
    scales = [1.0 if scale.culprit else scale.nodes[c.columns[0]] for c in circuit.couplings]
    return Shape(
        np.array(node, np.int64),
        np.array(shape, np.int64),
        np.array(ways, np.int64),
        start,
        bool(circuit.transconductances),
        scale.culprit is None,
        tuple(_block_names(c) for c in circuit.couplings),
        lines,
        constant,
        tuple(order),
        np.concatenate([np.zeros(0), *row_t]),
        np.concatenate([np.zeros(0), *row_w]),
        np.concatenate([np.zeros(0), *row_known]),
        tiles,
        share_start,
        shares,
        position,
        partner,
        _biases(circuit, where, node, driven),
        np.array(scales),
    )


def matrices(c: Crossbar | TransconductanceCrossbar) -> tuple[Array, Array | None]:
    """Return the tables (R, C) of the two directions, the same object where one serves both."""
    if isinstance(c, Crossbar):
        return c.conductance, c.conductance
    return c.forward, c.backward


def _block_names(c: Crossbar | TransconductanceCrossbar) -> tuple[str, str | None]:
    if isinstance(c, Crossbar):
        return f"{c.name}.conductance", None
    if c.symmetric:
        return f"{c.name}.transconductance", None
    return f"{c.name}.forward", f"{c.name}.backward" if c.backward is not None else None


def cut_into_tiles(columns: list[int], rows: list[int], first_tiles: int) -> tuple[Index, Index, int]:
    """Return the tiles of crossbars with so many columns and rows, where their row sums start, and how many."""
    tiles, starts, total = [], [], 0
    for c, width in enumerate(columns):
        size = TILE
        if c == 0:  # a tile per thread, but neither narrow ones nor ones whose working set is large
            parts = max(min(first_tiles, width // SHARE), width // (2 * SHARE), 1)
            size = rounded(-(-width // parts), COLUMNS)
        edges = [*range(0, width, size), width]
        tiles += [(c, a, b, k) for k, (a, b) in enumerate(pairwise(edges))]
        starts.append(total)
        total += rows[c] * (len(edges) - 1)
    return np.array(tiles, np.int64), np.array(starts, np.int64), total


def _ports(circuit: Circuit, where: Index, groups: int, size: int) -> tuple[Index, Index]:
    unknown = model_for(circuit).plan.unknown
    position, partner = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
    for k, (plus, minus) in enumerate(circuit.output_pairs):
        nodes = []
        for pin, code in ((plus, k), (minus, -k - 2)):
            if pin == 0:
                nodes.append(-1)
                continue
            u = unknown[pin]
            if u < 0 or where[u, 0] != groups - 1 or position[where[u, 1]] != -1:
                raise NotAChain(f"output {circuit.nodes[pin]} is not a node of the last group, used once")
            position[where[u, 1]] = code
            nodes.append(int(where[u, 1]))
        if nodes[0] < 0:
            raise NotAChain(f"output {k} has no positive node")
        if nodes[1] >= 0:
            partner[nodes[0]], partner[nodes[1]] = nodes[1], nodes[0]
    return position, partner


def _biases(
    circuit: Circuit, where: Index, node: list[int], driven: NDArray[np.bool_]
) -> tuple[tuple[int, Index] | None, ...]:
    """Return the bank of trainable bias currents of each group; check all other elements."""
    unknown = model_for(circuit).plan.unknown
    found: list[tuple[int, Index] | None] = [None] * (len(node) - 1)
    for b, bank in enumerate(circuit.banks):
        if issubclass(bank.device, Constraint) or bank.device is Capacitor:
            continue
        if bank.device is not CurrentSource and bank.device not in BLOCK_LAWS:  # a subclass may have another law
            raise NotAChain(f"element {bank.names[0]} is a {bank.device.kind}, of class {bank.device.__name__}")
        u = unknown[bank.pins]
        if driven[bank.pins[u < 0]].any():
            raise NotAChain(f"an element of bank {bank.name} joins an input and a solved node")
        if not bank.trainable:
            continue
        if bank.device is not CurrentSource or (bank.pins[:, 0] != 0).any() or (u[:, 1] < 0).any():
            raise NotAChain(f"bank {bank.name} is trainable and is no bank of bias currents from ground")
        groups = where[u[:, 1], 0]
        g = int(groups[0])
        size = node[g + 1] - node[g]
        order = where[u[:, 1], 1]
        if (groups != g).any() or found[g] is not None or sorted(order) != list(range(size)):
            raise NotAChain(f"bank {bank.name} does not hold one bias current for each node of one group")
        found[g] = (b, np.argsort(order))
    last = circuit.couplings[-1]
    bent: tuple[type, ...] = (Diode, SinhResistor, TanhNeuron)
    if (circuit.output_pairs[:, 1] != 0).any():  # clamps within a pair would bind its two nodes together
        bent = (*bent, IdealDiode)
    for bank in circuit.banks:
        touches = np.isin(unknown[bank.pins[:, :2]], unknown[last.columns]).any()
        if touches and bank.device in bent:
            raise NotAChain(f"{bank.names[0]} is a {bank.device.kind} at an output group")
    return tuple(found)
