"""Newton's method against hand calculations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from newton_tools import EPS, VT, graph, known_to, ohms, solve, volt
from scipy.optimize import brentq
from scipy.special import lambertw
from strategies import (
    decades,
    volts,
)

from analogep.circuit import Circuit, Crossbar, resistor_bank
from analogep.devices import (
    CCCS,
    CCVS,
    VCCS,
    VCVS,
    BidirectionalAmplifier,
    Capacitor,
    CurrentSource,
    Diode,
    IdealDiode,
    Resistor,
    VoltageSource,
)

# --- by hand -----------------------------------------------------------------------------------------------


@given(v=volts(), g1=decades(1e-9, 1.0), g2=decades(1e-9, 1.0))
def test_divider(v: float, g1: float, g2: float) -> None:
    circuit = graph(
        ("in", "mid", Resistor(conductance=g1)), ("mid", "0", Resistor(conductance=g2)), inputs=("in",)
    )
    assert volt(solve(circuit, [v]), "mid") == pytest.approx(v * g1 / (g1 + g2), rel=8 * EPS)


def test_a_current_source_drives_its_current_from_p_to_n_through_itself() -> None:
    circuit = graph(("0", "a", CurrentSource(amplitude=2e-3)), ohms("a", "0", 1e3))
    assert volt(solve(circuit), "a") == pytest.approx(2.0, rel=8 * EPS)


def test_a_voltage_source_fixes_p_above_n() -> None:
    circuit = graph(("a", "0", VoltageSource(voltage=2.0)), ("0", "b", VoltageSource(voltage=3.0)))
    solution = solve(circuit)
    assert (volt(solution, "a"), volt(solution, "b")) == (2.0, -3.0)
    assert solution.iterations.tolist() == [0]


def test_a_capacitor_carries_no_direct_current() -> None:
    circuit = graph(ohms("in", "a", 1e3), ("a", "0", Capacitor(value=1e-6)), ohms("a", "0", 1e9), inputs=("in",))
    assert volt(solve(circuit, [1.0]), "a") == pytest.approx(1e9 / (1e9 + 1e3), rel=8 * EPS)


@given(v=volts(), amplitude=volts(1e-3), g1=decades(1e-6, 1e-2), g2=decades(1e-6, 1e-2))
def test_a_floating_source_makes_a_supernode(v: float, amplitude: float, g1: float, g2: float) -> None:
    # g1 a + g2 b = I with a - b = V.
    circuit = graph(
        ("a", "b", VoltageSource(voltage=v)),
        ("a", "0", Resistor(conductance=g1)),
        ("b", "0", Resistor(conductance=g2)),
        ("0", "a", CurrentSource(amplitude=amplitude)),
    )
    solution = solve(circuit)
    scale = (abs(amplitude) + g2 * abs(v)) / (g1 + g2)
    assert volt(solution, "a") == pytest.approx((amplitude + g2 * v) / (g1 + g2), abs=16 * EPS * scale)
    assert volt(solution, "a") - volt(solution, "b") == pytest.approx(v, abs=4 * EPS * (scale + abs(v)))


@given(
    v=volts(),
    saturation=decades(1e-18, 1e-6),
    emission=st.floats(0.5, 2.0),
    resistance=decades(1.0, 1e9),
)
def test_diode_and_resistor_agree_with_lambert_w(
    v: float, saturation: float, emission: float, resistance: float
) -> None:
    # i = (nV_T/R) W(Is R/nV_T e^((V + Is R)/nV_T)) - Is (Banwell & Jayakumar 2000, eq. 4), forward, gmin = 0.
    v, nvt = abs(v), emission * VT
    a = saturation * resistance / nvt
    assume(math.log(a) + v / nvt + a < 700)
    w = float(lambertw(a * math.exp(v / nvt + a)).real)
    expected = v - nvt * w + saturation * resistance
    diode = Diode(saturation_current=saturation, emission=emission, gmin=0.0)
    circuit = graph(ohms("in", "a", resistance), ("a", "0", diode), inputs=("in",))
    # The exponent is rounded to EPS (v/nV_T + a); W passes that on to nV_T W divided by 1 + 1/W.
    assert volt(solve(circuit, [v]), "a") == pytest.approx(expected, abs=32 * EPS * (v + nvt * (a + w) + nvt))


@given(v=volts(), resistance=decades(1e3, 1e12), gmin=decades(1e-15, 1e-9))
def test_a_reverse_diode_agrees_with_bisection(v: float, resistance: float, gmin: float) -> None:
    # v/R = Is (1 + (3 V_T/(e u))^3) + gmin u at u = -v(a), the law of ngspice's manual below -3 V_T.
    v = 0.2 + abs(v)
    saturation = 1e-12

    def excess(u: float) -> float:
        reverse = (
            saturation * (1 - (3 * VT / (math.e * u)) ** 3) if u > 3 * VT else -saturation * math.expm1(-u / VT)
        )
        return (v - u) / resistance - reverse - gmin * u

    expected = brentq(excess, 0.0, v, xtol=1e-300, rtol=8.9e-16)
    diode = Diode(saturation_current=saturation, gmin=gmin)
    circuit = graph(ohms("in", "a", resistance), ("0", "a", diode), inputs=("in",))
    solution = solve(circuit, [v])
    # Brent's method ends where the rounding of its three terms is.
    slack = 8 * EPS * (v + (saturation + gmin * v) * resistance)
    inputs = np.array([[v]])
    assert abs(volt(solution, "a") - expected) <= slack + known_to(solution, inputs)[0, solution.circuit.node("a")]


def test_two_antiparallel_diodes_clamp_both_ways() -> None:
    # By symmetry v(-V) = -v(V); at ±5 V over 1 kΩ the drop is V_T ln((5 - v)/(1 kΩ Is)) to within e^(-2v/V_T).
    circuit = graph(
        ohms("in", "a", 1e3),
        ("a", "0", Diode(gmin=0.0)),
        ("0", "a", Diode(gmin=0.0)),
        inputs=("in",),
    )
    up, down = solve(circuit, [[5.0], [-5.0]]).voltage("a")
    assert up == -down
    expected = brentq(lambda u: VT * math.log((5.0 - u) / 1e3 / 1e-14) - u, 0.5, 0.9, xtol=1e-15)
    assert up == pytest.approx(expected, abs=1e-12)


@given(v=volts(), gain=decades(0.1, 10.0), back=decades(0.1, 10.0))
def test_an_amplifier_pair(v: float, gain: float, back: float) -> None:
    # in -g1- a [A, B] b -g2- c [A, B] d -g3- ground. With G = A B g3 the second stage loads c by G; b sees
    # g2 G/(g2 + G), which loads a by A B times that.
    g1, g2, g3 = 1e-3, 2e-3, 3e-3
    amp = BidirectionalAmplifier(voltage_gain=gain, current_gain=back)
    circuit = graph(
        ("in", "a", Resistor(conductance=g1)),
        ("a", "b", amp),
        ("b", "c", Resistor(conductance=g2)),
        ("c", "d", amp),
        ("d", "0", Resistor(conductance=g3)),
        inputs=("in",),
    )
    load = gain * back * g3
    seen = gain * back * g2 * load / (g2 + load)
    a = v * g1 / (g1 + seen)
    c = gain * a * g2 / (g2 + load)
    solution = solve(circuit, [v])
    # The Jacobian is [[g1 + AB g2, -B g2], [-A g2, g2 + AB g3]]: elimination loses AB g2 / (g1 + seen) at most.
    tolerance = 64 * EPS * (1 + gain * back * g2 / (g1 + seen))
    for node, expected in (("a", a), ("b", gain * a), ("c", c), ("d", gain * c)):
        assert volt(solution, node) == pytest.approx(expected, rel=tolerance)


def test_kendalls_amplifier_reflects_a_quarter_of_the_current() -> None:
    # Kendall et al. 2020, section 4: A = 4, B = 1/4. With 1 mS everywhere: 1 - a = (1/4)·4a, a = 1/2, b = 2.
    circuit = graph(
        ohms("in", "a", 1e3), ("a", "b", BidirectionalAmplifier()), ohms("b", "0", 1e3), inputs=("in",)
    )
    solution = solve(circuit, [1.0])
    assert (volt(solution, "a"), volt(solution, "b")) == (0.5, 2.0)


def test_vcvs_by_hand() -> None:
    # v(p) - v(n) = 10 · 0.5 V; p and n each load 1 kΩ, so p = 2.5 V, n = -2.5 V; the current through is 2.5 mA.
    circuit = graph(
        ohms("in", "c", 1e3),
        ohms("c", "0", 1e3),
        ("p", "n", VCVS(gain=10.0, control=("c", "0"))),
        ohms("p", "0", 1e3),
        ohms("n", "0", 1e3),
        inputs=("in",),
    )
    solution = solve(circuit, [1.0])
    assert volt(solution, "p") == pytest.approx(2.5, rel=1e-14)
    assert volt(solution, "n") == pytest.approx(-2.5, rel=1e-14)
    # Current is positive from the first pin to the second through the source: it enters p from the load.
    assert solution.bank_currents("vcvs_fixed") == pytest.approx(np.array([[-2.5e-3]]), rel=1e-13)


def test_vccs_by_hand() -> None:
    # i(p → n) = 2 mS · 0.5 V leaves p, so that p falls by 1 mA · 1 kΩ.
    circuit = graph(
        ohms("in", "c", 1e3),
        ohms("c", "0", 1e3),
        ("p", "0", VCCS(transconductance=2e-3, control=("c", "0"))),
        ohms("p", "0", 1e3),
        inputs=("in",),
    )
    assert volt(solve(circuit, [1.0]), "p") == pytest.approx(-1.0, rel=1e-14)


def test_ccvs_by_hand() -> None:
    # 1 V over 1 kΩ drives 1 mA through the sensing short; 3 kΩ makes 3 V of it.
    circuit = graph(
        ohms("in", "c", 1e3),
        ("p", "0", CCVS(transresistance=3e3, control=("c", "0"))),
        ohms("p", "0", 1e3),
        inputs=("in",),
    )
    solution = solve(circuit, [1.0])
    assert volt(solution, "c") == pytest.approx(0.0, abs=1e-15)
    assert volt(solution, "p") == pytest.approx(3.0, rel=1e-14)


def test_cccs_by_hand() -> None:
    # 1 mA is sensed; 2 mA leave p and arrive at n.
    circuit = graph(
        ohms("in", "c", 1e3),
        ("p", "n", CCCS(gain=2.0, control=("c", "0"))),
        ohms("p", "0", 1e3),
        ohms("n", "0", 2e3),
        inputs=("in",),
    )
    solution = solve(circuit, [1.0])
    assert volt(solution, "p") == pytest.approx(-2.0, rel=1e-14)
    assert volt(solution, "n") == pytest.approx(4.0, rel=1e-14)


@given(
    v=st.lists(volts(), min_size=2, max_size=2),
    g=st.lists(decades(1e-6, 1e-2), min_size=2, max_size=2),
    low=st.floats(-1.0, 0.0),
    high=st.floats(0.0, 1.0),
)
def test_ideal_diodes_clip_the_mean_of_the_neighbours(
    v: list[float], g: list[float], low: float, high: float
) -> None:
    # Scellier 2024: the exact block step of a hidden node, v ← clip(Σ g_j v_j / Σ g_j).
    assume(high - low > 1e-6)
    circuit = graph(
        ("x", "h", Resistor(conductance=g[0])),
        ("y", "h", Resistor(conductance=g[1])),
        ("h", "0", IdealDiode(threshold=high)),
        ("0", "h", IdealDiode(threshold=-low)),
        inputs=("x", "y"),
    )
    mean = (g[0] * v[0] + g[1] * v[1]) / (g[0] + g[1])
    solution = solve(circuit, v)
    assert volt(solution, "h") == pytest.approx(
        min(max(mean, low), high), abs=16 * EPS * (abs(v[0]) + abs(v[1]) + 1)
    )
    # Where a diode only just conducts, its current is a difference of the others'.
    assert np.all(solution.bank_currents("ideal_diode_fixed") >= -8 * EPS * np.dot(g, np.abs(v)))


@pytest.mark.parametrize("trained", [False, True])
def test_a_node_that_an_ideal_diode_alone_holds_is_solved(trained: bool) -> None:
    # 1 mA flows through the diode into 1 kΩ; a's other element is open. The plan once took a's own conductance
    # for a pivot because another element of its bank conducts, or because it had conducted before training.
    start = 1e-3 if trained else 0.0
    circuit = graph(
        ("a", "0", Resistor(conductance=start)),
        ("0", "a", CurrentSource(amplitude=1e-3)),
        ("a", "b", IdealDiode(threshold=0.0)),
        ohms("b", "0", 1e3),
        trainable=True,
    )
    if trained:
        assert volt(solve(circuit), "b") == pytest.approx(0.5, rel=1e-14)
    pruned = circuit.with_parameters({"resistor.conductance": [0.0, 1e-3]})
    assert volt(solve(pruned), "a") == pytest.approx(1.0, rel=1e-12)


def test_an_ideal_diode_whose_node_an_open_resistor_shares_conducts() -> None:
    # The node's only other element is open (a pruned weight): its own conductance is zero, the diode holds it.
    circuit = graph(
        ohms("in", "a", 1e3),
        ("a", "b", IdealDiode(threshold=0.0)),
        ("b", "0", Resistor(conductance=0.0)),
        inputs=("in",),
    )
    assert volt(solve(circuit, [1.0]), "b") == pytest.approx(1.0, rel=1e-14)


@given(
    v=st.lists(volts(), min_size=3, max_size=3),
    g=st.lists(decades(1e-6, 1e-2), min_size=6, max_size=6),
)
def test_a_crossbar_is_its_resistors(v: list[float], g: list[float]) -> None:
    table = np.array(g).reshape(3, 2)
    load = resistor_bank("load", [[4, 0], [5, 0]], [1e-4, 1e-4], ["r1", "r2"])
    nodes, inputs = ("0", "x", "y", "z", "a", "b"), np.array([1, 2, 3])
    bar = Circuit(nodes, (load,), (Crossbar("W", np.array([1, 2, 3]), np.array([4, 5]), table),), inputs)
    pins = [[r, c] for r in (1, 2, 3) for c in (4, 5)]
    names = [f"w{k}" for k in range(6)]
    single = Circuit(nodes, (load, resistor_bank("W", pins, table.ravel(), names)), (), inputs)
    expected = (table.T @ np.array(v)) / (table.sum(axis=0) + 1e-4)
    for circuit in (bar, single):
        assert solve(circuit, v).voltages[0, 4:] == pytest.approx(expected, rel=1e-13, abs=1e-15)
