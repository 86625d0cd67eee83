"""Rules for circuits without an energy, against the adjoint, an adjoint network and the plain rule."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import CELLS, RECIPROCAL_CELLS, experiments
from test_gradients import GAINS, far_from_kinks, relative

from analogep.circuit import Circuit
from analogep.devices import (
    CCCS,
    CCVS,
    NMOS,
    VCCS,
    VCVS,
    CurrentSource,
    Diode,
    MultiPort,
    Resistor,
    behavioural,
)
from analogep.errors import ConvergenceError, InputError, RuleError
from analogep.learning import (
    Adjoint,
    DoubledStateEP,
    EquilibriumPropagation,
    FiniteDifference,
    NonReciprocalEP,
    SquaredError,
    VectorFieldEP,
    energy_scale,
)
from analogep.learning.rules.base import VARIANTS
from analogep.networks import deep_resistive, uniform
from analogep.solve import ConductanceNudge, CurrentNudge, NewtonOptions, operating_point
from analogep.solve.response.adjoint import adjoint_voltages, doubled_state
from analogep.solve.response.transposed_phase import corrected_phase

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

Experiment = tuple[Circuit, np.ndarray]


def stage(device: type[MultiPort], gain: float) -> Circuit:
    """A controlled source between resistors, with a diode at its load; every parameter is trainable."""
    graph = nx.MultiDiGraph()
    ohms = [
        ("x", "a", 1e-3), ("a", "0", 4e-4), ("b", "c", 7e-4), ("c", "0", 2e-4), ("c", "a", 5e-5), ("b", "0", 1e-3),
    ]  # fmt: skip
    for k, (a, b, g) in enumerate(ohms):
        graph.add_edge(a, b, device=Resistor(conductance=g), name=f"r{k}", trainable=True)
    graph.add_edge("0", "c", device=CurrentSource(amplitude=1e-4), name="i1", trainable=True)
    graph.add_edge("c", "0", device=Diode(saturation_current=1e-9), name="d1")
    control = ("a", "0") if device in (VCVS, VCCS) else ("a", "m")
    if device in (CCVS, CCCS):
        graph.add_edge("m", "0", device=Resistor(conductance=6e-4), name="rm", trainable=True)
    source = device(**{next(iter(device.parameters())): gain}, control=control)
    graph.add_edge("b", "0", device=source, name="s1", trainable=True)
    return Circuit.from_graph(graph, inputs=["x"], outputs=["c", ("b", "a")])


def transistor_stage() -> Circuit:
    """A common-source stage with degeneration and feedback from drain to gate; V_DD is the second input."""
    graph = nx.MultiDiGraph()
    ohms = [("x", "g", 2e-5), ("g", "d", 3e-6), ("vdd", "d", 5e-5), ("s", "0", 2e-4), ("d", "0", 1e-6)]
    for k, (a, b, g) in enumerate(ohms):
        graph.add_edge(a, b, device=Resistor(conductance=g), name=f"r{k}", trainable=True)
    card = {"threshold": 0.5, "transconductance": 1e-4, "body_effect": 0.3, "channel_modulation": 0.05}
    device = NMOS(**card, width=4e-4, control=("g", "0"))
    graph.add_edge("d", "s", device=device, name="m1", trainable=True)
    graph.add_edge("d", "0", device=behavioural("k*v(s)^2", control=("s",), k=1e-5), name="b1", trainable=True)
    return Circuit.from_graph(graph, inputs=["x", "vdd"], outputs=["d", ("s", "g")])


def amplifiers(gains: tuple[float, float], rails: float = 0.1) -> Circuit:
    circuit = deep_resistive(
        [3, 4, 3, 2],
        hidden="pair",
        diode=Diode(saturation_current=1e-9, emission=1.5),
        rails=(-rails, rails),
        amplifier=gains,
        bias="current",
        paired_outputs=False,
        initial=uniform(1e-5, 1e-3),
        rng=np.random.default_rng(3),
    )
    rng = np.random.default_rng(4)
    return circuit.with_parameters(
        {b: rng.uniform(-1e-4, 1e-4, v.shape) for b, v in circuit.parameters.items() if "amplitude" in b}
    )


CASES: dict[str, tuple[Circuit, Any, Any]] = {
    device.kind: (stage(device, gain), [[0.8], [-0.4], [1.5]], [[0.2, 0.0], [0.1, 0.5], [0.0, -0.3]])
    for device, gain in GAINS
}
CASES["nmos"] = (transistor_stage(), [[1.5, 3.0], [0.9, 2.0]], [[1.0, 0.2], [0.5, -0.1]])
for _gains in ((4.0, 0.25), (2.0, 0.0), (-3.0, 1.0)):
    CASES[f"amplifiers {_gains}"] = (
        amplifiers(_gains), [[0.5, -0.2, 0.3], [0.1, 0.7, -0.6]], [[0.05, -0.02], [0.0, 0.03]]
    )  # fmt: skip

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def small_beta(circuit: Circuit, inputs: Any, targets: Any) -> float:
    """Return the β [S] at which no node moves by more than 1e-4 V, 4e-3 nV_T, in a corrected phase."""
    free = operating_point(circuit, inputs)
    lam, _ = adjoint_voltages(free, circuit.input_array(inputs), free.outputs - np.asarray(targets))
    return float(1e-4 / np.abs(lam).max())


# --- corrected phases --------------------------------------------------------------------------------------


@given(pair=experiments(CELLS, most_cells=12, conductances=(1e-6, 1e-3)), seed=st.integers(0, 2**16))
@settings(max_examples=40)
def test_a_corrected_phase_moves_by_minus_beta_times_the_adjoint(pair: Experiment, seed: int) -> None:
    """On any circuit. No node moves by more than 1e-4 V: its junctions bend by (4e-3)^2/6 of that."""
    circuit, inputs = pair
    assume(far_from_kinks(circuit, inputs))
    free = operating_point(circuit, inputs, method="newton")
    pull = np.random.default_rng(seed).uniform(-1.0, 1.0, free.outputs.shape)
    lam, branch_lam = adjoint_voltages(free, inputs, pull)
    assume(np.abs(lam).max() > 1.0)  # 1 V over 1 S: else the outputs are held by sources, up to rounding
    beta = 1e-4 / np.abs(lam).max()
    options = NewtonOptions()
    for plus, minus in (
        (CurrentNudge(beta * pull), CurrentNudge(-beta * pull)),
        (ConductanceNudge(beta, free.outputs - pull), ConductanceNudge(-beta, free.outputs - pull)),
    ):
        high, low = (corrected_phase(free, inputs, nudge, options) for nudge in (plus, minus))
        np.testing.assert_allclose((high[0] - low[0]) / (2 * beta), -lam, rtol=0, atol=1e-4 * np.abs(lam).max())
        for b, exact in branch_lam.items():
            if circuit.banks[b].device.linear:  # the current of an ideal diode keeps its name; see the module
                found = (low[1][b] - high[1][b]) / (2 * beta)
                # rounding of currents of up to 1 mS times volts, as far as they move by beta
                rounding = 1e-14 * (1e-3 + np.abs(free.branches[b]).max(initial=0.0)) / beta
                atol = 1e-4 * np.abs(exact).max(initial=0.0) + rounding
                np.testing.assert_allclose(found, exact, rtol=0, atol=atol)


@given(pair=experiments(CELLS, most_cells=12, conductances=(1e-6, 1e-3)), seed=st.integers(0, 2**16))
@settings(max_examples=25)
def test_rules_for_any_circuit_are_the_adjoint(pair: Experiment, seed: int) -> None:
    circuit, inputs = pair
    assume(circuit.parameters and far_from_kinks(circuit, inputs))
    free = operating_point(circuit, inputs)
    targets = free.outputs + np.random.default_rng(seed).uniform(-1.0, 1.0, free.outputs.shape)
    exact = Adjoint().gradient(circuit, inputs, targets)
    lam, branch_lam = adjoint_voltages(exact.free, inputs, exact.free.outputs - targets)
    assume(np.abs(lam).max() > 1.0)  # 1 V over 1 S: else the outputs are held by sources, up to rounding
    beta = 1e-4 / np.abs(lam).max()
    # A gradient is a product of an adjoint and of a voltage or current: that is what has 1e-4 of its largest.
    most = max(float(np.abs(a).max(initial=0.0)) for a in (lam, *branch_lam.values()))
    most *= max(1.0, *(float(np.abs(a).max(initial=0.0)) for a in (free.voltages, *free.branches.values())))
    for rule, error in ((NonReciprocalEP(beta), 1e-4), (DoubledStateEP(beta, 1e-12), 1e-7)):
        found = rule.gradient(circuit, inputs, targets)
        assert set(found) == set(exact)
        for block, reference in exact.items():
            np.testing.assert_allclose(found[block], reference, rtol=0, atol=error * most)


@every_case
def test_centered_and_doubled_estimates_of_circuits_that_amplify(case: tuple[Circuit, Any, Any]) -> None:
    circuit, inputs, targets = case
    exact = Adjoint().gradient(circuit, inputs, targets)
    beta = small_beta(circuit, inputs, targets)
    for form in ("error", "frozen"):
        found = NonReciprocalEP(beta, nudge=form).gradient(circuit, inputs, targets)  # type: ignore[arg-type]
        assert relative(found, exact) < 1e-4
    assert relative(DoubledStateEP(1e-6).gradient(circuit, inputs, targets), exact) < 1e-8
    assert relative(DoubledStateEP(1.0).gradient(circuit, inputs, targets), exact) < 1e-8


@every_case
def test_the_adjoint_is_the_finite_difference(case: tuple[Circuit, Any, Any]) -> None:
    circuit, inputs, targets = case
    exact = Adjoint().gradient(circuit, inputs, targets)
    coarse, fine = (FiniteDifference(h).gradient(circuit, inputs, targets) for h in (2e-4, 1e-4))
    for block, reference in exact.items():  # Richardson's extrapolation leaves h^4
        extrapolated = (4.0 * fine[block] - coarse[block]) / 3.0
        np.testing.assert_allclose(extrapolated, reference, rtol=0, atol=1e-6 * np.abs(reference).max())


@every_case
@pytest.mark.parametrize("variant", VARIANTS)
def test_bias_is_of_first_order_one_sided_and_of_second_centered(
    case: tuple[Circuit, Any, Any], variant: Any
) -> None:
    circuit, inputs, targets = case
    exact = Adjoint().gradient(circuit, inputs, targets)
    betas = small_beta(circuit, inputs, targets) * np.array([4.0, 8.0, 16.0])
    errors = [
        relative(NonReciprocalEP(float(b), variant).gradient(circuit, inputs, targets), exact) for b in betas
    ]
    order = np.polyfit(np.log(betas), np.log(errors), 1)[0]
    assert order == pytest.approx(2.0 if variant == "centered" else 1.0, abs=0.1)


# --- the uncorrected rule ----------------------------------------------------------------------------------


@every_case
def test_without_the_correction_the_estimate_is_wrong_at_any_beta(case: tuple[Circuit, Any, Any]) -> None:
    circuit, inputs, targets = case
    exact = Adjoint().gradient(circuit, inputs, targets)
    beta = small_beta(circuit, inputs, targets)
    wrong = [relative(VectorFieldEP(b).gradient(circuit, inputs, targets), exact) for b in (beta, beta / 8)]
    assert min(wrong) > 0.05
    assert wrong[1] == pytest.approx(wrong[0], rel=1e-2)  # a bias that does not shrink


@given(pair=experiments(RECIPROCAL_CELLS, most_cells=10, conductances=(1e-6, 1e-3)), seed=st.integers(0, 2**16))
@settings(max_examples=40)
def test_on_reciprocal_circuits_corrected_and_uncorrected_rules_are_one(pair: Experiment, seed: int) -> None:
    circuit, inputs = pair
    assume(circuit.parameters and far_from_kinks(circuit, inputs))
    free = operating_point(circuit, inputs, method="newton")
    targets = free.outputs + np.random.default_rng(seed).uniform(-1.0, 1.0, free.outputs.shape)
    exact = Adjoint().gradient(circuit, inputs, targets)
    lam, _ = adjoint_voltages(exact.free, inputs, exact.free.outputs - targets)
    assume(np.abs(lam).max() > 1.0)  # 1 V over 1 S: else the outputs are held by sources, up to rounding
    beta = float(1e-4 / np.abs(lam).max())
    most = float(np.abs(lam).max()) * max(1.0, float(np.abs(free.voltages).max()))
    for rule in (VectorFieldEP(beta), NonReciprocalEP(beta), EquilibriumPropagation(beta, check=False)):
        found = rule.gradient(circuit, inputs, targets)
        for block, reference in exact.items():
            np.testing.assert_allclose(found[block], reference, rtol=0, atol=1e-4 * most)


# --- the doubled circuit -----------------------------------------------------------------------------------


def test_the_doubled_state_is_the_adjoint_network() -> None:
    """Director & Rohrer 1969: the same resistors and diode conductances, each VCCS with its ports exchanged.

    Built as a circuit of its own, with a source −β(o − y) where the cost pulls, and solved by Newton's method.
    """
    circuit = stage(VCCS, 3e-4)
    inputs, beta = np.array([[0.8]]), 1e-6
    free = operating_point(circuit, inputs)
    pull = free.outputs - np.array([[0.2, 0.1]])
    bank = next(b for b in circuit.banks if b.device is Diode)
    v = free.voltage("c") - free.voltage("0")
    slope = float(Diode.current(v, bank.values)[1][0])
    network = nx.MultiDiGraph()
    resistors = next(b for b in circuit.banks if b.device is Resistor)
    for (a, b), g in zip(resistors.pins, resistors.values["conductance"], strict=True):
        network.add_edge(circuit.nodes[a], circuit.nodes[b], device=Resistor(conductance=float(g)))
    network.add_edge("c", "0", device=Resistor(conductance=slope))
    network.add_edge("a", "0", device=VCCS(transconductance=3e-4, control=("b", "0")))
    network.add_edge("c", "0", device=CurrentSource(amplitude=beta * float(pull[0, 0])))
    network.add_edge("b", "a", device=CurrentSource(amplitude=beta * float(pull[0, 1])))
    solved = operating_point(Circuit.from_graph(network, inputs=["x"]), [[0.0]])
    d, _, steps = doubled_state(free, inputs, beta * pull, 1e-12)
    assert steps > 3
    for node in "abc":
        assert d[0, circuit.node(node)] == pytest.approx(float(solved.voltage(node)[0]), rel=1e-9)


def test_a_doubled_state_that_is_cut_short_misses_by_about_its_tolerance() -> None:
    circuit, inputs, targets = CASES["vccs"]
    exact = Adjoint().gradient(circuit, inputs, targets)
    for tolerance in (1e-2, 1e-4, 1e-6):
        found = DoubledStateEP(1e-6, tolerance).gradient(circuit, inputs, targets)
        assert 1e-6 * tolerance < relative(found, exact) < 10.0 * tolerance


# --- refusals ----------------------------------------------------------------------------------------------


@every_case
def test_the_plain_rule_refuses_and_recommends_the_corrected_one(case: tuple[Circuit, Any, Any]) -> None:
    circuit, inputs, targets = case
    if energy_scale(circuit).culprit is None:  # amplifiers of gains other than zero
        beta = small_beta(circuit, inputs, targets)
        found = EquilibriumPropagation(beta).gradient(circuit, inputs, targets)
        assert relative(found, Adjoint().gradient(circuit, inputs, targets)) < 1e-3
        return
    with pytest.raises(RuleError, match="NonReciprocalEP"):
        EquilibriumPropagation(1e-9).gradient(circuit, inputs, targets)


def test_a_beta_beyond_the_conductance_of_the_output_is_refused() -> None:
    """By hand: b is held by 1 mS alone, so that −2 mS turns the phase around."""
    graph = nx.MultiDiGraph()
    for a, b, g in (("x", "a", 1e-3), ("a", "0", 1e-3), ("b", "0", 1e-3)):
        graph.add_edge(a, b, device=Resistor(conductance=g), trainable=True)
    graph.add_edge("b", "0", device=VCCS(transconductance=1e-3, control=("a", "0")), trainable=True)
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["b"])
    NonReciprocalEP(0.9e-3).gradient(circuit, [1.0], [[0.3]])
    with pytest.raises(InputError, match=r"β = 0\.002 S is too large.*sample 0.*smaller β"):
        NonReciprocalEP(2e-3).gradient(circuit, [1.0], [[0.3]])


def test_outputs_that_meet_their_targets_give_no_gradient() -> None:
    """A past bug: the rounding of phases that do not move was taken for a phase that turned around."""
    circuit, inputs, _ = CASES["vccs"]
    targets = operating_point(circuit, inputs).outputs
    found = NonReciprocalEP(1e-7).gradient(circuit, inputs, targets)
    assert all(np.abs(g).max() < 1e-6 for g in found.values())


def test_a_phase_without_an_equilibrium_is_an_error() -> None:
    circuit, inputs, targets = CASES["vccs"]
    with pytest.raises(ConvergenceError, match="smaller β"):
        NonReciprocalEP(1e-6, options=NewtonOptions(max_iterations=1)).gradient(circuit, inputs, targets)


@pytest.mark.parametrize("rule", [NonReciprocalEP, VectorFieldEP, DoubledStateEP])
def test_rules_check_their_settings(rule: Any) -> None:
    with pytest.raises(InputError, match="β"):
        rule(beta=-1.0)
    if rule is DoubledStateEP:
        with pytest.raises(InputError, match="tolerance"):
            rule(tolerance=2.0)
        return
    with pytest.raises(InputError, match="unknown variant 'random'"):
        rule(variant="random")
    with pytest.raises(InputError, match="nudge form"):
        rule(nudge="soft")


def test_costs_are_those_of_the_free_phase() -> None:
    circuit, inputs, targets = CASES["vcvs"]
    free = operating_point(circuit, inputs)
    for rule in (NonReciprocalEP(1e-7), VectorFieldEP(1e-7), DoubledStateEP()):
        found = rule.gradient(circuit, inputs, targets)
        np.testing.assert_allclose(found.cost, SquaredError().value(free.outputs, np.array(targets)), rtol=1e-12)
