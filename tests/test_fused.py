"""Compiled epochs: the same training as the general rule, to rounding, for every chain of crossbars."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import analogep as aep
from analogep.circuit import Bank, Circuit, Topology, resistor_bank
from analogep.devices import Diode, IdealDiode, Resistor, SinhResistor, TanhNeuron
from analogep.errors import ConvergenceError, InputError
from analogep.learning import EquilibriumPropagation, NativeSolver, NonReciprocalEP, Rule, VectorFieldEP
from analogep.learning.fused import FusedEpochs, FusedSettings, NotAChain, why_not
from analogep.learning.fused.chain import Chain
from analogep.learning.steps.signs import hashed_signs
from analogep.networks import deep_resistive, glorot, hopfield, positive_part

SAMPLES = 19
NETWORKS: dict[str, dict[str, Any]] = {
    "clamped": {"hidden": "split", "diode": IdealDiode(), "bias": "current"},
    "two hidden layers": {"layers": [9, 8], "hidden": "split", "diode": IdealDiode(), "bias": "current"},
    "pairs and lines": {
        "layers": [9, 8],
        "hidden": "pair",
        "diode": IdealDiode(threshold=0.3),
        "bias": "lines",
        "paired_outputs": True,
    },
    "silicon and amplifiers": {
        "layers": [9, 8],
        "hidden": "split",
        "diode": Diode(),
        "bias": "current",
        "paired_outputs": True,
        "amplifier": (4.0, 0.25),
    },
    "rails": {
        "layers": [9, 8, 6],
        "hidden": "pair",
        "diode": Diode(series_resistance=0.1),
        "rails": (-0.2, 0.3),
        "bias": "lines",
        "amplifier": (2.0, 0.5),
    },
    "sinh and silicon": {"layers": [9, 8], "hidden": "split", "diode": Diode(), "bias": "current", "sinh": 0.1},
    "sinh and clamps": {"hidden": "split", "diode": IdealDiode(), "bias": "lines", "sinh": 0.5},
    "linear": {"layers": [40], "hidden": "linear", "bias": "none"},
    "no hidden layer": {"layers": [], "hidden": "linear", "bias": "current"},
    "hopfield": {"layers": [9, 8], "activation": "clipped_relu"},
    "hopfield, wide output": {"layers": [9], "activation": "clipped_relu", "outputs": 40},
    "saturating": {"layers": [9, 8], "activation": "tanh", "last": "identity"},
    "feedforward": {"layers": [9, 8], "activation": "clipped_relu", "coupling": "forward"},
    "non-reciprocal": {"layers": [9, 8], "activation": "clipped_relu", "coupling": "both"},
    "non-reciprocal, wide": {"layers": [9, 40], "activation": "identity", "coupling": "both"},
    "three layers and amplifiers": {
        "layers": [34, 40, 33],
        "hidden": "split",
        "diode": IdealDiode(threshold=0.1),
        "bias": "lines",
        "amplifier": (2.0, 0.5),
    },
    "two layers of silicon": {"layers": [36, 33], "hidden": "split", "diode": Diode(), "bias": "current"},
}
WIDE: dict[str, dict[str, Any]] = {  # with two tiles and two chunks of rows; Newton's method takes too long
    "wide": {"layers": [900, 40], "hidden": "split", "diode": IdealDiode(), "bias": "current"},
}
RECIPROCAL = [name for name in NETWORKS if "coupling" not in NETWORKS[name]]
"""Networks with an energy."""


def network(name: str, seed: int = 3) -> Circuit:
    options = dict({**NETWORKS, **WIDE}[name])
    hidden = options.pop("layers", [9])
    if "activation" in options:
        return of_transconductances(hidden, seed, **options)
    v0 = options.pop("sinh", None)
    rng = np.random.default_rng(seed)
    circuit = deep_resistive([12, *hidden, 4], initial=positive_part(1.0), rng=rng, **options)
    return circuit if v0 is None else with_sinh(circuit, circuit.crossbars[0].columns, v0)


def of_transconductances(
    hidden: list[int], seed: int, outputs: int = 4, last: str = "", **options: Any
) -> Circuit:
    circuit = hopfield(
        [12, *hidden, outputs], leak=1.0, initial=glorot(0.6), rng=np.random.default_rng(seed), **options
    )
    if last:  # the output neurons without what limits them
        kept = tuple(bank for bank in circuit.banks if bank.name != f"neuron{len(hidden) + 1}")
        ends = circuit.output_pairs
        leak = resistor_bank("leak_out", ends, np.ones(len(ends)), [f"Rout{k}" for k in range(len(ends))])
        circuit = replace(circuit, banks=(*kept, leak), topology=Topology())
    return circuit


def with_sinh(circuit: Circuit, nodes: np.ndarray, v0: float, trainable: bool = False) -> Circuit:
    """Tie each node to ground by a sinh resistor of 0.2 S."""
    pins = np.stack([nodes, 0 * nodes], axis=1)
    law = {"conductance": np.full(len(nodes), 0.2), "v0": np.full(len(nodes), v0)}
    learns = frozenset({"conductance"} if trainable else ())
    bank = Bank("bend", SinhResistor, pins, law, tuple(f"bend{n}" for n in nodes), learns)
    return Circuit(
        circuit.nodes, (*circuit.banks, bank), circuit.crossbars, circuit.input_nodes, circuit.output_pairs
    )


def data(seed: int = 1, outputs: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Line voltages (S, 6) [V], half of them 0, and one-hot targets (S, O) [V]."""
    rng = np.random.default_rng(seed)
    lines = np.where(rng.random((SAMPLES, 6)) < 0.5, 0.0, 3.0 * rng.normal(size=(SAMPLES, 6)))
    return lines, np.eye(outputs)[rng.integers(0, 4, SAMPLES)]


