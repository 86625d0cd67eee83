"""Frequency propagation and sinusoidal nudges: by hand, against the adjoint, and their trade-offs."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest

from analogep.circuit import Circuit
from analogep.devices import (
    Capacitor,
    Diode,
    MutualTransconductance,
    Resistor,
    Sine,
    SinhResistor,
    TanhNeuron,
    VoltageSource,
)
from analogep.errors import InputError, RuleError
from analogep.learning import Adjoint, FrequencyPropagation, Gradient
from analogep.networks import crossbar, deep_resistive, uniform
from analogep.solve import SineNudge, TransientOptions, operating_point, transient

INPUTS, TARGETS = np.array([[0.8, -0.3, 0.5], [-1.0, 0.4, 0.2]]), np.array([[0.1, 0.0], [0.3, -0.2]])


def divider() -> Circuit:
    """x -- 100 µS -- y -- 300 µS -- ground, with 2 nF at y: 400 µS and τ = 5 µs."""
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "y", device=Resistor(conductance=1e-4), name="r1", trainable=True)
    graph.add_edge("y", "0", device=Resistor(conductance=3e-4), name="r2", trainable=True)
    graph.add_edge("y", "0", device=Capacitor(value=2e-9), name="c")
    return Circuit.from_graph(graph, inputs=["x"], outputs=["y"])


def network(amplifier: Any = None) -> Circuit:
    return deep_resistive(
        [3, 4, 2],
        hidden="pair",
        diode=Diode(saturation_current=1e-9, emission=1.5),
        rails=(-0.1, 0.1),
        amplifier=amplifier,
        initial=uniform(1e-5, 1e-3),
    )


def relative(found: Gradient, expected: Gradient) -> float:
    return max(float(np.linalg.norm(found[k] - e) / np.linalg.norm(e)) for k, e in expected.items())


@pytest.mark.parametrize("lag", [0.05, 0.5, 2.0])
def test_phase_and_attenuation_of_an_rc_divider(lag: float) -> None:
    """Nudged by −β e sin ωt the output answers −β e/G · (sin ωt − ωτ cos ωt)/(1 + (ωτ)²)."""
    beta, error = 1e-5, 0.25 - 0.1
    found = FrequencyPropagation(beta, lag=lag, steps=64).gradient(divider(), [[1.0]], [[0.1]])
    assert found.info["tau"] == pytest.approx(5e-6, rel=1e-12)
    assert 2 * np.pi * found.info["frequency"] * 5e-6 == pytest.approx(lag, rel=1e-12)
    y = divider().node("y")
    peak = -beta * error / 4e-4 / (1.0 + lag**2)
    assert found.info["in_phase"][0, y] == pytest.approx(peak, rel=1e-3)
    assert found.info["quadrature"][0, y] == pytest.approx(-lag * peak, rel=1e-3)
    (block,) = found.values()
    by_hand = np.array([-0.75, 0.25]) * peak / beta  # a b/β, a being the free drop
    np.testing.assert_allclose(block, by_hand, rtol=1e-3)


@pytest.mark.parametrize("amplifier", [None, (4.0, 0.25)])
def test_low_frequencies_reach_the_adjoint_as_the_square_of_the_lag(amplifier: Any) -> None:
    circuit = network(amplifier)
    expected = Adjoint().gradient(circuit, INPUTS, TARGETS)
    lags = np.array([0.03, 0.06, 0.12])
    errors = [
        relative(FrequencyPropagation(1e-7, lag=lag).gradient(circuit, INPUTS, TARGETS), expected) for lag in lags
    ]
    assert np.polyfit(np.log(lags), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.1)
    assert errors[0] < 0.03**2 * 2.0


def test_the_amplitude_bends_the_answer_in_second_order() -> None:
    """Odd in β, the coefficient of sin ωt has no error of first order, though only one sign of β is applied."""
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "y", device=Resistor(conductance=1e-4), name="r", trainable=True)
    graph.add_edge("y", "0", device=Diode(saturation_current=1e-6), name="d")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["y"])
    expected = FrequencyPropagation(1e-8, lag=0.02).gradient(circuit, [[1.0]], [[-0.2]])
    betas = np.array([1e-5, 2e-5, 4e-5])
    errors = [
        relative(FrequencyPropagation(b, lag=0.02).gradient(circuit, [[1.0]], [[-0.2]]), expected) for b in betas
    ]
    assert np.polyfit(np.log(betas), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.1)


def test_a_given_frequency_waits_until_the_transient_is_over() -> None:
    """At ωτ = 6 a period is shorter than τ: measured too early, the start would still be there."""
    frequency = 6.0 / (2 * np.pi * 5e-6)
    found = FrequencyPropagation(1e-5, frequency=frequency, steps=64).gradient(divider(), [[1.0]], [[0.1]])
    assert found.info["frequency"] == frequency
    y = divider().node("y")
    assert found.info["quadrature"][0, y] == pytest.approx(1e-5 * 0.15 / 4e-4 * 6.0 / 37.0, rel=2e-3)


def test_more_periods_change_nothing_without_noise() -> None:
    one, three = (FrequencyPropagation(1e-5, periods=n).gradient(divider(), [[1.0]], [[0.1]]) for n in (1, 3))
    assert relative(three, one) < 1e-8


def test_faults_name_the_remedy() -> None:
    with pytest.raises(InputError, match="node_capacitance"):
        FrequencyPropagation(node_capacitance=0.0).gradient(crossbar(np.full((1, 1), 1e-4)), [[1.0]], [[0.1]])
    for options in ({"beta": 0.0}, {"lag": 0.0}, {"frequency": -1.0}, {"periods": 0}, {"steps": 4}):
        with pytest.raises(InputError):
            FrequencyPropagation(**options)  # type: ignore[arg-type]
    graph = nx.MultiDiGraph()
    graph.add_edge("s", "0", device=VoltageSource(voltage=1.0, waveform=Sine(0.0, 1.0, 1e3)), name="v1")
    graph.add_edge("s", "y", device=Resistor(conductance=1e-4), name="r1", trainable=True)
    graph.add_edge("y", "0", device=Resistor(conductance=1e-4), name="r2")
    with pytest.raises(RuleError, match="v1 has a waveform"):
        FrequencyPropagation().gradient(Circuit.from_graph(graph, outputs=["y"]), None, [[0.1]])


# --- sinusoidal nudges -----------------------------------------------------------------------------------


def test_a_sinusoidal_nudge_drives_each_sample_by_its_own_amplitude() -> None:
    """By hand, from rest: v = −(I/G) [sin ωt − ωτ cos ωt + ωτ exp(−t/τ)]/(1 + (ωτ)²), about the free voltage."""
    circuit, tau, frequency = divider(), 5e-6, 2e4
    omega, amplitude = 2 * np.pi * frequency, np.array([[1e-6], [-3e-6]])
    inputs = np.array([[1.0], [0.2]])
    times = np.linspace(0.0, 5e-5, 21)
    t, lag = times[:, None], omega * tau
    wave = (np.sin(omega * t) - lag * np.cos(omega * t) + lag * np.exp(-t / tau)) / (1.0 + lag**2)
    by_hand = inputs[:, 0] / 4.0 - amplitude[:, 0] / 4e-4 * wave
    errors = []
    for step in (5e-7, 2.5e-7):
        run = transient(
            circuit,
            inputs,
            nudge=SineNudge(amplitude, frequency),
            v0=operating_point(circuit, inputs),
            options=TransientOptions(step=step),
            times=times,
        )
        errors.append(np.abs(run.voltage("y") - by_hand).max())
    assert errors[1] < 1e-4 * np.abs(amplitude / 4e-4).max()
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.1)  # TR-BDF2 is of second order


def test_nothing_rests_under_a_sinusoidal_nudge() -> None:
    nudge = SineNudge(np.array([[1e-6]]), 1e4)
    with pytest.raises(InputError, match="sinusoidal nudge"):
        operating_point(divider(), [1.0], nudge)
    with pytest.raises(InputError, match="sinusoidal nudge"):
        transient(divider(), [1.0], until="equilibrium", nudge=nudge)


# --- circuits with mutual transconductances ----------------------------------------------------------------


def mutual_circuit(seed: int) -> Circuit:
    """Four nodes with bent leaks that outweigh random mutual transconductances between any ports."""
    rng = np.random.default_rng(seed)
    graph, nodes = nx.MultiDiGraph(), ["a", "b", "c", "d"]
    for k, node in enumerate(nodes):
        graph.add_edge("x", node, device=Resistor(conductance=rng.uniform(1e-4, 3e-4)), trainable=True)
        bent = [TanhNeuron(conductance=2e-4, saturation_voltage=2.0), SinhResistor(conductance=2e-4, v0=0.5)][
            k % 2
        ]
        graph.add_edge(node, "0", device=bent, trainable=True)
    for k in range(4):
        p, n, cp, cn = rng.choice(["0", "x", *nodes], 4, replace=False)
        device = MutualTransconductance(transconductance=rng.uniform(-2e-5, 2e-5), control=(cp, cn))
        graph.add_edge(p, n, device=device, name=f"m{k}", trainable=True)
    return Circuit.from_graph(graph, inputs=["x"], outputs=[("a", "b"), "c"])


@pytest.mark.parametrize("seed", range(6))
def test_mutual_transconductances_learn_by_their_observable(seed: int) -> None:
    circuit = mutual_circuit(seed)
    inputs, targets = [[0.8], [-0.3]], [[0.3, -0.2], [0.1, 0.4]]
    expected = Adjoint().gradient(circuit, inputs, targets)
    found = FrequencyPropagation(1e-7).gradient(circuit, inputs, targets)
    assert {"mutual_transconductance.transconductance"} < set(found)
    for block, slope in expected.items():
        cosine = np.vdot(slope, found[block]) / np.linalg.norm(slope) / np.linalg.norm(found[block])
        assert cosine > 1.0 - 1e-6
        assert np.vdot(slope, found[block]) / np.vdot(slope, slope) == pytest.approx(1.0, abs=2e-3)
