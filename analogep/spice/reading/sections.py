"""Sections that structured comments open: banks, crossbars, ports and nudges of a netlist we wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from analogep.devices import Waveform, device_named
from analogep.devices.base import Primitive
from analogep.errors import AnalogepError, CircuitError
from analogep.solve import ConductanceNudge, CurrentNudge, Nudge
from analogep.spice.reading.builder import Block, Builder, legal_name
from analogep.spice.reading.cards import Cards
from analogep.spice.reading.device_values import (
    diode_values,
    is_plain_diode,
    junction_diode_values,
    model_of,
    mosfet_values,
    series_resistance,
    switch_values,
)
from analogep.spice.reading.tables import (
    Entry,
    Table,
    conductances,
    open_conductance,
    read_crossbar,
    read_exact,
    read_transconductance,
)
from analogep.spice.text.lexer import Line, parse_number
from analogep.spice.text.statements import Statement
from analogep.spice.text.stimuli import waveform
from analogep.spice.writing.metadata import VERSION, read_waveform
from analogep.spice.writing.primitives import (
    LETTERS,
    MODELLED,
    NudgeTerms,
    Style,
    element_primitives,
    name_of,
    nudge_primitives,
    spice_stem,
)


@dataclass
class Section:
    """A structured comment (``None`` outside every section) and what follows it."""

    head: Line | None
    entries: list[Entry] = field(default_factory=list)

    @property
    def words(self) -> list[str]:
        """Keyword and fields of the comment."""
        return self.head.text.split() if self.head else [""]


@dataclass
class Clamp:
    """What an ``inputs`` section says: the sources' voltages [V], or ``None`` if they were not given."""

    voltages: list[float] | None = None


OPENS = frozenset({"inputs", "crossbar", "transconductance", "bank", "nudge", "end"})
"""Keywords that open a section (or, for ``end``, close the last one)."""

INSIDE = frozenset({"open", "element", "exact", "waveform"})
"""Keywords that stand within a section."""

_LONGEST = 16
"""More SPICE elements than any device is written as."""