def fused(circuit: Circuit, batch: int, given: FusedSettings, rate: float = 0.003) -> FusedEpochs:
    lines, targets = data(outputs=len(circuit.output_pairs))
    rates = dict.fromkeys(circuit.parameters, rate)
    return FusedEpochs(
        circuit,
        lines,
        targets,
        rates=rates,
        bounds=circuit.parameter_ranges,
        batch=batch,
        settings=given,
        doubled=True,
    )


def by_the_rule(circuit: Circuit, order: np.ndarray, batch: int, rule: Rule) -> tuple[Circuit, np.ndarray]:
    """Train with the general rule on Newton's phases: the trained circuit and each sample's cost, in order."""
    lines, targets = data(outputs=len(circuit.output_pairs))
    inputs = np.concatenate([lines, -lines], axis=1)
    costs = []
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        gradient = rule.gradient(circuit, inputs[part], targets[part], solver=NativeSolver("newton"))
        costs.append(gradient.cost)
        new = {
            k: np.clip(v - 0.003 * gradient[k], *circuit.parameter_ranges[k])
            for k, v in circuit.parameters.items()
        }
        circuit = circuit.with_parameters(new)
    return circuit, np.concatenate(costs)


def test_however_a_chain_is_cut_its_parameters_are_the_circuits() -> None:
    circuit = network("wide")
    tiles = set()
    for parts in (1, 2, 3, 9):
        chain = Chain(circuit, doubled=True, dtype=np.dtype(np.float32), parts=parts)
        tiles.add(len(chain.net.tiles))
        assert chain.net.first.ctypes.data % 64 == 0
        for block, value in chain.parameters().items():
            assert np.array_equal(value, circuit.parameters[block].astype(np.float32)), block
    assert len(tiles) > 2


