"""Training configurations: TOML in, checked, every fault at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    FiniteFloat,
    PositiveInt,
    model_validator,
)

from analogep.errors import ConfigError, Fault
from analogep.kinds import checked
from analogep.training.configuration.data import DataConfig, EncoderConfig
from analogep.training.configuration.network import NetworkConfig
from analogep.training.configuration.section import NonNegative, Positive, Section, validated

Fraction = Annotated[float, Field(ge=0, lt=1)]


class LearningConfig(Section):
    """The gradient."""

    rule: Literal["equilibrium_propagation", "non_reciprocal", "vector_field"] = "equilibrium_propagation"
    """What circuits without an energy need is non_reciprocal; vector_field leaves its correction out."""
    variant: Literal["positive", "negative", "centered", "random"] = "centered"
    """random: one-sided, with a sign of β that changes from update to update; for equilibrium propagation."""
    cost: Literal["squared_error", "cross_entropy", "hinge"] = "squared_error"
    """Cross-entropy and hinge are for classes, with targets 1 and 0; see ``learning.costs.classification``."""
    softmax_scale: Positive = 1.0
    """Cross-entropy only: voltage of one unit of the exponent [V]."""
    readout: Annotated[int, Field(ge=0)] = 0
    """Cross-entropy only: outputs of the circuit, read by trainable weights beside it; 0: one output per class."""
    margin: Positive = 0.1
    """Hinge only: by how much the right class is to exceed every other [V]."""
    margin_width: NonNegative = 0.01
    """Hinge only: width of the rounded corner [V], at most the margin."""
    beta: Positive | Literal["auto"] = "auto"
    """Nudging strength [S], or "auto" to take what the program suggests for the first batch."""
    nudge: Literal["error", "frozen"] = "error"
    tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 1e-12
    """Residual at which a phase counts as settled, relative to each node's conductance times its voltage."""
    sweeps: Annotated[int, Field(ge=0)] = 0
    """Fused engine only: block steps per phase, to match a paper; 0 lets every phase settle."""
    nudged_sweeps: Annotated[int, Field(ge=0)] = 0
    """Fused engine only: block steps per nudged phase, which then need not settle; 0: as in the free phase."""
    persistent: bool = False
    """Fused engine only: a sample's free phase starts where its last one ended, not at 0 V."""
    precision: Literal["float32", "float64"] = "float64"
    """Fused engine only: single precision is twice as fast, and resolves moves of 1e-6 of the largest voltage."""
    target_high: FiniteFloat = 1.0
    """Target of the right class [V]."""
    target_low: FiniteFloat = 0.0
    """Target of the other classes [V]."""

    @model_validator(mode="after")
    def _random_has_an_energy(self) -> LearningConfig:
        if self.variant == "random" and self.rule != "equilibrium_propagation":
            raise ValueError(f'variant = "random" belongs to rule = "equilibrium_propagation", not "{self.rule}"')
        return self

    @model_validator(mode="after")
    def _entries_belong_to_the_cost(self) -> LearningConfig:
        given, defaults = self.model_fields_set, type(self).model_fields
        for key, cost in (
            ("softmax_scale", "cross_entropy"),
            ("readout", "cross_entropy"),
            ("margin", "hinge"),
            ("margin_width", "hinge"),
        ):
            if key in given and getattr(self, key) != defaults[key].default and self.cost != cost:
                raise ValueError(f'{key} belongs to cost = "{cost}", which this is not')
        if self.cost != "squared_error" and (self.target_high, self.target_low) != (1.0, 0.0):
            raise ValueError(f'cost = "{self.cost}" needs target_high = 1 and target_low = 0: they name the class')
        if self.margin_width > self.margin:
            raise ValueError(f"margin_width = {self.margin_width:g} V exceeds margin = {self.margin:g} V")
        return self


