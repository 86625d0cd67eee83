"""The audit: its rows, its fit, and that it tells a wrong rule from a right one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from analogep.circuit import Circuit
from analogep.learning import Adjoint, EquilibriumPropagation, FiniteDifference, Gradient, audit, suggest_beta
from analogep.learning.audit import SAMPLED, compare_blocks
from analogep.networks import crossbar, deep_resistive, uniform

INPUTS = np.array([[0.8, -0.3, 0.5], [-1.0, 0.4, 0.2]])
TARGETS = np.array([[0.1, 0.0], [0.3, -0.2]])


def network(**options: Any) -> Circuit:
    settings: dict[str, Any] = {"hidden": "pair", "rails": (-0.1, 0.1), "bias": "current"}
    return deep_resistive([3, 9, 2], initial=uniform(1e-5, 1e-3), **(settings | options))


def test_default_rules_and_blocks() -> None:
    circuit = network()
    found = audit(circuit, INPUTS, TARGETS)
    rules = ["EP centered", "EP positive", "EP negative", "finite difference"]
    assert [(r.rule, r.block) for r in found.rows] == [(r, b) for r in rules for b in circuit.parameters]
    assert found.suggestion is not None
    assert found.beta == found.suggestion.beta == suggest_beta(circuit, INPUTS, TARGETS).beta
    for block, value in circuit.parameters.items():
        assert found.row("EP centered", block).entries == value.size
        assert found.row("finite difference", block).entries == min(SAMPLED, value.size)
        assert found.row("EP centered", block).cosine > 0.9999
        assert found.row("finite difference", block).error < 1e-4
    assert set(found.slopes) == set(found.errors) == {"positive", "negative", "centered"}
    assert all(e.shape == found.betas.shape for e in found.errors.values())
    # Centered is the better estimate at every beta of the fit.
    assert (found.errors["centered"] < found.errors["positive"]).all()


def test_raw_scale_shows_what_amplifiers_do() -> None:
    """Kendall's amplifiers: the raw estimate of the first layer is 1/16 of the true one."""
    found = audit(network(amplifier=(4.0, 0.25)), INPUTS, TARGETS, fit=False)
    assert found.row("EP centered", "W1.conductance").raw_scale == pytest.approx(1 / 16, rel=0.01)
    assert found.row("EP centered", "W2.conductance").raw_scale == pytest.approx(1.0, rel=0.01)
    assert found.row("EP centered", "W1.conductance").scale == pytest.approx(1.0, rel=0.01)
    assert found.slopes == {}
    assert found.errors == {}


@dataclass(frozen=True)
class Wrong:
    """The adjoint's gradient, spoiled."""

    factor: float
    turn: bool = False
    name: str = "wrong"

    def gradient(self, *args: Any, **kwargs: Any) -> Gradient:
        exact = Adjoint().gradient(*args, **kwargs)
        blocks = {k: self.factor * (v[::-1] if self.turn else v) for k, v in exact.items()}
        return Gradient(blocks, blocks, exact.cost, exact.free, self.name)


def test_a_wrong_rule_is_told() -> None:
    circuit = network()
    minus, half, turned = Wrong(-1.0, name="minus"), Wrong(0.5, name="half"), Wrong(1.0, True, name="turned")
    found = audit(circuit, INPUTS, TARGETS, rules=[minus, half, turned, Adjoint()], fit=False)
    block = "W1.conductance"
    row = found.row("minus", block)
    assert (row.cosine, row.scale, row.error) == pytest.approx((-1.0, -1.0, 2.0))
    row = found.row("half", block)
    assert (row.cosine, row.scale, row.error) == pytest.approx((1.0, 0.5, 0.5))
    assert found.row("turned", block).cosine < 0.99
    row = found.row("adjoint", block)
    assert (row.cosine, row.scale, row.error) == pytest.approx((1.0, 1.0, 0.0), abs=1e-12)
    with pytest.raises(KeyError):
        found.row("minus", "W9.conductance")


def test_given_beta_is_used_and_nothing_suggested() -> None:
    found = audit(network(), INPUTS, TARGETS, beta=1e-7)
    assert found.beta == 1e-7
    assert found.suggestion is None
    assert found.betas[2] == 1e-7


def test_a_beta_near_the_limit_can_be_audited() -> None:
    """The fit goes to twice beta; there a repelled phase may have no equilibrium, which is no fault of beta."""
    circuit = crossbar(np.full((2, 1), 1e-4), 1e-4)  # the output is held by 3e-4 S
    found = audit(circuit, [[1.0, 0.5]], [[0.1]], beta=2e-4)
    assert found.row("EP centered", "W1.conductance").entries == 2
    assert found.betas.max() < 3e-4


def test_a_block_without_gradient_counts_as_met_only_if_the_rule_agrees() -> None:
    zero, some = {"a": np.zeros(3)}, {"a": np.array([0.0, 1.0, 0.0])}
    (met,) = compare_blocks(Adjoint(), zero, zero, zero)
    assert (met.cosine, met.error) == (1.0, 0.0)
    (missed,) = compare_blocks(Adjoint(), some, some, zero)
    assert (missed.cosine, missed.error) == (0.0, np.inf)


def test_entries_that_were_left_out_do_not_count() -> None:
    some = {"a": np.array([1.0, np.nan, 2.0])}
    (row,) = compare_blocks(FiniteDifference(), some, some, {"a": np.array([1.0, 5.0, 2.0])})
    assert (row.entries, row.cosine, row.scale) == pytest.approx((2, 1.0, 1.0))


def test_the_visited_parameters_follow_the_generator() -> None:
    circuit = network()
    rows = [audit(circuit, INPUTS, TARGETS, fit=False, rng=np.random.default_rng(seed)).rows for seed in (1, 1, 2)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_a_circuit_that_already_meets_its_targets_has_zero_gradients() -> None:
    circuit = crossbar(np.full((2, 1), 1e-4), 1e-4)
    met = EquilibriumPropagation(1e-6).gradient(circuit, [[1.0, 0.5]], [[0.0]]).free.outputs
    found = audit(circuit, [[1.0, 0.5]], met, beta=1e-6)
    assert all(row.entries == 2 for row in found.rows)
