"""Elements as banks, and what every part of a circuit is known by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit.couplings import Crossbar, TransconductanceCrossbar, frozen
from analogep.devices import Device, Resistor, Waveform
from analogep.errors import CircuitError, InputError
from analogep.kinds import checked, is_whole, shown

GROUND = "0"
"""Name of the ground node; its index is 0 in every circuit."""

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@checked(CircuitError, "bank")
@dataclass(frozen=True, eq=False)
class Bank:
    """All elements of one device type that share a name and a trainability, as arrays.

    Attributes
    ----------
    name
        Name of the bank; its parameters are called ``"<name>.<parameter>"``.
    device
        The device class, whose static methods evaluate the law.
    pins
        Node index of each pin, (E, P).
    values
        Parameter arrays (E,), in SI units.
    names
        Element names, E of them.
    trainable
        Names of the parameters that learning may change.
    """

    name: str
    device: type[Device]
    pins: Index
    values: Mapping[str, Array]
    names: tuple[str, ...]
    trainable: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "pins", frozen(self.pins, np.int64))
        object.__setattr__(self, "values", {k: frozen(v, float) for k, v in self.values.items()})
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "trainable", frozenset(self.trainable))

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.names)

    def element(self, e: int) -> Device:
        """Return element ``e`` as a device instance (without its pins, and without its source's waveform)."""
        if not is_whole(e) or not 0 <= e < self.size:
            raise InputError(
                f"bank {self.name} has no element {shown(e)}; its elements count from 0 to {self.size - 1}"
            )
        return self.device(**{k: float(v[e]) for k, v in self.values.items()})


class Parts(Protocol):
    """What checks and readers of a circuit ask of it; see :class:`~analogep.circuit.circuit.Circuit`."""

    @property
    def nodes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def banks(self) -> tuple[Bank, ...]: ...  # noqa: D102
    @property
    def constraint_banks(self) -> tuple[Bank, ...]: ...  # noqa: D102
    @property
    def crossbars(self) -> tuple[Crossbar, ...]: ...  # noqa: D102
    @property
    def transconductances(self) -> tuple[TransconductanceCrossbar, ...]: ...  # noqa: D102
    @property
    def couplings(self) -> tuple[Crossbar | TransconductanceCrossbar, ...]: ...  # noqa: D102
    @property
    def input_nodes(self) -> Index: ...  # noqa: D102
    @property
    def output_pairs(self) -> Index: ...  # noqa: D102
    @property
    def inputs(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def outputs(self) -> tuple[str | tuple[str, str], ...]: ...  # noqa: D102
    @property
    def waveforms(self) -> Mapping[str, Waveform]: ...  # noqa: D102


class Topology:
    """Shared by circuits that differ only in parameter values.

    ``derived`` holds what solvers computed from the topology alone (plans), so that it is computed once. It
    is a cache: deleting an entry changes speed, never a result.
    """

    def __init__(self) -> None:
        self.derived: dict[str, Any] = {}


@checked(CircuitError, "bank")
def resistor_bank(
    name: str, pins: ArrayLike, conductance: ArrayLike, names: Sequence[str], *, trainable: bool = False
) -> Bank:
    """Return a bank of resistors [S]; a shorthand for builders."""
    return Bank(
        name,
        Resistor,
        np.asarray(pins).reshape(-1, 2),
        {"conductance": np.asarray(conductance, float)},
        tuple(names),
        frozenset({"conductance"} if trainable else ()),
    )
