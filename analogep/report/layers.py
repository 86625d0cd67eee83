"""Groups of nodes that figures show together."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit

_HIDDEN = re.compile(r"([A-Za-z]+)(\d+)_\d+$")


@dataclass(frozen=True)
class Layer:
    """Nodes of one layer.

    Attributes
    ----------
    kind
        ``"input"``, ``"hidden"``, ``"amplified"`` (behind amplifiers), ``"other"`` or ``"output"``.
    title
        Name for a panel.
    nodes
        Node indices, in the order of the circuit.
    names
        Their names.
    """

    kind: str
    title: str
    nodes: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of nodes."""
        return len(self.nodes)


def layers_of(circuit: Circuit) -> tuple[Layer, ...]:
    """Return the circuit's layers: inputs, hidden layers by their prefix (``h1_``, ``a1_`` …), outputs.

    Ground and nodes that sources hold at a fixed voltage (bias lines, rails) belong to none. Free nodes whose
    names have no such prefix are one layer of kind ``"other"``.
    """
    outputs = [i for i in dict.fromkeys(circuit.output_pairs.T.ravel().tolist()) if i != 0]
    inputs = circuit.input_nodes.tolist()
    left_out = {0, *inputs, *outputs, *_held(circuit)}
    groups: dict[tuple[str, str], list[int]] = {}
    for i, name in enumerate(circuit.nodes):
        if i not in left_out:
            match = _HIDDEN.match(name)
            groups.setdefault((match[1], match[2]) if match else ("", ""), []).append(i)
    layers = [_layer(circuit, "input", "Inputs", inputs)] if inputs else []
    for (letter, number), nodes in groups.items():
        kind, title = {
            "h": ("hidden", f"Hidden {number}"),
            "a": ("amplified", f"Amplified {number}"),
            "": ("other", "Other nodes"),
        }.get(letter, ("hidden", f"{letter}{number}"))
        layers.append(_layer(circuit, kind, title, nodes))
    if outputs:
        layers.append(_layer(circuit, "output", "Outputs", outputs))
    return tuple(layers)


def _layer(circuit: Circuit, kind: str, title: str, nodes: list[int]) -> Layer:
    return Layer(kind, title, np.array(nodes, dtype=np.int64), tuple(circuit.nodes[i] for i in nodes))


def _held(circuit: Circuit) -> set[int]:
    """Return the nodes that a voltage source holds against ground."""
    return {
        int(pin)
        for bank in circuit.banks
        if bank.device.kind == "voltage_source"
        for pins in bank.pins
        if 0 in pins
        for pin in pins
    }
