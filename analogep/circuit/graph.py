"""networkx in and out: devices on edges, roles on nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import fields, replace
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from analogep.circuit.couplings import Crossbar, TransconductanceCrossbar
from analogep.circuit.elements import GROUND, Bank, Parts
from analogep.devices import (
    VCCS,
    CurrentSource,
    Device,
    MutualTransconductance,
    Resistor,
    VoltageSource,
    Waveform,
)
from analogep.errors import CircuitError, Fault
from analogep.kinds import checked, is_whole, nearest, shown

_GROUND_NAMES = {"0", "gnd"}
ROLES = ("ground", "input", "output")
EDGE_KEYS = ("device", "name", "trainable", "bank", "crossbar")
"""What an edge may carry; anything else would be overlooked, and is a fault."""

_OTHER_NODE_WORDS = ("input", "output", "ground", *EDGE_KEYS)


def _node_name(node: Hashable, role: object) -> str:
    text = str(node)
    if role == "ground" or text.lower() in _GROUND_NAMES:
        return GROUND
    return text if isinstance(node, str) or not text[:1].isdigit() else f"n{text}"


def _is_hashable(node: object) -> bool:
    try:
        hash(node)
    except TypeError:
        return False
    return True


@checked(CircuitError, "graph")
def parts_of_graph(
    graph: nx.MultiDiGraph, inputs: Sequence[Any] | None = None, outputs: Sequence[Any] | None = None
) -> dict[str, Any]:
    """Return the fields of the :class:`~analogep.circuit.circuit.Circuit` that a networkx graph describes.

    Parameters
    ----------
    graph
        A ``MultiDiGraph`` whose edges carry ``device=`` (a device instance) and optionally ``name=``,
        ``trainable=`` (true, or a parameter name, or several), ``bank=`` (name of the parameter block) and
        ``crossbar=(name, row, column)`` (see :func:`graph_of`). The edge runs from the device's first pin
        to its second; devices with more pins name the nodes of the others as ``control=``: (cp, cn) of a
        controlled source or a switch, (gate, bulk) of a MOSFET. Nodes may carry ``role=`` ``"ground"``,
        ``"input"`` or ``"output"``; nodes called 0, "0" or "gnd" are ground. Node names that start with a digit
        get the prefix ``n``.
    inputs, outputs
        Clamped nodes, and observed nodes or pairs (positive, negative) of nodes; they replace the roles.

    Raises
    ------
    CircuitError
        With every fault of the graph by element name.
    """
    faults: list[Fault] = []
    names: dict[Hashable, str] = {}
    for node, data in graph.nodes(data=True):
        role = data.get("role")
        if role is not None and role not in ROLES:
            faults.append(Fault(f"node {node}", f"unknown role {role!r}; use one of {', '.join(ROLES)}"))
        names[node] = _node_name(node, role)
        for key in data:
            hint = "did you mean role?" if key in _OTHER_NODE_WORDS else nearest(key, ("role",))
            if key != "role" and hint:  # other attributes are the user's own
                faults.append(Fault(f"node {node}", f"attribute {key!r} means nothing on a node; {hint}"))
    for key in graph.graph:
        if key not in ("inputs", "outputs") and (hint := nearest(key, ("inputs", "outputs"))):
            faults.append(Fault("graph", f"attribute {key!r} means nothing; {hint}"))
    nodes = [GROUND, *(n for n in dict.fromkeys(names.values()) if n != GROUND)]
    clashes = sorted(n for n, count in Counter(names.values()).items() if n != GROUND and count > 1)
    faults += [Fault(f"node {n}", "two graph nodes have this name") for n in clashes]
    index = {name: i for i, name in enumerate(nodes)}

    def find(node: Any, what: str) -> int:
        for candidate in (node, str(node)):
            if _is_hashable(candidate) and candidate in names:
                return index[names[candidate]]
        name = _node_name(node, None)
        if name in index:
            return index[name]
        faults.append(Fault(what, f"unknown node {node!r}"))
        return 0

    given = (data.get("name") for _, _, data in graph.edges(data=True))
    builder = _Banks(faults, {str(name).lower() for name in given if name is not None})
    for u, v, data in graph.edges(data=True):
        builder.add(index[names[u]], index[names[v]], data, find)
    inputs = graph.graph.get("inputs") if inputs is None else inputs
    outputs = graph.graph.get("outputs") if outputs is None else outputs
    if inputs is None:
        inputs = [n for n, d in graph.nodes(data=True) if d.get("role") == "input"]
    if outputs is None:
        outputs = [n for n, d in graph.nodes(data=True) if d.get("role") == "output"]
    input_nodes = [find(n, f"input {n}") for n in inputs]
    output_pairs = []
    for output in outputs:
        if isinstance(output, list) or (
            isinstance(output, tuple) and not (_is_hashable(output) and output in names)
        ):
            if len(output) != 2:
                faults.append(Fault(f"output {output}", "give one node or a pair (positive, negative)"))
                continue
            output_pairs.append([find(output[0], f"output {output}"), find(output[1], f"output {output}")])
        else:
            output_pairs.append([find(output, f"output {output}"), 0])
    banks, crossbars, couplings = builder.build()
    if faults:
        raise CircuitError("graph", faults)
    return {
        "nodes": tuple(nodes),
        "banks": banks,
        "crossbars": crossbars,
        "input_nodes": np.array(input_nodes, np.int64),
        "output_pairs": np.array(output_pairs, np.int64),
        "waveforms": builder.waveforms,
        "transconductances": couplings,
    }


_Cells = dict[tuple[int, int], tuple[int, int, float]]


class _Banks:
    """Collects edges into banks and crossbars."""

    def __init__(self, faults: list[Fault], given: set[str]) -> None:
        self.faults = faults
        self.given = given
        self.banks: dict[str, tuple[type[Device], frozenset[str], list[Any]]] = {}
        # by name: kind of element, trainable, and of each direction (row, column): row node, column node, value
        self.crossbars: dict[str, tuple[type[Device], bool, dict[str, _Cells]]] = {}
        self.counts: dict[str, int] = {}
        self.waveforms: dict[str, Waveform] = {}

    def add(self, u: int, v: int, data: dict[str, Any], find: Any) -> None:
        device = data.get("device")
        name = data.get("name")
        for key in data:
            if key not in EDGE_KEYS:
                hint = nearest(key, EDGE_KEYS) or f"an edge carries {', '.join(EDGE_KEYS)}"
                where = str(name or getattr(device, "kind", "edge"))
                self.faults.append(Fault(where, f"unknown edge attribute {key!r}; {hint}"))
        for key in ("name", "bank"):
            if data.get(key) is not None and not isinstance(data[key], str):
                self.faults.append(Fault(str(name or "edge"), f"{key}={shown(data[key])}; give a text"))
                return
        if not isinstance(device, Device):
            self.faults.append(
                Fault(
                    str(name or "edge"),
                    f"edge attribute device={shown(device)} is not a device; use e.g. "
                    "device=analogep.devices.Resistor(conductance=1e-4)",
                )
            )
            return
        kind = device.kind
        name = str(name) if name is not None else self._automatic(kind)
        wish = data.get("trainable", False)
        try:
            trainable = _trainable(device, wish)
        except TypeError:
            self.faults.append(Fault(name, f"trainable={shown(wish)}; give true, a parameter's name, or several"))
            return
        pins = [u, v]
        if any(f.name == "control" for f in fields(device)):  # type: ignore[arg-type]
            control, wanted = getattr(device, "control", None), device.pins[2:]
            control = () if control is None and not wanted else control
            if not isinstance(control, (tuple, list)) or len(control) != len(wanted):
                self.faults.append(Fault(name, f"control={control!r}; give the nodes as ({', '.join(wanted)})"))
                return
            pins += [find(node, name) for node in control]
        if (crossbar := data.get("crossbar")) is not None:
            self._add_crossbar(name, pins, device, bool(trainable), crossbar)
            return
        block = data.get("bank")
        if block is None:
            block = self._own_block(kind if trainable else f"{kind}_fixed", type(device))
        known = self.banks.setdefault(str(block), (type(device), trainable, []))
        if known[0] is not type(device) or known[1] != trainable:
            self.faults.append(
                Fault(
                    name,
                    f"bank {block!r} holds {known[0].kind} elements with trainable={sorted(known[1])}; "
                    "give this element another bank",
                )
            )
            return
        known[2].append((name, pins, device.values))
        if isinstance(device, (VoltageSource, CurrentSource)) and device.waveform is not None:
            self.waveforms[name] = device.waveform

    def _own_block(self, stem: str, device: type[Device]) -> str:
        """Return the bank of a device that names none; of behavioural sources, each expression has its own."""
        block, k = stem, 1
        while block in self.banks and self.banks[block][0] is not device:
            k += 1
            block = f"{stem}{k}"
        return block

    def _automatic(self, kind: str) -> str:
        """Return the next name of a kind that no edge was given."""
        while True:
            self.counts[kind] = self.counts.get(kind, 0) + 1
            name = f"{kind}{self.counts[kind]}"
            if name not in self.given:
                return name

    def _add_crossbar(
        self, name: str, pins: list[int], device: Device, trainable: bool, place: tuple[Any, ...]
    ) -> None:
        keyed = isinstance(device, VCCS)
        wanted = "(name, 'forward' or 'backward', row, column)" if keyed else "(name, row, column)"
        try:
            block, *words, row, column = place
            if len(words) != keyed or not set(words) <= {"forward", "backward"}:
                raise ValueError
        except (TypeError, ValueError):
            self.faults.append(Fault(name, f"crossbar={place!r}; give {wanted}"))
            return
        if not isinstance(block, str) or not all(is_whole(k) and k >= 0 for k in (row, column)):
            self.faults.append(
                Fault(name, f"crossbar={place!r}; row and column count from 0, and the first is a name")
            )
            return
        if not isinstance(device, (Resistor, MutualTransconductance, VCCS)):
            what = "resistors, mutual transconductances or VCCSs"
            self.faults.append(Fault(name, f"a crossbar holds {what}, not a {device.kind}"))
            return
        if isinstance(device, Resistor):
            key, value, ends = "conductance", device.conductance, (pins[0], pins[1])
        else:
            if pins[1] or pins[3]:
                self.faults.append(Fault(name, "the ports of a crossbar's transconductances end at ground"))
                return
            # a current into the column is positive: the weight is the opposite of the element's current
            key, value = words[0] if keyed else "transconductance", -device.transconductance
            ends = (pins[0], pins[2]) if key == "backward" else (pins[2], pins[0])
        known = self.crossbars.setdefault(str(block), (type(device), trainable, {}))
        if known[0] is not type(device):
            self.faults.append(Fault(name, f"crossbar {block} holds elements of one kind, {known[0].kind}"))
            return
        if known[1] != trainable:
            self.faults.append(Fault(name, f"crossbar {block} is trainable as a whole or not at all"))
        cells = known[2].setdefault(key, {})
        if (row, column) in cells:
            self.faults.append(Fault(name, f"crossbar {block} has two elements at ({row}, {column})"))
        cells[int(row), int(column)] = (*ends, value)

    def build(self) -> tuple[tuple[Bank, ...], tuple[Crossbar, ...], tuple[TransconductanceCrossbar, ...]]:
        banks = []
        for block, (device, trainable, elements) in self.banks.items():
            values = {k: np.array([e[2][k] for e in elements]) for k in device.parameters()}
            pins = np.array([e[1] for e in elements], np.int64).reshape(-1, len(device.pins))
            banks.append(Bank(block, device, pins, values, tuple(e[0] for e in elements), trainable))
        crossbars, couplings = [], []
        for block, (_, able, tables) in self.crossbars.items():
            found = {key: self._table(block, cells) for key, cells in tables.items()}
            ends = [(rows.tolist(), columns.tolist()) for rows, columns, _ in found.values()]
            if any(pair != ends[0] for pair in ends):
                self.faults.append(Fault(f"crossbar {block}", "its two directions are on different nodes"))
                continue
            rows, columns, table = next(iter(found.values()))
            if "conductance" in found:
                crossbars.append(Crossbar(block, rows, columns, table, able))
            else:
                values = {key: matrix for key, (_, _, matrix) in found.items()}
                couplings.append(TransconductanceCrossbar(block, rows, columns, values, able))
        return tuple(banks), tuple(crossbars), tuple(couplings)

    def _table(
        self, block: str, cells: _Cells
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return rows, columns and values of a table; faults are noted."""
        shape = (1 + max(r for r, _ in cells), 1 + max(c for _, c in cells))
        if len(cells) != shape[0] * shape[1]:  # before a table is made of what may be a slip
            what = f"{len(cells)} elements do not fill a table of {shape}"
            self.faults.append(Fault(f"crossbar {block}", what))
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 0))
        g = np.zeros(shape)
        rows, columns = np.full(shape[0], -1), np.full(shape[1], -1)
        for (r, c), (u, v, value) in cells.items():
            if rows[r] not in (-1, u) or columns[c] not in (-1, v):
                self.faults.append(
                    Fault(f"crossbar {block}", f"element ({r}, {c}) is on other nodes than its row or column")
                )
                break
            rows[r], columns[c], g[r, c] = u, v, value
        return rows, columns, g


