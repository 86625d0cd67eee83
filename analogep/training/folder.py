"""Run folders: everything needed to understand, repeat and reuse a training run.

A folder appears whole or not at all: it is written under a temporary name and renamed; later additions
(figures, verification) are written file by file in the same way.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.errors import ConfigError, Fault, InputError
from analogep.spice import to_netlist
from analogep.training.config import TrainConfig, load_config
from analogep.training.problem import Problem, build_problem
from analogep.training.trainer import Run, metrics_csv

Array = NDArray[np.float64]

CONFIG, CHECKPOINT, METRICS = "config.toml", "checkpoint.npz", "metrics.csv"
ENVIRONMENT, NETLIST, VERIFICATION = "environment.json", "netlist.cir", "verification.json"
PACKAGES = ("analogep", "numpy", "scipy", "numba", "scikit-learn", "networkx", "pydantic")


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
    """

    folder: Path
    problem: Problem
    beta: float


def write_run(run: Run, parent: Path) -> Path:
    """Write a run folder ``<parent>/<name>-<number>`` and return it.

    Raises
    ------
    InputError
        If the folder cannot be written; nothing is left behind.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".partial-", dir=parent))
    except OSError as error:
        raise InputError(f"cannot write run folders in {parent}: {error.strerror}") from None
    try:
        (scratch / CONFIG).write_text(run.config.to_toml(), encoding="utf-8")
        (scratch / METRICS).write_text(metrics_csv(run.metrics), encoding="utf-8")
        (scratch / ENVIRONMENT).write_text(_json(environment(run)), encoding="utf-8")
        sample = run.problem.test.inputs(slice(1))
        netlist = to_netlist(run.circuit, sample, title=f"{run.config.name}, trained by analogep")
        (scratch / NETLIST).write_text(netlist, encoding="utf-8")
        _save_parameters(scratch / CHECKPOINT, run.circuit.parameters, run.beta, len(run.metrics))
        scratch.chmod(0o755)
        number = 1
        while True:
            folder = parent / f"{run.config.name}-{number:03d}"
            if not folder.exists():
                try:
                    os.rename(scratch, folder)
                    return folder
                except OSError:
                    if not folder.exists():
                        raise
            number += 1
    except OSError as error:
        raise InputError(f"cannot write the run folder in {parent}: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _save_parameters(path: Path, parameters: Mapping[str, Array], beta: float, epochs: int) -> None:
    arrays: dict[str, Any] = {f"parameters/{name}": value for name, value in parameters.items()}
    np.savez(path, **arrays, beta=np.float64(beta), epochs=np.int64(epochs))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically; raises :class:`InputError` if it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(name, 0o644)
            os.replace(name, path)
        finally:
            if os.path.exists(name):
                os.unlink(name)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def write_verification(folder: Path, report: Mapping[str, Any]) -> None:
    """Write the verification report of a run folder."""
    write_text(folder / VERIFICATION, _json(report))


def read_run(folder: Path) -> SavedRun:
    """Read a run folder back.

    Raises
    ------
    InputError
        If it is no run folder, or its checkpoint is damaged.
    """
    if not (folder / CONFIG).is_file() or not (folder / CHECKPOINT).is_file():
        raise InputError(f"{folder} is not a run folder: it needs {CONFIG} and {CHECKPOINT}")
    config = load_config(folder / CONFIG)
    parameters, beta = _load_parameters(folder / CHECKPOINT)
    problem = build_problem(config, parameters)
    missing = set(problem.circuit.parameters) - set(parameters)
    if missing:
        raise ConfigError(str(folder / CHECKPOINT), [Fault(name, "missing") for name in sorted(missing)])
    return SavedRun(folder, problem, beta)


_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy and zipfile raise on damaged archives; a flipped flag reads as encryption (RuntimeError)."""


def _load_parameters(path: Path) -> tuple[dict[str, Array], float]:
    """Return the parameters and β of a checkpoint; raises :class:`InputError` if it is damaged."""
    start = "parameters/"
    try:
        with path.open("rb") as file:  # numpy would leave a damaged file open
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array instead of an archive")
            parameters = {k.removeprefix(start): stored[k] for k in stored.files if k.startswith(start)}
            return parameters, float(stored["beta"])
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged: {error}") from None


def environment(run: Run) -> dict[str, Any]:
    """Return versions, seeds and facts of the machine that a reader needs to repeat the run."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    config: TrainConfig = run.config
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": versions,
        "seeds": {"run": config.seed, "split": config.data.split_seed},
        "engine": run.engine,
        "beta_S": run.beta,
        "beta_reason": run.beta_reason,
        "training_time_s": run.metrics[-1].wall_time,
    }


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
