"""Which runner trains a problem, and in words how.

To add one: a class with the members of :class:`~analogep.training.runners.base.Runner`, and its choice here.
"""

from __future__ import annotations

from analogep.errors import ConfigError, Fault
from analogep.learning import SGD
from analogep.learning.rules.base import phase_betas
from analogep.learning.rules.registry import PhaseRule
from analogep.training.problem import Problem
from analogep.training.runners.base import Runner
from analogep.training.runners.fused import FusedRunner, unfit
from analogep.training.runners.general import GeneralRunner


def runner_for(problem: Problem, rule: PhaseRule) -> Runner:
    """Return the runner for what ``problem`` describes.

    Raises
    ------
    ConfigError
        If the configuration asks for the fused engine where it does not apply; says why.
    """
    config = problem.config
    if config.engine in ("auto", "fused"):
        reason = unfit(problem, rule)
        if reason is None:
            return FusedRunner(problem, rule)
        wishes = {
            "engine": config.engine == "fused",
            "learning.sweeps": config.learning.sweeps > 0,
            "learning.nudged_sweeps": config.learning.nudged_sweeps > 0,
            "learning.persistent": config.learning.persistent,
            "learning.precision": config.learning.precision == "float32",
            "training.threads": config.training.threads > 0,
        }
        faults = [Fault(key, f"needs the fused engine, and {reason}") for key, wish in wishes.items() if wish]
        if faults:
            raise ConfigError("configuration", faults)
        return GeneralRunner(problem, rule, reason)
    return GeneralRunner(problem, rule)


def method_of(problem: Problem, runner: Runner) -> dict[str, str]:
    """Return in words what trains: rule, optimizer, cost, signs of β, schedule, and why it is no faster engine."""
    rule, optimizer = runner.rule, problem.optimizer
    low, high = phase_betas(rule.variant, rule.beta)
    variant, signs = rule.variant, " and ".join(text for text, beta in (("−β", low), ("+β", high)) if beta)
    if problem.random_signs:
        variant, signs = "random", "drawn for each update, by a hash of its samples"
    elif variant == "random":
        signs = "drawn for each update, by the rule's generator"
    momentum = optimizer.momentum if isinstance(optimizer, SGD) else 0.0
    return {
        "rule": f"{type(rule).__name__} ({variant}, {rule.nudge} nudge)",
        "signs": signs,
        "cost": f"{runner.cost.name} ({type(runner.cost).__name__})",
        "optimizer": type(optimizer).__name__ + (f", momentum {momentum:g}" if momentum else ""),
        "schedule": type(problem.schedule).__name__,
        "declined": runner.declined,
    }
