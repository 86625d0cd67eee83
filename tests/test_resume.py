"""A run that was killed or interrupted and resumed ends with the bits of an undisturbed one."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_training import table

from analogep.errors import ConfigError, InputError
from analogep.training import Interrupted, Progress, Run, TrainConfig, load_config, train
from analogep.training.files import folder
from analogep.training.files.folder import read_run

UPDATES = {"training/checkpoint_updates": 1, "training/epochs": 3}


class _Crash(BaseException):
    """Not an Exception, so that nothing on the way can catch it."""


class _After(Progress):
    """Acts after a number of updates."""

    def __init__(self, updates: int, act: Any) -> None:
        self.left, self.act = updates, act

    def batch(self, epoch: int, samples: int, loss: float, error: float) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


def crash() -> None:
    raise _Crash


def same_bits(a: Run, b: Run) -> None:
    for block, value in a.circuit.parameters.items():
        np.testing.assert_array_equal(b.circuit.parameters[block], value)
    for key, column in a.table().items():
        if key not in ("wall_time", "samples_per_second"):
            np.testing.assert_array_equal(b.table()[key], column)
    assert (a.beta, a.engine, a.kept_epoch, a.stopped) == (b.beta, b.engine, b.kept_epoch, b.stopped)


def only(parent: Path) -> Path:
    (found,) = (p for p in parent.iterdir() if not p.name.startswith("."))
    return found


# --- every place of a small run ------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "sgd": {"training/decay": 0.5},
    "momentum": {"training/momentum": 0.9, "training/schedule": "cosine", "training/warmup": 1},
    "adam": {"training/optimizer": "adam", "training/rates": dict.fromkeys(table().training.rates, 1e-6)},
    "unshuffled": {"training/shuffle": False},
    "rarely saved": {"training/checkpoint_updates": 5},
}


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS.keys())
def test_a_crash_after_any_update_costs_no_bit(changes: dict[str, Any], tmp_path: Path) -> None:
    """Four samples in batches of two, three epochs: six updates, a crash after each, some of them twice."""
    config = table(**{**UPDATES, **changes})
    undisturbed = train(config)
    for updates in range(1, 7):
        parent = tmp_path / str(updates)
        with pytest.raises(_Crash):
            train(config, _After(updates, crash), out=parent)
        with pytest.raises(_Crash):  # the batch before the crash was not saved, and is done again
            train(config, _After(1, crash), resume=only(parent))
        found = train(config, resume=only(parent))
        same_bits(undisturbed, found)
        assert found.folder == only(parent)
        assert not read_run(only(parent)).unfinished


@pytest.mark.parametrize(
    "engine",
    [
        "newton",
        "layered",
        "transient",
        pytest.param("ngspice", marks=pytest.mark.ngspice),
        pytest.param("pyspice", marks=pytest.mark.ngspice),
    ],
)
def test_every_engine_resumes(engine: str, tmp_path: Path) -> None:
    if engine == "pyspice":
        pytest.importorskip("PySpice")
    config = table(**UPDATES, engine=engine)
    undisturbed = train(config)
    with pytest.raises(_Crash):
        train(config, _After(4, crash), out=tmp_path)
    same_bits(undisturbed, train(config, resume=only(tmp_path)))


@pytest.mark.parametrize(("precision", "persistent"), [("float32", False), ("float64", False), ("float32", True)])
def test_compiled_epochs_resume(precision: str, persistent: bool, tmp_path: Path) -> None:
    """Crashes after the first and after the fourth chunk of updates; threads are chosen by the clock."""
    learning = {"precision": precision, "tolerance": 1e-6, "persistent": persistent}
    config = load_config("digits").changed(engine="fused", training={"epochs": 2}, learning=learning)
    undisturbed = train(config.changed(training={"threads": 1}))
    with pytest.raises(_Crash):
        train(config, _After(1, crash), out=tmp_path)
    with pytest.raises(_Crash):
        train(config, _After(4, crash), resume=only(tmp_path))
    found = train(config.changed(training={"threads": 3}), resume=only(tmp_path))
    for block, value in undisturbed.circuit.parameters.items():
        np.testing.assert_array_equal(found.circuit.parameters[block], value, err_msg=block)
    assert [row.train_loss for row in found.metrics] == [row.train_loss for row in undisturbed.metrics]


def test_a_crash_in_the_best_epochs_shadow(tmp_path: Path) -> None:
    """What early stopping watches, and the circuit that is kept, survive as well."""
    config = _held_out().changed(training={"keep": "best", "patience": 3, "epochs": 30})
    undisturbed = train(config)
    assert undisturbed.kept_epoch < len(undisturbed.metrics) < 30
    per_epoch = math.ceil(len(undisturbed.problem.train) / config.training.batch)
    with pytest.raises(_Crash):
        train(config, _After((len(undisturbed.metrics) - 1) * per_epoch + 3, crash), out=tmp_path)
    same_bits(undisturbed, train(config, resume=only(tmp_path)))


def _held_out() -> TrainConfig:
    """Digits with a validation part and a rate so high that the loss does not fall steadily."""
    return load_config("digits").changed(
        data={"validation_fraction": 0.1, "test_fraction": 0.7},
        network={"hidden_layers": [6], "initial": {"kind": "uniform"}},
        training={
            "batch": 8,
            "optimizer": "adam",
            "rates": dict.fromkeys(load_config("digits").training.rates, 3e-5),
            "decay": 1.0,
            "checkpoint_updates": 10,
        },
    )


# --- kill -9 -------------------------------------------------------------------------------------------

KILLS = 8


def _digits() -> TrainConfig:
    return load_config("digits").changed(
        network={"hidden_layers": [8]},
        training={
            "epochs": 6,
            "batch": 16,
            "optimizer": "adam",
            "rates": dict.fromkeys(load_config("digits").training.rates, 1e-6),
            "checkpoint_updates": 20,
        },
    )


def _train_here(parent: Path) -> None:
    found = [p for p in parent.glob("*") if not p.name.startswith(".")]
    train(_digits(), out=parent, resume=found[0] if found else None)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_at_random_moments_and_resumed(tmp_path: Path) -> None:
    """Kills, each at a moment drawn over the duration of a whole run; a run that ends is compared."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["analogep.training.trainer", "sklearn.datasets", "sklearn.model_selection"])
    undisturbed = train(_digits())
    rng = np.random.default_rng(20)
    duration, kills, round_ = 0.0, 0, 0
    while kills < KILLS or duration == 0.0:
        parent = tmp_path / str(round_)
        parent.mkdir(exist_ok=True)
        process = processes.Process(target=_train_here, args=(parent,))
        began = time.monotonic()
        process.start()
        process.join(rng.uniform(0.0, duration) if duration else None)
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        if process.exitcode == -signal.SIGKILL:
            kills += 1
            continue
        assert process.exitcode == 0
        duration = duration or time.monotonic() - began
        _compare(undisturbed, parent)
        round_ += 1
    parent = tmp_path / str(round_)
    _train_here(parent)
    _compare(undisturbed, parent)


