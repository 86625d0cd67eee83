"""Whatever the text, the reader answers with a circuit or with an error of its own, and drops no element.

By default each law is tried on a few hundred texts, always the same. For more, and new ones:
``HYPOTHESIS_PROFILE=search HYPOTHESIS_EXAMPLES=10000 pytest tests/spice/test_fuzz.py``.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlist_strategies import Written, netlists
from strategies import circuits

from analogep.errors import AnalogepError, NetlistError
from analogep.spice import read_netlist, to_netlist

_TEXT = """
    = { } ( ) , ' * + - .end .control .model .param .options d D ( is=1 gmin=0 temp=1e9 1e999 nan inf -0 0 1k
    *@ *@+ bank crossbar element inputs given unset outputs exact open nudge end trainable= conductance
    .subckt .ends X1 params: .include .lib .endl .global .func .tran .dc .ic .nodeset v(a)=1 {a>b?1:2} {{ !
    f(x) sin pwl SW NMOS .op .temp .inc s1 S1 M1 L1 K1 on off W=1u uic {2**3} {-1^2} {pow(1,2)} a=1 a={a} 1Meg
    V1 R1 F1 H1 E1 G1 D1 B1 X1 value= V= vol= ic=1 POLY(2)
    I={ {1/0} {((((1 a,b 0 gnd GND \x00 é µ \t ; $ // poly pulse dc ac area=0
"""
PIECES = st.sampled_from(_TEXT.split())


def spoiled(draw: st.DrawFn, lines: list[str]) -> str:
    """Return lines of which a few are cut, doubled, swapped or spliced with other pieces."""
    lines = list(lines)
    for _ in range(draw(st.integers(1, 4))):
        k = draw(st.integers(0, len(lines) - 1))
        action = draw(st.integers(0, 5))
        words = lines[k].split(" ")
        w = draw(st.integers(0, len(words) - 1))
        if action == 0 and len(lines) > 1:
            del lines[k]
        elif action == 1:
            lines.insert(k, lines[k])
        elif action == 2:
            other = draw(st.integers(0, len(lines) - 1))
            lines[k], lines[other] = lines[other], lines[k]
        elif action == 3:
            words[w] = draw(PIECES)
            lines[k] = " ".join(words)
        elif action == 4:
            lines[k] = " ".join([*words[:w], draw(PIECES), *words[w:]])
        else:
            lines[k] = lines[k][: draw(st.integers(0, len(lines[k])))]
    return "\n".join(lines)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A netlist of ours, spoiled."""
    return spoiled(draw, to_netlist(draw(circuits(most_cells=4))).splitlines())


@st.composite
def mutated_foreign(draw: st.DrawFn) -> str:
    """A netlist from elsewhere, spoiled."""
    return spoiled(draw, ["title", *draw(netlists()).lines, ".end"])


def read(text: str) -> None:
    with contextlib.suppress(AnalogepError):
        read_netlist(text)


def examples(usual: int) -> settings:
    """Return the number of examples of a law: its own, or what the search profile asks for."""
    search = os.environ.get("HYPOTHESIS_PROFILE") == "search"
    return settings(max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "1000")) if search else usual)


@examples(400)
@given(mutated())
def test_mutated_netlists(text: str) -> None:
    read(text)


@examples(300)
@given(st.lists(st.lists(PIECES, max_size=7).map(" ".join), max_size=8).map("\n".join))
def test_loose_pieces(text: str) -> None:
    read("title\n" + text)


@examples(200)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    read(text)


@examples(100)
@given(mutated_foreign())
def test_mutated_foreign_netlists(text: str) -> None:
    read(text)


@examples(50)
@given(netlists())
def test_no_element_is_dropped(written: Written) -> None:
    circuit = read_netlist("\n".join(["title", *written.lines, ".end"])).circuit
    assert circuit.element_count == written.elements


def in_files(data: st.DataObject, lines: list[str], folder: Path, depth: int) -> list[str]:
    """Return lines of which parts are moved into files and sections of libraries, and parts of those again."""
    first = data.draw(st.integers(0, len(lines)))
    last = data.draw(st.integers(first, len(lines)))
    inside, below = lines[first:last], data.draw(st.sampled_from(["", "parts", "more parts"]))
    (folder / below).mkdir(exist_ok=True)
    if depth > 1:
        inside = in_files(data, inside, folder / below, depth - 1)
    name = f"part{depth}.inc"
    if data.draw(st.booleans()):
        taken = f".lib '{Path(below) / name}' wanted"
        inside = [".lib other", "R1 no such", ".endl other", ".lib Wanted", *inside, ".endl"]
    else:
        taken = f".include '{Path(below) / name}'"
    (folder / below / name).write_text("\n".join(inside))
    return [*lines[:first], taken, *lines[last:]]


@examples(40)
@given(netlists(), st.data())
def test_a_netlist_in_nested_files_is_the_same(written: Written, data: st.DataObject) -> None:
    """Lines of the netlist moved into files and libraries, up to four deep, taken in at their place."""
    lines = written.lines
    with tempfile.TemporaryDirectory() as folder:
        moved = in_files(data, lines, Path(folder), data.draw(st.integers(1, 4)))
        parts = read_netlist("\n".join(["title", *moved, ".end"]), base=folder).circuit
    whole = read_netlist("\n".join(["title", *lines, ".end"])).circuit
    assert parts.nodes == whole.nodes
    assert [b.names for b in parts.banks] == [b.names for b in whole.banks]
    for one, other in zip(parts.banks, whole.banks, strict=True):
        assert all((one.values[key] == other.values[key]).all() for key in other.values)


@examples(25)
@given(st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30)), max_size=4), min_size=1, max_size=40))
def test_any_nesting_ends(uses: list[list[tuple[int, int]]]) -> None:
    """Subcircuits that use each other as they like, themselves too: a circuit, or an error, and soon."""
    lines = ["title", "V1 a 0 1", "R1 a 0 1"]
    for k, inner in enumerate(uses):
        body = [f"X{j}_{i} a s{other % len(uses)}" for j, (other, n) in enumerate(inner) for i in range(n)]
        lines += [f".subckt s{k} a", "R1 a 0 1k", *body, ".ends"]
    totals: dict[int, int] = {}

    def total(k: int, open_: tuple[int, ...]) -> int:
        if k in open_:
            return 10**9  # it contains itself
        if k not in totals:
            totals[k] = 1 + sum(n * total(other % len(uses), (*open_, k)) for other, n in uses[k])
        return totals[k]

    elements = total(0, ())
    if elements > 1_000_000:
        with pytest.raises(NetlistError, match=r"elements|nested|contains itself"):
            read_netlist("\n".join([*lines, "X1 a s0"]))
    elif elements < 300:  # what lies between is legal and takes its time
        with contextlib.suppress(NetlistError):  # deeper than the limit
            assert read_netlist("\n".join([*lines, "X1 a s0"])).circuit.element_count == elements + 2
