"""``.model`` cards of diodes, MOSFETs and switches, and the device parameters that lines with a model mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analogep.constants import (
    BOLTZMANN,
    CELSIUS_ZERO,
    ELEMENTARY_CHARGE,
    NOMINAL_TEMPERATURE,
    thermal_voltage,
)
from analogep.devices.meyer import OXIDE_PERMITTIVITY
from analogep.spice.dialects.ngspice import NGSPICE
from analogep.spice.text.statements import Statement
from analogep.spice.text.words import number_of

if TYPE_CHECKING:
    from analogep.spice.reading.cards import Cards


@dataclass(frozen=True)
class Kind:
    """What is known of one model type.

    Attributes
    ----------
    letter
        Type letter of the elements that use it.
    defaults
        Parameters that are understood, with SPICE's defaults.
    inert
        Parameters that do nothing where those of ``zero`` are 0.
    zero
        Parameters that are not supported unless 0, and what they are.
    optional
        Parameters that are understood and have no default: it matters whether they are given.
    """

    letter: str
    defaults: Mapping[str, float]
    inert: frozenset[str]
    zero: Mapping[str, str]
    optional: frozenset[str] = frozenset()


_DIODE = Kind(
    "D",
    {
        **{"is": 1e-14, "n": 1.0, "rs": 0.0, "eg": 1.11, "xti": 3.0},
        **{"cjo": 0.0, "vj": 1.0, "m": 0.5, "fc": 0.5, "tt": 0.0, "ibv": 1e-3},
    },
    frozenset({"kf", "af", "level"}),
    {
        "trs1": "temperature coefficient",
        "trs2": "temperature coefficient",
        "isr": "recombination current",
        "jsw": "sidewall current",
        "ikf": "high injection",
        "ikr": "high injection",
        **dict.fromkeys(("tcv", "ttt1", "ttt2", "tm1", "tm2", "cta", "tpb"), "temperature coefficient"),
        **dict.fromkeys(("cjsw", "cjp"), "sidewall capacitance"),
    },
    frozenset({"bv", "nbv"}),
)
_MOSFET = Kind(
    "M",
    {
        **{"vto": 0.0, "kp": 2e-5, "gamma": 0.0, "phi": 0.6, "lambda": 0.0, "is": 1e-14},
        **{"cgso": 0.0, "cgdo": 0.0, "cgbo": 0.0, "pb": 0.8, "mj": 0.5, "mjsw": 0.5, "fc": 0.5},
        **{"cj": 0.0, "cjsw": 0.0, "tox": 0.0, "js": 0.0, "uo": 600.0},
    },
    frozenset({"level", "kf", "af", "tpg"}),
    {
        **dict.fromkeys(("rd", "rs", "rsh"), "series resistance"),
        "ld": "lateral diffusion",
    },
    frozenset({"cbd", "cbs"}),
)
_SWITCH = Kind("S", {"vt": 0.0, "vh": 0.0, "ron": 1.0, "roff": 1e12}, frozenset(), {})
KINDS: Mapping[str, Kind] = {"d": _DIODE, "nmos": _MOSFET, "pmos": _MOSFET, "sw": _SWITCH}
"""Model types that are understood, by lower-case name."""

_ALIASES = {
    "d": {
        **{"js": "is", "cj0": "cjo", "cj": "cjo", "pb": "vj", "mj": "m"},
        **{"vb": "bv", "vrb": "bv", "var": "bv", "ib": "ibv", "nz": "nbv"},
    },
    "nmos": {"vt0": "vto", "u0": "uo"},
    "pmos": {"vt0": "vto", "u0": "uo"},
}


@dataclass(frozen=True)
class Model:
    """One ``.model`` card: its type in lower case, and its parameters, ``tnom`` in °C."""

    kind: str
    values: Mapping[str, float]


def read_model(words: list[str], parameters: Mapping[str, float]) -> tuple[str, Model]:
    """Return name and model of the words behind ``.model``.

    Raises
    ------
    ValueError
        If the type or a parameter is not supported.
    """
    if len(words) < 2:
        raise ValueError(".model needs a name and a type")
    name, kind = words[0], words[1].lower()
    if kind not in KINDS:
        raise ValueError(
            f"model {name}: type {words[1]} is not supported; supported are {', '.join(KINDS).upper()}"
        )
    known = KINDS[kind]
    values, given = dict(known.defaults), set[str]()
    for key, text in pairs_of(words[2:]):
        if text is None:
            raise ValueError(f"model {name}: {key} has no value")
        value = number_of(text, parameters)
        key = _ALIASES.get(kind, {}).get(key, key)
        given.add(key)
        if key in known.defaults or key in known.optional or (key == "tnom" and known is not _SWITCH):
            values[key] = value
        elif key in known.zero:
            if value != 0.0:
                raise ValueError(
                    f"model {name}: {known.zero[key]} ({key}) is not supported; set it to 0, and add an element "
                    "of its own where it matters"
                )
        elif key == "level" and key in known.inert and value != 1.0:
            raise ValueError(f"model {name}: only level 1 is supported")
        elif key not in known.inert:
            raise ValueError(f"model {name}: parameter {key} is not supported; remove it")
    if known is _MOSFET and values["tox"] > 0.0 and "kp" not in given:  # as MOS1 does
        values["kp"] = values["uo"] * (OXIDE_PERMITTIVITY / values["tox"]) * 1e-4
    return name.lower(), Model(kind, values)


def pairs_of(words: list[str]) -> list[tuple[str, str | None]]:
    """Return ``key=value`` pairs and lone keywords (value ``None``)."""
    found: list[tuple[str, str | None]] = []
    at = 0
    while at < len(words):
        key = words[at].lower()
        if key in "={}'":
            raise ValueError(f"unexpected {key!r}")
        if at + 1 < len(words) and words[at + 1] == "=":
            if at + 2 >= len(words):
                raise ValueError(f"{key} has no value")
            found.append((key, words[at + 2]))
            at += 3
        else:
            found.append((key, None))
            at += 1
    return found


def kelvin(celsius: float) -> float:
    """Return a temperature in K; raises ValueError if it is not above absolute zero."""
    value = celsius + CELSIUS_ZERO
    if value <= 0.0:
        raise ValueError(f"{celsius:g} °C is below absolute zero")
    return value


def model_of(statement: Statement, cards: Cards) -> Model:
    """Return the model of a D, M or S line.

    Raises
    ------
    ValueError
        If it is not defined, or for another type of element.
    """
    name = statement.reference
    shown = name.rpartition(":")[2]
    model = cards.models.get(name)
    if model is None:
        raise ValueError(f"{statement.name}: model {shown} is not defined")
    if KINDS[model.kind].letter != statement.letter:
        raise ValueError(f"{statement.name}: model {shown} is a {model.kind.upper()}")
    return model


def is_plain_diode(statement: Statement, cards: Cards) -> bool:
    """Return whether a D line's model neither stores charge nor breaks down.

    Raises
    ------
    ValueError
        If the model is not defined.
    """
    card = model_of(statement, cards).values
    return "bv" not in card and card["cjo"] == 0.0 and card["tt"] == 0.0


def series_resistance(statement: Statement, cards: Cards) -> float:
    """Return the series resistance [Ω] of a D line.

    Raises
    ------
    ValueError
        If the model is not defined.
    """
    return model_of(statement, cards).values["rs"] / statement.extras.get("area", 1.0)


def diode_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.Diode` for a D line, in SI units.

    Where the model's ``tnom`` is not the diode's temperature, the saturation current follows SPICE's law
    Is (T/Tnom)^(XTI/N) exp((T/Tnom - 1) Eg/(N kT/q)) (ngspice manual, section "Diode model").

    Raises
    ------
    ValueError
        If the model is not defined or its parameters are illegal.
    """
    card = model_of(statement, cards).values
    shown = statement.reference.rpartition(":")[2]
    hot, nominal = _temperatures(statement, card, cards)
    saturation, n = card["is"], card["n"]
    if not (saturation > 0 and n > 0 and card["rs"] >= 0):
        raise ValueError(f"{statement.name}: model {shown} needs is > 0, n > 0 and rs >= 0")
    if hot != nominal:
        thermal = n * thermal_voltage(hot)
        ratio = hot / nominal
        try:
            saturation *= math.exp((ratio - 1.0) * card["eg"] / thermal) * math.pow(ratio, card["xti"] / n)
        except OverflowError:
            raise ValueError(f"{statement.name}: its saturation current overflows at {hot:g} K") from None
    area = statement.extras.get("area", 1.0)
    if not area > 0:
        raise ValueError(f"{statement.name}: area must be positive")
    least = NGSPICE.limits.smallest_saturation
    if saturation * area < least:
        raise ValueError(
            f"{statement.name}: is = {saturation * area:g} A is below {least:g} A, which ngspice takes instead; "
            "give at least that"
        )
    return {
        "saturation_current": saturation * area,
        "emission": n,
        "series_resistance": card["rs"] / area,
        "gmin": cards.gmin,
        "temperature": hot,
    }


