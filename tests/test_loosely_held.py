"""Nodes that leakage alone holds, beside short resistors: voltages right, or what is unknown is told.

Reference of the strings: one current flows through all elements, so that the sum of their voltages, each from its
own law by bisection, is a rising function of it; nowhere does a leakage stand beside a large conductance.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from newton_tools import VT, graph, ohms, solve, volt

from analogep import operating_point
from analogep.devices import CurrentSource, Diode, Resistor
from analogep.errors import LooselyHeldWarning
from analogep.spice import from_netlist

Law = Callable[[float], float]
Edges = list[tuple[str, str, Diode | Resistor]]


def bisected(f: Law, low: float, high: float) -> float:
    """Root of a rising function of a positive argument, to all digits."""
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if f(middle) > 0.0 else (middle, high)
    return low


def diode_drop(i: float, forward: bool, p: Diode) -> float:
    """Voltage [V] that a current i > 0 takes across a diode, in its direction or against it."""
    width = p.emission * VT
    if forward:

        def current(w: float) -> float:
            return p.saturation_current * math.expm1(min(w / width, 600.0)) + p.gmin * w

    else:

        def current(w: float) -> float:
            if w <= 3.0 * width:
                return -p.saturation_current * math.expm1(-w / width) + p.gmin * w
            return p.saturation_current * (1.0 - (3.0 * width / (math.e * w)) ** 3) + p.gmin * w

    return bisected(lambda w: current(w) - i, 1e-30, 1e6) + p.series_resistance * i


def string(rng: np.random.Generator) -> tuple[Edges, float]:
    """Edges of a random string of diodes and mostly short resistors from "in" to ground, and its voltage."""
    volts = float(rng.choice((-1.0, 1.0)) * 10.0 ** rng.uniform(0.0, 2.3))
    count = int(rng.integers(3, 14))
    names = ["in", *(f"n{k}" for k in range(count - 1)), "0"]
    models = [
        Diode(
            saturation_current=10.0 ** rng.uniform(-16.0, -9.0),
            emission=float(rng.uniform(1.0, 2.0)),
            gmin=float(rng.choice((1e-12, 1e-15))),
            series_resistance=float(rng.choice((0.0, 10.0 ** rng.uniform(-2.0, 1.0)))),
        )
        for _ in range(2)
    ]
    edges: Edges = []
    for k in range(count):
        a, b = names[k], names[k + 1]
        if k and rng.random() < 0.4:
            edges.append((a, b, Resistor.from_resistance(10.0 ** rng.uniform(-3.0, 3.0))))
        else:
            edges.append((*((a, b) if rng.random() < 0.5 else (b, a)), models[int(rng.integers(2))]))
    return edges, volts


def drops(edges: Edges, i: float, down: bool) -> list[float]:
    """Voltage across each element of a string in the direction of its current i > 0, to ground or from it."""
    out = []
    for k, (a, _, device) in enumerate(edges):
        if isinstance(device, Resistor):
            out.append(i / device.conductance)
        else:
            along = a == ("in" if k == 0 else f"n{k - 1}")
            out.append(diode_drop(i, along == down, device))
    return out


@pytest.mark.parametrize("seed", range(30))
def test_strings_held_by_leakage_are_right(seed: int) -> None:
    edges, volts = string(np.random.default_rng(seed))
    i = bisected(lambda i: sum(drops(edges, i, volts > 0)) - abs(volts), 1e-30, 1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution = solve(graph(*edges, inputs=("in",)), [volts])
    here = volts
    for k, drop in enumerate(drops(edges, i, volts > 0)[:-1]):
        here -= math.copysign(drop, volts)
        assert volt(solution, f"n{k}") == pytest.approx(here, abs=1e-10 * max(1.0, abs(volts)))


@pytest.mark.parametrize("charge", ["", " cjo=1p"])  # with charge it is a device of two pins, not a one-port
def test_the_middle_of_a_symmetric_string_is_half_its_voltage(charge: str) -> None:
    # By symmetry, but for 1e-18 V across the resistor.
    net = f"string\nV1 a 0 -20\nD1 a p dm\nR1 p q 0.01\nD2 q 0 dm\n.model dm D(is=1e-16{charge})\n.op\n.end\n"
    solution = operating_point(from_netlist(net))
    for node in "pq":
        assert volt(solution, node) == pytest.approx(-10.0, abs=1e-13)


def test_what_rounding_leaves_unknown_is_told() -> None:
    # 1 A runs around the ring's 1 mΩ; what of it leaves through 1e-10 S to hold the ring is lost in doubles.
    ring = graph(
        ("in", "a", Resistor(conductance=1e-10)),
        ohms("a", "b", 1e-3),
        ("a", "b", CurrentSource(amplitude=1.0)),
        ("b", "0", CurrentSource(amplitude=1.1)),
        ("0", "a", CurrentSource(amplitude=1.1)),
        inputs=("in",),
    )
    with pytest.warns(LooselyHeldWarning, match=r"rounding leaves .* V unknown"):
        solve(ring, [0.5])
