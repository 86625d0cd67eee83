"""Checkpoints: the whole state of a training run in one file that is replaced, never changed."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.files import write_bytes
from analogep.training.files.record import EpochMetrics

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What numpy, zipfile and json raise on damaged files; a flipped flag reads as encryption (RuntimeError)."""


@dataclass(frozen=True)
class Checkpoint:
    """A training run between two updates.

    Attributes
    ----------
    parameters
        Parameters of the circuit, by block.
    beta, beta_reason
        Nudging strength [S] and where it comes from.
    epoch, position
        The epoch under way, from 1, and how many samples of its order are done.
    generator
        State of the shuffling generator at the start of that epoch: with it the epoch's order is drawn again.
    losses, wrong
        Loss [V²] and error of these samples, (position,).
    runner
        The runner's state.
    metrics
        Rows of the epochs before.
    best_epoch, best_value, best
        The best epoch so far, what was watched in it, and its parameters if they are to be kept.
    engine
        Engine that solved the last phase.
    seconds
        Training time in this epoch [s].
    done
        Whether no more updates follow: ``parameters`` are the result.
    kept_epoch, stopped
        As in :class:`~analogep.training.files.record.Run`, once it is done.
    """

    parameters: Arrays
    beta: float
    beta_reason: str
    epoch: int
    position: int
    generator: Mapping[str, Any]
    losses: Array
    wrong: Array
    runner: Arrays
    metrics: tuple[EpochMetrics, ...] = ()
    best_epoch: int = 0
    best_value: float = float("inf")
    best: Arrays = field(default_factory=dict)
    engine: str = ""
    seconds: float = 0.0
    done: bool = False
    kept_epoch: int = 0
    stopped: str = ""


_GROUPS = ("parameters", "runner", "best")
_ARRAYS = (*_GROUPS, "losses", "wrong", "beta")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace ``path`` by a checkpoint; raises :class:`InputError` if it cannot be written."""
    facts = {f.name: getattr(checkpoint, f.name) for f in fields(checkpoint) if f.name not in _ARRAYS}
    facts["metrics"] = [asdict(row) for row in checkpoint.metrics]
    arrays: dict[str, Any] = {"losses": checkpoint.losses, "wrong": checkpoint.wrong}
    for group in _GROUPS:
        arrays |= {f"{group}/{name}": value for name, value in getattr(checkpoint, group).items()}
    _save(path, {**arrays, "beta": np.float64(checkpoint.beta), "training": np.array(json.dumps(facts))})


def save_result(path: Path, parameters: Arrays, beta: float, epochs: int) -> None:
    """Replace ``path`` by the parameters of a finished run; raises :class:`InputError` if it cannot be written."""
    arrays: dict[str, Any] = {f"parameters/{name}": value for name, value in parameters.items()}
    _save(path, {**arrays, "beta": np.float64(beta), "epochs": np.int64(epochs)})


def load_checkpoint(path: Path) -> Checkpoint:
    """Read the checkpoint of an unfinished run; raises :class:`InputError` if it is damaged."""
    arrays = _load(path)
    try:
        facts = json.loads(str(arrays["training"]))
        rows = tuple(EpochMetrics(**row) for row in facts.pop("metrics"))
        groups: dict[str, Any] = {group: _group(arrays, group) for group in _GROUPS}
        beta = float(arrays["beta"])
        return Checkpoint(
            beta=beta, losses=arrays["losses"], wrong=arrays["wrong"], metrics=rows, **groups, **facts
        )
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged: {error}") from None


def load_result(path: Path) -> tuple[dict[str, Array], float]:
    """Return the parameters and β of a checkpoint or result; raises :class:`InputError` if it is damaged."""
    arrays = _load(path)
    try:
        return _group(arrays, "parameters"), float(arrays["beta"])
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged: {error}") from None


def _group(arrays: Arrays, group: str) -> dict[str, Any]:
    start = f"{group}/"
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}


def _save(path: Path, arrays: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:  # numpy would leave a damaged file open
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array instead of an archive")
            return {name: stored[name] for name in stored.files}
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged: {error}") from None
