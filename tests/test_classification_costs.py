"""Cross-entropy and hinge costs: derivatives, nudges, and learning rules through them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_gradients import batch_for, relative, smooth_network
from test_nonreciprocal import CASES as NON_RECIPROCAL
from test_nonreciprocal import small_beta

from analogep.circuit import Circuit
from analogep.errors import InputError, RuleError
from analogep.learning import (
    Adjoint,
    CrossEntropy,
    EquilibriumPropagation,
    FiniteDifference,
    Hinge,
    HolomorphicEP,
    NonReciprocalEP,
    SoftmaxReadout,
    SquaredError,
    suggest_beta,
)
from analogep.learning.costs.base import CostNudge
from analogep.networks import crossbar
from analogep.solve import operating_point
from analogep.solve.nudge import ScaledNudge


def label(cost: Any) -> str:
    """Return a short name for a cost with its scales."""
    scales = (getattr(cost, key) for key in ("scale", "margin", "width") if hasattr(cost, key))
    return "-".join([type(cost).__name__, *map(str, scales)])


WEIGHTS = np.random.default_rng(2).normal(0.0, 0.7, (4, 4))
COSTS: list[Any] = [
    SquaredError(),
    CrossEntropy(),
    CrossEntropy(0.05),
    Hinge(),
    Hinge(0.5, 0.0),
    Hinge(1.0, 1.0),
    SoftmaxReadout(WEIGHTS, [0.1, 0.0, -0.2, 0.3], 0.5),
]
every_cost = pytest.mark.parametrize("cost", COSTS, ids=label)

OUTPUTS = arrays(float, (2, 4), elements=st.floats(-2.0, 2.0, allow_subnormal=False))
ONE_HOT = np.eye(4)[[2, 0]]
STEP = 1e-6


def shifted(o: np.ndarray, k: int, step: complex) -> np.ndarray:
    out = o.astype(np.result_type(o, step))
    out[:, k] += step
    return out


def away_from_corners(cost: Any, o: np.ndarray) -> bool:
    """Whether no step of 1e-6 V meets a place where a hinge's first or second derivative jumps."""
    if not isinstance(cost, Hinge):
        return True
    u = cost.margin + o - o[ONE_HOT == 1.0][:, None]
    return bool((np.minimum(np.abs(u), np.abs(u - cost.width))[ONE_HOT == 0.0] > 4 * STEP).all())


@every_cost
@given(o=OUTPUTS)
def test_gradient_and_hessian_are_derivatives(cost: Any, o: np.ndarray) -> None:
    """Central differences: rounding of values up to 30 V^2 over 1e-6 V, 1e-8; truncation (1e-6/0.05)^2/6."""
    if not away_from_corners(cost, o):
        return
    gradient = cost.gradient(o, ONE_HOT)
    for k in range(4):
        up, down = shifted(o, k, STEP), shifted(o, k, -STEP)
        slope = (cost.value(up, ONE_HOT) - cost.value(down, ONE_HOT)) / (2 * STEP)
        np.testing.assert_allclose(gradient[:, k], slope, rtol=1e-8, atol=2e-8)
        if hasattr(cost, "hessian"):
            bend = (cost.gradient(up, ONE_HOT) - cost.gradient(down, ONE_HOT)) / (2 * STEP)
            np.testing.assert_allclose(cost.hessian(o, ONE_HOT)[:, k], bend, rtol=1e-8, atol=1e-8)


@every_cost
@given(o=OUTPUTS)
def test_curvature_bounds_every_hessian(cost: Any, o: np.ndarray) -> None:
    hessian = cost.hessian(o, ONE_HOT) if hasattr(cost, "hessian") else np.eye(4)[None]
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert eigenvalues.min() >= -1e-12
    assert eigenvalues.max() <= cost.curvature(4) * (1 + 1e-12)


def test_the_bounds_on_curvature_are_reached() -> None:
    """Two classes of probability 1/2; all others on the corner of the hinge."""
    assert np.linalg.eigvalsh(CrossEntropy(0.1).hessian(np.zeros((1, 2)), np.eye(2)[:1])).max() == 0.5
    cost = Hinge(0.2, 0.1)
    corner = np.array([[0.15, 0.0, 0.0]])  # u = 0.2 - 0.15 = 0.05, half way
    assert np.linalg.eigvalsh(cost.hessian(corner, np.eye(3)[:1])).max() == pytest.approx(cost.curvature(3))


@every_cost
@given(o=OUTPUTS, beta=st.floats(-1e-2, 1e-2))
def test_both_nudges_start_at_beta_times_the_gradient(cost: Any, o: np.ndarray, beta: float) -> None:
    for form in ("error", "frozen"):
        nudge = cost.nudge(beta, o, ONE_HOT, form)
        current, _ = nudge.evaluate(o)
        np.testing.assert_allclose(current, beta * cost.gradient(o, ONE_HOT), rtol=1e-15)
        part, _ = nudge.select(np.array([1])).evaluate(o[1:])
        np.testing.assert_allclose(part, current[1:], rtol=1e-12, atol=1e-18)  # products of matrices round
    frozen = cost.nudge(beta, o, ONE_HOT, "frozen")
    np.testing.assert_array_equal(frozen.evaluate(o + 1.0)[0], frozen.evaluate(o)[0])


