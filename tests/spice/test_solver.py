"""A SPICE engine in the solver's place: phases, gradients and training are those of the native solver."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analogep.circuit import Circuit
from analogep.errors import EngineError
from analogep.spice import NgspiceEngine, PySpiceEngine, SpiceSolver
from analogep.spice.engines.ngspice import ENVIRONMENT
from analogep.training import TrainConfig, build_problem, load_config, train
from analogep.training.configuration.config import parse_config
from analogep.training.trainer import Progress

ENGINES = ["ngspice", "pyspice"]
UPDATES = 20

BOARD = {
    "name": "board",
    "engine": "ngspice",
    "data": {
        "name": "table",
        "inputs": [[0.5, 0.1], [0.2, 0.9], [0.7, 0.7]],
        "targets": [[0.1], [0.3], [0.2]],
        "tolerance": 0.5,
    },
    "network": {"hidden_layers": [3]},
    "training": {
        "epochs": 2,
        "batch": 2,
        "rates": {"W1.conductance": 1e-9, "W2.conductance": 1e-9, "b1.amplitude": 1e-9, "b2.amplitude": 1e-9},
        "bounds": {"W1.conductance": [1e-9, 1e-3], "W2.conductance": [1e-9, 1e-3]},
    },
}


def require(engine: str) -> None:
    if engine == "pyspice":
        pytest.importorskip("PySpice")


def digits(engine: str) -> Circuit:
    """Return the digits network of 16 hidden nodes after 20 updates with its phases solved by ``engine``."""
    config = load_config("digits").changed(
        engine=engine, network={"hidden_layers": [16]}, learning={"tolerance": 1e-12}
    )
    problem = build_problem(config)
    circuit, size = problem.circuit, config.training.batch
    rule, _ = problem.rule()
    for k in range(UPDATES):
        batch = slice(k * size, (k + 1) * size)
        gradient = rule.gradient(
            circuit, problem.train.inputs(batch), problem.train.targets[batch], solver=problem.solver
        )
        circuit = circuit.with_parameters(problem.optimizer.step(circuit.parameters, gradient)[0])
    return circuit


@pytest.fixture(scope="module")
def natively_trained() -> Circuit:
    return digits("newton")


@pytest.mark.ngspice
@pytest.mark.parametrize("engine", ENGINES)
def test_20_updates_in_spice_end_with_the_same_parameters(engine: str, natively_trained: Circuit) -> None:
    require(engine)
    found, expected = digits(engine).parameters, natively_trained.parameters
    initial = build_problem(load_config("digits").changed(network={"hidden_layers": [16]})).circuit.parameters
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.abs(values - initial[name]).max() > 1e-3 * np.abs(values).max(), f"{name} was not trained"
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=0.0, err_msg=name)


@pytest.mark.ngspice
@pytest.mark.parametrize("engine", ENGINES)
def test_a_whole_run_trains_on_either_engine(engine: str) -> None:
    require(engine)
    config = parse_config(BOARD, "board")
    native, found = train(config.changed(engine="newton")), train(config.changed(engine=engine))
    assert found.engine.lower().startswith(engine)
    for name, values in native.circuit.parameters.items():
        np.testing.assert_allclose(found.circuit.parameters[name], values, rtol=1e-6, atol=0.0)
    np.testing.assert_allclose(found.table()["test_loss"], native.table()["test_loss"], rtol=1e-6)


def test_the_configuration_reaches_the_engine() -> None:
    config = parse_config({**BOARD, "spice": {"fold_inputs": False, "timeout": 3.0}}, "board")
    assert build_problem(config).solver == SpiceSolver("ngspice", False, 3.0)
    assert build_problem(config.changed(engine="pyspice")).solver == SpiceSolver("pyspice", False, 3.0)
    assert TrainConfig.model_validate(config.model_dump()) == config


def test_a_missing_ngspice_is_said_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    class Watch(Progress):
        def start(self, *_: object) -> None:
            raise AssertionError("training started")

    monkeypatch.setenv(ENVIRONMENT, "/nonexistent/ngspice")
    with pytest.raises(EngineError, match="apt-get install ngspice") as caught:
        train(parse_config(BOARD, "board"), Watch())
    assert "\n" not in str(caught.value)


def test_an_engine_that_fails_in_the_middle_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ngspice"
    program.write_text('#!/bin/sh\nif [ "$1" = -v ]; then echo "** ngspice-39"; exit 0; fi\nkill -SEGV $$\n')
    program.chmod(0o755)
    monkeypatch.setenv(ENVIRONMENT, str(program))
    with pytest.raises(EngineError, match="epoch 1, after 0 samples: ngspice crashed"):
        train(parse_config(BOARD, "board"))


@pytest.mark.ngspice
def test_engine_objects_serve_as_well() -> None:
    problem = build_problem(parse_config(BOARD, "board"))
    inputs = problem.train.inputs()
    expected = SpiceSolver()(problem.circuit, inputs).voltages
    np.testing.assert_array_equal(SpiceSolver(NgspiceEngine(30.0))(problem.circuit, inputs).voltages, expected)
    require("pyspice")
    with PySpiceEngine() as engine:
        solver = SpiceSolver(engine)
        pid = None
        for _ in range(3):
            np.testing.assert_allclose(solver(problem.circuit, inputs).voltages, expected, rtol=1e-12)
            assert pid in (None, engine.pid)
            pid = engine.pid
        assert engine.restarts == []
