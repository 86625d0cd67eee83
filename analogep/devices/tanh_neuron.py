"""Saturating neuron: the load that makes a node's voltage the hyperbolic tangent of the current into it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.devices.base import Array, Primitive, Values, parameter
from analogep.devices.scaled_law import ScaledLaw

EDGE = 1.0 - 1e-9
"""Part of the limit up to which the law is an inverse hyperbolic tangent; beyond, its tangent continues it."""

EDGE_VALUE = math.atanh(EDGE)
EDGE_SLOPE = 1.0 / ((1.0 - EDGE) * (1.0 + EDGE))
_EDGE_AREA = EDGE * EDGE_VALUE + 0.5 * math.log((1.0 - EDGE) * (1.0 + EDGE))


@dataclass(frozen=True)
class TanhNeuron(ScaledLaw):
    """Neuron of a continuous Hopfield network, i = g a artanh(v / a): fed a current I, v = a tanh(I / (g a)).

    ``conductance`` g is the leak at rest, ``saturation_voltage`` a the voltage that no current exceeds. Its
    co-content is the term g a ∫ artanh(v/a) dv of the network's energy. Between a node and a source at a/2 it is
    the logistic neuron, v = a/2 + (a/2) tanh(I / (g a/2)).

    Beyond ``EDGE`` of the limit, at 10.7 times the current g a, the law goes on as its tangent: finite for any
    voltage, as a solver needs. Up to there it is analytic, complex voltages included.

    Source: Hopfield 1984, PNAS 81, 3088, eqs. 5 and 6, in the outputs V_i = g(u_i) as variables.
    """

    kind: ClassVar[str] = "tanh_neuron"
    pins: ClassVar[tuple[str, ...]] = ("p", "n")
    voltage: ClassVar[str] = "saturation_voltage"
    conductance: float = parameter("S", "leak at rest", low=0.0, trainable=True)
    saturation_voltage: float = parameter(
        "V", "voltage that no current exceeds", low=0.0, low_open=True, default=1.0
    )

    @staticmethod
    def shape(x: Array) -> tuple[Array, Array, Array]:
        """Return artanh x, its slope and its integral, with the tangent beyond ``EDGE``."""
        inner = x - (x.real - np.clip(x.real, -EDGE, EDGE))  # of complex voltages the real part is cut
        past = x - inner
        gap = (1.0 - inner) * (1.0 + inner)
        value = np.arctanh(inner)
        area = inner * value + 0.5 * np.log1p(-inner * inner)
        small = np.abs(inner) < 1e-4  # x²/2 + x⁴/12: the two terms above cancel
        area = np.where(small, inner * inner * (0.5 + inner * inner / 12.0), area)
        area = area + past * (value + 0.5 * past * EDGE_SLOPE)
        return value + past * EDGE_SLOPE, 1.0 / gap, area

    @staticmethod
    def limit(v_new: Array, v_old: Array, p: Values) -> Array:
        # The law is steepest at its limit: a step towards it leaves a tenth of the way at least.
        a = p["saturation_voltage"]
        side = np.sign(v_new - v_old)
        room = np.maximum(a - side * v_old, 0.0)
        far = (side * (v_new - v_old) > 0.9 * room) & (side * v_new > 0.9 * a) & (room > 2.0 * a * (1.0 - EDGE))
        return np.where(far, v_old + side * 0.9 * room, v_new)

    @staticmethod
    def thermal_scale(p: Values) -> Array | None:
        return 0.1 * p["saturation_voltage"]  # at rest it bends over all of it, near saturation over what is left

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        # As for the sinh resistor, nodes of its own carry v / a and the shape, so that the expression, whose
        # numbers ngspice rounds to 11 digits, has none that matter.
        g, a = p["conductance"], p["saturation_voltage"]
        if g == 0.0:
            return []
        ratio, shape = f"{name}_ratio", f"{name}_artanh"
        inner = f"max(min(V({ratio}),{EDGE:.10f}),-{EDGE:.10f})"
        text = f"0.5*log((1+{inner})/(1-{inner}))+{EDGE_SLOPE:.10g}*(V({ratio})-{inner})"
        return [
            Primitive("G", ratio, ("0", ratio, *nodes), (1.0 / a,)),
            Primitive("R", ratio, (ratio, "0"), (1.0,)),
            Primitive("B", name, ("0", shape), (text,)),
            Primitive("R", shape, (shape, "0"), (1.0,)),
            Primitive("G", name, (*nodes, shape, "0"), (g * a,)),
        ]
