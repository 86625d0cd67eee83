"""Training configurations: TOML in, checked, every fault at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from analogep.errors import ConfigError, Fault

NonNegative = Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]
Positive = Annotated[PositiveFloat, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """Which data, and how it is split."""

    name: Literal["digits", "table"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    inputs: tuple[tuple[FiniteFloat, ...], ...] = ()
    """Table only: one row of numbers per sample."""
    targets: tuple[tuple[FiniteFloat, ...], ...] = ()
    """Table only: one row of target voltages [V] per sample."""
    tolerance: NonNegative = 0.0
    """Table only: largest |o − y| [V] that does not count as an error."""

    @model_validator(mode="after")
    def _table_is_rectangular(self) -> DataConfig:
        if self.name == "table":
            widths = ({len(r) for r in self.inputs}, {len(r) for r in self.targets})
            if not self.inputs or len(self.inputs) != len(self.targets):
                raise ValueError("a table needs as many rows of inputs as of targets, at least one")
            if any(len(w) != 1 or 0 in w for w in widths):
                raise ValueError("the rows of a table must have the same length")
        elif self.inputs or self.targets:
            raise ValueError('inputs and targets belong to name = "table"')
        return self


class EncoderConfig(_Section):
    """Voltage encoder, v = gain · (x − center)."""

    gain: Positive = 1.0
    """Volts per unit of the data."""
    center: FiniteFloat = 0.0
    doubled: bool = True


class DiodeConfig(_Section):
    """The hidden nodes' diode; parameters as in :class:`analogep.devices.Diode`."""

    kind: Literal["diode", "ideal_diode"] = "diode"
    saturation_current: Positive = 1e-14
    """[A]"""
    emission: Positive = 1.0
    series_resistance: NonNegative = 0.0
    """[Ω]"""
    gmin: NonNegative = 1e-15
    """[S]"""
    temperature: Positive = 300.15
    """[K]"""
    threshold: FiniteFloat = 0.0
    """Ideal diode only [V]."""


class InitialConfig(_Section):
    """Initial conductances."""

    kind: Literal["positive_part", "uniform", "values"] = "positive_part"
    scale: Positive = 1e-4
    """positive_part: conductance of one unit of weight [S]."""
    gain: Positive = 1.0
    low: NonNegative = 1e-6
    """uniform: lowest conductance [S]."""
    high: Positive = 1e-4
    """uniform: highest conductance [S]."""
    values: dict[str, tuple[tuple[NonNegative, ...], ...]] = {}
    """values: the conductances [S] of each crossbar, row by row."""

    @model_validator(mode="after")
    def _values_are_tables(self) -> InitialConfig:
        if (self.kind == "values") != bool(self.values):
            raise ValueError('kind = "values" and the table of values belong together')
        if self.kind == "uniform" and self.low > self.high:
            raise ValueError(f"low = {self.low:g} S exceeds high = {self.high:g} S")
        for name, rows in self.values.items():
            if len({len(row) for row in rows}) != 1:
                raise ValueError(f"the rows of {name} must have the same length")
        return self


class NetworkConfig(_Section):
    """The network; layers of a deep resistive network between the data's inputs and outputs."""

    kind: Literal["deep_resistive"] = "deep_resistive"
    hidden_layers: tuple[PositiveInt, ...] = ()
    hidden: Literal["split", "pair", "linear"] = "split"
    diode: DiodeConfig = DiodeConfig()
    rails: tuple[FiniteFloat, FiniteFloat] = (0.0, 0.0)
    """Lower and upper rail of the diodes [V]."""
    amplifier: tuple[FiniteFloat, FiniteFloat] | None = None
    """Voltage gain A and current gain B behind each hidden node."""
    bias: Literal["none", "lines", "current"] = "current"
    bias_voltages: tuple[FiniteFloat, ...] = (1.0, -1.0)
    """Bias lines [V]."""
    paired_outputs: bool = False
    initial: InitialConfig = InitialConfig()


class LearningConfig(_Section):
    """The gradient."""

    variant: Literal["positive", "negative", "centered"] = "centered"
    beta: Positive | Literal["auto"] = "auto"
    """Nudging strength [S], or "auto" to take what the program suggests for the first batch."""
    nudge: Literal["error", "frozen"] = "error"
    tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 1e-12
    """Residual at which a phase counts as settled, relative to each node's conductance times its voltage."""
    target_high: FiniteFloat = 1.0
    """Target of the right class [V]."""
    target_low: FiniteFloat = 0.0
    """Target of the other classes [V]."""


class TrainingConfig(_Section):
    """The optimization."""

    epochs: PositiveInt
    batch: PositiveInt = 4
    rates: dict[str, NonNegative]
    """Learning rate of each block, in (unit of the block)² / V²."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on the rates after every epoch."""
    bounds: dict[str, tuple[FiniteFloat, FiniteFloat]] = {}
    """Lowest and highest value of each block, in its unit."""
    stop_loss: NonNegative = 0.0
    """Stop when an epoch's mean loss [V²] falls below."""
    shuffle: bool = True


class SpiceConfig(_Section):
    """How phases are solved when ``engine`` is ngspice or pyspice."""

    fold_inputs: bool = True
    """Give SPICE the Norton equivalents of the resistors at the inputs: the same voltages, much sooner."""
    timeout: Positive = 600.0
    """Longest time for one phase of one batch [s]."""


class VerifyConfig(_Section):
    """The check of the trained circuit in ngspice."""

    samples: PositiveInt = 20
    tolerance: Positive = 1e-9
    """Largest |ΔV| [V] between ngspice and the native solution."""


class TrainConfig(_Section):
    """Everything that determines a training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    seed: Annotated[int, Field(ge=0)] = 0
    engine: Literal["auto", "newton", "layered", "transient", "ngspice", "pyspice"] = "auto"
    """What solves the phases: a native method, or SPICE."""
    data: DataConfig
    encoder: EncoderConfig = EncoderConfig()
    network: NetworkConfig
    learning: LearningConfig = LearningConfig()
    training: TrainingConfig
    spice: SpiceConfig = SpiceConfig()
    verify: VerifyConfig = VerifyConfig()

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
    try:
        return TrainConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError(subject, _one_per_key([_fault(e) for e in error.errors()])) from None


def _one_per_key(faults: list[Fault]) -> list[Fault]:
    """Join what pydantic says of each alternative of one entry, such as "a number" or "auto"."""
    joined: dict[str, list[str]] = {}
    for fault in faults:
        joined.setdefault(fault.where, []).append(fault.what)
    return [Fault(where, "; or ".join(whats)) for where, whats in joined.items()]


_ALTERNATIVE = re.compile(r"constrained-\w+|literal\[.*")  # pydantic's names for the members of a union


def _fault(error: Any) -> Fault:
    keys = [str(part) for part in error["loc"] if not _ALTERNATIVE.fullmatch(str(part))]
    where = ".".join(keys) or "configuration"
    if error["type"] == "extra_forbidden":
        return Fault(where, "unknown key; check its spelling and section")
    if error["type"] == "missing":
        return Fault(where, "missing")
    message = error["msg"].removeprefix("Value error, ")
    value = error.get("input")
    shown = f" (got {value!r})" if isinstance(value, (str, int, float, bool)) else ""
    return Fault(where, message[:1].lower() + message[1:] + shown)


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
