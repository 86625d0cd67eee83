"""Small censuses of transients and of hard operating points, and the third route by which they judge."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from scripts import script

SEED = 4
TRANSIENTS = ("rc ladder", "rlc", "clipper", "rectifier", "op-amp", "switch", "algebraic", "mixed")
POINTS = ("diode bridge", "ladder", "switch", "mosfet", "negative resistance", "latch", "op-amp", "hopfield graph")


@pytest.fixture(scope="module")
def transients() -> ModuleType:
    return script("transient_census.py")


@pytest.fixture(scope="module")
def points() -> ModuleType:
    return script("operating_census.py")


@pytest.mark.ngspice
def test_transients_are_ngspices_or_the_third_routes(transients: ModuleType) -> None:
    found = [transients.one((SEED, k, TRANSIENTS)) for k in range(len(TRANSIENTS))]
    assert [(f.kind, f.outcome, f.remark) for f in found if f.outcome not in transients.GOOD] == []


@pytest.mark.ngspice
def test_points_are_roots_that_stay(points: ModuleType) -> None:
    found = [points.one((SEED, k, POINTS)) for k in range(2 * len(POINTS))]
    assert [(f.kind, f.outcome, f.remark) for f in found if f.outcome not in points.GOOD] == []


# --- the judge ------------------------------------------------------------------------------------------------


def test_the_third_route_charges_a_capacitor_exponentially() -> None:
    network, solve = script("independent.py"), script("independent_solve.py")
    text = "t\nV1 a 0 PULSE(0 1 1m 1u 1u 9 9)\nR1 a b 1k\nC1 b 0 1u\n.tran 0.1m 4m\n.end"
    times, volts = solve.over_time(network.Network(text))
    k = int(np.argmin(abs(times - 3e-3)))
    assert volts[k, 1] == pytest.approx(1 - math.exp(-(times[k] - 1.0005e-3) / 1e-3), abs=1e-6)


def test_fifty_digits_find_the_middle_of_a_symmetric_string() -> None:
    network, solve = script("independent.py"), script("independent_solve.py")
    text = "t\nV1 a 0 -20\nD1 a p dm\nR1 p q 0.01\nD2 q 0 dm\n.model dm D(is=1e-16)\n.op\n.end"
    net = network.Network(text)
    assert solve.exact(net, np.array([-20.0, -9.9, -9.9, 0.0]))[1:3] == pytest.approx([-10.0, -10.0], abs=1e-12)


@pytest.mark.parametrize(("start", "sign"), [(0.0, 1), (2.9, -1)])
def test_a_latch_leaves_its_saddle_and_stays_at_its_ends(points: ModuleType, start: float, sign: int) -> None:
    text = "t\n" + "".join(f"B{k} 0 x{k} I={{-3e-4*tanh(2*V(x{1 - k}))}}\nR{k} x{k} 0 1e4\n" for k in range(2))
    judge = points.Judge(text + ".op\n.end")
    end = 3.0
    for _ in range(50):
        end = 3.0 * math.tanh(2.0 * end)
    x = judge.unknowns({"x0": math.copysign(end, 1) if start else 0.0, "x1": -end if start else 0.0})
    assert judge.error(x) < 1e-9
    stable, rate = judge.stable(x)
    assert stable == (sign < 0)
    assert math.copysign(1, rate) == sign
    assert stable or judge.settled(x)
