"""Networks with the same device on every edge of a graph: square lattices and disordered graphs.

Decentralised learning was shown on such boards: variable resistors (Dillavou et al. 2022), then transistors whose
gate voltages are what is learned (Dillavou et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Bank, Circuit
from analogep.devices import Device, Mosfet, OnePort, Resistor, VoltageSource
from analogep.errors import CircuitError, Fault
from analogep.kinds import checked
from analogep.networks.builder import memory_fault

Index = NDArray[np.int64]
Places = int | Sequence[int]

_NODE = 2000.0
"""Bytes that a node takes with its two or three edges and their names."""


@checked(CircuitError)
def lattice(
    rows: int,
    columns: int,
    inputs: Places,
    outputs: Places,
    *,
    periodic: bool = False,
    bias_voltages: Sequence[float] = (),
    paired_outputs: bool = False,
    edge: Device | None = None,
    initial: tuple[float, float] | None = None,
    rng: np.random.Generator | None = None,
) -> Circuit:
    """Return a square lattice of nodes with a device on every edge.

    Parameters
    ----------
    rows, columns
        Size of the lattice; node (r, c) has the index r · columns + c.
    inputs, outputs
        How many there are, at nodes drawn by ``rng``, or the indices of their nodes. Paired outputs take two
        nodes each: first all positive ones, then all negative ones.
    periodic
        Whether opposite borders are joined; the periodic 4 × 4 lattice with its 32 edges is that of Dillavou
        et al. 2024.
    bias_voltages
        Voltage [V] of each further node, drawn by ``rng``, that a source holds. Give two levels that differ: one
        level in the middle between the inputs' makes the network odd about it, and XOR cannot be learned.
    paired_outputs
        Whether an output is the difference of two nodes, so that it can have any sign.
    edge
        The device on every edge, ``Resistor(conductance=1e-4)`` by default, with its first trainable parameter
        learned. A transistor lies on an edge with drain and source; its bulk is ground, and so is its gate but
        for the gate voltage in series: keep all nodes above ground.
    initial
        Range of the uniform draw of the trained parameter, in its SI unit; the edge's own value if not given.
    rng
        Generator for the nodes and values; a fixed one by default.

    Returns
    -------
    Circuit
        Nodes ``x0…``, ``bias0…``, ``y0…`` or ``y0p``/``y0n``, and ``h0…`` for the rest; parameter block
        ``"edge.conductance"`` or ``"edge.gate_voltage"``.

    Raises
    ------
    CircuitError
        If the arguments make no network; names each fault.
    """
    if not (_counts(rows) and _counts(columns) and (columns > 1 or rows > 1)):
        raise CircuitError("lattice", [Fault("rows, columns", f"{rows} × {columns}; give at least two nodes")])
    _require_room("lattice", "rows, columns", f"{rows} × {columns}", float(rows) * float(columns))
    number = np.arange(rows * columns).reshape(rows, columns)
    pairs = [np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], axis=1)]
    pairs.append(np.stack([number[:-1].ravel(), number[1:].ravel()], axis=1))
    if periodic and columns > 2:
        pairs.append(np.stack([number[:, -1], number[:, 0]], axis=1))
    if periodic and rows > 2:
        pairs.append(np.stack([number[-1], number[0]], axis=1))
    rng = np.random.default_rng(0) if rng is None else rng
    edges = np.concatenate(pairs)
    return _network(
        "lattice", number.size, edges, inputs, outputs, bias_voltages, paired_outputs, edge, initial, rng
    )


@checked(CircuitError, "disordered graph")
def disordered(
    nodes: int,
    inputs: Places,
    outputs: Places,
    *,
    bias_voltages: Sequence[float] = (),
    paired_outputs: bool = False,
    edge: Device | None = None,
    initial: tuple[float, float] | None = None,
    rng: np.random.Generator | None = None,
) -> Circuit:
    """Return a disordered planar graph with a device on every edge.

    The nodes lie at random in the unit square; the edges are those of their Delaunay triangulation, about three
    for each node. Stern et al. 2021 train disordered graphs with terminals at random nodes, as here.

    Parameters
    ----------
    nodes
        How many nodes there are, terminals included.
    inputs, outputs, bias_voltages, paired_outputs, edge, initial, rng
        As for :func:`lattice`.

    Returns
    -------
    Circuit
        As :func:`lattice` does.

    Raises
    ------
    CircuitError
        If the arguments make no network; names each fault.
    """
    if not _counts(nodes) or nodes < 4:
        raise CircuitError("disordered graph", [Fault("nodes", f"{nodes!r}; give at least four")])
    _require_room("disordered graph", "nodes", str(nodes), float(nodes))
    from scipy.spatial import Delaunay  # not needed to build other circuits

    rng = np.random.default_rng(0) if rng is None else rng
    triangles = Delaunay(rng.uniform(size=(nodes, 2))).simplices
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]])
    pairs = np.unique(np.sort(sides, axis=1), axis=0).astype(np.int64)
    return _network(
        "disordered graph", nodes, pairs, inputs, outputs, bias_voltages, paired_outputs, edge, initial, rng
    )


def _require_room(what: str, name: str, shown: str, nodes: float) -> None:
    """Raise :class:`CircuitError` if there is no memory for so many nodes with their edges."""
    faults = memory_fault(name, shown, _NODE * nodes)
    if faults:
        raise CircuitError(what, faults)


def _counts(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) >= 1


def _network(
    what: str,
    count: int,
    pairs: Index,
    inputs: Places,
    outputs: Places,
    bias_voltages: Sequence[float],
    paired: bool,
    edge: Device | None,
    initial: tuple[float, float] | None,
    rng: np.random.Generator,
) -> Circuit:
    edge = Resistor(conductance=1e-4) if edge is None else edge
    trained = [key for key, info in edge.parameters().items() if info.trainable]
    faults = []
    if not trained or not isinstance(edge, (OnePort, Mosfet)):
        faults.append(
            Fault("edge", f"{edge!r}; give a device with two pins, or a transistor, that can be trained")
        )
    if not np.isfinite(bias_voltages).all():
        faults.append(Fault("bias_voltages", f"{list(bias_voltages)}; give finite voltages"))
    if initial is not None and not (np.isfinite(initial).all() and initial[0] <= initial[1]):
        faults.append(Fault("initial", f"{initial}; give (low, high) with low ≤ high"))
    x, y, bias, more = _terminals(count, inputs, outputs, len(bias_voltages), paired, rng)
    faults += more
    if faults:
        raise CircuitError(what, faults)
    names = np.full(count, "", dtype=object)
    names[x], names[bias] = [f"x{k}" for k in range(len(x))], [f"bias{k}" for k in range(len(bias))]
    half = len(y) // 2 if paired else len(y)
    signs = "pn" if paired else ("",)
    names[y] = [f"y{k}{sign}" for sign in signs for k in range(half)]
    rest = names == ""
    names[rest] = [f"h{k}" for k in range(int(rest.sum()))]

    size = len(pairs)
    values = {key: np.full(size, value) for key, value in edge.values.items()}
    if initial is not None:
        values[trained[0]] = rng.uniform(*initial, size)
    pins = pairs + 1
    if isinstance(edge, Mosfet):
        pins = np.concatenate([pins, np.zeros((size, 2), np.int64)], axis=1)
    edges = Bank("edge", type(edge), pins, values, tuple(f"edge{e}" for e in range(size)), frozenset(trained[:1]))
    banks = [edges]
    if len(bias):
        ground = np.zeros(len(bias), np.int64)
        volts = {"voltage": np.asarray(bias_voltages, dtype=float)}
        sources = tuple(f"bias_source{k}" for k in range(len(bias)))
        banks.append(Bank("bias", VoltageSource, np.stack([bias + 1, ground], axis=1), volts, sources))
    minus = y[half:] + 1 if paired else np.zeros(half, np.int64)
    return Circuit(("0", *names), tuple(banks), (), x + 1, np.stack([y[:half] + 1, minus], axis=1))


def _terminals(
    count: int, inputs: Places, outputs: Places, biases: int, paired: bool, rng: np.random.Generator
) -> tuple[Index, Index, Index, list[Fault]]:
    """Return the nodes of inputs, outputs and bias lines, drawn where they are not given, and what is wrong."""
    faults = []
    given: dict[str, Index] = {}
    wanted: dict[str, int] = {}
    for key, places in (("inputs", inputs), ("outputs", outputs)):
        each = 2 if paired and key == "outputs" else 1
        if isinstance(places, (int, np.integer)):
            if places < 1:
                faults.append(Fault(key, f"{places}; give at least one"))
            wanted[key] = max(int(places), 0) * each
            continue
        given[key] = np.array(places, dtype=np.int64)
        if given[key].ndim != 1:
            faults.append(Fault(key, f"shape {given[key].shape}; give a list of node indices"))
            given[key] = np.zeros(0, np.int64)
            continue
        if not len(places) or len(places) % each or not all(0 <= p < count for p in given[key]):
            what = "pairs of node indices" if each == 2 else "node indices"
            faults.append(Fault(key, f"{list(places)}; give {what} from 0 to {count - 1}"))
    wanted["bias_voltages"] = biases
    used = np.concatenate([np.zeros(0, np.int64), *given.values()])
    if len(np.unique(used)) != len(used):
        faults.append(Fault("inputs, outputs", "some node is named twice; give every terminal a node of its own"))
    free = np.setdiff1d(np.arange(count), used)
    if sum(wanted.values()) > len(free):
        text = f"{len(used) + sum(wanted.values())} terminals need as many nodes, and there are {count}"
        faults.append(Fault("inputs, outputs, bias_voltages", text))
        return used, used, used, faults
    drawn = rng.permutation(free)
    for key, number in wanted.items():
        given[key], drawn = drawn[:number], drawn[number:]
    return given["inputs"], given["outputs"], given["bias_voltages"], faults
