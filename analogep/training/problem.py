"""From a configuration to the things it describes: data in volts, circuit, rule, optimizer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import ConfigError, Fault, InputError, VoltageWarning
from analogep.kinds import checked
from analogep.learning import (
    SGD,
    Adam,
    Constant,
    Cosine,
    Cost,
    CrossEntropy,
    Exponential,
    Hinge,
    NativeSolver,
    Optimizer,
    Schedule,
    SoftmaxReadout,
    Solver,
    SquaredError,
    WarmUp,
    energy_scale,
    suggest_beta,
)
from analogep.learning.costs.readout import TrainableCost
from analogep.learning.rules.base import Variant, beyond_convexity
from analogep.learning.rules.registry import PHASE_RULES, PhaseRule
from analogep.networks import glorot
from analogep.solve import NewtonOptions
from analogep.spice import SpiceSolver
from analogep.training.configuration.config import TrainConfig, TrainingConfig
from analogep.training.data import DataSet, Part, load
from analogep.training.encoders import CHUNK, VoltageEncoder, one_hot

Array = NDArray[np.float64]
Choice = TypeVar("Choice")


Batch = slice | NDArray[np.int64]
EVERY = slice(None)


@dataclass(frozen=True)
class Volts:
    """One part of the data as voltages; inputs are encoded when asked for, since a large set would not fit.

    Attributes
    ----------
    part
        The data, as small as they are stored.
    encoder
        What turns them into voltages.
    targets
        Target voltages (S, O) [V].
    """

    part: Part
    encoder: VoltageEncoder
    targets: Array

    def __len__(self) -> int:
        return len(self.part)

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """Classes (S,), ``None`` for regression."""
        return self.part.labels

    def inputs(self, batch: Batch = EVERY) -> Array:
        """Return the voltages of the input lines (B, I) [V] for the samples of ``batch``."""
        return self.encoder(self.part.numbers(batch))

    def single(self, batch: Batch = EVERY, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return the voltages (B, F + bias lines) [V] of the lines before doubling."""
        samples = np.arange(len(self))[batch]
        volts = np.empty((len(samples), self.encoder.singles(self.part.features.shape[1])), dtype)
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            volts[start : start + CHUNK] = self.encoder.single(self.part.numbers(chunk))
        return volts


@dataclass(frozen=True)
class Problem:
    """All that a configuration describes, before any training."""

    config: TrainConfig
    data: DataSet
    train: Volts
    test: Volts
    circuit: Circuit
    cost: Cost
    optimizer: Optimizer
    schedule: Schedule
    solver: Solver
    shuffle: np.random.Generator
    validation: Volts | None = None
    built: Problem | None = field(default=None, repr=False, compare=False)
    """The problem as the configuration describes it, before any part of it was replaced by hand."""

    def replaced(self) -> tuple[str, ...]:
        """Return the names of the parts that are not what the configuration describes."""
        made = self.built
        if made is None:
            return ("everything",)
        parts = ("config", "data", "train", "test", "validation", "cost", "optimizer", "schedule", "solver")
        changed = [name for name in parts if getattr(self, name) is not getattr(made, name)]
        return (*changed, *(() if _same_network(self.circuit, made.circuit) else ("circuit",)))

    def check(self) -> None:
        """Raise :class:`ConfigError` if circuit, data, cost and optimizer do not fit together.

        They do as the configuration describes them; a part that was put in by hand may not.
        """
        faults = []
        lines = self.train.encoder.lines(self.data.train.features.shape[1])
        if len(self.circuit.input_nodes) != lines:
            what = f"has {len(self.circuit.input_nodes)} inputs, and the encoder gives {lines} voltages"
            faults.append(Fault("circuit", what))
        targets = self.train.targets.shape[1]
        try:
            wanted = self.cost.target_count(len(self.circuit.output_pairs))
        except InputError as error:
            faults.append(Fault("circuit", str(error)))
        else:
            if wanted != targets:
                count = len(self.circuit.output_pairs)
                faults.append(Fault("circuit", f"its {count} outputs need {wanted} targets each, not {targets}"))
        if not self.parameters:
            faults.append(Fault("circuit", "has no trainable parameter; make some trainable when you build it"))
        if faults:
            raise ConfigError("problem", faults)
        self.optimizer.check(self.parameters)

    @property
    def parameters(self) -> dict[str, Array]:
        """All that is trained, by block: the circuit's parameters, and those of a readout beside it."""
        return trainable(self.circuit, self.cost)

    def rule_at(self, beta: float) -> PhaseRule:
        """Return the learning rule with a nudging strength β [S]; a random sign is the runner's to draw.

        Raises
        ------
        ConfigError
            If the configuration names no rule that there is.
        """
        learning = self.config.learning
        make = _chosen("learning.rule", learning.rule, PHASE_RULES)
        variant: Variant = "positive" if learning.variant == "random" else learning.variant
        return make(beta, variant, learning.nudge)

    @property
    def random_signs(self) -> bool:
        """Whether every update draws the sign of its β, by a hash of its samples."""
        return self.config.learning.variant == "random"

    def rule(self) -> tuple[PhaseRule, str]:
        """Return the learning rule for the circuit as it is and, in a sentence, where its β comes from."""
        learning = self.config.learning
        if learning.beta == "auto":
            first = slice(0, max(self.config.training.batch, 16))
            found = suggest_beta(self.circuit, self.train.inputs(first), self.train.targets[first], self.cost)
            beta, reason = found.beta, str(found)
        else:
            beta = float(learning.beta)
            reason = f"β = {beta:.3g} S from the configuration"
        return self.rule_at(beta), reason

    def check_beta(self, circuit: Circuit, cost: Cost, beta: float) -> None:
        """Raise :class:`ConfigError` if −β would make the nudged phase non-convex."""
        learning = self.config.learning
        if learning.variant == "positive" or learning.nudge == "frozen":
            return
        too_large = beyond_convexity(circuit, beta, cost)
        if too_large is not None:
            what = f'{too_large}; use a smaller β, variant = "positive" or nudge = "frozen"'
            raise ConfigError("configuration", [Fault("learning.beta", what)])