@pytest.mark.parametrize("cost", [c for c in COSTS if c.analytic], ids=label)
@given(o=OUTPUTS, turn=st.floats(0.0, 6.3), size=st.floats(0.0, 0.04))
def test_nudges_of_analytic_costs_obey_cauchy_and_riemann(
    cost: Any, o: np.ndarray, turn: float, size: float
) -> None:
    nudge = cost.nudge(1.0, o, ONE_HOT, "error")
    z = o + size * np.exp(1j * (turn + np.arange(4)))
    slopes = nudge.evaluate(z)[1]
    if slopes.ndim == 2:
        slopes = slopes[:, :, None] * np.eye(4)
    for k in range(4):
        for step in (STEP, 1j * STEP):
            difference = nudge.evaluate(shifted(z, k, step))[0] - nudge.evaluate(shifted(z, k, -step))[0]
            np.testing.assert_allclose(difference / (2 * step), slopes[:, :, k], rtol=0, atol=1e-8)


def test_values_by_hand() -> None:
    """ln(1 + e) - 1 nats and ln(1 + e) nats, times s^2; hinge losses 0.1 (0.05 - 0.005) and 0 V^2."""
    o = np.array([[0.2, 0.0], [0.2, 0.0]])
    nats = np.log1p(np.exp(1.0))
    expected = 0.04 * np.array([nats - 1.0, nats])
    np.testing.assert_allclose(CrossEntropy(0.2).value(o, np.eye(2)), expected, rtol=1e-14)
    p = CrossEntropy(0.2).probabilities(o)
    np.testing.assert_allclose(p[0], [np.e / (1 + np.e), 1 / (1 + np.e)], rtol=1e-14)
    o = np.array([[0.05, 0.0], [0.2, 0.0]])
    np.testing.assert_allclose(Hinge(0.1, 0.01).value(o, np.eye(2)[[0, 0]]), [0.0045, 0.0], rtol=1e-12)
    np.testing.assert_allclose(Hinge(0.1, 0.0).gradient(o, np.eye(2)[[0, 0]]), [[-0.1, 0.1], [0.0, 0.0]])


def test_extreme_outputs_give_finite_numbers() -> None:
    o = np.array([[1e3, -1e3, 0.0]])
    cost = CrossEntropy(1e-3)
    for target in np.eye(3):
        assert np.isfinite(cost.value(o, target[None])).all()
        assert np.isfinite(cost.gradient(o, target[None])).all()


# --- learning rules ----------------------------------------------------------------------------------------


def problem(seed: int = 4, amplifier: Any = (4.0, 0.25)) -> tuple[Circuit, np.ndarray, np.ndarray]:
    circuit = smooth_network(amplifier, "current", True)
    inputs, targets = batch_for(circuit, seed, 3)
    return circuit, inputs, np.eye(targets.shape[1])[[0, 1, 1]]


LEARNED = [
    CrossEntropy(0.02),
    CrossEntropy(1.0),
    Hinge(1.0, 0.5),
    SoftmaxReadout(3.0 * WEIGHTS[:2, :2], [0.1, 0.0]),
]
every_learned_cost = pytest.mark.parametrize("cost", LEARNED, ids=label)


@every_learned_cost
def test_the_adjoint_is_the_finite_difference(cost: Any) -> None:
    circuit, inputs, targets = problem()
    exact = Adjoint().gradient(circuit, inputs, targets, cost)
    coarse, fine = (FiniteDifference(h).gradient(circuit, inputs, targets, cost) for h in (2e-4, 1e-4))
    for block, reference in exact.items():  # Richardson's extrapolation leaves h^4
        found = (4.0 * fine[block] - coarse[block]) / 3.0
        np.testing.assert_allclose(found, reference, rtol=0, atol=1e-6 * np.abs(reference).max())


@every_learned_cost
@pytest.mark.parametrize(("variant", "order"), [("positive", 1.0), ("negative", 1.0), ("centered", 2.0)])
def test_bias_is_of_first_order_one_sided_and_of_second_centered(cost: Any, variant: Any, order: float) -> None:
    circuit, inputs, targets = problem()
    exact = Adjoint().gradient(circuit, inputs, targets, cost)
    betas = suggest_beta(circuit, inputs, targets, cost).beta * np.array([0.5, 1.0, 2.0])
    errors = [
        relative(EquilibriumPropagation(float(b), variant).gradient(circuit, inputs, targets, cost), exact)
        for b in betas
    ]
    assert np.polyfit(np.log(betas), np.log(errors), 1)[0] == pytest.approx(order, abs=0.1 * order)