def _compare(undisturbed: Run, parent: Path) -> None:
    saved = read_run(only(parent))
    assert not saved.unfinished
    for block, value in undisturbed.circuit.parameters.items():
        np.testing.assert_array_equal(saved.problem.circuit.parameters[block], value)
    assert not list(only(parent).glob(".partial-*"))


# --- signals -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Give SIGINT its usual meaning here and in child processes.

    A shell without job control starts what it puts in the background with SIGINT ignored, which Python and every
    child inherit: there no Ctrl-C arrives, and no test of it could pass.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_training_after_the_update(number: int, tmp_path: Path) -> None:
    config = table(**{"training/epochs": 3})
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=r"epoch 2 after 2 samples.*analogep train .*--resume") as caught:
        train(config, _After(3, lambda: os.kill(os.getpid(), number)), out=tmp_path)
    assert signal.getsignal(number) is before
    where = caught.value.folder
    assert "epoch 2 of 3, after 2 of 4 samples" in read_run(where).unfinished
    same_bits(train(config), train(config, resume=where))


def test_without_a_folder_a_signal_acts_as_ever() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        train(table(), _After(3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert not isinstance(caught.value, Interrupted)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as caught:
        train(table(**UPDATES), _After(3, twice), out=tmp_path)
    assert not isinstance(caught.value, Interrupted)
    same_bits(train(table(**UPDATES)), train(table(**UPDATES), resume=only(tmp_path)))


def test_training_in_a_thread_watches_no_signals(tmp_path: Path) -> None:
    found: list[Run] = []
    worker = threading.Thread(target=lambda: found.append(train(table(), out=tmp_path)))
    worker.start()
    worker.join()
    same_bits(train(table()), found[0])


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_stops_and_resumes(number: int, tmp_path: Path) -> None:
    """The signal comes once the folder is there; the printed command goes on to the undisturbed result."""
    config = _digits().changed(training={"epochs": 5})
    path = tmp_path / "some config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    environment = {**os.environ, "PATH": ""}  # no ngspice: verification is another test's
    begin = [sys.executable, "-c", "from analogep.cli import main; main()", "train"]
    process = subprocess.Popen(
        [*begin, str(path), "--out", str(tmp_path / "my runs")],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while process.poll() is None and not list(tmp_path.glob("my runs/digits-001/config.toml")):
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in error
    assert error.count("\n") == 1
    where = tmp_path / "my runs" / "digits-001"
    facts = json.loads((where / folder.ENVIRONMENT).read_text(encoding="utf-8"))
    assert facts["finished"] is None
    assert f"--resume '{where}'" in error
    done = subprocess.run(
        [*begin, str(where / folder.CONFIG), "--resume", str(where)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "resumed in epoch" in done.stdout
    saved = read_run(where)
    for block, value in train(config).circuit.parameters.items():
        np.testing.assert_array_equal(saved.problem.circuit.parameters[block], value)


# --- the folder of a run under way ---------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """Folder of a run that crashed after three of six updates; two of them are in its checkpoint."""
    with pytest.raises(_Crash):
        train(table(**UPDATES), _After(3, crash), out=tmp_path / "runs")
    return only(tmp_path / "runs")


def test_contents_of_an_unfinished_folder(stopped: Path) -> None:
    assert sorted(p.name for p in stopped.iterdir()) == sorted(
        [folder.CONFIG, folder.CHECKPOINT, folder.METRICS, folder.ENVIRONMENT]
    )
    facts = json.loads((stopped / folder.ENVIRONMENT).read_text(encoding="utf-8"))
    assert facts["finished"] is None
    assert set(facts["data_sha256"]) == {"train", "test"}
    assert "epoch 1 of 3, after 4 of 4 samples" in read_run(stopped).unfinished
    train(table(**UPDATES), resume=stopped)
    facts = json.loads((stopped / folder.ENVIRONMENT).read_text(encoding="utf-8"))
    assert facts["finished"] is not None
    assert [(r["epoch"], r["samples"]) for r in facts["resumed"]] == [(1, 4)]
    assert (stopped / folder.NETLIST).is_file()


def test_commands_say_that_a_run_is_unfinished(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from analogep.cli import main

    monkeypatch.setattr(sys, "argv", ["analogep", "export", str(stopped)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    captured = capsys.readouterr()
    assert captured.err.startswith(f"warning: {stopped} is not finished: this is its circuit in epoch 1 of 3")
    assert captured.out.rstrip().endswith(".end")


def test_another_configuration_is_refused_by_its_keys(stopped: Path) -> None:
    before = {p.name: p.read_bytes() for p in stopped.iterdir()}
    other = table(**{**UPDATES, "training/batch": 1, "network/rails": [0.0, 0.3], "seed": 3})
    with pytest.raises(ConfigError) as caught:
        train(other, resume=stopped)
    assert [f.where for f in caught.value.faults] == ["seed", "network.rails", "training.batch"]
    assert "was 2 when the run began and is 1 now" in str(caught.value)
    assert {p.name: p.read_bytes() for p in stopped.iterdir()} == before


def test_what_does_not_touch_the_result_may_change(stopped: Path) -> None:
    other = table(**{**UPDATES, "training/checkpoint_updates": 3, "training/checkpoint_minutes": 1.0})
    same_bits(train(table(**UPDATES)), train(other, resume=stopped))


def test_other_data_are_refused(stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "fingerprint", lambda problem: {"train": "0", "test": "0"})
    with pytest.raises(InputError, match=r"the data are not those .*train, test differs"):
        train(table(**UPDATES), resume=stopped)


def test_finished_and_foreign_folders_are_refused(stopped: Path, tmp_path: Path) -> None:
    train(table(**UPDATES), resume=stopped)
    with pytest.raises(InputError, match="is finished; there is nothing to resume"):
        train(table(**UPDATES), resume=stopped)
    with pytest.raises(InputError, match="not a run folder"):
        train(table(**UPDATES), resume=tmp_path / "nowhere")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_damaged_checkpoint_is_refused(stopped: Path, share: float) -> None:
    data = (stopped / folder.CHECKPOINT).read_bytes()
    (stopped / folder.CHECKPOINT).write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match="damaged"):
        train(table(**UPDATES), resume=stopped)


@pytest.mark.parametrize("write", range(1, 16))
def test_a_failing_disk_costs_no_bit(write: int, stopped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The n-th replacement of a file fails, from the note that the run was resumed to the last of the result."""
    replace, count = os.replace, 0

    def fail(*args: Any) -> None:
        nonlocal count
        count += 1
        if count == write:
            raise OSError(28, "No space left on device")
        replace(*args)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        train(table(**UPDATES), resume=stopped)
    undisturbed = train(table(**UPDATES))
    if read_run(stopped).unfinished:
        same_bits(undisturbed, train(table(**UPDATES), resume=stopped))
    else:
        assert write == 15  # only the shrinking of the checkpoint comes after the mark
    for block, value in undisturbed.circuit.parameters.items():
        np.testing.assert_array_equal(read_run(stopped).problem.circuit.parameters[block], value)


# --- early stop, evaluation ----------------------------------------------------------------------------


def test_early_stop_waits_for_the_patience() -> None:
    """The stopped run is the beginning of the whole one, up to the patience after its lowest loss so far."""
    config = _held_out().changed(training={"epochs": 12})
    whole = train(config).table()["validation_loss"]
    lowest = np.minimum.accumulate(whole)
    best = [int(np.argmin(whole[: k + 1])) for k in range(12)]
    expected = next((k for k in range(12) if k - best[k] >= 2), 11)
    found = train(config.changed(training={"patience": 2}))
    assert found.table()["validation_loss"] == whole[: expected + 1]
    assert expected < 11
    assert found.stopped == f"no lower loss than in epoch {best[expected] + 1}"
    assert found.kept_epoch == expected + 1
    kept = train(config.changed(training={"patience": 2, "keep": "best"}))
    assert kept.kept_epoch == best[expected] + 1
    until = train(config.changed(training={"epochs": kept.kept_epoch}))
    for block, value in until.circuit.parameters.items():
        np.testing.assert_array_equal(kept.circuit.parameters[block], value)
    assert lowest[expected] == kept.metrics[kept.kept_epoch - 1].validation_loss


def test_without_a_validation_part_the_training_loss_is_watched() -> None:
    """Rates of zero: nothing gets lower, so that the run ends ``patience`` epochs after the first."""
    still = dict.fromkeys(table().training.rates, 0.0)
    found = train(table(**{"training/rates": still, "training/patience": 3, "training/epochs": 20,
                           "training/shuffle": False}))  # fmt: skip
    assert len(found.metrics) == 4
    assert found.stopped == "no lower loss than in epoch 1"
    with pytest.raises(ConfigError, match=r"training.keep.*validation part"):
        train(table(**{"training/keep": "best"}))


def test_evaluation_every_few_epochs_and_at_the_end() -> None:
    every, some = (train(table(**{"training/epochs": 7, "training/evaluate_every": k})) for k in (1, 3))
    for full, row in zip(every.metrics, some.metrics, strict=True):
        looked = row.epoch in (3, 6, 7)
        assert math.isnan(row.test_loss) is not looked
        assert row.train_loss == full.train_loss
        if looked:
            assert (row.test_loss, row.test_error) == (full.test_loss, full.test_error)


def test_patience_shorter_than_the_time_between_evaluations() -> None:
    config = _held_out().changed(training={"epochs": 8, "patience": 1, "evaluate_every": 3})
    found = train(config)
    assert len(found.metrics) in (6, 8)
    assert not math.isnan(found.metrics[2].validation_loss)
