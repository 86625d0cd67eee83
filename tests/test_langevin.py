"""Thermal noise: equipartition, its dependence on the step, and reproducibility.

Statistical bounds: of M independent normal samples, the estimate of covariance entry (i, j) has the variance
(S_ii S_jj + S_ij²)/M. Five standard deviations are allowed; seeds are fixed.
"""

from __future__ import annotations

import math
from typing import Any

import networkx as nx
import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

from analogep.circuit import Circuit
from analogep.constants import BOLTZMANN, thermal_voltage
from analogep.devices import (
    NMOS,
    REGISTRY,
    VCCS,
    BidirectionalAmplifier,
    Capacitor,
    Device,
    Diode,
    IdealDiode,
    OnePort,
    Resistor,
    SinhResistor,
    TanhNeuron,
    VoltageSource,
)
from analogep.errors import ConvergenceError, InputError, UnstableWarning
from analogep.networks import deep_resistive, glorot, hopfield
from analogep.solve import langevin, operating_point, port_conductance, time_constants

SIGMAS = 5.0
KELVIN = 300.15
KT = BOLTZMANN * KELVIN
G, C = 1e-3, 1e-12
TAU = C / G
APART = 5.0  # time constants between samples, whose squared correlation is then e^-10


def circuit_of(*edges: tuple[str, str, Device], inputs: tuple[str, ...] = ("x",)) -> Circuit:
    graph = nx.MultiDiGraph()
    for a, b, device in edges:
        graph.add_edge(a, b, device=device)
    return Circuit.from_graph(graph, inputs=list(inputs), outputs=["a"])


RC = circuit_of(("x", "a", Resistor(conductance=G)), ("a", "0", Capacitor(value=C)))


def stationary(
    circuit: Circuit, inputs: Any, step: float, slowest: float, nodes: list[str], seed: int
) -> np.ndarray:
    """Return independent samples (M, len(nodes)) [V] of the deviation from the operating point."""
    apart = int(np.ceil(APART * slowest / step))
    batch = np.repeat(np.atleast_2d(inputs), 400, axis=0)
    found = langevin(circuit, batch, 12 * apart * step, step, np.random.default_rng(seed), KELVIN)
    columns = [circuit.node(n) for n in nodes]
    moved = found.voltages[2 * apart :: apart][:, :, columns] - found.voltages[0][:, columns]
    return moved.reshape(-1, len(columns))


def assert_covariance(samples: np.ndarray, expected: np.ndarray) -> None:
    count = len(samples)
    found = samples.T @ samples / count
    diagonal = np.diag(expected)
    error = np.sqrt((np.outer(diagonal, diagonal) + expected**2) / count)
    assert np.all(np.abs(found - expected) <= SIGMAS * error), (found - expected) / error
    mean_error = np.sqrt(diagonal / count)
    assert np.all(np.abs(samples.mean(axis=0)) <= SIGMAS * mean_error)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 4.0])
def test_variance_of_one_capacitor(ratio: float) -> None:
    samples = stationary(RC, [0.7], ratio * TAU, TAU, ["a"], seed=1)
    assert len(samples) == 4400
    assert_covariance(samples, np.array([[KT / C / (1.0 + ratio / 2.0)]]))


def test_equipartition_of_one_capacitor() -> None:
    ratio = 0.01  # its bias, 0.5 %, is a quarter of the standard deviation of 4400 samples
    assert_covariance(stationary(RC, [0.7], ratio * TAU, TAU, ["a"], seed=2), np.array([[KT / C]]))


def network() -> tuple[Circuit, np.ndarray, np.ndarray]:
    """Return an RC network with a floating capacitor, its conductance and its capacitance matrix."""
    ga, gb, gc, ca, cb, cab = 1e-3, 3e-4, 5e-4, 1e-12, 2e-12, 0.7e-12
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=ga)),
        ("a", "b", Resistor(conductance=gb)),
        ("b", "0", Resistor(conductance=gc)),
        ("a", "0", Capacitor(value=ca)),
        ("b", "0", Capacitor(value=cb)),
        ("a", "b", Capacitor(value=cab)),
    )
    conductance = np.array([[ga + gb, -gb], [-gb, gb + gc]])
    return circuit, conductance, np.array([[ca + cab, -cab], [-cab, cb + cab]])


