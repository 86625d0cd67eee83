"""MOSFETs with the static law of SPICE's level 1 (Shichman and Hodges), as ngspice computes it."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from analogep.constants import NOMINAL_TEMPERATURE, thermal_voltage
from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter
from analogep.devices.semiconductors.depletion import FORWARD, GRADING
from analogep.devices.semiconductors.diode import MAX_EXPONENT, limit_junction
from analogep.devices.semiconductors.meyer import STORED, Charges, channel, stores


@dataclass(frozen=True)
class Mosfet(MultiPort, ABC):
    """Four-terminal MOSFET, level 1; use :class:`NMOS` or :class:`PMOS`.

    For an n-channel with v_ds ≥ 0 (else drain and source change places), β = ``transconductance`` · W/L,
    φ = ``surface_potential``, γ = ``body_effect``, λ = ``channel_modulation``::

        v_gs = v(g) + gate_voltage − v(s)
        v_on = threshold + γ (√(φ − v_bs) − √φ)        (for v_bs > 0 the root is √φ − v_bs / 2√φ, not below 0)
        i_d  = 0                                               v_gs ≤ v_on
        i_d  = β (1 + λ v_ds) (v_gs − v_on)² / 2               v_gs − v_on ≤ v_ds
        i_d  = β (1 + λ v_ds) v_ds (v_gs − v_on − v_ds / 2)    otherwise

    and from bulk to drain and to source a junction each: Is (exp(v/V_T) − 1) + gmin v, or −Is + gmin v below
    −3 V_T (the small jump there is SPICE's). A p-channel is the same with all voltages and currents reversed;
    its ``threshold`` is negative for an enhancement type, as in SPICE.

    ``gate_voltage`` is a voltage in series with the gate, such as a floating gate stores: the trainable
    parameter of a transistor. All values hold at ``temperature``; no temperature law is applied. Defaults are
    SPICE's.

    Over time it also stores charge, none by default: in overlaps of the gate, in the depletion layers of the bulk
    junctions (:func:`~analogep.devices.semiconductors.depletion.depletion`), and in Meyer's capacitances of the
    channel (:func:`~analogep.devices.semiconductors.meyer.channel`), whose oxide is ``oxide_thickness`` thick.
    At rest it has no effect.

    Source: Shichman & Hodges 1968, IEEE JSSC 3(3); ngspice manual, section "MOSFET models (level 1)".
    """

    pins: ClassVar[tuple[str, ...]] = ("d", "s", "g", "b")
    linear: ClassVar[bool] = False
    reciprocal: ClassVar[bool] = False
    polarity: ClassVar[float]
    """1 for an n-channel, −1 for a p-channel."""
    threshold: float = parameter("V", "threshold voltage VTO at zero bulk bias", default=0.0)
    transconductance: float = parameter(
        "A/V²", "transconductance parameter KP", default=2e-5, low=0.0, low_open=True
    )
    width: float = parameter("m", "channel width W", default=1e-4, low=0.0, low_open=True)
    length: float = parameter("m", "channel length L", default=1e-4, low=0.0, low_open=True)
    body_effect: float = parameter("√V", "body effect γ", default=0.0, low=0.0)
    surface_potential: float = parameter("V", "surface potential φ", default=0.6, low=0.0, low_open=True)
    channel_modulation: float = parameter("1/V", "channel-length modulation λ", default=0.0, low=0.0)
    saturation_current: float = parameter(
        "A", "saturation current Is of the bulk junctions", default=1e-14, low=0.0, low_open=True
    )
    gmin: float = parameter("S", "shunt conductance of the bulk junctions", default=1e-15, low=0.0)
    temperature: float = parameter("K", "device temperature", default=NOMINAL_TEMPERATURE, low=0.0, low_open=True)
    gate_voltage: float = parameter("V", "voltage in series with the gate", default=0.0, trainable=True)
    source_overlap: float = parameter("F/m", "overlap CGSO of gate and source, per width", default=0.0, low=0.0)
    drain_overlap: float = parameter("F/m", "overlap CGDO of gate and drain, per width", default=0.0, low=0.0)
    bulk_overlap: float = parameter("F/m", "overlap CGBO of gate and bulk, per length", default=0.0, low=0.0)
    drain_capacitance: float = parameter("F", "bulk-drain capacitance CBD at 0 V", default=0.0, low=0.0)
    source_capacitance: float = parameter("F", "bulk-source capacitance CBS at 0 V", default=0.0, low=0.0)
    drain_sidewall: float = parameter("F", "sidewall's bulk-drain capacitance CJSW·PD", default=0.0, low=0.0)
    source_sidewall: float = parameter("F", "sidewall's bulk-source capacitance CJSW·PS", default=0.0, low=0.0)
    bulk_potential: float = parameter("V", "bulk junction potential PB", default=0.8, low=0.0, low_open=True)
    bottom_grading: float = parameter("1", "grading coefficient MJ", default=0.5, low=0.0, high=GRADING)
    sidewall_grading: float = parameter("1", "grading coefficient MJSW", default=0.5, low=0.0, high=GRADING)
    forward_coefficient: float = parameter(
        "1", "share FC of PB above which a junction's capacitance is a line", default=0.5, low=0.0, high=FORWARD
    )
    oxide_thickness: float = parameter(
        "m", "thickness TOX of the gate's oxide, 0 for a channel without capacitance", default=0.0, low=0.0
    )
    control: tuple[str, str] | None = None

    @classmethod
    def charge(cls, z: Array, p: Values) -> tuple[Array, Array] | None:
        """Return the charge of overlaps and bulk junctions; what the channel takes derives from none."""
        if not stores(p):
            return None
        found = cls._kept(z, p)
        return cls.polarity * found.q, found.slope

    @classmethod
    def charge_step(cls, z: Array, z_from: Array, p: Values) -> tuple[Array, Array] | None:
        if not stores(p):
            return None
        found = cls._kept(z, p)
        found.q -= cls._kept(z_from, p).q
        if np.any(p["oxide_thickness"]):
            before, _ = cls._channel(z_from, p)
            found.add_channel(cls.polarity * z, cls.polarity * z_from, before, cls._channel(z, p))
        return cls.polarity * found.q, found.slope

    @classmethod
    def _kept(cls, z: Array, p: Values) -> Charges:
        own = cls._as_n_channel(z, p)
        found = Charges(own.shape)
        found.add_fixed(own, p)
        found.add_junctions(own, p)
        return found

    @classmethod
    def _channel(cls, z: Array, p: Values) -> tuple[Array, Array]:
        """Return Meyer's capacitances and their slopes at voltages of the n-channel that stands for it."""
        own = cls._as_n_channel(z, p)
        low, threshold = np.minimum(own[..., 0], own[..., 1]), cls.polarity * p["threshold"]
        v_bs = own[..., 3] - low
        lean = p["body_effect"] * _root(v_bs, p["surface_potential"])[1]
        return channel(own[..., 2] - low - _turn_on(v_bs, threshold, p), lean, own, p)

    @classmethod
    def _as_n_channel(cls, z: Array, p: Values) -> Array:
        shift = np.array([0.0, 0.0, 1.0, 0.0]) * p["gate_voltage"][..., None]
        out: Array = cls.polarity * (z + shift)
        return out

    @classmethod
    def stamp_gradient(cls, z: Array, p: Values) -> dict[str, Array]:
        return {"gate_voltage": cls.stamp(z, p)[1][..., 2]}

    @classmethod
    def observable(cls, z: Array, p: Values) -> dict[str, Array]:
        """Return ∂/∂(gate_voltage) ∫₀^v_ds i_d dv_ds, lower end and gate held: β v_ds²/2 in the triode region.

        The power that Dillavou et al. 2024 (PNAS 121, e2319718121) measure at each transistor of their network.
        """
        sign = cls.polarity
        drain, source, gate, bulk = (sign * z[..., k] for k in range(4))
        low, span = np.minimum(drain, source), np.abs(drain - source)
        over = gate + sign * p["gate_voltage"] - low - _turn_on(bulk - low, sign * p["threshold"], p)
        reach, lam = np.minimum(span, np.maximum(over, 0.0)), p["channel_modulation"]
        triode = reach**2 * (0.5 + lam * reach / 3.0)
        saturated = reach * (span - reach) * (1.0 + 0.5 * lam * (span + reach))
        return {"gate_voltage": sign * p["transconductance"] * p["width"] / p["length"] * (triode + saturated)}

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((3, 0), (3, 1))

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        drain, source, gate, bulk = nodes
        card: tuple[tuple[str, float], ...] = (
            ("level", 1.0),
            ("vto", p["threshold"]),
            ("kp", p["transconductance"]),
            ("gamma", p["body_effect"]),
            ("phi", p["surface_potential"]),
            ("lambda", p["channel_modulation"]),
            ("is", p["saturation_current"]),
            ("gmin", p["gmin"]),
        )
        series = []
        if p["gate_voltage"] != 0.0:
            inner = f"M{name}_gate"
            series = [Primitive("V", f"{name}_gate", (inner, gate), (p["gate_voltage"],))]
            gate = inner
        size: tuple[float, ...] = (p["length"], p["width"])
        told = {key: value for key, value in p.items() if key in STORED or key in _SHAPES}
        if any(value != cls.parameters()[key].default for key, value in told.items()):
            card = (*card, *_charge_card(p))
            size = (*size, *(p[key] for key in ("drain_sidewall", "source_sidewall")))
        kind = cls.kind.upper()
        transistor = Primitive("M", name, (drain, gate, source, bulk), size, (kind, card), p["temperature"])
        return [*series, transistor]


@dataclass(frozen=True)
class NMOS(Mosfet):
    """n-channel MOSFET; see :class:`Mosfet` for the law. SPICE ``M`` with a model ``NMOS``."""

    kind: ClassVar[str] = "nmos"
    polarity: ClassVar[float] = 1.0

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        return _stamp(1.0, z, p)

    @staticmethod
    def limit(z_new: Array, z_old: Array, p: Values) -> Array:
        return _limit(1.0, z_new, z_old, p)


@dataclass(frozen=True)
class PMOS(Mosfet):
    """p-channel MOSFET; see :class:`Mosfet` for the law. SPICE ``M`` with a model ``PMOS``."""

    kind: ClassVar[str] = "pmos"
    polarity: ClassVar[float] = -1.0

    @staticmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        return _stamp(-1.0, z, p)

    @staticmethod
    def limit(z_new: Array, z_old: Array, p: Values) -> Array:
        return _limit(-1.0, z_new, z_old, p)


_SHAPES = frozenset({"bulk_potential", "bottom_grading", "sidewall_grading", "forward_coefficient"})
"""Parameters of stored charge that store none by themselves."""


def _charge_card(p: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Return model parameters of a transistor that stores charge; its perimeters then are the sidewalls in F."""
    return (
        ("cgso", p["source_overlap"]),
        ("cgdo", p["drain_overlap"]),
        ("cgbo", p["bulk_overlap"]),
        ("cbd", p["drain_capacitance"]),
        ("cbs", p["source_capacitance"]),
        ("cjsw", 1.0),
        ("pb", p["bulk_potential"]),
        ("mj", p["bottom_grading"]),
        ("mjsw", p["sidewall_grading"]),
        ("fc", p["forward_coefficient"]),
        ("tox", p["oxide_thickness"]),
    )


def _stamp(sign: float, z: Array, p: Values) -> tuple[Array, Array]:
    """Return currents and Jacobian; a p-channel (``sign`` −1) is an n-channel of reversed voltages."""
    drain, source, gate, bulk = (sign * z[..., k] for k in range(4))
    gate = gate + sign * p["gate_voltage"]
    turned = drain < source
    low = np.where(turned, drain, source)
    i, gm, gds, gmb = _channel(gate - low, np.abs(drain - source), bulk - low, sign * p["threshold"], p)
    way = np.where(turned, -1.0, 1.0)
    total = gm + gds + gmb
    channel = (np.where(turned, total, gds), np.where(turned, -gds, -total), way * gm, way * gmb)
    to_drain, g_drain = _junction(bulk - drain, p)
    to_source, g_source = _junction(bulk - source, p)
    f = np.zeros(z.shape)
    f[..., 0] = sign * (way * i - to_drain)
    f[..., 1] = sign * (-way * i - to_source)
    f[..., 3] = sign * (to_drain + to_source)
    jac = np.zeros((*z.shape, 4))
    for column, value in enumerate(channel):
        jac[..., 0, column] = value
        jac[..., 1, column] = -value
    for pin, g in ((0, g_drain), (1, g_source)):
        jac[..., pin, pin] += g
        jac[..., pin, 3] -= g
        jac[..., 3, pin] -= g
        jac[..., 3, 3] += g
    return f, jac


def _limit(sign: float, z_new: Array, z_old: Array, p: Values) -> Array:
    """Limit v_gs, v_ds and the junction of the lower end as SPICE3's MOS1 does.

    Where drain and source change places, SPICE limits the other junction from its own last voltage, which was
    reverse: a transistor held by its forward junctions then lets go of both, flies back, and does so for ever.
    Here it is limited from the voltage of the junction that was forward.
    """
    flipped = sign * z_old[..., 0] < sign * z_old[..., 1]  # then the drain was the lower end

    def over_low(z: Array) -> tuple[Array, Array, Array]:
        drain, source, gate, bulk = (sign * z[..., k] for k in range(4))
        low = np.where(flipped, drain, source)
        return np.where(flipped, source, drain) - low, gate + sign * p["gate_voltage"] - low, bulk - low

    (v_ds, v_gs, v_bs), (old_ds, old_gs, old_bs) = over_low(z_new), over_low(z_old)
    gate = _limit_gate(v_gs, old_gs, _turn_on(old_bs, sign * p["threshold"], p))
    wanted = np.where(gate == v_gs, v_ds, gate - (v_gs - v_ds))  # v_gd is kept
    span = _limit_drain(wanted, old_ds)
    width = thermal_voltage(p["temperature"])
    critical = width * np.log(width / (math.sqrt(2.0) * p["saturation_current"]))
    own = v_bs - np.minimum(span, 0.0)  # after a reversal the other end's junction is the forward one
    body = limit_junction(own, old_bs, width, critical)  # it goes on from where the first one was
    high = span - v_ds
    move = np.stack([np.where(flipped, 0.0, high), np.where(flipped, high, 0.0), gate - v_gs, body - own], -1)
    return z_new + sign * move


def _channel(
    v_gs: Array, v_ds: Array, v_bs: Array, threshold: Array, p: Values
) -> tuple[Array, Array, Array, Array]:
    """Return i_d and its slopes by v_gs, v_ds and v_bs, for v_ds ≥ 0, all (..., E)."""
    lam = p["channel_modulation"]
    over = np.maximum(v_gs - _turn_on(v_bs, threshold, p), 0.0)
    plain = p["transconductance"] * p["width"] / p["length"]
    beta = plain * (1.0 + lam * v_ds)
    reach = np.minimum(v_ds, over)
    square = reach * (over - 0.5 * reach)
    gm = beta * reach
    gds = beta * (over - reach) + lam * plain * square
    return beta * square, gm, gds, -gm * p["body_effect"] * _root(v_bs, p["surface_potential"])[1]


def _turn_on(v_bs: Array, threshold: Array, p: Values) -> Array:
    """Return the gate voltage v_on at which the channel begins to conduct."""
    phi = p["surface_potential"]
    return threshold + p["body_effect"] * (_root(v_bs, phi)[0] - np.sqrt(phi))


def _root(v_bs: Array, phi: Array) -> tuple[Array, Array]:
    """Return √(φ − v_bs), continued by its tangent down to 0 for v_bs > 0, and the slope by v_bs.

    SPICE takes −1/(2 root) as the slope of the tangent; ours is the true one, which changes no solution.
    """
    top = np.sqrt(phi)
    reverse = np.sqrt(phi - np.minimum(v_bs, 0.0))
    forward = np.maximum(top - np.maximum(v_bs, 0.0) / (2.0 * top), 0.0)
    root = np.where(v_bs <= 0, reverse, forward)
    slope = np.where(v_bs <= 0, -0.5 / reverse, np.where(forward > 0, -0.5 / top, 0.0))
    return root, slope


def _junction(v: Array, p: Values) -> tuple[Array, Array]:
    """Return current and slope of a bulk junction: MOS1's, whose reverse branch is −Is + gmin v."""
    width, saturation, gmin = thermal_voltage(p["temperature"]), p["saturation_current"], p["gmin"]
    x = v / width
    clipped = np.clip(x, -3.0, MAX_EXPONENT)
    reverse = x <= -3.0
    g = np.where(reverse, 0.0, saturation * np.exp(clipped) / width)
    i = np.where(reverse, -saturation, saturation * np.expm1(clipped))
    return i + g * width * np.maximum(x - MAX_EXPONENT, 0.0) + gmin * v, g + gmin


def _limit_gate(new: Array, old: Array, on: Array) -> Array:
    """Limit a gate voltage (SPICE2's ``fetlim``): small steps across the threshold, growing ones far from it."""
    wide, narrow = 2.0 * np.abs(old - on) + 2.0, np.abs(old - on) + 1.0
    falling = new <= old
    strong = np.where(
        falling,
        np.where(new >= on + 3.5, np.maximum(new, old - narrow), np.maximum(new, on + 2.0)),
        np.minimum(new, old + wide),
    )
    middle = np.where(falling, np.maximum(new, on - 0.5), np.minimum(new, on + 4.0))
    off = np.where(
        falling,
        np.maximum(new, old - wide),
        np.where(new <= on + 0.5, np.minimum(new, old + narrow), on + 0.5),
    )
    return np.where(old >= on + 3.5, strong, np.where(old >= on, middle, off))


def _limit_drain(new: Array, old: Array) -> Array:
    """Limit a drain-source voltage (SPICE2's ``limvds``)."""
    high = np.where(new > old, np.minimum(new, 3.0 * old + 2.0), np.where(new < 3.5, np.maximum(new, 2.0), new))
    low = np.where(new > old, np.minimum(new, 4.0), np.maximum(new, -0.5))
    return np.where(old >= 3.5, high, low)