class SectionReader:
    """Turns sections into blocks, crossbars and ports of a builder."""

    def __init__(self, builder: Builder, cards: Cards) -> None:
        self.builder = builder
        self.cards = cards
        self.clamp = Clamp()
        self.nudge: tuple[Section, str] | None = None

    def version(self, line: Line) -> None:
        """Check the format version."""
        if line.text.split()[1:] != [VERSION]:
            raise ValueError(f"structured comments of version {line.text.split()[1:]}; this reads {VERSION}")

    def outputs(self, line: Line) -> None:
        """Read the observed nodes and pairs."""
        for word in line.text.split()[1:]:
            plus, _, minus = word.partition(",")
            pair = (self._node(plus), self._node(minus) if minus else 0)
            self.builder.outputs.append(pair)

    def read(self, section: Section) -> list[Statement]:
        """Read one section; return the statements that belong to no section."""
        readers: dict[str, Callable[[Section], None]] = {
            "inputs": self._inputs,
            "crossbar": self._crossbar,
            "transconductance": self._transconductance,
            "bank": self._bank,
            "nudge": self._nudge,
        }
        keyword = section.words[0]
        if keyword in readers:
            readers[keyword](section)
            return []
        for entry in section.entries:
            if isinstance(entry, Line):
                self.builder.source.fault(entry.number, f"'{entry.text.split()[0]}' stands in no section")
        return [entry for entry in section.entries if isinstance(entry, Statement)]

    def _fault(self, entry: Entry, error: ValueError) -> None:
        number = entry.number if isinstance(entry, Line) else entry.line
        self.builder.source.fault(number, str(error))

    # --- ports -----------------------------------------------------------------------------------------

    def _node(self, name: str) -> int:
        if not name or name in "={}'":
            raise ValueError("a node name is missing")
        return self.builder.nodes(name)

    def _inputs(self, section: Section) -> None:
        words, line = section.words, section.head
        assert line is not None
        if len(words) < 2 or words[1] not in ("given", "unset"):
            raise ValueError("inputs: expected 'given' or 'unset'")
        values: dict[int, float] = {}
        for entry in section.entries:
            if not isinstance(entry, Statement) or entry.letter != "V" or entry.nodes[1] != "0":
                raise ValueError("inputs: only V sources to node 0 may follow; close the section with '*@ end'")
            values[self._node(entry.nodes[0])] = entry.value
        nodes = [self._node(name) for name in words[2:]]
        if set(values) != set(nodes) or len(section.entries) != len(nodes):
            raise ValueError("inputs: the V sources do not fit the nodes that the comment names")
        self.builder.inputs += nodes
        if words[1] == "given":
            self.clamp = Clamp([values[node] for node in nodes])

    def _nudge(self, section: Section) -> None:
        words = section.words
        if len(words) != 2 or words[1] not in ("conductance", "current"):
            raise ValueError("nudge: expected 'conductance' or 'current'")
        self.nudge = (section, words[1])  # read once all outputs are known

    def read_nudge(self) -> Nudge | None:
        """Return the nudge of one sample, if there is one.

        Raises
        ------
        ValueError
            If its elements are not those that this circuit's outputs need.
        """
        if self.nudge is None:
            return None
        section, kind = self.nudge
        names = self.builder.nodes.names
        found = [e for e in section.entries if isinstance(e, Statement)]
        step = 1 if kind == "current" else 2
        values = np.array([[e.value for e in found[::step]]])
        gains = {e.value for e in found[1::step]} if step == 2 else {0.0}
        nodes = tuple(names)
        pairs = np.array(self.builder.outputs, np.int64).reshape(-1, 2)
        if len(found) == len(section.entries) == step * len(pairs) and len(gains) == 1:
            terms = NudgeTerms(kind, gains.pop(), values)
            if all(e.matches(p) for e, p in zip(found, nudge_primitives(nodes, pairs, terms), strict=True)):
                return CurrentNudge(values) if kind == "current" else ConductanceNudge(terms.beta, values)
        raise ValueError("nudge: its elements do not fit the outputs; close the section with '*@ end'")

    # --- elements --------------------------------------------------------------------------------------

    def _crossbar(self, section: Section) -> None:
        assert section.head is not None
        table = Table.of(section.words, 3)
        ends = [self._node(n) for n in table.nodes]
        crossbar = read_crossbar(table, section.entries, np.array(ends), self._fault)
        self.builder.crossbars.append(crossbar)

    def _transconductance(self, section: Section) -> None:
        assert section.head is not None
        table = Table.of(section.words, 4)
        ends = [self._node(n) for n in table.nodes]
        coupling = read_transconductance(table, section.words[3], section.entries, np.array(ends), self._fault)
        self.builder.transconductances.append(coupling)

    def _bank(self, section: Section) -> None:
        words = section.words
        if len(words) < 3:
            raise ValueError("bank: expected a name and a device")
        try:
            name, device = words[1], device_named(words[2])
        except (ValueError, CircuitError) as error:
            raise ValueError(f"bank {words[1]}: {error}") from None
        style: Style = "plain"
        trainable = frozenset[str]()
        for word in words[3:]:
            if word in ("prefixed", "marked"):
                style = "prefixed" if word == "prefixed" else "marked"
            elif word.startswith("trainable="):
                trainable = frozenset(word.removeprefix("trainable=").split(","))
            else:
                raise ValueError(f"bank {name}: unexpected {word!r}")
        if name in self.builder.blocks:
            raise ValueError(f"bank {name} appears twice")
        block = self.builder.blocks[name] = Block(device, trainable)
        written: list[int] = []
        exact, at, waves = "", 0, dict[str, Waveform]()
        while at < len(section.entries):
            entry = section.entries[at]
            at += 1
            try:
                if isinstance(entry, Statement):
                    self._single(block, entry, style, waves)
                    written.append(len(block.names) - 1)
                elif entry.text.startswith("exact"):
                    exact = read_exact(entry, exact)
                elif entry.text.startswith("open"):
                    self._open(block, entry)
                elif entry.text.startswith("waveform"):
                    waves.update([read_waveform(entry.text.split())])
                else:
                    at += self._element(block, entry, section.entries[at : at + _LONGEST], style)
            except ValueError as error:
                self._fault(entry, error)
        if device.kind == "resistor":
            values = conductances(name, [block.values[e]["conductance"] for e in written], exact)
            for e, value in zip(written, values.tolist(), strict=True):
                block.values[e] = {"conductance": value}
        elif exact:
            raise ValueError(f"bank {name}: 'exact' is for resistors")

    def _single(self, block: Block, statement: Statement, style: Style, waves: Mapping[str, Waveform]) -> None:
        """Add a device that is one SPICE element; a resistor's value is inverted later, all at once."""
        kind = block.device.kind
        if LETTERS.get(kind) != statement.letter:
            raise ValueError(f"{statement.name}: not a {kind}; close the section with '*@ end'")
        name = name_of(style, statement.name)
        if not name:
            raise ValueError(f"{statement.name}: the name is only a type letter")
        pins = tuple(self._node(n) for n in statement.nodes)
        if kind in _MODELLED:
            values = self._modelled(kind, statement)
            if model_of(statement, self.cards).kind != _MODEL_KINDS.get(kind, kind):
                raise ValueError(f"{statement.name}: not a {kind}; close the section with '*@ end'")
        else:
            (key,) = block.device.parameters()
            values = {key: statement.value}
        if statement.letter == "M":
            pins = (pins[0], pins[2], pins[1], pins[3])
        if name in waves or statement.waveform is not None:
            self.builder.waveforms[name] = self._wave(statement, waves.get(name))
        if statement.letter in MODELLED:
            self.builder.models[name] = legal_name(statement.reference)
        if "ic" in statement.extras and statement.letter in "LC":
            self.builder.stored[name] = statement.extras["ic"]
        self.builder.lines[name.lower()] = statement.line
        block.add(name, pins, values)

    def _modelled(self, kind: str, statement: Statement) -> dict[str, float]:
        """Return what a line's model means for a device of ``kind``; raise ValueError if it means more."""
        values = _MODELLED[kind](statement, self.cards)
        if kind == "diode" and not is_plain_diode(statement, self.cards):
            raise ValueError(
                f"{statement.name}: its model stores charge or breaks down, which no {kind} does; move the line "
                "behind '*@ end'"
            )
        if kind == "junction_diode" and series_resistance(statement, self.cards) != 0.0:
            raise ValueError(f"{statement.name}: no {kind} has rs; set it to 0, or move the line behind '*@ end'")
        return values

    def _wave(self, statement: Statement, noted: Waveform | None) -> Waveform:
        """Return the waveform of a source: that of the comment before it, if there is one."""
        if noted is None:
            try:
                return waveform(statement, self.cards.analyses)
            except AnalogepError as error:
                raise ValueError(f"{statement.name}: {error}") from None
        keyword, numbers = noted.spice()
        if statement.waveform != (keyword.lower(), numbers):
            raise ValueError(
                f"{statement.name}: its waveform is not that of the comment; after an edit, delete the comment"
            )
        return noted

    def _open(self, block: Block, line: Line) -> None:
        words = line.text.split()
        if block.device.kind != "resistor":
            raise ValueError(f"open: a {block.device.kind} cannot be open")
        g = open_conductance(words)
        pins = (self._node(words[2]), self._node(words[3]))
        self.builder.lines[words[1].lower()] = line.number
        block.add(words[1], pins, {"conductance": g})

    def _element(self, block: Block, line: Line, following: Sequence[Entry], style: Style) -> int:
        """Add the device that a comment describes; return how many of the following lines stand for it."""
        words = line.text.split()
        device, count = block.device, len(block.device.pins)
        if words[0] != "element" or len(words) < 2 + count:
            raise ValueError(f"element: expected a name and {count} nodes")
        name, nodes = words[1], tuple(words[2 : 2 + count])
        values: dict[str, float] = {}
        for word in words[2 + count :]:
            key, _, text = word.partition("=")
            values[key] = parse_number(text)
        if set(values) != set(device.parameters()):
            raise ValueError(f"element {name}: expected values of {', '.join(device.parameters())}")
        faults = device.check({k: np.array([v]) for k, v in values.items()}, (name,))
        if faults:
            raise ValueError(f"element {faults[0]}")
        primitives = element_primitives(
            device, spice_stem(device.kind, style, name), nodes, values, self.cards.gmin
        )
        for k, primitive in enumerate(primitives):
            entry = following[k] if k < len(following) else None
            if not isinstance(entry, Statement) or not self._says(entry, primitive, device.kind, values):
                raise ValueError(
                    f"element {name}: the lines that follow do not say what it says; after an edit, "
                    "delete the comment and move the lines behind '*@ end'"
                )
            if entry.letter in MODELLED:
                self.builder.models[name] = legal_name(entry.reference)
        pins = tuple(self._node(n) for n in nodes)
        self.builder.lines[name.lower()] = line.number
        block.add(name, pins, values)
        return len(primitives)

    def _says(self, statement: Statement, primitive: Primitive, kind: str, wanted: Mapping[str, float]) -> bool:
        """Whether a line says what ``primitive`` says, which a device of ``kind`` with values ``wanted`` needs."""
        if not statement.matches(primitive):
            return False
        if primitive.model is None:
            return True
        assert primitive.temperature is not None
        found = self._modelled(kind, statement)
        if model_of(statement, self.cards).kind != _MODEL_KINDS.get(kind, kind):
            return False
        if kind == "diode":  # its series resistance may be an element of its own
            wanted = {**wanted, "series_resistance": dict(primitive.model[1])["rs"]}
        same = all(found[k] == wanted[k] for k in wanted if k not in ("gmin", "temperature", "gate_voltage"))
        return same and abs(found["temperature"] - primitive.temperature) <= 1e-12 * primitive.temperature


_MODELLED = {
    "diode": diode_values,
    "junction_diode": junction_diode_values,
    "nmos": mosfet_values,
    "pmos": mosfet_values,
    "switch": switch_values,
}
"""What a line with a model means, by kind of device."""

_MODEL_KINDS = {"diode": "d", "junction_diode": "d", "switch": "sw"}
"""Model types, where they are not called as the device."""
