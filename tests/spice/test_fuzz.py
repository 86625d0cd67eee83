"""Whatever the text, the reader answers with a circuit or with an error of its own."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import circuits

from analogep.errors import AnalogepError
from analogep.spice import read_netlist, to_netlist

_TEXT = """
    = { } ( ) , ' * + - .end .control .model .param .options d D ( is=1 gmin=0 temp=1e9 1e999 nan inf -0 0 1k
    *@ *@+ bank crossbar element inputs given unset outputs exact open nudge end trainable= conductance
    V1 R1 F1 H1 E1 G1 D1 B1 X1 I={ {1/0} {((((1 a,b 0 gnd GND \x00 é µ \t ; $ // poly pulse dc ac area=0
"""
PIECES = st.sampled_from(_TEXT.split())


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A netlist of ours with a few lines cut, doubled, swapped or spliced with other pieces."""
    lines = to_netlist(draw(circuits(most_cells=4))).splitlines()
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


def read(text: str) -> None:
    with contextlib.suppress(AnalogepError):
        read_netlist(text)


@settings(max_examples=400)
@given(mutated())
def test_mutated_netlists(text: str) -> None:
    read(text)


@settings(max_examples=300)
@given(st.lists(st.lists(PIECES, max_size=7).map(" ".join), max_size=8).map("\n".join))
def test_loose_pieces(text: str) -> None:
    read("title\n" + text)


@settings(max_examples=200)
@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    read(text)
