"""Learning: costs, phases, gradient rules and oracles, audit, optimizers.

To add a rule: a frozen dataclass with ``name`` and ``gradient`` (see ``rules.Rule``) in this folder, and its line
in ``registry.RULES``.
"""

from analogep.learning.audit import Audit, AuditRow, audit
from analogep.learning.beta import largest_safe_beta
from analogep.learning.classification import CrossEntropy, Hinge
from analogep.learning.costs import Cost, SquaredError
from analogep.learning.coupled import ContrastiveLearning, CoupledLearning
from analogep.learning.frequency import FrequencyPropagation
from analogep.learning.gradient import Gradient
from analogep.learning.holomorphic import HolomorphicEP
from analogep.learning.nonreciprocal import DoubledStateEP, NonReciprocalEP, VectorFieldEP
from analogep.learning.optimizer import SGD, Adam, Optimizer
from analogep.learning.oracles import Adjoint, FiniteDifference
from analogep.learning.readout import SoftmaxReadout
from analogep.learning.registry import RULES
from analogep.learning.rules import EquilibriumPropagation, NativeSolver, Rule, Solver
from analogep.learning.scaling import energy_scale
from analogep.learning.schedules import Constant, Cosine, Exponential, Schedule, WarmUp
from analogep.learning.suggestion import BetaSuggestion, suggest_beta
from analogep.learning.truncated import TruncatedBackprop

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
