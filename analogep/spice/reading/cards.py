"""Dot lines of a netlist: parameters, functions, options, temperatures, models, analyses, initial voltages."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from analogep.constants import NOMINAL_TEMPERATURE
from analogep.spice.reading.models import KINDS, Model, kelvin, pairs_of, read_model
from analogep.spice.text.analyses import Analysis, read_analysis
from analogep.spice.text.expressions import Function
from analogep.spice.text.lexer import Line, Place, Source, assignments, parse_number, tokens
from analogep.spice.text.parameters import Parameters
from analogep.spice.text.words import number_of

METHODS = {"trap": "trapezoidal", "trapezoidal": "trapezoidal", "gear": "bdf2"}
"""Integration methods of ``.options method``, and what they are called here."""

DEFAULT_GMIN = 1e-12
"""Junction shunt [S] that SPICE uses when the netlist does not say."""

_IGNORED_LINES = frozenset({".title", ".save", ".print", ".plot", ".probe", ".width"})
"""Lines that change nothing in the circuit or its operating point."""

_OUTPUT_OPTIONS = frozenset(
    """
    sparse klu acct noacct noinit list nomod nopage node opts numdgt savecurrents noopac keepopinfo interp warn
    maxwarns noopiter
    """.split()  # noqa: SIM905  (a list of quoted words would be a page long)
)
"""Options about output and ngspice's own search: they change no number."""

_STEERING_OPTIONS = frozenset(
    """
    chgtol trtol pivtol pivrel itl2 itl3 itl4 itl5 itl6 maxord gminsteps srcsteps xmu autostop
    """.split()  # noqa: SIM905
)
"""Options that steer ngspice's solver and have no counterpart here."""

_ACTING_OPTIONS = frozenset({"reltol", "abstol", "vntol", "itl1"})
"""Options with a positive number that the native solver follows; see :mod:`analogep.spice.run`."""


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
        Models by lower-case name; those of subcircuit instances have the instance and a colon in front.
    globals
        Nodes that are the same in all subcircuits, in lower case.
    analyses
        What the netlist asks for, in its order.
    initial, guesses
        Voltages [V] of ``.ic`` and ``.nodeset`` by lower-case node name, and where they stand.
    options
        ``.options`` reltol, abstol [A], vntol [V], itl1 (numbers) and method (a word).
    idle
        ``.options`` without effect, by name, and where they stand.
    """

    parameters: Parameters
    gmin: float = DEFAULT_GMIN
    gmin_given: bool = False
    temperature: float = NOMINAL_TEMPERATURE
    nominal: float = NOMINAL_TEMPERATURE
    models: dict[str, Model] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    analyses: list[Analysis] = field(default_factory=list)
    initial: dict[str, tuple[float, Place]] = field(default_factory=dict)
    guesses: dict[str, tuple[float, Place]] = field(default_factory=dict)
    options: dict[str, float | str] = field(default_factory=dict)
    idle: dict[str, Place] = field(default_factory=dict)

    def voltages(self, line: Line, parameters: Mapping[str, float], rename: Callable[[str], str]) -> None:
        """Note the voltages of an ``.ic`` or ``.nodeset`` line, under the names that ``rename`` gives."""
        word, _, rest = line.text.partition(" ")
        found = list(_VOLTAGE.finditer(rest))
        if not found or _VOLTAGE.sub("", rest).strip(" ,"):
            raise ValueError(f"{word}: expected v(node)=value")
        table = self.initial if word.lower() == ".ic" else self.guesses
        for match in found:
            name, value = rename(match.group(1)).lower(), number_of(match.group(2), parameters)
            known = table.setdefault(name, (value, line.number))
            if known[0] != value:
                raise ValueError(
                    f"{word}: v({match.group(1)}) = {value:g} V is {known[0]:g} V at {known[1]}; keep one"
                )


_VOLTAGE = re.compile(r"v\s*\(\s*([^\s(),={}']+)\s*\)\s*=\s*(\{[^{}]*\}|'[^']*'|[^\s,(){}=']+)", re.IGNORECASE)


def read_cards(lines: list[Line], source: Source) -> Cards:
    """Read all dot lines of a netlist, in any order; every fault goes to ``source``."""
    dots = [(line, tokens(line.text)) for line in lines if line.text.startswith(".") and not line.structured]
    definitions, functions, places, faults = definitions_of([line for line, _ in dots])
    for place, what in faults:
        source.fault(place, what)
    cards = Cards(Parameters(definitions, None, functions))
    for name in definitions:
        try:
            cards.parameters[name]
        except ValueError as error:
            source.fault(places[name], str(error))
    for line, words in dots:
        _attempt(source, line, _card, cards, line, words)
    for line in lines:
        if line.structured and line.text.startswith("gmin"):
            _attempt(source, line, _exact_gmin, cards, line.text.split())
    return cards


def definitions_of(
    lines: list[Line],
) -> tuple[dict[str, str], dict[str, Function], dict[str, Place], list[tuple[Place, str]]]:
    """Return the expressions of all ``.param`` lines, all ``.func``, the parameters' places, and all faults."""
    definitions: dict[str, str] = {}
    functions: dict[str, Function] = {}
    places: dict[str, Place] = {}
    faults: list[tuple[Place, str]] = []
    for line in lines:
        word = line.text.split(maxsplit=1)[0].lower()
        try:
            if word == ".param":
                head, found = assignments(line.text)
                if head.strip().lower() != ".param" or not found:
                    raise ValueError(f".param: expected name=value at {head.strip()!r}")
                for name in found:
                    if not _NAME.fullmatch(name):
                        raise ValueError(f".param: {name!r} is no name")
                definitions.update(found)
                places.update(dict.fromkeys(found, line.number))
            elif word == ".func":
                match = _FUNCTION.fullmatch(line.text)
                if match is None:
                    raise ValueError(".func: expected 'name(a, b) {expression}'")
                names = tuple(n.strip().lower() for n in match.group(2).split(",") if n.strip())
                if not all(map(_NAME.fullmatch, names)):
                    raise ValueError(f".func {match.group(1)}: arguments are names")
                functions[match.group(1).lower()] = (names, match.group(3) or match.group(4))
        except ValueError as error:
            faults.append((line.number, str(error)))
    return definitions, functions, places, faults


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_FUNCTION = re.compile(r"\.func\s+([a-z_]\w*)\s*\(([^()]*)\)\s*=?\s*(?:\{([^{}]+)\}|'([^']+)')\s*", re.IGNORECASE)


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


