"""Run folders: everything needed to understand, repeat, resume and reuse a training run.

A folder appears whole or not at all: it is written under a temporary name and renamed. From the first update
to the end of training it holds the configuration, the environment (with ``finished`` still null), the last
checkpoint and the metrics so far; once finished also the netlist, and the checkpoint shrinks to the result.
At any moment every file in it is whole, since files are replaced and never changed, and ``finished`` is written
after all others. What a killed process leaves under names that begin with ``.partial-`` belongs to nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from analogep.circuit import Circuit
from analogep.errors import AnalogepError, ConfigError, Fault, InputError, NetlistError
from analogep.files import sync_folder, write_text
from analogep.spice import from_netlist, to_netlist
from analogep.training.configuration.config import TrainConfig, load_config
from analogep.training.data import Part
from analogep.training.files.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_result,
    save_checkpoint,
    save_result,
)
from analogep.training.files.consistency import require_consistent, require_result
from analogep.training.files.record import Run, metrics_csv
from analogep.training.problem import Problem, build_problem

CIRCUIT = "circuit.cir"
"""The circuit that is trained, where it is not the network that the configuration describes."""

CONFIG, CHECKPOINT, METRICS = "config.toml", "checkpoint.npz", "metrics.csv"
ENVIRONMENT, NETLIST, VERIFICATION = "environment.json", "netlist.cir", "verification.json"
PACKAGES = ("analogep", "numpy", "scipy", "numba", "scikit-learn", "networkx", "pydantic")
FREE_TO_CHANGE = (
    "training.checkpoint_minutes",
    "training.checkpoint_updates",
    "training.threads",
    "verify.",
    "published",
)
"""Keys that may differ when a run is resumed, since they do not touch its result."""


@dataclass(frozen=True)
class SavedRun:
    """A run folder that was read back: the trained circuit with its configuration and data.

    Attributes
    ----------
    folder
        Where it is.
    problem
        The problem with the trained circuit.
    beta
        Nudging strength of the training [S].
    unfinished
        Empty for a finished run; otherwise in words how far the circuit was trained.
    """

    folder: Path
    problem: Problem
    beta: float
    unfinished: str = ""


class RunFolder:
    """The folder of a run under way.

    Parameters
    ----------
    path
        Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, problem: Problem, parent: Path, checkpoint: Checkpoint) -> RunFolder:
        """Make ``<parent>/<name>-<number>`` for a run that begins; raises :class:`InputError` if it cannot."""
        description = _description(problem)

        def fill(scratch: Path) -> None:
            _write_all(scratch, description)
            write_text(scratch / METRICS, metrics_csv(checkpoint.metrics))
            write_text(scratch / ENVIRONMENT, _json(environment(problem) | {"finished": None, "resumed": []}))
            save_checkpoint(scratch / CHECKPOINT, checkpoint)

        return cls(_appear(parent, problem.config.name, fill))

    @classmethod
    def resume(cls, problem: Problem, path: Path) -> tuple[RunFolder, Checkpoint]:
        """Open the folder of an unfinished run and return it with its last checkpoint.

        Raises
        ------
        ConfigError
            If its configuration differs from the problem's; names the keys.
        InputError
            If it is no run folder, is finished or damaged, the data or the circuit are not those that were
            trained, or the checkpoint contradicts the configuration.
        """
        _require(path)
        facts = _facts(path)
        if facts.get("finished", "") is not None:
            raise InputError(f"{path} is finished; there is nothing to resume")
        changed = _differences(load_config(path / CONFIG), problem.config)
        if changed:
            raise ConfigError(f"resuming {path}", changed)
        before, now = facts.get("data_sha256", {}), fingerprint(problem)
        if before != now:
            changed_parts = ", ".join(k for k in {**now, **before} if before.get(k) != now.get(k))
            raise InputError(
                f"the data are not those that {path} was trained on: {changed_parts} differs in its SHA-256; "
                "restore them, or start a new run"
            )
        _require_same_circuit(path, problem)
        checkpoint = load_checkpoint(path / CHECKPOINT)
        require_consistent(path / CHECKPOINT, problem, checkpoint)
        for leftover in path.glob(".partial-*"):
            leftover.unlink(missing_ok=True)
        again = {"at": _now(), "epoch": checkpoint.epoch, "samples": checkpoint.position, **_machine()}
        write_text(path / ENVIRONMENT, _json(facts | {"resumed": [*facts.get("resumed", []), again]}))
        return cls(path), checkpoint

    def save(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint, then the metrics."""
        save_checkpoint(self.path / CHECKPOINT, checkpoint)
        write_text(self.path / METRICS, metrics_csv(checkpoint.metrics))

    def finish(self, run: Run) -> None:
        """Add what a finished run has, mark it as finished, and keep only the result of the checkpoint."""
        _write_result(self.path, run)
        facts = _facts(self.path)
        write_text(self.path / ENVIRONMENT, _json(facts | _outcome(run)))
        save_result(self.path / CHECKPOINT, run.parameters, run.beta, run.kept_epoch)


def write_run(run: Run, parent: Path) -> Path:
    """Write a finished run to a new folder ``<parent>/<name>-<number>`` and return it.

    Raises
    ------
    InputError
        If the folder cannot be written; nothing is left behind.
    """
    description = _description(run.problem)

    def fill(scratch: Path) -> None:
        _write_all(scratch, description)
        _write_result(scratch, run)
        write_text(scratch / ENVIRONMENT, _json(environment(run.problem) | _outcome(run) | {"resumed": []}))
        save_result(scratch / CHECKPOINT, run.parameters, run.beta, run.kept_epoch)

    return _appear(parent, run.config.name, fill)


def _description(problem: Problem) -> dict[str, str]:
    """Return the files that say what is trained, by name; with the circuit, if it is not the configuration's.

    Raises
    ------
    InputError
        If a part that was put in by hand cannot be described: reading the folder would give another problem.
    """
    files = {CONFIG: problem.config.to_toml()}
    replaced = problem.replaced()
    others = [name for name in replaced if name != "circuit"]
    if others:
        raise InputError(
            f"a run folder describes its problem by the configuration, and of this problem {', '.join(others)} "
            "was put in by hand; change the configuration instead, or train without a run folder"
        )
    if replaced:
        text = to_netlist(problem.circuit, title=f"{problem.config.name}: the circuit that is trained, at first")
        if not _reads_back(text, problem.circuit):
            raise InputError(
                "the circuit of this problem was put in by hand, and a netlist does not give it back; train it "
                "without a run folder"
            )
        files[CIRCUIT] = text
        note = f"# The network section is not what was trained: {CIRCUIT} holds the circuit, put in by hand.\n"
        files[CONFIG] = note + files[CONFIG]
    return files


def _reads_back(text: str, circuit: Circuit) -> bool:
    """Return whether a netlist gives the circuit back, with its elements in the same order."""
    try:
        found = from_netlist(text)
    except AnalogepError:
        return False

    def order(of: Circuit) -> dict[str, tuple[str, ...]]:
        return {bank.name: bank.names for bank in of.banks}

    return found == circuit and order(found) == order(circuit)


def _write_all(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        write_text(folder / name, text)


def saved_circuit(folder: Path) -> Circuit | None:
    """Return the circuit that a run folder holds beside its configuration, ``None`` if this describes it."""
    path = folder / CIRCUIT
    try:
        return from_netlist(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, UnicodeDecodeError, NetlistError) as error:
        raise InputError(f"{path} is damaged: {error}") from None


def _require_same_circuit(path: Path, problem: Problem) -> None:
    """Raise :class:`InputError` unless the problem's circuit is the one that the folder's run trains."""
    saved = saved_circuit(path)
    if saved is None and "circuit" in problem.replaced():
        raise InputError(
            f"{path} trains the network that its configuration describes, not this circuit; resume it so"
        )
    if saved is not None:
        here = {name: value.shape for name, value in problem.circuit.parameters.items()}
        there = {name: value.shape for name, value in saved.parameters.items()}
        if here != there or problem.circuit.with_parameters(saved.parameters) != saved:
            raise InputError(
                f"{path} trains the circuit in its {CIRCUIT}, which is not this one; give that circuit"
            )


def _write_result(folder: Path, run: Run) -> None:
    sample = run.problem.test.inputs(slice(1))
    netlist = to_netlist(run.circuit, sample, title=f"{run.config.name}, trained by analogep")
    write_text(folder / NETLIST, netlist)
    write_text(folder / METRICS, metrics_csv(run.metrics))


def _appear(parent: Path, name: str, fill: Callable[[Path], None]) -> Path:
    """Make the next free ``<parent>/<name>-<number>`` with what ``fill`` writes, or leave nothing behind."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=parent))
    except OSError as error:
        raise InputError(f"cannot write run folders in {parent}: {error.strerror}") from None
    try:
        fill(scratch)
        scratch.chmod(0o755)
        number = 1
        while True:
            folder = parent / f"{name}-{number:03d}"
            if not folder.exists():
                try:
                    os.rename(scratch, folder)
                    sync_folder(parent)
                    return folder
                except OSError:
                    if not folder.exists():
                        raise
            number += 1
    except OSError as error:
        raise InputError(f"cannot write the run folder in {parent}: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_verification(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the verification report of a run folder."""
    write_text(folder / VERIFICATION, _json(report))


def read_run(folder: Path) -> SavedRun:
    """Read a run folder back; of an unfinished run the last checkpoint.

    Raises
    ------
    InputError
        If it is no run folder, or a file in it is damaged.
    """
    _require(folder)
    config = load_config(folder / CONFIG)
    parameters, beta = load_result(folder / CHECKPOINT)
    require_result(folder / CHECKPOINT, parameters, beta)
    missing = set(config.training.rates) - set(parameters)
    if missing:
        raise ConfigError(str(folder / CHECKPOINT), [Fault(name, "missing") for name in sorted(missing)])
    problem = build_problem(config, parameters, saved_circuit(folder))
    unfinished = ""
    if (folder / ENVIRONMENT).is_file() and _facts(folder).get("finished", "") is None:
        there = load_checkpoint(folder / CHECKPOINT)
        unfinished = (
            f"{folder} is not finished: this is its circuit in epoch {there.epoch} of {config.training.epochs}, "
            f"after {there.position} of {len(problem.train)} samples"
        )
    return SavedRun(folder, problem, beta, unfinished)


def _require(folder: Path) -> None:
    if not (folder / CONFIG).is_file() or not (folder / CHECKPOINT).is_file():
        raise InputError(f"{folder} is not a run folder: it needs {CONFIG} and {CHECKPOINT}")


def _facts(folder: Path) -> dict[str, Any]:
    path = folder / ENVIRONMENT
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path} is damaged: it holds no table")
    return facts


def _differences(old: TrainConfig, new: TrainConfig) -> list[Fault]:
    before, now = (dict(_flat(c.model_dump(mode="json"))) for c in (old, new))
    return [
        Fault(key, f"was {before.get(key)!r} when the run began and is {now.get(key)!r} now; set it back")
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key) and not key.startswith(FREE_TO_CHANGE)
    ]


