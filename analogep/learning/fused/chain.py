"""A chain of crossbars: which circuits are one, and their values in the layout of the compiled epochs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import Capacitor, Constraint, CurrentSource, Diode, IdealDiode, Resistor, SinhResistor
from analogep.learning.scaling import energy_scale
from analogep.solve.groups import layered_plan
from analogep.solve.layered import layered_model, node_bounds
from analogep.solve.model import model_for

Array = NDArray[np.float64]
Index = NDArray[np.int64]

TILE = 512
"""Columns of an inner crossbar that are updated together: few enough for a working set in the first-level cache,
enough for long runs through memory."""

LINE = 64
"""Bytes of a cache line."""

SHARE = 256
"""Columns of the first crossbar that are worth a tile, and so a thread, of their own."""

NARROW = 32
"""Columns up to which a crossbar is also kept the other way round, so that inner loops are long."""


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
        Per crossbar: first and last of its rows in the row arrays, columns, start of its weights, (C, 4). The
        first crossbar has no rows there: its lines are clamped.
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
    """Return the chain that ``circuit`` is, its first crossbar cut into ``parts`` tiles.

    Raises
    ------
    NotAChain
        If it is not one; the message names an element.
    """
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
    for k, c in enumerate(circuit.crossbars):
        columns = plan.unknown[c.columns]
        if (columns < 0).any() or (plan.nodes[columns] != c.columns).any():
            raise NotAChain(f"the columns of crossbar {c.name} are not nodes of their own")
        if (where[columns, 0] >= 0).any():
            raise NotAChain(f"crossbar {c.name} and another share column nodes")
        where[columns, 0], where[columns, 1] = k, np.arange(len(columns))
        node.append(node[-1] + len(columns))
    if not circuit.crossbars or (where[:, 0] < 0).any():
        raise NotAChain("some node is no column of a crossbar")
    first = circuit.crossbars[0]
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
    shape, start = [], first.conductance.size
    shape.append((0, 0, len(first.columns), 0))
    order: list[Index] = [np.arange(0)]
    row_t, row_w, row_known = [], [], []
    at = 0
    for k, c in enumerate(circuit.crossbars[1:], 1):
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
        shape.append((at, at + len(u), len(c.columns), start))
        at += len(u)
        start += c.conductance.size
    tiles, share_start, shares = _tiles([s[2] for s in shape], [s[1] - s[0] for s in shape], parts)
    position, partner = _ports(circuit, where, len(shape), shape[-1][2])
    scale = energy_scale(circuit)
    if scale.culprit is not None:
        raise NotAChain(scale.culprit)
    scales = [scale.nodes[c.columns[0]] for c in circuit.crossbars]
    return Shape(
        np.array(node, np.int64),
        np.array(shape, np.int64),
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


def _tiles(columns: list[int], rows: list[int], first_tiles: int) -> tuple[Index, Index, int]:
    tiles, starts, total = [], [], 0
    for c, width in enumerate(columns):
        size = -(-width // max(1, min(first_tiles, width // SHARE))) if c == 0 else TILE
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
        if issubclass(bank.device, (Constraint, Capacitor)):
            continue
        if not issubclass(bank.device, (CurrentSource, Resistor, Diode, IdealDiode, SinhResistor)):
            raise NotAChain(f"element {bank.names[0]} is a {bank.device.kind}")
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
    last = circuit.crossbars[-1]
    for bank in circuit.banks:
        touches = np.isin(unknown[bank.pins[:, :2]], unknown[last.columns]).any()
        if touches and issubclass(bank.device, (Diode, IdealDiode, SinhResistor)):
            raise NotAChain(f"{bank.names[0]} is a {bank.device.kind} at an output group")
    return tuple(found)


def _narrow(shape: Index, dtype: np.dtype[np.floating]) -> tuple[Index, NDArray[np.floating]]:
    """Return where each crossbar of few columns is kept column by column, −1 for the others, and room for them."""
    sizes = np.where(shape[:, 2] <= NARROW, (shape[:, 1] - shape[:, 0]) * shape[:, 2], 0)
    starts = np.cumsum(sizes) - sizes
    return np.where(sizes > 0, starts, -1).astype(np.int64), np.zeros(max(int(sizes.sum()), 1), dtype)


def aligned(size: int, dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    """Return an uninitialised array (size,) that starts on a cache line, so that vectors do not straddle two."""
    raw = np.empty(size * dtype.itemsize + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size * dtype.itemsize].view(dtype)


class Chain:
    """The values of a chain in the kernels' layout; training changes them in place.

    Parameters
    ----------
    circuit
        The circuit.
    doubled
        Whether the second half of the inputs are the first half's negatives.
    dtype
        ``float32`` or ``float64``.
    parts
        How many tiles the first crossbar's columns are cut into at most, one per thread; a tile has no fewer than
        :data:`SHARE` columns.

    Attributes
    ----------
    net
        The arrays.
    extra
        Voltages [V] of the first crossbar's constant lines.

    Raises
    ------
    NotAChain
        If the circuit is not a chain.
    """

    def __init__(self, circuit: Circuit, *, doubled: bool, dtype: np.dtype[np.floating], parts: int = 1) -> None:
        from analogep.learning.fused.kernels.arrays import Net
        from analogep.learning.fused.kernels.updates import recount

        shape = chain_shape(circuit, parts)
        model = model_for(circuit)
        self.circuit, self.shape, self.dtype = circuit, shape, dtype
        self.kinds = 2 if doubled else 1
        self.lines = shape.lines.reshape(self.kinds, -1)
        known = model.known_voltages(np.zeros((1, len(circuit.input_nodes))))
        self.extra = known[0, circuit.crossbars[0].rows[shape.constant]].astype(dtype)
        order = np.concatenate([model.plan.unknown[c.columns] for c in circuit.crossbars])
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        lm = layered_model(circuit, layered_plan(circuit), model)
        low, high = node_bounds(lm, known, len(order))
        owner = place[model.plan.unknown[lm.junction_own]]
        rank = np.argsort(owner, kind="stable")
        fixed = known[0, lm.junction_nodes] - model.c[lm.junction_own]
        start = np.searchsorted(owner[rank], np.arange(len(order) + 1)).astype(np.int64)
        counts = np.diff(start)
        edges = shape.node
        law = [int(counts[a:b].any()) for a, b in pairwise(edges)]
        leak, steady = self._rest(order)
        self.net = Net(
            self.kinds,
            shape.node,
            shape.shape,
            self._weights(),
            np.zeros(len(order), dtype),
            np.zeros(max(shape.shares, 1), dtype),
            shape.share_start,
            shape.tiles,
            leak.astype(dtype),
            steady.astype(dtype),
            self._biases().astype(dtype),
            shape.row_t.astype(dtype),
            shape.row_w.astype(dtype),
            shape.row_known.astype(dtype),
            low[0, order].astype(dtype),
            high[0, order].astype(dtype),
            np.array(law, np.int64),
            start,
            np.ascontiguousarray(lm.junctions[rank]),
            np.ascontiguousarray(fixed[rank]),
            shape.partner,
            shape.position,
            int(np.array_equal(shape.position, np.arange(len(circuit.output_pairs)))),
            *_narrow(shape.shape, dtype),
            np.ones(NARROW, dtype),
        )
        recount(self.net, self.lines.shape[1], len(self.extra))

    def _weights(self) -> NDArray[np.floating]:
        """Return all conductances [S] in the kernels' layout; no second copy in float64 is made of them."""
        shape, crossbars = self.shape, self.circuit.crossbars
        out = aligned(sum(c.conductance.size for c in crossbars), self.dtype)
        for c, first, last, table in self._tables(out, shape.tiles):
            g = crossbars[c].conductance
            if c:
                for r, row in enumerate(shape.rows[c]):
                    table[r] = g[row]
                continue
            for kind, lines in enumerate(self.lines):
                for i, line in enumerate(lines):
                    table[self.kinds * i + kind] = g[line, first:last]
            table[self.lines.size :] = g[shape.constant, first:last]
        return out

    def _tables(
        self, weights: NDArray[np.floating], tiles: Index
    ) -> Iterator[tuple[int, int, int, NDArray[np.floating]]]:
        """Yield crossbar, first and last column, weights (rows, columns): the first by tiles, others whole."""
        for c, crossbar in enumerate(self.circuit.crossbars):
            rows, columns = crossbar.conductance.shape
            start = self.shape.shape[c, 3]
            edges = [(int(a), int(b)) for tile, a, b, _ in tiles if tile == 0] if c == 0 else [(0, columns)]
            for a, b in edges:
                yield c, a, b, weights[start + rows * a : start + rows * b].reshape(rows, b - a)

    def _biases(self) -> Array:
        out = np.zeros(self.shape.node[-1])
        for g, bank in enumerate(self.shape.bias):
            if bank is not None:
                amplitude = self.circuit.banks[bank[0]].values["amplitude"]
                out[self.shape.node[g] : self.shape.node[g + 1]] = amplitude[bank[1]]
        return out

    def _rest(self, order: Index) -> tuple[Array, Array]:
        """Return the conductance of resistors at each node [S], and the untrained current into it [A]."""
        circuit, model = self.circuit, model_for(self.circuit)
        known = model.known_voltages(np.zeros((1, len(circuit.input_nodes))))[0]
        leak, into = np.zeros(len(circuit.nodes)), np.zeros(len(circuit.nodes))
        for bank in circuit.banks:
            p, n = bank.pins[:, 0], bank.pins[:, 1]
            if bank.device is Resistor:
                for a, b in ((p, n), (n, p)):
                    np.add.at(leak, a, bank.values["conductance"])
                    np.add.at(into, a, bank.values["conductance"] * known[b])
            elif bank.device is CurrentSource and not bank.trainable:
                np.add.at(into, p, -bank.values["amplitude"])
                np.add.at(into, n, bank.values["amplitude"])
        plan = model.plan
        out = np.zeros((2, len(order)))
        free = plan.unknown >= 0
        np.add.at(out[0], plan.unknown[free], (model.w * model.t * leak)[free])
        np.add.at(out[1], plan.unknown[free], (model.w * (into - leak * model.c))[free])
        return out[0, order], out[1, order]

    def parameters(self) -> dict[str, Array]:
        """Return the trainable parameters with the shapes of ``circuit.parameters``, in SI units."""
        out = {}
        shape, circuit, net = self.shape, self.circuit, self.net
        for k, c in enumerate(circuit.crossbars):
            if not c.trainable:
                continue
            g: Array = np.empty(c.conductance.shape)
            for tile, a, b, table in self._tables(net.weights, shape.tiles):
                if tile != k:
                    continue
                if k:
                    g[shape.rows[k]] = table
                    continue
                for kind, lines in enumerate(self.lines):
                    g[lines, a:b] = table[kind : self.lines.size : self.kinds]
                g[shape.constant, a:b] = table[self.lines.size :]
            out[f"{c.name}.conductance"] = g
        for group, bank in enumerate(shape.bias):
            if bank is not None:
                here = net.bias[shape.node[group] : shape.node[group + 1]]
                amplitude = np.empty(len(here))
                amplitude[bank[1]] = here
                out[f"{circuit.banks[bank[0]].name}.amplitude"] = amplitude
        return out

    def bias_block(self, group: int) -> str | None:
        """Return the name of the block of trained currents of a group, ``None`` if it has none."""
        bank = self.shape.bias[group]
        return None if bank is None else f"{self.circuit.banks[bank[0]].name}.amplitude"