@pytest.mark.parametrize("cost", [CrossEntropy(0.02), CrossEntropy(1.0)], ids=str)
@pytest.mark.parametrize("points", [2, 3, 4])
def test_holomorphic_error_through_cross_entropy_falls_as_the_radius_to_the_points(cost: Any, points: int) -> None:
    circuit, inputs, targets = problem()
    exact = Adjoint().gradient(circuit, inputs, targets, cost)
    radii = suggest_beta(circuit, inputs, targets, cost).beta * np.array([2.0, 4.0, 8.0])
    errors = [
        relative(HolomorphicEP(float(r), points).gradient(circuit, inputs, targets, cost), exact) for r in radii
    ]
    assert np.polyfit(np.log(radii), np.log(errors), 1)[0] == pytest.approx(points, abs=0.1 * points)


@every_learned_cost
def test_frozen_nudges_and_circuits_without_an_energy(cost: Any) -> None:
    circuit, inputs, targets = problem()
    exact = Adjoint().gradient(circuit, inputs, targets, cost)
    beta = suggest_beta(circuit, inputs, targets, cost).beta / 4
    frozen = EquilibriumPropagation(beta, nudge="frozen").gradient(circuit, inputs, targets, cost)
    assert frozen.info["phases"][1].engine == "layered"
    assert relative(frozen, exact) < 1e-2
    circuit, inputs, _ = NON_RECIPROCAL["vccs"]
    targets = np.eye(2)[[0, 1, 0]]
    beta = small_beta(circuit, inputs, targets)
    exact = Adjoint().gradient(circuit, inputs, targets, cost)
    assert relative(NonReciprocalEP(beta).gradient(circuit, inputs, targets, cost), exact) < 1e-3


def test_an_error_dependent_phase_of_cross_entropy_by_hand() -> None:
    """Two bit lines of 1 mS each: o_k = (g x − i_k)/G with i = β s (p(o) − y), checked by substitution."""
    circuit = crossbar(np.array([[4e-4, 3e-4]]), np.array([6e-4, 7e-4]))
    cost, beta, y = CrossEntropy(0.1), 5e-4, np.array([[0.0, 1.0]])
    nudged = operating_point(circuit, [[1.0]], cost.nudge(beta, np.zeros((1, 2)), y, "error"))
    assert nudged.engine == "newton"  # block steps do not know it
    o = nudged.outputs
    e = np.exp(o / 0.1)
    current = beta * 0.1 * (e / e.sum() - y)
    np.testing.assert_allclose(o, (np.array([[4e-4, 3e-4]]) - current) / 1e-3, rtol=0, atol=1e-12)


def test_a_scaled_nudge_of_a_cost_has_a_scaled_constant_part() -> None:
    nudge = CostNudge(CrossEntropy(), 1e-3, ONE_HOT)
    zero = np.zeros((2, 4))
    np.testing.assert_allclose(
        ScaledNudge(nudge, 0.25).evaluate(zero)[0], 0.25 * nudge.evaluate(zero)[0], rtol=1e-14
    )


# --- refusals ----------------------------------------------------------------------------------------------


def test_targets_must_suit_the_cost() -> None:
    circuit, inputs, _ = problem()
    volts = np.full((3, 2), 0.3)
    with pytest.raises(InputError, match=r"sample 0.*class probabilities"):
        Adjoint().gradient(circuit, inputs, volts, CrossEntropy())
    with pytest.raises(InputError, match=r"sample 0.*one class with the largest target"):
        Adjoint().gradient(circuit, inputs, volts, Hinge())


def test_the_hinge_is_not_analytic() -> None:
    circuit, inputs, targets = problem()
    with pytest.raises(RuleError, match="hinge is none; use EquilibriumPropagation"):
        HolomorphicEP().gradient(circuit, inputs, targets, Hinge())


def test_a_sharp_hinge_must_not_repel_with_the_error() -> None:
    circuit, inputs, targets = problem()
    sharp = Hinge(0.1, 0.0)
    with pytest.raises(InputError, match="a frozen nudge"):
        EquilibriumPropagation(1e-6).gradient(circuit, inputs, targets, sharp)
    frozen = EquilibriumPropagation(1e-6, nudge="frozen").gradient(circuit, inputs, targets, sharp)
    assert relative(frozen, Adjoint().gradient(circuit, inputs, targets, sharp)) < 1e-2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropy(0.0), "scale"),
        (lambda: Hinge(-1.0), "margin"),
        (lambda: Hinge(0.1, 0.2), "width"),
        (lambda: CrossEntropy().nudge(1e-6, np.zeros((2, 4)), ONE_HOT, "cold"), "nudge form"),  # type: ignore[arg-type]
    ],
)
def test_settings_are_checked(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