def test_equipartition_of_a_network() -> None:
    circuit, conductance, capacitance = network()
    slowest, fastest = time_constants(circuit, [1.0], 2)[0]
    step = fastest / 5.0
    samples = stationary(circuit, [1.0], step, slowest, ["a", "b"], seed=3)
    # The scheme's own stationary covariance, exactly.
    solve = np.linalg.inv(capacitance / step + conductance)
    old = solve @ capacitance / step
    expected = solve_discrete_lyapunov(old, solve @ (2.0 * KT / step * conductance) @ solve.T)
    assert_covariance(samples, expected)
    # It tends to kT C⁻¹ with the step: the excess C Σ⁻¹ is 1 + h/2τ in every mode.
    exact = KT * np.linalg.inv(capacitance)
    factors = np.linalg.eigvals(exact @ np.linalg.inv(expected))
    np.testing.assert_allclose(np.sort(factors.real), 1.0 + step / 2.0 / np.array([slowest, fastest]), rtol=1e-9)


def test_equipartition_of_crossbars() -> None:
    circuit = deep_resistive([3, 3, 2], hidden="linear", rng=np.random.default_rng(0))
    nodes = ["h1_0", "h1_1", "h1_2", "y0", "y1"]
    inputs = [0.3, -0.2, 0.5]
    tau = time_constants(circuit, inputs, len(nodes))[0]
    step = 0.3 * tau[-1]
    samples = stationary(circuit, inputs, step, tau[0], nodes, seed=4)
    # kT C⁻¹ with every mode's variance divided by 1 + h/2τ.
    conductance = port_conductance(circuit, inputs, nodes)[0]
    assert_covariance(samples, KT * np.linalg.inv(1e-12 * np.eye(len(nodes)) + step / 2.0 * conductance))


@pytest.mark.parametrize("coupling", ["symmetric", "both"])
def test_the_covariance_of_a_network_of_transconductances_solves_lyapunovs_equation(coupling: Any) -> None:
    # They make no noise, and change its response: v ← A v + B n with B = (C/h + J)⁻¹, A = B C/h, ⟨n nᵀ⟩ = 2kT g/h.
    rng = np.random.default_rng(2)
    circuit = hopfield(
        [2, 2, 2], activation="identity", coupling=coupling, leak=G, initial=glorot(G, 0.5), rng=rng
    )
    step = 0.3 * TAU
    jacobian = G * np.eye(4)
    (coupled,) = circuit.transconductances[1:]
    assert coupled.backward is not None
    jacobian[2:, :2] -= coupled.forward.T
    jacobian[:2, 2:] -= coupled.backward
    b = np.linalg.inv(C / step * np.eye(4) + jacobian)
    expected = solve_discrete_lyapunov(b * C / step, 2.0 * KT * G / step * b @ b.T)
    slowest = float(time_constants(circuit, [0.3, 0.7])[0, 0])
    names = ["h1_0", "h1_1", "y0", "y1"]
    assert_covariance(stationary(circuit, [0.3, 0.7], step, slowest, names, seed=9), expected)


def test_through_a_transformer_and_a_source() -> None:
    ratio = 3.0
    circuit = circuit_of(
        ("x", "i", Resistor(conductance=G)),
        ("i", "o", BidirectionalAmplifier(voltage_gain=ratio, current_gain=ratio)),
        ("a", "o", VoltageSource(voltage=0.2)),
        ("a", "0", Resistor(conductance=G)),
        ("a", "0", Capacitor(value=C)),
    )
    tau = C / (G + G / ratio**2)
    assert time_constants(circuit, [0.1])[0, 0] == pytest.approx(tau, rel=1e-12)
    samples = stationary(circuit, [0.1], 0.5 * tau, tau, ["a"], seed=5)
    assert_covariance(samples, np.array([[KT / C / 1.25]]))


def test_same_seed_same_noise() -> None:
    def run(seed: int) -> np.ndarray:
        return langevin(RC, [[0.1], [0.1]], 20 * TAU, TAU, np.random.default_rng(seed)).voltages

    np.testing.assert_array_equal(run(7), run(7))
    assert not np.array_equal(run(7), run(8))
    assert not np.array_equal(run(7)[:, 0], run(7)[:, 1])


