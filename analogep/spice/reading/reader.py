"""Netlist text as a circuit: ours, to the last bit, and plain ones from elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError, OptionWarning, ScriptWarning
from analogep.kinds import checked
from analogep.solve import Nudge
from analogep.spice.reading.builder import Builder
from analogep.spice.reading.cards import read_cards
from analogep.spice.reading.foreign import ForeignReader
from analogep.spice.reading.sections import INSIDE, OPENS, Section, SectionReader
from analogep.spice.reading.subcircuits import Flattener
from analogep.spice.text.analyses import Analysis, OperatingPoint
from analogep.spice.text.definitions import read_definitions
from analogep.spice.text.includes import Includer
from analogep.spice.text.lexer import Line, Place, Source, logical_lines, parse_number
from analogep.spice.text.statements import Statement
from analogep.spice.writing.layers import flattened
from analogep.spice.writing.script import Task

Array = NDArray[np.float64]
Output = str | tuple[str, str]


@dataclass(frozen=True)
class Netlist:
    """What a netlist says.

    Attributes
    ----------
    circuit
        The circuit.
    inputs
        Voltages (1, I) [V] of its input nodes; ``None`` if the netlist gives none.
    nudge
        The nudge (of one sample), if the netlist has one.
    title
        Its first line.
    renamed
        Nodes whose name a circuit does not allow, and what they are called instead.
    analyses
        What its ``.op``, ``.dc`` and ``.tran`` lines ask for, in their order.
    initial, guesses
        Voltages [V] of its ``.ic`` and ``.nodeset`` lines, by node.
    stored
        Voltages [V] of capacitors and currents [A] of inductors with ``ic=``, by element; only a transient
        with ``uic`` starts from them.
    options
        ``.options`` reltol, abstol [A], vntol [V] and itl1 (numbers), and method (a word).
    """

    circuit: Circuit
    inputs: Array | None = None
    nudge: Nudge | None = None
    title: str = ""
    renamed: dict[str, str] = field(default_factory=dict)
    analyses: tuple[Analysis, ...] = ()
    initial: dict[str, float] = field(default_factory=dict)
    guesses: dict[str, float] = field(default_factory=dict)
    stored: dict[str, float] = field(default_factory=dict)
    options: dict[str, float | str] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What the netlist says besides its circuit."""
        asked = self.analyses or (OperatingPoint(),)
        return Task(asked, self.initial, self.guesses, self.stored, self.options)

    @property
    def spelt(self) -> tuple[str, ...]:
        """Names of all nodes but ground as the netlist has them."""
        own = {legal: name for name, legal in self.renamed.items()}
        return tuple(own.get(node, node) for node in self.circuit.nodes[1:])


@checked()
def from_netlist(
    text: str,
    *,
    source: str = "<netlist>",
    base: str | Path | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[Output] | None = None,
) -> Circuit:
    """Return the circuit of a netlist; arguments and errors are those of :func:`read_netlist`."""
    return read_netlist(text, source=source, base=base, inputs=inputs, outputs=outputs).circuit


@checked()
def read_netlist(
    text: str,
    *,
    source: str = "<netlist>",
    base: str | Path | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[Output] | None = None,
) -> Netlist:
    """Read a netlist.

    Understood are the elements R C L V I E G F H, D M S with their ``.model`` (MOSFETs of level 1), B and the
    other forms of E and G by expression or ``poly``, X with ``.subckt``; the waveforms PULSE, SIN and PWL;
    ``.param`` and ``.func`` with ngspice's expressions, ``.include``, ``.lib``, ``.global``, ``.options`` gmin,
    temp, tnom, reltol, abstol, vntol, itl1 and method, ``.temp``, ``.ic``, ``.nodeset``; and ``.op``, ``.dc`` and
    ``.tran``, also as commands of a ``.control`` block. Skipped, since they change no result: output lines and
    output commands. Options that steer ngspice's solver alone are named in an :class:`OptionWarning`. Anything
    else is a fault, ``alter`` and ``set temp`` among it. The shunt of a
    junction is the netlist's gmin, 1e-12 S unless it says otherwise, as in SPICE. Elements of subcircuits are
    called ``x1.R1``; see :mod:`analogep.spice.reading.subcircuits`.

    Parameters
    ----------
    text
        The netlist; its first line is the title.
    source
        Its name in messages, such as the file's.
    base
        Folder to which its ``.include`` and ``.lib`` lines are relative; without it they must be absolute.
    inputs
        For a netlist without structured comments: V sources to ground, or nodes, that become inputs. The
        source of an input is removed and its voltage returned. If F or H elements sense that source, the
        clamped node is a new one behind their ports, called ``<node>_clamped``.
    outputs
        For a netlist without structured comments: observed nodes, or pairs (positive, negative).

    Returns
    -------
    Netlist
        The circuit, and the inputs and nudge of the sample that was written.

    Raises
    ------
    NetlistError
        With every fault, by file and line: first those of the text, then those of the circuit.
    InputError
        If ``inputs`` or ``outputs`` are given for a netlist that names its own.
    """
    origin = Source(source)
    title, lines = logical_lines(text, origin)
    lines = flattened(Includer(origin).expand(lines, None if base is None else Path(base)), origin)
    root = read_definitions(lines, origin)
    cards = read_cards(root.lines, origin)
    builder = Builder(origin)
    ours = SectionReader(builder, cards)
    sections = _sections(root.lines, Flattener(root, cards, origin), origin, ours)
    foreign = ForeignReader(builder, cards, _plain(inputs))
    loose: list[Statement] = []
    for section in sections:
        try:
            loose += ours.read(section)
        except ValueError as error:
            origin.fault(section.head.number if section.head else None, str(error))
    for what, wanted, own in (("inputs", inputs, builder.inputs), ("outputs", outputs, builder.outputs)):
        if wanted is not None and own:
            raise InputError(f"netlist {source} names its own {what}; read it without {what}=")
    foreign.read(loose)
    voltages = ours.clamp.voltages
    if inputs is not None:
        voltages = foreign.finish()
    _name_outputs(builder, outputs)
    nudge = None
    try:
        nudge = ours.read_nudge()
    except ValueError as error:
        origin.fault(None, str(error))
    if not (builder.blocks or builder.crossbars or builder.inputs or origin.faults):
        origin.fault(None, "has no elements")
    initial = _voltages(cards.initial, builder)
    guesses = _voltages(cards.guesses, builder)
    circuit = builder.circuit()
    array = None if voltages is None else np.array([voltages], float).reshape(1, -1)
    renamed = builder.nodes.renamed
    if origin.undone:
        where = next(iter(origin.undone.values()))
        warnings.warn(
            f"{where}: {', '.join(origin.undone)} in .control is not done here: voltages of nodes are shown, no "
            "vectors made of them",
            ScriptWarning,
            stacklevel=2,
        )
    if cards.idle:
        where = next(iter(cards.idle.values()))
        warnings.warn(
            f"{where}: .options {', '.join(cards.idle)} of ngspice's solver have no effect on ours; see "
            "TransientOptions and NewtonOptions",
            OptionWarning,
            stacklevel=2,
        )
    analyses, stored = tuple(cards.analyses), builder.stored
    return Netlist(circuit, array, nudge, title, renamed, analyses, initial, guesses, stored, cards.options)


