"""Audit: every rule against the adjoint, per parameter block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import AnalogepError, InputError
from analogep.kinds import checked, shown
from analogep.learning.beta import largest_safe_beta
from analogep.learning.costs.base import Cost
from analogep.learning.gradient import Gradient
from analogep.learning.rules.base import NATIVE, SQUARED_ERROR, Rule, Solver
from analogep.learning.rules.oracles import Adjoint, FiniteDifference
from analogep.learning.rules.registry import RULES
from analogep.learning.suggestion import BetaSuggestion, suggest_beta

Array = NDArray[np.float64]

_ROUNDING = 1e-9
"""Relative error below which the solver's rounding takes part: no place for a fit."""

SAMPLED = 24
"""Parameters per block that finite differences visit."""


class RowError(InputError, KeyError):
    """A row that an audit does not have."""

    __str__ = Exception.__str__  # a KeyError would show its message in quotes


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
        ‖g − adjoint‖ / ‖adjoint‖, of g over its scale where that has a unit.
    raw_scale
        The same projection for the raw local estimate, before amplifiers are accounted for.
    entries
        How many parameters were compared.
    fd_cosine, fd_scale
        Cosine and scale to finite differences instead, at the parameters these visited; ``None`` without any.
    unit
        Unit of the scales, ``"1"`` for an estimate of the gradient itself; siemens for a rule that follows a
        contrast in watts, which only its cosines compare with the gradient.
    """

    rule: str
    block: str
    cosine: float
    scale: float
    error: float
    raw_scale: float
    entries: int
    fd_cosine: float | None = None
    fd_scale: float | None = None
    unit: str = "1"


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
        Fitted exponent of the error in β, by rule; ``RULES`` says what is expected of it on smooth circuits.
    betas
        The β [S] of the fit.
    errors
        Relative error at each of ``betas``, by rule.
    refused
        Why a rule gave no estimate on this circuit, by rule.
    """

    rows: tuple[AuditRow, ...]
    beta: float
    suggestion: BetaSuggestion | None
    slopes: dict[str, float]
    betas: Array
    errors: dict[str, Array]
    refused: dict[str, str] = field(default_factory=dict)

    @checked()
    def row(self, rule: str, block: str) -> AuditRow:
        """Return one row; raises :class:`RowError`, a ``KeyError``, if there is none."""
        for row in self.rows:
            if row.rule == rule and row.block == block:
                return row
        known = ", ".join(dict.fromkeys(f"{row.rule!r}, {row.block!r}" for row in self.rows)) or "none"
        raise RowError(f"no row ({shown(rule)}, {shown(block)}); there are {known}")


def compare_blocks(
    rule: Rule,
    gradient: Mapping[str, Array],
    raw: Mapping[str, Array],
    reference: Mapping[str, Array],
    differences: Mapping[str, Array] | None = None,
    unit: str = "1",
) -> list[AuditRow]:
    """Return one row per block; NaN entries of ``gradient`` and of ``differences`` are left out."""
    rows = []
    for block, ref in reference.items():
        cosine, scale, error, entries = _compare(gradient[block], ref)
        if unit != "1" and scale != 0.0:
            error = _compare(gradient[block] / scale, ref)[2]
        raw_scale = _compare(np.where(np.isfinite(gradient[block]), raw[block], np.nan), ref)[1]
        fd: tuple[float | None, float | None] = (None, None)
        if differences is not None and not isinstance(rule, FiniteDifference):
            fd = _compare(gradient[block], differences[block])[:2]
        rows.append(AuditRow(rule.name, block, cosine, scale, error, raw_scale, entries, *fd, unit))
    return rows


def _compare(gradient: Array, reference: Array) -> tuple[float, float, float, int]:
    """Return cosine, scale, relative error, and at how many entries both are known."""
    here = np.isfinite(gradient) & np.isfinite(reference)
    g, r = gradient[here], reference[here]
    norm, size = float(np.linalg.norm(r)), float(np.linalg.norm(g))
    if norm == 0.0:
        same = size == 0.0
        return float(same), float(same), 0.0 if same else np.inf, len(g)
    cosine = float(g @ r) / (norm * size) if size > 0 else 0.0
    return cosine, float(g @ r) / norm**2, float(np.linalg.norm(g - r)) / norm, len(g)


