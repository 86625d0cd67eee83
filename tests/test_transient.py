"""The leaky integrator: order of convergence, its end state, energy along the way, and its refusals."""

from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from test_layered import batch_for, layered_networks

from analogep.circuit import Circuit, resistor_bank
from analogep.devices import BidirectionalAmplifier, Capacitor, Device, Diode, IdealDiode, OnePort, Resistor
from analogep.errors import ConvergenceError, InputError
from analogep.networks import deep_resistive, uniform
from analogep.solve import ConductanceNudge, Trajectory, TransientOptions, operating_point, transient
from analogep.solve.equations.system import node_currents

AGREEMENT = 1e-9  # [V], between routes to one operating point
TIGHT = TransientOptions(absolute=1e-9, relative=1e-7)


def circuit_of(*edges: tuple[str, str, Device], inputs: tuple[str, ...] = ("x",), output: str = "a") -> Circuit:
    graph = nx.MultiDiGraph()
    for a, b, device in edges:
        graph.add_edge(a, b, device=device)
    return Circuit.from_graph(graph, inputs=list(inputs), outputs=[output])


R, C = 1e3, 1e-9
TAU = R * C
RC = (("x", "a", Resistor(conductance=1 / R)), ("a", "0", Capacitor(value=C)))


# --- order of convergence ------------------------------------------------------------------------------


def fitted_order(
    circuit: Circuit,
    inputs: list[float],
    end: float,
    exact: Callable[[np.ndarray], np.ndarray],
    nodes: list[str],
    coarsest: float = 1e-4,
) -> float:
    """Return p of error ~ steps^-p, the error being the largest along the way.

    The controller holds the local error of order h^3 at the tolerance, so a factor 8 in the tolerance doubles
    the steps and, at order 2, divides the global error by 4.
    """
    steps, errors = [], []
    for relative in coarsest * 8.0 ** -np.arange(5):
        options = TransientOptions(absolute=relative, relative=relative)
        found = transient(circuit, inputs, until=end, options=options)
        reference = exact(found.times)
        columns = [circuit.node(n) for n in nodes]
        errors.append(np.abs(found.voltages[:, 0, columns] - reference).max())
        steps.append(found.steps)
    assert errors[-1] < 1e-5
    return -float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def test_order_on_an_rc() -> None:
    def exact(t: np.ndarray) -> np.ndarray:
        return 2.0 * (1.0 - np.exp(-t / TAU))[:, None]

    assert fitted_order(circuit_of(*RC), [2.0], 3 * TAU, exact, ["a"]) == pytest.approx(2.0, abs=0.2)


def test_order_on_an_rc_ladder() -> None:
    """v' = C^-1 (b - G v), solved by the matrix exponential."""
    rng = np.random.default_rng(3)
    count = 4
    g, leak, c = (
        rng.uniform(5e-4, 2e-3, count),
        rng.uniform(1e-5, 1e-4, count),
        rng.uniform(0.5e-9, 2e-9, count),
    )
    names = [f"n{k}" for k in range(count)]
    edges = []
    matrix, source = np.zeros((count, count)), np.zeros(count)
    for k in range(count):
        before = "x" if k == 0 else names[k - 1]
        edges += [
            (before, names[k], Resistor(conductance=g[k])),
            (names[k], "0", Resistor(conductance=leak[k])),
            (names[k], "0", Capacitor(value=c[k])),
        ]
        matrix[k, k] += g[k] + leak[k]
        if k == 0:
            source[0] = g[0] * 1.5
        else:
            matrix[k - 1, k - 1] += g[k]
            matrix[k, k - 1] -= g[k]
            matrix[k - 1, k] -= g[k]
    rest = np.linalg.solve(matrix, source)
    flow = -matrix / c[:, None]

    def exact(t: np.ndarray) -> np.ndarray:
        return np.array([rest - expm(flow * time) @ rest for time in t])

    circuit = circuit_of(*edges, output=names[-1])
    assert fitted_order(circuit, [1.5], 5 * TAU, exact, names) == pytest.approx(2.0, abs=0.2)


