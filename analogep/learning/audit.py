"""Audit: every rule against the adjoint, per parameter block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.learning.beta import BetaSuggestion, largest_safe_beta, suggest_beta
from analogep.learning.costs import Cost
from analogep.learning.oracles import Adjoint, FiniteDifference
from analogep.learning.rules import NATIVE, SQUARED_ERROR, EquilibriumPropagation, Rule, Solver, Variant

Array = NDArray[np.float64]

SAMPLED = 24
"""Parameters per block that finite differences visit."""


@dataclass(frozen=True)
class AuditRow:
    """One rule and one block.

    Attributes
    ----------
    rule, block
        Names.
    cosine
        Cosine between the rule's gradient and the adjoint's; 1 is parallel.
    scale
        Projection ⟨g, adjoint⟩ / ⟨adjoint, adjoint⟩; 1 is the right size.
    error
        ‖g − adjoint‖ / ‖adjoint‖.
    raw_scale
        The same projection for the raw local estimate, before amplifiers are accounted for.
    entries
        How many parameters were compared.
    """

    rule: str
    block: str
    cosine: float
    scale: float
    error: float
    raw_scale: float
    entries: int


@dataclass(frozen=True)
class Audit:
    """Result of :func:`audit`.

    Attributes
    ----------
    rows
        Rule by rule, block by block.
    suggestion
        The β used and why; ``None`` if it was given.
    slopes
        Fitted exponent of the error in β for each variant of equilibrium propagation; 1 is expected of the
        one-sided and 2 of the centered one on smooth circuits.
    betas
        The β [S] of the fit.
    errors
        Relative error at each of ``betas``, by variant.
    """

    rows: tuple[AuditRow, ...]
    beta: float
    suggestion: BetaSuggestion | None
    slopes: dict[str, float]
    betas: Array
    errors: dict[str, Array]

    def row(self, rule: str, block: str) -> AuditRow:
        """Return one row; raises ``KeyError`` if there is none."""
        for row in self.rows:
            if row.rule == rule and row.block == block:
                return row
        raise KeyError((rule, block))


def compare_blocks(
    rule: Rule, gradient: dict[str, Array], raw: dict[str, Array], reference: dict[str, Array]
) -> list[AuditRow]:
    """Return one row per block; NaN entries of ``gradient`` are left out."""
    rows = []
    for block, ref in reference.items():
        g, local = gradient[block].ravel(), raw[block].ravel()
        here = np.isfinite(g)
        g, local, r = g[here], local[here], ref.ravel()[here]
        norm, size = float(np.linalg.norm(r)), float(np.linalg.norm(g))
        if norm == 0.0:
            same = size == 0.0
            rows.append(
                AuditRow(rule.name, block, float(same), float(same), 0.0 if same else np.inf, 1.0, int(here.sum()))
            )
            continue
        cosine = float(g @ r) / (norm * size) if size > 0 else 0.0
        error = float(np.linalg.norm(g - r)) / norm
        rows.append(
            AuditRow(
                rule.name,
                block,
                cosine,
                float(g @ r) / norm**2,
                error,
                float(local @ r) / norm**2,
                int(here.sum()),
            )
        )
    return rows


def audit(
    circuit: Circuit,
    inputs: ArrayLike,
    targets: ArrayLike,
    cost: Cost = SQUARED_ERROR,
    *,
    beta: float | None = None,
    rules: Sequence[Rule] | None = None,
    solver: Solver = NATIVE,
    fit: bool = True,
    rng: np.random.Generator | None = None,
) -> Audit:
    """Compare learning rules with the adjoint gradient, per parameter block.

    Parameters
    ----------
    circuit, inputs, targets, cost
        What to learn; inputs (B, I) and targets (B, O) [V].
    beta
        Nudging strength [S]; suggested from the circuit if not given.
    rules
        Rules to compare; by default the three variants of equilibrium propagation at ``beta``, and finite
        differences at up to ``SAMPLED`` parameters per block.
    solver
        Finds the phases.
    fit
        Whether to fit how the error falls with β.
    rng
        Chooses the parameters for finite differences; fixed by default.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    suggestion = None
    if beta is None:
        suggestion = suggest_beta(circuit, inputs, targets, cost)
        beta = suggestion.beta
    if rules is None:
        at = {
            block: np.sort(rng.choice(value.size, min(SAMPLED, value.size), replace=False))
            for block, value in circuit.parameters.items()
        }
        rules = [
            EquilibriumPropagation(beta, "centered"),
            EquilibriumPropagation(beta, "positive"),
            EquilibriumPropagation(beta, "negative"),
            FiniteDifference(at=at),
        ]
    reference = dict(Adjoint().gradient(circuit, inputs, targets, cost, solver).blocks)
    rows: list[AuditRow] = []
    for rule in rules:
        found = rule.gradient(circuit, inputs, targets, cost, solver)
        rows += compare_blocks(rule, dict(found.blocks), dict(found.raw), reference)
    top = 2.0 if 2.0 * beta < largest_safe_beta(circuit) else 1.0
    betas = beta * top * np.array([0.125, 0.25, 0.5, 1.0])
    errors: dict[str, Array] = {}
    slopes: dict[str, float] = {}
    if fit:
        for variant in get_args(Variant):
            series = [
                _relative_error(
                    EquilibriumPropagation(float(b), variant)
                    .gradient(circuit, inputs, targets, cost, solver)
                    .blocks,
                    reference,
                )
                for b in betas
            ]
            errors[variant] = np.array(series)
            if min(series) > 0:
                slopes[variant] = float(np.polyfit(np.log(betas), np.log(series), 1)[0])
    return Audit(tuple(rows), beta, suggestion, slopes, betas, errors)


def _relative_error(blocks: Mapping[str, Array], reference: Mapping[str, Array]) -> float:
    """Return the error over all blocks, each block weighed by its own norm."""
    parts = [
        np.linalg.norm(blocks[key] - ref) / np.linalg.norm(ref)
        for key, ref in reference.items()
        if np.linalg.norm(ref) > 0
    ]
    return float(np.sqrt(np.mean(np.square(parts)))) if parts else 0.0