@checked()
def audit(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None,
    targets: ArrayLike,
    cost: Cost = SQUARED_ERROR,
    *,
    beta: float | None = None,
    rules: Sequence[Rule | str] | None = None,
    solver: Solver = NATIVE,
    fit: bool = True,
    noise: float = 0.0,
    averages: int = 1,
    rng: np.random.Generator | None = None,
) -> Audit:
    """Compare learning rules with the adjoint gradient and with finite differences, per parameter block.

    A rule that does not apply to the circuit, or finds no phase, is among ``refused`` with the reason.

    Parameters
    ----------
    circuit, inputs, targets, cost
        What to learn; inputs (B, I) and targets (B, O) [V].
    beta
        Nudging strength [S]; suggested from the circuit if not given.
    rules
        Rules to compare, or their names in ``RULES``, made for ``beta``; by default all of these.
        ``"finite difference"``, also by default, visits up to ``SAMPLED`` parameters per block, where the other
        rules are compared with it, too.
    solver
        Finds the phases.
    fit
        Whether to fit how the error falls with β, for the rules whose bias is a power of β.
    noise, averages
        Noise of one read [V] and number of reads that are averaged, for the suggestion; see ``suggest_beta``.
    rng
        Chooses the parameters for finite differences; fixed by default.

    Raises
    ------
    InputError
        If inputs, targets or a given ``beta`` do not fit the circuit, or a rule's name is unknown.
    ConvergenceError
        If there is no free equilibrium, or no adjoint there.
    """
    rng = np.random.default_rng(0) if rng is None else rng
    suggestion = None
    if beta is None:
        suggestion = suggest_beta(circuit, inputs, targets, cost, noise=noise, averages=averages)
        beta = suggestion.beta
    at = {
        block: np.sort(rng.choice(value.size, min(SAMPLED, value.size), replace=False))
        for block, value in circuit.parameters.items()
    }
    difference = FiniteDifference(at=at)
    wanted = [*RULES, difference.name] if rules is None else rules
    if not len(wanted):
        raise InputError("rules is empty; give at least one rule, or none at all for every rule")
    unknown = [rule for rule in wanted if isinstance(rule, str) and rule not in (*RULES, difference.name)]
    if unknown:
        raise InputError(f"unknown rule {unknown[0]!r}; rules: {', '.join((*RULES, difference.name))}")
    reference = Adjoint().gradient(circuit, inputs, targets, cost, solver).blocks
    estimates: list[tuple[Rule, Gradient]] = []
    refused: dict[str, str] = {}
    for choice in wanted:
        rule = choice
        if isinstance(rule, str):
            rule = difference if rule == difference.name else RULES[rule].make(beta)
        try:
            estimates.append((rule, rule.gradient(circuit, inputs, targets, cost, solver)))
        except AnalogepError as error:  # the adjoint took the same circuit and batch
            if suggestion is None and isinstance(error, InputError):
                raise  # it is the given β, or the given rule
            refused[rule.name] = str(error)
    differences = next((g.blocks for rule, g in estimates if isinstance(rule, FiniteDifference)), None)
    rows: list[AuditRow] = []
    for rule, g in estimates:
        rows += compare_blocks(rule, g.blocks, g.raw, reference, differences, g.info.get("scale_unit", "1"))
    top = 2.0 if 2.0 * beta < largest_safe_beta(circuit, inputs) else 1.0
    betas = beta * top * np.array([0.125, 0.25, 0.5, 1.0])
    errors: dict[str, Array] = {}
    slopes: dict[str, float] = {}
    for name in [rule.name for rule, _ in estimates] if fit else []:
        entry = RULES.get(name)
        if entry is None or entry.order is None:
            continue
        try:
            found = [entry.make(float(b)).gradient(circuit, inputs, targets, cost, solver) for b in betas]
        except AnalogepError as error:
            refused[f"{name}, fit over β"] = str(error)
            continue
        errors[name] = np.array([_relative_error(g.blocks, reference) for g in found])
        seen = errors[name] > _ROUNDING
        if seen.sum() > 2:
            slopes[name] = float(np.polyfit(np.log(betas[seen]), np.log(errors[name][seen]), 1)[0])
    return Audit(tuple(rows), beta, suggestion, slopes, betas, errors, refused)


def _relative_error(blocks: Mapping[str, Array], reference: Mapping[str, Array]) -> float:
    """Return the error over all blocks, each block weighed by its own norm."""
    parts = [
        np.linalg.norm(blocks[key] - ref) / np.linalg.norm(ref)
        for key, ref in reference.items()
        if np.linalg.norm(ref) > 0
    ]
    return float(np.sqrt(np.mean(np.square(parts)))) if parts else 0.0
