"""Nodes, banks, crossbars and ports that a reader collects until they make a circuit."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from analogep.circuit import Bank, Circuit, Crossbar, TransconductanceCrossbar
from analogep.devices import Device
from analogep.devices.sources.waveforms import Waveform
from analogep.errors import CircuitError, Fault, NetlistError
from analogep.spice.text.lexer import Place, Source

_LEGAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]*")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_.]")
_GROUND = frozenset({"0", "gnd"})


def legal_name(name: str) -> str:
    """Return ``name`` with every character that a circuit does not allow replaced by ``_``."""
    return _ILLEGAL.sub("_", name)


class Nodes:
    """Node names of a netlist, which ignores case, as node names of a circuit.

    A name keeps the spelling of its first use. Illegal characters become ``_``, and what is then called like
    another node gets a number behind it; ``renamed`` says which.
    """

    def __init__(self) -> None:
        self._index: dict[str, int] = dict.fromkeys(_GROUND, 0)
        self._taken = set(_GROUND)
        self._spelt: dict[str, str] = {}
        self.names: list[str] = ["0"]
        self.renamed: dict[str, str] = {}

    def reserve(self, names: Iterable[str]) -> None:
        """Note the netlist's own names as it spells them, so that no node made here is called so."""
        for name in names:
            self._spelt.setdefault(name.lower(), name)

    def __call__(self, name: str) -> int:
        """Return the index of a node, adding it if it is new."""
        low = name.lower()
        if low in self._index:
            return self._index[low]
        name = legal = self._spelt.get(low, name)
        if not _LEGAL.fullmatch(name):
            legal = legal_name(name)
            legal = self._free(legal if _LEGAL.fullmatch(legal) else f"n{legal}")
        elif low in self._taken:
            legal = self._free(name)
        if legal != name:
            self.renamed[name] = legal
        self._index[low] = self._add(legal)
        return self._index[low]

    def known(self, name: str) -> int | None:
        """Return the index of a node if it exists."""
        return self._index.get(name.lower())

    def fresh(self, wanted: str) -> int:
        """Add a node that the netlist does not name, called ``wanted`` or, if that is taken, with a number."""
        return self._add(self._free(legal_name(wanted)))

    def _free(self, wanted: str) -> str:
        name, k = wanted, 1
        while name.lower() in self._taken or name.lower() in self._spelt:
            k += 1
            name = f"{wanted}_{k}"
        return name

    def _add(self, name: str) -> int:
        self._taken.add(name.lower())
        self.names.append(name)
        return len(self.names) - 1


@dataclass
class Block:
    """A bank in the making: one entry per element."""

    device: type[Device]
    trainable: frozenset[str] = frozenset()
    names: list[str] = field(default_factory=list)
    pins: list[tuple[int, ...]] = field(default_factory=list)
    values: list[dict[str, float]] = field(default_factory=list)

    def add(self, name: str, pins: tuple[int, ...], values: dict[str, float]) -> None:
        """Add one element; ``values`` in SI units."""
        self.names.append(name)
        self.pins.append(pins)
        self.values.append(values)

    def bank(self, name: str) -> Bank:
        """Return the finished bank."""
        values = {k: np.array([v[k] for v in self.values], float) for k in self.device.parameters()}
        pins = np.array(self.pins, np.int64).reshape(-1, len(self.device.pins))
        return Bank(name, self.device, pins, values, tuple(self.names), self.trainable)


class Builder:
    """Everything that a netlist has told so far."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.nodes = Nodes()
        self.blocks: dict[str, Block] = {}
        self.crossbars: list[Crossbar] = []
        self.transconductances: list[TransconductanceCrossbar] = []
        self.inputs: list[int] = []
        self.outputs: list[tuple[int, int]] = []
        self.lines: dict[str, Place | None] = {}
        self.waveforms: dict[str, Waveform] = {}
        self.models: dict[str, str] = {}
        self.stored: dict[str, float] = {}

    def loose(self, device: type[Device], name: str, pins: tuple[int, ...], values: dict[str, float]) -> None:
        """Add an element that belongs to no section: its bank holds all of its kind, not trainable."""
        bank = f"{device.kind}_fixed"
        block = self.blocks.get(bank)
        k = 1
        while block is not None and (block.device is not device or block.trainable):
            k += 1
            bank = f"{device.kind}_fixed{k}"
            block = self.blocks.get(bank)
        self.blocks.setdefault(bank, Block(device)).add(name, pins, values)

    def circuit(self) -> Circuit:
        """Return the circuit.

        Raises
        ------
        NetlistError
            With all faults of the text, or else of the circuit that it describes.
        """
        source = self.source
        subject = f"netlist {source.name}"
        if source.faults:
            raise NetlistError(subject, source.faults)
        try:
            return Circuit(
                tuple(self.nodes.names),
                tuple(block.bank(name) for name, block in self.blocks.items()),
                tuple(self.crossbars),
                np.array(self.inputs, np.int64),
                np.array(self.outputs, np.int64).reshape(-1, 2),
                waveforms=self.waveforms,
                models=self.models,
                transconductances=tuple(self.transconductances),
            )
        except CircuitError as error:
            raise NetlistError(subject, [self._located(fault) for fault in error.faults]) from None

    def _located(self, fault: Fault) -> Fault:
        line = self._line_of(fault.where)
        where = self.source.name if line is None else str(line)
        return Fault(where, f"{fault.where}: {fault.what}")

    def _line_of(self, where: str) -> Place | None:
        """Return the line of an element, or the first of a node's elements, that a fault of the circuit names."""
        kind, _, name = where.partition(" ")
        if kind not in ("node", "nodes"):
            return self.lines.get((name or kind).strip("'").lower())
        name = name.partition(",")[0].strip("'")
        node = self.nodes.names.index(name) if name in self.nodes.names else -1
        used = (
            self.lines.get(element.lower())
            for block in self.blocks.values()
            for element, pins in zip(block.names, block.pins, strict=True)
            if node in pins
        )
        return min(
            (line for line in used if line is not None), key=lambda line: (line.file, line.line), default=None
        )
