"""A circuit's layers as subcircuits: which banks belong to a crossbar, and how the reader finds them again.

A subcircuit's pins are all circuit nodes that it touches, under their own names, and the line that uses it
repeats them; so every node keeps its name in the simulator, and reading back only has to drop those lines::

    *@ layer W1
    .subckt W1 x0 x1 h1_0 rail
    ...                                 what a flat netlist says of the crossbar and its banks
    .ends W1
    XW1 x0 x1 h1_0 rail W1

Where a simulator limits the number of pins, ``W1_part2`` and so on hold the rest of the layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from analogep.circuit import Bank, Circuit, Crossbar, TransconductanceCrossbar
from analogep.spice.text.lexer import Line, Source
from analogep.spice.writing.metadata import comment

_WIDTH = 110


@dataclass(frozen=True)
class Layer:
    """A crossbar and the banks at its column nodes.

    Attributes
    ----------
    crossbar
        The crossbar, of conductances or transconductances, whose name is the subcircuit's.
    banks
        The banks each of whose elements has a pin at one of its column nodes.
    """

    crossbar: Crossbar | TransconductanceCrossbar
    banks: tuple[Bank, ...]


@dataclass
class Part:
    """A subcircuit that is being written.

    Attributes
    ----------
    layer
        Name of the crossbar.
    start
        Where its lines begin in the netlist.
    number
        1 for the first subcircuit of the layer.
    pins
        Its pins in order, as the keys of a dictionary.
    """

    layer: str
    start: int
    number: int = 1
    pins: dict[str, None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the subcircuit."""
        return self.layer if self.number == 1 else f"{self.layer}_part{self.number}"

    def opening(self) -> list[str]:
        """Return the lines in front of its elements."""
        return [*comment("layer", self.name), *_wrapped([".subckt", self.name, *self.pins])]

    def closing(self) -> list[str]:
        """Return the lines behind its elements, the last of which uses it."""
        return [f".ends {self.name}", *_wrapped([f"X{self.name}", *self.pins, self.name])]


def layers_of(circuit: Circuit) -> tuple[list[Layer], list[Bank]]:
    """Return the layers of a circuit, one per crossbar, and the banks that belong to none.

    A bank that stands at the columns of several crossbars belongs to the first.
    """
    taken: set[str] = set()
    layers = []
    for crossbar in circuit.couplings:
        columns = crossbar.columns[crossbar.columns != 0]
        banks = [
            bank
            for bank in circuit.banks
            if bank.name not in taken and bank.size and np.isin(bank.pins, columns).any(axis=1).all()
        ]
        taken |= {bank.name for bank in banks}
        layers.append(Layer(crossbar, tuple(banks)))
    return layers, [bank for bank in circuit.banks if bank.name not in taken]


def _wrapped(words: Iterable[str]) -> list[str]:
    """Return one logical line as lines of limited length, continued with ``+``."""
    lines, line = [], ""
    for word in words:
        if line and len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = "+"
        line += f" {word}" if line else word
    return [*lines, line]


def flattened(lines: Sequence[Line], source: Source) -> list[Line]:
    """Return the logical lines of a netlist with its layers in place, as a flat netlist has them.

    Only the subcircuits that a ``layer`` comment announces are taken apart; faults go to ``source``.
    """
    out: list[Line] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not (line.structured and line.text.partition(" ")[0] == "layer"):
            out.append(line)
            continue
        try:
            inside, at = _layer(lines, at, line.text.split())
            out += inside
        except ValueError as error:
            source.fault(line.number, f"{error}; after an edit, delete all structured comments of the subcircuit")
    return out


def _layer(lines: Sequence[Line], at: int, words: list[str]) -> tuple[list[Line], int]:
    """Return the lines within the subcircuit whose ``.subckt`` stands at ``at``, and where the rest begins."""
    if len(words) != 2:
        raise ValueError("layer: expected a name")
    name = words[1].lower()
    plain = [k for k in range(at, len(lines)) if not lines[k].structured]
    ends = next((k for k in plain if _words(lines[k])[0] == ".ends"), len(lines))
    head = _words(lines[at]) if at < len(lines) else [""]
    if head[:2] != [".subckt", name] or _words(lines[ends - 1])[0] == "layer":
        raise ValueError(f"layer {words[1]}: expected its .subckt in the next line")
    if ends + 1 >= len(lines) or _words(lines[ends + 1]) != [f"x{name}", *head[2:], name]:
        raise ValueError(f"layer {words[1]}: behind its .ends, X{words[1]} must repeat the pins of the .subckt")
    return list(lines[at + 1 : ends]), ends + 2


def _words(line: Line) -> list[str]:
    return line.text.lower().split()
