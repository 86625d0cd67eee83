"""Dot lines of a netlist: parameters, options, temperatures and diode models, and what a diode line means."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from analogep.constants import CELSIUS_ZERO, NOMINAL_TEMPERATURE, thermal_voltage
from analogep.spice.expressions import Parameters
from analogep.spice.lexer import Line, Source, parse_number, tokens
from analogep.spice.statements import Statement, number_of

DEFAULT_GMIN = 1e-12
"""Junction shunt [S] that SPICE uses when the netlist does not say."""

_IGNORED_LINES = frozenset({".op", ".nodeset", ".ic", ".title", ".save", ".print", ".plot", ".probe", ".width"})
"""Lines that change nothing in the circuit or its operating point."""

_IGNORED_OPTIONS = frozenset(
    """
    reltol abstol vntol chgtol trtol pivtol pivrel itl1 itl2 itl3 itl4 itl5 itl6 method maxord gminsteps
    srcsteps noopiter sparse klu acct noacct noinit list nomod nopage node opts numdgt savecurrents
    noopac keepopinfo interp warn maxwarns xmu autostop
    """.split()  # noqa: SIM905  (a list of quoted words would be a page long)
)
"""Tolerances and output options: they steer a simulator, they are no part of the circuit."""

_MODEL_DEFAULTS = {"is": 1e-14, "n": 1.0, "rs": 0.0, "eg": 1.11, "xti": 3.0}
_MODEL_INERT = frozenset({"m", "vj", "fc", "mj", "pb", "kf", "af", "level"})  # without cjo they do nothing at DC
_MODEL_ZERO = {
    "cjo": "junction capacitance",
    "cj0": "junction capacitance",
    "tt": "transit time",
    "trs1": "temperature coefficient",
    "trs2": "temperature coefficient",
    "isr": "recombination current",
    "jsw": "sidewall current",
    "ikf": "high injection",
}


@dataclass
class Cards:
    """What the dot lines say.

    Attributes
    ----------
    parameters
        ``.param`` definitions.
    gmin
        Junction shunt [S].
    gmin_given
        Whether an ``.options`` line says so.
    temperature, nominal
        Default temperature of elements and of model parameters [K].
    models
        Diode model parameters by lower-case name, ``tnom`` in °C.
    """

    parameters: Parameters
    gmin: float = DEFAULT_GMIN
    gmin_given: bool = False
    temperature: float = NOMINAL_TEMPERATURE
    nominal: float = NOMINAL_TEMPERATURE
    models: dict[str, dict[str, float]] = field(default_factory=dict)


def read_cards(lines: list[Line], source: Source) -> Cards:
    """Read all dot lines of a netlist, in any order; every fault goes to ``source``."""
    dots = [(line, tokens(line.text)) for line in lines if line.text.startswith(".") and not line.structured]
    definitions: dict[str, str] = {}
    for line, words in dots:
        if words[0].lower() == ".param":
            _attempt(source, line, _define, definitions, words)
    cards = Cards(Parameters(definitions))
    for name in definitions:
        line = next(li for li, w in dots if w[0].lower() == ".param" and name in map(str.lower, w))
        _attempt(source, line, cards.parameters.__getitem__, name)
    for line, words in dots:
        _attempt(source, line, _card, cards, words)
    for line in lines:
        if line.structured and line.text.startswith("gmin"):
            _attempt(source, line, _exact_gmin, cards, line.text.split())
    return cards


def _exact_gmin(cards: Cards, words: list[str]) -> None:
    if len(words) != 2 or words[0] != "gmin":
        raise ValueError("gmin: expected one value")
    value = parse_number(words[1])
    if value < 0.0 or (cards.gmin_given and value > cards.gmin):
        raise ValueError("gmin: does not fit .options gmin; after an edit, delete the comment")
    cards.gmin = value


def _attempt(source: Source, line: Line, action: Callable[..., object], *arguments: object) -> None:
    try:
        action(*arguments)
    except ValueError as error:
        source.fault(line.number, str(error))


def _define(definitions: dict[str, str], words: list[str]) -> None:
    rest = words[1:]
    while rest:
        if len(rest) < 3 or rest[1] != "=" or rest[2] in "={}'":
            raise ValueError(f".param: expected name=value at {rest[0]!r}")
        value = rest[2]
        definitions[rest[0].lower()] = value[1:-1] if value[0] in "{'" else value
        rest = rest[3:]


def _card(cards: Cards, words: list[str]) -> None:
    word = words[0].lower()
    if word == ".param" or word in _IGNORED_LINES:
        return
    if word in (".option", ".options", ".opt"):
        _options(cards, words[1:])
    elif word == ".temp":
        if len(words) != 2:
            raise ValueError(".temp takes one temperature in °C")
        cards.temperature = _kelvin(number_of(words[1], cards.parameters))
    elif word == ".model":
        _model(cards, words[1:])
    elif word in (".include", ".inc", ".lib", ".subckt", ".ends"):
        raise ValueError(f"{word} is not supported yet; put the elements into this netlist")
    elif word in (".tran", ".ac", ".dc", ".noise", ".tf", ".disto", ".pz", ".sens", ".step"):
        raise ValueError(f"{word}: only the operating point is read; remove this analysis")
    else:
        raise ValueError(f"{words[0]} is not supported; remove it or write what it means")


def _kelvin(celsius: float) -> float:
    kelvin = celsius + CELSIUS_ZERO
    if kelvin <= 0.0:
        raise ValueError(f"{celsius:g} °C is below absolute zero")
    return kelvin


def _pairs(words: list[str]) -> list[tuple[str, str | None]]:
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


def _options(cards: Cards, words: list[str]) -> None:
    for key, text in _pairs(words):
        if key in _IGNORED_OPTIONS:
            continue
        if key not in ("gmin", "temp", "tnom"):
            raise ValueError(f"option {key} is not supported; remove it")
        if text is None:
            raise ValueError(f"option {key} has no value")
        value = number_of(text, cards.parameters)
        if key == "temp":
            cards.temperature = _kelvin(value)
        elif key == "tnom":
            cards.nominal = _kelvin(value)
        elif value < 0.0:
            raise ValueError(f"gmin = {value:g} S must be non-negative")
        else:
            cards.gmin, cards.gmin_given = value, True


def _model(cards: Cards, words: list[str]) -> None:
    if len(words) < 2:
        raise ValueError(".model needs a name and a type")
    name, kind = words[0].lower(), words[1].lower()
    if kind != "d":
        raise ValueError(f"model {words[0]}: type {words[1]} is not supported; only diodes (D) are")
    if name in cards.models:
        raise ValueError(f"model {words[0]} is defined twice")
    card = dict(_MODEL_DEFAULTS)
    cards.models[name] = card  # also if faulty, so that its diodes are not called undefined as well
    for key, text in _pairs(words[2:]):
        if text is None:
            raise ValueError(f"model {words[0]}: {key} has no value")
        value = number_of(text, cards.parameters)
        key = {"js": "is"}.get(key, key)
        if key in _MODEL_DEFAULTS or key == "tnom":
            card[key] = value
        elif key in _MODEL_ZERO:
            if value != 0.0:
                raise ValueError(f"model {words[0]}: {_MODEL_ZERO[key]} ({key}) is not supported; set it to 0")
        elif key == "level" and value != 1.0:
            raise ValueError(f"model {words[0]}: only level 1 is supported")
        elif key not in _MODEL_INERT:
            raise ValueError(f"model {words[0]}: parameter {key} is not supported; remove it")


def diode_values(statement: Statement, cards: Cards) -> dict[str, float]:
    """Return the parameters of :class:`~analogep.devices.Diode` for a D line, in SI units.

    Where the model's ``tnom`` is not the diode's temperature, the saturation current follows SPICE's law
    Is (T/Tnom)^(XTI/N) exp((T/Tnom - 1) Eg/(N kT/q)) (ngspice manual, section "Diode model").

    Raises
    ------
    ValueError
        If the model is not defined or its parameters are illegal.
    """
    card = cards.models.get(statement.reference)
    if card is None:
        raise ValueError(f"{statement.name}: model {statement.reference} is not defined")
    extras = statement.extras
    kelvin = _kelvin(extras["temp"]) if "temp" in extras else cards.temperature
    nominal = _kelvin(card["tnom"]) if "tnom" in card else cards.nominal
    saturation, n = card["is"], card["n"]
    if not (saturation > 0 and n > 0 and card["rs"] >= 0):
        raise ValueError(f"{statement.name}: model {statement.reference} needs is > 0, n > 0 and rs >= 0")
    if kelvin != nominal:
        thermal = n * thermal_voltage(kelvin)
        ratio = kelvin / nominal
        try:
            saturation *= math.exp((ratio - 1.0) * card["eg"] / thermal) * math.pow(ratio, card["xti"] / n)
        except OverflowError:
            raise ValueError(f"{statement.name}: its saturation current overflows at {kelvin:g} K") from None
    area = extras.get("area", 1.0)
    if not area > 0:
        raise ValueError(f"{statement.name}: area must be positive")
    return {
        "saturation_current": saturation * area,
        "emission": n,
        "series_resistance": card["rs"] / area,
        "gmin": cards.gmin,
        "temperature": kelvin,
    }
