"""What is returned is stable: the leaky integrator stays there, by a spectrum that the test takes by itself."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import analogep as aep
from analogep.circuit import Circuit
from analogep.devices import VCCS, VCVS, CurrentSource, Diode, Resistor
from analogep.errors import UnstableWarning
from analogep.networks import hopfield_graph
from analogep.solve import Solution, stability

LEAK = 1e-4


def rates(circuit: Circuit, inputs: np.ndarray, found: Solution) -> np.ndarray:
    """Largest real parts [S] of −∂F/∂v at the nodes that no source holds, by differences of Kirchhoff's law."""
    from analogep.solve.equations.system import node_currents

    free = [n for n in range(1, len(circuit.nodes)) if n not in circuit.input_nodes]
    out = []
    for v in found.voltages:
        jacobian = np.zeros((len(free), len(free)))
        for k, n in enumerate(free):
            h = 1e-6
            step = np.zeros((2, len(v)))
            step[0, n], step[1, n] = h, -h
            up, down = node_currents(circuit, v + step)
            jacobian[:, k] = (up - down)[free] / (2.0 * h)
        out.append(np.linalg.eigvals(-jacobian).real.max())
    return np.array(out)


def test_the_saddle_of_three_neurons_is_left() -> None:
    # By hand: with weights .5 and 2 leaks, h = −.936 and .972 are stable, and h = −.067 is a saddle.
    circuit = hopfield_graph(
        [(0, 1), (1, 2)], [0.5 * LEAK, 2 * LEAK], inputs=[0], outputs=[2], activation="tanh", leak=LEAK
    )
    found = aep.operating_point(circuit, [[0.4], [0.0]])
    h = found.voltages[:, circuit.node("s1")]
    assert min(abs(h[0] - 0.972), abs(h[0] + 0.936)) < 1e-3
    assert (np.abs(h) > 0.5).all()
    assert found.stable is not None
    assert found.stable.all()
    assert (stability(found) < 0.0).all()
    assert [attempt.name for attempt in found.trace] == ["leaving unstable points"]


@pytest.mark.parametrize("seed", range(6))
def test_active_hopfield_graphs_rest_where_their_flow_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(3, 9))
    edges = [(k, k + 1) for k in range(count - 1)]
    edges += [(a, b) for a in range(count) for b in range(a + 2, count) if rng.random() < 0.3]
    weights = rng.normal(0.0, 2.0, len(edges)) * LEAK
    circuit = hopfield_graph(edges, weights, inputs=[0], outputs=[count - 1], activation="tanh", leak=LEAK)
    drive = np.append(rng.uniform(-1, 1, 3), 0.0)[:, None]
    found = aep.operating_point(circuit, drive)
    assert (rates(circuit, drive, found) < 1e-9).all()
    assert (found.residual < 1e-12).all()
    largest = stability(found, node_capacitance=1.0)
    assert np.allclose(largest, rates(circuit, drive, found), rtol=1e-3, atol=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_latches_rest_at_one_of_their_sides(seed: int) -> None:
    # Two stages −i·tanh(s v) into a load each: the middle is a saddle where their gains multiply to more than 1.
    rng = np.random.default_rng(seed)
    i, s, offset = rng.uniform(2e-4, 5e-4), rng.uniform(1, 4), rng.uniform(-1, 1) * 1e-6 * (seed % 2)
    text = f"* latch\nB0 x 0 I={{{i!r}*tanh({s!r}*v(y))}}\nB1 y 0 I={{{i!r}*tanh({s!r}*v(x))}}\n"
    text += f"R0 x 0 10k\nR1 y 0 10k\nI1 0 x {offset!r}\n.op\n.end\n"
    circuit = aep.spice.from_netlist(text)
    found = aep.operating_point(circuit)
    assert (rates(circuit, np.zeros((1, 0)), found) < 0.0).all()
    assert abs(found.voltage("x")[0]) > 0.3


def test_a_negative_resistance_that_outweighs_all_is_said() -> None:
    circuit = _graph(
        ("in", "a", Resistor(conductance=1e-3)),
        ("a", "0", VCCS(transconductance=-2e-3, control=("a", "0"))),
        inputs=["in"],
    )
    with pytest.warns(UnstableWarning, match="node a grows"):
        found = aep.operating_point(circuit, [[1.0]])
    assert found.voltage("a")[0] == pytest.approx(-1.0)  # by hand: (1 − v) 1 mS + v 2 mS = 0
    assert stability(found, 1e-12)[0] == pytest.approx(1e-3 / 1e-12)


def test_an_oscillator_rests_at_its_centre_with_a_word() -> None:
    # Three inverting stages of gain 4 in a ring: every deviation circles and grows; there is no stable point.
    text = "* ring\n"
    for k in range(3):
        text += f"B{k} x{k} 0 I={{4e-4*tanh(v(x{(k - 1) % 3}))}}\nR{k} x{k} 0 10k\n"
    circuit = aep.spice.from_netlist(text + ".op\n.end\n")
    with pytest.warns(UnstableWarning, match=r"oscillates at .* Hz"):
        found = aep.operating_point(circuit)
    assert found.stable is not None
    assert not found.stable.any()
    # Eigenvalues of the ring: g (−1 + 4 e^{iπ/3}), real part g (2 − 1).
    assert stability(found, 1e-12)[0] == pytest.approx(1e-4 / 1e-12, rel=1e-6)


@pytest.mark.parametrize("gain", [1e2, 1e3, 1e4, 3e4, 1e5, 2e5, 1e6, 1e7, 1e8, 1e9])
def test_ideal_amplifiers_in_negative_feedback_are_stable_at_every_gain(gain: float) -> None:
    # By hand: n = ((vin/R1 + out/R2) / (1/R1 + 1/R2)), out = gain (vref − n).
    r1, r2, vin, vref = 1e4, 4.7e4, 1.0, 1.25
    circuit = _graph(
        ("in", "n", Resistor(conductance=1 / r1)),
        ("n", "out", Resistor(conductance=1 / r2)),
        ("out", "0", VCVS(gain=gain, control=("ref", "n"))),
        ("out", "d", Diode(saturation_current=2.52e-9, emission=1.752)),
        ("d", "0", Resistor(conductance=1 / 4.7e3)),
        ("out", "g", Diode()),
        ("g", "0", Resistor(conductance=1e-6)),
        ("ref", "0", Resistor(conductance=1e-3)),
        inputs=["in", "ref"],
    )
    share = (1 / r2) / (1 / r1 + 1 / r2)
    out = gain * (vref - vin * (1 - share)) / (1 + gain * share)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = aep.operating_point(circuit, [[vin, vref]])
    assert found.voltage("out")[0] == pytest.approx(out, rel=1e-9)
    assert stability(found)[0] < 0.0


def test_passive_circuits_are_not_asked() -> None:
    circuit = _graph(
        ("in", "a", Resistor(conductance=1e-3)),
        ("a", "0", Diode()),
        ("a", "0", CurrentSource(amplitude=1e-4)),
        inputs=["in"],
    )
    assert aep.operating_point(circuit, [[1.0]]).stable is None
    assert math.isfinite(stability(aep.operating_point(circuit, [[1.0]]))[0])


def _graph(*edges: tuple[str, str, object], inputs: list[str]) -> Circuit:
    import networkx as nx

    g = nx.MultiDiGraph()
    for a, b, device in edges:
        g.add_edge(a, b, device=device)
    return Circuit.from_graph(g, inputs=inputs, outputs=[])
