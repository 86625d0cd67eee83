"""Faults of a circuit, all at once and by element name.

Two stages: the structure (names, pins, ports, loops of constraints), then, if that is sound, the values and
the conduction paths that depend on them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from analogep.circuit.constraints import ConstraintError, eliminate
from analogep.circuit.elements import Parts
from analogep.devices import Constraint, CurrentSource, MultiPort, OnePort, VoltageSource
from analogep.devices.probe import law_faults
from analogep.errors import Fault

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
_LISTED = 8  # names listed in one message before "and n more"


def listing(names: Iterable[str]) -> str:
    """Join names for a message, cut after a few."""
    all_names = list(names)
    shown = ", ".join(all_names[:_LISTED])
    rest = len(all_names) - _LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown


class _Sets:
    """Union-find over node indices."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i

    def join(self, i: int, j: int) -> bool:
        """Join two sets; return False if they were one already."""
        a, b = self.find(i), self.find(j)
        self.parent[a] = b
        return a != b


def structural_faults(circuit: Parts) -> list[Fault]:
    """Return the faults of names, shapes, pins, ports and constraint loops."""
    faults = [*_name_faults(circuit), *_shape_faults(circuit)]
    if faults:
        return faults
    faults = [*_pin_faults(circuit), *_port_faults(circuit), *_waveform_faults(circuit)]
    if _indices_exist(circuit):
        faults += _constraint_faults(circuit)
    return faults


def _indices_exist(circuit: Parts) -> bool:
    used = [circuit.input_nodes, *(bank.pins.ravel() for bank in circuit.banks)]
    return all(((index >= 0) & (index < len(circuit.nodes))).all() for index in used)


def _name_faults(circuit: Parts) -> Iterator[Fault]:
    if not circuit.nodes or circuit.nodes[0] != "0":
        yield Fault("nodes", 'the first node must be ground, "0"')
    for name in circuit.nodes[1:]:
        if str(name).lower() == "gnd":
            yield Fault(f"node {name!r}", 'reserved name: SPICE takes it for ground; use "0" or another name')
        elif not _NAME.fullmatch(name):
            yield Fault(
                f"node {name!r}",
                "illegal name; use letters, digits, '_' and '.', not starting with '.'",
            )
    yield from _repeats("node", circuit.nodes)
    blocks = [part.name for part in (*circuit.couplings, *circuit.banks)]
    yield from _repeats("bank", blocks)
    elements = [name for bank in circuit.banks for name in bank.names]
    for name in elements:
        if not _NAME.fullmatch(name):
            yield Fault(f"element {name!r}", "illegal name; use letters, digits, '_' and '.'")
    for name in blocks:
        if not _NAME.fullmatch(name) or "." in name:
            yield Fault(f"bank {name!r}", "illegal name; use letters, digits and '_'")
    yield from _taken_by_crossbars(circuit, elements)
    yield from _repeats("element", elements)


def _taken_by_crossbars(circuit: Parts, elements: Iterable[str]) -> Iterator[Fault]:
    """Elements called like one of a crossbar's own."""
    prefixes = tuple(f"{c.name.lower()}_" for c in circuit.couplings)
    suspects = {name.lower() for name in elements if prefixes and name.lower().startswith(prefixes)}
    for c in circuit.couplings if suspects else ():
        for name in sorted(suspects.intersection(own.lower() for own in c.element_names)):
            yield Fault(name, f"duplicate name: crossbar {c.name} has an element of that name")


def _repeats(what: str, names: Iterable[str]) -> Iterator[Fault]:
    for name, count in Counter(str(n).lower() for n in names).items():
        if count > 1:
            yield Fault(
                f"{what} {name!r}", f"duplicate name, used {count} times (SPICE ignores upper and lower case)"
            )


