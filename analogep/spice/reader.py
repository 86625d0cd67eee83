"""Netlist text as a circuit: ours, to the last bit, and plain ones from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.solve import Nudge
from analogep.spice.builder import Builder
from analogep.spice.cards import Cards, read_cards
from analogep.spice.foreign import ForeignReader
from analogep.spice.layers import flattened
from analogep.spice.lexer import Line, Source, logical_lines
from analogep.spice.sections import INSIDE, OPENS, Section, SectionReader
from analogep.spice.statements import Statement, parse_statement

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
    """

    circuit: Circuit
    inputs: Array | None = None
    nudge: Nudge | None = None
    title: str = ""
    renamed: dict[str, str] = field(default_factory=dict)


def from_netlist(
    text: str,
    *,
    source: str = "<netlist>",
    inputs: Sequence[str] | None = None,
    outputs: Sequence[Output] | None = None,
) -> Circuit:
    """Return the circuit of a netlist; arguments and errors are those of :func:`read_netlist`."""
    return read_netlist(text, source=source, inputs=inputs, outputs=outputs).circuit


def read_netlist(
    text: str,
    *,
    source: str = "<netlist>",
    inputs: Sequence[str] | None = None,
    outputs: Sequence[Output] | None = None,
) -> Netlist:
    """Read a netlist.

    Understood are the elements R C V I D E G F H (linear, DC), ``.model`` for diodes, ``.param`` with
    arithmetic, ``.options`` gmin, temp and tnom, and ``.temp``. Skipped, since they change no operating
    point: tolerances, ``.op``, ``.nodeset``, ``.ic``, output lines and ``.control`` blocks. Anything else is
    a fault. A diode's shunt is the netlist's gmin, 1e-12 S unless it says otherwise, as in SPICE.

    Parameters
    ----------
    text
        The netlist; its first line is the title.
    source
        Its name in messages, such as the file's.
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
    title, lines = logical_lines(text.replace("\r\n", "\n").replace("\r", "\n"), origin)
    lines = flattened(lines, origin)
    cards = read_cards(lines, origin)
    builder = Builder(origin)
    ours = SectionReader(builder, cards)
    sections = _sections(lines, cards, origin, ours)
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
    circuit = builder.circuit()
    array = None if voltages is None else np.array([voltages], float).reshape(1, -1)
    return Netlist(circuit, array, nudge, title, builder.nodes.renamed)


def _plain(names: Sequence[str] | None) -> Sequence[str]:
    if isinstance(names, str):
        raise InputError(f"inputs = {names!r}: give a list of names")
    return names or ()


def _sections(lines: list[Line], cards: Cards, origin: Source, ours: SectionReader) -> list[Section]:
    """Sort element lines and structured comments into sections; note the faults of each line."""
    sections = [Section(None)]
    for line in lines:
        if not line.structured:
            if line.text.startswith("."):
                continue
            try:
                sections[-1].entries.append(_statement(line, cards))
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


def _statement(line: Line, cards: Cards) -> Statement:
    """Parse an element line; a resistor with a literal value skips the general machinery."""
    words = line.text.split()
    if len(words) == 4 and words[0][0] in "Rr" and not set("(),={}'") & set(line.text):
        try:
            value = float(words[3])
        except ValueError:
            pass
        else:
            if 0.0 < value < float("inf"):
                return Statement("R", f"R{words[0][1:]}", (words[1], words[2]), value, line=line.number)
    return parse_statement(line, cards.parameters)


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


__all__ = ["Netlist", "from_netlist", "read_netlist"]
