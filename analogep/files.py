"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from analogep.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write one text file as :func:`write_files` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write one file as :func:`write_files` does."""
    write_files({path: data})


def write_files(files: Mapping[Path, bytes]) -> None:
    """Write files: whenever the machine stops, the old or the new contents of each are there, whole.

    None is replaced before all are on the disk. What is no file, such as a pipe, is written to as it is; of a link
    its target is replaced.

    Raises
    ------
    InputError
        If one cannot be written; all are then as before.
    """
    partial: dict[str, Path] = {}
    path = Path()
    try:
        try:
            for path, data in files.items():
                _write(path, data, partial)
            for name, whole in partial.items():
                os.replace(name, whole)
        finally:
            for name in partial:
                if os.path.exists(name):
                    os.unlink(name)
        for folder in {whole.parent for whole in partial.values()}:
            sync_folder(folder)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def _write(path: Path, data: bytes, partial: dict[str, Path]) -> None:
    """Write ``data`` beside ``path``, and note there under which name."""
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".partial-", dir=path.parent)
    partial[name] = path
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(name, 0o666 & ~_umask())  # mkstemp makes it private


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Have the names in ``folder`` reach the disk, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