def _shape_faults(circuit: Parts) -> Iterator[Fault]:
    for bank in circuit.banks:
        expected = (bank.size, len(bank.device.pins))
        if bank.pins.shape != expected:
            yield Fault(f"bank {bank.name}", f"pins have shape {bank.pins.shape}, expected {expected}")
        infos = bank.device.parameters()
        if set(bank.values) != set(infos):
            yield Fault(f"bank {bank.name}", f"parameters {sorted(bank.values)}, expected {sorted(infos)}")
        for key, value in bank.values.items():
            if value.shape != (bank.size,):
                yield Fault(f"bank {bank.name}", f"{key} has shape {value.shape}, expected ({bank.size},)")
        for key in sorted(bank.trainable):
            if key not in infos or not infos[key].trainable:
                able = [k for k, info in infos.items() if info.trainable]
                yield Fault(
                    f"bank {bank.name}",
                    f"{key!r} of a {bank.device.kind} is not trainable; trainable are {able or 'none'}",
                )
    for c in circuit.crossbars:
        if not len(c.rows) or not len(c.columns):
            yield Fault(f"crossbar {c.name}", "has no rows or no columns; remove it")
        if c.conductance.shape != (len(c.rows), len(c.columns)):
            yield Fault(
                f"crossbar {c.name}",
                f"conductance has shape {c.conductance.shape}, expected ({len(c.rows)}, {len(c.columns)})",
            )
    for t in circuit.transconductances:
        where, expected = f"crossbar {t.name}", (len(t.rows), len(t.columns))
        if not all(expected):
            yield Fault(where, "has no rows or no columns; remove it")
        if set(t.values) not in t.KEYS:
            kinds = "; or ".join(", ".join(sorted(keys)) for keys in t.KEYS)
            yield Fault(where, f"matrices {sorted(t.values)}; give {kinds}")
        for key, value in t.values.items():
            if value.shape != expected:
                yield Fault(where, f"{key} has shape {value.shape}, expected {expected}")


def _pin_faults(circuit: Parts) -> Iterator[Fault]:
    count = len(circuit.nodes)
    for bank in circuit.banks:
        outside = (bank.pins < 0) | (bank.pins >= count)
        for e in np.flatnonzero(outside.any(axis=1)):
            yield Fault(bank.names[e], f"pins {bank.pins[e].tolist()} name a node that does not exist")
        for e in np.flatnonzero((bank.pins[:, 0] == bank.pins[:, 1]) & ~outside.any(axis=1)):
            node = circuit.nodes[bank.pins[e, 0]]
            yield Fault(bank.names[e], f"connects node {node} to itself; remove it or fix its pins")
    for c in circuit.couplings:
        nodes = np.concatenate([c.rows, c.columns])
        if ((nodes < 0) | (nodes >= count)).any():
            yield Fault(f"crossbar {c.name}", "rows or columns name a node that does not exist")
            continue
        repeated = [n for n, k in Counter(nodes.tolist()).items() if k > 1]
        if repeated:
            names = listing(circuit.nodes[n] for n in repeated)
            yield Fault(f"crossbar {c.name}", f"nodes appear more than once as row or column: {names}")


def _port_faults(circuit: Parts) -> Iterator[Fault]:
    count = len(circuit.nodes)
    if ((circuit.input_nodes < 0) | (circuit.input_nodes >= count)).any():
        yield Fault("inputs", "an input node does not exist")
        return
    if ((circuit.output_pairs < 0) | (circuit.output_pairs >= count)).any():
        yield Fault("outputs", "an output node does not exist")
        return
    yield from _repeats("input", [circuit.nodes[i] for i in circuit.input_nodes])
    if 0 in circuit.input_nodes:
        yield Fault("input '0'", "ground cannot be an input; it is fixed at 0 V")
    for plus, minus in circuit.output_pairs:
        if plus == minus:
            yield Fault(f"output {circuit.nodes[plus]}", "an output needs two different nodes, or one node")


