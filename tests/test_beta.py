"""The largest safe nudging strength, and the suggested one."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_layered import batch_for, layered_networks

from analogep.circuit import Circuit, resistor_bank
from analogep.constants import BOLTZMANN
from analogep.devices import Capacitor, CurrentSource, Diode, IdealDiode, OnePort, Resistor
from analogep.errors import InputError
from analogep.learning import EquilibriumPropagation, SquaredError, largest_safe_beta, suggest_beta
from analogep.learning.beta import CONVEX_FRACTION, JUNCTION_FRACTION
from analogep.networks import crossbar, deep_resistive, uniform
from analogep.solve import ConductanceNudge, langevin, operating_point
from analogep.solve.equations.system import System

INITIAL = uniform(1e-5, 1e-3)


# --- the largest safe beta -----------------------------------------------------------------------------


def test_single_outputs_by_hand() -> None:
    """Each bit line is held by its own column sum and load; the smallest of them limits."""
    g = np.array([[1e-4, 2e-4], [3e-4, 5e-5]])
    assert largest_safe_beta(crossbar(g, 1e-4)) == pytest.approx(3.5e-4, rel=1e-12)


def test_an_output_pair_by_hand() -> None:
    """Between two nodes held by G1 and G2 the impedance is 1/G1 + 1/G2."""
    base = crossbar(np.array([[1e-4, 2e-4], [3e-4, 5e-5]]), 1e-4)
    y = [base.node("y0"), base.node("y1")]
    circuit = Circuit(base.nodes, base.banks, base.crossbars, base.input_nodes, np.array([y]))
    assert largest_safe_beta(circuit) == pytest.approx(1.0 / (1 / 5e-4 + 1 / 3.5e-4), rel=1e-12)


def test_two_coupled_outputs_by_hand() -> None:
    """Conductance matrix [[2, -1], [-1, 2]] mS: eigenvalues 1 and 3 mS."""
    graph = nx.MultiDiGraph()
    for a, b in (("x", "a"), ("a", "b"), ("b", "x")):
        graph.add_edge(a, b, device=Resistor(conductance=1e-3))
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["a", "b"])
    assert largest_safe_beta(circuit) == pytest.approx(1e-3, rel=1e-12)


@given(circuit=layered_networks(smooth=True, amplifiers=(None, (4.0, 0.25), (2.0, 2.0))))
def test_at_the_limit_the_dark_circuit_loses_its_convexity(circuit: Circuit) -> None:
    """With junctions off, the lowest eigenvalue of the (scaled) Jacobian changes sign at the limit."""
    limit = largest_safe_beta(circuit)
    assert 0.0 < limit < np.inf
    zeros = np.zeros((1, len(circuit.input_nodes)))
    for factor, convex in ((0.99, True), (1.01, False)):
        nudge = ConductanceNudge(-factor * limit, np.zeros((1, len(circuit.output_pairs))))
        system = System(circuit, zeros, nudge)
        model = system.model
        slopes = system.evaluate(np.zeros((1, model.plan.size))).slopes
        slopes[:, : len(model.junction_pins)] = 0.0
        dense = np.asarray(model.linear_matrix).copy()
        np.add.at(dense, (model.slots.rows, model.slots.columns), model.slots.values(slopes)[0])
        lowest = np.linalg.eigvals(dense).real.min()
        assert (lowest > 0.0) == convex


@given(circuit=layered_networks(), seed=st.integers(0, 2**16))
def test_just_below_the_limit_works_and_just_above_is_refused(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 2)
    limit = largest_safe_beta(circuit)
    found = EquilibriumPropagation(0.99 * limit, "negative").gradient(circuit, inputs, targets)
    assert all(np.isfinite(g).all() for g in found.values())
    with pytest.raises(InputError, match=f"{limit:.4g} S"):
        EquilibriumPropagation(1.01 * limit, "negative").gradient(circuit, inputs, targets)


@pytest.mark.parametrize("rails", [(0.0, 0.0), (0.5, 0.5), (-2.0, -1.0), (-1.0, 1.0)])
def test_diodes_do_not_make_it_safer(rails: tuple[float, float]) -> None:
    """An ideal diode that the dark circuit finds forward used to count as holding its node."""
    limits = [
        largest_safe_beta(deep_resistive([2, 4, 1], hidden=hidden, diode=diode, rails=rails, initial=INITIAL))
        for hidden, diode in (
            ("split", Diode()),
            ("split", IdealDiode()),
            ("pair", IdealDiode(threshold=0.1)),
            ("linear", None),
        )
    ]
    np.testing.assert_allclose(limits, limits[-1], rtol=1e-9)


def held_by_junctions() -> Circuit:
    """Three nodes tied together by resistors whose sums do not round to zero, held by diodes alone."""
    graph = nx.MultiDiGraph()
    for k, (a, b, g) in enumerate((("a", "b", 1e-4), ("b", "c", 2e-4), ("a", "c", 3e-4))):
        graph.add_edge(a, b, device=Resistor(conductance=g), name=f"r{k}", trainable=True)
    graph.add_edge("a", "0", device=Diode(), name="d0")
    graph.add_edge("x", "a", device=Diode(), name="d1")
    graph.add_edge("x", "c", device=CurrentSource(amplitude=1e-6), name="i1")
    return Circuit.from_graph(graph, inputs=["x"], outputs=["c"])


def test_outputs_that_only_junctions_hold_have_no_safe_beta_but_a_suggestion() -> None:
    circuit = held_by_junctions()
    assert largest_safe_beta(circuit) < 1e-15
    found = suggest_beta(circuit, [1.0], [0.0])
    assert found.beta > 0.0
    with pytest.raises(InputError):
        EquilibriumPropagation(found.beta).gradient(circuit, [1.0], [[0.0]])
    EquilibriumPropagation(found.beta, "positive").gradient(circuit, [1.0], [[0.0]])


def test_outputs_that_sources_hold_are_always_safe() -> None:
    circuit = Circuit(
        ("0", "x"), (resistor_bank("r", [[1, 0]], [1e-3], ["r1"]),), (), np.array([1]), np.array([[1, 0]])
    )
    assert largest_safe_beta(circuit) == np.inf
    with pytest.raises(InputError, match="cannot move"):
        suggest_beta(circuit, [1.0], [0.0])


# --- the suggestion ------------------------------------------------------------------------------------


@given(circuit=layered_networks(smooth=True), seed=st.integers(0, 2**16))
def test_suggestion_respects_both_limits_and_meets_one(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 3)
    found = suggest_beta(circuit, inputs, targets)
    assert found.safe == largest_safe_beta(circuit)
    convexity = found.beta / found.safe
    assert convexity <= CONVEX_FRACTION * (1 + 1e-12)
    assert found.junction_shift <= JUNCTION_FRACTION * (1 + 1e-12)
    assert max(convexity / CONVEX_FRACTION, found.junction_shift / JUNCTION_FRACTION) == pytest.approx(1.0)
    assert str(found).startswith("β = ")
    assert found.reason in str(found)


@given(circuit=layered_networks(smooth=True), seed=st.integers(0, 2**16))
def test_predicted_moves_are_the_real_ones(circuit: Circuit, seed: int) -> None:
    """Linear response: at two percent of nV_T and of the holding conductance it is right to a few percent."""
    inputs, targets = batch_for(circuit, seed, 2)
    found = suggest_beta(circuit, inputs, targets)
    assume(found.output_shift > 1e-6)
    free = operating_point(circuit, inputs)
    nudge = SquaredError().nudge(found.beta, free.outputs, targets, "frozen")
    moved = operating_point(circuit, inputs, nudge, v0=free)
    assert np.abs(moved.outputs - free.outputs).max() == pytest.approx(found.output_shift, rel=0.05)
    shift = 0.0
    for bank in circuit.banks:
        if issubclass(bank.device, OnePort) and (width := bank.device.thermal_scale(bank.values)) is not None:
            u = [s.voltages[:, bank.pins[:, 0]] - s.voltages[:, bank.pins[:, 1]] for s in (free, moved)]
            shift = max(shift, float(np.abs((u[1] - u[0]) / width).max()))
    assert shift == pytest.approx(found.junction_shift, rel=0.05, abs=1e-6)


def test_reason_names_what_limits() -> None:
    linear = crossbar(np.full((2, 1), 1e-4), 1e-4)
    assert "conductance that holds the outputs" in suggest_beta(linear, [1.0, 0.5], [0.1]).reason
    clamped = deep_resistive([2, 3, 1], hidden="pair", rails=(-0.1, 0.1), initial=INITIAL)
    reason = suggest_beta(clamped, [2.0, 1.0], [-1.0]).reason
    assert "dlow1_" in reason or "dhigh1_" in reason
    assert "which a read-out must resolve" in reason


def test_targets_that_are_met_give_no_suggestion() -> None:
    circuit = crossbar(np.full((2, 1), 1e-4), 1e-4)
    met = operating_point(circuit, [1.0, 0.5]).outputs
    with pytest.raises(InputError, match="other samples"):
        suggest_beta(circuit, [1.0, 0.5], met)


def test_suggestion_checks_its_arguments() -> None:
    circuit = crossbar(np.full((2, 1), 1e-4), 1e-4)
    with pytest.raises(InputError, match="targets have shape"):
        suggest_beta(circuit, [1.0, 0.5], [[0.1, 0.2]])
    with pytest.raises(InputError, match="inputs have shape"):
        suggest_beta(circuit, [1.0], [[0.1]])


def test_unreachable_targets_still_give_a_suggestion() -> None:
    """Far beyond the diodes' rails: the pull is large, so the suggested beta shrinks with it."""
    circuit = deep_resistive([2, 3, 1], hidden="pair", rails=(-0.1, 0.1), bias="none", initial=INITIAL)
    near = suggest_beta(circuit, [1.0, 0.5], [1.0])
    far = suggest_beta(circuit, [1.0, 0.5], [100.0])
    assert 0.0 < far.beta < near.beta


