"""What the censuses of netlists share: decks, both simulators under a time limit, tables of outcomes."""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analogep.errors import AnalogepError, ConvergenceError, InputError, NetlistError
from analogep.spice import find_ngspice, read_netlist
from analogep.spice.engines.rawfile import parse_plot
from analogep.spice.run import Result, run_netlist

Array = np.ndarray
Generator = np.random.Generator
LONGEST = 20.0
"""How long a run of ours may take, in time of the processor [s]: others may keep it busy, too."""


def decades(rng: Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


@dataclass
class Deck:
    """A netlist that grows: its kind, its elements, and how long it runs."""

    kind: str
    lines: list[str] = field(default_factory=list)
    tran: str = ""
    drift: float = 1e-3
    """Allowed shift in time, relative to the end: what runs freely keeps no phase."""
    relative: float = 1e-3

    def add(self, line: str) -> None:
        self.lines.append(line)

    @property
    def text(self) -> str:
        return "\n".join([self.kind, *self.lines, self.tran or ".op", ".end", ""])


class TooSlow(BaseException):
    """The time limit; no handler of the code under test may catch it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, previous)


def ours(text: str, longest: float = LONGEST) -> tuple[str, str, Result | None]:
    """Return the outcome (``done``, ``refused by the reader``, …), a remark, and what was found."""
    started = time.process_time()
    try:
        with limited(longest):
            netlist = read_netlist(text, source="census")
            result = run_netlist(netlist, {})[-1]
    except TooSlow:
        return "too slow", f"more than {longest:g} s", None
    except NetlistError as error:
        return "refused by the reader", str(error), None
    except ConvergenceError as error:
        return "refused", str(error), None
    except InputError as error:
        return "refused", str(error), None
    except AnalogepError as error:
        return "refused", f"{type(error).__name__}: {error}", None
    except Exception as error:  # what the census looks for: a foreign traceback
        return "foreign error", f"{type(error).__name__}: {error}", None
    return "done", f"{time.process_time() - started:.2f} s", result


def ngspice(text: str, analysis: str, options: str, longest: float = 60.0) -> tuple[dict[str, Array] | None, str]:
    """Return the vectors of one analysis by node in lower case, or None, and the last telling line of the log."""
    lines = [line for line in text.splitlines() if not re.match(r"\.(tran|op|end)\b", line, re.I)]
    lines = [
        re.sub(r"\b(reltol|abstol|vntol|chgtol|trtol|method)\s*=\s*\S+", "", line)
        if line.lower().startswith(".opt")
        else line
        for line in lines
    ]
    lines = [line for line in lines if not re.fullmatch(r"\.options?\s*", line, re.I)]
    lines += [
        f".options {options}",
        ".control",
        "set filetype=binary",
        analysis,
        "write out.raw",
        "quit 0",
        ".endc",
    ]
    with tempfile.TemporaryDirectory(prefix="census-") as folder:
        path = Path(folder)
        (path / "deck.cir").write_text("\n".join([*lines, ".end", ""]))
        try:
            done = subprocess.run(
                [find_ngspice(), "-n", "-b", "deck.cir"], cwd=path, capture_output=True, text=True,
                timeout=longest, stdin=subprocess.DEVNULL, check=False, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None, f"more than {longest:g} s"
        log = done.stdout + done.stderr
        telling = [
            x.strip() for x in log.splitlines() if re.search(r"error|too small|singular|abort|fail", x, re.I)
        ]
        raw = path / "out.raw"
        name = "Transient Analysis" if analysis.startswith("tran") else "Operating Point"
        plot = parse_plot(raw.read_bytes(), name) if raw.exists() else None
        if plot is None and raw.exists():
            plot = _of_one_point(raw.read_bytes(), name)
    if plot is None or not all(np.isfinite(v).all() for v in plot.values()):
        return None, (telling or ["nothing was written"])[0]
    return plot, (telling or [""])[0]


def _of_one_point(content: bytes, name: str) -> dict[str, Array] | None:
    return parse_plot(content.replace(b"Plotname: DC transfer", b"Plotname: " + name.encode()), name)


# --- harness -------------------------------------------------------------------------------------------------


@dataclass
class Finding:
    """What became of one circuit."""

    number: int
    kind: str
    outcome: str
    remark: str
    text: str
    seconds: float = 0.0


def parser(description: str, count: int) -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=description)
    out.add_argument("--count", type=int, default=count)
    out.add_argument("--first", type=int, default=0, help="number of the first circuit")
    out.add_argument("--seed", type=int, default=0)
    out.add_argument("--jobs", type=int, default=2)
    out.add_argument("--failures", type=Path, help="folder for the netlists of all that is not as it should be")
    out.add_argument("--kinds", nargs="*", help="only these kinds")
    out.add_argument("--quiet", action="store_true", help="print the table alone")
    return out


def run(
    one: Callable[[tuple[int, int, tuple[str, ...]]], Finding], args: argparse.Namespace, good: set[str]
) -> int:
    """Try all circuits, print what is not good as it comes, then the table; return how many are not good."""
    kinds = tuple(args.kinds or ())
    tasks = [(args.seed, k, kinds) for k in range(args.first, args.first + args.count)]
    table: dict[str, Counter[str]] = {}
    outcomes: Counter[str] = Counter()
    seconds = []
    with ProcessPoolExecutor(args.jobs) as pool:
        for found in pool.map(one, tasks):
            table.setdefault(found.kind, Counter())[found.outcome] += 1
            outcomes[found.outcome] += 1
            seconds.append(found.seconds)
            if found.outcome in good:
                continue
            if not args.quiet:
                print(
                    f"{found.number} {found.kind}: {found.outcome}: {' '.join(found.remark.split())[:260]}",
                    flush=True,
                )
            if args.failures is not None:
                args.failures.mkdir(parents=True, exist_ok=True)
                stem = re.sub(r"\W+", "_", f"{found.outcome}_{found.kind}_{args.seed}_{found.number}")
                title, _, rest = found.text.partition("\n")
                remark = " ".join(found.remark.split())[:500]
                (args.failures / f"{stem}.cir").write_text(f"{title}\n* {found.outcome}: {remark}\n{rest}")
    columns = [name for name, _ in outcomes.most_common()]
    width = max(len(k) for k in table) + 2
    for k, name in enumerate(columns):
        print(f"{'':{width}s}{'|  ' * k}{name}")
    for kind in sorted(table):
        print(f"{kind:{width}s}" + "".join(f"{table[kind][c] or '.':<4}" for c in columns))
    print(f"{'all':{width}s}" + "".join(f"{outcomes[c]:<4}" for c in columns))
    print(f"time of ours: median {np.median(seconds):.3f} s, longest {max(seconds):.2f} s")
    return sum(n for name, n in outcomes.items() if name not in good)
