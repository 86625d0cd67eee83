"""Newton's method against hand calculations, an independent nodal analysis, and the laws of circuits."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import lambertw
from strategies import (
    LINEAR_CELLS,
    RECIPROCAL_CELLS,
    SMOOTH_CELLS,
    decades,
    experiments,
    volts,
)

import analogep.solve.model as model_module
from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.constants import thermal_voltage
from analogep.devices import (
    CCCS,
    CCVS,
    VCCS,
    VCVS,
    BidirectionalAmplifier,
    Capacitor,
    Constraint,
    CurrentSource,
    Device,
    Diode,
    IdealDiode,
    MultiPort,
    OnePort,
    Resistor,
    VoltageSource,
)
from analogep.errors import ConvergenceError, InputError
from analogep.solve import ConductanceNudge, CurrentNudge, NewtonOptions, Nudge, Solution, operating_point
from analogep.solve.linear import DenseSolver, SparseSolver, linear_solver
from analogep.solve.model import model_for
from analogep.solve.newton import residual_bound
from analogep.solve.system import System, node_currents

EPS = float(np.finfo(float).eps)
VT = thermal_voltage()

Experiment = tuple[Circuit, np.ndarray]
Edge = tuple[str, str, Device]


def graph(
    *edges: Edge, inputs: tuple[str, ...] = (), outputs: tuple[Any, ...] = (), trainable: bool = False
) -> Circuit:
    g = nx.MultiDiGraph()
    for a, b, device in edges:
        g.add_edge(a, b, device=device, trainable=trainable and isinstance(device, Resistor))
    return Circuit.from_graph(g, inputs=inputs, outputs=outputs)


def ohms(a: str, b: str, resistance: float) -> Edge:
    return (a, b, Resistor.from_resistance(resistance))


def solve(circuit: Circuit, inputs: Any = None, nudge: Nudge | None = None, **options: Any) -> Solution:
    return operating_point(circuit, inputs, nudge, method="newton", **options)


def volt(solution: Solution, node: str) -> float:
    (value,) = solution.voltage(node)
    return float(value)


# --- tools: the tangent at a solution, and how well the solution is known ----------------------------------


class Tangent:
    """Jacobian, residual and bound at a solution, assembled densely."""

    def __init__(self, solution: Solution, inputs: np.ndarray, nudge: Nudge | None = None) -> None:
        self.system = System(solution.circuit, inputs, nudge)
        self.model = model = self.system.model
        self.x = model.reduce_voltages(solution.voltages)
        for b, start in model.plan.branch_start.items():
            branches = solution.branches[b].reshape(len(self.x), -1)
            self.x[:, start : start + branches.shape[1]] = branches
        ev = self.system.evaluate(self.x)
        entries = model.slots.values(ev.slopes)
        self.residual = ev.residual
        self.bound = residual_bound(model, self.x, ev, entries, NewtonOptions())
        self.jacobian = self.assemble(entries)

    def assemble(self, entries: np.ndarray) -> np.ndarray:
        linear = self.model.linear_matrix
        dense = linear if self.model.dense else linear.toarray()  # type: ignore[union-attr]
        jacobian = np.repeat(dense[None], len(entries), axis=0)
        jacobian[:, self.model.slots.rows, self.model.slots.columns] += entries
        return jacobian

    def uncertainty(self) -> np.ndarray:
        """Error of the node voltages, (B, N) [V]: the residual and its rounding, through the inverse.

        Rounding is 64 EPS of what :func:`residual_bound` takes 1e-11 of.
        """
        if not self.model.plan.size:
            return EPS * (1.0 + np.abs(self.system.known))
        rounding = 64 * EPS / 1e-11 * self.bound
        inverse = np.abs(np.linalg.inv(self.jacobian))
        error = (inverse @ (np.abs(self.residual) + rounding)[..., None])[..., 0]
        nodes = np.abs(self.model.t_free) * error[:, self.model.gather]
        return nodes + 8 * EPS * (1.0 + np.abs(self.system.known))


def known_to(solution: Solution, inputs: np.ndarray, nudge: Nudge | None = None) -> np.ndarray:
    return Tangent(solution, inputs, nudge).uncertainty()


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


# --- an independent nodal analysis --------------------------------------------------------------------------


def constraint_columns(circuit: Circuit) -> np.ndarray:
    """Currents that leave each node per unit of current of each input, source and amplifier, (N, S)."""
    columns = []
    for node in circuit.input_nodes:
        columns.append({int(node): 1.0})
    for bank in circuit.banks:
        if bank.device is VoltageSource:
            columns += [{int(p): 1.0, int(n): -1.0} for p, n in bank.pins]
        elif bank.device is BidirectionalAmplifier:
            back = bank.values["current_gain"]
            columns += [{int(a): back[e], int(o): -1.0} for e, (a, o) in enumerate(bank.pins)]
        else:
            assert not issubclass(bank.device, Constraint), "teach the nodal analysis this constraint"
    out = np.zeros((len(circuit.nodes), len(columns)))
    for s, column in enumerate(columns):
        for node, value in column.items():
            out[node, s] += value
    return out


def nodal_analysis(circuit: Circuit, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solve a linear circuit by textbook modified nodal analysis; return voltages (N,) and their error."""
    count = len(circuit.nodes)
    rows: list[tuple[list[tuple[int, float]], float]] = []  # extra equations: terms and right-hand side
    stamps: list[tuple[int, int, float]] = []
    source = np.zeros(count)
    extra = count

    def branch(leaves: list[tuple[int, float]], terms: list[tuple[int, float]], value: float) -> int:
        nonlocal extra
        stamps.extend((node, extra, sign) for node, sign in leaves)
        rows.append((terms, value))
        extra += 1
        return extra - 1

    def conduct(a: int, b: int, g: float) -> None:
        stamps.extend([(a, a, g), (a, b, -g), (b, b, g), (b, a, -g)])

    for node, value in zip(circuit.input_nodes, inputs, strict=True):
        branch([(int(node), 1.0)], [(int(node), 1.0)], float(value))
    for c in circuit.crossbars:
        for r, row in enumerate(c.rows):
            for k, column in enumerate(c.columns):
                conduct(int(row), int(column), float(c.conductance[r, k]))
    for bank in circuit.banks:
        for e, pins in enumerate(bank.pins.tolist()):
            p = {key: float(value[e]) for key, value in bank.values.items()}
            a, b = pins[:2]
            ends, across = [(a, 1.0), (b, -1.0)], [(a, 1.0), (b, -1.0)]
            control = [(pins[2], 1.0), (pins[3], -1.0)] if len(pins) == 4 else []
            match bank.device.kind:
                case "resistor":
                    conduct(a, b, p["conductance"])
                case "capacitor":
                    pass
                case "current_source":
                    source[a] -= p["amplitude"]
                    source[b] += p["amplitude"]
                case "voltage_source":
                    branch(ends, across, p["voltage"])
                case "vcvs":
                    branch(ends, across + [(n, -s * p["gain"]) for n, s in control], 0.0)
                case "vccs":
                    gm = p["transconductance"]
                    stamps.extend((n, m, s * t * gm) for n, s in ends for m, t in control)
                case "ccvs":
                    sensed = branch(control, control, 0.0)
                    branch(ends, [*across, (sensed, -p["transresistance"])], 0.0)
                case "cccs":
                    sensed = branch(control, control, 0.0)
                    stamps.extend((n, sensed, s * p["gain"]) for n, s in ends)
                case "amplifier":
                    leaves = [(a, p["current_gain"]), (b, -1.0)]
                    branch(leaves, [(b, 1.0), (a, -p["voltage_gain"])], 0.0)
                case kind:
                    raise AssertionError(f"teach the nodal analysis the device {kind}")
    matrix, rhs = np.zeros((extra, extra)), np.zeros(extra)
    for i, j, value in stamps:
        matrix[i, j] += value
    rhs[:count] = source
    for k, (terms, value) in enumerate(rows):
        rhs[count + k] = value
        for j, factor in terms:
            matrix[count + k, j] += factor
    matrix, rhs = matrix[1:, 1:], rhs[1:]  # ground
    y = np.linalg.solve(matrix, rhs)
    for _ in range(2):  # refinement makes the error small row by row (Skeel 1980), however the rows are scaled
        y = y + np.linalg.solve(matrix, rhs - matrix @ y)
    error = np.abs(np.linalg.inv(matrix)) @ (64 * EPS * (np.abs(matrix) @ np.abs(y) + np.abs(rhs)))
    return np.concatenate([[0.0], y[: count - 1]]), np.concatenate([[0.0], error[: count - 1]])