def test_order_on_a_diode_clamp_against_another_integrator() -> None:
    """Reference: scipy's Radau IIA (order 5) with tolerances of 1e-11."""
    diode = Diode(saturation_current=1e-12, emission=1.3)
    p = {k: np.array([v]) for k, v in diode.values.items()}
    circuit = circuit_of(*RC, ("a", "0", diode))
    end = 3 * TAU

    def rate(_: float, v: np.ndarray) -> np.ndarray:
        return ((3.0 - v) / R - diode.current(v, p)[0]) / C

    dense = solve_ivp(rate, (0.0, end), [0.0], "Radau", rtol=1e-11, atol=1e-13, dense_output=True).sol
    order = fitted_order(circuit, [3.0], end, lambda t: dense(t).T, ["a"], coarsest=1.6e-6)
    assert order == pytest.approx(2.0, abs=0.2)


def test_error_stays_near_the_tolerance() -> None:
    """A system that forgets adds up its local errors at worst; each is within absolute + relative |v|."""
    circuit = circuit_of(*RC)
    for relative in (1e-2, 1e-4, 1e-6):
        options = TransientOptions(absolute=relative, relative=relative)
        found = transient(circuit, [1.0], until=5 * TAU, options=options)
        error = np.abs(found.voltages[:, 0, circuit.node("a")] - (1.0 - np.exp(-found.times / TAU))).max()
        assert error <= found.steps * 2 * relative


# --- capacitors of every kind --------------------------------------------------------------------------


def test_capacitor_between_two_nodes_that_nothing_else_holds_back() -> None:
    """x - R - a - C - b - R - 0: both nodes jump to half of x at once, then part (charge cannot jump).

    The inconsistent start used to collapse the step.
    """
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=1 / R)),
        ("a", "b", Capacitor(value=C)),
        ("b", "0", Resistor(conductance=1 / R)),
        ("b", "0", Resistor(conductance=1e-12)),
        ("a", "0", Resistor(conductance=1e-12)),
        output="b",
    )
    found = transient(circuit, [2.0], until=4 * TAU, options=TIGHT)
    b = 1.0 * np.exp(-found.times / (2 * TAU))
    # 1e-6: the implicit Euler step that starts it; 1e-12 S beside 1 mS does less
    np.testing.assert_allclose(found.voltages[:, 0, circuit.node("b")], b, atol=5e-6)
    np.testing.assert_allclose(found.voltages[:, 0, circuit.node("a")], 2.0 - b, atol=5e-6)


def test_coupled_capacitors_against_the_matrix_exponential() -> None:
    c1, c2, c12, g = 1e-9, 2e-9, 3e-9, np.array([1e-3, 5e-4, 2e-4])
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=g[0])),
        ("a", "b", Resistor(conductance=g[1])),
        ("b", "0", Resistor(conductance=g[2])),
        ("a", "0", Capacitor(value=c1)),
        ("b", "0", Capacitor(value=c2)),
        ("b", "a", Capacitor(value=c12)),
    )
    storage = np.array([[c1 + c12, -c12], [-c12, c2 + c12]])
    matrix = np.array([[g[0] + g[1], -g[1]], [-g[1], g[1] + g[2]]])
    rest = np.linalg.solve(matrix, [g[0], 0.0])
    flow = -np.linalg.solve(storage, matrix)
    found = transient(circuit, [1.0], until=1e-5, options=TIGHT)
    expected = np.array([rest - expm(flow * t) @ rest for t in found.times])
    columns = [circuit.node("a"), circuit.node("b")]
    np.testing.assert_allclose(found.voltages[:, 0, columns], expected, atol=5e-6)


def test_capacitances_of_very_different_size() -> None:
    """A step of the fast node is nothing to the slow one, whose C/h then rounds to more than any conductance.

    The stages' tolerance ignored that rounding, and the step collapsed.
    """
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=1e-3)),
        ("a", "0", Capacitor(value=1e-12)),
        ("a", "b", Resistor(conductance=1e-3)),
        ("b", "0", Capacitor(value=1e-4)),
        output="b",
    )
    start = np.zeros((1, 4))
    start[0, circuit.node("b")] = 1.0
    found = transient(circuit, [2.0], until=0.2, v0=start, options=TIGHT)
    expected = 2.0 - np.exp(-0.2 / (2e3 * 1e-4))  # the 1 pF is gone after nanoseconds
    assert found.solution.voltage("b")[0] == pytest.approx(expected, abs=5e-6)