def test_shape_times_and_temperature() -> None:
    circuit = circuit_of(("x", "a", Resistor(conductance=G)), ("a", "0", Diode()))
    found = langevin(circuit, [[1.0], [2.0]], 10.4 * TAU, TAU, np.random.default_rng(0), temperature=0.0)
    np.testing.assert_allclose(found.times, TAU * np.arange(11), rtol=1e-15)
    assert found.voltages.shape == (11, 2, len(circuit.nodes))
    rest = operating_point(circuit, [[1.0], [2.0]])
    np.testing.assert_allclose(found.voltages, np.repeat(rest.voltages[None], 11, axis=0), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.voltage("a"), found.voltages[:, :, circuit.node("a")])


# --- nonlinear elements --------------------------------------------------------------------------------------


def gibbs_circuit(device: Device, beside: float, bridge: Device | None = None) -> Circuit:
    """Node a with ``device`` and a resistor to ground; node b, if there is a ``bridge``, with a resistor alone."""
    edges: list[tuple[str, str, Device]] = [("a", "0", device), ("a", "0", Capacitor(value=C))]
    if beside:
        edges.append(("x", "a", Resistor(conductance=beside)))
    if bridge is not None:
        edges += [("a", "b", bridge), ("b", "0", Resistor(conductance=G)), ("b", "0", Capacitor(value=C))]
    return circuit_of(*edges, inputs=("x",) if beside else ())


ROOT = math.sqrt(KT / C)  # 64 µV


@pytest.mark.parametrize(
    ("device", "beside", "bridge"),
    [
        (TanhNeuron(conductance=G, saturation_voltage=9.0 * ROOT), 0.0, None),
        (TanhNeuron(conductance=G, saturation_voltage=8.0 * ROOT), 0.5 * G, None),
        (SinhResistor(conductance=G, v0=ROOT), 0.0, None),
        (SinhResistor(conductance=0.3 * G, v0=0.6 * ROOT), 0.3 * G, None),
        (Resistor(conductance=G), 0.0, SinhResistor(conductance=0.5 * G, v0=ROOT)),
        (Diode(saturation_current=G * thermal_voltage()), 0.0, None),
        (Diode(saturation_current=G * thermal_voltage(), emission=2.0, series_resistance=0.5 / G), 0.0, None),
    ],
    ids=["tanh", "tanh and resistor", "sinh", "sinh and resistor", "bridge", "diode", "diode with Rs"],
)
def test_what_nothing_drives_has_the_distribution_of_gibbs(
    device: Device, beside: float, bridge: Device | None
) -> None:
    """exp(−½ C v²/kT), whatever the laws: also where √(kT/C) reaches as far as they bend, and noise changes."""
    circuit = gibbs_circuit(device, beside, bridge)
    batch, step = 2000, 0.05 * TAU
    inputs = np.zeros((batch, int(beside > 0.0)))
    found = langevin(circuit, inputs, 8.0 * TAU, step, np.random.default_rng(11), KELVIN)
    samples, variance = found.voltage("a")[[100, -1]].ravel(), KT / C
    # 3 % of bias of the step beside five standard deviations
    assert samples.var() == pytest.approx(variance, rel=0.03 + SIGMAS * math.sqrt(1.0 / batch))
    fourth = float(np.mean(samples**4)) / variance**2  # 3, of a variance of 96 for one sample
    assert fourth == pytest.approx(3.0, abs=0.18 + SIGMAS * math.sqrt(48.0 / batch))


def test_noise_that_drives_an_element_past_its_bend_is_an_error() -> None:
    """At a third of its limit a tanh neuron reaches that limit, where its conductance grows a millionfold."""
    circuit = gibbs_circuit(TanhNeuron(conductance=G, saturation_voltage=3.0 * ROOT), 0.0)
    with pytest.raises(ConvergenceError, match=r"tanh_neuron1 of sample .* past the bend of its law"):
        langevin(circuit, np.zeros((500, 0)), 8.0 * TAU, 0.05 * TAU, np.random.default_rng(11), KELVIN)