@checked()
def read_file(
    path: str | Path, *, inputs: Sequence[str] | None = None, outputs: Sequence[Output] | None = None
) -> Netlist:
    """Read a netlist's file; names in it are relative to its folder.

    Arguments and errors are those of :func:`read_netlist`; :class:`InputError` also if it cannot be read.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise InputError(f"cannot read {path}: {reason}") from None
    return read_netlist(text, source=str(path), base=path.parent, inputs=inputs, outputs=outputs)


def _voltages(given: dict[str, tuple[float, Place]], builder: Builder) -> dict[str, float]:
    """Return voltages by the circuit's name of each node; a node that does not exist is a fault."""
    found: dict[str, float] = {}
    for name, (value, place) in given.items():
        node = builder.nodes.known(name)
        if node is None:
            builder.source.fault(place, f"there is no node {name}")
        else:
            found[builder.nodes.names[node]] = value
    return found


def _plain(names: Sequence[str] | None) -> Sequence[str]:
    if isinstance(names, str):
        raise InputError(f"inputs = {names!r}: give a list of names")
    return names or ()


def _sections(lines: list[Line], flat: Flattener, origin: Source, ours: SectionReader) -> list[Section]:
    """Sort element lines and structured comments into sections; note the faults of each line."""
    sections = [Section(None)]
    for line in lines:
        if not line.structured:
            if line.text.startswith("."):
                continue
            try:
                if line.text[0] in "xX" and sections[-1].head is not None:
                    raise ValueError("a subcircuit stands in no section; close the section with '*@ end'")
                sections[-1].entries += _statements(line, flat)
            except ValueError as error:
                origin.fault(line.number, str(error))
            continue
        keyword = line.text.partition(" ")[0]
        try:
            if keyword in OPENS:
                sections.append(Section(line if keyword != "end" else None))
            elif keyword in INSIDE:
                sections[-1].entries.append(line)
            elif keyword == "outputs":
                ours.outputs(line)
            elif keyword == "analogep":
                ours.version(line)
            elif keyword == "gmin":
                pass  # read with the options
            else:
                raise ValueError(f"unknown structured comment {keyword!r}")
        except ValueError as error:
            origin.fault(line.number, str(error))
    return sections


def _statements(line: Line, flat: Flattener) -> list[Statement]:
    """Parse an element line; a resistor with a literal value skips the general machinery."""
    words = line.text.split()
    if len(words) == 4 and words[0][0] in "Rr" and line.text.isascii() and not set("(),={}'\"$") & set(line.text):
        try:
            value = parse_number(words[3])
        except ValueError:
            pass
        else:
            if value > 0.0:
                return [Statement("R", f"R{words[0][1:]}", (words[1], words[2]), value, line=line.number)]
    return flat.statements(line)


def _name_outputs(builder: Builder, outputs: Sequence[Output] | None) -> None:
    if isinstance(outputs, str):
        raise InputError(f"outputs = {outputs!r}: give a list of names or pairs")
    for output in outputs or ():
        pair = (output, "0") if isinstance(output, str) else tuple(output)
        nodes = [builder.nodes.known(str(name)) for name in pair]
        if len(nodes) != 2 or None in nodes:
            builder.source.fault(None, f"output {output}: not a node of the netlist, or a pair of nodes")
        else:
            builder.outputs.append((nodes[0] or 0, nodes[1] or 0))


__all__ = ["Netlist", "from_netlist", "read_file", "read_netlist"]