@pytest.mark.parametrize("variant", ["positive", "negative", "centered"])
@pytest.mark.parametrize("name", RECIPROCAL)
def test_an_epoch_is_what_the_rule_does(name: str, variant: Any) -> None:
    circuit, order = network(name), np.random.default_rng(5).permutation(SAMPLES)
    batch = 1 + len(name) % 5
    run = fused(circuit, batch, FusedSettings(0.1, variant, tolerance=1e-13, threads=1))
    assert run.run(order) == SAMPLES
    wanted, costs = by_the_rule(circuit, order, batch, EquilibriumPropagation(0.1, variant))
    for block, value in wanted.parameters.items():
        np.testing.assert_allclose(run.circuit.parameters[block], value, rtol=0, atol=1e-11, err_msg=block)
    np.testing.assert_allclose(run.lost[order], costs, rtol=0, atol=1e-10)
    lines, _ = data()
    outputs = aep.operating_point(wanted, np.concatenate([lines, -lines], axis=1)).outputs
    np.testing.assert_allclose(run.outputs(lines), outputs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("direction", ["non_reciprocal", "vector_field"])
@pytest.mark.parametrize("name", [n for n in NETWORKS if "activation" in NETWORKS[n]])
def test_an_epoch_without_an_energy_is_what_the_rules_do(name: str, direction: Any) -> None:
    circuit, order = network(name), np.random.default_rng(5).permutation(SAMPLES)
    batch = 1 + len(name) % 5
    # small β: the rule's correction is linear through an ideal diode's corner, and turned couplings are not
    beta = 1e-5
    run = fused(circuit, batch, FusedSettings(beta, direction=direction, tolerance=1e-13, threads=1))
    assert run.run(order) == SAMPLES
    rule = {"non_reciprocal": NonReciprocalEP, "vector_field": VectorFieldEP}[direction](beta)
    wanted, costs = by_the_rule(circuit, order, batch, rule)
    for block, value in wanted.parameters.items():
        np.testing.assert_allclose(run.circuit.parameters[block], value, rtol=0, atol=1e-8, err_msg=block)
    np.testing.assert_allclose(run.lost[order], costs, rtol=0, atol=1e-8)


def test_a_circuit_without_an_energy_is_refused_where_one_is_needed() -> None:
    with pytest.raises(InputError, match="has no energy"):
        fused(network("non-reciprocal"), 4, FusedSettings(0.1))


@pytest.mark.parametrize("name", ["clamped", "hopfield"])
def test_random_signs_are_one_sided_updates_of_either_kind(name: str) -> None:
    circuit, order = network(name), np.random.default_rng(5).permutation(SAMPLES)
    signs = hashed_signs(order, 3)
    assert {-1.0, 1.0} == set(signs)
    run = fused(circuit, 3, FusedSettings(0.1, "random", tolerance=1e-13, threads=1))
    run.run(order)
    for k, sign in enumerate(signs):
        rule = EquilibriumPropagation(0.1, "positive" if sign > 0 else "negative")
        circuit, _ = by_the_rule(circuit, order[3 * k : 3 * k + 3], 3, rule)
    for block, value in circuit.parameters.items():
        np.testing.assert_allclose(run.circuit.parameters[block], value, rtol=0, atol=1e-11, err_msg=block)


@pytest.mark.parametrize("sweeps", [1, 3])
@pytest.mark.parametrize("name", [*RECIPROCAL, *WIDE])
def test_a_fixed_number_of_sweeps_is_that_of_the_layered_engine(name: str, sweeps: int) -> None:
    circuit = network(name)
    run = fused(circuit, SAMPLES, FusedSettings(0.1, sweeps=sweeps, threads=1))
    run.run(np.arange(SAMPLES))
    lines, targets = data(outputs=len(circuit.output_pairs))
    found = aep.operating_point(circuit, np.concatenate([lines, -lines], axis=1), sweeps=sweeps)
    costs = 0.5 * ((found.outputs - targets) ** 2).sum(axis=1)
    # Nodes with exponentials: an epoch's sweeps stop within Newton's quadratic reach, operating points go on.
    newton = any(b.device in (Diode, SinhResistor, TanhNeuron) for b in circuit.banks)
    np.testing.assert_allclose(run.lost, costs, rtol=0, atol=1e-3 if newton else 1e-13)


def test_samples_whose_block_steps_run_away_are_handed_on() -> None:
    # h = x − 2 y and y = 2 h, in units of the leak: y = 2 x / 5, and block steps multiply what is missing by −4
    initial = {"W1.forward": [[1.0], [0.0]], "W2.forward": [[2.0]], "W2.backward": [[-2.0]]}
    options: Any = {"activation": "identity", "coupling": "both", "leak": 1.0, "bias": False}
    circuit = hopfield([2, 1, 1], initial=initial, **options)
    lines, given_ = np.array([[0.0], [0.5], [-1.0]]), FusedSettings(0.01, direction="non_reciprocal")
    run = FusedEpochs(
        circuit, lines, np.zeros((3, 1)), rates={}, bounds={}, batch=1, settings=given_, doubled=True
    )
    with pytest.raises(ConvergenceError, match="2 of 3 samples did not settle"):
        run.outputs(lines)
    asked = []

    def otherwise(stalled: np.ndarray) -> np.ndarray:
        asked.append(stalled.tolist())
        volts = lines[stalled]
        return aep.operating_point(circuit, np.concatenate([volts, -volts], axis=1)).outputs

    np.testing.assert_allclose(run.outputs(lines, otherwise), 0.4 * lines, atol=1e-12)
    assert asked == [[1, 2]]


def test_frozen_nudges() -> None:
    circuit, order = network("silicon and amplifiers"), np.arange(SAMPLES)
    run = fused(circuit, 4, FusedSettings(0.1, nudge="frozen", tolerance=1e-13, threads=1))
    run.run(order)
    wanted, _ = by_the_rule(circuit, order, 4, EquilibriumPropagation(0.1, nudge="frozen"))
    for block, value in wanted.parameters.items():
        np.testing.assert_allclose(run.circuit.parameters[block], value, rtol=0, atol=1e-11, err_msg=block)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(sorted([*NETWORKS, *WIDE])),
    batch=st.integers(1, 9),
    threads=st.integers(2, 4),
    chunk=st.integers(1, 3),
    precision=st.sampled_from(["float32", "float64"]),
    sweeps=st.sampled_from([0, 4]),
)
def test_the_bits_depend_on_neither_threads_nor_pieces(
    name: str, batch: int, threads: int, chunk: int, precision: Any, sweeps: int
) -> None:
    circuit, order = network(name), np.random.default_rng(5).permutation(SAMPLES)
    direction: Any = "energy" if name in RECIPROCAL else "non_reciprocal"
    given_ = FusedSettings(0.1, direction=direction, sweeps=sweeps, tolerance=1e-6, precision=precision, threads=1)
    whole = fused(circuit, batch, given_)
    whole.run(order)
    shared = fused(circuit, batch, replace(given_, threads=threads))
    resumed = circuit
    for start in range(0, SAMPLES, chunk * batch):
        part = order[start : start + chunk * batch]
        shared.run(part)
        again = fused(resumed, batch, given_)  # as from a checkpoint
        again.run(part)
        resumed = again.circuit
    for block, value in whole.circuit.parameters.items():
        np.testing.assert_array_equal(shared.circuit.parameters[block], value, err_msg=block)
        np.testing.assert_array_equal(resumed.parameters[block], value, err_msg=block)


