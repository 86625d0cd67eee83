"""``gradcheck``: the audit of gradient rules on a configuration's network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from analogep.cli.console import console
from analogep.cli.settings import configured
from analogep.constants import NOMINAL_TEMPERATURE, thermal_voltage
from analogep.errors import InputError
from analogep.learning import RULES, Audit, FiniteDifference, audit
from analogep.training import build_problem

COSINE, SCALE = 0.9999, 0.01
"""What an exact rule must reach in every block: cosine, and deviation of the scale."""


def check_gradients(
    source: str,
    changes: Sequence[str],
    samples: int,
    beta: float | None,
    figure: Path | None,
    noise: float = 0.0,
    averages: int = 1,
    rules: Sequence[str] = (),
) -> bool:
    """Print the audit and return whether every exact rule that applies agrees with the adjoint."""
    problem = build_problem(configured(source, changes))
    if beta is not None and not beta > 0:
        raise InputError(f"--beta {beta:g} S must be positive")
    count = min(samples, len(problem.train))
    inputs, targets = problem.train.inputs(slice(count)), problem.train.targets[:count]
    found = audit(
        problem.circuit,
        inputs,
        targets,
        beta=beta,
        rules=[*rules, FiniteDifference().name] if rules else None,
        solver=problem.solver,
        noise=noise,
        averages=averages,
    )
    console.print(f"{problem.circuit!r}, batch of {count}")
    _show_beta(found)
    _show(found)
    if figure is not None:
        from analogep.report import audit_figure, save

        save(audit_figure(found), figure)
        console.print(f"figure    {figure}")
    return _verdict(found)


def _show_beta(found: Audit) -> None:
    suggestion = found.suggestion
    if suggestion is None:
        console.print(f"β = {found.beta:.3g} S as given")
        return
    console.print(str(suggestion))
    console.print(
        f"largest move of an output {suggestion.output_shift:.3g} V, of a junction "
        f"{suggestion.junction_shift:.2g} of its nV_T (V_T = {thermal_voltage():.4g} V at "
        f"{NOMINAL_TEMPERATURE:g} K); noise {suggestion.noise:.3g} V; largest safe β {suggestion.safe:.3g} S"
    )
    if suggestion.below_noise:
        console.print("[yellow]warning[/yellow]: the nudge moves the outputs by less than the noise")


def _show(found: Audit) -> None:
    names = ("rule", "block", "cosine", "scale", "relative error", "scale of raw estimate", "entries")
    table = Table(*names, "cosine, scale to differences")
    above = ""
    for row in found.rows:
        unit = "" if row.unit == "1" else f" {row.unit}"
        to_differences = ""
        if row.fd_cosine is not None and row.fd_scale is not None:
            to_differences = f"{row.fd_cosine:.6f}, {row.fd_scale:.4g}"
        table.add_row(
            "" if row.rule == above else row.rule,
            row.block,
            f"{row.cosine:.8f}",
            f"{row.scale:.4g}{unit}" if unit else f"{row.scale:.6f}",
            f"{row.error:.2e}",
            f"{row.raw_scale:.4g}{unit}" if unit else f"{row.raw_scale:.6g}",
            f"{row.entries}",
            to_differences,
        )
        above = row.rule
    for rule in found.refused:
        table.add_row(rule, "does not apply")
    console.print(table)
    for rule, reason in found.refused.items():
        console.print(f"{rule}: {reason}")
    for rule, slope in found.slopes.items():
        low, high = found.betas[0], found.betas[-1]
        console.print(
            f"{rule}: error ∝ β^{slope:.3f} for β from {low:.2g} to {high:.2g} S "
            f"(theory on smooth circuits: {RULES[rule].order})"
        )


def _verdict(found: Audit) -> bool:
    """Print whether the exact rules agree with the adjoint, and return it."""
    exact = {name for name, entry in RULES.items() if entry.exact} | {FiniteDifference().name}
    passed = True
    for rule in dict.fromkeys(row.rule for row in found.rows if row.rule in exact):
        rows = [row for row in found.rows if row.rule == rule]
        agrees = all(row.cosine >= COSINE and abs(row.scale - 1.0) <= SCALE for row in rows)
        passed = passed and agrees
        worst = max((abs(r.scale - 1), r.scale) for r in rows)[1]
        console.print(
            f"{rule} {'agrees' if agrees else 'DISAGREES'} with the adjoint: worst cosine "
            f"{min(r.cosine for r in rows):.8f}, worst scale {worst:.6f}"
        )
    return passed