# --- noise -----------------------------------------------------------------------------------------------


def test_thermal_noise_by_hand() -> None:
    """1 pF at 300.15 K: √(kT/C) = 64.4 µV in one phase, √2 more in the difference of two."""
    found = suggest_beta(crossbar(np.full((2, 1), 1e-4), 1e-4), [1.0, 0.5], [0.1])
    assert found.noise == pytest.approx(np.sqrt(2) * np.sqrt(BOLTZMANN * 300.15 / 1e-12), rel=1e-9)
    assert found.noise == pytest.approx(9.10e-5, rel=1e-3)


def test_thermal_noise_of_a_pair_and_of_own_capacitors() -> None:
    """Between two nodes with 1 pF to ground each, and 2 pF between them: C = [[3, -2], [-2, 3]], 2/5 in 1/pF."""
    graph = nx.MultiDiGraph()
    for node in "ab":
        graph.add_edge("x", node, device=Resistor(conductance=1e-4), name=f"r{node}", trainable=True)
        graph.add_edge(node, "0", device=Capacitor(value=1e-12), name=f"c{node}")
        graph.add_edge(node, "0", device=Resistor(conductance=1e-4 if node == "a" else 2e-4), name=f"l{node}")
    graph.add_edge("a", "b", device=Capacitor(value=2e-12), name="cab")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=[("a", "b")])
    found = suggest_beta(circuit, [1.0], [0.5])
    assert found.noise == pytest.approx(np.sqrt(2 * BOLTZMANN * 300.15 * 0.4e12), rel=1e-9)


