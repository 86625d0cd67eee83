"""What builders of networks share: nodes, banks and couplings collected until they make a circuit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Bank, Circuit, Crossbar, TransconductanceCrossbar
from analogep.devices import CurrentSource, Device, VoltageSource
from analogep.errors import CircuitError, Fault
from analogep.kinds import is_numbers, is_whole, shown
from analogep.memory import too_large
from analogep.networks.initial import Initial

Index = NDArray[np.int64]

_CELL, _NODE = 16.0, 500.0
"""Bytes that a cell of a table takes while it is drawn, and a node with its name and elements."""


class Builder:
    """Collects a network's nodes and elements.

    Parameters
    ----------
    what
        What is built, for messages.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.names = ["0"]
        self.banks: list[Bank] = []
        self.crossbars: list[Crossbar] = []
        self.transconductances: list[TransconductanceCrossbar] = []
        self.faults: list[Fault] = []

    def nodes(self, names: Iterable[str]) -> Index:
        """Add nodes; return their indices (n,)."""
        new = list(names)
        start = len(self.names)
        self.names += new
        return np.arange(start, start + len(new), dtype=np.int64)

    def bank(self, name: str, device: Device, pins: Index, trainable: bool = False, **values: object) -> None:
        """Add a bank of elements like ``device`` at ``pins`` (E, P), with some of their ``values`` replaced."""
        count = len(pins)
        arrays = {k: np.full(count, v) for k, v in device.values.items()}
        arrays |= {k: np.asarray(v, dtype=float) for k, v in values.items()}
        able = [k for k, info in device.parameters().items() if info.trainable]
        self.banks.append(
            Bank(
                name,
                type(device),
                pins,
                arrays,
                tuple(f"{name}_{e}" for e in range(count)),
                frozenset(able if trainable else ()),
            )
        )

    def fix(self, name: str, nodes: Index, voltages: Sequence[float]) -> None:
        """Add sources that hold nodes at ``voltages`` [V]."""
        self.bank(name, VoltageSource(voltage=0.0), to_ground(nodes), voltage=np.asarray(voltages, dtype=float))

    def rail(self, name: str, voltage: float) -> int:
        """Return a node at ``voltage`` [V]: a new one, or ground."""
        if voltage == 0.0:
            return 0
        node = self.nodes([name])
        self.fix(f"{name}_source", node, [voltage])
        return int(node[0])

    def bias_currents(self, name: str, nodes: Index) -> None:
        """Add trainable currents into ``nodes``, zero at first."""
        pins = np.stack([np.zeros_like(nodes), nodes], axis=1)  # a positive current flows into the node
        self.bank(name, CurrentSource(amplitude=0.0), pins, trainable=True)

    def circuit(self, inputs: Index, output_pairs: Index) -> Circuit:
        """Return the circuit.

        Raises
        ------
        CircuitError
            With every fault that was noted, or that the circuit has.
        """
        if self.faults:
            raise CircuitError(self.what, self.faults)
        return Circuit(
            tuple(self.names),
            tuple(self.banks),
            tuple(self.crossbars),
            inputs,
            output_pairs,
            transconductances=tuple(self.transconductances),
        )


def to_ground(nodes: Index) -> Index:
    """Return the pins (n, 2) of elements from each node to ground; also output pairs of single nodes."""
    return np.stack([nodes, np.zeros_like(nodes)], axis=1)


def size_fault(layers: Sequence[int], tables: int = 1) -> list[Fault]:
    """Return the fault of layer sizes that make no network, or none that fits in memory, if there is one.

    Parameters
    ----------
    layers
        Nodes per layer.
    tables
        How many tables of numbers join one layer to the next.
    """
    if len(layers) < 2 or not all(is_whole(n) and n >= 1 for n in layers):
        return [Fault("layers", f"{list(layers)}; give at least [inputs, outputs], each a positive count")]
    cells = sum(float(a) * float(b) for a, b in pairwise(layers))
    return memory_fault(
        "layers", str(list(layers)), _CELL * tables * cells + _NODE * float(sum(map(float, layers)))
    )


def memory_fault(name: str, shown: str, size: float) -> list[Fault]:
    """Return the fault of an argument that asks for about ``size`` bytes, if there are not so many."""
    problem = too_large(size)
    return [] if problem is None else [Fault(name, f"{shown} {problem}; give fewer")]


def choice_fault(name: str, value: str, of: object) -> list[Fault]:
    """Return the fault of an option that is none of the words of the literal type ``of``, if it is not."""
    known = get_args(of)
    return [] if value in known else [Fault(name, f"{value!r}; use one of {', '.join(known)}")]


def drawn(
    name: str, initial: Initial, rng: np.random.Generator, shape: tuple[int, int], faults: list[Fault]
) -> NDArray[np.float64]:
    """Return what ``initial`` draws for a table of ``shape``, zeros where it gives no such table: a fault."""
    try:
        found = initial(rng, shape)
    except Exception as error:  # whatever a user's function raises
        faults.append(
            Fault(name, f"initial fails with {type(error).__name__}: {error}; give a function of (rng, shape)")
        )
        return np.zeros(shape)
    if not isinstance(found, np.ndarray) or found.shape != shape or not is_numbers(found):
        faults.append(Fault(name, f"initial gives {shown(found)}; make it an array of shape {shape}"))
        return np.zeros(shape)
    return found


def range_faults(**values: tuple[float, str]) -> list[Fault]:
    """Return the faults of (value, unit) pairs that are not finite and positive."""
    return [
        Fault(name, f"{value:g} {unit} must be finite and positive")
        for name, (value, unit) in values.items()
        if not 0 < value < np.inf
    ]