@given(experiment=experiments(LINEAR_CELLS))
def test_linear_circuits_agree_with_textbook_nodal_analysis(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    own_error = known_to(solution, inputs)
    for b, row in enumerate(inputs):
        expected, error = nodal_analysis(circuit, row)
        assert np.all(np.abs(solution.voltages[b] - expected) <= error + own_error[b])


# --- Kirchhoff and Tellegen --------------------------------------------------------------------------------


@given(experiment=experiments())
def test_kirchhoffs_current_law_holds_at_every_unknown(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    tangent = Tangent(solution, inputs)
    nodes = len(tangent.model.plan.nodes)
    currents = node_currents(circuit, solution.voltages, solution.branches)
    rows = tangent.model.reduce_currents(currents)[:, :nodes]
    # The same sum in another order differs by its rounding, which the bound exceeds by 1e-11 / EPS.
    assert np.all(np.abs(rows) <= 2 * tangent.bound[:, :nodes])
    assert np.all(solution.residual <= tangent.bound[:, :nodes].max(axis=1, initial=0.0))
    assert solution.converged.all()
    assert solution.engine == "newton"


@given(experiment=experiments())
def test_branch_equations_and_sources_hold(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    v = solution.voltages
    assert np.all(v[:, 0] == 0.0)
    assert np.array_equal(v[:, circuit.input_nodes], inputs)
    scale = 1.0 + np.abs(Tangent(solution, inputs).x).max(axis=1, initial=0.0)
    for b, bank in enumerate(circuit.banks):
        if issubclass(bank.device, Constraint):
            ratio, _, offset = bank.device.law(bank.values)
            child, parent = v[:, bank.pins[:, bank.device.child]], v[:, bank.pins[:, 1 - bank.device.child]]
            size = np.abs(v).max(axis=1) + np.abs(offset).max()
            assert np.all(np.abs(child - ratio * parent - offset) <= 16 * EPS * size[:, None])
        elif issubclass(bank.device, MultiPort):
            z = np.concatenate([v[:, bank.pins], solution.branches[b]], axis=-1)
            f = bank.device.stamp(z, bank.values)[0][..., len(bank.device.pins) :]
            assert np.all(np.abs(f) <= 1e-12 * scale[:, None, None])


@given(experiment=experiments())
def test_tellegens_theorem(experiment: Experiment) -> None:
    """The powers of all elements, sources included, add up to nothing."""
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    v = solution.voltages
    leaving = node_currents(circuit, v, solution.branches)
    columns = constraint_columns(circuit)
    # Currents of inputs, sources and amplifiers follow from Kirchhoff's law at every node but ground. The
    # solver's own equations are sums of these rows, so what is left over is its residual and rounding.
    currents = -np.linalg.lstsq(columns[1:], leaving[:, 1:].T, rcond=None)[0].T if columns.size else inputs[:, :0]
    left = leaving[:, 1:] + currents @ columns[1:].T
    tangent = Tangent(solution, inputs)
    nodes = len(tangent.model.plan.nodes)
    condition = np.linalg.cond(columns[1:]) if columns.size else 1.0
    size = np.abs(leaving).sum(axis=1) + np.abs(currents).sum(axis=1)
    allowed = np.linalg.norm(tangent.bound[:, :nodes], axis=1) + 64 * EPS * condition * size
    assert np.all(np.linalg.norm(left, axis=1) <= allowed)

    total, gross = np.zeros(len(v)), np.zeros(len(v))

    def add(power: np.ndarray) -> None:
        nonlocal total, gross
        axes = tuple(range(1, power.ndim))
        total, gross = total + power.sum(axis=axes), gross + np.abs(power).sum(axis=axes)

    for b, bank in enumerate(circuit.banks):
        across = v[:, bank.pins]
        if issubclass(bank.device, OnePort):
            u = across[..., 0] - across[..., 1]
            add(u * bank.device.current(u, bank.values)[0])
        elif issubclass(bank.device, MultiPort):
            z = np.concatenate([across, solution.branches[b]], axis=-1)
            add(across * bank.device.stamp(z, bank.values)[0][..., : across.shape[-1]])
    for c in circuit.crossbars:
        u = v[:, c.rows, None] - v[:, None, c.columns]
        add(c.conductance * u * u)
    add((v @ columns) * currents)
    assert np.all(np.abs(total) <= np.linalg.norm(v, axis=1) * allowed + 64 * EPS * gross)


PASSIVE_CELLS = tuple(cell for cell in RECIPROCAL_CELLS if cell not in ("current_source", "capacitor"))


@given(experiment=experiments(PASSIVE_CELLS))
def test_power_is_what_the_sources_deliver(experiment: Experiment) -> None:
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    columns = constraint_columns(circuit)
    leaving = node_currents(circuit, solution.voltages, solution.branches)
    currents = -np.linalg.lstsq(columns[1:], leaving[:, 1:].T, rcond=None)[0].T if columns.size else inputs[:, :0]
    delivered = -((solution.voltages @ columns) * currents).sum(axis=1)
    tangent = Tangent(solution, inputs)
    nodes = len(tangent.model.plan.nodes)
    v = np.linalg.norm(solution.voltages, axis=1)
    size = np.abs(leaving).sum(axis=1) + np.abs(currents).sum(axis=1)
    condition = np.linalg.cond(columns[1:]) if columns.size else 1.0
    allowed = v * (np.linalg.norm(tangent.bound[:, :nodes], axis=1) + 256 * EPS * condition * size)
    # Crossbars sum g (r² + c² - 2 r c), whose terms are larger than the sum: rounding of the terms.
    terms = sum(
        ((solution.voltages[:, c.rows] ** 2) @ c.conductance.sum(axis=1) for c in circuit.crossbars),
        np.zeros(len(inputs)),
    )
    terms = terms + sum(
        ((solution.voltages[:, c.columns] ** 2) @ c.conductance.sum(axis=0) for c in circuit.crossbars),
        np.zeros(len(inputs)),
    )
    # An ideal diode's power is threshold times current, all of it counted; a solved branch may miss by 1e-12.
    assert np.all(np.abs(solution.power - delivered) <= allowed + 64 * EPS * terms + 1e-12 * (1 + v) * size)


# --- derivatives and symmetries ----------------------------------------------------------------------------


@given(experiment=experiments(SMOOTH_CELLS), data=st.data())
def test_the_jacobian_of_the_whole_circuit_is_the_derivative_of_its_residual(
    experiment: Experiment, data: st.DataObject
) -> None:
    circuit, inputs = experiment
    target = np.full((len(inputs), len(circuit.output_pairs)), 0.3)
    nudge = ConductanceNudge(data.draw(st.sampled_from([1e-3, -1e-5])), target)
    tangent = Tangent(solve(circuit, inputs), inputs, nudge)
    system, x = tangent.system, tangent.x
    # Steps of 1e-4 of the smallest nV_T, 0.5 · 17 mV at 200 K: truncation h²/6 f'''/f' < 1e-7 as for a device.
    h = 1e-4 * 0.0086
    for j in range(x.shape[1]):
        dx = h * np.eye(x.shape[1])[j]
        above, below = system.evaluate(x + dx), system.evaluate(x - dx)
        difference = (above.residual - below.residual) / (2 * h)
        column = tangent.jacobian[:, :, j]
        # Each row's rounding, and the truncation of any diode in it, relative to the row's own slopes.
        slopes = np.abs(tangent.jacobian).sum(axis=2)
        rounding = 64 * EPS / h / 1e-11 * tangent.bound
        assert np.all(np.abs(difference - column) <= 1e-6 * slopes + rounding)


@given(experiment=experiments(RECIPROCAL_CELLS))
def test_the_jacobian_of_a_reciprocal_circuit_is_symmetric(experiment: Experiment) -> None:
    circuit, inputs = experiment
    tangent = Tangent(solve(circuit, inputs), inputs)
    nodes = len(tangent.model.plan.nodes)
    block = tangent.jacobian[:, :nodes, :nodes]
    size = np.abs(block).max(initial=0.0)
    assert np.all(np.abs(block - block.swapaxes(1, 2)) <= 8 * EPS * size)


@given(experiment=experiments(tuple(c for c in RECIPROCAL_CELLS if c in LINEAR_CELLS)))
def test_transfer_resistances_of_a_linear_reciprocal_circuit_are_symmetric(experiment: Experiment) -> None:
    """A current into one output moves another output as the reverse does."""
    circuit, inputs = experiment
    inputs = inputs[:1]
    count = len(circuit.output_pairs)
    free = solve(circuit, inputs)
    size = 1e-6
    moved, error = np.zeros((count, count)), np.zeros((count, count))
    pairs = circuit.output_pairs
    for k in range(count):
        nudge = CurrentNudge(-size * np.eye(count)[[k]])
        nudged = solve(circuit, inputs, nudge)
        doubt = known_to(nudged, inputs, nudge)[0] + known_to(free, inputs)[0]
        moved[k] = (nudged.outputs - free.outputs)[0]
        error[k] = doubt[pairs[:, 0]] + doubt[pairs[:, 1]]
    assert np.all(np.abs(moved - moved.T) <= error + error.T)


@given(experiment=experiments(), data=st.data())
def test_the_order_of_nodes_and_elements_does_not_matter(experiment: Experiment, data: st.DataObject) -> None:
    circuit, inputs = experiment
    order = [0, *data.draw(st.permutations(range(1, len(circuit.nodes))))]
    place = np.argsort(order)
    banks = []
    for bank in reversed(circuit.banks):
        e = np.array(data.draw(st.permutations(range(bank.size))))
        values = {key: value[e] for key, value in bank.values.items()}
        names = tuple(bank.names[k] for k in e)
        banks.append(replace(bank, pins=place[bank.pins[e]], values=values, names=names))
    crossbars = tuple(replace(c, rows=place[c.rows], columns=place[c.columns]) for c in circuit.crossbars)
    other = Circuit(
        tuple(circuit.nodes[i] for i in order),
        tuple(banks),
        crossbars,
        place[circuit.input_nodes],
        place[circuit.output_pairs],
    )
    first, second = solve(circuit, inputs), solve(other, inputs)
    doubt = known_to(first, inputs) + known_to(second, inputs)[:, place]
    assert np.all(np.abs(first.voltages - second.voltages[:, place]) <= doubt)


@given(experiment=experiments(most_samples=4))
def test_a_batch_is_its_samples(experiment: Experiment) -> None:
    circuit, inputs = experiment
    together = solve(circuit, inputs)
    for b in range(len(inputs)):
        alone = solve(circuit, inputs[b])
        doubt = known_to(alone, inputs[b : b + 1]) + known_to(together, inputs)[b]
        assert np.all(np.abs(alone.voltages[0] - together.voltages[b]) <= doubt)


@given(data=st.data())
def test_a_batch_is_its_samples_to_picovolts_in_a_well_scaled_circuit(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    circuit = layered_circuit(rng)
    inputs = rng.uniform(-1.0, 1.0, (6, 4))
    together = solve(circuit, inputs)
    alone = np.concatenate([solve(circuit, row).voltages for row in inputs])
    # Diagonally dominant by a load as large as a weight: the condition number is below 1e3, times EPS is 2e-13.
    assert np.abs(together.voltages - alone).max() <= 1e-12


def layered_circuit(rng: np.random.Generator) -> Circuit:
    """Four inputs, five hidden nodes with two diodes each, two outputs (one pair); weights near 1e-4 S."""
    nodes = ("0", *(f"x{i}" for i in range(4)), *(f"h{i}" for i in range(5)), "y0", "y1")
    diode = {key: np.full(10, value) for key, value in Diode().values.items()}
    pins = [[h, 0] for h in range(5, 10)] + [[0, h] for h in range(5, 10)]
    return Circuit(
        nodes,
        (
            Bank("D", Diode, np.array(pins), diode, tuple(f"d{k}" for k in range(10))),
            resistor_bank("L", [[10, 0], [11, 0]], rng.uniform(5e-5, 2e-4, 2), ["l0", "l1"], trainable=True),
        ),
        (
            Crossbar("W1", np.arange(1, 5), np.arange(5, 10), rng.uniform(1e-5, 2e-4, (4, 5))),
            Crossbar("W2", np.arange(5, 10), np.array([10, 11]), rng.uniform(1e-5, 2e-4, (5, 2))),
        ),
        np.arange(1, 5),
        np.array([[10, 0], [10, 11]]),
    )


@given(experiment=experiments(), offset=volts())
def test_the_start_does_not_change_the_answer(experiment: Experiment, offset: float) -> None:
    circuit, inputs = experiment
    cold = solve(circuit, inputs)
    warm = solve(circuit, inputs, v0=cold)
    far = solve(circuit, inputs, v0=cold.voltages + offset)
    doubt = known_to(cold, inputs)
    assert np.all(np.abs(warm.voltages - cold.voltages) <= doubt + known_to(warm, inputs))
    assert np.all(np.abs(far.voltages - cold.voltages) <= doubt + known_to(far, inputs))


@given(experiment=experiments(SMOOTH_CELLS))
def test_a_warm_start_at_the_solution_takes_no_longer(experiment: Experiment) -> None:
    circuit, inputs = experiment
    cold = solve(circuit, inputs)
    assert np.all(solve(circuit, inputs, v0=cold).iterations <= np.maximum(cold.iterations, 2))


def test_a_warm_start_at_hard_conduction_is_kept() -> None:
    # Starting points are limited only where there is no guess: 0.8 V across a diode is one.
    circuit = graph(ohms("in", "a", 10.0), ("a", "0", Diode()), inputs=("in",))
    cold = solve(circuit, [3.0])
    assert solve(circuit, [3.0], v0=cold).iterations[0] <= 2 < cold.iterations[0]


# --- dense and sparse --------------------------------------------------------------------------------------


@given(experiment=experiments())
def test_the_dense_and_the_sparse_solver_agree(experiment: Experiment) -> None:
    circuit, inputs = experiment
    count = len(circuit.output_pairs)
    nudge = ConductanceNudge(1e-4, np.full((len(inputs), count), 0.5))
    dense = solve(circuit, inputs, nudge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_module, "DENSE_LIMIT", -1)
        other = circuit.with_parameters({})
        sparse = solve(other, inputs, nudge)
        assert isinstance(linear_solver(model_for(other)), SparseSolver)
        doubt = known_to(sparse, inputs, nudge)
    assert isinstance(linear_solver(model_for(circuit)), DenseSolver)
    assert np.all(np.abs(dense.voltages - sparse.voltages) <= doubt + known_to(dense, inputs, nudge))


@pytest.mark.parametrize("limit", [-1, 10**6], ids=["sparse", "dense"])
@pytest.mark.parametrize("transpose", [False, True])
@given(experiment=experiments())
def test_linear_solvers_solve_the_tangent_and_its_transpose(
    limit: int, transpose: bool, experiment: Experiment
) -> None:
    circuit, inputs = experiment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_module, "DENSE_LIMIT", limit)
        circuit = circuit.with_parameters({})
        tangent = Tangent(solve(circuit, inputs), inputs)
        model = tangent.model
        entries = model.slots.values(tangent.system.evaluate(tangent.x).slopes)
        rhs = 1e-4 * np.cos(np.arange(tangent.x.size, dtype=float)).reshape(tangent.x.shape)
        y = linear_solver(model).solve(entries, rhs, transpose=transpose)
    matrix = tangent.jacobian.swapaxes(1, 2) if transpose else tangent.jacobian
    # Normwise backward stability (Higham 2002, theorem 9.5): what is left over is of the size of n EPS |J| |y|,
    # times the growth of the pivots. Partial pivoting keeps that below 8 here; eliminating the independent
    # unknowns without it adds |row| |column| / pivot.
    growth = 8.0
    if limit > 0 and len(alone := model.plan.independent):
        pivot = np.abs(matrix[:, alone, alone])
        row, column = np.abs(matrix[:, alone]).max(axis=2), np.abs(matrix[:, :, alone]).max(axis=1)
        growth += float((row * column / pivot).max() / np.abs(matrix).max())
    size = np.abs(matrix).sum(axis=2).max(axis=1, initial=0.0) * np.abs(y).max(axis=1, initial=0.0)
    left = np.abs((matrix @ y[..., None])[..., 0] - rhs).max(axis=1, initial=0.0)
    bound = size + np.abs(rhs).max(axis=1, initial=0.0)
    assert np.all(left <= growth * model.plan.size * EPS * bound)


def test_a_zero_conductance_in_a_sparse_crossbar_leaves_the_rest_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A stored zero was looked up outside the pattern, landed on its first entry and erased it.
    nodes = ("0", "x", "a", "b", "c", "d")
    g = np.array([[0.0, 1e-3], [1e-3, 0.0]])
    load = resistor_bank(
        "L", [[1, 2], [2, 0], [3, 0], [4, 0], [5, 0]], [2e-3, 1e-3, 1e-3, 1e-3, 1e-3], list("pqrst")
    )
    circuit = Circuit(nodes, (load,), (Crossbar("W", np.array([2, 3]), np.array([4, 5]), g),), np.array([1]))
    monkeypatch.setattr(model_module, "DENSE_LIMIT", -1)
    # a: 2 (x - a) = a + (a - d), d = a/2: 3.5 a = 2 x; b and c are at rest.
    assert solve(circuit, [1.0]).voltages[0] == pytest.approx([0, 1, 4 / 7, 0, 0, 2 / 7], abs=1e-15)


# --- nudges ------------------------------------------------------------------------------------------------


def with_elements(circuit: Circuit, nodes: tuple[str, ...], *banks: Bank) -> Circuit:
    return Circuit(
        (*circuit.nodes, *nodes),
        (*circuit.banks, *banks),
        circuit.crossbars,
        circuit.input_nodes,
        circuit.output_pairs,
    )


@given(experiment=experiments(), beta=decades(1e-7, 1e-2), target=volts())
def test_a_conductance_nudge_is_a_resistor_to_a_source(experiment: Experiment, beta: float, target: float) -> None:
    circuit, inputs = experiment
    pairs = circuit.output_pairs
    count, first = len(pairs), len(circuit.nodes)
    fresh = np.arange(first, first + count)
    names = tuple(f"target{k}" for k in range(count))
    explicit = with_elements(
        circuit,
        names,
        resistor_bank("nudge", np.stack([pairs[:, 0], fresh], axis=1), np.full(count, beta), names),
        Bank(
            "goal",
            VoltageSource,
            np.stack([fresh, pairs[:, 1]], axis=1),
            {"voltage": np.full(count, target)},
            tuple(f"goal{k}" for k in range(count)),
        ),
    )
    nudge = ConductanceNudge(beta, np.full((len(inputs), count), target))
    nudged, expected = solve(circuit, inputs, nudge), solve(explicit, inputs)
    doubt = known_to(nudged, inputs, nudge) + known_to(expected, inputs)[:, :first]
    assert np.all(np.abs(nudged.voltages - expected.voltages[:, :first]) <= doubt)


@given(experiment=experiments(), current=volts(1e-4))
def test_a_current_nudge_is_a_current_source(experiment: Experiment, current: float) -> None:
    circuit, inputs = experiment
    pairs = circuit.output_pairs
    count = len(pairs)
    names = tuple(f"nudge{k}" for k in range(count))
    explicit = with_elements(
        circuit, (), Bank("nudge", CurrentSource, pairs, {"amplitude": np.full(count, current)}, names)
    )
    nudge = CurrentNudge(np.full((len(inputs), count), current))
    nudged, expected = solve(circuit, inputs, nudge), solve(explicit, inputs)
    doubt = known_to(nudged, inputs, nudge) + known_to(expected, inputs)
    assert np.all(np.abs(nudged.voltages - expected.voltages) <= doubt)


@pytest.mark.parametrize("beta", [1e-3, 1e-5, -1e-5, -1e-3, -2.5e-3])
def test_a_nudge_by_hand(beta: float) -> None:
    # 1 mS from 1 V, 2 mS to ground, β to 0.8 V: (1e-3 + 0.8 β)/(3e-3 + β). A negative β repels.
    circuit = graph(ohms("in", "y", 1e3), ohms("y", "0", 500.0), inputs=("in",), outputs=("y",))
    nudge = ConductanceNudge(beta, np.array([[0.8]]))
    expected = (1e-3 + 0.8 * beta) / (3e-3 + beta)
    assert volt(solve(circuit, [1.0], nudge), "y") == pytest.approx(expected, rel=64 * EPS * 3e-3 / (3e-3 + beta))


def test_a_nudge_of_a_pair_by_hand() -> None:
    # Both nodes at 1 kΩ to ground, +1 V and -1 V over 1 kΩ: free difference 1 V. β pulls it to y with the
    # conductance of the pair, 2 mS · 2 mS / 4 mS = 1 mS: (1e-3 · 1 + β y)/(1e-3 + β).
    circuit = graph(
        ohms("in1", "p", 1e3),
        ohms("p", "0", 1e3),
        ohms("in2", "m", 1e3),
        ohms("m", "0", 1e3),
        inputs=("in1", "in2"),
        outputs=(("p", "m"),),
    )
    for beta in (5e-4, -5e-4):
        nudge = ConductanceNudge(beta, np.array([[3.0]]))
        solution = solve(circuit, [1.0, -1.0], nudge)
        expected = (1e-3 + 3.0 * beta) / (1e-3 + beta)
        assert solution.outputs[0, 0] == pytest.approx(expected, rel=64 * EPS)
        assert volt(solution, "p") == pytest.approx(-volt(solution, "m"), rel=64 * EPS)


def test_samples_have_their_own_targets() -> None:
    circuit = graph(ohms("in", "y", 1e3), inputs=("in",), outputs=("y",))
    targets = np.array([[0.0], [1.0], [2.0]])
    solution = solve(circuit, [[1.0], [1.0], [1.0]], ConductanceNudge(1e-3, targets))
    assert solution.outputs == pytest.approx((1.0 + targets) / 2, rel=64 * EPS)


@pytest.mark.parametrize("frozen", [False, True])
def test_the_nudged_derivative_is_that_of_the_tangent_with_an_error_of_second_order(frozen: bool) -> None:
    # (v(β) - v(-β))/2β → -J⁻¹ ∂i/∂β as β → 0, with an error of O(β²): halving β quarters it.
    rng = np.random.default_rng(7)
    circuit = layered_circuit(rng)
    inputs, target = rng.uniform(-1.0, 1.0, (3, 4)), rng.uniform(-0.2, 0.2, (3, 2))
    free = solve(circuit, inputs)
    per_beta = free.outputs - target
    tangent = Tangent(free, inputs)
    rhs = np.zeros_like(tangent.x)
    pairs = circuit.output_pairs
    for k, (plus, minus) in enumerate(pairs):
        for node, sign in ((plus, 1.0), (minus, -1.0)):
            if (unknown := tangent.model.plan.unknown[node]) >= 0:
                rhs[:, unknown] += sign * per_beta[:, k]
    slope = tangent.model.t_free * np.linalg.solve(tangent.jacobian, -rhs[..., None])[:, tangent.model.gather, 0]

    def difference(beta: float) -> np.ndarray:
        phases = [
            solve(
                circuit,
                inputs,
                CurrentNudge(s * beta * per_beta) if frozen else ConductanceNudge(s * beta, target),
            )
            for s in (1.0, -1.0)
        ]
        return (phases[0].voltages - phases[1].voltages) / (2 * beta)

    betas = [2e-6, 1e-6, 5e-7]
    errors = [np.abs(difference(beta) - slope).max() for beta in betas]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert orders == pytest.approx([2.0, 2.0], abs=0.1)


@pytest.mark.parametrize(
    ("nudge", "message"),
    [
        (ConductanceNudge(1e-3, np.zeros((2, 1))), r"does not fit \(batch, outputs\) = \(1, 2\)"),
        (ConductanceNudge(1e-3, np.zeros((1, 3))), r"does not fit"),
        (CurrentNudge(np.zeros((3, 2))), r"does not fit"),
    ],
)
def test_a_nudge_that_does_not_fit_is_refused(nudge: Nudge, message: str) -> None:
    circuit = graph(ohms("a", "b", 1e3), ohms("b", "0", 1e3), inputs=("a",), outputs=("b", ("b", "a")))
    with pytest.raises(InputError, match=message):
        solve(circuit, [1.0], nudge)


def test_a_nudge_without_outputs_is_refused() -> None:
    with pytest.raises(InputError, match="a nudge needs outputs"):
        solve(graph(ohms("a", "0", 1e3)), None, ConductanceNudge(1e-3, np.zeros((1, 1))))


# --- hard circuits -----------------------------------------------------------------------------------------


@given(experiment=experiments(conductances=(1e-9, 1.0)))
def test_badly_scaled_circuits_are_solved(experiment: Experiment) -> None:
    """Conductances over nine decades, Is over twelve, n from 0.5 to 2."""
    circuit, inputs = experiment
    solution = solve(circuit, inputs)
    tangent = Tangent(solution, inputs)
    assert np.all(np.abs(tangent.residual) <= tangent.bound)
    nodes = len(tangent.model.plan.nodes)
    rows = tangent.model.reduce_currents(node_currents(circuit, solution.voltages, solution.branches))
    assert np.all(np.abs(rows[:, :nodes]) <= 2 * tangent.bound[:, :nodes])


def test_a_weakly_held_group_of_strongly_joined_nodes_is_solved() -> None:
    # 1 S inside, 3 nS to the input: the matrix has lost the difference to EPS / 3e-9 = 7e-8, and a step of that
    # size once counted as "not converged" although Kirchhoff's law held to rounding.
    circuit = graph(
        ("in", "a", Resistor(conductance=3.4314e-9)), ("a", "b", Resistor(conductance=1.0)), inputs=("in",)
    )
    assert volt(solve(circuit, [0.892]), "b") == pytest.approx(0.892, rel=16 * EPS / 3.4e-9)


def test_a_large_branch_current_does_not_loosen_the_bound_elsewhere() -> None:
    # The bound once took the largest unknown for a voltage, and 1 MA of a branch for 1 MV.
    circuit = graph(
        ohms("in", "a", 1e3),
        ohms("a", "0", 1e3),
        ("p", "0", VCVS(gain=1.0, control=("in", "0"))),
        ohms("p", "0", 1e-6),
        inputs=("in",),
    )
    tangent = Tangent(solve(circuit, [1.0]), np.array([[1.0]]))
    row = tangent.model.plan.unknown[circuit.node("a")]
    assert np.abs(tangent.x).max() == pytest.approx(1e6)
    assert tangent.bound[0, row] == pytest.approx(1e-11 * 2e-3, rel=1e-3)


def test_a_diode_that_the_inputs_put_volts_across_is_solved_from_rest() -> None:
    # From rest, 6.6 V across n V_T = 25 mV was linearised as it stood; Newton's method then came back by one
    # n V_T a step and ran out of steps. Below, (in - a) g = Is e^((a + 6.56)/nV_T) - ..., solved by bisection.
    nvt = 0.9 * VT
    diode = Diode(saturation_current=1e-18, emission=0.9, gmin=0.0)
    circuit = graph(ohms("in", "a", 70.0), ("a", "k", diode), inputs=("in", "k"))
    solution = solve(circuit, [2.78, -6.56])

    def excess(u: float) -> float:
        return 2.78 + 6.56 - u - 70.0 * 1e-18 * math.expm1(u / nvt)

    expected = brentq(excess, 0.0, 2.0, xtol=1e-15) - 6.56
    assert volt(solution, "a") == pytest.approx(expected, abs=1e-13)
    assert solution.iterations[0] < 30


@given(
    count=st.integers(2, 8),
    v=st.floats(1.0, 300.0),
    saturation=decades(1e-18, 1e-6),
    emission=st.floats(0.5, 2.0),
    resistance=decades(1.0, 1e6),
)
def test_a_stack_of_diodes_divides_the_voltage_equally(
    count: int, v: float, saturation: float, emission: float, resistance: float
) -> None:
    diode = Diode(saturation_current=saturation, emission=emission)
    nodes = [*(f"n{k}" for k in range(count)), "0"]
    chain = [(a, b, diode) for a, b in itertools.pairwise(nodes)]
    circuit = graph(ohms("in", "n0", resistance), *chain, inputs=("in",))
    solution = solve(circuit, [v])
    levels = np.array([volt(solution, node) for node in nodes])
    drops = levels[:-1] - levels[1:]
    doubt = known_to(solution, np.array([[v]])).max()
    assert np.all(np.abs(drops - drops.mean()) <= 4 * doubt)
    assert np.all(drops > 0)


@given(v=st.floats(-20.0, 20.0), resistance=decades(1.0, 1e6))
def test_a_bridge_rectifies(v: float, resistance: float) -> None:
    """Four diodes; the load sees a voltage that does not depend on the sign of the input."""
    diode = Diode(saturation_current=1e-12)
    circuit = graph(
        ("in", "p", diode), ("0", "p", diode), ("m", "in", diode), ("m", "0", diode),
        ohms("p", "m", resistance), inputs=("in",), outputs=(("p", "m"),),
    )  # fmt: skip
    inputs = np.array([[v], [-v]])
    solution = solve(circuit, inputs)
    doubt = known_to(solution, inputs).max()
    up, down = solution.outputs[:, 0]
    assert abs(up - down) <= 4 * doubt
    assert -doubt <= up <= abs(v) + doubt


def test_a_regenerative_pair_settles_in_one_of_its_states() -> None:
    # Two inverting VCCS stages with clamping diodes: a latch with three operating points, of which any will do.
    diode = Diode(saturation_current=1e-12)
    edges: list[Edge] = []
    for own, other in (("a", "b"), ("b", "a")):
        edges += [
            (own, "0", VCCS(transconductance=5e-3, control=(other, "0"))),
            ohms(own, "0", 1e3),
            (own, "0", diode),
            ("0", own, diode),
            ("0", own, CurrentSource(amplitude=1e-4 if own == "a" else -1e-4)),
        ]
    circuit = graph(*edges)
    solution = solve(circuit)
    a, b = volt(solution, "a"), volt(solution, "b")
    for u, w, sign in ((a, b, 1.0), (b, a, -1.0)):
        i = 5e-3 * w + 1e-3 * u + 1e-12 * (math.exp(u / VT) - math.exp(-u / VT)) - sign * 1e-4
        # Reverse currents are Is to within the cubic term of ngspice's law, at most Is e^-3.
        assert abs(i) <= 1e-11 * (1e-3 + 5e-3) + 2e-12


# --- no operating point ------------------------------------------------------------------------------------

DIODE = Diode(gmin=0.0)

IMPOSSIBLE: dict[str, tuple[Circuit, Nudge | None, str]] = {
    # The reverse current of a diode without gmin is Is at most.
    "current through a blocked diode": (
        graph(("a", "0", CurrentSource(amplitude=1e-6)), ("a", "0", DIODE)),
        None,
        "a",
    ),
    # g v + Is e^(v/V_T) + β (v - y), β = -2 g, y = 2 V: positive for every v.
    "a nudge that repels more than the circuit holds": (
        graph(ohms("y", "0", 1e4), ("y", "0", DIODE), outputs=("y",)),
        ConductanceNudge(-2e-4, np.array([[2.0]])),
        "y",
    ),
    # The same with a transconductance that feeds back to its own node.
    "a latch without a state": (
        graph(
            ohms("a", "0", 1e4),
            ("a", "0", VCCS(transconductance=-2e-4, control=("a", "0"))),
            ("a", "0", DIODE),
            ("a", "0", CurrentSource(amplitude=4e-4)),
        ),
        None,
        "a",
    ),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_circuit_without_an_operating_point_raises_and_names_a_node(what: str) -> None:
    circuit, nudge, node = IMPOSSIBLE[what]
    with pytest.raises(ConvergenceError) as caught:
        solve(circuit, None, nudge)
    message = str(caught.value)
    assert f"node {node} " in message
    assert "tried newton, cold start, gmin stepping, pseudo-transient" in message
    assert "v0" in message


def test_one_impossible_sample_fails_the_batch_and_is_named() -> None:
    # 1 mS times the input flows through the diode; backwards it carries Is at most.
    circuit = graph(
        ohms("in", "0", 1e3),
        ("0", "a", VCCS(transconductance=1e-3, control=("in", "0"))),
        ("a", "0", DIODE),
        inputs=("in",),
    )
    expected = VT * np.log1p(1e-3 / 1e-14 * np.array([1.0, 2.0]))
    assert solve(circuit, [[1.0], [2.0]]).voltage("a") == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ConvergenceError, match=r"1 of 3 samples \(first: sample 1\)"):
        solve(circuit, [[1.0], [-1.0], [2.0]])


SINGULAR: dict[str, tuple[Circuit, Any]] = {
    "two controlled voltages in parallel": (
        graph(
            ohms("in", "a", 1e3),
            ("a", "0", VCVS(gain=1.0, control=("in", "0"))),
            ("a", "0", VCVS(gain=2.0, control=("in", "0"))),
            inputs=("in",),
        ),
        [1.0],
    ),
    "a voltage controlled by itself": (
        graph(ohms("in", "a", 1e3), ("a", "0", VCVS(gain=1.0, control=("a", "0"))), inputs=("in",)),
        [1.0],
    ),
    "a negative conductance that cancels the positive one": (
        graph(
            ohms("a", "0", 1e3),
            ("a", "0", VCCS(transconductance=-1e-3, control=("a", "0"))),
            ("0", "a", CurrentSource(amplitude=1e-3)),
        ),
        None,
    ),
    "a sensing short across an input": (
        graph(
            ohms("in", "a", 1e3),
            ("a", "0", CCCS(gain=1.0, control=("in", "0"))),
            ohms("a", "0", 1e3),
            inputs=("in",),
        ),
        [1.0],
    ),
    "an ideal diode that shorts an input": (
        graph(("in", "0", IdealDiode()), inputs=("in",)),
        [1.0],
    ),
    "an amplifier with nothing to hold its input": (
        graph(
            ("0", "a", CurrentSource(amplitude=1e-3)),
            ("a", "b", BidirectionalAmplifier(voltage_gain=2.0, current_gain=0.0)),
            ohms("b", "0", 1e3),
        ),
        None,
    ),
}


@pytest.mark.parametrize("limit", [-1, 10**6], ids=["sparse", "dense"])
@pytest.mark.parametrize("what", SINGULAR)
def test_a_singular_circuit_raises_rather_than_returning_numbers(
    what: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_module, "DENSE_LIMIT", limit)
    circuit, inputs = SINGULAR[what]
    with pytest.raises(ConvergenceError, match="no operating point found for 1 of 1 samples"):
        solve(circuit.with_parameters({}), inputs)


def test_an_element_whose_own_law_is_missed_is_named() -> None:
    # There is no unknown node to name: the input forces 1 V on an ideal diode.
    circuit = graph(("in", "0", IdealDiode()), inputs=("in",))
    with pytest.raises(ConvergenceError, match=r"The law of ideal_diode1 is missed by"):
        solve(circuit, [1.0])


def test_too_few_iterations_raise() -> None:
    circuit = graph(ohms("in", "a", 1e3), ("a", "0", DIODE), inputs=("in",))
    with pytest.raises(ConvergenceError, match="node a "):
        solve(circuit, [5.0], options=NewtonOptions(max_iterations=1))


# --- the entrance ------------------------------------------------------------------------------------------


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(InputError, match="unknown method 'nweton'; use one of auto, newton"):
        operating_point(graph(ohms("a", "0", 1.0)), method="nweton")  # type: ignore[arg-type]


@pytest.mark.parametrize("v0", [np.zeros((2, 2)), np.zeros((1, 5)), np.zeros(2)])
def test_a_start_that_does_not_fit_is_refused(v0: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"v0 has shape .*expected \(1, 2\)"):
        solve(graph(ohms("a", "0", 1.0)), v0=v0)


def test_a_start_may_be_a_list() -> None:
    assert volt(solve(graph(ohms("a", "0", 1.0)), v0=[[0.0, 3.0]]), "a") == 0.0


def test_an_empty_batch_gives_an_empty_solution() -> None:
    circuit = graph(ohms("in", "a", 1e3), ohms("a", "0", 1e3), ("a", "0", DIODE), inputs=("in",), outputs=("a",))
    solution = solve(circuit, np.zeros((0, 1)))
    assert solution.voltages.shape == (0, 3)
    assert solution.outputs.shape == (0, 1)


def test_a_circuit_without_unknowns_is_its_sources() -> None:
    circuit = graph(ohms("in", "a", 1e3), ("a", "0", VoltageSource(voltage=0.5)), inputs=("in",), outputs=("a",))
    solution = solve(circuit, [[1.0], [2.0]])
    assert solution.outputs.tolist() == [[0.5], [0.5]]
    assert solution.power == pytest.approx([0.25e-3, 2.25e-3])


def test_a_solution_reads_by_name() -> None:
    circuit = graph(ohms("in", "a", 1e3), ohms("a", "0", 1e3), inputs=("in",), outputs=("a", ("in", "a")))
    solution = solve(circuit, [[1.0], [2.0]])
    assert solution.voltage("a") == pytest.approx([0.5, 1.0])
    assert solution.outputs == pytest.approx(np.array([[0.5, 0.5], [1.0, 1.0]]))
    assert solution.bank_currents("resistor_fixed") == pytest.approx(np.array([[0.5e-3] * 2, [1e-3] * 2]))
    assert solution.power == pytest.approx([0.5e-3, 2e-3])
    with pytest.raises(InputError, match="no node 'q'"):
        solution.voltage("q")
    with pytest.raises(InputError, match="no bank 'q'"):
        solution.bank_currents("q")


def test_new_values_on_an_old_topology_are_solved_with_the_new_values() -> None:
    circuit = graph(ohms("in", "a", 1e3), ohms("a", "0", 1e3), inputs=("in",), trainable=True)
    assert volt(solve(circuit, [1.0]), "a") == pytest.approx(0.5)
    changed = circuit.with_parameters({"resistor.conductance": [1e-3, 3e-3]})
    assert volt(solve(changed, [1.0]), "a") == pytest.approx(0.25)
    assert volt(solve(circuit, [1.0]), "a") == pytest.approx(0.5)