def test_node_capacitance_is_the_leaky_integrators() -> None:
    circuit = circuit_of(("x", "a", Resistor(conductance=1e-3)), ("a", "0", Resistor(conductance=1e-3)))
    options = TransientOptions(absolute=1e-9, relative=1e-7, node_capacitance=5e-12)
    found = transient(circuit, [1.0], until=5e-9, options=options)
    expected = 0.5 * (1.0 - np.exp(-found.times / (5e-12 / 2e-3)))
    np.testing.assert_allclose(found.voltages[:, 0, circuit.node("a")], expected, atol=5e-6)


def test_nodes_without_memory_follow_at_once() -> None:
    """b divides a's voltage by two at every moment."""
    circuit = circuit_of(
        *RC,
        ("a", "b", Resistor(conductance=1e-4)),
        ("b", "0", Resistor(conductance=1e-4)),
    )
    options = TransientOptions(absolute=1e-9, relative=1e-7, node_capacitance=0.0)
    found = transient(circuit, [1.0], until=3 * TAU, options=options)
    a, b = found.voltages[1:, 0, circuit.node("a")], found.voltages[1:, 0, circuit.node("b")]
    np.testing.assert_allclose(b, a / 2, atol=1e-12)
    g = 1 / R + 0.5e-4
    np.testing.assert_allclose(a, (1 / R / g) * (1.0 - np.exp(-found.times[1:] * g / C)), atol=5e-6)


def test_a_circuit_without_any_memory_is_there_at_once() -> None:
    circuit = circuit_of(("x", "a", Resistor(conductance=1e-3)), ("a", "0", Diode()))
    found = transient(circuit, [1.0], until=1e-6, options=TransientOptions(node_capacitance=0.0))
    expected = operating_point(circuit, [1.0]).voltages
    np.testing.assert_allclose(found.voltages[-1], expected, atol=AGREEMENT)
    assert found.solution.converged.all()


@pytest.mark.parametrize(("gain", "back"), [(4.0, 0.25), (2.0, 2.0), (3.0, 1.0)])
def test_a_capacitor_behind_an_amplifier_weighs_a_times_b(gain: float, back: float) -> None:
    """i(in) = B C dv(out)/dt = A B C dv(in)/dt."""
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=1 / R)),
        ("a", "o", BidirectionalAmplifier(voltage_gain=gain, current_gain=back)),
        ("o", "0", Capacitor(value=C)),
        output="o",
    )
    found = transient(circuit, [1.0], until=2 * TAU, options=TIGHT)
    expected = 1.0 - np.exp(-found.times / (gain * back * TAU))
    np.testing.assert_allclose(found.voltages[:, 0, circuit.node("a")], expected, atol=5e-6)
    np.testing.assert_allclose(found.voltages[:, 0, circuit.node("o")], gain * expected, atol=gain * 5e-6)


# --- the end state -------------------------------------------------------------------------------------


@given(circuit=layered_networks(amplifiers=(None, (4.0, 0.25), (2.0, 2.0))), seed=st.integers(0, 2**16))
@settings(max_examples=25)
def test_end_state_is_the_operating_point(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 2)
    for nudge in (None, ConductanceNudge(1e-5, targets)):
        expected = operating_point(circuit, inputs, nudge, method="newton")
        found = operating_point(circuit, inputs, nudge, method="transient")
        assert found.engine == "transient"
        assert found.converged.all()
        np.testing.assert_allclose(found.voltages, expected.voltages, rtol=0.0, atol=AGREEMENT)


def network() -> Circuit:
    return deep_resistive([3, 4, 2], initial=uniform(1e-5, 1e-3), rng=np.random.default_rng(5))


