"""``solve``, ``export``, ``verify`` and ``devices``."""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape
from rich.table import Table

from analogep.circuit import Circuit
from analogep.cli.console import console
from analogep.devices import REGISTRY, Behavioural, BehaviouralVoltage
from analogep.errors import InputError
from analogep.learning import Cost
from analogep.solve import METHODS, ConductanceNudge, CurrentNudge, Nudge, operating_point
from analogep.spice import compare, to_netlist, write
from analogep.spice import operating_point as spice_operating_point
from analogep.spice.analyses import OperatingPoint
from analogep.spice.dialects import DIALECTS
from analogep.spice.reader import read_file
from analogep.spice.run import Result, run_netlist
from analogep.spice.wrapper import CORE
from analogep.training import Problem
from analogep.training.folder import SavedRun, read_run, write_text
from analogep.training.phases import Array, phase_nudges

if TYPE_CHECKING:
    from analogep.spice.parity import ParityReport
    from analogep.spice.writer import Hierarchy


def _inputs(circuit: Circuit, given: Sequence[str], default: np.ndarray | None) -> dict[str, float]:
    """Return the voltage of each input node from NODE=VOLT texts, then from the netlist."""
    values: dict[str, float] = {}
    if default is not None:
        values = dict(zip(circuit.inputs, default[0].tolist(), strict=True))
    for text in given:
        node, equals, number = text.partition("=")
        try:
            voltage = float(number)
        except ValueError:
            voltage = math.nan
        if not equals or not math.isfinite(voltage):
            raise InputError(f"--input {text!r} is not NODE=VOLT with a finite voltage, e.g. --input x0=0.5")
        if node not in circuit.inputs:
            known = ", ".join(circuit.inputs) or "none"
            raise InputError(f"--input {text!r}: {node!r} is not an input; the inputs are {known}")
        values[node] = voltage
    missing = [name for name in circuit.inputs if name not in values]
    if missing:
        raise InputError(f"inputs without a voltage: {', '.join(missing)}; give --input NODE=VOLT")
    return values


def solve_netlist(path: Path, given: Sequence[str], method: str, output: Path | None) -> None:
    """Do the analyses of a netlist, print their tables, and save the last one's if asked to."""
    if method not in (*METHODS, "ngspice"):
        raise InputError(f"unknown method {method!r}; use one of {', '.join((*METHODS, 'ngspice'))}")
    if output is not None and output.suffix not in (".csv", ".npz"):
        raise InputError(f"--output {output}: the name must end in .csv or .npz")
    if output is not None and not output.parent.is_dir():  # before minutes of solving
        raise InputError(f"--output {output}: there is no folder {output.parent}; make it first")
    netlist = read_file(path)
    circuit = netlist.circuit
    voltages = _inputs(circuit, given, netlist.inputs)
    if method == "ngspice":
        if any(not isinstance(analysis, OperatingPoint) for analysis in netlist.analyses):
            raise InputError(f"--method ngspice finds operating points only; run ngspice on {path} for the rest")
        point = spice_operating_point(circuit, voltages or None)
        results = [Result("operating point", {}, circuit.nodes[1:], point.voltages[:, 1:], point)]
    else:
        results = run_netlist(netlist, voltages, method)  # type: ignore[arg-type]
    for result in results:
        _show(path, result)
    if output is not None:
        _save(output, results[-1])


_SHOWN_ROWS = 40


def _show(path: Path, result: Result) -> None:
    """Print one analysis: an operating point node by node, others as rows of points, of long ones a selection."""
    solution = result.solution
    if not result.axes:
        table = Table("node", "voltage [V]", title=f"{path.name}: {solution.engine}")
        table.columns[1].justify = "right"
        for name, value in zip(result.nodes, result.voltages[0], strict=True):
            table.add_row(name, f"{value:.12g}")
        console.print(table)
        console.print(
            f"largest Kirchhoff residual {solution.residual[0]:.3g} A, power {solution.power[0]:.6g} W, "
            f"{int(solution.iterations[0])} iterations, {solution.wall_time * 1e3:.3g} ms"
        )
        return
    columns = result.columns
    table = Table(*map(escape, columns), title=f"{path.name}: {result.title}")
    count = len(result.voltages)
    rows = np.unique(np.linspace(0, count - 1, min(count, _SHOWN_ROWS)).astype(int))
    for row in rows:
        table.add_row(*(f"{column[row]:.6g}" for column in columns.values()))
    console.print(table)
    if len(rows) < count:
        console.print(f"{len(rows)} of {count} points; --output FILE.csv saves all")


def _save(output: Path, result: Result) -> None:
    """Write the columns of an analysis as CSV or as NumPy arrays."""
    columns = result.columns
    if output.suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, **columns)  # type: ignore[arg-type]
        data = buffer.getvalue()
    else:
        rows = np.column_stack(list(columns.values())).tolist()
        lines = [",".join(columns), *(",".join(f"{value:.17g}" for value in row) for row in rows)]
        data = ("\n".join(lines) + "\n").encode()
    try:
        output.write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot write {output}: {error.strerror}") from None
    console.print(f"saved     {output}")


