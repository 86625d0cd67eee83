"""The sinh resistor: values by hand, its integral, extreme arguments, convergence and ngspice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from strategies import DEVICES, decades, volts

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.devices import SinhResistor
from analogep.solve import operating_point
from analogep.spice import compare, from_netlist, to_netlist

EPS = float(np.finfo(float).eps)


def parameters(**values: float) -> dict[str, np.ndarray]:
    return {key: np.array([value]) for key, value in SinhResistor(**values).values.items()}


def divider(conductance: np.ndarray, v0: np.ndarray, feed: float) -> Circuit:
    """Each element to ground from its own node, all nodes fed from one input."""
    count = len(v0)
    nodes = np.arange(2, 2 + count)
    pins = np.stack([nodes, 0 * nodes], axis=1)
    names = tuple(f"m{k}" for k in range(count))
    inward = np.stack([np.ones_like(nodes), nodes], axis=1)
    return Circuit(
        ("0", "x", *(f"n{k}" for k in range(count))),
        (
            resistor_bank("feed", inward, np.full(count, feed), [f"r{k}" for k in range(count)]),
            Bank("cells", SinhResistor, pins, {"conductance": conductance, "v0": v0}, names),
        ),
        input_nodes=np.array([1]),
    )


def test_the_law_by_hand() -> None:
    # 1 mS · 0.5 V · sinh(2), with sinh(2) = 3.626860407847019 and cosh(2) = 3.7621956910836314.
    p, v = parameters(conductance=1e-3, v0=0.5), np.array([1.0])
    i, g = SinhResistor.current(v, p)
    assert i[0] == pytest.approx(1.8134302039235093e-3, rel=1e-15)
    assert g[0] == pytest.approx(3.7621956910836314e-3, rel=1e-15)
    assert SinhResistor.cocontent(v, p)[0] == pytest.approx(0.25e-3 * 2.7621956910836314, rel=1e-15)
    observable = SinhResistor.cocontent_gradient(v, p)["conductance"][0]
    assert observable == pytest.approx(0.25 * 2.7621956910836314, rel=1e-15)


@given(values=DEVICES["sinh_resistor"], v=volts())
def test_the_law_is_odd_and_its_co_content_even(values: dict[str, float], v: float) -> None:
    p = parameters(**values)
    (up, g_up), (down, g_down) = (SinhResistor.current(np.array([s * v]), p) for s in (1, -1))
    assert up[0] == -down[0]
    assert g_up[0] == g_down[0]
    assert SinhResistor.cocontent(np.array([v]), p) == SinhResistor.cocontent(np.array([-v]), p)


@given(g=decades(1e-9, 1.0), v=volts())
def test_a_large_v0_makes_it_a_resistor(g: float, v: float) -> None:
    # sinh(x)/x - 1 < x²/6 · 1.01 and (cosh(x) - 1)/(x²/2) - 1 < x²/12 · 1.01 for x = v/v0 <= 3e-6.
    p = parameters(conductance=g, v0=1e6)
    i, slope = SinhResistor.current(np.array([v]), p)
    assert i[0] == pytest.approx(g * v, rel=2e-12)
    assert slope[0] == pytest.approx(g, rel=5e-12)
    assert SinhResistor.cocontent(np.array([v]), p)[0] == pytest.approx(0.5 * g * v * v, rel=2e-12)


@given(values=DEVICES["sinh_resistor"], v=volts())
def test_the_co_content_is_the_integral_of_the_current(values: dict[str, float], v: float) -> None:
    p = parameters(**values)
    area, _ = quad(lambda u: SinhResistor.current(np.array([u]), p)[0][0], 0.0, v, epsabs=0.0, epsrel=1e-11)
    assert SinhResistor.cocontent(np.array([v]), p)[0] == pytest.approx(area, rel=1e-10)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_current_slope_and_co_content_are_continuous_where_the_law_is_continued_linearly(side: float) -> None:
    p = parameters(conductance=1e-6, v0=0.1)
    edge = side * 60.0
    v = edge * np.array([1 - 1e-13, 1 + 1e-13])
    i, g = SinhResistor.current(v, p)
    phi = SinhResistor.cocontent(v, p)
    # 2e-13 of 600 v0 changes exp(v/v0) by 1.2e-10.
    for pair in (i, g, phi):
        assert pair[1] == pytest.approx(pair[0], rel=2e-10)
    # Five v0 further the tangent adds 5 to the sine, and 5 + 25/2 to the cosine, in units of exp(600)/2.
    far = np.array([edge, edge + side * 0.5])
    i, _ = SinhResistor.current(far, p)
    phi = SinhResistor.cocontent(far, p)
    assert i[1] / i[0] == pytest.approx(6.0, rel=1e-12)
    assert phi[1] / phi[0] == pytest.approx(18.5, rel=1e-12)


@pytest.mark.parametrize("volt", [-100.0, -3.0, 0.0, 0.3, 12.0, 100.0])
def test_newtons_method_needs_few_iterations_far_beyond_v0(volt: float) -> None:
    rng = np.random.default_rng(3)
    conductance, v0 = 10.0 ** rng.uniform(-12, -2, 50), 10.0 ** rng.uniform(-2, 1, 50)
    solution = operating_point(divider(conductance, v0, 1e-3), [volt], method="newton")
    v = solution.voltages[0, 2:]
    carried = conductance * v0 * np.sinh(v / v0)
    slope = conductance * np.cosh(v / v0)
    assert np.all(np.abs(carried - 1e-3 * (volt - v)) <= 1e-11 * (slope + 1e-3) * max(1.0, abs(volt)))
    assert solution.iterations.max() <= 40


@pytest.mark.parametrize("scale", [1.0 / 3.0, math.pi])
def test_its_netlist_has_the_parameters_to_the_last_digit(scale: float) -> None:
    g, v0 = 1e-5 * scale, 0.2 * scale
    text = to_netlist(divider(np.array([g]), np.array([v0]), 1e-3), [1.0])
    lines = {words[0]: words for words in map(str.split, text.splitlines()) if words}
    assert float(lines["Gm0_argument"][-1]) == pytest.approx(1.0 / v0, rel=EPS)
    assert float(lines["Gm0"][-1]) == pytest.approx(g * v0, rel=EPS)
    assert lines["Bm0"][-1] == "I=sinh(V(m0_argument))"


def test_one_without_conductance_is_an_open_and_comes_back() -> None:
    circuit = divider(np.array([0.0, 1e-4]), np.array([0.3, 0.4]), 1e-3)
    text = to_netlist(circuit, [1.0])
    assert "Gm0" not in text
    assert from_netlist(text) == circuit


@pytest.mark.ngspice
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), feed=decades(1e-8, 1e-2))
def test_ngspice_agrees_over_the_whole_range(seed: int, feed: float) -> None:
    rng = np.random.default_rng(seed)
    conductance, v0 = 10.0 ** rng.uniform(-9, 0, 20), 10.0 ** rng.uniform(-1, 1, 20)
    inputs = np.array([[-12.0], [-2.0], [-0.1], [0.0], [0.02], [0.5], [2.0], [12.0]])
    report = compare(divider(conductance, v0, feed), inputs, timeout=20)
    assert report.tolerance == 1e-9
    assert report.passed, str(report)
