"""Gradients: phases against the adjoint, the adjoint against finite differences, and the order of the bias."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import SMOOTH_CELLS, experiments
from test_layered import batch_for, layered_networks

from analogep.circuit import Bank, Circuit, Crossbar
from analogep.devices import (
    CCCS,
    CCVS,
    NMOS,
    PMOS,
    VCCS,
    VCVS,
    CurrentSource,
    Diode,
    IdealDiode,
    MultiPort,
    Resistor,
)
from analogep.devices.semiconductors.mosfet import _turn_on
from analogep.errors import ConvergenceError, InputError, RuleError
from analogep.learning import (
    SGD,
    Adjoint,
    EquilibriumPropagation,
    FiniteDifference,
    Gradient,
    NativeSolver,
    SquaredError,
    audit,
    largest_safe_beta,
    suggest_beta,
)
from analogep.networks import crossbar, deep_resistive, uniform
from analogep.solve import NewtonOptions, operating_point
from analogep.solve.response.adjoint import adjoint_voltages

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

INITIAL = uniform(1e-5, 1e-3)


norm = np.linalg.norm


def relative(found: Gradient, expected: Gradient) -> float:
    """Return the largest error of a block relative to its norm."""
    worst = 0.0
    assert set(found) == set(expected)
    for block, reference in expected.items():
        assert found[block].shape == reference.shape
        if norm(reference) > 0:
            worst = max(worst, float(norm(found[block] - reference) / norm(reference)))
        else:
            assert not found[block].any()
    return worst


# --- equilibrium propagation against the adjoint -------------------------------------------------------


def sizeable(circuit: Circuit, inputs: np.ndarray, targets: np.ndarray) -> set[str]:
    """Return the blocks whose gradient is no small part of what the circuit could have.

    An element's gradient is the product of its drops of adjoint and of voltage. The phases know either to
    (beta/safe)^2 = 4e-4 of the largest in the circuit, which is 1 % of a product below 4 % of the largest.
    """
    adjoint = Adjoint().gradient(circuit, inputs, targets)
    pull = SquaredError().gradient(adjoint.free.outputs, targets)
    lam, _ = adjoint_voltages(adjoint.free, inputs, pull)
    most = np.abs(lam).max() * max(1.0, np.abs(adjoint.free.voltages).max())
    return {block for block, g in adjoint.items() if np.sqrt(np.mean(g**2)) > 0.05 * most}


@given(circuit=layered_networks(smooth=True), seed=st.integers(0, 2**16))
def test_centered_ep_is_the_adjoint_at_the_suggested_beta(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 3)
    blocks = sizeable(circuit, inputs, targets)
    assume(blocks)
    rule = EquilibriumPropagation(suggest_beta(circuit, inputs, targets).beta)
    found = audit(circuit, inputs, targets, rules=[rule], fit=False)
    for row in found.rows:
        if row.block in blocks:
            assert row.cosine >= 0.9999, row
            assert row.scale == pytest.approx(1.0, abs=0.01), row


def smooth_network(
    amplifier: tuple[float, float] | None, bias: Any, paired: bool, seed: int = 0, layers: Any = (3, 4, 3, 2)
) -> Circuit:
    circuit = deep_resistive(
        list(layers),
        hidden="pair",
        diode=Diode(saturation_current=1e-9, emission=1.5),
        rails=(-0.1, 0.1),
        amplifier=amplifier,
        bias=bias,
        paired_outputs=paired,
        initial=INITIAL,
        rng=np.random.default_rng(seed),
    )
    rng = np.random.default_rng(seed + 1)
    amplitudes = {b: rng.uniform(-1e-4, 1e-4, v.shape) for b, v in circuit.parameters.items() if "amplitude" in b}
    return circuit.with_parameters(amplitudes)


CASES = [
    (None, "none", False),
    (None, "current", True),
    ((4.0, 0.25), "lines", False),
    ((4.0, 0.25), "current", True),
    ((2.0, 2.0), "current", False),
    ((-3.0, -1.0), "lines", True),
]


@pytest.mark.parametrize(("amplifier", "bias", "paired"), CASES)
def test_bias_of_the_estimate_is_of_first_order_one_sided_and_of_second_centered(
    amplifier: Any, bias: str, paired: bool
) -> None:
    circuit = smooth_network(amplifier, bias, paired)
    inputs, targets = batch_for(circuit, 4, 3)
    found = audit(circuit, inputs, targets)
    assert found.slopes["EP positive"] == pytest.approx(1.0, abs=0.1)
    assert found.slopes["EP negative"] == pytest.approx(1.0, abs=0.1)
    assert found.slopes["EP centered"] == pytest.approx(2.0, abs=0.2)


@given(seed=st.integers(0, 2**16), fraction=st.floats(0.01, 0.9))
def test_linear_circuit_by_hand(seed: int, fraction: float) -> None:
    """One bit line: v = sum g x / G, and under a nudge v(b) = (sum g x + b y) / (G + b).

    The estimate is then a difference of squares, and dC/dg_r = (v - y)(x_r - v)/G.
    """
    rng = np.random.default_rng(seed)
    g, load, x, y = rng.uniform(1e-5, 1e-3, 4), 2e-4, rng.uniform(-1, 1, 4), 0.3
    total = g.sum() + load
    beta = fraction * total
    circuit = crossbar(g[:, None], load)

    def v(b: float) -> float:
        return float((g @ x + b * y) / (total + b))

    for variant, low, high in (("positive", 0.0, beta), ("negative", -beta, 0.0), ("centered", -beta, beta)):
        found = EquilibriumPropagation(beta, variant).gradient(circuit, x, [[y]])  # type: ignore[arg-type]
        expected = ((x - v(high)) ** 2 - (x - v(low)) ** 2) / (2 * (high - low))
        # voltages up to 1/(1 - 0.9) V to 1e-12 relative, their squares over beta
        tolerance = 4e-11 / (high - low)
        np.testing.assert_allclose(found["W1.conductance"][:, 0], expected, rtol=0.0, atol=tolerance)
        assert found.cost[0] == pytest.approx(0.5 * (v(0.0) - y) ** 2, abs=1e-12)
        assert found.info["betas"] == (low, high)
    exact = Adjoint().gradient(circuit, x, [[y]])["W1.conductance"][:, 0]
    np.testing.assert_allclose(exact, (v(0.0) - y) * (x - v(0.0)) / total, rtol=0.0, atol=1e-11 / total)


def test_phases_are_kept_and_nudged_the_right_way() -> None:
    circuit = smooth_network(None, "none", False)
    inputs, targets = batch_for(circuit, 1, 2)
    found = EquilibriumPropagation(1e-6).gradient(circuit, inputs, targets)
    low, high = found.info["phases"]
    cost = SquaredError()
    assert (cost.value(high.outputs, targets) < found.cost).all()
    assert (cost.value(low.outputs, targets) > found.cost).all()


@given(circuit=layered_networks(smooth=True), seed=st.integers(0, 2**16))
@settings(max_examples=15)
def test_frozen_and_error_dependent_nudges_agree_in_the_limit(circuit: Circuit, seed: int) -> None:
    """Their currents differ by beta (o(beta) - o(0)), the centered estimates by the order beta^2."""
    inputs, targets = batch_for(circuit, seed, 2)
    blocks = sizeable(circuit, inputs, targets)
    assume(blocks)
    beta = suggest_beta(circuit, inputs, targets).beta
    gaps = []
    for b in (beta, beta / 4):
        frozen = EquilibriumPropagation(b, nudge="frozen").gradient(circuit, inputs, targets)
        error = EquilibriumPropagation(b, nudge="error").gradient(circuit, inputs, targets)
        gaps.append(max(norm(frozen[k] - error[k]) / norm(error[k]) for k in blocks))
    assert gaps[0] < 0.03
    assert gaps[1] < gaps[0] / 4 + 1e-4  # 16 in the limit; 1e-4: what the solver's rounding leaves


# --- batches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [EquilibriumPropagation(1e-6), Adjoint()], ids=lambda r: r.name)
@pytest.mark.parametrize("engine", ["layered", "newton"])
def test_gradient_of_a_batch_is_the_mean_over_its_samples(rule: Any, engine: Any) -> None:
    circuit = smooth_network((4.0, 0.25), "current", True)
    inputs, targets = batch_for(circuit, 9, 5)
    solver = NativeSolver(engine)
    whole = rule.gradient(circuit, inputs, targets, solver=solver)
    single = [rule.gradient(circuit, inputs[[k]], targets[[k]], solver=solver) for k in range(5)]
    for block in whole:
        mean = np.mean([s[block] for s in single], axis=0)
        # 1e-12 V over a nudge of about 1e-4 V
        np.testing.assert_allclose(whole[block], mean, rtol=0, atol=1e-7 * np.abs(mean).max())
    np.testing.assert_allclose(whole.cost, [s.cost[0] for s in single], rtol=1e-9)


@pytest.mark.parametrize("diode", [Diode(), IdealDiode()], ids=lambda d: d.kind)
def test_every_engine_gives_the_same_gradient(diode: Any) -> None:
    """A small copy of the digits network: large voltages, doubled inputs, output pairs."""
    rng = np.random.default_rng(2)
    circuit = deep_resistive([20, 12, 10], diode=diode, bias="current", paired_outputs=True, rng=rng)
    circuit = circuit.with_parameters(
        {k: np.maximum(v, 1e-9) for k, v in circuit.parameters.items() if k.endswith("conductance")}
    )
    features = rng.uniform(0, 20, (4, 10))
    inputs, targets = np.concatenate([features, -features], axis=1), np.eye(10)[:4]
    found = {
        engine: EquilibriumPropagation(1e-5).gradient(circuit, inputs, targets, solver=NativeSolver(engine))
        for engine in ("newton", "layered", "transient")
    }
    for engine in ("layered", "transient"):
        assert found[engine].free.engine == engine
        assert relative(found[engine], found["newton"]) < 1e-6


# --- the adjoint against finite differences ------------------------------------------------------------


@given(pair=experiments(SMOOTH_CELLS, most_cells=10, conductances=(1e-6, 1e-3)), seed=st.integers(0, 2**16))
@settings(max_examples=30)
def test_adjoint_is_the_finite_difference_on_any_circuit(pair: tuple[Circuit, np.ndarray], seed: int) -> None:
    circuit, inputs = pair
    assume(circuit.parameters)
    rng = np.random.default_rng(seed)
    free = operating_point(circuit, inputs)
    assume(free.stable is None or free.stable.all())  # a saddle's neighbours may lead elsewhere, slowly
    targets = free.outputs + rng.uniform(-1.0, 1.0, free.outputs.shape)
    adjoint = Adjoint().gradient(circuit, inputs, targets)
    fine = FiniteDifference(1e-4).gradient(circuit, inputs, targets)
    coarse = FiniteDifference(2e-4).gradient(circuit, inputs, targets)
    for block, exact in adjoint.items():
        # Truncation is O(h^2): what doubling h adds is three times what h has. Rounding: the costs' 1e-12
        # relative over a step of 1e-4, in units of (cost)/(parameter).
        theta = np.sqrt(np.mean(circuit.parameters[block] ** 2)) or 1e-6
        rounding = 1e-8 * (1.0 + float(np.mean(adjoint.cost))) / theta
        truncation = np.abs(coarse[block] - fine[block])
        allowed = truncation + rounding + 1e-6 * np.abs(exact).max(initial=0.0)
        assert (np.abs(fine[block] - exact) <= allowed).all(), block


GAINS = [(VCVS, 1.7), (VCCS, 3e-4), (CCVS, 900.0), (CCCS, 0.8)]


@pytest.mark.parametrize(("device", "gain"), GAINS, ids=lambda d: getattr(d, "kind", None))
def test_adjoint_of_each_controlled_source(device: type[MultiPort], gain: float) -> None:
    """A non-reciprocal amplifier stage with a diode load; every parameter trainable."""
    key = next(iter(device.parameters()))
    graph = nx.MultiDiGraph()
    ohms = [
        ("x", "a", 1e-3),
        ("a", "0", 4e-4),
        ("b", "c", 7e-4),
        ("c", "0", 2e-4),
        ("c", "a", 5e-5),
        ("b", "0", 1e-3),
    ]
    for k, (a, b, g) in enumerate(ohms):
        graph.add_edge(a, b, device=Resistor(conductance=g), name=f"r{k}", trainable=True)
    graph.add_edge("0", "c", device=CurrentSource(amplitude=1e-4), name="i1", trainable=True)
    graph.add_edge("c", "0", device=Diode(saturation_current=1e-9), name="d1")
    control = ("a", "0") if device in (VCVS, VCCS) else ("a", "m")
    if device in (CCVS, CCCS):
        graph.add_edge("m", "0", device=Resistor(conductance=6e-4), name="rm", trainable=True)
    graph.add_edge("b", "0", device=device(**{key: gain}, control=control), name="s1", trainable=True)
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["c", ("b", "a")])
    inputs, targets = [[0.8], [-0.4], [1.5]], [[0.2, 0.0], [0.1, 0.5], [0.0, -0.3]]
    adjoint = Adjoint().gradient(circuit, inputs, targets)
    assert any(block.endswith(key) for block in adjoint)
    assert relative(FiniteDifference(1e-4).gradient(circuit, inputs, targets), adjoint) < 1e-6
    with pytest.raises(RuleError, match="s1"):
        EquilibriumPropagation(1e-9).gradient(circuit, inputs, targets)


@given(circuit=layered_networks(), seed=st.integers(0, 2**16))
@settings(max_examples=30)
def test_adjoint_is_the_finite_difference_on_layered_networks(circuit: Circuit, seed: int) -> None:
    inputs, targets = batch_for(circuit, seed, 2)
    assume(far_from_kinks(circuit, inputs))
    adjoint = Adjoint().gradient(circuit, inputs, targets)
    rng = np.random.default_rng(seed)
    at = {b: rng.choice(v.size, min(4, v.size), replace=False) for b, v in circuit.parameters.items()}
    found = FiniteDifference(1e-4, at).gradient(circuit, inputs, targets)
    for block, exact in adjoint.items():
        scale = np.abs(exact).max()
        here = found[block].ravel()[at[block]]
        theta = np.sqrt(np.mean(circuit.parameters[block] ** 2)) or 1e-6
        rounding = 1e-8 * float(np.mean(adjoint.cost)) / theta
        # 1e-4 steps move a junction by up to 1e-4 of volts, 1e-2 nV_T, whose square is the truncation.
        np.testing.assert_allclose(here, exact.ravel()[at[block]], rtol=0, atol=1e-3 * scale + rounding)
        assert np.isnan(np.delete(found[block].ravel(), at[block])).all()


def far_from_kinks(circuit: Circuit, inputs: np.ndarray, margin: float = 3e-3) -> bool:
    """Whether diodes are off, or conducting, and so both ends of channels, by more than a small step changes."""
    free = operating_point(circuit, inputs)
    for b, bank in enumerate(circuit.banks):
        if bank.device is IdealDiode:
            v = free.voltages[:, bank.pins[:, 0]] - free.voltages[:, bank.pins[:, 1]] - bank.values["threshold"]
            j = free.branches[b][:, :, 0]
            if (np.maximum(-v, j / 1e-3) < margin).any():
                return False
        if bank.device in (NMOS, PMOS):  # i ~ (v_g − v_on)² begins with a jump of its second derivative
            sign, p = bank.device.polarity, bank.values
            drain, source, gate, bulk = (sign * free.voltages[:, bank.pins[:, k]] for k in range(4))
            for end in (drain, source):
                over = gate + sign * p["gate_voltage"] - end - _turn_on(bulk - end, sign * p["threshold"], p)
                if (np.abs(over) < margin).any():
                    return False
    return True


def beside(*extra: tuple[str, str, Any]) -> Circuit:
    """1 V over 1 kohm to ``a``, 2 kohm from there to the output ``o``, 3 kohm from ``o`` to ground."""
    graph: nx.MultiDiGraph = nx.MultiDiGraph()
    for p, q, device in (
        ("in", "a", Resistor(conductance=1e-3)),
        ("a", "o", Resistor(conductance=5e-4)),
        ("o", "0", Resistor(conductance=1.0 / 3e3)),
        *extra,
    ):
        graph.add_edge(p, q, device=device, trainable=isinstance(device, Resistor))
    return Circuit.from_graph(graph, inputs=["in"], outputs=["o"])


@pytest.mark.parametrize(
    "extra",
    [
        [("a", "0", IdealDiode(threshold=0.3))] * 2,
        [("a", "0", IdealDiode(threshold=0.3))] * 3,
        [
            ("a", "m", IdealDiode(threshold=0.3)),
            ("m", "0", IdealDiode()),
            ("a", "0", IdealDiode(threshold=0.3)),
            ("m", "0", Resistor(conductance=1e-5)),  # which carries nothing
        ],
    ],
    ids=["two side by side", "three side by side", "around a loop"],
)
def test_adjoint_where_ideal_diodes_share_a_current(extra: list[Any]) -> None:
    """Diodes hold ``a`` at 0.3 V, so that o = 0.3 g / (g + h) = 0.18 V with g, h = 1/2k, 1/3k, by hand.

    The other sample is below the threshold, a divider of 1, 2 and 3 kohm: o = 0.1 V / 2.
    """
    circuit = beside(*extra)
    found = Adjoint().gradient(circuit, [[1.0], [0.1]], [[0.0], [0.0]])
    bank = next(b for b in circuit.banks if b.device is Resistor)
    g, h = 5e-4, 1.0 / 3e3
    o, low = 0.18, 0.05  # dC/do = o and low
    expected = np.zeros(3)
    expected[1] = o * 0.3 * h / (g + h) ** 2
    expected[2] = -o * 0.3 * g / (g + h) ** 2
    resistances = np.array([1e3, 2e3, 3e3])
    # low = 0.1 R3 / (R1 + R2 + R3); d/dG = -R^2 d/dR
    slope = np.array([-low / 6e3, -low / 6e3, 0.1 / 6e3 - low / 6e3])
    expected += low * slope * -(resistances**2)
    gradient = found[f"{bank.name}.conductance"]
    np.testing.assert_allclose(gradient[:3], expected / 2.0, rtol=1e-9)
    np.testing.assert_allclose(gradient[3:], 0.0, atol=1e-12)


def test_adjoint_names_what_is_left_open() -> None:
    """The diode is off: m hangs on it alone."""
    circuit = beside(("m", "a", IdealDiode()))
    free = operating_point(beside(("m", "a", Resistor(conductance=1e-3))), [[1.0]])

    def solver(_: Circuit, inputs: Any, **__: Any) -> Any:
        off = np.full((1, 1, 1), -1.0)
        branches = {b: off for b, bank in enumerate(circuit.banks) if bank.device is IdealDiode}
        return replace(free, circuit=circuit, branches=branches)

    with pytest.raises(ConvergenceError, match=r"sample 0\. The equations .* leave open the voltage of node m: "):
        Adjoint().gradient(circuit, [[1.0]], [[0.0]], solver=solver)  # type: ignore[arg-type]


def test_finite_difference_at_a_bound_is_one_sided() -> None:
    """C(g) of one bit line is smooth down to g = 0: the one-sided formula is of second order, too."""
    circuit = crossbar(np.array([[1e-4], [0.0], [2e-4]]), 1e-4)
    inputs, targets = [[1.0, -0.5, 0.3]], [[0.5]]
    found = FiniteDifference(1e-4).gradient(circuit, inputs, targets)
    assert relative(found, Adjoint().gradient(circuit, inputs, targets)) < 1e-6


def test_finite_difference_leaves_out_what_it_is_not_asked_for() -> None:
    circuit = crossbar(np.full((2, 3), 1e-4), 1e-4)
    found = FiniteDifference(at={"W1.conductance": np.array([4])}).gradient(
        circuit, [[1.0, 0.5]], [[0.0, 0.1, 0.2]]
    )
    assert np.isfinite(found["W1.conductance"]).sum() == 1
    assert np.isfinite(found["W1.conductance"][1, 1])


# --- refusals ------------------------------------------------------------------------------------------


def test_beta_beyond_what_holds_the_output_is_refused_with_the_limit() -> None:
    """One bit line: the output is held by G = sum g + load, worked out by hand."""
    g = np.array([[1e-4], [3e-4]])
    circuit = crossbar(g, 2e-4)
    assert largest_safe_beta(circuit) == pytest.approx(6e-4, rel=1e-12)
    for variant in ("negative", "centered"):
        EquilibriumPropagation(0.99 * 6e-4, variant).gradient(circuit, [1.0, 0.5], [[0.2]])  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"not below 0\.0006 S"):
            EquilibriumPropagation(1.01 * 6e-4, variant).gradient(circuit, [1.0, 0.5], [[0.2]])  # type: ignore[arg-type]
    EquilibriumPropagation(1.0, "positive").gradient(circuit, [1.0, 0.5], [[0.2]])
    EquilibriumPropagation(1e-3, "centered", "frozen").gradient(circuit, [1.0, 0.5], [[0.2]])


@pytest.mark.parametrize("beta", [0.0, -1e-3, float("nan"), float("inf")])
def test_beta_must_be_positive(beta: float) -> None:
    with pytest.raises(InputError, match="β"):
        EquilibriumPropagation(beta)


def test_unknown_variants_and_forms() -> None:
    with pytest.raises(InputError, match=r"unknown variant 'both'.*positive, negative, centered"):
        EquilibriumPropagation(variant="both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="unknown nudge form"):
        EquilibriumPropagation(nudge="soft")  # type: ignore[arg-type]


def test_targets_must_fit() -> None:
    circuit = crossbar(np.full((2, 2), 1e-4), 1e-4)
    for rule in (EquilibriumPropagation(1e-6), Adjoint(), FiniteDifference()):
        with pytest.raises(InputError, match="targets have shape"):
            rule.gradient(circuit, [[1.0, 0.5]], [[0.1]])


# --- a gradient is a mapping, and an optimizer's step ---------------------------------------------------


def test_gradient_is_a_mapping_with_the_parameters_shapes() -> None:
    circuit = smooth_network((4.0, 0.25), "current", True)
    inputs, targets = batch_for(circuit, 1, 2)
    found = EquilibriumPropagation(1e-7).gradient(circuit, inputs, targets)
    assert set(found) == set(circuit.parameters)
    assert len(found) == len(circuit.parameters)
    for block, value in circuit.parameters.items():
        assert found[block].shape == value.shape
    # (A/B)^(L - l) with L = 3: 256, 16, 1
    for block, factor in {"W1.conductance": 256.0, "W2.conductance": 16.0, "W3.conductance": 1.0}.items():
        np.testing.assert_allclose(found[block], factor * found.raw[block], rtol=1e-12)
    np.testing.assert_allclose(found["b1.amplitude"], 256.0 * found.raw["b1.amplitude"], rtol=1e-12)


def test_untrainable_blocks_get_no_gradient() -> None:
    circuit = crossbar(np.full((2, 2), 1e-4), 1e-4, trainable=False)
    assert dict(EquilibriumPropagation(1e-6).gradient(circuit, [1.0, 0.5], [[0.1, 0.2]])) == {}


def test_sgd_steps_downhill_within_bounds() -> None:
    optimizer = SGD({"a": 0.5, "b": 1.0}, {"a": (0.0, 1.0)})
    parameters = {"a": np.array([0.2, 0.9]), "b": np.array([1.0])}
    gradient = {"a": np.array([1.0, -1.0]), "b": np.array([3.0])}
    new, _ = optimizer.step(parameters, gradient)
    np.testing.assert_array_equal(new["a"], [0.0, 1.0])
    np.testing.assert_array_equal(new["b"], [-2.0])
    assert optimizer.step(parameters, gradient, factor=0.5)[0]["b"] == -0.5


def test_tolerances_reach_the_phases() -> None:
    solver = NativeSolver("newton", NewtonOptions(max_iterations=1))
    with pytest.raises(ConvergenceError):
        EquilibriumPropagation(1e-6).gradient(
            smooth_network(None, "none", False), [[1.0, 0.0, -1.0]], [[0.0, 0.1]], solver=solver
        )


def test_a_bank_and_a_crossbar_of_one_law_have_one_gradient() -> None:
    """A crossbar expanded into single resistors."""
    rng = np.random.default_rng(0)
    g = rng.uniform(1e-5, 1e-3, (3, 2))
    whole = crossbar(g, 1e-4)
    pins = [(r, c) for r in whole.crossbars[0].rows for c in whole.crossbars[0].columns]
    bank = Bank(
        "r",
        Resistor,
        np.array(pins),
        {"conductance": g.ravel()},
        tuple(f"r{k}" for k in range(6)),
        frozenset({"conductance"}),
    )
    single = Circuit(whole.nodes, (*whole.banks, bank), (), whole.input_nodes, whole.output_pairs)
    inputs, targets = rng.uniform(-1, 1, (4, 3)), rng.uniform(-1, 1, (4, 2))
    for rule in (EquilibriumPropagation(1e-6), Adjoint()):
        a = rule.gradient(whole, inputs, targets)["W1.conductance"].ravel()
        b = rule.gradient(single, inputs, targets)["r.conductance"]
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.abs(a).max())
    assert isinstance(whole.crossbars[0], Crossbar)
