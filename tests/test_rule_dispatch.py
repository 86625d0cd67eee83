"""What a configuration names is what trains, in every engine; compiled epochs decline what they do not know."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_training import table

from analogep.devices import Diode
from analogep.errors import ConfigError, InputError
from analogep.learning import (
    SGD,
    Adam,
    Adjoint,
    CrossEntropy,
    EquilibriumPropagation,
    Hinge,
    NativeSolver,
    NonReciprocalEP,
    SquaredError,
    VectorFieldEP,
)
from analogep.learning.fused import why_not
from analogep.learning.rules.registry import PHASE_RULES
from analogep.training import build_problem
from analogep.training.problem import Problem
from analogep.training.runners.choice import method_of, runner_for
from analogep.training.runners.fused import FusedRunner, unfit
from analogep.training.runners.general import GeneralRunner
from analogep.training.trainer import train_problem

BETA = 1e-6
ORDER = np.array([3, 0, 2, 1])


def problem(**changes: Any) -> Problem:
    return build_problem(table(**{"engine": "auto", "learning/beta": BETA, **changes}))


def hopfield(rule: str, variant: str, nudge: str) -> Problem:
    rates = dict.fromkeys(("W1.forward", "W2.forward", "W2.backward", "b1.amplitude", "b2.amplitude"), 1e-9)
    network = {"kind": "hopfield", "hidden_layers": [4], "coupling": "both", "activation": "identity"}
    return problem(
        network=network,
        **{"training/rates": rates, "learning/rule": rule, "learning/variant": variant, "learning/nudge": nudge},
    )


def moves(of: Problem, runner: Any) -> dict[str, np.ndarray]:
    for _ in runner.run_epoch(ORDER, 1.0):
        pass
    return {name: value - of.circuit.parameters[name] for name, value in runner.circuit.parameters.items()}


def assert_same_or_declined(of: Problem) -> bool:
    """The compiled epochs do what the rule does, or say why they do not. Return whether they do."""
    rule = of.rule_at(BETA)
    expected = moves(of, GeneralRunner(of, rule))
    runner = runner_for(of, rule)
    assert isinstance(runner, FusedRunner) == (unfit(of, rule) is None)
    found = moves(of, runner)
    for block, value in expected.items():
        size = np.abs(value).max()
        assert size > 0.0
        np.testing.assert_allclose(found[block], value, rtol=0, atol=1e-5 * size, err_msg=block)
    facts = method_of(of, runner)
    assert facts["rule"].startswith(type(rule).__name__)
    assert bool(facts["declined"]) == isinstance(runner, GeneralRunner)
    return isinstance(runner, FusedRunner)


OPTIMIZERS = {
    "sgd": lambda sgd: sgd,
    "momentum": lambda sgd: replace(sgd, momentum=0.5),
    "adam": lambda sgd: Adam(dict.fromkeys(sgd.rates, 1e-07), sgd.bounds, epsilon=1e-3),
}
COSTS = {"squared_error": SquaredError(), "cross_entropy": CrossEntropy(0.5), "hinge": Hinge(0.3, 0.2)}
VARIANTS = {
    "equilibrium_propagation": ("positive", "negative", "centered", "random"),
    "non_reciprocal": ("positive", "negative", "centered"),
    "vector_field": ("positive", "negative", "centered"),
}


def test_every_rule_has_its_variants_here() -> None:
    assert set(VARIANTS) == set(PHASE_RULES)


@pytest.mark.parametrize("nudge", ["error", "frozen"])
@pytest.mark.parametrize(("rule", "variant"), [(r, v) for r, vs in VARIANTS.items() for v in vs])
def test_an_update_is_the_same_in_every_engine(rule: str, variant: str, nudge: str) -> None:
    of = problem(**{"learning/rule": rule, "learning/variant": variant, "learning/nudge": nudge})
    assert assert_same_or_declined(of)


@pytest.mark.parametrize("nudge", ["error", "frozen"])
@pytest.mark.parametrize(
    ("rule", "variant"), list(product(("non_reciprocal", "vector_field"), VARIANTS["vector_field"]))
)
def test_an_update_without_an_energy_is_the_same_in_every_engine(rule: str, variant: str, nudge: str) -> None:
    assert assert_same_or_declined(hopfield(rule, variant, nudge))


@pytest.mark.parametrize(("optimizer", "cost"), list(product(OPTIMIZERS, COSTS)))
def test_optimizers_and_costs_are_the_same_or_declined(optimizer: str, cost: str) -> None:
    of = problem(**{"data/targets": [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]})
    of = replace(of, optimizer=OPTIMIZERS[optimizer](of.optimizer), cost=COSTS[cost])
    assert assert_same_or_declined(of) == ((optimizer, cost) == ("sgd", "squared_error"))


# --- what the compiled epochs do not know exactly -----------------------------------------------------------


@dataclass(frozen=True)
class Uphill(SGD):
    """Gradient ascent, by a step of its own."""

    def directions(self, gradient: Any, state: Any) -> Any:
        return {k: -g for k, g in gradient.items()}, {}


class Doubled(SquaredError):
    """Twice the squared error."""

    def value(self, outputs: Any, targets: Any) -> Any:
        return 2.0 * super().value(outputs, targets)

    def gradient(self, outputs: Any, targets: Any) -> Any:
        return 2.0 * super().gradient(outputs, targets)

    def nudge(self, beta: float, outputs: Any, targets: Any, form: Any) -> Any:
        return super().nudge(2.0 * beta, outputs, targets, form)


@dataclass(frozen=True)
class Halved(EquilibriumPropagation):
    """Half the estimate."""

    def gradient(self, *args: Any, **kwargs: Any) -> Any:
        found = super().gradient(*args, **kwargs)
        return replace(found, blocks={k: 0.5 * g for k, g in found.items()})


class Counting(NativeSolver):
    """A solver of the user's."""