_NONE = Circuit(("0",), checked=True)
"""Stands for the network of a configuration that was not built, as another circuit took its place."""


def _same_network(circuit: Circuit, other: Circuit) -> bool:
    """Return whether two circuits differ in what is trained, if in anything."""
    if circuit.topology is not other.topology:
        return False
    both = zip(circuit.all_parameters(), other.all_parameters(), strict=True)
    return all(able or a is b or np.array_equal(a, b) for (_, a, able), (_, b, _) in both)


@checked()
def build_problem(
    config: TrainConfig, parameters: Mapping[str, Array] | None = None, circuit: Circuit | None = None
) -> Problem:
    """Build what ``config`` describes; every random draw comes from its seed.

    Parameters
    ----------
    config
        The configuration.
    parameters
        Trained parameters to put into the circuit instead of initial ones.
    circuit
        A circuit to train in place of the network that the configuration describes; run folders then hold it.

    Raises
    ------
    ConfigError, CircuitError
        If the parts do not fit together; names the entries.
    """
    seeds = np.random.SeedSequence(config.seed).spawn(2)
    initial_rng, shuffle_rng = (np.random.default_rng(s) for s in seeds)
    data = load(config.data)
    encoder = VoltageEncoder.fitted(config.encoder, data.train)
    _warn_of_scale(config, data.train)
    outputs = config.learning.readout or data.outputs
    given = circuit is not None
    if circuit is None:
        circuit = config.network.build(encoder.lines(data.train.features.shape[1]), outputs, initial_rng)
    culprit = energy_scale(circuit).culprit
    if culprit is not None and config.learning.rule == "equilibrium_propagation":
        key, remedy = ("circuit", "another rule") if given else config.network.reciprocity
        raise ConfigError("configuration", [Fault(key, f"{culprit}; equilibrium propagation needs {remedy}")])
    cost = _cost(config, data, initial_rng)
    if data.train.labels is None and config.learning.cost != "squared_error":
        what = f"{config.learning.cost} is a cost for classes, and {config.data.name} is a regression"
        raise ConfigError("configuration", [Fault("learning.cost", what)])
    _optimizer(config.training, config.training.bounds).check(trainable(circuit, cost))
    # without bounds of its own a block still cannot leave the range that its device allows
    optimizer = _optimizer(config.training, {**circuit.parameter_ranges, **config.training.bounds})
    bounded = optimizer.clip(trainable(circuit, cost)) if parameters is None else parameters
    circuit, cost = trained(circuit, cost, bounded)
    problem = Problem(
        config,
        data,
        _volts(config, data, data.train, encoder),
        _volts(config, data, data.test, encoder),
        circuit,
        cost,
        optimizer,
        _schedule(config.training),
        _solver(config),
        shuffle_rng,
        None if data.validation is None else _volts(config, data, data.validation, encoder),
    )
    problem = replace(problem, built=replace(problem, circuit=_NONE) if given else problem)
    problem.check()
    return problem


