"""Netlists spoiled at random: each is refused by an error of ours, or has ngspice's values.

``python experiments/netlist_mutations.py --count 10000 --seed 1 --failures FOLDER`` prints how many netlists came
to which outcome, and writes the smallest text of each that is wrong. Texts are spoiled by their characters, words,
values and lines; both simulators then find the operating point of the same text.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
from census_tools import Finding, Generator, TooSlow, limited, parser, run
from mutation_seeds import PIECES, SEEDS

from analogep.errors import AnalogepError, ConvergenceError, NetlistError
from analogep.solve import operating_point
from analogep.spice import find_ngspice, read_netlist
from analogep.spice.engines.rawfile import read_operating_point
from analogep.spice.reading.reader import Netlist
from analogep.spice.run import run_netlist
from analogep.spice.text.analyses import OperatingPoint

GOOD = {"refused", "same values", "another solution of the same circuit", "solved here alone", "not found here"}
RELATIVE, SHRINKS = 1e-6, 60
_THEIR_OWN = re.compile(r"#|^i\(|_int\d*$")
_OUR_OWN = re.compile(r"_sensed")
SCRIPT = [".options reltol=1e-9 vntol=1e-13 abstol=1e-18", ".control", "op", "write out.raw", "quit 0", ".endc"]


def spoiled(rng: Generator, text: str) -> str:
    """Return a netlist with one to three accidents."""
    lines = text.split("\n")
    for _ in range((1, 1, 1, 2, 3)[int(rng.integers(5))]):
        k = int(rng.integers(1, len(lines)))  # not the title
        lines[k : k + 1] = _spoiled_line(rng, lines, k)
    return "\n".join(lines)


def _spoiled_line(rng: Generator, lines: list[str], k: int) -> list[str]:
    line, other = lines[k], lines[int(rng.integers(1, len(lines)))]
    words = re.split(r"([ ,()={}*+/-])", line)
    w, v = (int(i) for i in rng.integers(0, len(words), 2))
    at = int(rng.integers(0, len(line) + 1))
    piece = PIECES[int(rng.integers(len(PIECES)))]
    action = int(rng.integers(14))
    if action < 5:  # within the words
        if action == 0:
            words[w], words[v] = words[v], words[w]
        elif action == 1:
            words[w] = ""
        elif action == 2:
            words.insert(w, words[v] + " ")
        else:
            words[w] = piece if action == 3 else words[w] + piece
        return ["".join(words)]
    if action < 9:  # within the characters
        end = at + int(action != 6)
        return [
            line[:at]
            + {5: "", 6: piece, 7: line[at : at + 1] * 2, 8: line[at : at + 1].swapcase()}[action]
            + line[end:]
        ]
    if action == 9:  # another value
        numbers = list(re.finditer(r"(?<![\w.])\d+\.?\d*", line))
        if not numbers:
            return [line]
        m = numbers[int(rng.integers(len(numbers)))]
        value = ("0", "-1", "7", "1e3", "0.5", "1_0", "1e", "2.5.1")[int(rng.integers(8))]
        return [line[: m.start()] + value + line[m.end() :]]
    return {10: [], 11: [line, line], 12: [line, other], 13: [line[:at], line[at:]]}[action]


def theirs(text: str) -> dict[str, float] | None:
    """Return ngspice's node voltages [V] at the operating point, by lower-case name; None if it finds none."""
    title, _, rest = text.partition("\n")
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        (Path(folder) / "deck.cir").write_text("\n".join([title, *SCRIPT, rest]), newline="")
        try:
            subprocess.run(
                [find_ngspice(), "-n", "-b", "deck.cir"], cwd=folder, capture_output=True, timeout=20,
                stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            found = read_operating_point(Path(folder) / "out.raw")
        except (subprocess.TimeoutExpired, OSError, ValueError):
            return None
    return found if found and all(map(np.isfinite, found.values())) else None


def judged(text: str) -> tuple[str, str]:
    """Return the outcome of a netlist, and a remark."""
    try:
        with limited(10.0), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            netlist = replace(read_netlist(text, source="mutant"), analyses=(OperatingPoint(),))
            (result,) = run_netlist(netlist, {}, "newton")
    except TooSlow:
        return "too slow", "more than 10 s"
    except NetlistError as error:
        loose = [
            str(f) for f in error.faults if not re.match(r"mutant:\d+", f.where) and "no elements" not in f.what
        ]
        return ("refused", str(error)) if not loose else ("refused without a line", loose[0])
    except ConvergenceError as error:
        return ("not found here" if theirs(text) else "refused"), str(error)
    except AnalogepError as error:
        return "refused", str(error)
    except Exception as error:  # what the campaign looks for
        return "foreign error", f"{type(error).__name__}: {error}"
    found = theirs(text)
    if found is None:
        return "solved here alone", ""
    ours = _by_name(netlist, result.voltages[0])
    wrong = differences(ours, found)
    if not wrong:
        return "same values", ""
    return (
        "another solution of the same circuit" if _same_circuit(netlist, found) else "silent difference"
    ), wrong


def differences(ours: dict[str, float], found: dict[str, float]) -> str:
    """Return in words where two solutions differ; so do nodes that one of them lacks."""
    scale = max(1.0, *map(abs, found.values()))
    missing = [n for n in found if n not in ours and not _THEIR_OWN.search(n)]
    far = [
        f"{n}: {ours[n]:.9g} for {found[n]:.9g}"
        for n in ours.keys() & found.keys()
        if abs(ours[n] - found[n]) > RELATIVE * abs(found[n]) + 1e-9 * scale
    ]
    extra = [n for n in ours if n not in found and not _OUR_OWN.search(n)]
    return "; ".join([*sorted(far), *(f"{n} only there" for n in missing), *(f"{n} only here" for n in extra)])


def _same_circuit(netlist: Netlist, found: dict[str, float]) -> bool:
    """Whether Newton's method, from ngspice's voltages, stays there: the netlist was read alike."""
    names = _by_name(netlist, np.zeros(len(netlist.circuit.nodes) - 1))
    start = np.array([[0.0, *(found.get(name, 0.0) for name in names)]])
    try:
        with limited(10.0):
            point = operating_point(netlist.circuit, method="newton", v0=start)
    except (AnalogepError, TooSlow):
        return False
    return not differences(_by_name(netlist, point.voltages[0, 1:]), found)


def _by_name(netlist: Netlist, voltages: np.ndarray) -> dict[str, float]:
    """Return node voltages by the name that the netlist's text has for each, in lower case."""
    written = {legal: name for name, legal in netlist.renamed.items()}
    names = netlist.circuit.nodes[1:]
    return {written.get(n, n).lower(): float(v) for n, v in zip(names, voltages, strict=True)}


def smallest(text: str, outcome: str) -> str:
    """Return the text without the lines that the outcome does not need."""
    lines = text.split("\n")
    k, tries = len(lines) - 1, 0
    while k > 0 and tries < SHRINKS:
        fewer = "\n".join(lines[:k] + lines[k + 1 :])
        tries += 1
        if judged(fewer)[0] == outcome:
            del lines[k]
        k -= 1
    return "\n".join(lines)


def one(task: tuple[int, int, tuple[str, ...]]) -> Finding:
    """Spoil and judge one netlist."""
    seed, number, kinds = task
    rng = np.random.default_rng([seed, number])
    names = [name for name in SEEDS if not kinds or name in kinds]
    kind = names[number % len(names)]
    text, started = spoiled(rng, SEEDS[kind]), time.perf_counter()
    outcome, remark = judged(text)
    if outcome not in GOOD:
        text = smallest(text, outcome)
        outcome, remark = judged(text)
    return Finding(number, kind, outcome, remark, text, time.perf_counter() - started)


if __name__ == "__main__":
    raise SystemExit(1 if run(one, parser(__doc__ or "", 1000).parse_args(), GOOD) else 0)
