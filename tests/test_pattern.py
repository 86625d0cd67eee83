"""Large circuits of one-ports: their matrix is written into one pattern, and is what the dense one is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from newton_tools import EPS, Experiment, Tangent, solve
from strategies import CELLS, experiments

from analogep.devices import REGISTRY, MultiPort
from analogep.solve import ConductanceNudge
from analogep.solve.equations import model as model_module
from analogep.solve.equations.compensated import add_at
from analogep.solve.equations.elementwise import evaluate_by_element
from analogep.solve.equations.model import model_for
from analogep.solve.equations.system import System
from analogep.solve.linear.systems import linear_solver

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

ONE_PORTS = [
    cell
    for cell in CELLS
    if cell == "amplifier" or (cell in REGISTRY and not issubclass(REGISTRY[cell], MultiPort))
]


@given(experiment=experiments(ONE_PORTS), scale=st.floats(0.5, 2.0))
def test_the_matrix_on_the_pattern_is_the_dense_one(experiment: Experiment, scale: float) -> None:
    circuit, _ = experiment
    for values in ({}, {name: scale * g for name, g in circuit.parameters.items() if "conductance" in name}):
        dense = model_for(circuit.with_parameters(values))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(model_module, "DENSE_LIMIT", -1)
            sparse = model_for(circuit.with_parameters(values))
            assert sparse.on_pattern
        found, expected = sparse.linear_matrix, np.asarray(dense.linear_matrix)
        assert found.has_canonical_format
        np.testing.assert_allclose(
            found.toarray(), expected, rtol=0, atol=32 * EPS * abs(expected).max(initial=0.0)
        )


@pytest.mark.parametrize("transpose", [False, True])
@given(experiment=experiments(ONE_PORTS))
def test_solves_the_tangent_of_circuits_of_one_ports(transpose: bool, experiment: Experiment) -> None:
    circuit, inputs = experiment
    nudge = ConductanceNudge(1e-4, np.full((len(inputs), len(circuit.output_pairs)), 0.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_module, "DENSE_LIMIT", -1)
        circuit = circuit.with_parameters({})
        tangent = Tangent(solve(circuit, inputs, nudge), inputs, nudge)
        entries = tangent.model.slots.values(tangent.system.evaluate(tangent.x).slopes)
        rhs = 1e-4 * np.cos(np.arange(tangent.x.size, dtype=float)).reshape(tangent.x.shape)
        y = linear_solver(tangent.model).solve(entries, rhs, transpose=transpose)
    matrix = tangent.jacobian.swapaxes(1, 2) if transpose else tangent.jacobian
    left = np.abs((matrix @ y[..., None])[..., 0] - rhs)  # backward error, Higham 2002, theorem 9.5
    size = np.abs(matrix).sum(axis=2).max(axis=1, initial=0.0) * np.abs(y).max(axis=1, initial=0.0)
    allowed = 8.0 * tangent.model.plan.size * EPS * (size + np.abs(rhs).max(axis=1, initial=0.0))
    assert np.all(left <= allowed[:, None])


@given(experiment=experiments(ONE_PORTS), seed=st.integers(0, 2**32 - 1))
def test_sums_by_element_are_the_same_dense_and_sparse(experiment: Experiment, seed: int) -> None:
    circuit, inputs = experiment
    plain = System(circuit, inputs)
    x = np.random.default_rng(seed).uniform(-0.5, 0.5, (len(inputs), plain.model.plan.size))
    expected = evaluate_by_element(plain, x).residual
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_module, "DENSE_LIMIT", -1)
        system = System(circuit.with_parameters({}), inputs)
        assert not system.model.dense
        found = evaluate_by_element(system, x).residual
    np.testing.assert_allclose(
        found, expected, rtol=4 * EPS, atol=1e-18 * (1.0 + np.abs(expected).max(initial=0.0))
    )


@given(
    values=st.lists(st.floats(-1e20, 1e20, allow_subnormal=False), min_size=1, max_size=30),
    seed=st.integers(0, 99),
)
def test_compensated_sums_are_good_to_twice_the_precision(values: list[float], seed: int) -> None:
    i = np.array([values])
    pins = np.array([[0, 1]]) if seed % 2 else np.array([[1, 0]])
    high, low = np.zeros((1, 2)), np.zeros((1, 2))
    add_at(high, low, np.repeat(pins, len(values), axis=0), i)
    exact, size = math.fsum(values), float(np.abs(i).sum())
    for node, sign in ((pins[0, 0], 1.0), (pins[0, 1], -1.0)):
        error = math.fsum([high[0, node], low[0, node], *(-sign * v for v in values)])
        assert abs(error) <= (len(values) * EPS) ** 2 * size
        assert abs(float(high[0, node] + low[0, node]) - sign * exact) <= EPS * (abs(exact) + EPS * size)
