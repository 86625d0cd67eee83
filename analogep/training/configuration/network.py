"""The section of a configuration about the network: one class for each kind, which builds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Discriminator, Field, FiniteFloat, PositiveInt, Tag, model_validator

from analogep.circuit import Circuit
from analogep.devices import Diode, IdealDiode
from analogep.networks import Initial, deep_resistive, glorot, hopfield, positive_part, uniform
from analogep.training.configuration.section import NonNegative, Positive, Section, alternative

Array = NDArray[np.float64]

KINDS = ("deep_resistive", "hopfield")
"""Kinds of networks that a configuration may name."""


def _known_kind(kind: object) -> object:
    if kind not in KINDS:
        raise ValueError(f"use one of {', '.join(KINDS)}")
    return kind


class DiodeConfig(Section):
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


class InitialConfig(Section):
    """Initial conductances."""

    kind: Literal["positive_part", "uniform", "values"] = "positive_part"
    scale: Positive = 1e-4
    """positive_part: conductance of one unit of weight [S]."""
    gain: Positive = 1.0
    low: NonNegative = 1e-6
    """uniform: lowest conductance [S]."""
    high: Positive = 1e-4
    """uniform: highest conductance [S]."""
    values: dict[str, tuple[tuple[NonNegative, ...], ...]] = Field(default_factory=dict)
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


class DeepResistiveConfig(Section):
    """Layers of a deep resistive network; see :func:`analogep.networks.deep_resistive`."""

    kind: Annotated[Literal["deep_resistive"], BeforeValidator(_known_kind)] = "deep_resistive"
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

    reciprocity: ClassVar[tuple[str, str]] = ("network.amplifier", "gains other than zero")
    """What may keep the network from being reciprocal, and what it needs instead."""

    def build(self, inputs: int, outputs: int, rng: np.random.Generator) -> Circuit:
        """Return the network between so many input lines and outputs; raises ``CircuitError`` with all faults."""
        return deep_resistive(
            [inputs, *self.hidden_layers, outputs],
            hidden=self.hidden,
            diode=_diode(self.diode),
            rails=self.rails,
            amplifier=self.amplifier,
            bias=self.bias,
            bias_voltages=self.bias_voltages,
            paired_outputs=self.paired_outputs,
            initial=_initial(self.initial),
            rng=rng,
        )


class HopfieldConfig(Section):
    """Layers of neurons coupled by transconductances; see :func:`analogep.networks.hopfield`."""

    kind: Literal["hopfield"]
    hidden_layers: tuple[PositiveInt, ...] = ()
    activation: Literal["clipped_relu", "tanh", "sigmoid", "identity"] = "clipped_relu"
    coupling: Literal["symmetric", "forward", "both"] = "symmetric"
    """One matrix for both directions, no way back, or a matrix for each direction."""
    leak: Positive = 1e-4
    """[S]"""
    limit: Positive = 1.0
    """Voltage of a fully active neuron [V]."""
    bias: bool = True
    linear_outputs: bool = False
    """The outputs have a leak alone."""
    gain: Positive = 1.0
    """Initial weights are uniform within ± gain · √(6 / (rows + columns)), times the leak."""
    alike: bool = False
    """coupling = "both" only: the two directions start with the same matrix."""

    reciprocity: ClassVar[tuple[str, str]] = ("network.coupling", 'coupling = "symmetric", or another rule')

    @model_validator(mode="after")
    def _alike_has_two(self) -> HopfieldConfig:
        if self.alike and self.coupling != "both":
            raise ValueError(f'alike belongs to coupling = "both", and this is "{self.coupling}"')
        return self

    def build(self, inputs: int, outputs: int, rng: np.random.Generator) -> Circuit:
        """Return the network between so many input lines and outputs; raises ``CircuitError`` with all faults."""
        return hopfield(
            [inputs, *self.hidden_layers, outputs],
            activation=self.activation,
            coupling=self.coupling,
            leak=self.leak,
            limit=self.limit,
            bias=self.bias,
            linear_outputs=self.linear_outputs,
            initial=glorot(self.leak, self.gain),
            alike=self.alike,
            rng=rng,
        )


def _kind(section: Any) -> str:
    kind = section.get("kind") if isinstance(section, Mapping) else getattr(section, "kind", None)
    return alternative("hopfield" if kind == "hopfield" else "deep_resistive")


NetworkConfig = Annotated[
    Annotated[DeepResistiveConfig, Tag(alternative("deep_resistive"))]
    | Annotated[HopfieldConfig, Tag(alternative("hopfield"))],
    Discriminator(_kind),
]
"""The network section, by its ``kind``; deep resistive if it has none."""


def _diode(config: DiodeConfig) -> Diode | IdealDiode:
    if config.kind == "ideal_diode":
        return IdealDiode(threshold=config.threshold)
    return Diode(
        saturation_current=config.saturation_current,
        emission=config.emission,
        series_resistance=config.series_resistance,
        gmin=config.gmin,
        temperature=config.temperature,
    )


def _initial(config: InitialConfig) -> Initial | dict[str, Array]:
    if config.kind == "values":
        return {name: np.array(rows) for name, rows in config.values.items()}
    if config.kind == "uniform":
        return uniform(config.low, config.high)
    return positive_part(config.scale, config.gain)