def test_trajectory_has_its_shape_and_starts_at_rest() -> None:
    circuit = network()
    inputs = np.array([[0.5, -1.0, 0.2], [1.0, 0.0, 0.3]])
    found = transient(circuit, inputs)
    assert found.times[0] == 0.0
    assert (np.diff(found.times) > 0).all()
    assert found.voltages.shape == (len(found.times), 2, len(circuit.nodes))
    assert found.steps == len(found.times) - 1
    unknown = [circuit.node(n) for n in circuit.nodes if n[0] in "hy"]
    assert not found.voltages[0][:, unknown].any()
    np.testing.assert_array_equal(found.voltages[:, :, circuit.input_nodes], [inputs] * len(found.times))
    np.testing.assert_array_equal(found.voltages[-1], found.solution.voltages)
    assert found.solution.converged.all()


def test_until_a_time_ends_there_and_tells_whether_it_rests() -> None:
    circuit = circuit_of(*RC)
    early = transient(circuit, [1.0], until=TAU)
    assert early.times[-1] == TAU
    assert not early.solution.converged.any()
    assert early.solution.voltage("a")[0] == pytest.approx(1.0 - np.exp(-1.0), abs=1e-3)
    late = transient(circuit, [1.0], until=1e6 * TAU)
    assert late.times[-1] == 1e6 * TAU
    assert late.solution.converged.all()
    rest = transient(circuit, [1.0], until="equilibrium")
    assert rest.solution.voltage("a")[0] == pytest.approx(1.0, abs=AGREEMENT)


def test_starts_where_it_is_told_to() -> None:
    circuit = network()
    inputs = [0.5, -1.0, 0.2]
    rest = operating_point(circuit, inputs)
    found = transient(circuit, inputs, v0=rest)
    np.testing.assert_allclose(found.voltages[0], rest.voltages, atol=1e-15)
    assert found.steps <= 1
    again = transient(circuit, inputs, v0=rest.voltages)
    np.testing.assert_array_equal(again.voltages, found.voltages)


def test_a_junction_that_starts_volts_forward_falls_back_at_once() -> None:
    """4 V across a diode is 1e52 A: the trapezoidal stage used to collapse on it."""
    circuit = circuit_of(*RC, ("a", "0", Diode()))
    start = np.zeros((1, 3))
    start[0, circuit.node("a")] = 4.0
    found = transient(circuit, [0.3], v0=start)
    # The implicit Euler step lets C carry 1e6 times the current of 1 mS at 4 V: nV_T ln(4e3 / Is) = 1.05 V.
    assert found.voltages[0, 0, circuit.node("a")] < 1.05
    expected = operating_point(circuit, [0.3], method="newton").voltages
    np.testing.assert_allclose(found.voltages[-1], expected, atol=AGREEMENT)


def test_rails_far_from_the_start() -> None:
    """Hidden nodes that start at 0 V with a lower rail of 2.5 V: 87 nV_T forward."""
    for diode in (None, IdealDiode(threshold=0.2)):
        circuit = deep_resistive(
            [2, 2, 1], hidden="pair", diode=diode, rails=(2.5, 2.5), bias="none", initial=uniform(1e-4, 1e-3)
        )
        expected = operating_point(circuit, [1.0, 4.0], method="newton").voltages
        found = transient(circuit, [1.0, 4.0])
        np.testing.assert_allclose(found.voltages[-1], expected, atol=AGREEMENT)


def test_an_ideal_diode_that_conducts_at_the_start_keeps_conducting() -> None:
    """Its branch current is no voltage, so that a start from voltages has to find it."""
    circuit = deep_resistive([3, 4, 2], diode=IdealDiode(), initial=uniform(1e-5, 1e-3))
    inputs = [1.0, -1.0, -0.8]
    rest = operating_point(circuit, inputs)
    assert any((j > 1e-6).any() for j in rest.branches.values())
    found = transient(circuit, inputs, v0=rest)
    np.testing.assert_allclose(found.voltages, found.voltages[:1].repeat(len(found.times), 0), atol=1e-9)


