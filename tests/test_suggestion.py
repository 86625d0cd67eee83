"""The suggested β on circuits of every nonlinear device, limits of active circuits, and β that rounding eats."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest

from analogep.circuit import Circuit
from analogep.devices import (
    NMOS,
    PMOS,
    REGISTRY,
    Device,
    Diode,
    IdealDiode,
    JunctionDiode,
    Resistor,
    SinhResistor,
    TanhNeuron,
    behavioural,
)
from analogep.errors import GradientWarning, InputError, RuleError
from analogep.learning import (
    Adjoint,
    CoupledLearning,
    EquilibriumPropagation,
    FrequencyPropagation,
    HolomorphicEP,
    NonReciprocalEP,
    VectorFieldEP,
    energy_scale,
    largest_safe_beta,
    suggest_beta,
)
from analogep.networks import deep_resistive, hopfield_graph
from analogep.solve import operating_point

INPUTS, TARGETS = np.array([[1.2], [0.7]]), np.array([[0.9], [-0.6]])


def bent(kind: str, rng: np.random.Generator) -> Device:
    """One nonlinear device between a hidden node and ground, controlled from there where it has controls."""
    small = rng.uniform(0.5, 2.0)
    made: dict[str, Any] = {
        "diode": lambda: Diode(saturation_current=1e-9 * small),
        "junction_diode": lambda: JunctionDiode(saturation_current=1e-9 * small, breakdown_voltage=0.4 * small),
        "ideal_diode": lambda: IdealDiode(threshold=0.3 * small),
        "sinh_resistor": lambda: SinhResistor(conductance=1e-4, v0=0.2 * small),
        "tanh_neuron": lambda: TanhNeuron(conductance=1e-4, saturation_voltage=0.5 * small),
        "nmos": lambda: NMOS(threshold=0.2 * small, transconductance=1e-3, control=("h", "0")),
        "pmos": lambda: PMOS(threshold=-0.2 * small, transconductance=1e-3, control=("y", "0")),
        "behavioural": lambda: behavioural("1e-4*v(a,b)^3 + 1e-4*v(a,b)"),
    }
    return made[kind]()  # type: ignore[no-any-return]


KINDS = [k for k, d in REGISTRY.items() if not d.linear and k != "switch"]
"""A switch keeps its state: it bends nothing between its thresholds."""


def circuit_with(kind: str, seed: int) -> Circuit:
    rng = np.random.default_rng(seed)
    graph = nx.MultiDiGraph()
    for k, (a, b) in enumerate((("x", "h"), ("h", "y"), ("y", "0"), ("h", "0"), ("x", "y"))):
        graph.add_edge(a, b, device=Resistor(conductance=rng.uniform(2e-5, 2e-4)), name=f"r{k}", trainable=True)
    graph.add_edge("h", "0", device=bent(kind, rng), name="bent")
    if kind != "ideal_diode":  # it would hold the output
        graph.add_edge("y", "0", device=bent(kind, rng), name="bent2")
    return Circuit.from_graph(graph, inputs=["x"], outputs=["y"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_at_the_suggested_beta_the_centered_estimate_is_the_gradient(kind: str, seed: int) -> None:
    circuit = circuit_with(kind, seed)
    beta = suggest_beta(circuit, INPUTS, TARGETS).beta
    rule = EquilibriumPropagation(beta) if energy_scale(circuit).culprit is None else NonReciprocalEP(beta)
    expected = Adjoint().gradient(circuit, INPUTS, TARGETS)
    found = rule.gradient(circuit, INPUTS, TARGETS)
    for block, slope in expected.items():
        assert np.vdot(slope, found[block]) / np.vdot(slope, slope) == pytest.approx(1.0, abs=0.01)
        assert np.vdot(slope, found[block]) > 0.9999 * np.linalg.norm(slope) * np.linalg.norm(found[block])


# --- active circuits -----------------------------------------------------------------------------------------


LEAK = 1e-4


def chain(coupling: float) -> Circuit:
    """Neurons x, h, y with W(x, h) = .5 and W(h, y) = ``coupling`` leaks."""
    weights = [0.5 * LEAK, coupling * LEAK]
    return hopfield_graph([(0, 1), (1, 2)], weights, inputs=[0], outputs=[2], activation="tanh", leak=LEAK)


def test_the_limit_of_an_active_circuit_is_that_of_its_operating_points() -> None:
    """By hand: [[a, −w], [−w, b − β]] is singular where β = b − w²/a, a and b the slopes of the leaks."""
    circuit, w = chain(0.6), 0.6
    free = operating_point(circuit, [0.4])
    y = float(free.outputs[0, 0])
    h = np.arctanh(y) / w
    a, b = 1.0 / (1.0 - h**2), 1.0 / (1.0 - y**2)
    assert largest_safe_beta(circuit, [0.4]) == pytest.approx((b - w**2 / a) * LEAK, rel=1e-9)
    assert largest_safe_beta(circuit) == pytest.approx((1.0 - w**2) * LEAK, rel=1e-9)  # slopes are 1 at least
    limit = largest_safe_beta(circuit, [0.4])
    EquilibriumPropagation(0.9 * limit, "negative").gradient(circuit, [[0.4]], [[y + 1e-3]])
    with pytest.raises(InputError, match="of sample 0: nudged by"):
        EquilibriumPropagation(1.1 * limit, "negative").gradient(circuit, [[0.4]], [[y + 1e-3]])


def test_a_circuit_that_only_its_junctions_make_stable_has_no_limit_of_its_own() -> None:
    """Coupled by 2 leaks, the neurons are stable where they saturate and nowhere else."""
    circuit = chain(2.0)
    assert largest_safe_beta(circuit) == 0.0
    stable = operating_point(circuit, [0.4], method="transient")
    assert float(stable.outputs[0, 0]) == pytest.approx(0.960, abs=1e-3)
    saddle = np.array([[0.0, 0.4, -0.0668, -0.1337]])

    def at_the_saddle(circuit: Circuit, inputs: Any, nudge: Any = None, *, v0: Any = None) -> Any:
        from dataclasses import replace

        voltages = np.zeros_like(stable.voltages)
        voltages[:, [circuit.node("s0"), circuit.node("s1"), circuit.node("s2")]] = saddle[:, 1:]
        return replace(stable, voltages=voltages)

    with pytest.raises(RuleError, match="that of sample 0 is unstable"):
        EquilibriumPropagation(1e-7).gradient(circuit, [[0.4]], [[0.9]], solver=at_the_saddle)


# --- rounding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [EquilibriumPropagation, NonReciprocalEP, VectorFieldEP, HolomorphicEP, FrequencyPropagation, CoupledLearning],
)
def test_a_strength_that_rounding_eats_is_refused_with_one_that_is_enough(kind: Any) -> None:
    circuit = deep_resistive([2, 3, 1], hidden="pair", rails=(-0.1, 0.1))
    with pytest.raises(InputError, match=r"= 1e-20.* moves no node by more than .* Use .* above (\S+)") as caught:
        kind(1e-20).gradient(circuit, [[1.0, 0.5]], [[0.05]])
    enough = 2e3 * float(str(caught.value).split("above ")[1].split()[0])
    expected = kind(1e-9).gradient(circuit, [[1.0, 0.5]], [[0.05]])
    found = kind(enough).gradient(circuit, [[1.0, 0.5]], [[0.05]])
    for block, slope in expected.items():
        assert np.vdot(slope, found[block]) / np.vdot(slope, slope) == pytest.approx(1.0, abs=0.02)


def test_outputs_that_ideal_diodes_hold_are_said_to_be() -> None:
    graph = nx.MultiDiGraph()
    graph.add_edge("x", "y", device=Resistor(conductance=1e-4), name="r", trainable=True)
    graph.add_edge("y", "0", device=IdealDiode(), name="d")
    circuit = Circuit.from_graph(graph, inputs=["x"], outputs=["y"])
    with pytest.warns(GradientWarning, match="ideal diodes hold its outputs"):
        found = EquilibriumPropagation(1e-6, "positive").gradient(circuit, [[1.0]], [[0.5]])
    assert np.abs(found["resistor.conductance"]).max() < 1e-6  # of about 1e4 V²/S were it free
    with pytest.raises(InputError, match="cannot move"):
        suggest_beta(circuit, [[1.0]], [[0.5]])


def test_targets_that_are_met_need_no_warning() -> None:
    circuit = deep_resistive([2, 3, 1], hidden="pair", rails=(-0.1, 0.1))
    met = operating_point(circuit, [1.0, 0.5]).outputs
    found = EquilibriumPropagation(1e-7).gradient(circuit, [[1.0, 0.5]], met)
    assert max(np.abs(g).max() for g in found.values()) < 1e-9
