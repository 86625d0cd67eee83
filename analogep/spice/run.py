"""The analyses that a netlist asks for, done by the native solver."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError, StartWarning
from analogep.solve import NewtonOptions, Solution, TransientOptions, operating_point, transient
from analogep.solve.analyses.dc_sweep import dc_sweep
from analogep.solve.operating import Method
from analogep.solve.time.trajectory import Stored
from analogep.spice.initial import initial_state
from analogep.spice.reading.builder import legal_name
from analogep.spice.reading.cards import METHODS
from analogep.spice.reading.reader import Netlist
from analogep.spice.text.analyses import Analysis, Axis, OperatingPoint, Sweep, Transient
from analogep.spice.text.lexer import Place

Array = NDArray[np.float64]
_LEAST_STEPS = 50
"""Steps of a transient at least, where its line gives no longest one; ngspice's number."""

_CLOSE = 1e-5
"""Voltage, relative to that of .ic (at least 1 V), by which a node may start elsewhere in silence."""

_SOURCES = {"voltage_source": ("voltage", "V"), "current_source": ("amplitude", "A")}


@dataclass(frozen=True)
class Result:
    """One analysis's voltages.

    Attributes
    ----------
    title
        What was done.
    axes
        Values (S,) of what was swept, or the times, by a name with its unit; none for an operating point.
    nodes
        Names of the nodes, without ground.
    voltages
        Their voltages (S, N) [V].
    solution
        The operating point, or the last point; of ngspice, operating points only.
    """

    title: str
    axes: Mapping[str, Array]
    nodes: tuple[str, ...]
    voltages: Array
    solution: Solution | None

    @property
    def columns(self) -> dict[str, Array]:
        """All columns (S,) of the table: the axes, then ``v(node) [V]``."""
        return {**self.axes, **{f"v({n}) [V]": self.voltages[:, k] for k, n in enumerate(self.nodes)}}


def run_netlist(netlist: Netlist, inputs: Mapping[str, float], method: Method = "auto") -> list[Result]:
    """Do what the netlist asks for, or find its operating point if it asks for nothing.

    ``.nodeset`` voltages are where the search for an operating point starts. ``.tran`` starts from the
    operating point, in which nodes of ``.ic`` are held at their voltages; with ``uic`` elements hold what ``ic=``
    or else the voltages of ``.ic``, all others being zero, give them when sources jump to their values.
    Steps are no longer than the line's longest, which is, as in ngspice, the printing step or a fiftieth of the
    time if there is none.

    Of ``.options``, a tenth of ``reltol`` is the relative error of a step, ``vntol`` the absolute one of a voltage
    and a thousand times ``abstol`` that of an inductor's current (so that ngspice's defaults are ours); ``method``
    chooses the integrator, and ``itl1`` bounds the iterations of an operating point, whose own tolerances are
    tighter than any reltol.

    Parameters
    ----------
    netlist
        As read.
    inputs
        Voltage [V] of each input node.
    method
        Method of operating points.

    Raises
    ------
    InputError
        If a swept source does not exist, or inputs are missing.
    ConvergenceError
        If there is no solution that was found.

    Warns
    -----
    StartWarning
        If a transient with ``uic`` starts elsewhere than ``.ic`` says.
    """
    asked: tuple[Analysis, ...] = netlist.analyses or (OperatingPoint(),)
    return [_one(netlist, analysis, inputs, method) for analysis in asked]


def _one(netlist: Netlist, analysis: Analysis, inputs: Mapping[str, float], method: Method) -> Result:
    circuit = netlist.circuit
    nodes, nudge = netlist.spelt, netlist.nudge
    guess = _state(circuit, netlist.guesses)
    if isinstance(analysis, OperatingPoint):
        point = operating_point(circuit, inputs or None, nudge, method=method, v0=guess, options=_newton(netlist))
        return Result("operating point", {}, nodes, point.voltages[:, 1:], point)
    if isinstance(analysis, Sweep):
        return _swept(netlist, analysis, inputs, method)
    start: Solution | Stored | None
    if analysis.from_initial:
        start = initial_state(circuit, netlist.initial, netlist.stored)
    else:
        start = _held(netlist, inputs, guess)
    times = np.union1d(analysis.times, [0.0])
    run = transient(
        circuit,
        inputs or None,
        v0=start,
        times=times,
        until=analysis.stop,
        nudge=nudge,
        start="operating_point" if start is None else "zero",
        options=_integration(netlist, analysis),
    )
    if analysis.from_initial:
        _compare(netlist.initial, circuit, run.voltages[0, 0])
    shown = slice(len(times) - len(analysis.times), None)
    return Result("transient", {"time [s]": run.times[shown]}, nodes, run.voltages[shown, 0, 1:], run.solution)


def _compare(initial: Mapping[str, float], circuit: Circuit, voltages: Array) -> None:
    """Warn of nodes of ``.ic`` that start elsewhere, of the voltages (N,) at time zero."""
    apart = []
    for name, value in initial.items():
        found = float(voltages[circuit.node(name)])
        if abs(found - value) > _CLOSE * max(1.0, abs(value)):
            apart.append(f"v({name}) at {found:.6g} V, not {value:g} V")
    if apart:
        warnings.warn(
            f".ic and uic: {', '.join(apart)}. Elements start with the charges that the voltages of .ic give, in "
            "which other nodes, those of sources too, are at 0 V, or with their own ic=, as in ngspice; then "
            "sources jump to their values at time zero. Name the sources' nodes in .ic, too, or leave uic out",
            StartWarning,
            stacklevel=2,
        )