# --- energy --------------------------------------------------------------------------------------------


def energy(circuit: Circuit, v: np.ndarray) -> np.ndarray:
    """Total co-content (B,) [W] at node voltages (B, N)."""
    total = np.zeros(len(v))
    for bank in circuit.banks:
        if issubclass(bank.device, OnePort):
            drop = v[:, bank.pins[:, 0]] - v[:, bank.pins[:, 1]]
            total += bank.device.cocontent(drop, bank.values).sum(axis=1)
    for c in circuit.crossbars:
        drop = v[:, c.rows, None] - v[:, None, c.columns]
        total += 0.5 * np.einsum("rc,brc->b", c.conductance, drop**2)
    return total


def assert_energy_falls(circuit: Circuit, found: Trajectory, options: TransientOptions) -> None:
    e = np.array([energy(circuit, v) for v in found.voltages])
    allowed = options.absolute + options.relative * np.abs(found.voltages)
    # A local error dv at most `allowed` changes the energy by F dv to first order.
    slack = np.array([np.abs(node_currents(circuit, v)) @ np.ones(len(circuit.nodes)) for v in found.voltages])
    slack = slack * allowed.max(axis=2) + 1e-14 * np.abs(e)
    assert (np.diff(e, axis=0) <= slack[1:]).all()
    assert (e[-1] < e[0]).all()


@given(circuit=layered_networks(smooth=True, amplifiers=(None,)), seed=st.integers(0, 2**16))
@settings(max_examples=10)
def test_energy_falls_along_the_way(circuit: Circuit, seed: int) -> None:
    """dE/dt = F dv/dt = -F C^-1 F: the leaky integrator is a gradient flow of the co-content."""
    inputs, _ = batch_for(circuit, seed, 1, scale=1.0)
    inputs += 0.1  # not at rest to begin with
    options = TransientOptions(absolute=1e-6, relative=1e-5)
    assert_energy_falls(circuit, transient(circuit, inputs, options=options), options)


# --- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("until", [[1.0], True, {}])
def test_until_must_be_a_number_or_a_word(until: object) -> None:
    with pytest.raises(InputError, match=r"until = .* is not a number, a text or None"):
        transient(circuit_of(*RC), [1.0], until=until)  # type: ignore[arg-type]


@pytest.mark.parametrize("until", [0.0, -1.0, float("nan"), float("inf"), "soon"])
def test_until_must_be_a_time_or_equilibrium(until: object) -> None:
    with pytest.raises(InputError, match="give a positive time in seconds, or 'equilibrium'"):
        transient(circuit_of(*RC), [1.0], until=until)  # type: ignore[arg-type]


def test_start_must_fit_the_circuit() -> None:
    with pytest.raises(InputError, match=r"v0 has shape \(1, 2\); expected \(1, 3\)"):
        transient(circuit_of(*RC), [1.0], v0=np.zeros((1, 2)))


def test_running_out_of_steps_names_the_remedy() -> None:
    with pytest.raises(ConvergenceError, match=r"did not end within 3 steps.*max_steps"):
        transient(circuit_of(*RC), [1.0], options=TransientOptions(max_steps=3))


def test_a_nudge_needs_outputs() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "a", device=Resistor(conductance=1e-3))
    circuit = Circuit.from_graph(graph, inputs=["x"])
    with pytest.raises(InputError, match="name outputs"):
        transient(circuit, [1.0], nudge=ConductanceNudge(1e-5, np.zeros((1, 1))))


def test_an_unstable_circuit_is_named_instead_of_followed() -> None:
    """1 mS holds y; a nudge of −2 mS leaves −1 mS: v grows as exp(t / τ) from any disturbance."""
    bank = resistor_bank("r", np.array([[1, 2]]), [1e-3], ["r1"])
    circuit = Circuit(("0", "x", "y"), (bank,), (), np.array([1]), np.array([[2, 0]]))
    with pytest.raises(ConvergenceError, match=r"node y of sample 0 .* unstable"):
        transient(circuit, [[1.0]], nudge=ConductanceNudge(-2e-3, np.zeros((1, 1))))
