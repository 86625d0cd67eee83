"""The analyses that a netlist asks for, done by ngspice, as :mod:`analogep.spice.run` does them natively."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analogep.errors import EngineError
from analogep.spice.dialects import DIALECTS
from analogep.spice.engines.ngspice import Outcome, execute, find_ngspice, with_script
from analogep.spice.engines.operating_point import operating_point
from analogep.spice.engines.rawfile import SWEEP, TRANSIENT, parse_plot
from analogep.spice.reading.reader import Netlist
from analogep.spice.run import Result, Swept, swept_axes
from analogep.spice.text.analyses import Analysis, OperatingPoint, Sweep, Transient
from analogep.spice.writing.deck import Deck
from analogep.spice.writing.script import LATE, command
from analogep.spice.writing.writer import deck_of

Array = NDArray[np.float64]

_ACCURATE = {"reltol": 1e-6, "vntol": 1e-9, "abstol": 1e-15, "itl1": 200.0, "trtol": 1.0}
"""ngspice's options that the netlist does not give; so straight lines between its steps are good enough."""

_FINER = 8
"""Steps of ngspice within one of the printing; between them voltages are taken as straight lines."""


def simulate_netlist(netlist: Netlist, inputs: Mapping[str, float], timeout: float = 600.0) -> list[Result]:
    """Do what the netlist asks for in ngspice, or find its operating point if it asks for nothing.

    Operating points are checked against Kirchhoff's laws; see :func:`analogep.spice.operating_point`. ``.dc`` and
    ``.tran`` run as ngspice's own, with the netlist's ``.ic``, ``.nodeset``, ``uic``, ``ic=`` and ``.options``;
    what it gives no option for has tolerances tighter than ngspice's own.

    Parameters
    ----------
    netlist
        As read.
    inputs
        Voltage [V] of each input node.
    timeout
        Longest time for one analysis [s].

    Raises
    ------
    InputError
        If a swept source does not exist, or inputs are missing.
    NetlistError
        If the circuit cannot be written as a netlist.
    EngineError
        If ngspice is missing or an analysis fails; with its own words.
    """
    find_ngspice()
    return [_one(netlist, analysis, inputs, timeout) for analysis in netlist.task.analyses]


def _one(netlist: Netlist, analysis: Analysis, inputs: Mapping[str, float], timeout: float) -> Result:
    if isinstance(analysis, OperatingPoint):
        point = operating_point(netlist.circuit, inputs or None, netlist.nudge, timeout=timeout)
        return Result("operating point", {}, netlist.spelt, point.voltages[:, 1:], point)
    deck = deck_of(netlist, inputs)
    if isinstance(analysis, Sweep):
        swept = [Swept(netlist.circuit, axis, analysis.place) for axis in analysis.axes]
        plot = _plot(deck, analysis, SWEEP, timeout)
        title, axes = swept_axes(swept)
        voltages = _voltages(netlist, plot)
        count = len(next(iter(axes.values())))
        if len(voltages) != count:
            raise EngineError(f"ngspice gave {len(voltages)} of {count} points of the sweep; it found no further")
        return Result(f"{title} (ngspice)", axes, netlist.spelt, voltages, None)
    longest = min(analysis.longest or analysis.step, analysis.step) / _FINER
    plot = _plot(deck, replace(analysis, longest=longest), TRANSIENT, timeout)
    times, found = analysis.times, _voltages(netlist, plot)
    voltages = np.stack([np.interp(times, plot["time"], column) for column in found.T], axis=1)
    return Result("transient (ngspice)", {"time [s]": times}, netlist.spelt, voltages, None)


def _plot(deck: Deck, analysis: Sweep | Transient, name: str, timeout: float) -> Mapping[str, Array]:
    """Run one analysis and return its vectors; raises :class:`EngineError` if it gave none."""
    missing = {key: value for key, value in _ACCURATE.items() if key not in deck.task.options}
    options = [DIALECTS["ngspice"].options(missing)]
    words = " ".join(command(analysis, deck.source))
    lines = [*options, ".control", "set filetype=binary", words, "write plot.raw", "quit 0", ".endc"]
    with tempfile.TemporaryDirectory(prefix="analogep-") as folder:
        path = Path(folder)
        log = execute(with_script(deck.text("analogep"), iter(lines)), path, 1, timeout)
        raw = path / "plot.raw"
        plot = parse_plot(raw.read_bytes(), name) if raw.exists() else None
    trouble = Outcome([], log).told()
    if plot is None:
        raise EngineError(f"ngspice's {words.split()[0]} gave nothing: {trouble or Outcome([], log).trouble()}")
    time = plot.get("time")
    late = isinstance(analysis, Transient) and (
        time is None or not len(time) or time[-1] < analysis.stop * (1.0 - LATE)
    )
    if late:
        reached = time[-1] if time is not None and len(time) else 0.0
        raise EngineError(
            f"ngspice stopped at {reached:.6g} s of {words.split()[2]} s: {trouble or 'no reason given'}"
        )
    return plot


def _voltages(netlist: Netlist, plot: Mapping[str, Array]) -> Array:
    """Return the voltages (S, N) [V] of all nodes but ground."""
    columns = []
    for node in netlist.circuit.nodes[1:]:
        values = plot.get(node.lower())
        if values is None:
            raise EngineError(f"ngspice gave no voltage for node {node}")
        if not np.isfinite(values).all():
            raise EngineError(f"ngspice gave {values[~np.isfinite(values)][0]} V at node {node}")
        columns.append(values)
    return np.stack(columns, axis=1) if columns else np.zeros((0, 0))


__all__ = ["simulate_netlist"]
