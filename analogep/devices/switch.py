"""Voltage-controlled switch with hysteresis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter


@dataclass(frozen=True)
class Switch(MultiPort):
    """Resistor between p and n that the voltage v = v(cp) − v(cn) switches; SPICE ``S``.

    Its resistance is ``on_resistance`` for v > ``threshold`` + ``hysteresis``, ``off_resistance`` for
    v < ``threshold`` − ``hysteresis``; in between it stays what it was, which ``closed`` says (1: on, 0: off).
    An operating point, and each point of a sweep, takes ``closed`` as it is; over time, :meth:`next_state` says
    what becomes of it.

    The resistance jumps, so the Jacobian has no entry for the control voltage, as in SPICE. A circuit in which
    the switch drives its own control across the threshold may have no operating point at all.

    Source: ngspice manual, section "Switches", model ``SW``.
    """

    kind: ClassVar[str] = "switch"
    pins: ClassVar[tuple[str, ...]] = ("p", "n", "cp", "cn")
    linear: ClassVar[bool] = False
    passive: ClassVar[bool] = True
    reciprocal: ClassVar[bool] = False
    state: ClassVar[str | None] = "closed"
    threshold: float = parameter("V", "control voltage in the middle of the hysteresis", default=0.0)
    hysteresis: float = parameter("V", "half the width of the hysteresis", default=0.0, low=0.0)
    on_resistance: float = parameter("Ω", "resistance when closed", default=1.0, low=0.0, low_open=True)
    off_resistance: float = parameter("Ω", "resistance when open", default=1e12, low=0.0, low_open=True)
    closed: float = parameter("1", "state within the hysteresis, 0 or 1", default=0.0, low=0.0, high=1.0)
    control: tuple[str, str] | None = None

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        g = 1.0 / np.where(Switch.next_state(z, p) > 0.5, p["on_resistance"], p["off_resistance"])
        f, jac = np.zeros(z.shape), np.zeros((*z.shape, 4))
        f[..., 0] = g * (z[..., 0] - z[..., 1])
        f[..., 1] = -f[..., 0]
        jac[..., 0, 0] = jac[..., 1, 1] = g
        jac[..., 0, 1] = jac[..., 1, 0] = -g
        return f, jac

    @staticmethod
    def next_state(z: Array, p: Values) -> Array:
        v = z[..., 2] - z[..., 3]
        kept = np.where(v < p["threshold"] - p["hysteresis"], 0.0, p["closed"])
        return np.where(v > p["threshold"] + p["hysteresis"], 1.0, kept)

    @staticmethod
    def held(state: Array, p: Values) -> dict[str, Array]:
        return {"closed": state, "hysteresis": np.full_like(state, np.inf)}

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        card = (
            ("vt", p["threshold"]),
            ("vh", p["hysteresis"]),
            ("ron", p["on_resistance"]),
            ("roff", p["off_resistance"]),
        )
        return [Primitive("S", name, nodes, ("on" if p["closed"] > 0.5 else "off",), ("SW", card))]
