"""ngspice as a program: one process per batch, one binary file per sample, nothing believed unread."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from numpy.typing import ArrayLike

from analogep.circuit import Circuit
from analogep.errors import EngineError, InputError
from analogep.kinds import checked
from analogep.solve import Nudge
from analogep.spice.dialects import number
from analogep.spice.engines.process import run
from analogep.spice.engines.rawfile import read_operating_point
from analogep.spice.writing.script import without_script
from analogep.spice.writing.writer import to_netlist

ENVIRONMENT = "ANALOGEP_NGSPICE"
"""Environment variable that names the ngspice program."""

REMEDY = f"install it (apt-get install ngspice) or set {ENVIRONMENT} to the program"

Settings = Mapping[str, float]
"""Values to alter before a sample, by source name."""

_TROUBLE = re.compile(
    r"\s*(?:fatal\s+)?error\b.*|.*(?:unknown|singular matrix|aborted|too small|trouble with|no such|can't find|"
    r"could not|not found|undefined|no convergence|iteration limit|failed|warning: .*no dc path).*",
    re.IGNORECASE,
)
_CHATTER = re.compile(r"note:.*|.*(?:stepping|source step|supplies reduced|trying).*", re.IGNORECASE)
_TOLD = 4  # lines of the log that a message repeats
_LINEAR_SOLVER = re.compile(r"Using (\S[^\n]*?) as Direct Linear Solver", re.I)


@dataclass(frozen=True)
class Tolerances:
    """How ngspice converges.

    Attributes
    ----------
    reltol, vntol, abstol
        Relative tolerance, voltage tolerance [V], current tolerance [A].
    itl1
        Iterations of one Newton run.
    stepping
        Whether gmin and source stepping follow where plain Newton fails.
    """

    reltol: float
    vntol: float
    abstol: float
    itl1: int
    stepping: bool

    def line(self) -> str:
        """Return them as an ``.options`` line."""
        values = {"reltol": self.reltol, "vntol": self.vntol, "abstol": self.abstol, "itl1": self.itl1}
        return " ".join([".options", *(f"{key}={number(value)}" for key, value in values.items())])


TIGHT = Tolerances(1e-9, 1e-12, 1e-18, itl1=200, stepping=False)
"""First choice: the error left by Newton's last step is then at rounding level.

No stepping: ngspice's source stepping can leave its last gmin at every node, which a sample that misses these
tolerances by rounding alone would then carry.
"""

RELAXED = Tolerances(1e-6, 1e-9, 1e-15, itl1=1000, stepping=True)
"""For the samples that fail (large and tiny resistances together, say). Newton converges quadratically: a last
step of 1e-6 relative leaves far less."""


@dataclass(frozen=True)
class Outcome:
    """What one process gave.

    Attributes
    ----------
    points
        Vectors by lower-case name for each sample; ``None`` where there was no operating point.
    log
        What ngspice printed.
    """

    points: list[dict[str, float] | None]
    log: str

    @property
    def linear_solver(self) -> str:
        """Which factorisation ngspice used; builds before version 42 have Sparse 1.3 only and do not say."""
        found = _LINEAR_SOLVER.search(self.log)
        return found.group(1) if found else "Sparse 1.3"

    def trouble(self) -> str:
        """Return the telling lines of the log in ngspice's words, or its last line."""
        lines = [line.strip() for line in self.log.splitlines() if line.strip()]
        return self.told() or (lines[-1:] or ["it printed nothing"])[0]

    def told(self) -> str:
        """Return the telling lines of the log, ``""`` if there is none."""
        joined = re.sub(r":[ \t]*\n\s*", ": ", self.log)  # "Error on line 2:" and then the line
        lines = [" ".join(line.split()).removesuffix(" -") for line in joined.splitlines()]
        told = [line for line in lines if _TROUBLE.fullmatch(line) and not _CHATTER.fullmatch(line)]
        return "; ".join(list(dict.fromkeys(told))[:_TOLD])


LONGEST = 1e8
"""Longest timeout [s], three years: what an operating system's clocks take."""


def check_timeout(timeout: float) -> None:
    """Raise :class:`InputError` unless a timeout [s] is positive and one that clocks take."""
    if not 0.0 < timeout <= LONGEST:
        raise InputError(f"timeout = {timeout:g} s must be positive, and at most {LONGEST:g} s")


def find_ngspice() -> str:
    """Return the path of the ngspice program: that in ``ANALOGEP_NGSPICE``, or the one on the path.

    Raises
    ------
    EngineError
        If there is none; the message holds the remedy.
    """
    wish = os.environ.get(ENVIRONMENT)
    found = shutil.which(wish or "ngspice")
    if found is None:
        raise EngineError(f"ngspice was not found ({wish or 'on the path'}): {REMEDY}")
    return found


