"""One element of a solved circuit: its voltages, currents and power, cells of crossbars included."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit, Crossbar, TransconductanceCrossbar
from analogep.errors import InputError
from analogep.kinds import ByValue, nearest, shown
from analogep.solve.answers.balance import Solved, bank_pin_currents

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ElementState(ByValue):
    """What one element does in a solved circuit.

    Attributes
    ----------
    name, kind
        Name of the element, and of its device.
    nodes
        The nodes of its pins, P of them.
    voltages
        Voltages (B, P) [V] of its pins against ground.
    currents
        Currents (B, P) [A] into its pins.
    """

    name: str
    kind: str
    nodes: tuple[str, ...]
    voltages: Array
    currents: Array

    @property
    def voltage(self) -> Array:
        """Voltage (B,) [V] of the first pin against the second."""
        out: Array = self.voltages[:, 0] - self.voltages[:, 1]
        return out

    @property
    def current(self) -> Array:
        """Current (B,) [A] into the first pin; through an element with two pins, from the first to the second."""
        return self.currents[:, 0]

    @property
    def power(self) -> Array:
        """Power (B,) [W] that the element takes from the circuit; negative where it delivers."""
        out: Array = (self.voltages * self.currents).sum(axis=1)
        return out

    def __repr__(self) -> str:
        batch = len(self.voltages)
        first = "no sample"
        if batch:
            first = f"{self.voltage[0]:.6g} V, {self.current[0]:.6g} A, {self.power[0]:.6g} W"
        more = f"; first of {batch} samples" if batch > 1 else ""
        return f"<{self.kind} {self.name} at {', '.join(self.nodes)}: {first}{more}>"


def element_state(solved: Solved, name: str) -> ElementState:
    """Return what the element of that name does.

    Raises
    ------
    InputError
        If there is none; suggests a name that is close.
    """
    circuit, v = solved.circuit, solved.voltages
    for b, bank in enumerate(circuit.banks):
        if name not in bank.names:
            continue
        e = bank.names.index(name)
        pins, into = bank.pins[e], bank_pin_currents(solved, b)
        return ElementState(name, bank.device.kind, _named(circuit, pins), v[:, pins], into[:, e])
    for c in circuit.couplings:
        found = _cell(circuit, c, v, name) if name.startswith(f"{c.name}_") else None
        if found is not None:
            return found
    known = [element for bank in circuit.banks for element in bank.names]
    hint = nearest(name, known) or "its banks and couplings hold all"
    raise InputError(f"the circuit has no element {shown(name)}; {hint}")


def _named(circuit: Circuit, pins: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(circuit.nodes[n] for n in pins)


def _cell(circuit: Circuit, c: Crossbar | TransconductanceCrossbar, v: Array, name: str) -> ElementState | None:
    """Return a cross-point of a crossbar, or one source of a coupling by transconductance."""
    parts = re.fullmatch(rf"{re.escape(c.name)}_(?:(forward|backward)_)?(\d+)_(\d+)", name, re.ASCII)
    if parts is None:
        return None
    key, r, k = parts[1], int(parts[2]), int(parts[3])
    if r >= len(c.rows) or k >= len(c.columns):
        return None
    if isinstance(c, Crossbar):
        expected, kind, pins = c.element_name(r, k), "resistor", np.array([c.rows[r], c.columns[k]])
        current = c.conductance[r, k] * (v[:, pins[0]] - v[:, pins[1]])
    else:
        matrix = c.backward if key == "backward" else c.forward
        if matrix is None or key is None:
            return None
        into, of = (c.rows[r], c.columns[k]) if key == "backward" else (c.columns[k], c.rows[r])
        expected, kind, pins = c.element_name(key, r, k), "vccs", np.array([into, 0])
        current = -matrix[r, k] * v[:, of]
    if name != expected:
        return None
    return ElementState(name, kind, _named(circuit, pins), v[:, pins], np.stack([current, -current], axis=1))
