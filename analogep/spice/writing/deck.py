"""The lines of a netlist: elements, structured comments, model cards, and the names they take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import GROUND, Bank, Circuit, Crossbar, TransconductanceCrossbar
from analogep.devices import Resistor
from analogep.devices.base import Primitive
from analogep.errors import Fault, InputError, NetlistError
from analogep.spice.dialects import Card, Dialect, number
from analogep.spice.reading.builder import legal_name
from analogep.spice.writing.layers import Layer, Part
from analogep.spice.writing.metadata import VERSION, bank_comment, comment, exact_comment, waveform_comment
from analogep.spice.writing.primitives import (
    LETTERS,
    Style,
    bank_primitives,
    base_gmin,
    input_primitives,
    is_compound,
    naming,
    spice_stem,
    transconductance_primitives,
)
from analogep.spice.writing.script import Task, command, script
from analogep.version import __version__

Array = NDArray[np.float64]


TOLERANCES = "reltol=1e-6 vntol=1e-9 abstol=1e-15 itl1=1000"
"""ngspice's tolerances where the netlist has none of its own: its defaults leave errors of microvolts."""


class Deck:
    """Collects the lines, names and faults of one netlist."""

    def __init__(self, circuit: Circuit, dialect: Dialect, task: Task | None = None) -> None:
        self.circuit = circuit
        self.dialect = dialect
        self.task = task or Task()
        self.gmin = base_gmin(circuit)
        self.lines: list[str] = []
        self.guesses: list[str] = []
        self.names: list[str] = []
        self.part: Part | None = None  # the subcircuit that is open
        self.helpers: dict[str, str] = {}  # lower-case helper node -> element that made it
        self.taken: set[str] = set()  # names of cards, in lower case
        self.numbers = Counter[str]()  # the last number behind each name that a card should have
        self.wished = {name.lower() for name in circuit.models.values()}
        self.known_nodes = {name.lower() for name in circuit.nodes}
        self.cards: dict[tuple[Card, float | None, str], str] = {}  # card and the name it should have -> its name
        self.faults: list[Fault] = list(_node_faults(circuit, dialect))

    # --- sections --------------------------------------------------------------------------------------

    def inputs(self, voltages: Array, given: bool) -> None:
        """Add the sources that clamp the inputs, ``voltages`` (I,) [V], and name the outputs."""
        circuit = self.circuit
        if circuit.inputs:
            self.lines += comment("inputs", "given" if given else "unset", *circuit.inputs)
            self.elements(input_primitives(circuit, voltages), "inputs", circuit.inputs)
        if circuit.outputs:
            pairs = (o if isinstance(o, str) else ",".join(o) for o in circuit.outputs)
            self.lines += comment("outputs", *pairs)

    def layer(self, layer: Layer) -> None:
        """Add a crossbar and its banks as a subcircuit, or several where the dialect limits the pins of one."""
        self.part = Part(layer.crossbar.name, len(self.lines))
        self.coupling(layer.crossbar)
        for bank in layer.banks:
            self.bank(bank)
        self.lines += comment("end")
        self._close(self.part)
        self.part = None

    def _room(self, nodes: Iterable[str]) -> None:
        """Make sure that the open subcircuit, if there is one, has pins for all of ``nodes`` but ground."""
        if (part := self.part) is None:
            return
        new = {node: None for node in nodes if node not in part.pins and node != GROUND}
        most = self.dialect.limits.most_pins
        if most is not None and len(part.pins) + len(new) > most and part.pins:
            self._close(part)
            part = self.part = Part(part.layer, len(self.lines), part.number + 1)
            new = {node: None for node in nodes if node != GROUND}
        part.pins |= new

    def _close(self, part: Part) -> None:
        most = self.dialect.limits.most_pins
        if most is not None and len(part.pins) > most:
            what = f"{self.dialect.name} takes {most} pins at most, this needs {len(part.pins)}; write it flat"
            self.faults.append(Fault(f"layer {part.layer}", what))
        if part.pins:  # a layer without closed elements needs none
            self.lines[part.start : part.start] = part.opening()
            self.lines += part.closing()
            self.names.append(f"X{part.name}")

    def coupling(self, coupling: Crossbar | TransconductanceCrossbar) -> None:
        """Add a crossbar's resistors, or its controlled sources."""
        if isinstance(coupling, Crossbar):
            self.crossbar(coupling)
        else:
            self.transconductance(coupling)

    def transconductance(self, t: TransconductanceCrossbar) -> None:
        """Add the sources of a coupling by transconductance."""
        rows, columns = ([self.circuit.nodes[i] for i in side] for side in (t.rows, t.columns))
        flag = "trainable" if t.trainable else "fixed"
        kind = "symmetric" if t.symmetric else "forward" if t.backward is None else "both"
        self.lines += comment(
            "transconductance", t.name, flag, kind, str(len(rows)), str(len(columns)), *rows, *columns
        )
        self._room([*rows, *columns] if any(value.any() for value in t.values.values()) else [])
        self.elements(transconductance_primitives(self.circuit, t), t.name, [*rows, *columns])

    def crossbar(self, crossbar: Crossbar) -> None:
        """Add a crossbar's resistors."""
        nodes, g = self.circuit.nodes, crossbar.conductance
        rows, columns = [nodes[i] for i in crossbar.rows], [nodes[i] for i in crossbar.columns]
        flag = "trainable" if crossbar.trainable else "fixed"
        counts = (str(len(rows)), str(len(columns)))
        self.lines += comment("crossbar", crossbar.name, flag, *counts, *rows, *columns)
        resistance, closed = _resistances(g)
        names: list[str] = []
        for r, row in enumerate(rows):
            start = f"R{crossbar.name}_{r}_"
            picked = np.flatnonzero(closed[r]).tolist()
            names += [f"{start}{k}" for k in picked]
            self._room([row, *columns] if picked else [])
            values = resistance[r].tolist()
            self.lines += [f"{start}{k} {row} {columns[k]} {values[k]:.17g}" for k in picked]
        for r, k in np.argwhere(~closed & (g > 0)):
            self.lines += _open(crossbar.element_name(r, k), rows[r], columns[k], g[r, k])
        self.names += names
        self.lines += exact_comment(g[closed])

    def bank(self, bank: Bank) -> None:
        """Add a bank's elements."""
        style = naming(bank.device.kind, bank.names)
        self.lines += bank_comment(bank.name, bank.device, style, bank.trainable)
        if bank.device is Resistor:
            self._resistors(bank, style)
            return
        for e, primitives in bank_primitives(self.circuit, bank, self.gmin):
            values = {k: float(v[e]) for k, v in bank.values.items()}
            nodes = [self.circuit.nodes[i] for i in bank.pins[e]]
            self._room(nodes)
            if is_compound(bank.device, values, self.gmin):
                pairs = (f"{k}={number(v)}" for k, v in values.items())
                self.lines += comment("element", bank.names[e], *nodes, *pairs)
            if (wave := self.circuit.waveforms.get(bank.names[e])) is not None:
                self.lines += waveform_comment(bank.names[e], wave)
            self.elements(primitives, bank.names[e], nodes)

    def _resistors(self, bank: Bank, style: Style) -> None:
        nodes, g = self.circuit.nodes, bank.values["conductance"]
        kind = bank.device.kind
        written = [LETTERS[kind] + spice_stem(kind, style, name) for name in bank.names]
        resistance, closed = _resistances(g)
        for e, (name, (p, n), value) in enumerate(
            zip(bank.names, bank.pins.tolist(), resistance.tolist(), strict=True)
        ):
            if closed[e]:
                self._room((nodes[p], nodes[n]))
                self.lines.append(f"{written[e]} {nodes[p]} {nodes[n]} {value:.17g}")
            else:
                self.lines += _open(name, nodes[p], nodes[n], g[e])
        self.names += [written[e] for e in np.flatnonzero(closed)]
        self.lines += exact_comment(g[closed])

    def nudge(self, primitives: list[Primitive], kind: str) -> None:
        """Add the elements of a nudge, ``kind`` as in :class:`~analogep.spice.writing.primitives.NudgeTerms`."""
        self.lines += comment("nudge", kind)
        self.elements(primitives, "nudge", [self.circuit.nodes[i] for i in self.circuit.output_pairs.ravel()])

    def nodeset(self, voltages: Array) -> None:
        """Add a first guess for every node but ground and the inputs; ``voltages`` (N,) [V]."""
        fixed = {0, *self.circuit.input_nodes.tolist()}
        for k, (name, value) in enumerate(zip(self.circuit.nodes, voltages.tolist(), strict=True)):
            if not math.isfinite(value):
                raise InputError(f"nodeset is {value} V at node {name}; give a solution that converged")
            if k not in fixed:
                self.guesses.append(f".nodeset v({name})={number(value)}")

    # --- elements --------------------------------------------------------------------------------------

    def elements(self, primitives: Iterable[Primitive], owner: str, pins: Iterable[str]) -> None:
        """Add the primitives of ``owner``; nodes other than its pins and ground are helpers of its own."""
        own = {"0", *pins}
        for given in primitives:
            try:
                primitive = self.dialect.express(given)
            except ValueError as error:
                self.faults.append(Fault(owner, str(error)))
                continue
            for node in primitive.nodes:
                if node not in own:
                    self._helper(node, owner)
            self._check_values(primitive, owner)
            line = self.dialect.element(primitive, self._model(primitive, owner))
            if owner in self.task.stored and primitive.letter in "LC":
                line += f" ic={number(self.task.stored[owner])}"
            self.names.append(line.partition(" ")[0])
            self.lines.append(line)

    def _helper(self, node: str, owner: str) -> None:
        place = "" if self.part is None else f"x{self.part.name}."  # as a simulator calls it
        low = f"{place}{node}".lower()
        other = self.helpers.setdefault(low, owner)
        if not self.known_nodes.isdisjoint((low, node.lower())):
            self.faults.append(Fault(owner, f"its helper node {node} is also a node of the circuit; rename one"))
        elif other != owner:
            self.faults.append(Fault(owner, f"its helper node {node} is also one of {other}; rename one"))

    def _model(self, primitive: Primitive, owner: str) -> str | None:
        """Return the name of the model card: that in the circuit, with a number if others have it too."""
        if primitive.model is None:
            return None
        card, wanted = (primitive.model, primitive.temperature), self.circuit.models.get(owner, "")
        if (known := self.cards.get((*card, wanted))) is not None:
            return known
        name = ""
        while not name or name.lower() in self.taken or (not wanted and name.lower() in self.wished):
            self.numbers[wanted] += 1
            k = self.numbers[wanted]
            name = f"d{k}" if not wanted else f"{wanted}_{k}" if k > 1 else wanted
        self.taken.add(name.lower())
        self.cards[*card, wanted] = name
        return name

    def _check_values(self, primitive: Primitive, owner: str) -> None:
        card = dict(primitive.model[1]) if primitive.model else {}
        smallest = self.dialect.limits.smallest_saturation
        if card.get("is", np.inf) < smallest:
            self.faults.append(
                Fault(
                    owner,
                    f"saturation current {card['is']:g} A is below {smallest:g} A, to which "
                    f"{self.dialect.name} silently raises it",
                )
            )
        if primitive.letter == "B":
            for operator in self.dialect.limits.foreign_operators:
                if any(operator in a for a in primitive.args if isinstance(a, str)):
                    what = f"its expression uses {operator}, which {self.dialect.name} does not have"
                    self.faults.append(Fault(owner, what))
        numbers = [a for a in (*primitive.args, *card.values()) if not isinstance(a, str)]
        if not np.isfinite(numbers).all():
            self.faults.append(Fault(owner, "has a value that overflows when inverted; SPICE cannot write it"))

    # --- the whole -------------------------------------------------------------------------------------

    def text(self, title: str) -> str:
        """Return the whole netlist, or raise :class:`NetlistError` with every fault."""
        gmin, written = self.gmin, self.written_gmin
        options = [] if gmin is None or written == gmin else comment("gmin", number(gmin))
        if written is not None:
            options.append(self.dialect.options({"gmin": written}))
        options += self._tolerances()
        tail = [*options, *self.guesses, *self._starts(), *self._closing()]
        return "\n".join([*self._body(title), *tail, ".end", ""])

    def _closing(self) -> Iterable[str]:
        nodes, asked = self._printed(), self.task.analyses
        if self.dialect.scripted:
            return script(asked, nodes, self.source, "" if self._options() else TOLERANCES) if nodes else ()
        return self.dialect.closing([command(analysis, self.source) for analysis in asked], nodes)

    def source(self, name: str) -> str:
        """Return the SPICE name of a source that a sweep names."""
        wanted = legal_name(name).lower()
        for bank in self.circuit.banks:
            if bank.device.kind in ("voltage_source", "current_source"):
                style = naming(bank.device.kind, bank.names)
                for own in bank.names:
                    if own.lower() == wanted:
                        return LETTERS[bank.device.kind] + spice_stem(bank.device.kind, style, own)
        return name

    def _printed(self) -> list[str]:
        """Return the nodes whose voltages are printed: the outputs, or all where none are named."""
        circuit = self.circuit
        chosen = dict.fromkeys(circuit.output_pairs.ravel().tolist()) or range(len(circuit.nodes))
        return [circuit.nodes[k] for k in chosen if k != 0]

    def _options(self) -> Mapping[str, float | str]:
        """Return the netlist's own options: none where they are those that a script of ours has given."""
        given = self.task.options
        ours = {key: float(value) for key, _, value in (pair.partition("=") for pair in TOLERANCES.split())}
        return {} if dict(given) == ours else given

    def _tolerances(self) -> list[str]:
        given = self._options()
        if given and not self.dialect.tolerances:
            what = f"{self.dialect.name} has its tolerances elsewhere; leave them out"
            self.faults.append(Fault(f".options {', '.join(given)}", what))
        values = (f"{k}={v if isinstance(v, str) else number(v)}" for k, v in given.items())
        return [" ".join([".options", *values])] if given else []

    def _starts(self) -> list[str]:
        return [f".ic v({node})={number(value)}" for node, value in self.task.initial.items()]

    def core(self, title: str) -> str:
        """Return the elements and their model cards alone, for another netlist to include."""
        gmin = [] if self.gmin is None else comment("gmin", number(self.gmin))
        return "\n".join([*self._body(f"* {title}"), *gmin, ""])

    @property
    def written_gmin(self) -> float | None:
        """The simulator's gmin [S], if the circuit has junctions: as small as it can be set."""
        return None if self.gmin is None else max(self.gmin, self.dialect.limits.smallest_gmin)

    def _body(self, title: str) -> list[str]:
        self._check_names()
        if self.faults:
            raise NetlistError(f"netlist export ({self.dialect.name})", self.faults)
        head = [title, f"* Written by analogep {__version__} for {self.dialect.name}; SI units."]
        cards = [self.dialect.model_card(name, card, kelvin) for (card, kelvin, _), name in self.cards.items()]
        end = comment("end") if cards or self.gmin is not None or self.guesses else []
        return [*head, *comment("analogep", VERSION), *self.lines, *end, *cards]

    def _check_names(self) -> None:
        separators = self.dialect.limits.separators
        for name in self.names if separators else ():
            if not set(separators).isdisjoint(name):
                what = f"{self.dialect.name} takes {' '.join(separators)} for a level of hierarchy; rename it"
                self.faults.append(Fault(f"SPICE name {name}", what))
        counts = Counter(map(str.lower, self.names))
        if len(counts) < len(self.names):
            for name in (n for n, k in counts.items() if k > 1):
                what = f"{counts[name]} elements would be called that in the netlist; rename one"
                self.faults.append(Fault(f"SPICE name {name}", what))


def _resistances(g: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return 1/g [ohm] and where it can be written: not for zero, nor for the tiny g whose inverse overflows."""
    with np.errstate(divide="ignore", over="ignore"):
        resistance = 1.0 / g
    return resistance, np.isfinite(resistance)


def _open(name: str, p: str, n: str, g: float) -> list[str]:
    return comment("open", name, p, n, *([number(g)] if g else []))


def _node_faults(circuit: Circuit, dialect: Dialect) -> Iterable[Fault]:
    limits = dialect.limits
    for name in circuit.nodes[1:]:
        low = name.lower()
        if low in limits.reserved_nodes or not limits.reserved_parts.isdisjoint(low.split(".")):
            yield Fault(f"node {name}", f"this name means something else to {dialect.name}; rename the node")
        elif not set(limits.separators).isdisjoint(name):
            what = f"{dialect.name} takes {' '.join(limits.separators)} for a level of hierarchy; rename the node"
            yield Fault(f"node {name}", what)
