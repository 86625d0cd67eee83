"""Independent sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from analogep.devices.base import Array, Constraint, Device, OnePort, Primitive, Values, parameter
from analogep.devices.sources.waveforms import WAVEFORMS, Waveform
from analogep.errors import CircuitError, Fault


def _check_waveform(device: Device, waveform: object) -> None:
    if waveform is not None and not isinstance(waveform, Waveform):
        names = ", ".join(w.__name__ for w in WAVEFORMS.values())
        fault = Fault("waveform", f"{waveform!r} is not a waveform; give one of {names}, or None")
        raise CircuitError(f"device {device.kind}", [fault])


@dataclass(frozen=True)
class VoltageSource(Constraint):
    """Independent voltage source, v(p) − v(n) = V.

    The plan eliminates it (a source to a known node fixes the other node; a floating one joins two nodes
    into one unknown), so it costs no unknown. A transient follows its ``waveform`` [V], if it has one.
    """

    kind: ClassVar[str] = "voltage_source"
    is_source: ClassVar[bool] = True
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    child: ClassVar[int] = 0
    reversible: ClassVar[bool] = True
    voltage: float = parameter("V", "source voltage")
    waveform: Waveform | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_waveform(self, self.waveform)

    @staticmethod
    def law(p: Values) -> tuple[Array, Array, Array]:
        one = np.ones_like(p["voltage"])
        return one, one, p["voltage"]

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        return [Primitive("V", name, nodes, (p["voltage"],))]


@dataclass(frozen=True)
class CurrentSource(OnePort):
    """Independent current source: a current I flows from p to n through the source.

    Its co-content is I v. As a trainable bias it has the observable v(p) − v(n). A transient follows its
    ``waveform`` [A], if it has one.
    """

    kind: ClassVar[str] = "current_source"
    is_source: ClassVar[bool] = True
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    amplitude: float = parameter("A", "source current I", trainable=True)
    waveform: Waveform | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_waveform(self, self.waveform)

    @staticmethod
    def current(v: Array, p: Values) -> tuple[Array, Array]:
        return np.broadcast_to(p["amplitude"], v.shape), np.zeros_like(v)

    @staticmethod
    def cocontent(v: Array, p: Values) -> Array:
        return p["amplitude"] * v

    @staticmethod
    def current_gradient(v: Array, p: Values) -> dict[str, Array]:
        return {"amplitude": np.ones_like(v)}

    @staticmethod
    def cocontent_gradient(v: Array, p: Values) -> dict[str, Array]:
        return {"amplitude": v}

    @staticmethod
    def conducts(p: Values) -> NDArray[np.bool_]:
        return np.zeros(p["amplitude"].shape, dtype=bool)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        return [Primitive("I", name, nodes, (p["amplitude"],))]