def _trainable(device: Device, wish: object) -> frozenset[str]:
    """Return the names of the trainable parameters; raises ``TypeError`` for what is no such wish."""
    if isinstance(wish, (bool, np.bool_)):
        return frozenset(k for k, info in device.parameters().items() if info.trainable and wish)
    if wish is None:
        return frozenset()
    names = [wish] if isinstance(wish, str) else wish
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(isinstance(n, str) for n in names):
        raise TypeError
    return frozenset(names)


def graph_of(circuit: Parts) -> nx.MultiDiGraph:
    """Return a graph that :func:`parts_of_graph` turns into an equal circuit.

    Crossbars are expanded into single resistors that carry ``crossbar=(name, row, column)``, couplings by
    transconductance into mutual transconductances, or VCCSs with ``crossbar=(name, direction, row, column)``.
    Inputs and outputs are in ``graph.graph["inputs"]`` and ``["outputs"]`` and, where they are single nodes, in
    the nodes' roles.
    """
    graph = nx.MultiDiGraph(inputs=list(circuit.inputs), outputs=list(circuit.outputs))
    for name in circuit.nodes:
        graph.add_node(name)
    graph.nodes[GROUND]["role"] = "ground"
    for name in circuit.inputs:
        graph.nodes[name]["role"] = "input"
    for output in circuit.outputs:
        if isinstance(output, str) and "role" not in graph.nodes[output]:
            graph.nodes[output]["role"] = "output"
    nodes = circuit.nodes
    for c in circuit.crossbars:
        for r, row in enumerate(c.rows):
            for k, column in enumerate(c.columns):
                graph.add_edge(
                    nodes[row],
                    nodes[column],
                    device=Resistor(conductance=float(c.conductance[r, k])),
                    name=c.element_name(r, k),
                    trainable=c.trainable,
                    crossbar=(c.name, r, k),
                )
    for t in circuit.transconductances:
        _add_transconductances(graph, t, nodes)
    for bank in circuit.banks:
        for e, (name, pins) in enumerate(zip(bank.names, bank.pins, strict=True)):
            device = bank.element(e)
            if len(pins) > 2:
                control = tuple(nodes[i] for i in pins[2:])
                device = type(device)(**device.values, control=control)  # type: ignore[call-arg]
            if name in circuit.waveforms and isinstance(device, (VoltageSource, CurrentSource)):
                device = replace(device, waveform=circuit.waveforms[name])
            trainable = tuple(sorted(bank.trainable))
            graph.add_edge(
                nodes[pins[0]], nodes[pins[1]], device=device, name=name, trainable=trainable, bank=bank.name
            )
    return graph


def _add_transconductances(graph: nx.MultiDiGraph, t: TransconductanceCrossbar, nodes: Sequence[str]) -> None:
    """Add an edge for each source of a coupling by transconductance, or for each pair of a symmetric one."""
    for r, row in enumerate(t.rows):
        for k, column in enumerate(t.columns):
            for key, matrix in t.values.items():
                into, of = (row, column) if key == "backward" else (column, row)
                kind = MutualTransconductance if t.symmetric else VCCS
                words = () if t.symmetric else (key,)
                graph.add_edge(
                    nodes[into],
                    GROUND,
                    device=kind(transconductance=-float(matrix[r, k]), control=(nodes[of], GROUND)),
                    name=t.element_name("forward" if t.symmetric else key, r, k),
                    trainable=t.trainable,
                    crossbar=(t.name, *words, r, k),
                )
