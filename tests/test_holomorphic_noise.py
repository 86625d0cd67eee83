"""The block steps of the noise experiment against the package's own phases on a small Hopfield network."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from scripts import script

from analogep.learning import EquilibriumPropagation, HolomorphicEP, SoftmaxReadout
from analogep.learning.costs.readout import BIAS, WEIGHTS
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
    net = experiment.network(LAYERS, (1.0, 0.5, 1.0), rng, np.float64)
    x, y = batch()
    circuit = hopfield(LAYERS[:-1], activation="sigmoid", leak=1.0, limit=1.0)
    blocks = circuit.parameters
    keys = [[k for k in blocks if k[0] == letter] for letter in "Wb"]
    for names, values in zip(keys, (net.weights, net.biases), strict=True):
        circuit = circuit.with_parameters(dict(zip(names, values[:-1], strict=True)))
    cost = SoftmaxReadout(net.weights[-1], net.biases[-1])
    rule = EquilibriumPropagation(radius) if points == 2 else HolomorphicEP(radius, points, check=False)
    expected = rule.gradient(circuit, x, y, cost)
    found = net.gradient(x, y, radius, points, 0.0, rng, 200, 1e-14)
    single = experiment.Network(*([p.astype(np.float32) for p in part] for part in (net.weights, net.biases)))
    rough = single.gradient(x.astype(np.float32), y.astype(np.float32), radius, points, 0.0, rng, 20, 1e-6)
    for names, exact, rounded in zip(keys, found, rough, strict=True):
        for key, double, float_ in zip(names, exact[:-1], rounded[:-1], strict=True):
            largest = np.abs(expected[key]).max()
            np.testing.assert_allclose(double, expected[key], rtol=0, atol=1e-9 * largest)
            assert float_.dtype == np.float32
            np.testing.assert_allclose(float_, expected[key], rtol=0, atol=2e-3 * largest)
    # the package's readout learns from the free phase, exactly; the experiment's from all phases, O(r^N)
    halved = net.gradient(x, y, radius / 2, points, 0.0, rng, 200, 1e-14)
    readout = cost.parameter_gradient(net.free(x, 1e-14)[-1], y)
    for part, key in enumerate((WEIGHTS, BIAS)):
        wide, narrow = (np.abs(gradient[part][-1] - readout[key]).max() for gradient in (found, halved))
        assert np.log2(wide / narrow) > points - 0.3


@pytest.mark.parametrize(("points", "radius"), [(2, 0.1), (10, 0.4)])
def test_noise_in_the_gradient_is_that_of_independent_currents(
    experiment: ModuleType, points: int, radius: float
) -> None:
    """By hand: neurons without couplings answer σ at their slope, so b's gradient has variance (s σ)²/(N r² B).

    Of −Σ_k Re(v_k/β_k)/N with real noise σ s in v_k only the real part of 1/β_k counts: ½ on average, 1 for N = 2.
    """
    rng = np.random.default_rng(2)
    net = experiment.network(LAYERS, (1e-9, 1e-9, 1e-9), rng, np.float64)
    x, y = batch()
    found = np.array([net.gradient(x, y, radius, points, 1e-3, rng, 2)[1][-2] for _ in range(400)])
    slope = 4.0 / (2.0 * np.cosh(1.0)) ** 2
    share = 1.0 if points == 2 else 0.5
    expected = 1e-3 * slope * np.sqrt(share) / (radius * np.sqrt(points * len(x)))
    np.testing.assert_allclose(found.std(axis=0), expected, rtol=0.15)  # 4 standard errors of 400 draws


def test_the_logistic_function_of_complex_currents(experiment: ModuleType) -> None:
    rng = np.random.default_rng(3)
    current = rng.uniform(-3.0, 3.0, (4, 6)) + 1j * rng.uniform(-0.3, 0.3, (4, 6))
    for argument in (current, current.real):
        np.testing.assert_allclose(
            experiment.logistic(argument), 1.0 / (1.0 + np.exp(-4.0 * argument)), rtol=0, atol=1e-15
        )