def junction_diode_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.JunctionDiode` for a D line, in SI units.

    Where the model's ``tnom`` is not the diode's temperature, junction capacitance and potential follow SPICE's
    laws, and the saturation current that of :func:`diode_values`.

    Raises
    ------
    ValueError
        If the model is not defined or its parameters are illegal.
    """
    card = model_of(statement, cards).values
    values = diode_values(statement, cards)
    del values["series_resistance"]
    hot, nominal = _temperatures(statement, card, cards)
    if "bv" in card and not card["bv"] > 0.0:
        raise ValueError(f"{statement.name}: bv = {card['bv']:g} V must be positive")
    potential, share = card["vj"], 1.0
    if hot != nominal and potential > 0.0:
        potential, share = _warmed(potential, card["m"], hot, nominal)
    return {
        **values,
        "junction_capacitance": card["cjo"] * share * statement.extras.get("area", 1.0),
        "junction_potential": potential,
        "grading": card["m"],
        "forward_coefficient": card["fc"],
        "transit_time": card["tt"],
        "breakdown_voltage": card.get("bv", 0.0),
        "breakdown_current": card["ibv"],
        "breakdown_emission": card.get("nbv", card["n"]),
    }


def _temperatures(statement: Statement, card: Mapping[str, float], cards: Cards) -> tuple[float, float]:
    """Return the temperature [K] of an element and that at which its model's values hold."""
    hot = kelvin(statement.extras["temp"]) if "temp" in statement.extras else cards.temperature
    return hot, kelvin(card["tnom"]) if "tnom" in card else cards.nominal


def _warmed(potential: float, grading: float, hot: float, nominal: float) -> tuple[float, float]:
    """Return a junction's potential [V] at ``hot`` from that at ``nominal`` [K], and by what its C0 grows.

    Source: SPICE3's temperature laws (``diotemp.c``), with silicon's band gap.
    """

    def shift(temperature: float) -> float:
        gap = 1.16 - 7.02e-4 * temperature**2 / (temperature + 1108.0)
        arg = 1.1150877 / (2.0 * BOLTZMANN * NOMINAL_TEMPERATURE) - gap / (2.0 * BOLTZMANN * temperature)
        ratio = temperature / NOMINAL_TEMPERATURE
        return -2.0 * thermal_voltage(temperature) * (1.5 * math.log(ratio) + ELEMENTARY_CHARGE * arg)

    def growth(temperature: float, own: float) -> float:
        return 1.0 + grading * (4e-4 * (temperature - NOMINAL_TEMPERATURE) - (own - base) / base)

    base = (potential - shift(nominal)) * NOMINAL_TEMPERATURE / nominal
    warm = shift(hot) + hot / NOMINAL_TEMPERATURE * base
    return warm, growth(hot, warm) / growth(nominal, potential)


def mosfet_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.NMOS` or ``PMOS`` for an M line, in SI units.

    Raises
    ------
    ValueError
        If the model is not defined, or holds at another temperature than the transistor has.
    """
    card = model_of(statement, cards).values
    extras = statement.extras
    hot, nominal = _temperatures(statement, card, cards)
    if abs(hot - nominal) > 1e-9:
        raise ValueError(
            f"{statement.name}: its model holds at {nominal:g} K and it is at {hot:g} K; no temperature law of "
            "MOSFETs is known here: write the model for that temperature, with tnom"
        )
    return {
        "threshold": card["vto"],
        "transconductance": card["kp"],
        "width": extras.get("w", 1e-4),
        "length": extras.get("l", 1e-4),
        "body_effect": card["gamma"],
        "surface_potential": card["phi"],
        "channel_modulation": card["lambda"],
        "saturation_current": _bulk_current(statement, card),
        "gmin": cards.gmin,
        "temperature": hot,
        "gate_voltage": 0.0,
        "source_overlap": card["cgso"],
        "drain_overlap": card["cgdo"],
        "bulk_overlap": card["cgbo"],
        "drain_capacitance": card["cbd"] if "cbd" in card else card["cj"] * extras.get("ad", 0.0),
        "source_capacitance": card["cbs"] if "cbs" in card else card["cj"] * extras.get("as", 0.0),
        "drain_sidewall": card["cjsw"] * extras.get("pd", 0.0),
        "source_sidewall": card["cjsw"] * extras.get("ps", 0.0),
        "bulk_potential": card["pb"],
        "bottom_grading": card["mj"],
        "sidewall_grading": card["mjsw"],
        "forward_coefficient": card["fc"],
        "oxide_thickness": card["tox"],
    }


def _bulk_current(statement: Statement, card: Mapping[str, float]) -> float:
    """Return the saturation current [A] of a transistor's bulk junctions: js per area, else is, as in MOS1."""
    drain, source = (statement.extras.get(key, 0.0) for key in ("ad", "as"))
    if card["js"] == 0.0 or drain == 0.0 or source == 0.0:
        return card["is"]
    if drain != source:
        raise ValueError(
            f"{statement.name}: js with ad = {drain:g} and as = {source:g} m² gives its two junctions different "
            "currents, which no device here has; make the areas equal, or give is instead of js"
        )
    return card["js"] * drain


def switch_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.Switch` for an S line, in SI units.

    Raises
    ------
    ValueError
        If the model is not defined.
    """
    card = model_of(statement, cards).values
    return {
        "threshold": card["vt"],
        "hysteresis": card["vh"],
        "on_resistance": card["ron"],
        "off_resistance": card["roff"],
        "closed": statement.extras.get("closed", 0.0),
    }
