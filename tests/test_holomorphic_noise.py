"""The block steps of the noise experiment against the package's own phases on a small Hopfield network."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scripts import script

from analogep.learning import EquilibriumPropagation, HolomorphicEP
from analogep.networks import hopfield

LAYERS = [4, 6, 5, 3]


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    return script("holomorphic_noise.py")


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.uniform(0.0, 1.0, (5, LAYERS[0])), np.eye(LAYERS[-1])[rng.integers(LAYERS[-1], size=5)]


@pytest.mark.parametrize(("points", "radius"), [(2, 0.1), (5, 0.2), (10, 0.3)])
def test_noiseless_gradients_are_the_package_s(experiment: ModuleType, points: int, radius: float) -> None:
    rng = np.random.default_rng(0)
    net = experiment.network(LAYERS, (1.0, 0.5, 0.5), rng, np.float64)
    x, y = batch()
    circuit = hopfield(LAYERS, activation="sigmoid", leak=1.0, limit=1.0)
    keys = [*(k for k in circuit.parameters if k[0] == "W"), *(k for k in circuit.parameters if k[0] == "b")]
    circuit = circuit.with_parameters(dict(zip(keys, net.weights + net.biases, strict=True)))
    rule = EquilibriumPropagation(radius) if points == 2 else HolomorphicEP(radius, points, check=False)
    expected = rule.gradient(circuit, x, y)
    dw, db, _ = net.gradient(x, y, radius, points, 0.0, rng, 1e-13)
    for key, found in zip(keys, dw + db, strict=True):
        np.testing.assert_allclose(found, expected[key], rtol=0, atol=1e-9 * np.abs(expected[key]).max())
    single = experiment.Network(*([p.astype(np.float32) for p in part] for part in (net.weights, net.biases)))
    dw, db, _ = single.gradient(x.astype(np.float32), y.astype(np.float32), radius, points, 0.0, rng, 1e-6)
    for key, found in zip(keys, dw + db, strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[key], rtol=0, atol=2e-3 * np.abs(expected[key]).max())


@pytest.mark.parametrize(("points", "radius"), [(2, 0.1), (10, 0.5)])
def test_noise_in_the_gradient_is_that_of_independent_reads(
    experiment: ModuleType, points: int, radius: float
) -> None:
    """By hand: the output biases' estimate is −Σ_k Re(v_k/β_k)/N, so that its variance is σ²/(N r² B)."""
    rng = np.random.default_rng(2)
    net = experiment.network(LAYERS, (1.0, 0.5, 0.5), rng, np.float64)
    x, y = batch()
    found = np.array([net.gradient(x, y, radius, points, 0.04, rng, 1e-3, 5)[1][-1] for _ in range(400)])
    expected = 0.04 / (radius * np.sqrt(points * len(x)))
    np.testing.assert_allclose(found.std(axis=0), expected, rtol=0.15)  # 4 standard errors of 400 draws


def test_the_logistic_function_of_complex_currents(experiment: ModuleType) -> None:
    rng = np.random.default_rng(3)
    current = rng.uniform(-3.0, 3.0, (4, 6)) + 1j * rng.uniform(-0.3, 0.3, (4, 6))
    for argument in (current, current.real):
        np.testing.assert_allclose(
            experiment.logistic(argument), 1.0 / (1.0 + np.exp(-4.0 * argument)), rtol=0, atol=1e-15
        )
