"""Norton's theorem at the inputs: resistors from ideal sources as one conductance and one current per node.

A node that resistors g_k join to input voltages v_k draws Σ g_k (v - v_k) through them: what the conductance
G = Σ g_k to ground and the current J = Σ g_k v_k into the node do together. The voltages of all nodes stay the
same, exactly; a simulator that need not factor thousands of input branches is orders of magnitude faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.circuit import Bank, Circuit, Crossbar, Topology, TransconductanceCrossbar
from analogep.devices import CurrentSource, Resistor

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]

_Ends = tuple[Index, Index, Array, bool]
"""Input nodes, the nodes they drive, what is between [S], (E,) each, and whether that also loads the nodes."""


@dataclass(frozen=True)
class Folding:
    """A circuit whose resistors at the inputs are folded.

    Attributes
    ----------
    kept
        The circuit without the folded resistors; its inputs still clamp their nodes.
    nodes
        Indices (F,) of the nodes that faced inputs through resistors.
    transfer
        Current into those nodes per input voltage, (F, I) [S], a sparse matrix.
    load
        Conductance (F,) [S] from those nodes to ground: that of their resistors, none of transconductances.
    """

    kept: Circuit
    nodes: Index
    transfer: sp.csr_array
    load: Array

    @property
    def names(self) -> tuple[str, ...]:
        """SPICE names (F,) of the equivalent current sources."""
        return tuple(f"Ifold_{self.kept.nodes[n]}" for n in self.nodes)

    def currents(self, inputs: Array) -> Array:
        """Return the equivalent currents (B, F) [A] for input voltages (B, I) [V]."""
        out: Array = np.asarray(inputs @ self.transfer.T)
        return out

    def at(self, voltages: Array) -> Circuit:
        """Return the folded circuit for one sample's input voltages (I,) [V]."""
        if not len(self.nodes):
            return self.kept
        ground = np.zeros_like(self.nodes)
        ends = np.stack([self.nodes, ground], axis=1)
        named = [name.removeprefix("I") for name in self.names]
        held = self.load > 0.0
        values = {"conductance": self.load[held]}
        names = tuple(f"R{n}" for n, there in zip(named, held.tolist(), strict=True) if there)
        resistors = Bank("folded_g", Resistor, ends[held], values, names)
        amplitude = {"amplitude": self.currents(voltages[None, :])[0]}
        sources = Bank("folded_i", CurrentSource, ends[:, ::-1], amplitude, self.names)
        return replace(self.kept, banks=(*self.kept.banks, resistors, sources), checked=True)


def fold(circuit: Circuit) -> Folding:
    """Fold the resistors and crossbar conductances of a circuit that end at an input.

    One between an input and ground, or between two inputs, changes no voltage and is left out. Other elements
    at an input, such as diodes and amplifiers, stay.
    """
    clamped = np.zeros(len(circuit.nodes), dtype=bool)
    clamped[circuit.input_nodes] = True
    found: list[_Ends] = []
    crossbars = []
    for crossbar in circuit.crossbars:
        rest, ends = _without_inputs(crossbar, clamped)
        crossbars += rest
        found += ends
    banks = []
    for bank in circuit.banks:
        if bank.device is Resistor:
            bank, ends = _resistors_without_inputs(bank, clamped)
            found += ends
        banks.append(bank)
    couplings = []
    for coupling in circuit.transconductances:
        inner, ends = _transconductances_without_inputs(coupling, clamped)
        couplings += inner
        found += ends
    kept = replace(
        circuit,
        banks=tuple(banks),
        crossbars=tuple(crossbars),
        transconductances=tuple(couplings),
        topology=Topology(),
        checked=True,
    )
    return _folding(kept, found)


def _folding(kept: Circuit, found: Sequence[_Ends]) -> Folding:
    empty = np.zeros(0, np.int64)
    inputs = np.concatenate([empty, *(f[0] for f in found)])
    driven = np.concatenate([empty, *(f[1] for f in found)])
    g = np.concatenate([np.zeros(0), *(f[2] for f in found)])
    loads = np.concatenate([np.zeros(0, bool), *(np.full(len(f[0]), f[3]) for f in found)])
    wanted = (driven != 0) & (g != 0.0)
    nodes, row = np.unique(driven[wanted], return_inverse=True)
    column = np.zeros(len(kept.nodes), np.int64)
    column[kept.input_nodes] = np.arange(len(kept.input_nodes))
    shape = (len(nodes), len(kept.input_nodes))
    transfer = sp.csr_array((g[wanted], (row, column[inputs[wanted]])), shape=shape)
    load = np.bincount(row, np.where(loads, g, 0.0)[wanted], len(nodes)).astype(float)
    return Folding(kept, nodes, transfer, load)


def _without_inputs(crossbar: Crossbar, clamped: Mask) -> tuple[list[Crossbar], list[_Ends]]:
    rows, columns, g = crossbar.rows, crossbar.columns, crossbar.conductance
    row_in, column_in = clamped[rows], clamped[columns]
    if not (row_in.any() or column_in.any()):
        return [crossbar], []
    found = []
    for driving, driven, table in (
        (rows[row_in], columns[~column_in], g[row_in][:, ~column_in]),
        (columns[column_in], rows[~row_in], g[~row_in][:, column_in].T),
    ):
        ends = np.broadcast_arrays(driving[:, None], driven[None, :])
        found.append((ends[0].ravel(), ends[1].ravel(), table.ravel(), True))
    inner = replace(
        crossbar,
        rows=rows[~row_in],
        columns=columns[~column_in],
        conductance=g[~row_in][:, ~column_in],
    )
    return ([inner] if inner.size else []), found


def _transconductances_without_inputs(
    t: TransconductanceCrossbar, clamped: Mask
) -> tuple[list[TransconductanceCrossbar], list[_Ends]]:
    row_in, column_in = clamped[t.rows], clamped[t.columns]
    if not (row_in.any() or column_in.any()):
        return [t], []
    tables = [(t.rows[row_in], t.columns[~column_in], t.forward[row_in][:, ~column_in])]
    if t.backward is not None:
        tables.append((t.columns[column_in], t.rows[~row_in], t.backward[~row_in][:, column_in].T))
    found = []
    for driving, driven, table in tables:
        ends = np.broadcast_arrays(driving[:, None], driven[None, :])
        found.append((ends[0].ravel(), ends[1].ravel(), table.ravel(), False))
    values = {key: value[~row_in][:, ~column_in] for key, value in t.values.items()}
    inner = replace(t, rows=t.rows[~row_in], columns=t.columns[~column_in], values=values)
    return ([inner] if inner.size else []), found


def _resistors_without_inputs(bank: Bank, clamped: Mask) -> tuple[Bank, list[_Ends]]:
    touched = clamped[bank.pins]
    any_in: Mask = np.any(touched, axis=1)
    if not any_in.any():
        return bank, []
    g = bank.values["conductance"]
    found = []
    for end in (0, 1):
        picked = touched[:, end] & ~touched[:, 1 - end]
        found.append((bank.pins[picked, end], bank.pins[picked, 1 - end], g[picked], True))
    names = tuple(name for name, gone in zip(bank.names, any_in.tolist(), strict=True) if not gone)
    return replace(bank, pins=bank.pins[~any_in], values={"conductance": g[~any_in]}, names=names), found