@pytest.mark.parametrize("name", [*RECIPROCAL, *WIDE])
def test_sweeps_of_kept_states_add_up(name: str) -> None:
    """Without updates, k epochs of one sweep that keep their states are one epoch of k sweeps from rest."""
    circuit, order = network(name), np.random.default_rng(7).permutation(SAMPLES)
    kept = fused(circuit, 4, FusedSettings(0.1, sweeps=1, threads=1, persistent=True), rate=0.0)
    for sweeps in (1, 2, 3):
        kept.run(order)
        whole = fused(circuit, 4, FusedSettings(0.1, sweeps=sweeps, threads=1), rate=0.0)
        whole.run(order)
        np.testing.assert_allclose(kept.lost, whole.lost, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["two hidden layers", "hopfield", "saturating"])
def test_a_cut_off_nudge_reaches_as_many_groups_as_it_has_sweeps(name: str) -> None:
    """Of three groups the nudge has moved k after k sweeps; after many sweeps the phase has settled."""
    circuit, order = network(name), np.arange(SAMPLES)
    learnt = {}
    for sweeps in (1, 2, 3, 400, 0):
        run = fused(circuit, 4, FusedSettings(0.1, nudged_sweeps=sweeps, tolerance=1e-13, threads=1))
        run.run(order[:4])
        learnt[sweeps] = run.circuit.parameters
    for k, first in ((1, ("W1", "b1", "W2", "b2")), (2, ("W1", "b1")), (3, ())):
        for block, value in circuit.parameters.items():
            moved = np.abs(learnt[k][block] - value).max()
            # the crossbar between the last group that moves and the one before it has a difference, too
            still = block.startswith(first) and not (block[0] == "W" and block[1] == str(4 - k))
            assert (moved < 1e-12) == still, (k, block)
    for block, value in learnt[0].items():
        np.testing.assert_allclose(learnt[400][block], value, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("persistent", "cost"), [(True, 0.0), (False, 0.5)])
