"""Voltages over time by ngspice: the other route to what :func:`analogep.transient` computes."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import EngineError, InputError
from analogep.kinds import checked
from analogep.solve import Nudge, Solution
from analogep.spice.dialects import number
from analogep.spice.engines.ngspice import (
    LONGEST,
    Outcome,
    Tolerances,
    execute,
    find_ngspice,
    ngspice_version,
    with_script,
)
from analogep.spice.engines.rawfile import TRANSIENT, parse_plot
from analogep.spice.writing.writer import to_netlist

Array = NDArray[np.float64]

ACCURATE = Tolerances(1e-6, 1e-9, 1e-15, itl1=200, stepping=False)
"""Newton's tolerances at each time point; the step is what limits the accuracy."""

_LATE = 1e-9  # how far before the end, relative to it, the last point may lie


@dataclass(frozen=True)
class SpiceTrajectory:
    """Voltages over time, in the layout of :class:`analogep.solve.Trajectory`.

    Attributes
    ----------
    circuit
        The circuit.
    times
        Time points (T,) [s] that ngspice chose, increasing.
    voltages
        Node voltages (T, 1, N) [V]; column 0 is ground.
    engine
        Program and version, and its linear solver.
    wall_time
        Time taken [s].
    """

    circuit: Circuit
    times: Array
    voltages: Array
    engine: str
    wall_time: float

    @checked()
    def voltage(self, node: str) -> Array:
        """Return the voltages (T, 1) [V] of a node; raises :class:`InputError` if there is none."""
        out: Array = self.voltages[:, :, self.circuit.node(node)]
        return out


@checked()
def transient(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    until: float = 1e-3,
    nudge: Nudge | None = None,
    v0: Array | Solution | None = None,
    *,
    max_step: float | None = None,
    timeout: float = 600.0,
) -> SpiceTrajectory:
    """Run ngspice's ``.tran`` on one sample, from given voltages, with the capacitors that the circuit has.

    Parameters
    ----------
    circuit
        The circuit, with the waveforms of its sources. The leaky integrator's node capacitances are no part
        of it: compare with ``TransientOptions(node_capacitance=0.0)``.
    inputs
        Constant voltages (1, I) or (I,) [V] of the input nodes, or a mapping from their names.
    until
        End time [s].
    nudge
        A conductance or current nudge of the outputs.
    v0
        Node voltages (1, N) or (N,) [V] at time zero, or a solution; zero by default. Inductors start without
        current.
    max_step
        Longest step [s]; a thousandth of ``until`` by default.
    timeout
        Longest time for the run [s].

    Raises
    ------
    EngineError
        If ngspice is missing, crashes, takes too long, or stops before the end.
    NetlistError
        If the circuit cannot be written as a netlist.
    InputError
        If arguments do not fit the circuit, or hold more than one sample.
    """
    started = time.perf_counter()
    array = circuit.input_array(inputs)
    if len(array) != 1:
        raise InputError(f"inputs hold {len(array)} samples; ngspice runs over time for one, give them one by one")
    step = until / 1000.0 if max_step is None else max_step
    for name, value in (("until", until), ("max_step", step), ("timeout", timeout)):
        if not 0 < value < math.inf:
            raise InputError(f"{name} = {value} s must be positive and finite")
    engine = f"ngspice {ngspice_version(find_ngspice())}"
    lines = [
        f"{ACCURATE.line()} trtol=1",
        *_initial(circuit, v0),
        ".control",
        "set filetype=binary",
        f"tran {number(step)} {number(until)} 0 {number(step)} uic",
        "write waves.raw",
        "quit 0",
        ".endc",
    ]
    with tempfile.TemporaryDirectory(prefix="analogep-") as folder:
        path = Path(folder)
        log = execute(
            with_script(to_netlist(circuit, array, nudge=nudge), iter(lines)), path, 1, min(timeout, LONGEST)
        )
        raw = path / "waves.raw"
        plot = parse_plot(raw.read_bytes(), TRANSIENT) if raw.exists() else None
    outcome = Outcome([], log)
    if plot is None or not len(plot["time"]) or plot["time"][-1] < until * (1.0 - _LATE):
        reached = f"stopped at {plot['time'][-1]:.3g} s" if plot and len(plot["time"]) else "gave no time points"
        raise EngineError(f"ngspice {reached} of {until:g} s: {outcome.trouble()}")
    return SpiceTrajectory(
        circuit,
        plot["time"],
        _voltages(circuit, plot),
        f"{engine} ({outcome.linear_solver})",
        time.perf_counter() - started,
    )


def _initial(circuit: Circuit, v0: Array | Solution | None) -> list[str]:
    """Return ``.ic`` lines for voltages at time zero."""
    if v0 is None:
        return []
    start = np.atleast_2d(v0.voltages if isinstance(v0, Solution) else v0)
    if start.shape != (1, len(circuit.nodes)) or not np.isfinite(start).all():
        raise InputError(f"v0 has shape {start.shape}; expected {(1, len(circuit.nodes))}, all finite")
    return [f".ic v({node})={number(v)}" for node, v in zip(circuit.nodes[1:], start[0, 1:].tolist(), strict=True)]


def _voltages(circuit: Circuit, plot: Mapping[str, Array]) -> Array:
    names = [name.lower() for name in circuit.nodes[1:]]
    missing = [name for name in names if name not in plot]
    if missing:
        raise EngineError(f"ngspice gave no voltage for node {missing[0]}")
    voltages = np.zeros((len(plot["time"]), 1, len(circuit.nodes)))
    for k, name in enumerate(names, start=1):
        voltages[:, 0, k] = plot[name]
    bad = np.argwhere(~np.isfinite(voltages))
    if len(bad):
        t, _, node = bad[0]
        raise EngineError(
            f"ngspice gave {voltages[t, 0, node]} V at node {circuit.nodes[node]} at {plot['time'][t]:g} s"
        )
    return voltages
