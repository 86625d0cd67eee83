"""The learning rules by name, as audits, command lines and configurations know them.

To add a rule: its line in :data:`RULES`, and in :data:`PHASE_RULES` if a configuration may train with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analogep.learning.costs.base import NudgeForm
from analogep.learning.rules.base import EquilibriumPropagation, Rule, Variant
from analogep.learning.rules.coupled import ContrastiveLearning, CoupledLearning
from analogep.learning.rules.frequency import FrequencyPropagation
from analogep.learning.rules.holomorphic import HolomorphicEP
from analogep.learning.rules.nonreciprocal import DoubledStateEP, NonReciprocalEP, VectorFieldEP
from analogep.learning.rules.truncated import TruncatedBackprop


@dataclass(frozen=True)
class Entry:
    """One rule.

    Attributes
    ----------
    make
        Makes the rule for a nudging strength β [S]; a rule without one ignores it.
    order
        Power of β in the bias of the estimate on smooth circuits; ``None`` where β is not what limits it.
    exact
        Whether it finds the gradient itself within a gradient check's tolerance, at the suggested β, wherever it
        applies.
    """

    make: Callable[[float], Rule]
    order: int | None = None
    exact: bool = False


RULES: dict[str, Entry] = {
    "EP centered": Entry(lambda beta: EquilibriumPropagation(beta, "centered"), order=2, exact=True),
    "EP positive": Entry(lambda beta: EquilibriumPropagation(beta, "positive"), order=1),
    "EP negative": Entry(lambda beta: EquilibriumPropagation(beta, "negative"), order=1),
    "EP random": Entry(lambda beta: EquilibriumPropagation(beta, "random", rng=np.random.default_rng(0))),
    "holomorphic EP N=4": Entry(lambda beta: HolomorphicEP(beta, 4), order=4, exact=True),
    "non-reciprocal EP centered": Entry(lambda beta: NonReciprocalEP(beta), order=2, exact=True),
    "doubled-state EP": Entry(lambda beta: DoubledStateEP(beta), exact=True),
    "vector field EP centered": Entry(lambda beta: VectorFieldEP(beta)),
    "frequency propagation": Entry(lambda beta: FrequencyPropagation(beta)),
    "truncated backprop": Entry(lambda beta: TruncatedBackprop(), exact=True),
    "coupled positive": Entry(lambda beta: CoupledLearning(variant="positive")),
    "coupled negative": Entry(lambda beta: CoupledLearning(variant="negative")),
    "coupled centered": Entry(lambda beta: CoupledLearning(variant="centered")),
    "contrastive": Entry(lambda beta: ContrastiveLearning()),
}
"""Every rule that estimates a gradient, by its ``name``; the oracles are not among them."""

PhaseRule = EquilibriumPropagation | NonReciprocalEP | VectorFieldEP
"""Rules that compare a free phase with nudged ones."""

PHASE_RULES: dict[str, Callable[[float, Variant, NudgeForm], PhaseRule]] = {
    "equilibrium_propagation": lambda beta, variant, nudge: EquilibriumPropagation(
        beta, variant, nudge, check=False
    ),
    "non_reciprocal": lambda beta, variant, nudge: NonReciprocalEP(beta, variant, nudge),
    "vector_field": lambda beta, variant, nudge: VectorFieldEP(beta, variant, nudge),
}
"""The rules that a configuration can train with, by its ``learning.rule``; β is checked by who trains."""
