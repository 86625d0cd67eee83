"""A run folder describes the circuit that was trained, a checkpoint the run that goes on; others are refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_training import table

import analogep as aep
from analogep.circuit import Circuit
from analogep.devices import SinhResistor
from analogep.errors import AnalogepError, ConfigError, InputError
from analogep.training import Progress, build_problem, train_problem
from analogep.training.files.folder import CHECKPOINT, CIRCUIT, read_run


def bent(circuit: Circuit) -> Circuit:
    """The same network with a bent conductance to ground at every output: one that no configuration describes."""
    graph = circuit.to_graph()
    for k, output in enumerate(circuit.outputs):
        graph.add_edge(output, "0", device=SinhResistor(1e-5, 0.5), name=f"S{k}", bank="bent")
    return Circuit.from_graph(graph)


class _Stop(Progress):
    def batch(self, epoch: int, samples: int, loss: float, error: float) -> None:
        if epoch == 3:
            raise KeyboardInterrupt


def by_hand() -> aep.training.Problem:
    described = build_problem(table(**{"training/epochs": 3, "training/checkpoint_updates": 1}))
    return build_problem(described.config, circuit=bent(described.circuit))


def test_a_circuit_put_in_by_hand_comes_back_from_its_folder(tmp_path: Path) -> None:
    problem = by_hand()
    assert problem.replaced() == ("circuit",)
    run = train_problem(problem, out=tmp_path)
    assert run.folder is not None
    saved = read_run(run.folder)
    assert saved.problem.circuit == run.circuit
    again = aep.operating_point(saved.problem.circuit, saved.problem.test.inputs()).outputs
    np.testing.assert_allclose(again, aep.operating_point(run.circuit, problem.test.inputs()).outputs, rtol=1e-12)
    assert CIRCUIT in (run.folder / "config.toml").read_text(encoding="utf-8").splitlines()[0]


@pytest.mark.parametrize("with_circuit", [True, False])
def test_its_training_resumes_to_the_same_bits(with_circuit: bool, tmp_path: Path) -> None:
    problem = by_hand()
    undisturbed = train_problem(problem)
    with pytest.raises(KeyboardInterrupt):
        train_problem(problem, _Stop(), out=tmp_path)
    (folder,) = tmp_path.iterdir()
    config = problem.config
    resumed = train_problem(problem if with_circuit else build_problem(config), resume=folder)
    for block, value in undisturbed.circuit.parameters.items():
        np.testing.assert_array_equal(resumed.circuit.parameters[block], value)


def test_another_circuit_does_not_resume(tmp_path: Path) -> None:
    problem = by_hand()
    with pytest.raises(KeyboardInterrupt):
        train_problem(problem, _Stop(), out=tmp_path)
    (folder,) = tmp_path.iterdir()
    other = problem.circuit.with_parameters({"bent.v0": np.full_like(problem.circuit.banks[-1].values["v0"], 0.7)})
    with pytest.raises(InputError, match=r"trains the circuit in its circuit\.cir, which is not this one"):
        train_problem(build_problem(problem.config, circuit=other), resume=folder)


def test_parts_that_no_folder_describes_are_refused_before_training(tmp_path: Path) -> None:
    problem = build_problem(table(**{"training/epochs": 2}))
    assert problem.replaced() == ()
    with pytest.raises(InputError, match="of this problem cost was put in by hand"):
        train_problem(replace(problem, cost=aep.learning.SquaredError()), out=tmp_path)
    assert not list(tmp_path.iterdir())
    train_problem(replace(problem, cost=aep.learning.SquaredError()))  # without a folder it trains


def test_a_circuit_that_does_not_fit_the_data_is_refused() -> None:
    problem = build_problem(table(**{"training/epochs": 2}))
    other = aep.networks.crossbar([[1e-4], [1e-4]])
    with pytest.raises(ConfigError, match="circuit: has 2 inputs, and the encoder gives"):
        train_problem(replace(problem, circuit=other))


# --- checkpoints -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parent = tmp_path_factory.mktemp("runs")
    config = table(**{"training/epochs": 3, "training/checkpoint_updates": 1, "training/optimizer": "adam"})
    with pytest.raises(KeyboardInterrupt):
        train_problem(build_problem(config), _Stop(), out=parent)
    (folder,) = parent.iterdir()
    return folder


def change(arrays: dict[str, Any], entry: str, value: Any) -> None:
    """Put ``value`` in place of an array, or of a fact in the JSON text."""
    if entry in arrays or "/" in entry:
        arrays.pop(entry, None)
        if value is not None:
            arrays[entry] = value
        return
    facts = json.loads(str(arrays["training"]))
    facts[entry] = value
    arrays["training"] = np.array(json.dumps(facts))


def test_the_checkpoint_as_it_was_resumes(interrupted: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(interrupted, tmp_path / "run"))
    run = train_problem(build_problem(aep.training.load_config(folder / "config.toml")), resume=folder)
    assert run.kept_epoch == 3


BLOCK = "parameters/W1.conductance"
CHANGES: list[tuple[str, Any, str]] = [
    (BLOCK, np.ones((2, 2)), r"W1\.conductance: has shape \(2, 2\)"),
    (BLOCK, None, r"W1\.conductance: is missing"),
    ("parameters/W9.conductance", np.ones(3), r"W9\.conductance: is not one of the parameters"),
    ("runner/steps", None, "steps: is missing from the state of the optimizer"),
    ("runner/mean/W1.conductance", np.ones(1), "expected"),
    ("runner/other", np.ones(1), "other: is not one of the state"),
    ("losses", np.array([np.nan] * 99), "losses: has shape"),
    ("wrong", np.zeros(0), "wrong: has shape"),
    ("epoch", 7, "epoch: 7 is not one of 3"),
    ("epoch", "2", "epoch: '2' is not a count"),
    ("epoch", 1, "metrics: have rows"),
    ("position", 10_000, "position: 10000 is not the end of a batch"),
    ("best_epoch", 3, "best_epoch: 3 is not done yet"),
    ("generator", {"bit_generator": "PCG64"}, "generator: is not that of seed = 0"),
    ("beta", np.float64(-1.0), "beta: -1 S"),
    ("beta", np.float64(np.nan), "beta: nan S"),
    ("metrics", [], "metrics: have rows"),
    ("seconds", "long", "seconds: 'long'"),
]


@pytest.mark.parametrize(
    ("entry", "value", "message"), CHANGES, ids=[f"{e}-{k}" for k, (e, _, _) in enumerate(CHANGES)]
)
def test_a_checkpoint_that_contradicts_its_run_is_refused(
    entry: str, value: Any, message: str, interrupted: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(interrupted, tmp_path / "run"))
    with np.load(folder / CHECKPOINT) as stored:
        arrays = {name: stored[name] for name in stored.files}
    change(arrays, entry, value)
    np.savez(folder / CHECKPOINT, **arrays)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    problem = build_problem(aep.training.load_config(folder / "config.toml"))
    with pytest.raises(AnalogepError, match=message):
        train_problem(problem, resume=folder)
    if entry not in ("runner/steps", "runner/mean/W1.conductance", "runner/other"):
        assert {p.name: p.read_bytes() for p in folder.iterdir()} == before  # not a byte of the run is touched