def test_the_noise_of_every_device_is_that_of_its_slope_at_rest() -> None:
    """Nyquist's theorem, at 0 V; and never negative."""
    asked = 0
    for device in REGISTRY.values():
        if not issubclass(device, OnePort):
            continue
        values = {k: np.array([v.default or 1e-3]) for k, v in device.parameters().items()}
        v = np.linspace(-0.7, 0.7, 29)[:, None]
        like = device.noise(v, values)
        if like is None:
            assert not device.conducts(values).any()
            continue
        asked += 1
        assert like[14, 0] == pytest.approx(device.current(v, values)[1][14, 0], rel=1e-9)
        assert (like > 0.0).all()
    assert asked >= 4


def test_elements_whose_noise_nobody_knows_are_refused_by_name() -> None:
    transistor = NMOS(threshold=0.5, transconductance=1e-4, control=("x", "0"))
    circuit = circuit_of(("x", "a", Resistor(conductance=G)), ("a", "0", transistor))
    with pytest.raises(InputError, match=r"nmos1 \(nmos\) has no law of its noise"):
        langevin(circuit, [1.0], TAU, TAU, np.random.default_rng(0))
    langevin(circuit, [1.0], TAU, TAU, np.random.default_rng(0), temperature=0.0)


def test_the_shot_noise_of_a_diode_is_half_the_thermal_one_of_its_slope() -> None:
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=G)), ("a", "0", Diode()), ("a", "0", Capacitor(value=1e-10))
    )
    current = G * (1.0 - operating_point(circuit, [1.0]).voltage("a")[0])
    slope = (current + 1e-14) / thermal_voltage() + 1e-15
    tau = 1e-10 / (G + slope)
    samples = stationary(circuit, [1.0], 0.05 * tau, tau, ["a"], seed=6)
    # 2q(I + 2Is) is 4kT g/2. Noise of G + g/2, damped by G + g; at 2 µV it sees the diode's tangent.
    assert_covariance(samples, np.array([[KT / 1e-10 * (G + slope / 2.0) / (G + slope) / 1.025]]))


def test_an_unstable_circuit_runs_away() -> None:
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=G)),
        ("a", "0", VCCS(transconductance=-2.0 * G, control=("a", "0"))),
        ("a", "0", Capacitor(value=C)),
    )
    with pytest.warns(UnstableWarning, match="node a grows"):
        assert time_constants(circuit, [0.0])[0, 0] == np.inf
    with (
        pytest.warns(UnstableWarning, match="node a grows"),
        pytest.raises(ConvergenceError, match=r"voltages of sample 0 run away at t = .*unstable"),
    ):
        # Each step of half a time constant doubles the voltage; the largest number is 2^1024.
        langevin(circuit, [0.0], 600.0 * TAU, 0.5 * TAU, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration": 0.0}, "duration"),
        ({"duration": np.inf}, "duration"),
        ({"step": 0.0}, "step"),
        ({"step": np.nan}, "step"),
        ({"rng": 7}, "numpy.random.Generator"),
        ({"temperature": -1.0}, "temperature"),
        ({"node_capacitance": -1.0}, "node_capacitance"),
        ({"inputs": [1.0, 2.0]}, "inputs have shape"),
    ],
)
def test_refusals(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"inputs": [1.0], "duration": TAU, "step": TAU, "rng": np.random.default_rng(0)}
    with pytest.raises(InputError, match=message):
        langevin(RC, **(arguments | change))


def test_ideal_diodes_are_refused_by_name() -> None:
    circuit = circuit_of(("x", "a", Resistor(conductance=G)), ("a", "0", IdealDiode()))
    with pytest.raises(InputError, match=r"ideal_diode1 \(ideal_diode\) switches"):
        langevin(circuit, [1.0], TAU, TAU, np.random.default_rng(0))


def test_a_circuit_without_unknowns_is_quiet() -> None:
    circuit = circuit_of(("x", "0", Resistor(conductance=G)), ("a", "x", VoltageSource(voltage=0.5)))
    found = langevin(circuit, [1.0], 3 * TAU, TAU, np.random.default_rng(0))
    np.testing.assert_array_equal(found.voltage("a"), np.full((4, 1), 1.5))