@lru_cache(maxsize=8)
def ngspice_version(program: str) -> str:
    """Return the version of an ngspice program, such as ``"39"``."""
    try:
        done = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"{program} does not run: {error}; {REMEDY}") from None
    match = re.search(r"ngspice-(\S+)", done.stdout + done.stderr)
    if match is None:
        raise EngineError(f"{program} does not look like ngspice; {REMEDY}")
    return match.group(1)


def control_script(samples: Sequence[Settings], tolerances: Tolerances) -> Iterator[str]:
    """Yield the lines that solve one sample after another, each into its own file ``s<k>.raw``.

    Every plot is destroyed after it is written: where the next ``op`` fails, ``write`` then finds only the
    table of constants, never the values of the sample before.
    """
    yield tolerances.line()
    yield ".control"
    yield from commands(samples, tolerances)
    yield "quit 0"
    yield ".endc"


def commands(samples: Sequence[Settings], tolerances: Tolerances) -> Iterator[str]:
    """Yield ngspice's commands for all samples; see :func:`control_script`."""
    yield from setup(tolerances)
    for k, settings in enumerate(samples):
        yield from solve(settings)
        yield f"write s{k}.raw"
        yield "destroy all"


def setup(tolerances: Tolerances) -> Iterator[str]:
    """Yield the commands that come once, after the circuit is loaded."""
    yield "set filetype=binary"
    # Plain Newton, gmin stepping, source stepping; then no transient run, whose end is no operating point.
    steps = int(tolerances.stepping)
    yield f"optran 1 {steps} {steps} 0 0 0"


def solve(settings: Settings) -> Iterator[str]:
    """Yield the commands that find one sample's operating point."""
    for name, value in settings.items():
        yield f"alter {name.lower()} = {number(value)}"
    yield "op"


def with_script(netlist: str, lines: Iterable[str]) -> str:
    """Return a netlist with lines put before its ``.end``, in place of its own script."""
    body, end, _ = without_script(netlist).rpartition("\n.end")
    return "\n".join([body, *lines, end.lstrip("\n"), ""])


@checked()
@dataclass(frozen=True)
class NgspiceEngine:
    """The ngspice program, one process per batch.

    Attributes
    ----------
    timeout
        Longest time for a batch [s].
    """

    timeout: float = 600.0

    def __post_init__(self) -> None:
        check_timeout(self.timeout)

    @property
    def name(self) -> str:
        """Name with version, as in ``Solution.engine``; raises :class:`EngineError` without ngspice."""
        return f"ngspice {ngspice_version(find_ngspice())}"

    def netlist(self, circuit: Circuit, inputs: ArrayLike, nudge: Nudge | None = None) -> str:
        """Return the netlist of a batch's first sample."""
        return to_netlist(circuit, inputs, nudge=nudge)

    def run(
        self, netlist: str, samples: Sequence[Settings], tolerances: Tolerances, timeout: float | None = None
    ) -> Outcome:
        """Solve a netlist for every sample; see :func:`run_ngspice`."""
        return run_ngspice(netlist, samples, tolerances, self.timeout if timeout is None else timeout)


def run_ngspice(netlist: str, samples: Sequence[Settings], tolerances: Tolerances, timeout: float) -> Outcome:
    """Solve a netlist for every sample in one ``ngspice -b`` process, in a directory that is then removed.

    Parameters
    ----------
    netlist
        The netlist, without a script.
    samples
        Values to alter before each operating point; a value stays until it is altered again.
    tolerances
        Convergence tolerances.
    timeout
        Longest time for the whole batch [s].

    Raises
    ------
    EngineError
        If ngspice is missing, crashes or takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="analogep-") as folder:
        path = Path(folder)
        log = execute(with_script(netlist, control_script(samples, tolerances)), path, len(samples), timeout)
        return Outcome([read_operating_point(path / f"s{k}.raw") for k in range(len(samples))], log)


def execute(netlist: str, folder: Path, samples: int, timeout: float) -> str:
    """Run ``ngspice -b`` on a netlist with its script in ``folder`` and return what it printed.

    Raises
    ------
    EngineError
        If ngspice is missing, crashes, takes too long or exits with an error.
    """
    program = find_ngspice()
    (folder / "circuit.cir").write_text(netlist)
    try:
        # -n: no .spiceinit, which could set a compatibility mode that reads the netlist differently
        done = run(
            [program, "-n", "-b", "circuit.cir"],
            folder,
            timeout,
            name="ngspice",
            samples=samples,
            remedy="solve fewer samples or a smaller circuit",
        )
    except OSError as error:
        raise EngineError(f"{program} does not run: {error}; {REMEDY}") from None
    outcome = Outcome([], done.stderr + "\n" + done.stdout)
    if done.returncode < 0:
        raise EngineError(f"ngspice crashed (signal {-done.returncode}): {outcome.trouble()}")
    if done.returncode > 0:
        raise EngineError(f"ngspice rejected the netlist: {outcome.trouble()}")
    return outcome.log