def test_thermal_noise_is_that_of_a_langevin_trajectory() -> None:
    circuit = crossbar(np.full((2, 1), 1e-4), 1e-4)
    tau = 1e-12 / 3e-4
    run = langevin(circuit, np.tile([1.0, 0.5], (400, 1)), 400 * tau, 0.1 * tau, np.random.default_rng(3))
    measured = run.voltage("y0")[200:].std()
    found = suggest_beta(circuit, [1.0, 0.5], [0.1])
    # implicit Euler divides the variance by 1 + h/2τ; 400 samples of 380 τ leave 0.3 %
    assert measured * np.sqrt(2.0 * 1.05) == pytest.approx(found.noise, rel=0.01)


def test_reads_are_averaged_and_noises_add_in_quadrature() -> None:
    circuit, batch = crossbar(np.full((2, 1), 1e-4), 1e-4), ([1.0, 0.5], [0.1])
    read = suggest_beta(circuit, *batch, noise=3e-3, temperature=0.0)
    assert read.noise == pytest.approx(np.sqrt(2) * 3e-3, rel=1e-12)
    assert suggest_beta(circuit, *batch, noise=3e-3, temperature=0.0, averages=9).noise == pytest.approx(
        read.noise / 3.0, rel=1e-12
    )
    both = suggest_beta(circuit, *batch, noise=3e-3)
    thermal = suggest_beta(circuit, *batch)
    assert both.noise == pytest.approx(np.hypot(read.noise, thermal.noise), rel=1e-12)
    assert both.beta == thermal.beta == read.beta


def test_a_nudge_below_the_noise_is_flagged_and_the_reads_asked_for_suffice() -> None:
    circuit, batch = crossbar(np.full((2, 1), 1e-4), 1e-4), ([1.0, 0.5], [0.1])
    quiet = suggest_beta(circuit, *batch)
    assert not quiet.below_noise
    assert "above a noise of" in quiet.reason
    loud = suggest_beta(circuit, *batch, noise=0.1)
    assert loud.below_noise
    assert f"average {loud.reads_needed} reads" in loud.reason
    assert not suggest_beta(circuit, *batch, noise=0.1, averages=loud.reads_needed).below_noise
    assert suggest_beta(circuit, *batch, noise=0.1, averages=loud.reads_needed - 1).below_noise


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"noise": -1e-3}, "noise = -0.001"),
        ({"noise": float("nan")}, "noise = nan"),
        ({"temperature": -1.0}, "temperature = -1"),
        ({"averages": 0}, "averages = 0"),
        ({"node_capacitance": -1e-12}, "node_capacitance"),
    ],
)
def test_arguments_about_noise_are_checked(options: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        suggest_beta(crossbar(np.full((2, 1), 1e-4), 1e-4), [1.0, 0.5], [0.1], **options)  # type: ignore[arg-type]
