"""The audit: its rows, its fit, and that it tells a wrong rule from a right one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pytest

from analogep.circuit import Circuit
from analogep.devices import VCVS, Diode, Resistor
from analogep.errors import InputError
from analogep.learning import (
    RULES,
    Adjoint,
    EquilibriumPropagation,
    FiniteDifference,
    Gradient,
    audit,
    suggest_beta,
)
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
    rules = [*RULES, "finite difference"]
    assert [(r.rule, r.block) for r in found.rows] == [(r, b) for r in rules for b in circuit.parameters]
    assert found.suggestion is not None
    assert found.beta == found.suggestion.beta == suggest_beta(circuit, INPUTS, TARGETS).beta
    for block, value in circuit.parameters.items():
        assert found.row("EP centered", block).entries == value.size
        assert found.row("finite difference", block).entries == min(SAMPLED, value.size)
        assert found.row("EP centered", block).cosine > 0.9999
        assert found.row("finite difference", block).error < 1e-4
    ordered = {name for name, entry in RULES.items() if entry.order in (1, 2)}  # of order 4 it is below rounding
    assert set(found.slopes) == ordered >= {"EP positive", "EP negative", "EP centered"}
    assert found.refused == {}
    assert all(e.shape == found.betas.shape for e in found.errors.values())
    # Centered is the better estimate at every beta of the fit.
    assert (found.errors["EP centered"] < found.errors["EP positive"]).all()


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


# --- the registry ----------------------------------------------------------------------------------------


def test_rules_are_registered_under_their_own_names() -> None:
    assert [entry.make(1e-6).name for entry in RULES.values()] == list(RULES)


@pytest.mark.parametrize("name", RULES)
def test_registered_rules_point_where_the_gradient_does(name: str) -> None:
    """One output, one sample: the contrasts' estimates are parallel to the gradient, too, for small moves."""
    circuit = deep_resistive([3, 6, 1], hidden="pair", rails=(-0.3, 0.3), initial=uniform(1e-5, 1e-3))
    inputs = INPUTS[:1]
    near = circuit_outputs(circuit, inputs) + 1e-3
    rule = RULES[name].make(suggest_beta(circuit, inputs, near).beta)
    found = audit(circuit, inputs, near, beta=1e-7, rules=[rule], fit=False)
    assert found.refused == {}
    for row in found.rows:
        assert row.cosine > 0.9999, row
        if RULES[name].exact:
            assert row.scale == pytest.approx(1.0, abs=0.01)


def circuit_outputs(circuit: Circuit, inputs: np.ndarray) -> np.ndarray:
    return EquilibriumPropagation(1e-6).gradient(circuit, inputs, [[0.0]]).free.outputs


@pytest.mark.parametrize("name", [name for name, entry in RULES.items() if entry.order is not None])
def test_the_bias_of_a_registered_rule_falls_with_its_power_of_beta(name: str) -> None:
    # at a suggested β a bias of fourth order is rounding
    beta = suggest_beta(network(), INPUTS, TARGETS).beta * (16.0 if RULES[name].order == 4 else 1.0)
    found = audit(network(), INPUTS, TARGETS, beta=beta, rules=[RULES[name].make(beta)])
    assert found.slopes[name] == pytest.approx(RULES[name].order, abs=0.1 * (RULES[name].order or 1))


def feedforward() -> Circuit:
    """A divider, a buffer, a divider: no energy."""
    graph = nx.MultiDiGraph()
    for k, (a, b) in enumerate((("x", "a"), ("a", "0"), ("b", "y"), ("y", "0"))):
        graph.add_edge(a, b, device=Resistor(conductance=1e-4 * (k + 1)), name=f"r{k}", trainable=True)
    graph.add_edge("b", "0", device=VCVS(gain=2.0, control=("a", "0")), name="e0")
    return Circuit.from_graph(graph, inputs=["x"], outputs=["y"])


def test_rules_can_be_named() -> None:
    found = audit(network(), INPUTS, TARGETS, rules=["EP centered", "finite difference"])
    assert {row.rule for row in found.rows} == {"EP centered", "finite difference"}
    assert set(found.slopes) == {"EP centered"}
    assert found.row("EP centered", "W1.conductance").fd_cosine == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(InputError, match=r"unknown rule 'EP sideways'; rules: .*contrastive"):
        audit(network(), INPUTS, TARGETS, rules=["EP sideways"])


def test_a_circuit_without_energy_shows_which_rules_apply() -> None:
    found = audit(feedforward(), [[0.8], [-0.5]], [[0.1], [0.2]])
    reciprocal = ["EP centered", "EP positive", "EP negative", "frequency propagation", "contrastive"]
    assert all("e0" in found.refused[name] for name in reciprocal)
    assert set(found.refused).isdisjoint({row.rule for row in found.rows})
    applied = {"truncated backprop", "finite difference"}
    assert applied <= {row.rule for row in found.rows}
    for row in found.rows:
        if row.rule in applied:
            assert row.cosine > 0.9999
            assert row.scale == pytest.approx(1.0, abs=0.01)


def test_where_only_junctions_hold_the_outputs_the_repelled_variants_say_why_they_fail() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "a", device=Diode(), name="d0")
    graph.add_edge("a", "b", device=Resistor(conductance=1e-4), name="r0", trainable=True)
    graph.add_edge("b", "0", device=Diode(), name="d1")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["b"])
    found = audit(circuit, [[1.2]], [[0.1]], rules=["EP centered", "EP positive", "contrastive"])
    assert "no unique equilibrium" in found.refused["EP centered"]
    assert {row.rule for row in found.rows} == {"EP positive", "contrastive"}
    assert found.suggestion is not None
    with pytest.raises(InputError, match="no unique equilibrium"):
        audit(circuit, [[1.2]], [[0.1]], beta=found.beta, rules=["EP centered"])


def test_rules_are_compared_with_finite_differences_where_these_went() -> None:
    circuit = network()
    at = {"W1.conductance": np.array([0, 5]), "W2.conductance": np.array([1])}
    half = Wrong(0.5, name="half")
    found = audit(circuit, INPUTS, TARGETS, rules=[half, FiniteDifference(at=at)], fit=False)
    row = found.row("half", "W1.conductance")
    assert row.fd_cosine == pytest.approx(1.0, abs=1e-6)
    assert row.fd_scale == pytest.approx(0.5, rel=1e-4)
    assert found.row("finite difference", "W1.conductance").fd_cosine is None
    alone = audit(circuit, INPUTS, TARGETS, rules=[half], fit=False)
    assert alone.row("half", "W1.conductance").fd_scale is None


def test_a_contrast_has_a_scale_in_siemens() -> None:
    """With one output its scale is the conductance that holds the output: 3e-4 S here."""
    circuit = crossbar(np.full((2, 1), 1e-4), 1e-4)
    found = audit(circuit, [[1.0, 0.5]], [[0.1]], beta=1e-6)
    row = found.row("coupled centered", "W1.conductance")
    assert row.unit == "S"
    assert row.scale == pytest.approx(3e-4, rel=1e-9)
    assert row.error < 1e-9