def _waveform_faults(circuit: Parts) -> Iterator[Fault]:
    if not circuit.waveforms:
        return
    kinds = {name: bank.device for bank in circuit.banks for name in bank.names}
    for name in circuit.waveforms:
        if name not in kinds:
            yield Fault(name, "has a waveform, and there is no such element; name an independent source")
        elif not issubclass(kinds[name], (VoltageSource, CurrentSource)):
            kind = kinds[name].kind
            yield Fault(name, f"a {kind} has no waveform; only voltage_source and current_source have one")


def _constraint_faults(circuit: Parts) -> Iterator[Fault]:
    """Voltage-source loops, nodes driven twice, and loops of amplifiers."""
    sets = _Sets(len(circuit.nodes))
    reported: set[str] = set()
    for node in circuit.input_nodes:
        sets.join(int(node), 0)
    for bank in circuit.banks:
        device = bank.device
        if not issubclass(device, Constraint):
            continue
        for name, pins in zip(bank.names, bank.pins, strict=True):
            child, parent = int(pins[device.child]), int(pins[1 - device.child])
            if child == parent:  # a fault of its pins
                continue
            # An amplifier's output is fixed relative to its input *and* to ground through one equation;
            # joining it to its input keeps "one equation per joined pair" exact.
            if not sets.join(child, parent):
                reported.add(name)
                what = (
                    "closes a loop of voltage sources and inputs"
                    if device.reversible
                    else "drives a node whose voltage is already fixed"
                )
                a, b = circuit.nodes[child], circuit.nodes[parent]
                yield Fault(name, f"{what} (nodes {a}, {b}); remove one, or add a series resistor")
    yield from (fault for fault in _undirectable(circuit) if fault.where not in reported)


def _undirectable(circuit: Parts) -> Iterator[Fault]:
    """Amplifier outputs that sources tie together in a way that leaves no node to solve from."""
    try:
        eliminate(circuit)
    except ConstraintError as error:
        yield Fault(error.element, str(error))


def value_faults(circuit: Parts, only: frozenset[str] | None = None) -> list[Fault]:
    """Return the faults of parameter values, and of conduction paths if those are legal.

    Parameters
    ----------
    circuit
        A circuit whose structure is sound.
    only
        Blocks that changed, to limit the work of an update; ``None`` checks everything.
    """
    faults: list[Fault] = []
    for c in circuit.crossbars:
        if only is not None and f"{c.name}.conductance" not in only:
            continue
        g = c.conductance
        if g.size and not (g.min() >= 0.0 and g.max() < np.inf):  # NaN fails both
            for r, k in np.argwhere(~((g >= 0) & np.isfinite(g))):
                faults.append(
                    Fault(c.element_name(r, k), f"conductance = {g[r, k]:g} S must be finite and non-negative")
                )
    for t in circuit.transconductances:
        for key, value in t.values.items():
            if only is None or f"{t.name}.{key}" in only:
                for r, k in np.argwhere(~np.isfinite(value)):
                    faults.append(Fault(f"{t.name}_{r}_{k}", f"{key} = {value[r, k]:g} S must be finite"))
    for bank in circuit.banks:
        if only is None or any(f"{bank.name}.{key}" in only for key in bank.values):
            faults += bank.device.check(bank.values, bank.names)
    if only is None and not faults:
        faults = [fault for bank in circuit.banks for fault in law_faults(bank.device, bank.values)]
    if faults:
        return faults
    if only is None or _may_disconnect(circuit, only):
        faults += _path_faults(circuit)
    return faults


def _may_disconnect(circuit: Parts, only: frozenset[str]) -> bool:
    """Whether an update may have opened a path: some changed element does not conduct, by its own word."""
    for c in circuit.crossbars:
        if f"{c.name}.conductance" in only and c.conductance.size and c.conductance.min() == 0.0:
            return True
    for bank in circuit.banks:
        if issubclass(bank.device, OnePort) and any(f"{bank.name}.{key}" in only for key in bank.values):
            ever = bank.device.conducts({key: np.ones(1) for key in bank.values}).all()  # a source never does
            if ever and not bank.device.conducts(bank.values).all():
                return True
    return False


