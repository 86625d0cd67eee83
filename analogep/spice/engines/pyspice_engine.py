"""ngspice's shared library, driven by PySpice in a worker process that serves one batch after another.

The library keeps the values of an earlier circuit when it fails, some netlists leave it dead, and some end its
process. So it lives in a process of its own, which is replaced on any doubt; a request that a worker did not
survive gets one more try in a fresh one.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import ArrayLike

from analogep.circuit import Circuit
from analogep.errors import EngineError, InputError
from analogep.solve import Nudge
from analogep.spice.engines.ngspice import Outcome, Settings, Tolerances, setup, solve
from analogep.spice.engines.pyspice import pyspice_version
from analogep.spice.engines.pyspice_worker import CANNOT_LOAD, read_frame, write_frame
from analogep.spice.engines.rawfile import parse_operating_point
from analogep.spice.writing.script import without_script
from analogep.spice.writing.writer import to_netlist

LIBRARY = "NGSPICE_LIBRARY_PATH"
"""Environment variable in which PySpice looks for the shared library."""

GROWTH = 256e6
"""Memory [bytes] that a worker may keep between requests above what it had after its first."""

_log = logging.getLogger(__name__)


class _DoubtError(Exception):
    """A worker that can no longer be trusted, and why."""


class _Worker:
    """One worker process."""

    def __init__(self) -> None:
        environment = dict(os.environ)
        if sys.platform.startswith("linux"):
            # Debian ships only the versioned name, which PySpice does not try by itself.
            environment.setdefault(LIBRARY, "libngspice.so.0")
        self.library = environment.get(LIBRARY, "the ngspice library")
        self.owner = os.getpid()
        # no TemporaryDirectory: in a forked child its finalizer would remove the folder under the worker
        self.folder = Path(tempfile.mkdtemp(prefix="analogep-"))
        self.printed = open(self.folder / "stderr", "w+b", buffering=0)  # noqa: SIM115 (open as long as the worker)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "analogep.spice.engines.pyspice_worker"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.printed,
            start_new_session=True,  # an interrupt from the keyboard is for us
        )
        self.served = 0
        self.first_memory = 0
        atexit.register(self.close)

    def close(self) -> None:
        """End the process, whatever it is doing, and remove its folder; done at exit if nobody did."""
        atexit.unregister(self.close)
        if self.owner == os.getpid():  # a forked child holds a copy that is not its own
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.printed):
            try:
                if stream is not None:
                    stream.close()
            except BrokenPipeError:
                pass  # what was not sent yet has nobody to go to
        if self.owner == os.getpid():
            shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, header: dict[str, Any], block: bytes, timeout: float) -> tuple[dict[str, Any], bytes]:
        """Return the reply to one request; raises :class:`_DoubtError` if there is none in time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        expired = threading.Event()

        def end() -> None:
            expired.set()
            self.process.kill()

        clock = threading.Timer(timeout, end)
        clock.start()
        try:
            write_frame(self.process.stdin, header, block)  # type: ignore[arg-type]
            reply = read_frame(self.process.stdout)  # type: ignore[arg-type]
        except OSError:
            reply = None
        finally:
            clock.cancel()
        if reply is not None:
            return reply
        if expired.is_set():
            raise _DoubtError(f"it took longer than {timeout:g} s")
        status = self.process.wait()
        if status == CANNOT_LOAD:
            raise EngineError(
                f"PySpice could not load {self.library}: apt-get install libngspice0, "
                f"or set {LIBRARY} to the library"
            )
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise _DoubtError(f"it crashed ({how}): {Outcome([], self._last_words()).trouble()}")

    def _last_words(self) -> str:
        self.printed.seek(0)
        return self.printed.read().decode("utf-8", "replace")


