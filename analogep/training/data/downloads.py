"""Published files: from ``ANALOGEP_DATA_DIR``, else the cache, else downloaded; always hash-checked."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from analogep.errors import DataError, Fault

VARIABLE = "ANALOGEP_DATA_DIR"
"""Environment variable: the folder that holds ``<data set>/<published file name>``."""


@dataclass(frozen=True)
class PublishedFile:
    """A file as its authors publish it.

    Attributes
    ----------
    name
        Its file name.
    md5
        MD5 of the published file.
    content_md5
        MD5 of what a .gz file holds, if known: a copy that was packed again passes too.
    """

    name: str
    md5: str
    content_md5: str | None = None


@dataclass(frozen=True)
class Published:
    """A data set's files and the addresses of the folders that have them, tried in order.

    Attributes
    ----------
    name
        The data set, and its folder in ``ANALOGEP_DATA_DIR`` and in the cache.
    addresses
        URLs that end in a slash.
    files
        The files.
    """

    name: str
    addresses: tuple[str, ...]
    files: tuple[PublishedFile, ...]


def cache_folder() -> Path:
    """Return the folder in which downloads stay: analogep's in the user's cache."""
    import pooch

    return Path(pooch.os_cache("analogep"))


def read_all(published: Published) -> dict[str, bytes]:
    """Return the contents of a data set's files by name, .gz files unpacked (archives .tar.gz are not).

    Raises
    ------
    DataError
        With every file that is damaged, by its place, and the first that cannot be downloaded, by its addresses;
        after that no further download is tried.
    """
    found: dict[str, bytes] = {}
    faults: list[Fault] = []
    unreachable = False
    for file in published.files:
        own = _own(published, file)
        if own is None and unreachable:
            continue
        try:
            if own is not None:
                remedy = "replace it by the published file, or remove it to have it downloaded"
                found[file.name] = _checked(own, file, remedy)
            else:
                found[file.name] = _checked(_download(published, file), file, "remove it and try again")
        except _Unreachable as trouble:
            faults.append(trouble.fault)
            unreachable = True
        except _Trouble as trouble:
            faults.append(trouble.fault)
    if unreachable:
        absent = [file.name for file in published.files if _own(published, file) is None]
        what = (
            f"without a network, put {', '.join(absent)} into FOLDER/{published.name}/ and set {VARIABLE}=FOLDER"
        )
        faults.append(Fault("remedy", what))
    if faults:
        raise DataError(f"data set {published.name}", faults)
    return found


class _Trouble(Exception):
    def __init__(self, where: str, what: str) -> None:
        super().__init__(what)
        self.fault = Fault(where, what)


class _Unreachable(_Trouble):
    """A file that no address gives."""


def _own(published: Published, file: PublishedFile) -> Path | None:
    """Return where the user's own folder has ``file``, ``None`` if it has not."""
    folder = os.environ.get(VARIABLE)
    path = Path(folder or ".") / published.name / file.name
    return path if folder and path.exists() else None


def _checked(path: Path, file: PublishedFile, remedy: str) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _Trouble(str(path), f"cannot be read: {error.strerror}") from None
    packed = file.name.endswith(".gz") and not file.name.endswith(".tar.gz")
    found = _md5(raw)
    expected, content = f"md5 {file.md5}", None
    if packed:
        try:
            content = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error):
            content = None
        if file.content_md5 is not None:
            expected += f" (or, unpacked, {file.content_md5})"
    if found == file.md5 and not (packed and content is None):
        return raw if content is None else content
    if content is not None and file.content_md5 is not None and _md5(content) == file.content_md5:
        return content
    unpacked = f" (unpacked {_md5(content)})" if content is not None else ""
    raise _Trouble(str(path), f"is damaged: expected {expected}, found {found}{unpacked}; {remedy}")


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _download(published: Published, file: PublishedFile) -> Path:
    """Return the cached file, downloaded if it is missing or damaged."""
    import pooch

    folder = cache_folder() / published.name
    failures = []
    for address in published.addresses:
        url = f"{address}{file.name}"
        # a server that packs a .gz file once more on the way would spoil its hash
        downloader = pooch.HTTPDownloader(headers={"Accept-Encoding": "identity"})
        try:
            return Path(pooch.retrieve(url, f"md5:{file.md5}", file.name, folder, downloader=downloader))
        except (OSError, ValueError) as error:  # no network, no such file, no space; another hash
            failures.append(f"{url} ({_reason(error)})")
    raise _Unreachable(file.name, f"could not be downloaded from {'; nor from '.join(failures)}")


def _reason(error: Exception) -> str:
    """Return the first line of what went wrong, of its cause if the message ends with one."""
    text = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {text.rpartition('Caused by ')[2].rstrip(')')}"
