"""``demo`` and ``train``: train, write the run folder, draw, verify."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analogep.cli.console import TrainingBar, console
from analogep.cli.netlists import verify_circuit
from analogep.cli.settings import configured
from analogep.errors import EngineError
from analogep.report import run_figures
from analogep.spice import find_ngspice
from analogep.training import Run, build_problem, train_problem
from analogep.training.folder import write_run, write_verification


def train_and_report(source: str, changes: Sequence[str], out: Path) -> None:
    """Train what ``source`` describes and write everything about it to a new folder in ``out``."""
    problem = build_problem(configured(source, changes))
    bar = TrainingBar()
    try:
        run = train_problem(problem, bar)
    finally:
        bar.close()
    _summarise(run)
    folder = write_run(run, out)
    for path in run_figures(run, folder / "figures"):
        console.print(f"figure    {path}")
    console.print(f"netlist   {folder / 'netlist.cir'}")
    try:
        find_ngspice()
    except EngineError as error:
        console.print(f"skipped   verification: {error}, then: analogep verify {folder}", soft_wrap=True)
    else:
        config = run.config.verify
        report = verify_circuit(run.problem, run.circuit, run.beta, config.samples, config.tolerance)
        write_verification(folder, report.to_dict())
        console.print(str(report), soft_wrap=True)
    console.print(f"run       {folder}")


def _summarise(run: Run) -> None:
    last = run.metrics[-1]
    test = f"test error {last.test_error:.2%}, " if run.problem.data.name != "table" else ""
    console.print(
        f"trained   {len(run.metrics)} epochs in {last.wall_time:.2f} s ({run.engine} engine): {test}"
        f"train error {last.train_error:.2%}, loss {last.train_loss:.4g} V²"
    )
