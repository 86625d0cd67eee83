"""The values of a chain of crossbars in the layout of the compiled epochs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.circuit.couplings import given_away
from analogep.devices import CurrentSource, Resistor
from analogep.learning.fused.layout import FirstCrossbar, aligned
from analogep.learning.fused.shape import Array, Index, chain_shape, matrices
from analogep.solve.equations.model import model_for
from analogep.solve.layered.groups import layered_plan
from analogep.solve.layered.layered import layered_model, node_bounds

NARROW = 32
"""Columns up to which a crossbar lies column by column, so that inner loops are long."""


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
        How many tiles the first crossbar's columns are cut into, one per thread, if each then gets :data:`SHARE`
        columns; more where they would be wider than twice that.

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
        from analogep.learning.fused.scratch import junctions_address
        from analogep.learning.fused.sums import recount

        shape = chain_shape(circuit, parts)
        model = model_for(circuit)
        self.circuit, self.shape, self.dtype = circuit, shape, dtype
        self.kinds = 2 if doubled else 1
        self.lines = shape.lines.reshape(self.kinds, -1)
        known = model.known_voltages(np.zeros((1, len(circuit.input_nodes))))
        self.turned = (shape.shape[:, 2] <= NARROW) & (np.arange(len(shape.shape)) > 0)
        self.layout = FirstCrossbar(self.lines.shape[1], self.kinds, len(shape.constant))
        self.extra = known[0, circuit.couplings[0].rows[shape.constant]].astype(dtype)
        order = np.concatenate([model.plan.unknown[c.columns] for c in circuit.couplings])
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
            self.layout.features,
            self.layout.depth,
            shape.node,
            shape.shape,
            shape.ways,
            int(shape.mutual),
            self._first(),
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
            self.turned.astype(np.int64),
            np.ones(NARROW, dtype),
            junctions_address(self.dtype, lm.junctions, fixed) if any(law) else 0,
        )
        recount(self.net, self.layout, self.extra)

    def _first(self) -> NDArray[np.floating]:
        """Return the (trans)conductances [S] of the first crossbar in its layout, without a copy in float64."""
        coupling, constant = self.circuit.couplings[0], self.shape.constant
        g, _ = matrices(coupling)
        out = self.layout.empty(len(coupling.columns), self.dtype)
        for c, a, b, _ in self.shape.tiles.tolist():
            if c == 0:
                self.layout.put(out, a, b, g[self.lines, a:b], g[constant, a:b])
        return out

    def _weights(self) -> NDArray[np.floating]:
        """Return the (trans)conductances [S] of the others in the kernels' layout, without a copy in float64."""
        out = aligned(self.shape.size, self.dtype)
        for c, way, table in self._tables(out):
            g = matrices(self.circuit.couplings[c])[way]
            assert g is not None
            for r, row in enumerate(self.shape.rows[c]):
                table[r] = g[row]
        return out

    def _tables(self, weights: NDArray[np.floating]) -> Iterator[tuple[int, int, NDArray[np.floating]]]:
        """Yield crossbar, way and table (rows, columns) of the crossbars between groups."""
        for c, coupling in enumerate(self.circuit.couplings[1:], 1):
            rows, columns = len(coupling.rows), len(coupling.columns)
            forth, back = self.shape.ways[c]
            for way, start in ((0, forth), (1, back)):
                if way == 0 or start not in (-1, forth):
                    table = weights[start : start + rows * columns]
                    if self.turned[c]:
                        yield c, way, table.reshape(columns, rows).T
                    else:
                        yield c, way, table.reshape(rows, columns)

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
        """Return the trainable parameters with the shapes of ``circuit.parameters``, in SI units, read-only."""
        out: dict[str, Array] = {}
        shape, circuit, net = self.shape, self.circuit, self.net
        for k, c in enumerate(circuit.couplings):
            for name in shape.blocks[k]:
                if c.trainable and name is not None:
                    out[name] = np.empty((len(c.rows), len(c.columns)))
        first = shape.blocks[0][0]
        if first in out:
            for k, a, b, _ in shape.tiles.tolist():
                if k == 0:
                    out[first][self.lines, a:b], out[first][shape.constant, a:b] = self.layout.get(net.first, a, b)
        for k, way, table in self._tables(net.weights):
            name = shape.blocks[k][way]
            if name in out:
                out[name][shape.rows[k]] = table
        for group, bank in enumerate(shape.bias):
            if bank is not None:
                here = net.bias[shape.node[group] : shape.node[group + 1]]
                amplitude = np.empty(len(here))
                amplitude[bank[1]] = here
                out[f"{circuit.banks[bank[0]].name}.amplitude"] = amplitude
        return {name: given_away(value) for name, value in out.items()}

    def bias_block(self, group: int) -> str | None:
        """Return the name of the block of trained currents of a group, ``None`` if it has none."""
        bank = self.shape.bias[group]
        return None if bank is None else f"{self.circuit.banks[bank[0]].name}.amplitude"
