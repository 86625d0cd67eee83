"""A netlist in two files: the circuit, which any simulator of its dialect takes, and a script for ngspice.

The core holds elements and model cards only. The wrapper includes it, sets options and first guesses, runs one
analysis and writes what it found; Xyce and LTspice include the same core in a file of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from numpy.typing import ArrayLike

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.files import write_files
from analogep.kinds import checked
from analogep.solve import Nudge, Solution
from analogep.spice.dialects import DIALECTS, number
from analogep.spice.engines.ngspice import RELAXED
from analogep.spice.writing.deck import Deck
from analogep.spice.writing.script import vector
from analogep.spice.writing.writer import Hierarchy, make_deck

CORE = "core.cir"
WRAPPER = "wrapper.cir"
VOLTAGES = "voltages.txt"


@checked()
def write(
    folder: Path,
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    nudge: Nudge | None = None,
    title: str = "analogep circuit",
    sample: int = 0,
    nodeset: Solution | None = None,
    hierarchy: Hierarchy = "flat",
    transient: tuple[float, float] | None = None,
) -> Path:
    """Write a circuit as ``core.cir`` and a script ``wrapper.cir`` that ngspice runs.

    ``ngspice -b wrapper.cir``, started in the folder, writes ``voltages.txt``: a line of names and a line per
    time of values with 16 digits, first the scale (time, or any voltage at an operating point), then all
    voltages by lower-case name. Its exit status is 0 only if the analysis succeeded to its end.

    Parameters
    ----------
    folder
        Where both files go; made if it does not exist.
    circuit, inputs, nudge, title, sample, hierarchy
        As for :func:`analogep.spice.to_netlist`.
    nodeset
        A solution of this circuit, from whose voltages ngspice starts its search.
    transient
        (step, stop) [s] of a transient analysis that starts from the operating point at time 0; an operating
        point alone if not given.

    Returns
    -------
    Path
        The wrapper.

    Raises
    ------
    NetlistError, InputError
        As :func:`analogep.spice.to_netlist`; also if ``transient`` is not 0 < step ≤ stop, or a file cannot be
        written.
    """
    deck = make_deck(circuit, inputs, "ngspice", nudge, title, sample, nodeset, hierarchy)
    core, wrapper = deck.core(title), _wrapper(deck, title, transient)
    path = folder / WRAPPER
    write_files({folder / CORE: core.encode("utf-8"), path: wrapper.encode("utf-8")})
    return path


def _wrapper(deck: Deck, title: str, transient: tuple[float, float] | None) -> str:
    options = [RELAXED.line()]
    if deck.written_gmin is not None:
        options.append(DIALECTS["ngspice"].options({"gmin": deck.written_gmin}))
    head = [title, f"* Run in this folder: ngspice -b {WRAPPER}", f".include {CORE}", *options, *deck.guesses]
    return "\n".join([*head, ".control", *_script(deck.circuit, transient), ".endc", ".end", ""])


def _script(circuit: Circuit, transient: tuple[float, float] | None) -> Iterator[str]:
    """Yield the commands of one analysis.

    A failed analysis leaves vectors of length 0, or ones that end too early; an expression that cannot be
    evaluated counts as false. So success must be shown, and every other end is a failure.
    """
    yield "set numdgt=15"
    yield "set wr_singlescale"
    yield "set wr_vecnames"
    steps = int(RELAXED.stepping)
    yield f"optran 1 {steps} {steps} 0 0 0"  # no transient run in search of an operating point
    if transient is None:
        yield "op"
        yield f"if length({vector(circuit.nodes[1])}) = 1"
    else:
        step, stop = transient
        if not (0.0 < step <= stop and math.isfinite(stop)):
            raise InputError(f"transient = ({step}, {stop}) s; give 0 < step ≤ stop")
        yield f"tran {number(step)} {number(stop)}"
        yield f"if time[length(time)-1] >= {number(stop * (1.0 - 1e-9))}"
    yield f"  wrdata {VOLTAGES} allv"
    yield "  quit 0"
    yield "end"
    yield "echo the analysis failed"
    yield "quit 1"


__all__ = ["CORE", "VOLTAGES", "WRAPPER", "write"]