def _path_faults(circuit: Parts) -> Iterator[Fault]:
    """Nodes that nothing touches, and groups of nodes without a path to a fixed potential."""
    count = len(circuit.nodes)
    touched = np.zeros(count, dtype=bool)
    touched[0] = True
    sets = _Sets(count)
    for node in circuit.input_nodes:
        sets.join(int(node), 0)
    for bank in circuit.banks:
        touched[bank.pins.ravel()] = True
        for a, b in conducting_pairs(bank.device, bank.pins, bank.values):
            sets.join(a, b)
    for c in circuit.crossbars:
        touched[c.rows] = touched[c.columns] = True
        _join_crossbar(sets, c.rows, c.columns, c.conductance > 0)
    for t in circuit.transconductances:
        touched[t.rows] = touched[t.columns] = True
    touched[circuit.input_nodes] = True
    for n in np.flatnonzero(~touched):
        yield Fault(f"node {circuit.nodes[n]}", "floating node: no element connects to it; remove it")
    ground = sets.find(0)
    islands: dict[int, list[str]] = {}
    for n in np.flatnonzero(touched):
        root = sets.find(int(n))
        if root != ground:
            islands.setdefault(root, []).append(circuit.nodes[n])
    fluid = _state_nodes(circuit)
    for names in islands.values():
        if not fluid.isdisjoint(names):
            continue
        what = "node" if len(names) == 1 else "nodes"
        yield Fault(
            f"{what} {listing(names)}",
            "no conducting path to ground or to an input (capacitors, current sources and zero conductances "
            "do not conduct at DC); add a resistor",
        )


def _state_nodes(circuit: Parts) -> set[str]:
    """Return the nodes with a capacitor to which a law of several voltages gives a current.

    What they have at rest follows from that law, where it follows from anything; over time, from where they start.
    """
    stored, driven = np.zeros((2, len(circuit.nodes)), dtype=bool)
    for bank in circuit.banks:
        if issubclass(bank.device, OnePort):
            value = bank.device.capacitance(bank.values)
            if value is not None:
                stored[bank.pins[np.broadcast_to(value, bank.size) > 0.0].ravel()] = True
        elif issubclass(bank.device, MultiPort):
            driven[bank.pins[:, :2].ravel()] = True
    return {circuit.nodes[n] for n in np.flatnonzero(stored & driven)}


def conducting_pairs(
    device: type, pins: np.ndarray, values: Mapping[str, np.ndarray]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of nodes between which a bank's elements let a direct current flow."""
    if issubclass(device, OnePort):
        for a, b in pins[device.conducts(values)]:
            yield int(a), int(b)
    elif issubclass(device, Constraint):
        for a, b in pins:
            yield int(a), int(b)
            if not device.reversible:  # an amplifier's ports share ground
                yield int(a), 0
    elif issubclass(device, MultiPort):
        for element in pins:
            for a, b in device.conducting_pins():
                yield int(element[a]), int(element[b])


def _join_crossbar(sets: _Sets, rows: np.ndarray, columns: np.ndarray, closed: np.ndarray) -> None:
    """Join the nodes that closed conductances (R, C) connect, one connected part of the table after the other."""
    left = closed.any(axis=1)
    while left.any():
        reached = np.zeros(len(rows), dtype=bool)
        grown = reached.copy()
        grown[np.argmax(left)] = True
        while (grown != reached).any():
            reached = grown
            across = closed[reached].any(axis=0)
            grown = reached | closed[:, across].any(axis=1)
        first = int(rows[np.argmax(reached)])
        for n in (*rows[reached], *columns[across]):
            sets.join(int(n), first)
        left &= ~reached