def test_samples_keep_their_own_equilibrium_of_several(persistent: bool, cost: float) -> None:
    """By hand: h = clip(u + 2 y − ½), y = clip(2 h − ½) rest at (0, 0) and (1, 1) for 0.2 V, at (1, 1) for 1 V."""
    circuit = hopfield([1, 1, 1], activation="clipped_relu", leak=1.0, limit=1.0)
    values = {"W1.forward": 1.0, "W2.transconductance": 2.0, "b1.amplitude": -0.5, "b2.amplitude": -0.5}
    circuit = circuit.with_parameters({k: np.full_like(v, values[k]) for k, v in circuit.parameters.items()})
    run = FusedEpochs(
        circuit, np.ones((3, 1)), np.ones((3, 1)), rates={}, bounds={}, batch=2,
        settings=FusedSettings(0.1, threads=1, persistent=persistent),
    )  # fmt: skip
    run.run(np.arange(3))
    np.testing.assert_allclose(run.lost, 0.0, atol=1e-12)
    run.data[:] = 0.2
    run.run(np.arange(3))
    np.testing.assert_allclose(run.lost, cost, atol=1e-12)


def test_single_precision_stays_close() -> None:
    circuit, order = network("two hidden layers"), np.arange(SAMPLES)
    runs = [fused(circuit, 4, FusedSettings(0.1, precision=p, threads=1)) for p in ("float32", "float64")]
    for run in runs:
        run.run(order)
    for block, value in runs[1].circuit.parameters.items():
        np.testing.assert_allclose(
            runs[0].circuit.parameters[block], value, rtol=0, atol=1e-4 * np.abs(value).max()
        )


