"""What holds arrays compares to a plain bool, and survives copy, deepcopy and pickle."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import analogep as aep
from analogep import learning, solve, training

CIRCUIT = aep.networks.crossbar([[1e-4], [2e-4]])
X = [[0.1, 0.2], [0.3, 0.4]]
POINT = aep.operating_point(CIRCUIT, X, solve.CurrentNudge(np.full((2, 1), 1e-9)))


def things() -> dict[str, Any]:
    return {
        "circuit": CIRCUIT,
        "solution": POINT,
        "trajectory": aep.transient(CIRCUIT, X, until=1e-9),
        "sweep": solve.dc_sweep(CIRCUIT, "x0", [0.1, 0.2], X),
        "gradient": learning.EquilibriumPropagation().gradient(CIRCUIT, X, [[0.1], [0.2]]),
        "conductance nudge": solve.ConductanceNudge(1e-6, np.array([[0.1]])),
        "current nudge": solve.CurrentNudge(np.array([[0.1]])),
        "sine nudge": solve.SineNudge(np.array([[0.1]]), 1e3),
        "newton options": solve.NewtonOptions(),
        "transient options": solve.TransientOptions(),
        "part": training.Part(np.ones((2, 2)), np.array([0, 1])),
    }


@pytest.mark.parametrize("name", things())
def test_a_copy_is_equal_and_a_bool(name: str) -> None:
    thing = things()[name]
    for again in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
        assert (thing == again) is True
        assert (thing != again) is False
    assert (thing == 1) is False
    assert (thing == None) is False  # noqa: E711 (the comparison is the test)


def test_what_differs_is_not_equal() -> None:
    moved = replace(POINT, voltages=POINT.voltages + 1e-15)
    assert (moved == POINT) is False
    assert (replace(POINT, voltages=POINT.voltages[:1]) == POINT) is False
    assert (solve.CurrentNudge(np.zeros((1, 1))) == solve.CurrentNudge(np.zeros((2, 1)))) is False
    with pytest.raises(TypeError, match="unhashable"):
        hash(POINT)
