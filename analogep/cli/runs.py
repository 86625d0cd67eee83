"""``demo`` and ``train``: train, write the run folder, draw, verify."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from analogep.cli.console import TrainingBar, console
from analogep.cli.netlists import verify_circuit
from analogep.cli.settings import configured
from analogep.errors import EngineError
from analogep.report import run_figures
from analogep.spice import find_ngspice
from analogep.training import Interrupted, Run, build_problem, train_problem
from analogep.training.files.folder import write_verification


def train_and_report(source: str, changes: Sequence[str], out: Path, resume: Path | None = None) -> None:
    """Train what ``source`` describes and write everything about it to a new folder in ``out``, or resume one.

    Ends the program with exit code 130 after Ctrl-C or SIGTERM; a checkpoint is then written.
    """
    problem = build_problem(configured(source, changes))
    bar = TrainingBar()
    try:
        run = train_problem(problem, bar, out=out, resume=resume)
    except Interrupted as stop:
        bar.close()
        print(stop, file=sys.stderr)
        sys.exit(130)
    finally:
        bar.close()
    _summarise(run)
    folder = run.folder
    assert folder is not None
    for path in run_figures(run, folder / "figures"):
        console.print(f"figure    {path}")
    console.print(f"netlist   {folder / 'netlist.cir'}")
    try:
        find_ngspice()
    except EngineError as error:
        console.print(f"skipped   verification: {error}, then: analogep verify {folder}", soft_wrap=True)
    else:
        config = run.config.verify
        report = verify_circuit(run.problem, run.circuit, run.cost, run.beta, config.samples, config.tolerance)
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
    if run.config.published is not None:
        console.print(str(run.config.published), soft_wrap=True)
    if run.stopped:
        console.print(f"stopped   after epoch {last.epoch}: {run.stopped}")
    if run.kept_epoch != last.epoch:
        kept = run.metrics[run.kept_epoch - 1]
        console.print(
            f"kept      the circuit after epoch {kept.epoch}: validation error {kept.validation_error:.2%}, "
            f"loss {kept.validation_loss:.4g} V²"
        )