def _flat(section: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def fingerprint(problem: Problem) -> dict[str, str]:
    """Return the SHA-256 of each part of the data, features, labels and targets, in hexadecimal."""
    parts = {"train": problem.data.train, "validation": problem.data.validation, "test": problem.data.test}
    return {name: _digest(part) for name, part in parts.items() if part is not None}


def _digest(part: Part) -> str:
    digest = hashlib.sha256(repr(float(part.full_scale)).encode())
    for array in (part.features, part.labels, part.targets):
        digest.update(b"none" if array is None else f"{array.dtype.str} {array.shape}".encode())
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def environment(problem: Problem) -> dict[str, Any]:
    """Return versions, seeds and facts of the machine and the data that a reader needs to repeat the run."""
    config = problem.config
    return {
        "started": _now(),
        **_machine(),
        "seeds": {"run": config.seed, "split": config.data.split_seed},
        "data_sha256": fingerprint(problem),
    }


def _machine() -> dict[str, Any]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": versions,
    }


def _outcome(run: Run) -> dict[str, Any]:
    return {
        "finished": _now(),
        "engine": run.engine,
        "method": dict(run.method),
        "beta_S": run.beta,
        "beta_reason": run.beta_reason,
        "training_time_s": run.metrics[-1].wall_time,
        "kept_epoch": run.kept_epoch,
        "stopped": run.stopped,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
