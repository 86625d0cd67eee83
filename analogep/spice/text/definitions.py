"""``.subckt`` definitions: which lines stand in which."""

from __future__ import annotations

from dataclasses import dataclass, field

from analogep.spice.text.lexer import Line, Place, Source, assignments, tokens


@dataclass(eq=False)
class Definition:
    """One ``.subckt``, or the netlist around all of them.

    Attributes
    ----------
    name, place
        Its name as written, and where its text stands.
    pins
        Names of its pins, in lower case.
    defaults
        Expressions of its parameters, by lower-case name.
    lines
        Element and dot lines.
    inner
        Definitions in it, by lower-case name.
    outer
        The definition around it.
    """

    name: str
    place: Place | None = None
    pins: tuple[str, ...] = ()
    defaults: dict[str, str] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    inner: dict[str, Definition] = field(default_factory=dict)
    outer: Definition | None = None


def read_definitions(lines: list[Line], source: Source) -> Definition:
    """Sort lines into the netlist's own and those of its subcircuits; faults go to ``source``."""
    root = Definition("")
    here = root
    for line in lines:
        words = line.text.lower().split()
        try:
            if line.structured and here is not root:
                raise ValueError(f"structured comments within .subckt {here.name} are not supported")
            if line.structured or words[0] not in (".subckt", ".ends"):
                here.lines.append(line)
            elif words[0] == ".subckt":
                here = _open(line, here, source)
            elif here.outer is None:
                raise ValueError(".ends without .subckt")
            else:
                opened, here = here, here.outer
                if words[1:] not in ([], [opened.name.lower()]):
                    raise ValueError(f".ends {words[1]} ends .subckt {opened.name}")
        except ValueError as error:
            source.fault(line.number, str(error))
    while here.outer is not None:
        source.fault(here.place, f".subckt {here.name} without .ends")
        here = here.outer
    return root


def _open(line: Line, outer: Definition, source: Source) -> Definition:
    """Return the definition that a ``.subckt`` line opens, also if its line is at fault."""
    try:
        head, defaults = assignments(line.text)
    except ValueError as error:
        source.fault(line.number, f".subckt: {error}")
        head, defaults = line.text.partition("=")[0], {}
    words = [w for w in tokens(head) if w.lower() != "params:"][1:]
    name = words[0] if words else ""
    new = Definition(name, line.number, tuple(w.lower() for w in words[1:]), defaults, outer=outer)
    known = outer.inner.setdefault(name.lower(), new)
    if not name or set(head) & set("{}'"):
        source.fault(line.number, ".subckt needs a name and its pins")
    elif not head.isascii():
        source.fault(line.number, f".subckt {name}: simulators read letters of ASCII only; rename it and its pins")
    elif known is not new:
        source.fault(line.number, f"subcircuit {name} is defined twice, first at {known.place}")
    elif len(set(new.pins)) < len(new.pins) or set(new.pins) & {"0", "gnd"}:
        source.fault(line.number, f".subckt {name}: each pin needs a name of its own, and none is ground")
    return new
