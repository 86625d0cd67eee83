"""Newton's method on badly scaled, impossible and singular circuits, and the entrance to it."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from newton_tools import EPS, VT, Edge, Experiment, Tangent, graph, known_to, ohms, solve, volt
from scipy.optimize import brentq
from strategies import (
    decades,
    experiments,
)

import analogep.solve.equations.model as model_module
from analogep.circuit import Circuit
from analogep.devices import (
    CCCS,
    VCCS,
    VCVS,
    BidirectionalAmplifier,
    CurrentSource,
    Diode,
    IdealDiode,
    Resistor,
    VoltageSource,
)
from analogep.errors import ConvergenceError, InputError
from analogep.solve import ConductanceNudge, NewtonOptions, Nudge, operating_point
from analogep.solve.equations.system import node_currents

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

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
    cuts = "laws of cuts, " if what == "current through a blocked diode" else ""  # its node is held by leakage
    assert f"tried newton, {cuts}line search, gmin stepping (reached " in message
    assert "source stepping (reached " in message
    assert "nearby voltages" in message


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


def test_an_empty_batch_is_refused() -> None:
    circuit = graph(ohms("in", "a", 1e3), ohms("a", "0", 1e3), ("a", "0", DIODE), inputs=("in",), outputs=("a",))
    with pytest.raises(InputError, match="no sample at all"):
        solve(circuit, np.zeros((0, 1)))


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
