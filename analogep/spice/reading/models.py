"""``.model`` cards of diodes, MOSFETs and switches: which parameters are understood, inert or refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analogep.constants import (
    CELSIUS_ZERO,
)
from analogep.devices.semiconductors.meyer import OXIDE_PERMITTIVITY
from analogep.spice.text.words import number_of


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