@dataclass(frozen=True)
class Leaky(Diode):
    """A diode with another law."""

    @staticmethod
    def current(v: Any, p: Any) -> Any:
        i, g = Diode.current(v, p)
        return i + 1e-5 * v, g + 1e-5


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda p: replace(p, optimizer=Uphill(p.optimizer.rates, p.optimizer.bounds)), "Uphill"),
        (lambda p: replace(p, cost=Doubled()), "Doubled"),
        (lambda p: replace(p, solver=Counting()), "Counting"),
    ],
    ids=["optimizer", "cost", "solver"],
)
def test_subclasses_are_handed_over_with_the_reason(change: Any, named: str) -> None:
    of = change(problem(**{"training/epochs": 1}))
    assert not assert_same_or_declined(of)
    assert named in train_problem(of).method["declined"]
    with pytest.raises(ConfigError, match=named):
        runner_for(replace(of, config=of.config.model_copy(update={"engine": "fused"})), of.rule_at(BETA))


def test_the_record_says_what_trained(tmp_path: Path) -> None:
    of = problem(**{"training/epochs": 1, "training/momentum": 0.5, "learning/variant": "random"})
    run = train_problem(of, out=tmp_path)
    assert run.folder is not None
    facts = json.loads((run.folder / "environment.json").read_text())
    assert facts["method"] == {
        "rule": "EquilibriumPropagation (random, error nudge)",
        "signs": "drawn for each update, by a hash of its samples",
        "cost": "squared_error (SquaredError)",
        "optimizer": "SGD, momentum 0.5",
        "schedule": "Exponential",
        "declined": "it has no momentum",
    }


def test_a_subclass_of_an_optimizer_takes_its_own_steps() -> None:
    of = problem()
    plain = moves(of, runner_for(of, of.rule_at(BETA)))
    up = replace(of, optimizer=Uphill(of.optimizer.rates, of.optimizer.bounds))
    ascent = moves(up, runner_for(up, up.rule_at(BETA)))
    assert np.vdot(plain["W1.conductance"], ascent["W1.conductance"]) < 0.0


@pytest.mark.parametrize("kind", [Halved, NonReciprocalEP, VectorFieldEP])
def test_the_rule_that_is_given_trains_and_not_the_one_that_the_configuration_names(kind: Any) -> None:
    of = problem()
    rule = kind(BETA)
    runner = runner_for(of, rule)
    assert isinstance(runner, GeneralRunner) == (kind is Halved)
    found, expected = moves(of, runner), moves(of, GeneralRunner(of, rule))
    for block, value in expected.items():
        np.testing.assert_allclose(found[block], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=block)
    assert method_of(of, runner)["rule"].startswith(kind.__name__)


def test_a_device_of_the_users_own_is_solved_by_its_own_law() -> None:
    of = problem()
    bank = next(b for b in of.circuit.banks if b.device is Diode)
    banks = tuple(replace(b, device=Leaky) if b is bank else b for b in of.circuit.banks)
    own = replace(of.circuit, banks=banks, topology=type(of.circuit.topology)())
    assert "Leaky" in str(why_not(own))
    changed = replace(of, circuit=own)
    assert not assert_same_or_declined(changed)
    exact = Adjoint().gradient(own, changed.train.inputs(), changed.train.targets)
    plain = Adjoint().gradient(of.circuit, of.train.inputs(), of.train.targets)
    assert not np.allclose(exact["W1.conductance"], plain["W1.conductance"], rtol=1e-3)


# --- names that nothing has ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "key"),
    [("learning", "rule"), ("learning", "cost"), ("training", "optimizer"), ("training", "schedule")],
)
def test_an_unknown_name_is_refused_and_never_another_thing(section: str, key: str) -> None:
    """Written into a configuration that is already checked, as a program may."""
    config = table()
    part = getattr(config, section).model_copy(update={key: "no such thing"})
    with pytest.raises(ConfigError, match=rf"{section}\.{key}: unknown 'no such thing'; use one of"):
        build_problem(config.model_copy(update={section: part})).rule_at(BETA)


def test_a_beta_below_rounding_trains_in_no_engine() -> None:
    for engine in ("fused", "layered", "newton"):
        of = problem(engine=engine, **{"learning/beta": 1e-20, "training/epochs": 1})
        with pytest.raises(InputError, match=r"moves no node by more than .* Use β above"):
            train_problem(of)