def _newton(netlist: Netlist) -> NewtonOptions:
    """Return the options of an operating point that the netlist asks for."""
    limit = netlist.options.get("itl1")
    return NewtonOptions() if limit is None else NewtonOptions(max_iterations=max(1, round(float(limit))))


def _integration(netlist: Netlist, analysis: Transient) -> TransientOptions:
    """Return the options of a transient that the netlist asks for; see :func:`run_netlist`."""
    given, default = netlist.options, TransientOptions()
    longest = min(analysis.step, (analysis.stop - analysis.start) / _LEAST_STEPS)
    return TransientOptions(
        absolute=float(given.get("vntol", default.absolute)),
        relative=0.1 * float(given.get("reltol", 10.0 * default.relative)),
        current_absolute=1e3 * float(given.get("abstol", 1e-3 * default.current_absolute)),
        method=METHODS.get(str(given.get("method")), default.method),
        node_capacitance=0.0,
        max_step=longest if analysis.longest is None else analysis.longest,
        max_steps=max(default.max_steps, round(20.0 * analysis.stop / longest)),
    )


def _state(circuit: Circuit, voltages: Mapping[str, float]) -> Array | None:
    """Return node voltages (1, N) [V] with the given ones and zero elsewhere; ``None`` if none are given."""
    if not voltages:
        return None
    state = np.zeros((1, len(circuit.nodes)))
    for name, value in voltages.items():
        state[0, circuit.nodes.index(name)] = value
    return state


def _held(netlist: Netlist, inputs: Mapping[str, float], guess: Array | None) -> Solution | None:
    """Return the operating point at time zero with the nodes of ``.ic`` held, found from ``guess``.

    ``None`` if there is neither: then it is the transient's own.
    """
    circuit, initial = netlist.circuit, netlist.initial
    if not initial and guess is None:
        return None
    values = {}
    for bank in circuit.banks:
        if bank.device.kind in _SOURCES and any(name in circuit.waveforms for name in bank.names):
            key = _SOURCES[bank.device.kind][0]
            array = bank.values[key].copy()
            for e, name in enumerate(bank.names):
                if name in circuit.waveforms:
                    array[e] = float(circuit.waveforms[name].value(0.0, before=True))
            values[f"{bank.name}.{key}"] = array
    extra = [circuit.nodes.index(n) for n in initial if n not in circuit.inputs]
    clamped = Circuit(
        circuit.nodes,
        circuit.with_parameters(values).banks,
        circuit.crossbars,
        np.array([*circuit.input_nodes.tolist(), *extra], np.int64),
        circuit.output_pairs,
        transconductances=circuit.transconductances,
    )
    return replace(operating_point(clamped, {**inputs, **initial}, netlist.nudge, v0=guess), circuit=circuit)


def _swept(netlist: Netlist, sweep: Sweep, inputs: Mapping[str, float], method: Method) -> Result:
    circuit = netlist.circuit
    inner, *outer = (Swept(circuit, axis, sweep.place) for axis in sweep.axes)
    voltages, last = [], None
    for value in outer[0].axis.values if outer else (None,):
        here, given = circuit, dict(inputs)
        if value is not None and outer[0].is_input:
            given[outer[0].name] = float(value)
        elif value is not None:
            here = outer[0].at(circuit, float(value))
        points = dc_sweep(here, inner.name, inner.axis.values, given or None, method, netlist.nudge)
        voltages.append(points.voltages[:, 0, 1:])
        last = points.solutions[-1]
    assert last is not None
    title, columns = swept_axes([inner, *outer])
    return Result(title, columns, netlist.spelt, np.concatenate(voltages), last)


def swept_axes(swept: Sequence[Swept]) -> tuple[str, dict[str, Array]]:
    """Return the title of a sweep, and the values of its sources at each point by their labels."""
    inner, *outer = swept
    rows = len(outer[0].axis.values) if outer else 1
    columns = {inner.label: np.tile(inner.axis.values, rows)}
    if outer:
        columns[outer[0].label] = np.repeat(outer[0].axis.values, len(inner.axis.values))
    return "DC sweep of " + " and ".join(x.axis.source for x in swept), columns


class Swept:
    """A swept source: the name that :func:`~analogep.dc_sweep` knows it by, and its unit.

    Raises
    ------
    InputError
        If there is no such source.
    """

    def __init__(self, circuit: Circuit, axis: Axis, place: Place | None) -> None:
        self.axis = axis
        wanted = legal_name(axis.source).lower()
        inputs = {f"v{node}".lower(): node for node in circuit.inputs}
        self.name, unit = "", "V"
        self.block, self.element = "", 0
        for bank in circuit.banks:
            found = [e for e, name in enumerate(bank.names) if name.lower() == wanted]
            if found and bank.device.kind in _SOURCES:
                key, unit = _SOURCES[bank.device.kind]
                self.block, self.element = f"{bank.name}.{key}", found[0]
                self.name = f"{bank.names[found[0]]}.{key}"
        self.is_input = not self.name and wanted in inputs
        if self.is_input:
            self.name = inputs[wanted]
        if not self.name:
            where = f"{place}: " if place else ""
            raise InputError(f"{where}.dc: there is no V or I source {axis.source} in the netlist")
        self.label = f"{axis.source} [{unit}]"

    def at(self, circuit: Circuit, value: float) -> Circuit:
        """Return the circuit with this source at ``value`` [V] or [A]."""
        bank, _, key = self.block.rpartition(".")
        array = next(b for b in circuit.banks if b.name == bank).values[key].copy()
        array[self.element] = value
        return circuit.with_parameters({self.block: array})