def _card(cards: Cards, line: Line, words: list[str]) -> None:
    word = words[0].lower()
    if word in (".param", ".func") or word in _IGNORED_LINES:
        return
    if word in (".option", ".options", ".opt"):
        _options(cards, words[1:], line.number)
    elif word == ".temp":
        if len(words) != 2:
            raise ValueError(".temp takes one temperature in °C")
        cards.temperature = kelvin(number_of(words[1], cards.parameters))
    elif word == ".model":
        _model(cards, words)
    elif word in (".op", ".dc", ".tran"):
        cards.analyses.append(read_analysis(words, cards.parameters, line.number))
    elif word in (".ic", ".nodeset"):
        cards.voltages(line, cards.parameters, str)
    elif word == ".global":
        cards.globals.update(map(str.lower, words[1:]))
    elif word in (".ac", ".noise", ".tf", ".disto", ".pz", ".sens", ".step", ".four", ".meas", ".measure"):
        raise ValueError(f"{word}: only .op, .dc and .tran are read; remove this analysis")
    else:
        raise ValueError(f"{words[0]} is not supported; remove it or write what it means")


def _options(cards: Cards, words: list[str], place: Place) -> None:
    for key, text in pairs_of(words):
        if key in _OUTPUT_OPTIONS:
            continue
        if key in _STEERING_OPTIONS:
            cards.idle[key] = place
            continue
        if key not in ("gmin", "temp", "tnom", "method") and key not in _ACTING_OPTIONS:
            raise ValueError(f"option {key} is not supported; remove it")
        if text is None:
            raise ValueError(f"option {key} has no value")
        if key == "method":
            if text.lower() not in METHODS:
                raise ValueError(f"option method = {text}: use one of {', '.join(METHODS)}")
            cards.options[key] = text.lower()
            continue
        value = number_of(text, cards.parameters)
        if key in _ACTING_OPTIONS:
            if not value > 0.0:
                raise ValueError(f"option {key} = {value:g} must be positive")
            cards.options[key] = value
            continue
        if key == "temp":
            cards.temperature = kelvin(value)
        elif key == "tnom":
            cards.nominal = kelvin(value)
        elif value < 0.0:
            raise ValueError(f"gmin = {value:g} S must be non-negative")
        else:
            cards.gmin, cards.gmin_given = value, True


def _model(cards: Cards, words: list[str]) -> None:
    name = words[1].lower() if len(words) > 1 else ""
    if name in cards.models:
        raise ValueError(f"model {words[1]} is defined twice")
    kind = words[2].lower() if len(words) > 2 else ""
    if kind in KINDS:  # also if faulty, so that its elements are not called undefined as well
        cards.models[name] = Model(kind, KINDS[kind].defaults)
    name, model = read_model(words[1:], cards.parameters)
    cards.models[name] = model
