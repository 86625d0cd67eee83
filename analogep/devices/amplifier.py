"""Bidirectional amplifier between the layers of a deep resistive network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from analogep.devices.base import Array, Constraint, Primitive, Values, parameter


@dataclass(frozen=True)
class BidirectionalAmplifier(Constraint):
    """Amplifies voltages forward, v(out) = A v(in), and currents backward, i(in) = B i(out).

    ``i(out)`` is the current that the amplifier delivers into the node ``out``; ``i(in)`` is what it draws
    from the node ``in``. Both ports share ground. B = A is the ideal transformer; Kendall et al. (2020,
    section 4) use B = 1/A. In SPICE it is an E source, a 0 V ammeter and an F source.
    """

    kind: ClassVar[str] = "amplifier"
    pins: ClassVar[tuple[str, ...]] = ("in", "out")
    child: ClassVar[int] = 1
    voltage_gain: float = parameter("1", "forward voltage gain A", default=4.0)
    current_gain: float = parameter("1", "backward current gain B", default=0.25)

    @staticmethod
    def law(p: Values) -> tuple[Array, Array, Array]:
        gain = p["voltage_gain"]
        return gain, p["current_gain"], 0.0 * gain

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        source, out = nodes
        inner = f"{out}_{name}_amp"
        return [
            Primitive("E", name, (inner, "0", source, "0"), (p["voltage_gain"],)),
            Primitive("V", f"{name}_sense", (inner, out), (0.0,)),
            Primitive("F", name, (source, "0"), (f"V{name}_sense", p["current_gain"])),
        ]
