"""Run folders: whole or not at all, and everything in them that a reader needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_training import table

from analogep.errors import AnalogepError, ConfigError, InputError
from analogep.files import write_text
from analogep.solve import operating_point
from analogep.spice import from_netlist
from analogep.training import Run, load_config, train
from analogep.training.files import folder
from analogep.training.files.folder import read_run, write_run, write_verification


@pytest.fixture(scope="module")
def run() -> Run:
    return train(table(**{"training/epochs": 3}))


def test_contents(run: Run, tmp_path: Path) -> None:
    where = write_run(run, tmp_path)
    assert where == tmp_path / "table-001"
    assert sorted(p.name for p in where.iterdir()) == sorted(
        [folder.CONFIG, folder.CHECKPOINT, folder.METRICS, folder.ENVIRONMENT, folder.NETLIST]
    )
    assert load_config(where / folder.CONFIG) == run.config
    lines = (where / folder.METRICS).read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 3
    facts = json.loads((where / folder.ENVIRONMENT).read_text(encoding="utf-8"))
    assert facts["seeds"] == {"run": 0, "split": 0}
    assert facts["beta_S"] == run.beta
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["engine"] == "layered"
    # The netlist is the trained circuit.
    circuit = from_netlist((where / folder.NETLIST).read_text(encoding="utf-8"))
    expected = operating_point(run.circuit, run.problem.test.inputs(slice(1)))
    values = dict(zip(run.circuit.inputs, run.problem.test.inputs(slice(1))[0], strict=True))
    found = operating_point(circuit, values if circuit.inputs else None)
    np.testing.assert_allclose(found.voltage("y0"), expected.voltage("y0"), atol=1e-9)


def test_folders_are_numbered(run: Run, tmp_path: Path) -> None:
    names = [write_run(run, tmp_path).name for _ in range(3)]
    assert names == ["table-001", "table-002", "table-003"]
    (tmp_path / "table-002" / folder.CONFIG).rename(tmp_path / "elsewhere")
    assert write_run(run, tmp_path / "deeper" / "still").name == "table-001"
    assert write_run(run, tmp_path).name == "table-004"


def test_reading_back_gives_identical_outputs(run: Run, tmp_path: Path) -> None:
    saved = read_run(write_run(run, tmp_path))
    assert saved.beta == run.beta
    assert saved.problem.config == run.config
    for block, value in run.circuit.parameters.items():
        np.testing.assert_array_equal(saved.problem.circuit.parameters[block], value)
    again = operating_point(saved.problem.circuit, saved.problem.test.inputs()).outputs
    np.testing.assert_array_equal(again, operating_point(run.circuit, run.problem.test.inputs()).outputs)


@pytest.mark.parametrize(
    "step", ["to_netlist", "save_result", "metrics_csv", "environment", "os.rename", "os.mkdir"]
)
def test_a_failure_leaves_nothing_behind(
    step: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(run, tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise OSError(28, "No space left on device")

    if step == "os.rename":
        monkeypatch.setattr(folder.os, "rename", fail)
    elif step == "os.mkdir":
        monkeypatch.setattr(folder.tempfile, "mkdtemp", fail)
    else:
        monkeypatch.setattr(folder, step, fail)
    with pytest.raises(InputError, match="No space left on device"):
        write_run(run, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_an_interrupted_write_leaves_nothing_behind(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **kwargs: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "save_result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_run(run, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_a_file_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write run folders"):
        write_run(run, tmp_path / "file")


def test_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "deep" / "notes.txt"
    write_text(target, "first")
    assert target.read_text(encoding="utf-8") == "first"

    def fail(*args: Any) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(folder.os, "replace", fail)
    with pytest.raises(InputError, match="Input/output error"):
        write_text(target, "second")
    assert [p.name for p in target.parent.iterdir()] == ["notes.txt"]
    assert target.read_text(encoding="utf-8") == "first"


def test_verification_joins_the_folder(run: Run, tmp_path: Path) -> None:
    where = write_run(run, tmp_path)
    write_verification(where, {"worst": 1e-10})
    assert json.loads((where / folder.VERIFICATION).read_text(encoding="utf-8")) == {"worst": 1e-10}


# --- damage --------------------------------------------------------------------------------------------


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="not a run folder"):
            read_run(path)


@pytest.mark.parametrize("keep", [0, 1, 50, 0.3, 0.6, 0.95, -1])
def test_a_truncated_checkpoint_is_damaged(run: Run, tmp_path: Path, keep: float) -> None:
    where = write_run(run, tmp_path)
    checkpoint = where / folder.CHECKPOINT
    data = checkpoint.read_bytes()
    size = int(keep * len(data)) if isinstance(keep, float) else keep
    checkpoint.write_bytes(data[:size])
    with pytest.raises(InputError, match="damaged"):
        read_run(where)


def test_a_flipped_byte_is_found_or_harmless(run: Run, tmp_path: Path) -> None:
    """The archive's checksums cover its contents; what they do not cover must not change a value.

    A flipped flag reads as "encrypted", a flipped version as "not implemented": neither used to be caught.
    """
    where = write_run(run, tmp_path)
    checkpoint = where / folder.CHECKPOINT
    data = checkpoint.read_bytes()
    directory = range(len(data) - 400, len(data))  # versions, flags, methods, sizes
    for place in (*range(0, len(data) - 400, 41), *directory):
        damaged = bytearray(data)
        damaged[place] ^= 0x09
        checkpoint.write_bytes(damaged)
        try:
            saved = read_run(where)
        except AnalogepError:
            continue
        for block, value in run.circuit.parameters.items():
            np.testing.assert_array_equal(saved.problem.circuit.parameters[block], value)


def test_other_contents_are_refused(run: Run, tmp_path: Path) -> None:
    where = write_run(run, tmp_path)
    checkpoint = where / folder.CHECKPOINT
    for data in (b"not an archive", b"PK\x03\x04 but not really"):
        checkpoint.write_bytes(data)
        with pytest.raises(InputError, match="damaged"):
            read_run(where)
    with checkpoint.open("wb") as file:  # an array alone, which numpy loads without complaint
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="damaged"):
        read_run(where)
    parameters = {f"parameters/{k}": v for k, v in run.circuit.parameters.items()}
    np.savez(checkpoint, **parameters)
    with pytest.raises(InputError, match="damaged"):
        read_run(where)
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(checkpoint, **{**parameters, "parameters/W1.conductance": objects}, beta=1e-6, allow_pickle=True)
    with pytest.raises(InputError, match="damaged"):
        read_run(where)


def test_parameters_that_do_not_fit_are_named(run: Run, tmp_path: Path) -> None:
    where = write_run(run, tmp_path)
    parameters = {f"parameters/{k}": v for k, v in run.circuit.parameters.items()}
    first = "parameters/W1.conductance"
    cases: list[tuple[dict[str, Any], str]] = [
        ({k: v for k, v in parameters.items() if k != first}, "W1.conductance"),
        ({**parameters, "parameters/W9.conductance": np.ones(3)}, "W9.conductance"),
        ({**parameters, first: np.ones((2, 2))}, "W1.conductance"),
        ({**parameters, first: -parameters[first]}, "W1_0_0"),
        ({**parameters, first: np.full_like(parameters[first], np.nan)}, "W1.conductance"),
    ]
    for arrays, name in cases:
        np.savez(where / folder.CHECKPOINT, **arrays, beta=1e-6)
        with pytest.raises(AnalogepError, match=name):
            read_run(where)


def test_a_damaged_configuration_is_a_configuration_error(run: Run, tmp_path: Path) -> None:
    where = write_run(run, tmp_path)
    (where / folder.CONFIG).write_text("name = ", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_run(where)
