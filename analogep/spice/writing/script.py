"""What a netlist asks for, in SPICE's words, and the script that plain ``ngspice -b`` runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from analogep.spice.dialects.base import number
from analogep.spice.text.analyses import Analysis, OperatingPoint, Sweep, Transient

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*|0|[1-9]\d*")
_OPERATORS = frozenset("and or not eq ne gt lt ge le all allv alli ally".split())  # noqa: SIM905
_COLUMNS = 30
_WIDTH = 40  # of a column, at most; ngspice splits a table that is wider than its page

LATE = 1e-9
"""How far before the end, relative to it, the last point of a transient may lie."""


@dataclass(frozen=True)
class Task:
    """What a netlist says besides its circuit; names are those of :class:`analogep.spice.Netlist`.

    Attributes
    ----------
    analyses
        What is asked for.
    initial, guesses
        Voltages [V] of ``.ic`` and ``.nodeset``, by node.
    stored
        Voltages [V] of capacitors and currents [A] of inductors at time zero, by element.
    options
        Numbers, and words, of ``.options``.
    """

    analyses: Sequence[Analysis] = (OperatingPoint(),)
    initial: Mapping[str, float] = field(default_factory=dict)
    guesses: Mapping[str, float] = field(default_factory=dict)
    stored: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, float | str] = field(default_factory=dict)


def command(analysis: Analysis, source: Callable[[str], str]) -> list[str]:
    """Return an analysis in SPICE's words; ``source`` returns the SPICE name of a swept source."""
    if isinstance(analysis, OperatingPoint):
        return ["op"]
    if isinstance(analysis, Sweep):
        axes = ((source(a.source), *map(number, (a.start, a.stop, a.step))) for a in analysis.axes)
        return ["dc", *(word for axis in axes for word in axis)]
    return ["tran", *map(number, _times(analysis)), *(["uic"] if analysis.from_initial else [])]


def _times(analysis: Transient) -> list[float]:
    times = [analysis.step, analysis.stop]
    if analysis.start or analysis.longest:
        times.append(analysis.start)
    return [*times, analysis.longest] if analysis.longest else times


def vector(node: str) -> str:
    """Return what ngspice's commands call a node's voltage: quoted, where the name could mean something else."""
    plain = _PLAIN.fullmatch(node) and node.lower() not in _OPERATORS
    return f"v({node})" if plain else f'"v({node})"'


def complete(analysis: Analysis, node: str) -> str:
    """Return ngspice's condition that an analysis has given all of its points; ``node`` is any node."""
    if isinstance(analysis, Transient):
        return f"time[length(time)-1] >= {number(analysis.stop * (1.0 - LATE))}"
    count = 1
    for axis in analysis.axes if isinstance(analysis, Sweep) else ():
        count *= len(axis.values)
    return f"length({vector(node)}) >= {count}"


def script(
    analyses: Sequence[Analysis], nodes: Sequence[str], source: Callable[[str], str], settings: str
) -> Iterator[str]:
    """Yield the ``.control`` block that does all analyses and prints the voltages of ``nodes``, 16 digits each.

    A failed analysis leaves vectors of length 0, or ones that end too early; an expression that cannot be
    evaluated counts as false. So success must be shown, and any other end is exit status 1.

    Parameters
    ----------
    analyses
        What is done.
    nodes
        What is printed; not empty.
    source
        SPICE name of a swept source.
    settings
        Tolerances, as for ngspice's command ``set``; may be empty.
    """
    yield ".control"
    yield "set numdgt=15"
    yield "set nobreak"
    yield f"set width={_WIDTH * (_COLUMNS + 2)}"
    if settings:
        yield f"set {settings}"
    for analysis in analyses:
        yield " ".join(command(analysis, source))
        yield f"if {complete(analysis, nodes[0])}"
        size = 1 if isinstance(analysis, OperatingPoint) else min(_COLUMNS, len(nodes))
        for at in range(0, len(nodes), size):
            yield "  print " + " ".join(map(vector, nodes[at : at + size]))
        yield "  destroy all"
        yield "else"
        yield f"  echo the analysis failed: {command(analysis, source)[0]}"
        yield "  quit 1"
        yield "end"
    yield "quit 0"
    yield ".endc"


def without_script(netlist: str) -> str:
    """Return a netlist without its last ``.control`` block, for an engine that brings its own."""
    start, end = netlist.rfind("\n.control\n"), netlist.rfind("\n.endc\n")
    return netlist if start < 0 else netlist[:start] + netlist[end + len("\n.endc") :]


__all__ = ["LATE", "Task", "command", "complete", "script", "vector", "without_script"]