class TrainingConfig(Section):
    """The optimization."""

    epochs: PositiveInt
    batch: PositiveInt = 4
    rates: dict[str, NonNegative]
    """Learning rate of each block, in (unit of the block)² / V²; for Adam in the unit of the block."""
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: Fraction = 0.0
    """SGD only."""
    adam_decays: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Adam only: decay rates of the mean gradient and of its mean square."""
    adam_epsilon: Positive = 1e-8
    """Adam only: added to the root mean square of the gradient, in V² / (unit of the block)."""
    schedule: Literal["constant", "exponential", "cosine"] = "exponential"
    """Factor on the rates over the epochs."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Exponential schedule: factor on the rates after every epoch."""
    final_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Cosine schedule: factor on the rates in the last epoch."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Epochs in which the rates rise linearly, before the schedule begins."""
    bounds: dict[str, tuple[FiniteFloat, FiniteFloat]] = Field(default_factory=dict)
    """Lowest and highest value of each block, in its unit."""
    stop_loss: NonNegative = 0.0
    """Stop when an epoch's mean loss [V²] falls below."""
    patience: PositiveInt | None = None
    """Stop after so many epochs without a new lowest value of what is watched."""
    watch: Literal["loss", "error"] = "loss"
    """What patience and keep = "best" watch; of the validation part, else of the training part."""
    keep: Literal["last", "best"] = "last"
    """Which epoch's circuit is the result; "best" needs a validation part."""
    evaluate_every: PositiveInt = 1
    """Epochs between evaluations of the validation and test parts; the last epoch is always evaluated."""
    checkpoint_minutes: Positive = 5.0
    """Longest time between two checkpoints within an epoch [min]."""
    checkpoint_updates: PositiveInt | None = None
    """Most updates between two checkpoints."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """Fused engine only: threads that share an update; 0 measures how many are fastest. No bit depends on it."""
    shuffle: bool = True

    @model_validator(mode="after")
    def _no_idle_entries(self) -> TrainingConfig:
        given = self.model_fields_set
        defaults = type(self).model_fields
        for key, owner, choice in (
            ("momentum", "optimizer", "sgd"),
            ("adam_decays", "optimizer", "adam"),
            ("adam_epsilon", "optimizer", "adam"),
            ("decay", "schedule", "exponential"),
            ("final_rate", "schedule", "cosine"),
        ):
            changed = key in given and getattr(self, key) != defaults[key].default
            if changed and getattr(self, owner) != choice:
                raise ValueError(f'{key} belongs to {owner} = "{choice}", which this is not')
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup = {self.warmup} must be less than epochs = {self.epochs}")
        return self


class SpiceConfig(Section):
    """How phases are solved when ``engine`` is ngspice or pyspice."""

    fold_inputs: bool = True
    """Give SPICE the Norton equivalents of the resistors at the inputs: the same voltages, much sooner."""
    timeout: Positive = 600.0
    """Longest time for one phase of one batch [s]."""


class VerifyConfig(Section):
    """The check of the trained circuit in ngspice."""

    samples: PositiveInt = 20
    tolerance: Positive = 1e-9
    """Largest |ΔV| [V] between ngspice and the native solution."""


class PublishedConfig(Section):
    """The result that a configuration reproduces, to print beside ours; it changes nothing."""

    test_error: Annotated[float, Field(ge=0, le=1)]
    source: Annotated[str, Field(min_length=1)]

    def __str__(self) -> str:
        return f"published test error {self.test_error:.2%} ({self.source})"


class TrainConfig(Section):
    """Everything that determines a training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    engine: Literal["auto", "fused", "newton", "layered", "transient", "ngspice", "pyspice"] = "auto"
    """What solves the phases: compiled epochs, a native method, or SPICE; auto takes the fastest that applies."""
    data: DataConfig
    encoder: EncoderConfig = EncoderConfig()
    network: NetworkConfig
    learning: LearningConfig = LearningConfig()
    training: TrainingConfig
    spice: SpiceConfig = SpiceConfig()
    verify: VerifyConfig = VerifyConfig()
    published: PublishedConfig | None = None

    @model_validator(mode="after")
    def _fused_entries_have_their_engine(self) -> TrainConfig:
        if self.engine in ("auto", "fused"):
            return self
        for key, value in (
            ("learning.sweeps", self.learning.sweeps),
            ("learning.precision", self.learning.precision == "float32"),
            ("training.threads", self.training.threads),
        ):
            if value:
                raise ValueError(f'{key} belongs to engine = "fused", and engine is "{self.engine}"')
        return self

    def changed(self, **sections: Any) -> TrainConfig:
        """Return the configuration with some entries replaced; nested mappings merge.

        Raises
        ------
        ConfigError
            If the result is not a valid configuration.
        """
        return parse_config(_merge(self.model_dump(mode="json"), sections), "changed configuration")

    def to_toml(self) -> str:
        """Return the configuration, defaults included, as TOML."""
        import tomli_w

        return tomli_w.dumps(self.model_dump(mode="json", exclude_none=True))


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(old)
    for key, value in new.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = _merge(out[key], value) if both else value
    return out


def parse_config(data: Mapping[str, Any], subject: str) -> TrainConfig:
    """Return the configuration in ``data``.

    Raises
    ------
    ConfigError
        With every fault by its dotted key.
    """
    return validated(TrainConfig, data, subject)


@checked()
def load_config(path: str | Path) -> TrainConfig:
    """Read a configuration from a TOML file, or by the name of one that ships with analogep.

    Raises
    ------
    ConfigError
        If the file is missing, is not TOML, or has faults.
    """
    path = Path(path)
    if not path.exists() and str(path) in shipped():
        path = shipped()[str(path)]
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(shipped())
        raise ConfigError(
            str(path), [Fault("file", f"cannot be read ({error.strerror}); shipped configurations: {names}")]
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [Fault("file", f"is not valid TOML: {error}")]) from None
    return parse_config(data, str(path))


def shipped() -> dict[str, Path]:
    """Return the configurations that ship with the package, by name."""
    return {p.stem: p for p in sorted((Path(__file__).parent / "configs").glob("*.toml"))}
