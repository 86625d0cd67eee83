"""The one way to compile a loop: numba without the interpreter's lock, kept on disk after the first use.

numba looks at the file of the compiled function alone to see whether what it kept is still right, and would go on
using the old code of a function from another file. So kernels are kept in a folder that is named after the text
of all of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numba as nb
import numba.extending

ELEMENTWISE = {"contract", "nsz", "nnan"}
"""What a loop over finite numbers may do and still give the same bits wherever a vector begins."""

SUMS = {"reassoc", "contract", "nsz"}
"""What a loop may do that adds numbers up: the order of the sum is the compiler's, and always the same."""

FINITE = SUMS | {"nnan"}
"""The same for a loop over finite numbers, which may then find extremes by vectors, too."""


CONSTANTS = b"# Kernels take constants from this file."
"""The line that has a file without kernels count as one."""


@cache
def kept_in() -> str | None:
    """Return the folder in which this version of all kernels is kept, ``None`` for numba's own choice."""
    import platformdirs

    text = hashlib.sha256(nb.__version__.encode())
    root = Path(__file__).parent.parent
    for path in sorted(root.rglob("*.py")):
        source = path.read_bytes()
        if b"solve.compiled import" in source or CONSTANTS in source:
            text.update(source)
    parent = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("analogep")
    folder = Path(parent) / f"kernels-{text.hexdigest()[:16]}"
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _clear(folder.parent, folder)
    except OSError:
        return None
    return str(folder)


_STALE = 30.0 * 86400.0  # seconds after which another version's kernels go


def _clear(parent: Path, own: Path) -> None:
    """Remove what other versions left in ``parent`` a month ago or more."""
    for folder in parent.glob("kernels-*"):
        if folder != own and time.time() - folder.stat().st_mtime > _STALE:
            shutil.rmtree(folder, ignore_errors=True)


def is_kept(name: str) -> bool:
    """Return whether the kernel ``"module.function"`` was compiled before, if that can be known."""
    folder = kept_in()
    return folder is None or any(Path(folder).rglob(f"{name}-*.nbi"))


@contextmanager
def _keeping() -> Iterator[None]:
    """Let numba keep what is declared meanwhile in our folder."""
    settings: Any = nb.config
    before, folder = settings.CACHE_DIR, kept_in()
    if folder is not None:
        settings.CACHE_DIR = folder
    try:
        yield
    finally:
        settings.CACHE_DIR = before


def intrinsic(function: Callable[..., Any]) -> Any:
    """Declare what the compiler writes itself where a kernel calls it (numba's decorator, for type checkers)."""
    return numba.extending.intrinsic(function)


def compiled(
    function: Any = None,
    *,
    fastmath: set[str] | None = None,
    inline: bool = False,
    borrows: bool = False,
    inner: bool = False,
) -> Any:
    """Compile a function at its first call; it runs without the interpreter's lock.

    Parameters
    ----------
    fastmath
        :data:`ELEMENTWISE`, :data:`SUMS` or :data:`FINITE`; strict arithmetic by default.
    inline
        Whether callers copy the function: worth it where named tuples of many arrays are passed often.
    borrows
        Whether the function makes and returns no arrays: it then counts no references, which compiles faster.
    inner
        The same for a function that only compiled ones call: it gets no door from Python either.
    """

    def declare(python: Callable[..., Any]) -> Any:
        leaner: Any = {
            "no_cfunc_wrapper": True,
            "no_cpython_wrapper": inner,
            "_nrt": not (borrows or inner),
        }
        with _keeping():
            declared = nb.njit(
                cache=True,
                nogil=True,
                error_model="numpy",
                fastmath=fastmath or False,
                inline="always" if inline else "never",
                **leaner,
            )
            return declared(python)

    return declare if function is None else declare(function)
