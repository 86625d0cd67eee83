"""Learning: costs, phases, gradient rules and oracles, audit, optimizers.

To add a rule: a frozen dataclass with ``name`` and ``gradient`` (see ``rules.Rule``) in this folder, and its line
in ``registry.RULES``.
"""

from analogep.learning.audit import Audit, AuditRow, audit
from analogep.learning.beta import largest_safe_beta
from analogep.learning.costs.base import Cost, SquaredError
from analogep.learning.costs.classification import CrossEntropy, Hinge
from analogep.learning.costs.readout import SoftmaxReadout
from analogep.learning.gradient import Gradient
from analogep.learning.rules.base import EquilibriumPropagation, NativeSolver, Rule, Solver
from analogep.learning.rules.coupled import ContrastiveLearning, CoupledLearning
from analogep.learning.rules.frequency import FrequencyPropagation
from analogep.learning.rules.holomorphic import HolomorphicEP
from analogep.learning.rules.nonreciprocal import DoubledStateEP, NonReciprocalEP, VectorFieldEP
from analogep.learning.rules.oracles import Adjoint, FiniteDifference
from analogep.learning.rules.registry import RULES
from analogep.learning.rules.truncated import TruncatedBackprop
from analogep.learning.scaling import energy_scale
from analogep.learning.steps.optimizer import SGD, Adam, Optimizer
from analogep.learning.steps.schedules import Constant, Cosine, Exponential, Schedule, WarmUp
from analogep.learning.suggestion import BetaSuggestion, suggest_beta

__all__ = [
    "RULES",
    "SGD",
    "Adam",
    "Adjoint",
    "Audit",
    "AuditRow",
    "BetaSuggestion",
    "Constant",
    "ContrastiveLearning",
    "Cosine",
    "Cost",
    "CoupledLearning",
    "CrossEntropy",
    "DoubledStateEP",
    "EquilibriumPropagation",
    "Exponential",
    "FiniteDifference",
    "FrequencyPropagation",
    "Gradient",
    "Hinge",
    "HolomorphicEP",
    "NativeSolver",
    "NonReciprocalEP",
    "Optimizer",
    "Rule",
    "Schedule",
    "SoftmaxReadout",
    "Solver",
    "SquaredError",
    "TruncatedBackprop",
    "VectorFieldEP",
    "WarmUp",
    "audit",
    "energy_scale",
    "largest_safe_beta",
    "suggest_beta",
]