def _chosen(key: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    """Return what a configuration names; raises :class:`ConfigError` if there is no such thing."""
    if name not in choices:
        raise ConfigError("configuration", [Fault(key, f"unknown {name!r}; use one of {', '.join(choices)}")])
    return choices[name]


def trainable(circuit: Circuit, cost: Cost) -> dict[str, Array]:
    """Return all that is trained, by block: the circuit's parameters, and those of a readout beside it."""
    return circuit.parameters | (dict(cost.parameters) if isinstance(cost, TrainableCost) else {})


def trained(circuit: Circuit, cost: Cost, parameters: Mapping[str, Array]) -> tuple[Circuit, Cost]:
    """Return the circuit and the cost with ``parameters``, by block."""
    if isinstance(cost, TrainableCost):
        own = cost.parameters
        cost = cost.with_parameters(parameters)
        parameters = {name: value for name, value in parameters.items() if name not in own}
    return circuit.with_parameters(parameters), cost


def _cost(config: TrainConfig, data: DataSet, rng: np.random.Generator) -> Cost:
    learning = config.learning
    if learning.readout:
        weights = glorot(1.0)(rng, (learning.readout, data.outputs))
        return SoftmaxReadout(weights, np.zeros(data.outputs), learning.softmax_scale)
    costs: dict[str, Callable[[], Cost]] = {
        "squared_error": SquaredError,
        "cross_entropy": lambda: CrossEntropy(learning.softmax_scale),
        "hinge": lambda: Hinge(learning.margin, learning.margin_width),
    }
    return _chosen("learning.cost", learning.cost, costs)()


def _optimizer(config: TrainingConfig, bounds: Mapping[str, tuple[float, float]]) -> Optimizer:
    optimizers: dict[str, Callable[[], Optimizer]] = {
        "sgd": lambda: SGD(dict(config.rates), dict(bounds), config.momentum),
        "adam": lambda: Adam(dict(config.rates), dict(bounds), config.adam_decays, config.adam_epsilon),
    }
    return _chosen("training.optimizer", config.optimizer, optimizers)()


def _schedule(config: TrainingConfig) -> Schedule:
    schedules: dict[str, Callable[[], Schedule]] = {
        "constant": Constant,
        "exponential": lambda: Exponential(config.decay),
        "cosine": lambda: Cosine(config.epochs - config.warmup, config.final_rate),
    }
    then = _chosen("training.schedule", config.schedule, schedules)()
    return WarmUp(config.warmup, then) if config.warmup else then


def _solver(config: TrainConfig) -> Solver:
    if config.engine == "ngspice" or config.engine == "pyspice":
        return SpiceSolver(config.engine, config.spice.fold_inputs, config.spice.timeout)
    method = "auto" if config.engine == "fused" else config.engine
    return NativeSolver(method, NewtonOptions(residual_tolerance=config.learning.tolerance))


_FAR = 10.0  # times the gain, which is the voltage of a feature of 1


def _warn_of_scale(config: TrainConfig, part: Part) -> None:
    """Warn with :class:`VoltageWarning` of features far beyond 1, which nothing scales before the gain does."""
    if config.encoder.standardise != "none":
        return
    largest = float(np.abs(part.features).max(initial=0.0)) / part.full_scale
    if largest > _FAR:
        gain = abs(config.encoder.gain)
        warnings.warn(
            f"features of {config.data.name} reach {largest:.4g}, so input lines reach {gain * largest:.4g} V; "
            f"the gain means {gain:.4g} V for a feature of 1. Set data.full_scale to the largest feature, or "
            "encoder.standardise, or a smaller encoder.gain",
            VoltageWarning,
            stacklevel=3,
        )


def _volts(config: TrainConfig, data: DataSet, part: Part, encoder: VoltageEncoder) -> Volts:
    learning = config.learning
    if part.labels is not None:
        targets = one_hot(part.labels, data.classes, learning.target_high, learning.target_low)
    else:
        assert part.targets is not None
        targets = part.targets
    return Volts(part, encoder, targets)
