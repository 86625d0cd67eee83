"""Voltages of circuits whose conductances span many decades, against exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from newton_tools import EPS, graph, solve, volt
from strategies import decades

from analogep.devices import Resistor


def exact_ladder(v: float, series: list[float], shunts: list[float]) -> list[Fraction]:
    """Node voltages of in - s0 - n0 (- p0 - ground) - s1 - n1 ..., by folding the ladder from its end."""
    seen = Fraction(0)  # conductance to ground behind each node
    folded = []
    for s, p in reversed(list(zip(series, shunts, strict=True))):
        here = seen + Fraction(p)
        folded.append((Fraction(s), here))
        seen = Fraction(s) * here / (Fraction(s) + here)
    out, voltage = [], Fraction(v)
    for s, here in reversed(folded):
        voltage = voltage * s / (s + here)
        out.append(voltage)
    return out


@given(
    v=st.floats(-5.0, 5.0),
    arms=st.lists(st.tuples(decades(1e-12, 1.0), decades(1e-12, 1.0)), min_size=1, max_size=12),
)
def test_ladders_over_twelve_decades_are_exact_to_a_nanovolt(v: float, arms: list[tuple[float, float]]) -> None:
    series, shunts = [s for s, _ in arms], [p for _, p in arms]
    names = ["in", *(f"n{k}" for k in range(len(arms)))]
    edges = []
    for k, (s, p) in enumerate(arms):
        edges += [(names[k], names[k + 1], Resistor(conductance=s)), (names[k + 1], "0", Resistor(conductance=p))]
    solution = solve(graph(*edges, inputs=("in",)), [v])
    for name, expected in zip(names[1:], exact_ladder(v, series, shunts), strict=True):
        assert abs(volt(solution, name) - float(expected)) <= 1e-9


@pytest.mark.parametrize("weak", [3.4314e-9, 1e-12])
def test_a_weakly_held_group_floats_to_what_holds_it(weak: float) -> None:
    # A ring of 1 S held by one weak conductance to the input: no current flows, all nodes are at the input.
    ring = [("a", "b"), ("b", "c"), ("c", "a")]
    circuit = graph(
        ("in", "a", Resistor(conductance=weak)),
        *((p, q, Resistor(conductance=1.0)) for p, q in ring),
        inputs=("in",),
    )
    solution = solve(circuit, [0.892])
    for node in "abc":
        assert volt(solution, node) == pytest.approx(0.892, abs=64 * EPS)
