"""``solve``, ``export``, ``verify`` and ``devices``."""

from __future__ import annotations

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
from analogep.cli.results import check_output, save, show
from analogep.devices import REGISTRY, Behavioural, BehaviouralVoltage
from analogep.errors import InputError
from analogep.files import write_text
from analogep.learning import Cost
from analogep.solve import METHODS, ConductanceNudge, CurrentNudge, Nudge, operating_point
from analogep.spice import compare, to_netlist, write
from analogep.spice.dialects import DIALECTS
from analogep.spice.reading.reader import read_file
from analogep.spice.run import run_netlist
from analogep.spice.simulated import simulate_netlist
from analogep.spice.text.analyses import OperatingPoint
from analogep.spice.writing.wrapper import CORE
from analogep.training import Problem
from analogep.training.files.folder import SavedRun, read_run
from analogep.training.phases import Array, phase_nudges

if TYPE_CHECKING:
    from analogep.spice.parity import ParityReport
    from analogep.spice.writing.writer import Hierarchy


FOLDED_FROM = 20_000
"""Elements from which on a verification folds the inputs' resistors; see :mod:`analogep.spice.writing.folding`."""


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
    """Do the analyses of a netlist, print their tables, and save them if asked to."""
    if method not in (*METHODS, "ngspice"):
        raise InputError(f"unknown method {method!r}; use one of {', '.join((*METHODS, 'ngspice'))}")
    if output is not None:  # before minutes of solving
        check_output(output)
    netlist = read_file(path)
    voltages = _inputs(netlist.circuit, given, netlist.inputs)
    if method == "ngspice":
        results = simulate_netlist(netlist, voltages)
    else:
        results = run_netlist(netlist, voltages, method)  # type: ignore[arg-type]
    for result in results:
        show(path, result)
    if output is not None:
        for saved in save(output, results):
            console.print(f"saved     {escape(str(saved))}", soft_wrap=True)


def _read(folder: Path) -> SavedRun:
    """Read a run folder, and warn if its training has not ended."""
    saved = read_run(folder)
    if saved.unfinished:
        print(f"warning: {saved.unfinished}", file=sys.stderr)
    return saved


def export_subject(
    subject: Path,
    output: Path | None,
    wrapper: Path | None,
    dialect: str,
    hierarchy: Hierarchy,
    sample: int | None,
) -> None:
    """Write a trained circuit, or a netlist anew, as a netlist, or as a core and an ngspice script."""
    if dialect not in DIALECTS:
        raise InputError(f"unknown dialect {dialect!r}; use one of {', '.join(DIALECTS)}")
    if wrapper is not None and (output is not None or dialect != "ngspice"):
        raise InputError("--wrapper writes two files for ngspice; give neither --output nor --dialect with it")
    if output is not None and output.is_dir():
        raise InputError(f"--output {output}: this is a folder; name a file")
    if subject.is_file():
        if wrapper is not None or sample is not None:
            raise InputError("--wrapper and --sample are for the circuit of a run folder; leave them out")
        text = to_netlist(read_file(subject), dialect=dialect, hierarchy=hierarchy)
    else:
        circuit, inputs, title = _trained(subject, sample or 0)
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
        console.print(f"netlist   {escape(str(output))}", soft_wrap=True)


def _trained(folder: Path, sample: int) -> tuple[Circuit, Array, str]:
    """Return the circuit of a run folder, the input voltages (1, I) [V] of a test sample, and a title."""
    saved = _read(folder)
    test = saved.problem.test
    if sample >= len(test):
        raise InputError(f"--sample {sample}: the test set has {len(test)} samples, 0 to {len(test) - 1}")
    title = f"{saved.problem.config.name}, trained by analogep, test sample {sample}"
    return saved.problem.circuit, test.inputs(slice(sample, sample + 1)), title


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
    return compare(circuit, inputs, nudges, tolerance=tolerance, fold_inputs=_is_large(circuit))


def _is_large(circuit: Circuit) -> bool:
    """Whether ngspice would take minutes unless the resistors at the inputs are folded, which is exact."""
    return bool(circuit.inputs) and circuit.element_count >= FOLDED_FROM


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
        nudges: dict[str, Nudge | None] = {"free": None}
        if netlist.nudge is not None:
            nudges["nudged"] = netlist.nudge
        folded = _is_large(netlist.circuit)
        report = compare(netlist.circuit, inputs, nudges, tolerance=tolerance or 1e-9, fold_inputs=folded)
        if any(not isinstance(analysis, OperatingPoint) for analysis in netlist.analyses):
            what = "only its operating point is compared, not .dc and .tran; solve it with --method ngspice, too"
            print(f"warning: {subject}: {what}", file=sys.stderr)
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
