"""The audit of random circuits: a few meet its targets, and its figures tell a wrong rule from a right one."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from scripts import script

from analogep.learning import energy_scale


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    return script("audit.py")


@pytest.mark.parametrize("kind", ["with amplifiers", "Hopfield", "two-matrix Hopfield", "VCCS and VCVS"])
def test_a_random_circuit_meets_the_targets(experiment: ModuleType, kind: str) -> None:
    found = experiment.examine(kind, np.random.default_rng(7))
    assert found.misses() == []
    assert found.rule
    assert found.differences
    if found.vector_field:
        assert found.exponents == {}
        assert max(row.error for row in found.vector_field) > 0.1
    else:
        assert list(found.exponents) == [2, 3, 4]
    assert f"| {kind} | 1, {len(found.rule)} |" in experiment.table([found])


def test_the_uncorrected_rule_in_the_place_of_the_right_one_misses(experiment: ModuleType) -> None:
    found = experiment.examine("VCCS and VCVS", np.random.default_rng(7))
    assert any("vector field" in miss for miss in replace(found, rule=found.vector_field).misses())
    slow = replace(found, exponents={2: 1.5, 3: 3.1})
    assert slow.misses() == ["holomorphic N=2: r^1.50"]


def test_every_kind_has_an_energy_or_none(experiment: ModuleType) -> None:
    without = {"two-matrix Hopfield", "transistors", "VCCS and VCVS"}
    for kind in experiment.KINDS:
        circuit, inputs, targets = experiment.experiment(kind, np.random.default_rng(1))
        assert (energy_scale(circuit).culprit is not None) == (kind in without)
        assert len(inputs) == len(targets) == 4
