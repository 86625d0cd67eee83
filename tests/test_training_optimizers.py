"""Optimizers against recurrences by hand, schedules against their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_training import table
from test_training_config import TABLE, faulty

from analogep.errors import ConfigError
from analogep.learning import SGD, Adam, Constant, Cosine, Exponential, Optimizer, Schedule, WarmUp
from analogep.training import train
from analogep.training.configuration.config import parse_config

RATES = {"a": 0.5, "b": 0.01}
START = {"a": np.array([1.0, -2.0]), "b": np.array([[3.0]])}
SLOPES = [
    {"a": np.array([0.25, -4.0]), "b": np.array([[1e-3]])},
    {"a": np.array([-1.0, 2.0]), "b": np.array([[5.0]])},
    {"a": np.array([0.0, 1e6]), "b": np.array([[-2.0]])},
]
MEMBERS: list[Optimizer] = [SGD(RATES), SGD(RATES, momentum=0.9), Adam(RATES)]


def walk(optimizer: Optimizer, factors: tuple[float, ...] = (1.0, 1.0, 1.0)) -> list[dict[str, np.ndarray]]:
    values, state, seen = START, None, []
    for slope, factor in zip(SLOPES, factors, strict=True):
        values, state = optimizer.step(values, slope, state, factor)
        seen.append(values)
    return seen


def test_momentum_follows_the_recurrence() -> None:
    """Values written out by hand for m = 0.5 m + g, θ = θ − 0.5 m, with g = 0.25, −1, 0 from θ = 1."""
    seen = walk(SGD(RATES, momentum=0.5))
    # m = 0.25, −0.875, −0.4375
    assert [float(v["a"][0]) for v in seen] == [0.875, 1.3125, 1.53125]


def test_adam_follows_the_recurrence() -> None:
    """Algorithm 1 of Kingma & Ba 2015, written out for one parameter with the sums expanded."""
    b1, b2, eps = 0.8, 0.95, 1e-3
    seen = walk(Adam(RATES, {}, (b1, b2), eps))
    g = [float(s["a"][1]) for s in SLOPES]
    value = -2.0
    for k in range(3):
        mean = sum((1 - b1) * b1 ** (k - j) * g[j] for j in range(k + 1)) / (1 - b1 ** (k + 1))
        square = sum((1 - b2) * b2 ** (k - j) * g[j] ** 2 for j in range(k + 1)) / (1 - b2 ** (k + 1))
        value -= 0.5 * mean / (math.sqrt(square) + eps)
        assert float(seen[k]["a"][1]) == pytest.approx(value, rel=1e-14)


@given(st.floats(1e-3, 1e9), st.sampled_from([-1.0, 1.0]))
def test_adams_first_step_is_the_rate_against_the_sign(size: float, sign: float) -> None:
    new, _ = Adam({"a": 0.5}).step({"a": np.zeros(1)}, {"a": np.array([sign * size])})
    assert float(new["a"][0]) == pytest.approx(-0.5 * sign, rel=2e-5)


@pytest.mark.parametrize("optimizer", MEMBERS, ids=repr)
def test_the_factor_scales_the_first_step_and_zero_stands_still(optimizer: Optimizer) -> None:
    full, half, none = (walk(optimizer, (f, 1.0, 1.0))[0] for f in (1.0, 0.5, 0.0))
    for block, value in START.items():
        np.testing.assert_allclose(half[block] - value, 0.5 * (full[block] - value), rtol=1e-12, atol=1e-15)
        np.testing.assert_array_equal(none[block], value)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_bounds_hold_and_arguments_stay(kind: type[Optimizer]) -> None:
    optimizer = kind(RATES, {"a": (-1.5, 1.0)})
    before = [{k: v.copy() for k, v in s.items()} for s in (START, *SLOPES)]
    seen = walk(optimizer)
    assert all((v["a"] >= -1.5).all() and (v["a"] <= 1.0).all() for v in seen)
    assert any((v["a"] == -1.5).any() or (v["a"] == 1.0).any() for v in seen)
    for kept, now in zip(before, (START, *SLOPES), strict=True):
        for block, value in kept.items():
            np.testing.assert_array_equal(now[block], value)


@pytest.mark.parametrize("optimizer", MEMBERS, ids=repr)
def test_the_state_is_all_that_an_optimizer_remembers(optimizer: Optimizer) -> None:
    """A step from a copied state gives the same bits, whatever was done in between."""
    values, state = optimizer.step(START, SLOPES[0])
    copied = {name: np.array(v) for name, v in state.items()}
    first, _ = optimizer.step(values, SLOPES[1], state)
    walk(optimizer)
    second, _ = optimizer.step(values, SLOPES[1], copied)
    for block in START:
        np.testing.assert_array_equal(first[block], second[block])


@pytest.mark.parametrize(
    ("optimizer", "what"),
    [
        (SGD({}, momentum=1.0), "momentum"),
        (Adam({}, {}, (1.0, 0.9)), "decays"),
        (Adam({}, {}, (0.9, 0.9), 0.0), "epsilon"),
        (SGD({"W9": 1.0}), "W9"),
    ],
)
def test_impossible_settings_are_named(optimizer: Optimizer, what: str) -> None:
    from analogep.networks import crossbar

    circuit = crossbar(np.full((2, 2), 1e-4), 1e-4, trainable=False)
    with pytest.raises(ConfigError, match=what):
        optimizer.check(circuit.parameters)


# --- schedules -----------------------------------------------------------------------------------------


def test_schedules_are_their_formulas() -> None:
    assert [Constant().factor(k) for k in (1, 7)] == [1.0, 1.0]
    assert [Exponential(0.5).factor(k) for k in (1, 2, 4)] == [1.0, 0.5, 0.125]
    cosine = Cosine(5, 0.2)  # cos 0, π/4, π/2, 3π/4, π
    root = math.sqrt(0.5)
    wanted = [1.0, 0.2 + 0.4 * (1 + root), 0.6, 0.2 + 0.4 * (1 - root), 0.2]
    assert [cosine.factor(k) for k in range(1, 6)] == pytest.approx(wanted, rel=1e-14)
    assert Cosine(1, 0.2).factor(1) == 1.0
    warm = WarmUp(3, Exponential(0.5))
    assert [warm.factor(k) for k in range(1, 7)] == [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]


@given(st.integers(1, 200), st.floats(0, 1), st.integers(0, 20), st.data())
def test_schedules_stay_between_zero_and_one(epochs: int, x: float, warmup: int, data: st.DataObject) -> None:
    members: list[Schedule] = [Constant(), Exponential(x or 1.0), Cosine(epochs, x)]
    schedule = data.draw(st.sampled_from([*members, *(WarmUp(warmup, m) for m in members)]))
    factors = [schedule.factor(k) for k in range(1, epochs + 1)]
    assert all(0.0 <= f <= 1.0 for f in factors)
    assert (np.diff(factors[warmup:]) <= 0).all()


def test_the_schedule_reaches_the_updates_and_the_metrics() -> None:
    """With a final rate of zero the last epoch moves nothing: its circuit is that of the epoch before."""
    cosine = {"training/schedule": "cosine", "training/epochs": 4, "training/warmup": 1}
    found = train(table(**cosine))
    assert found.table()["rate_factor"] == pytest.approx([0.5, 1.0, 0.5, 0.0], abs=1e-15)
    rows = found.metrics
    assert rows[3].test_loss == rows[2].test_loss
    assert rows[2].test_loss != rows[1].test_loss


@pytest.mark.parametrize("changes", [{"training/optimizer": "adam"}, {"training/momentum": 0.9}])
def test_every_optimizer_trains(changes: dict[str, object]) -> None:
    rate = 1e-6 if "training/optimizer" in changes else 3e-10
    rates = dict.fromkeys(table().training.rates, rate)
    found = train(table(**{"training/epochs": 40, "training/batch": 4, "training/rates": rates, **changes}))
    losses = found.table()["train_loss"]
    assert losses[-1] < 0.5 * losses[0]


# --- configurations ------------------------------------------------------------------------------------

FAULTS = {
    "optimizer": ({"training/optimizer": "lion"}, "training.optimizer: .*'sgd' or 'adam'"),
    "momentum of one": ({"training/momentum": 1.0}, "training.momentum: "),
    "momentum of Adam": (
        {"training/optimizer": "adam", "training/momentum": 0.9},
        'momentum belongs to optimizer = "sgd"',
    ),
    "decays of SGD": ({"training/adam_decays": [0.8, 0.99]}, 'adam_decays belongs to optimizer = "adam"'),
    "decay of one": ({"training/adam_decays": [0.8, 1.0]}, "training.adam_decays.1: "),
    "epsilon of SGD": ({"training/adam_epsilon": 1e-3}, 'adam_epsilon belongs to optimizer = "adam"'),
    "epsilon zero": ({"training/adam_epsilon": 0.0}, "training.adam_epsilon: "),
    "schedule": ({"training/schedule": "step"}, "training.schedule: .*'constant', 'exponential' or 'cosine'"),
    "decay of a cosine": ({"training/schedule": "cosine", "training/decay": 0.9}, "decay belongs to schedule"),
    "final rate of a decay": ({"training/final_rate": 0.1}, 'final_rate belongs to schedule = "cosine"'),
    "final rate above one": ({"training/schedule": "cosine", "training/final_rate": 2.0}, "training.final_rate: "),
    "nothing but warm-up": (
        {"training/epochs": 3, "training/warmup": 3},
        "warmup = 3 must be less than epochs = 3",
    ),
    "patience zero": ({"training/patience": 0}, "training.patience: "),
    "watch": ({"training/watch": "test_error"}, "training.watch: .*'loss' or 'error'"),
    "keep": ({"training/keep": "first"}, "training.keep: .*'last' or 'best'"),
    "evaluation never": ({"training/evaluate_every": 0}, "training.evaluate_every: "),
    "checkpoints without end": ({"training/checkpoint_minutes": 0.0}, "training.checkpoint_minutes: "),
    "checkpoint updates": ({"training/checkpoint_updates": 0}, "training.checkpoint_updates: "),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faults_in_the_training_section(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(faulty(changes, TABLE), "table")
