"""One simulator process: bounded in time, its output caught, every way to fail an error that says so."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from analogep.errors import EngineError


def run(
    command: Sequence[str],
    folder: Path,
    timeout: float,
    *,
    name: str,
    samples: int,
    remedy: str,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` in ``folder`` and return what it printed, whatever its exit status.

    Parameters
    ----------
    command, folder, timeout, environment
        As for :func:`subprocess.run`; ``timeout`` in seconds.
    name, samples, remedy
        For the message of a run that takes too long: who ran, for how many samples, and what else to try.

    Raises
    ------
    EngineError
        If it takes longer than ``timeout``.
    OSError
        If it cannot be started.
    """
    try:
        return subprocess.run(
            list(command),
            cwd=folder,
            env=None if environment is None else dict(environment),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"{name} took longer than {timeout:g} s for {samples} samples; raise timeout, or {remedy}"
        ) from None