class PySpiceEngine:
    """ngspice's shared library in a worker process, which starts with the first request.

    Parameters
    ----------
    timeout
        Longest time for one attempt at a batch [s].

    Attributes
    ----------
    restarts
        Why workers were replaced, in order; also logged, crashes and hangs as warnings.

    Notes
    -----
    Only inputs and nudges are altered between samples; a circuit with other weights is loaded anew, which is
    sooner. The circuit leaves the library after every batch. A worker is replaced when it crashes or hangs, when
    it refuses a netlist or finds no operating point (what it holds then is not known), and when its memory has
    grown. Use it as a context manager, or call :meth:`close`.
    """

    def __init__(self, timeout: float = 600.0) -> None:
        if not timeout > 0:
            raise InputError(f"timeout = {timeout} s must be positive")
        self.timeout = timeout
        self.restarts: list[str] = []
        self._worker: _Worker | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> PySpiceEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker; a later request starts a new one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    @property
    def name(self) -> str:
        """Name with version, as in ``Solution.engine``; raises :class:`EngineError` without PySpice."""
        return f"PySpice {pyspice_version()}"

    @property
    def pid(self) -> int | None:
        """Process id of the worker, ``None`` while there is none."""
        return None if self._worker is None else self._worker.process.pid

    def netlist(self, circuit: Circuit, inputs: ArrayLike, nudge: Nudge | None = None) -> str:
        """Return the netlist of a batch's first sample, without comments."""
        lines = without_script(to_netlist(circuit, inputs, nudge=nudge)).splitlines()
        return "\n".join(line for line in lines if not line.startswith("*"))

    def run(
        self, netlist: str, samples: Sequence[Settings], tolerances: Tolerances, timeout: float | None = None
    ) -> Outcome:
        """Solve a netlist for every sample.

        Parameters
        ----------
        netlist, samples, tolerances
            As for :func:`analogep.spice.engines.ngspice.run_ngspice`.
        timeout
            Longest time for one attempt [s]; the engine's own by default.

        Raises
        ------
        EngineError
            If PySpice or the library is missing, or two workers in a row crash, hang or refuse the netlist.
        """
        pyspice_version()
        body, _, _ = netlist.rstrip().rpartition("\n.end")
        block = f"{body}\n{tolerances.line()}\n.end\n".encode()
        header = {"setup": list(setup(tolerances)), "samples": [list(solve(s)) for s in samples]}
        limit = self.timeout if timeout is None else timeout
        with self._lock:
            try:
                return self._attempt(header, block, limit)
            except _DoubtError as doubt:
                self._replace(str(doubt))
            try:
                return self._attempt(header, block, limit)
            except _DoubtError as doubt:
                self._replace(str(doubt))
                raise EngineError(
                    f"PySpice's worker failed twice on {len(samples)} samples: {doubt}; raise timeout if it was "
                    'slow, or use engine="ngspice"'
                ) from None

    def _attempt(self, header: dict[str, Any], block: bytes, timeout: float) -> Outcome:
        """Return the outcome of one request; raises :class:`_DoubtError` if it is worth another worker."""
        if self._worker is not None and self._worker.owner != os.getpid():
            self.close()
        if self._worker is None:
            self._worker = _Worker()
        worker = self._worker
        try:
            reply, raw = worker.ask(header, block, timeout)
        except _DoubtError:
            raise
        except BaseException:  # an interrupt, too, leaves a reply that nobody has read
            self.close()
            raise
        if not reply["loaded"]:
            raise _DoubtError(f"the netlist was refused: {Outcome([], reply['log']).trouble()}")
        outcome = Outcome(_cut(raw, reply["sizes"]), reply["log"])
        worker.served += 1
        worker.first_memory = worker.first_memory or reply["memory"]
        if not reply["removed"]:
            self._replace("the circuit could not be removed")
        elif None in outcome.points:
            self._replace(f"a sample has no operating point: {outcome.trouble()}", logging.INFO)
        elif reply["memory"] > worker.first_memory + GROWTH:
            self._replace(f"its memory grew to {reply['memory'] / 1e6:.0f} MB", logging.INFO)
        return outcome

    def _replace(self, why: str, level: int = logging.WARNING) -> None:
        served = 0 if self._worker is None else self._worker.served
        _log.log(level, "PySpice's worker is replaced after %d batches: %s", served, why)
        self.restarts.append(why)
        self.close()


def _cut(raw: bytes, sizes: Sequence[int]) -> list[dict[str, float] | None]:
    """Return the operating points in the joined raw files."""
    points, start = [], 0
    for size in sizes:
        points.append(parse_operating_point(raw[start : start + size]))
        start += size
    return points


@lru_cache(maxsize=1)
def shared_engine() -> PySpiceEngine:
    """Return the engine behind ``engine="pyspice"``; its worker ends when Python exits."""
    return PySpiceEngine()
