"""Sections that hold a whole crossbar: conductances as resistors, transconductances as G sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Crossbar, TransconductanceCrossbar
from analogep.spice.text.lexer import Line, parse_number
from analogep.spice.text.statements import Statement
from analogep.spice.writing.metadata import KINDS, apply_exact

Index = NDArray[np.int64]
Entry = Statement | Line
"""An element line, or a structured comment within a section."""

Fault = Callable[[Entry, ValueError], None]


@dataclass(frozen=True)
class Table:
    """Head of a crossbar's section: its name, whether it learns, its numbers of rows and columns, their nodes."""

    name: str
    trainable: bool
    rows: int
    columns: int
    nodes: list[str]

    @classmethod
    def of(cls, words: Sequence[str], counts: int) -> Table:
        """Return what the fields of a comment say, those from number ``counts`` on being counts and nodes.

        Raises
        ------
        ValueError
            If it is malformed.
        """
        kind = words[0]
        if len(words) < counts + 2 or words[2] not in ("trainable", "fixed"):
            raise ValueError(f"{kind}: expected name, 'trainable' or 'fixed', row and column counts, nodes")
        name, first, second = words[1], words[counts], words[counts + 1]
        try:
            rows, columns = int(first), int(second)
        except ValueError:
            rows = columns = -1
        nodes = list(words[counts + 2 :])
        if rows < 0 or columns < 0 or rows + columns != len(nodes):
            raise ValueError(f"{kind} {name}: {len(nodes)} nodes do not fit the counts {first}, {second}")
        return cls(name, words[2] == "trainable", rows, columns, nodes)

    def place(self, name: str, start: str) -> tuple[int, int]:
        """Return row and column of an element from its name, which begins with ``start`` in lower case."""
        if name.lower().startswith(start):
            row, _, column = name.lower()[len(start) :].partition("_")
            if row.isdecimal() and column.isdecimal() and len(row) < 10 and len(column) < 10:
                place = (int(row), int(column))
                if place[0] < self.rows and place[1] < self.columns:
                    return place
        raise ValueError(f"{name}: not an element of this crossbar; close the section with '*@ end'")


def read_crossbar(table: Table, entries: Sequence[Entry], ends: Index, fault: Fault) -> Crossbar:
    """Return a crossbar of conductances between the nodes ``ends`` (R + C,); faults of entries go to ``fault``.

    Raises
    ------
    ValueError
        If the section as a whole makes no crossbar.
    """
    name, rows, columns = table.name, table.rows, table.columns
    known = {n.lower(): k for k, n in enumerate(table.nodes)}
    flat: list[int] = []
    resistance: list[float] = []
    tiny: dict[tuple[int, int], float] = {}
    start, exact = f"r{name.lower()}_", ""
    for entry in entries:
        try:
            if isinstance(entry, Line) and entry.text.startswith("open"):
                words = entry.text.split()
                tiny[table.place(f"R{words[1]}", start)] = open_conductance(words)
                continue
            if isinstance(entry, Line):
                exact = read_exact(entry, exact)
                continue
            row, column = table.place(entry.name, start)
            pins = tuple(known.get(n.lower(), -1) for n in entry.nodes)
            if entry.letter != "R" or pins != (row, rows + column):
                raise ValueError(f"{entry.name}: does not fit its place in crossbar {name}")
            flat.append(row * columns + column)
            resistance.append(entry.value)
        except ValueError as error:
            fault(entry, error)
    if len(set(flat)) < len(flat):
        raise ValueError(f"crossbar {name}: an element is given twice")
    g = np.zeros(rows * columns)
    g[flat] = conductances(name, resistance, exact)
    values = g.reshape(rows, columns)
    for place, value in tiny.items():
        values[place] = value
    return Crossbar(name, ends[:rows], ends[rows:], values, table.trainable)


def read_transconductance(
    table: Table, kind: str, entries: Sequence[Entry], ends: Index, fault: Fault
) -> TransconductanceCrossbar:
    """Return a coupling by transconductances of a ``kind`` of ``metadata.KINDS``; else as :func:`read_crossbar`.

    Raises
    ------
    ValueError
        If the section as a whole makes no coupling.
    """
    name, rows = table.name, table.rows
    if kind not in KINDS:
        raise ValueError(f"transconductance {name}: unknown kind {kind!r}; use one of {', '.join(KINDS)}")
    known = {"0": 0} | {n.lower(): int(node) for n, node in zip(table.nodes, ends, strict=True)}
    shape = (rows, table.columns)
    found = {key: np.zeros(shape) for key in ("forward", "backward")[: 1 if kind == "forward" else 2]}
    given: set[str] = set()
    for entry in entries:
        try:
            if isinstance(entry, Line):
                raise ValueError(f"'{entry.text.split()[0]}' does not fit this section")
            key = next((k for k in found if entry.name.lower().startswith(f"g{name}_{k}_".lower())), "forward")
            row, column = table.place(entry.name, f"g{name}_{key}_".lower())
            row_node, column_node = ends[row], ends[rows + column]
            into, of = (row_node, column_node) if key == "backward" else (column_node, row_node)
            pins = tuple(known.get(n.lower(), -1) for n in entry.nodes)
            if entry.letter != "G" or pins != (0, into, of, 0):
                raise ValueError(f"{entry.name}: does not fit its place in crossbar {name}")
            if entry.key in given:
                raise ValueError(f"crossbar {name}: {entry.name} is given twice")
            given.add(entry.key)
            found[key][row, column] = entry.value
        except ValueError as error:
            fault(entry, error)
    if kind == "symmetric":
        if not np.array_equal(found["forward"], found["backward"]):
            raise ValueError(f"transconductance {name}: its two directions differ; write its kind as 'both'")
        found = {"transconductance": found["forward"]}
    return TransconductanceCrossbar(name, ends[:rows], ends[rows:], found, table.trainable)


def read_exact(line: Line, before: str) -> str:
    """Return the digits of an ``exact`` comment; ``before`` are those of an earlier one, if there was."""
    words = line.text.split()
    if words[:2] != ["exact", "conductance"] or before:
        raise ValueError(f"'{' '.join(words[:2])}' does not fit this section")
    return "".join(words[2:])


def open_conductance(words: list[str]) -> float:
    """Return the conductance [S] of an ``open`` comment."""
    if words[0] != "open" or len(words) not in (4, 5):
        raise ValueError("open: expected a resistor's name and its two nodes")
    g = parse_number(words[4]) if len(words) == 5 else 0.0
    if not 0.0 <= g < 1e-300:
        raise ValueError(f"open: {g:g} S is no open; write it as a resistor")
    return g


def conductances(name: str, resistance: list[float], exact: str) -> NDArray[np.float64]:
    """Return the conductances [S] of resistors [ohm], exactly as they were with the digits ``exact``."""
    array = np.array(resistance, float)
    if not (array > 0).all():
        raise ValueError(f"{name}: a resistance is not positive")
    with np.errstate(over="ignore"):
        g = 1.0 / array
    if not exact:
        return g
    try:
        return apply_exact(g, exact)
    except ValueError as error:
        raise ValueError(f"{name}: {error}; after an edit, delete the 'exact' comment") from None
