"""Training with other costs than the squared error, and with a random sign of β."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_training import table

from analogep.errors import ConfigError, InputError
from analogep.learning import Adjoint, CrossEntropy, EquilibriumPropagation, Hinge, SquaredError
from analogep.learning.steps.signs import hashed_signs
from analogep.networks import crossbar
from analogep.training import TrainConfig, build_problem, load_config, train
from analogep.training.configuration.config import parse_config
from analogep.training.runners.general import GeneralRunner


def digits(**learning: Any) -> TrainConfig:
    """Sixty digits, three epochs."""
    return load_config("digits").changed(
        learning=learning, data={"train_size": 60, "test_size": 20}, training={"epochs": 3}
    )


# --- costs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learning", "cost"),
    [
        ({}, SquaredError()),
        ({"cost": "cross_entropy", "softmax_scale": 0.5}, CrossEntropy(0.5)),
        ({"cost": "hinge", "margin": 0.3, "margin_width": 0.2, "beta": "auto"}, Hinge(0.3, 0.2)),
    ],
    ids=["squared_error", "cross_entropy", "hinge"],
)
def test_training_descends_the_cost_of_the_configuration(learning: dict[str, Any], cost: Any) -> None:
    config = digits(**learning)
    problem = build_problem(config)
    assert type(problem.cost) is type(cost)
    assert getattr(problem.cost, "__dict__", {}) == getattr(cost, "__dict__", {})
    run = train(config)
    losses = [row.train_loss for row in run.metrics]
    assert losses[-1] < losses[0]
    assert run.engine == ("layered" if learning else "fused float64")  # of the free phases
    outputs = problem.solver(run.circuit, problem.test.inputs()).outputs
    assert run.metrics[-1].test_loss == pytest.approx(cost.value(outputs, problem.test.targets).mean(), rel=1e-6)


def test_an_update_follows_the_gradient_of_that_cost() -> None:
    config = digits(cost="cross_entropy", softmax_scale=0.3)
    problem = build_problem(config)
    rule, _ = problem.rule()
    batch = np.arange(8)
    runner = GeneralRunner(problem, rule)
    runner.update(batch, 1.0)
    exact = Adjoint().gradient(
        problem.circuit, problem.train.inputs(batch), problem.train.targets[batch], CrossEntropy(0.3)
    )
    inside = problem.optimizer.step(problem.circuit.parameters, exact, {}, 1.0)[0]
    for block, value in inside.items():
        start = problem.circuit.parameters[block]
        step, found = value - start, runner.circuit.parameters[block] - start
        assert np.linalg.norm(found - step) <= 0.02 * np.linalg.norm(step)


@pytest.mark.parametrize(
    ("learning", "message"),
    [
        ({"softmax_scale": 0.5}, 'softmax_scale belongs to cost = "cross_entropy"'),
        ({"margin": 0.5}, 'margin belongs to cost = "hinge"'),
        ({"cost": "hinge", "margin": 0.1, "margin_width": 0.2}, "margin_width = 0.2 V exceeds margin"),
        ({"cost": "cross_entropy", "target_high": 0.5}, "target_high = 1"),
        ({"cost": "absolute"}, r"learning\.cost"),
    ],
)
def test_entries_must_fit_the_cost(learning: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        digits(**learning)


def test_a_regression_has_no_classes() -> None:
    with pytest.raises(ConfigError, match=r"learning\.cost: cross_entropy is a cost for classes"):
        build_problem(table(**{"learning/cost": "cross_entropy"}))


def test_a_beta_too_large_for_the_curvature_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"learning\.beta: 1 S is not below"):
        train(digits(cost="cross_entropy", beta=1.0))


# --- a random sign of beta -----------------------------------------------------------------------------


def test_a_random_sign_is_one_of_both_by_the_generator() -> None:
    circuit = crossbar(np.array([[1e-4], [3e-4]]), 2e-4)
    arguments = (circuit, [[1.0, 0.5]], [[0.2]])
    rule = EquilibriumPropagation(1e-5, "random", rng=np.random.default_rng(5))
    found = [rule.gradient(*arguments) for _ in range(40)]
    drawn = [g.info["betas"] for g in found]
    assert set(drawn) == {(0.0, 1e-5), (-1e-5, 0.0)}
    assert 10 <= drawn.count((0.0, 1e-5)) <= 30  # of 40 fair coins, within 3.2 standard deviations
    for variant, betas in (("positive", (0.0, 1e-5)), ("negative", (-1e-5, 0.0))):
        alone = EquilibriumPropagation(1e-5, variant).gradient(*arguments)  # type: ignore[arg-type]
        same = found[drawn.index(betas)]
        np.testing.assert_array_equal(same["W1.conductance"], alone["W1.conductance"])
    again = EquilibriumPropagation(1e-5, "random", rng=np.random.default_rng(5))
    assert [again.gradient(*arguments).info["betas"] for _ in range(40)] == drawn


def test_the_mean_over_both_signs_is_the_centered_estimate() -> None:
    """(E(β) − E(0))/β and (E(0) − E(−β))/β: their mean is (E(β) − E(−β))/2β, whose bias is of second order."""
    circuit = crossbar(np.array([[1e-4], [3e-4]]), 2e-4)
    one = [
        EquilibriumPropagation(1e-4, v).gradient(circuit, [[1.0, 0.5]], [[0.2]])["W1.conductance"]  # type: ignore[arg-type]
        for v in ("positive", "negative", "centered")
    ]
    np.testing.assert_allclose(0.5 * (one[0] + one[1]), one[2], rtol=1e-8)


@pytest.mark.parametrize(
    ("variant", "rng"), [("random", None), ("random", 3), ("centered", np.random.default_rng())]
)
def test_the_random_variant_and_no_other_has_a_generator(variant: Any, rng: Any) -> None:
    with pytest.raises(InputError, match=r"numpy\.random\.Generator"):
        EquilibriumPropagation(1e-6, variant, rng=rng)


def test_signs_of_training_come_from_the_samples_and_survive_a_restart() -> None:
    problem = build_problem(table(**{"learning/variant": "random", "training/momentum": 0.5}))
    rule, _ = problem.rule()
    batches = [np.array([k % 4, (k + 1) % 4]) for k in range(8)]
    whole = GeneralRunner(problem, rule)
    for batch in batches:
        whole.update(batch, 1.0)
    first = GeneralRunner(problem, rule)
    for batch in batches[:3]:
        first.update(batch, 1.0)
    second = GeneralRunner(problem, rule)
    second.restore(first.circuit, first.cost, first.state())
    for batch in batches[3:]:
        second.update(batch, 1.0)
    assert set(hashed_signs(np.arange(40), 2)) == {-1.0, 1.0}
    for block, value in whole.circuit.parameters.items():
        np.testing.assert_array_equal(second.circuit.parameters[block], value)


def test_a_run_with_random_signs_can_be_repeated() -> None:
    config = table(**{"learning/variant": "random"})
    assert parse_config(config.model_dump(mode="json", exclude_none=True), "copy").learning.variant == "random"
    runs = [train(config) for _ in range(2)]
    for block, value in runs[0].circuit.parameters.items():
        np.testing.assert_array_equal(runs[1].circuit.parameters[block], value)
    centered = train(table())
    assert any((centered.circuit.parameters[b] != v).any() for b, v in runs[0].circuit.parameters.items())