def test_few_sweeps_are_few() -> None:
    # One sweep from rest: the first group sees only its lines, the outputs only the first group.
    circuit = network("clamped")
    run = fused(circuit, SAMPLES, FusedSettings(0.1, sweeps=1, threads=1), rate=0.0)
    run.run(np.arange(SAMPLES))
    lines, targets = data()
    first, second = (c.conductance for c in circuit.crossbars)
    h = np.concatenate([lines, -lines], axis=1) @ first / (first.sum(axis=0) + second.sum(axis=1))
    h = np.where(np.arange(h.shape[1]) < (h.shape[1] + 1) // 2, np.maximum(h, 0), np.minimum(h, 0))
    outputs = h @ second / second.sum(axis=0)
    np.testing.assert_allclose(run.lost, 0.5 * ((outputs - targets) ** 2).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_errors_of_a_regression_are_outputs_beyond_the_tolerance(precision: Any) -> None:
    """Nothing moves without rates, so that Newton's outputs of every sample are those of the epoch."""
    circuit = network("two hidden layers")
    lines, targets = data()
    targets = targets + np.random.default_rng(4).normal(size=targets.shape)
    outputs = aep.operating_point(circuit, np.concatenate([lines, -lines], axis=1), method="newton").outputs
    miss = np.abs(outputs - targets).max(axis=1)
    tolerance = float(np.median(miss)) + 1e-4  # the median is a sample's own
    kwargs: dict[str, Any] = {"rates": {}, "bounds": {}, "batch": 4, "doubled": True}
    given = FusedSettings(0.1, precision=precision)
    run = FusedEpochs(circuit, lines, targets, **kwargs, settings=given, tolerance=tolerance)
    assert run.run(np.arange(SAMPLES)) == SAMPLES
    assert run.wrong.tolist() == (miss > tolerance).tolist()
    assert run.wrong.sum() == SAMPLES // 2
    np.testing.assert_allclose(run.lost, 0.5 * ((outputs - targets) ** 2).sum(axis=1), rtol=1e-4)
    with pytest.raises(InputError, match=r"tolerance = -0\.1 V must not be negative"):
        FusedEpochs(circuit, lines, targets, **kwargs, settings=given, tolerance=-0.1)


def test_a_batch_that_does_not_settle_is_not_applied() -> None:
    circuit = network("clamped")
    held = circuit.crossbars[-1].conductance.sum(axis=0).min()
    run = fused(circuit, 4, FusedSettings(2.0 * held, threads=1))  # the repelled outputs run away
    assert run.run(np.arange(SAMPLES)) == 0
    for block, value in circuit.parameters.items():
        np.testing.assert_array_equal(run.circuit.parameters[block], value)
    with pytest.raises(ConvergenceError, match="smaller β"):
        fused(circuit, 4, FusedSettings(1e3 * held, sweeps=200, threads=1)).run(np.arange(SAMPLES))


def test_bounds_hold() -> None:
    circuit = network("clamped")
    lines, targets = data()
    bounds = {"W1.conductance": (0.05, 0.3), "b1.amplitude": (-1e-3, 1e-3)}
    run = FusedEpochs(
        circuit,
        lines,
        targets,
        rates=dict.fromkeys(circuit.parameters, 0.5),
        bounds=bounds,
        batch=4,
        settings=FusedSettings(0.1, threads=1),
        doubled=True,
    )
    run.run(np.arange(SAMPLES))
    for block, (low, high) in bounds.items():
        value = run.circuit.parameters[block]
        assert value.min() >= low
        assert value.max() <= high
        assert (value == low).any() or (value == high).any()


def test_what_is_no_chain_says_why() -> None:
    assert why_not(network("clamped")) is None
    circuit = network("clamped")
    node = circuit.node("h1_0"), circuit.node("h1_1")
    bridge = Bank("bridge", Resistor, np.array([node]), {"conductance": np.ones(1)}, ("bridge1",))
    joined = Circuit(
        circuit.nodes, (*circuit.banks, bridge), circuit.crossbars, circuit.input_nodes, circuit.output_pairs
    )
    reason = why_not(joined)
    assert reason is not None
    assert "bridge1" in reason
    with pytest.raises(NotAChain, match="bridge1"):
        fused(joined, 4, FusedSettings(0.1))


def test_sinh_resistors_that_the_kernels_cannot_take_are_named() -> None:
    circuit = network("clamped")
    hidden, outputs = (c.columns for c in circuit.crossbars)
    assert why_not(with_sinh(circuit, hidden, 0.1)) is None
    assert why_not(with_sinh(circuit, outputs, 0.1)) == f"bend{outputs[0]} is a sinh_resistor at an output group"
    assert "bank bend is trainable" in str(why_not(with_sinh(circuit, hidden, 0.1, trainable=True)))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"beta": 0.0}, "beta"),
        ({"variant": "both"}, "variant"),
        ({"nudge": "soft"}, "nudge"),
        ({"sweeps": -1}, "sweeps"),
        ({"nudged_sweeps": -2}, "nudged_sweeps = -2 must not be negative"),
        ({"tolerance": 0.1}, "tolerance"),
        ({"precision": "float16"}, "precision"),
        ({"threads": -1}, "threads"),
    ],
)
def test_bad_settings_are_named(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        FusedSettings(**{"beta": 0.1, **change})


def test_shapes_must_fit() -> None:
    circuit, (lines, targets) = network("clamped"), data()
    rates = dict.fromkeys(circuit.parameters, 0.1)
    common: dict[str, Any] = {
        "rates": rates,
        "bounds": {},
        "batch": 4,
        "settings": FusedSettings(0.1),
        "doubled": True,
    }
    with pytest.raises(InputError, match=r"lines have shape \(19, 5\); expected \(samples, 6\)"):
        FusedEpochs(circuit, lines[:, 1:], targets, **common)
    with pytest.raises(InputError, match="targets"):
        FusedEpochs(circuit, lines, targets[1:], **common)


def test_kernels_are_kept_by_the_text_of_all_of_them(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(
        "import numba\nfrom analogep.solve import compiled\n"
        "before = numba.config.CACHE_DIR\n"
        "@compiled.compiled\ndef more(x):\n    return x + 1\n"
        "assert more(1) == 2 and numba.config.CACHE_DIR == before\nprint(compiled.kept_in())\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "loop.py")]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    folder = Path(out.stdout.strip())
    assert folder.name.startswith("kernels-")
    assert folder.parent == tmp_path
    assert list(folder.rglob("*.nbi"))
