"""The strategies behind Newton's method: ideal diodes, warm starts, the trace, and what is left open."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from newton_tools import EPS, Experiment, Tangent, graph, ohms, solve, volt
from strategies import CELLS, experiments, volts

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.devices import VCCS, VCVS, CurrentSource, Diode, IdealDiode, Inductor, Resistor
from analogep.errors import ConvergenceError
from analogep.solve import ConductanceNudge, CurrentNudge, NewtonOptions
from analogep.solve.equations.system import System
from analogep.solve.newton.strategies import FALLBACKS

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

D = IdealDiode()

# --- ideal diodes whose currents are undetermined ------------------------------------------------------------


@given(count=st.integers(2, 5), v=volts())
def test_ideal_diodes_side_by_side_share_their_current_equally(count: int, v: float) -> None:
    circuit = graph(ohms("in", "a", 1e3), *[("a", "0", D)] * count, inputs=("in",))
    solution = solve(circuit, [v])
    assert volt(solution, "a") == pytest.approx(min(v, 0.0), abs=1e-12)
    (currents,) = [b[0, :, 0] for b in solution.branches.values()]
    assert currents == pytest.approx(np.full(count, max(v, 0.0) / 1e3 / count), rel=1e-6, abs=1e-12)


@given(v=volts(), thresholds=st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=4))
def test_the_lowest_threshold_of_ideal_diodes_in_parallel_holds(v: float, thresholds: list[float]) -> None:
    # Two of each: a pair always conducts together.
    diodes = [("a", "0", IdealDiode(threshold=t)) for t in thresholds * 2]
    circuit = graph(ohms("in", "a", 1e3), *diodes, inputs=("in",))
    assert volt(solve(circuit, [v]), "a") == pytest.approx(min(v, *thresholds), abs=1e-12)


@given(v=st.floats(0.1, 5.0))
def test_ideal_diodes_back_to_back_join_their_nodes(v: float) -> None:
    # a = b whichever way current flows, so 1 kΩ and 3 kΩ divide the input.
    circuit = graph(ohms("in", "a", 1e3), ("a", "b", D), ("b", "a", D), ohms("b", "0", 3e3), inputs=("in",))
    solution = solve(circuit, [[v], [-v]])
    for node in "ab":
        assert solution.voltage(node) == pytest.approx([0.75 * v, -0.75 * v], abs=1e-12 * v)


def test_ideal_diodes_between_equal_rails_are_solved() -> None:
    # A loop of two diodes between two inputs at the same voltage: any common current would do.
    circuit = graph(
        ("p", "m", D), ("m", "q", D), ohms("m", "0", 1e3), ("q", "m", D), ("m", "p", D), inputs=("p", "q")
    )
    assert volt(solve(circuit, [0.5, 0.5]), "m") == pytest.approx(0.5, abs=1e-12)


def test_ideal_diodes_that_force_current_around_a_loop_are_named() -> None:
    # Thresholds of -0.1 V either way ask for more than 0.1 V in both directions at once.
    diode = IdealDiode(threshold=-0.1)
    circuit = graph(ohms("in", "a", 1e3), ("a", "0", diode), ("0", "a", diode), inputs=("in",))
    with pytest.raises(ConvergenceError, match=r"ideal_diode[12]") as caught:
        solve(circuit, [0.0])
    assert "shared currents" in str(caught.value)


@given(seed=st.integers(0, 10_000), count=st.integers(2, 12))
def test_random_networks_of_ideal_diodes_are_complementary(seed: int, count: int) -> None:
    """Dense resistors, twice as many diodes as nodes: v ≤ threshold, j ≥ 0 and one of them with equality."""
    rng = np.random.default_rng(seed)
    pairs = np.array([[a, b] for a in range(count + 1) for b in range(a)])
    g = 10.0 ** rng.uniform(-6, -2, len(pairs))
    pins = np.array([rng.choice(count + 1, 2, replace=False) for _ in range(2 * count)])
    threshold = rng.uniform(0.0, 0.3, 2 * count)
    drive = np.array([[0, n] for n in range(1, count + 1)])
    circuit = Circuit(
        ("0", *(f"n{k}" for k in range(count))),
        (
            resistor_bank("R", pairs, g, [f"r{k}" for k in range(len(pairs))]),
            Bank("D", IdealDiode, pins, {"threshold": threshold}, tuple(f"d{k}" for k in range(2 * count))),
            Bank(
                "I", CurrentSource, drive, {"amplitude": rng.uniform(-1e-3, 1e-3, count)},
                tuple(f"i{k}" for k in range(count)),
            ),
        ),
        (), np.zeros(0, np.int64), np.zeros((0, 2), np.int64),
    )  # fmt: skip
    solution = solve(circuit)
    v = solution.voltages[0]
    beyond = v[pins[:, 0]] - v[pins[:, 1]] - threshold
    j = solution.branches[1][0, :, 0]
    slack = 1e-9 * max(1.0, np.abs(v).max())
    assert np.all(beyond <= slack)
    assert np.all(j >= -1e-12)
    assert np.all((np.abs(beyond) <= slack) | (np.abs(j) <= 1e-12))


@given(factor=st.floats(1.1, 1.9), current=st.floats(0.1, 1.0))
def test_a_cycle_of_active_sets_is_broken(factor: float, current: float) -> None:
    """A P-matrix on which the active-set method runs in a circle (Ben Gharbia & Gilbert 2012, section 3).

    Nodes n0, n1, n2 with 1 mS to ground, a current out of each, and a transconductance of ``factor`` mS from the
    one before: z + factor · P z = current with P a cyclic shift, so v = -current / (1 + factor) at every node.
    """
    edges = []
    for k in range(3):
        before = f"n{(k + 2) % 3}"
        edges += [
            ohms(f"n{k}", "0", 1e3),
            (f"n{k}", "0", VCCS(transconductance=1e-3 * factor, control=(before, "0"))),
            (f"n{k}", "0", CurrentSource(amplitude=1e-3 * current)),
            (f"n{k}", "0", D),
        ]
    circuit = graph(*edges)
    for signs in itertools.product((-1.0, 1.0), repeat=3):  # diodes with a forward voltage start in the active set
        solution = solve(circuit, v0=np.array([[0.0, *signs]]))
        assert solution.trace == ()
        assert solution.voltages[0, 1:] == pytest.approx(np.full(3, -current / (1.0 + factor)), rel=1e-9)


# --- starts --------------------------------------------------------------------------------------------------


@given(experiment=experiments(tuple(c for c in CELLS if c not in ("switch",))), seed=st.integers(0, 1000))
def test_a_bad_start_never_loses_a_solution(experiment: Experiment, seed: int) -> None:
    circuit, inputs = experiment
    cold = solve(circuit, inputs)
    rng = np.random.default_rng(seed)
    v0 = 10.0 ** rng.uniform(-3, 3) * rng.standard_normal(cold.voltages.shape)
    tangent = Tangent(solve(circuit, inputs, v0=v0), inputs)
    assert np.all(np.abs(tangent.residual) <= tangent.bound)


def test_a_warm_start_from_a_solution_takes_no_step_more_than_its_check() -> None:
    circuit = graph(ohms("in", "a", 1e3), ("a", "0", D), ("0", "b", Diode()), ohms("b", "in", 1e3), inputs=("in",))
    first = solve(circuit, [1.0])
    again = solve(circuit, [1.0], v0=first)
    assert again.iterations[0] <= 1
    (b,) = first.branches
    assert again.branches[b] == pytest.approx(first.branches[b])


# --- the trace -----------------------------------------------------------------------------------------------


def test_plain_newton_leaves_no_trace() -> None:
    assert solve(graph(ohms("in", "a", 1e3), ("a", "0", Diode()), inputs=("in",)), [1.0]).trace == ()


def test_the_trace_says_who_solved_which_samples() -> None:
    circuit = graph(ohms("in", "a", 1e3), ("a", "0", D), ("a", "0", D), inputs=("in",))
    trace = solve(circuit, [[1.0], [-1.0], [2.0]]).trace
    assert [(a.name, a.tried, a.solved) for a in trace] == [("newton", 3, 1), ("shared currents", 2, 2)]


@pytest.mark.parametrize("strategy", FALLBACKS, ids=lambda s: s.name)
def test_every_strategy_solves_an_easy_circuit(strategy) -> None:  # type: ignore[no-untyped-def]
    circuit = graph(ohms("in", "a", 1e3), ("a", "0", Diode()), ohms("a", "0", 1e6), inputs=("in",))
    inputs = np.array([[5.0], [-5.0], [0.3]])
    system = System(circuit, inputs)
    result, _ = strategy.run(system, np.zeros((3, system.model.plan.size)), NewtonOptions())
    expected = solve(circuit, inputs).voltage("a")
    assert result.converged.all()
    assert system.voltages(result.x)[:, circuit.node("a")] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("nudge", [ConductanceNudge(1e-4, np.array([[2.0]])), CurrentNudge(np.array([[1e-4]]))])
def test_a_scaled_system_has_scaled_sources(nudge: ConductanceNudge | CurrentNudge) -> None:
    # A linear circuit answers in proportion to its inputs, sources and targets.
    circuit = graph(
        ohms("in", "a", 1e3), ohms("a", "0", 2e3), ("0", "a", CurrentSource(amplitude=1e-3)),
        inputs=("in",), outputs=("a",),
    )  # fmt: skip
    system = System(circuit, np.array([[3.0]]), nudge)
    x = system.model.reduce_voltages(solve(circuit, [3.0], nudge).voltages)
    assert np.abs(system.scaled(0.3).evaluate(0.3 * x).residual).max() <= 16 * EPS * 3e-3


# --- what is left open ---------------------------------------------------------------------------------------

OPEN: dict[str, tuple[Circuit, list[float], tuple[str, ...]]] = {
    "two controlled sources in parallel": (
        graph(
            ohms("in", "a", 1e3),
            ("a", "0", VCVS(gain=1.0, control=("in", "0"))),
            ("a", "0", VCVS(gain=2.0, control=("in", "0"))),
            inputs=("in",),
        ),
        [1.0],
        ("vcvs1", "vcvs2", "put a resistor in series"),
    ),
    "an inductor across an input": (
        graph(("in", "0", Inductor(inductance=1e-3)), inputs=("in",)),
        [1.0],
        ("inductor1", "put a resistor in series"),
    ),
    "conductances that cancel": (
        graph(
            ohms("a", "b", 1e3),
            ohms("b", "0", 1e3),
            ("a", "0", VCCS(transconductance=-0.5e-3, control=("a", "0"))),
            ("0", "a", CurrentSource(amplitude=1e-3)),
        ),
        [],
        ("voltage of node a, b", "connect a to ground"),
    ),
}


@pytest.mark.parametrize("what", OPEN)
def test_a_singular_circuit_names_what_is_left_open(what: str) -> None:
    circuit, inputs, words = OPEN[what]
    with pytest.raises(ConvergenceError, match="singular") as caught:
        solve(circuit, inputs or None)
    for word in words:
        assert word in str(caught.value)


def test_a_batch_of_impossible_samples_says_how_far_each_way_led() -> None:
    circuit = graph(
        ("0", "a", CurrentSource(amplitude=-1e-6)),
        ("a", "0", Diode(gmin=0.0)),
        ("in", "b", Resistor(conductance=1.0)),
        ohms("b", "0", 1.0),
        inputs=("in",),
    )
    with pytest.raises(ConvergenceError, match="2 of 2 samples") as caught:
        solve(circuit, [[1.0], [2.0]])
    for strategy in ("gmin stepping (reached", "source stepping (reached", "homotopy (reached"):
        assert strategy in str(caught.value)
