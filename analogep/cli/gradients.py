"""``gradcheck``: the audit of gradient rules on a configuration's network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from analogep.cli.console import console
from analogep.cli.settings import configured
from analogep.errors import InputError
from analogep.learning import Audit, audit
from analogep.training import build_problem

COSINE, SCALE = 0.9999, 0.01
"""What centered equilibrium propagation must reach in every block: cosine, and deviation of the scale."""


def check_gradients(
    source: str, changes: Sequence[str], samples: int, beta: float | None, figure: Path | None
) -> bool:
    """Print the audit and return whether centered equilibrium propagation agrees with the adjoint."""
    problem = build_problem(configured(source, changes))
    if beta is not None and not beta > 0:
        raise InputError(f"--beta {beta:g} S must be positive")
    count = min(samples, len(problem.train))
    inputs, targets = problem.train.inputs(slice(count)), problem.train.targets[:count]
    found = audit(problem.circuit, inputs, targets, beta=beta, solver=problem.solver)
    console.print(f"{problem.circuit!r}, batch of {count}")
    console.print(str(found.suggestion) if found.suggestion else f"β = {found.beta:.3g} S as given")
    _show(found)
    if figure is not None:
        from analogep.report import audit_figure, save

        save(audit_figure(found), figure)
        console.print(f"figure    {figure}")
    rows = [row for row in found.rows if row.rule == "EP centered"]
    passed = all(row.cosine >= COSINE and abs(row.scale - 1.0) <= SCALE for row in rows)
    verdict = "agrees" if passed else "DISAGREES"
    console.print(
        f"centered equilibrium propagation {verdict} with the adjoint: worst cosine "
        f"{min(r.cosine for r in rows):.8f}, worst scale {max((abs(r.scale - 1), r.scale) for r in rows)[1]:.6f}"
    )
    return passed


def _show(found: Audit) -> None:
    table = Table("rule", "block", "cosine", "scale", "relative error", "scale of raw estimate", "entries")
    for row in found.rows:
        table.add_row(
            row.rule,
            row.block,
            f"{row.cosine:.8f}",
            f"{row.scale:.6f}",
            f"{row.error:.2e}",
            f"{row.raw_scale:.6g}",
            f"{row.entries}",
        )
    console.print(table)
    for variant, slope in found.slopes.items():
        expected = 2 if variant == "centered" else 1
        low, high = found.betas[0], found.betas[-1]
        console.print(
            f"EP {variant}: error ∝ β^{slope:.3f} for β from {low:.2g} to {high:.2g} S "
            f"(theory on smooth circuits: {expected})"
        )