def _read(folder: Path) -> SavedRun:
    """Read a run folder, and warn if its training has not ended."""
    saved = read_run(folder)
    if saved.unfinished:
        print(f"warning: {saved.unfinished}", file=sys.stderr)
    return saved


def export_run(
    folder: Path, output: Path | None, wrapper: Path | None, dialect: str, hierarchy: Hierarchy, sample: int
) -> None:
    """Write a trained circuit as a netlist, or as a core and an ngspice script."""
    if dialect not in DIALECTS:
        raise InputError(f"unknown dialect {dialect!r}; use one of {', '.join(DIALECTS)}")
    if wrapper is not None and (output is not None or dialect != "ngspice"):
        raise InputError("--wrapper writes two files for ngspice; give neither --output nor --dialect with it")
    saved = _read(folder)
    test = saved.problem.test
    if sample >= len(test):
        raise InputError(f"--sample {sample}: the test set has {len(test)} samples, 0 to {len(test) - 1}")
    title = f"{saved.problem.config.name}, trained by analogep, test sample {sample}"
    circuit, inputs = saved.problem.circuit, test.inputs(slice(sample, sample + 1))
    if wrapper is not None:
        nodeset = operating_point(circuit, inputs)
        path = write(wrapper, circuit, inputs, title=title, hierarchy=hierarchy, nodeset=nodeset)
        console.print(f"core      {path.with_name(CORE)}")
        console.print(f"wrapper   {path}  (run: ngspice -b {path.name}, in its folder)")
        return
    text = to_netlist(circuit, inputs, dialect=dialect, title=title, hierarchy=hierarchy)
    if output is None:
        print(text, end="")
    else:
        write_text(output, text)
        console.print(f"netlist   {output}")


def verify_circuit(
    problem: Problem, circuit: Circuit, cost: Cost, beta: float, samples: int, tolerance: float
) -> ParityReport:
    """Compare ngspice with the native solver on test samples, in the free and both nudged phases."""
    batch = slice(min(samples, len(problem.test)))
    inputs = problem.test.inputs(batch)
    outputs = problem.solver(circuit, inputs).outputs
    nudges: dict[str, Nudge | None] = {"free": None}
    for name, nudge in phase_nudges(problem, cost, beta, outputs, batch).items():
        nudges[f"nudged {name}"] = in_spice(circuit, inputs, nudge)
    return compare(circuit, inputs, nudges, tolerance=tolerance)


def in_spice(circuit: Circuit, inputs: Array, nudge: Nudge) -> Nudge:
    """Return a nudge that SPICE can express: of one that bends with the outputs, its currents at rest."""
    if isinstance(nudge, ConductanceNudge | CurrentNudge):
        return nudge
    return CurrentNudge(nudge.evaluate(operating_point(circuit, inputs, nudge).outputs)[0])


def verify_subject(subject: Path, samples: int | None, tolerance: float | None) -> bool:
    """Verify a run folder or a netlist; print the report and return whether it passed."""
    if tolerance is not None and not (0 < tolerance < math.inf):
        raise InputError(f"--tolerance {tolerance:g} V must be finite and positive")
    if subject.is_dir():
        saved = _read(subject)
        problem, config = saved.problem, saved.problem.config.verify
        samples, tolerance = samples or config.samples, tolerance or config.tolerance
        report = verify_circuit(problem, problem.circuit, problem.cost, saved.beta, samples, tolerance)
    else:
        if samples is not None:
            raise InputError("--samples counts the test samples of a run folder; a netlist has one, leave it out")
        netlist = read_file(subject)
        values = _inputs(netlist.circuit, (), netlist.inputs)
        inputs = netlist.circuit.input_array(values or None)
        report = compare(netlist.circuit, inputs, {"free": None}, tolerance=tolerance or 1e-9)
    console.print(str(report), soft_wrap=True)
    return bool(report.passed)


def list_devices() -> None:
    """Print all devices with their parameters."""
    table = Table("device", "pins", "parameter", "unit", "default", "meaning")
    for kind, device in REGISTRY.items():
        pins = ", ".join(device.pins)
        for name, info in device.parameters().items():
            default = "required" if info.default is None else f"{info.default:g}"
            trained = " (trainable)" if info.trainable else ""
            table.add_row(kind, pins, name, info.unit, default, info.doc + trained)
            kind = pins = ""
    for source, result in ((Behavioural, "current [A]"), (BehaviouralVoltage, "voltage [V]")):
        meaning = f"{result} from p to n, an expression of voltages; each name in it is one (trainable)"
        table.add_row(source.kind, "p, n, c1, …", "any name", "any", "required", escape(meaning))
    console.print(table)
