"""A trainable softmax readout beside the circuit: its derivatives, its training, its place in run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from test_gradients import batch_for, relative, smooth_network
from test_training_rules import digits

from analogep.cli.netlists import verify_circuit
from analogep.errors import ConfigError, InputError, RuleError
from analogep.learning import (
    Adjoint,
    CoupledLearning,
    CrossEntropy,
    EquilibriumPropagation,
    SoftmaxReadout,
    suggest_beta,
)
from analogep.training import Progress, TrainConfig, build_problem, train
from analogep.training.files.folder import read_run

STEP = 1e-6
READOUT = SoftmaxReadout(np.random.default_rng(7).normal(0.0, 1.0, (2, 3)), [0.2, 0.0, -0.1], 0.4)
CLASSES = np.eye(3)[[0, 2, 1]]


def config(**changes: Any) -> TrainConfig:
    """Digits through 24 outputs and a readout."""
    base = digits(cost="cross_entropy", softmax_scale=0.2, readout=24)
    rates = {**base.training.rates, "readout.weights": 0.3, "readout.bias": 0.03}
    return base.changed(engine="auto", training={"rates": rates, "epochs": 4}).changed(**changes)


# --- derivatives -------------------------------------------------------------------------------------------


@given(o=arrays(float, (3, 2), elements=st.floats(-2.0, 2.0, allow_subnormal=False)))
def test_gradients_of_the_readout_are_derivatives(o: np.ndarray) -> None:
    """Central differences of a mean over three samples; rounding 1e-10, truncation below it."""
    for block, found in READOUT.parameter_gradient(o, CLASSES).items():
        for index in np.ndindex(found.shape):
            values = []
            for sign in (1.0, -1.0):
                moved = {name: np.array(value) for name, value in READOUT.parameters.items()}
                moved[block][index] += sign * STEP
                values.append(READOUT.with_parameters(moved).value(o, CLASSES).mean())
            assert found[index] == pytest.approx((values[0] - values[1]) / (2 * STEP), rel=0, abs=2e-9)


def test_values_by_hand() -> None:
    """One output of 0.5 V, weights 2 and 0, bias 0 and 1 V: scores 1 V and 1 V, both classes as likely."""
    readout = SoftmaxReadout([[2.0, 0.0]], [0.0, 1.0], 0.1)
    o, first = np.array([[0.5]]), np.array([[1.0, 0.0]])
    np.testing.assert_allclose(readout.scores(o), [[1.0, 1.0]])
    np.testing.assert_allclose(readout.value(o, first), 0.01 * np.log(2.0))
    np.testing.assert_allclose(readout.gradient(o, first), [[0.1 * -0.5 * 2.0]])
    np.testing.assert_allclose(readout.hessian(o, first), [[[2.0 * 0.25 * 2.0]]])
    assert readout.curvature(1) == pytest.approx(2.0)  # of which ½ is reached with one output: 2² p (1 − p) = 1


def test_ones_that_read_each_output_are_the_cross_entropy_on_them() -> None:
    plain, readout = CrossEntropy(0.3), SoftmaxReadout(np.eye(3), np.zeros(3), 0.3)
    o = np.random.default_rng(0).normal(size=(3, 3))
    for name in ("value", "gradient", "hessian"):
        np.testing.assert_allclose(getattr(readout, name)(o, CLASSES), getattr(plain, name)(o, CLASSES))
    assert readout.curvature(3) == plain.curvature(3)


def test_the_circuit_learns_through_more_classes_than_outputs() -> None:
    circuit = smooth_network((4.0, 0.25), "current", True)
    inputs, _ = batch_for(circuit, 4, 3)
    exact = Adjoint().gradient(circuit, inputs, CLASSES, READOUT)
    beta = suggest_beta(circuit, inputs, CLASSES, READOUT).beta
    assert relative(EquilibriumPropagation(beta).gradient(circuit, inputs, CLASSES, READOUT), exact) < 1e-3


# --- training ----------------------------------------------------------------------------------------------


def test_training_learns_both_and_keeps_both(tmp_path: Path) -> None:
    run = train(config(), out=tmp_path)
    losses = [row.train_loss for row in run.metrics]
    assert losses[-1] < 0.8 * losses[0]
    problem = run.problem
    assert all(np.abs(run.parameters[name] - value).max() > 0 for name, value in problem.parameters.items())
    saved = read_run(tmp_path / "digits-001").problem
    for name, value in run.parameters.items():
        np.testing.assert_array_equal(saved.parameters[name], value)
    outputs = saved.solver(saved.circuit, saved.test.inputs()).outputs
    assert outputs.shape == (20, 24)
    wrong = np.argmax(saved.cost.scores(outputs), axis=1) != saved.test.labels
    assert run.metrics[-1].test_error == pytest.approx(wrong.mean())
    assert run.metrics[-1].test_loss == pytest.approx(
        saved.cost.value(outputs, saved.test.targets).mean(), rel=1e-6
    )


def test_the_readout_steps_along_its_gradient_in_the_free_phase() -> None:
    one = config(data={"train_size": 10}, training={"epochs": 1, "batch": 10, "shuffle": False})
    run = train(one)
    problem = run.problem
    outputs = problem.solver(problem.circuit, problem.train.inputs(slice(10))).outputs
    slopes = problem.cost.parameter_gradient(outputs, problem.train.targets[:10])  # type: ignore[attr-defined]
    for name, slope in slopes.items():
        wanted = problem.parameters[name] - one.training.rates[name] * slope
        np.testing.assert_allclose(run.parameters[name], wanted, rtol=0, atol=1e-9)


class Stop(Progress):
    """Stops a run in its second epoch."""

    def batch(self, epoch: int, samples: int, loss: float, error: float) -> None:
        if epoch == 2 and samples >= 20:
            raise KeyboardInterrupt


def test_a_resumed_run_has_the_same_bits(tmp_path: Path) -> None:
    chosen = config(training={"momentum": 0.5, "checkpoint_updates": 1})
    whole = train(chosen)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, Stop(), out=tmp_path)
    resumed = train(chosen, resume=tmp_path / "digits-001")
    for name, value in whole.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], value)


@pytest.mark.ngspice
def test_phases_nudged_through_the_readout_agree_in_ngspice(ngspice: str) -> None:
    problem = build_problem(config())
    report = verify_circuit(problem, problem.circuit, problem.cost, 1e-6, 3, 1e-9)
    assert [phase.phase for phase in report.phases] == ["free", "nudged +β", "nudged -β"]
    assert report.passed


# --- refusals ----------------------------------------------------------------------------------------------


def test_misfits_are_named() -> None:
    with pytest.raises(InputError, match=r"shape \(2, 3\) and biases \(2,\)"):
        SoftmaxReadout(np.ones((2, 3)), np.ones(2))
    with pytest.raises(InputError, match="finite"):
        SoftmaxReadout(np.full((1, 2), np.nan), np.zeros(2))
    with pytest.raises(InputError, match="scale"):
        SoftmaxReadout(np.ones((1, 2)), np.zeros(2), 0.0)
    circuit = smooth_network(None, "none", False)
    inputs, _ = batch_for(circuit, 4, 3)
    with pytest.raises(InputError, match="measures 5 outputs, and the circuit has"):
        Adjoint().gradient(circuit, inputs, CLASSES, SoftmaxReadout(np.ones((5, 3)), np.zeros(3)))
    with pytest.raises(RuleError, match="SoftmaxReadout has none; use EquilibriumPropagation"):
        CoupledLearning().gradient(circuit, inputs, CLASSES, READOUT)


def test_configurations_must_fit() -> None:
    with pytest.raises(ConfigError, match=r'readout belongs to cost = "cross_entropy"'):
        digits(readout=8)
    with pytest.raises(ConfigError, match=r"readout\.weights: has no learning rate"):
        build_problem(digits(cost="cross_entropy", readout=8))
    with pytest.raises(ConfigError, match="it has no cost but the squared error"):
        train(config(engine="fused"))
