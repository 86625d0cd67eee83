"""``.model`` cards of diodes, MOSFETs and switches, and the device parameters that lines with a model mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analogep.constants import CELSIUS_ZERO, thermal_voltage
from analogep.spice.statements import Statement
from analogep.spice.words import number_of

if TYPE_CHECKING:
    from analogep.spice.cards import Cards


@dataclass(frozen=True)
class Kind:
    """What is known of one model type.

    Attributes
    ----------
    letter
        Type letter of the elements that use it.
    defaults
        Parameters of the direct-current law, with SPICE's defaults.
    inert
        Parameters that do nothing where those of ``zero`` are 0.
    zero
        Parameters that are not supported unless 0, and what they are.
    """

    letter: str
    defaults: Mapping[str, float]
    inert: frozenset[str]
    zero: Mapping[str, str]


_DIODE = Kind(
    "D",
    {"is": 1e-14, "n": 1.0, "rs": 0.0, "eg": 1.11, "xti": 3.0},
    frozenset({"m", "vj", "fc", "mj", "pb", "kf", "af", "level"}),
    {
        "cjo": "junction capacitance",
        "cj0": "junction capacitance",
        "tt": "transit time",
        "trs1": "temperature coefficient",
        "trs2": "temperature coefficient",
        "isr": "recombination current",
        "jsw": "sidewall current",
        "ikf": "high injection",
    },
)
_MOSFET = Kind(
    "M",
    {"vto": 0.0, "kp": 2e-5, "gamma": 0.0, "phi": 0.6, "lambda": 0.0, "is": 1e-14},
    frozenset({"level", "pb", "mj", "mjsw", "fc", "kf", "af", "tpg", "uo", "u0"}),
    {
        **dict.fromkeys(("rd", "rs", "rsh"), "series resistance"),
        "js": "saturation current per area",
        "ld": "lateral diffusion",
        **dict.fromkeys(("cgso", "cgdo", "cgbo"), "overlap capacitance"),
        **dict.fromkeys(("cbd", "cbs", "cj", "cjsw"), "junction capacitance"),
    },
)
_SWITCH = Kind("S", {"vt": 0.0, "vh": 0.0, "ron": 1.0, "roff": 1e12}, frozenset(), {})
KINDS: Mapping[str, Kind] = {"d": _DIODE, "nmos": _MOSFET, "pmos": _MOSFET, "sw": _SWITCH}
"""Model types that are understood, by lower-case name."""

_ALIASES = {"d": {"js": "is"}, "nmos": {"vt0": "vto"}, "pmos": {"vt0": "vto"}}


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
    values = dict(known.defaults)
    for key, text in pairs_of(words[2:]):
        if text is None:
            raise ValueError(f"model {name}: {key} has no value")
        value = number_of(text, parameters)
        key = _ALIASES.get(kind, {}).get(key, key)
        if key in known.defaults or (key == "tnom" and known is not _SWITCH):
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
    extras = statement.extras
    hot = kelvin(extras["temp"]) if "temp" in extras else cards.temperature
    nominal = kelvin(card["tnom"]) if "tnom" in card else cards.nominal
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
    area = extras.get("area", 1.0)
    if not area > 0:
        raise ValueError(f"{statement.name}: area must be positive")
    return {
        "saturation_current": saturation * area,
        "emission": n,
        "series_resistance": card["rs"] / area,
        "gmin": cards.gmin,
        "temperature": hot,
    }


def mosfet_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.NMOS` or ``PMOS`` for an M line, in SI units.

    Raises
    ------
    ValueError
        If the model is not defined, or holds at another temperature than the transistor has.
    """
    card = model_of(statement, cards).values
    extras = statement.extras
    hot = kelvin(extras["temp"]) if "temp" in extras else cards.temperature
    nominal = kelvin(card["tnom"]) if "tnom" in card else cards.nominal
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
        "saturation_current": card["is"],
        "gmin": cards.gmin,
        "temperature": hot,
        "gate_voltage": 0.0,
    }


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
