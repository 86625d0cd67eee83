"""Element lines as statements: letter, name, nodes, numbers, in SI units; one small function per letter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from analogep.devices.base import Primitive
from analogep.spice.text.behaviour import polynomial, substituted
from analogep.spice.text.lexer import Line, Place, tokens
from analogep.spice.text.words import Words, plain_name

_WAVEFORMS = frozenset({"pulse", "sin", "pwl"})
_FOREIGN_WAVEFORMS = frozenset({"exp", "sffm", "am", "trnoise", "trrandom", "external", "port", "portnum"})
_MOST_CONTROLS, _MOST_COEFFICIENTS = 20, 200
_UNSUPPORTED = {
    "J": "JFETs are not supported",
    "K": "coupled inductors are not supported",
    "Q": "bipolar transistors are not supported",
    "W": "current-controlled switches are not supported; sense the current with H, and switch by its voltage",
}


@dataclass(frozen=True)
class Statement:
    """One parsed element line.

    Attributes
    ----------
    letter, name
        Upper-case type letter, and the full name with the letter in upper case.
    nodes
        Node names as written.
    value
        The element's number, in SI units (R in ohms), where it has one.
    reference
        Lower-case name of the controlling source (F, H) or of the model (D); the expression of a B source
        without blanks.
    extras
        Other numbers, by lower-case keyword; of a switch ``closed``, of a B source ``voltage``, 0 or 1.
    waveform
        Keyword in lower case and numbers of a source's waveform, as written.
    dc
        Whether a source gives its DC value.
    line
        Where it stands.
    """

    letter: str
    name: str
    nodes: tuple[str, ...]
    value: float = 0.0
    reference: str = ""
    extras: Mapping[str, float] = field(default_factory=dict)
    waveform: tuple[str, tuple[float, ...]] | None = None
    dc: bool = False
    line: Place | None = None

    @property
    def key(self) -> str:
        """Name as SPICE compares it."""
        return self.name.lower()

    def matches(self, primitive: Primitive) -> bool:
        """Whether this line says what ``primitive`` says, its model card aside."""
        if (
            self.letter != primitive.letter
            or self.key != (primitive.letter + primitive.name).lower()
            or tuple(n.lower() for n in self.nodes) != tuple(n.lower() for n in primitive.nodes)
        ):
            return False
        if self.letter == "B" and self.extras.get("voltage"):  # a primitive is a current
            return False
        names = [squeeze(a) for a in primitive.args if isinstance(a, str)]
        numbers = [a for a in primitive.args if not isinstance(a, str)]
        if self.letter == "D":
            return True
        if self.letter == "M":
            defaults = {"l": 1e-4, "w": 1e-4, "pd": 0.0, "ps": 0.0}
            own = [self.extras.get(key, value) for key, value in defaults.items()]
            return own == [*numbers, *[0.0] * (len(own) - len(numbers))]
        if self.letter == "S":
            return names == ["on" if self.extras.get("closed") else "off"]
        return names == ([self.reference] if self.reference else []) and (not numbers or numbers == [self.value])


def squeeze(text: str) -> str:
    """Return ``text`` in lower case without blanks, for comparison."""
    return "".join(text.lower().split())


def parse_statement(line: Line, parameters: Mapping[str, float]) -> Statement:
    """Parse one element line.

    Raises
    ------
    ValueError
        If it is malformed or of a kind that is not supported; the message names neither file nor line.
    """
    words = Words(line, parameters)
    if not words.more():
        raise ValueError("no element name")
    name = plain_name(words.word("an element name"), "name")
    letter = name[0].upper()
    name = letter + name[1:]
    if letter not in _PARSERS:
        supported = f"elements of this type are not supported; supported are {', '.join(_PARSERS)} and X"
        reason = _UNSUPPORTED.get(letter, supported)
        raise ValueError(f"{name}: {reason}")
    if line.text.count("(") != line.text.count(")"):  # to ngspice, part of a word here and there
        raise ValueError(f"{name}: its parentheses do not match")
    try:
        return _PARSERS[letter](words, letter, name, line)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _passive(words: Words, letter: str, name: str, line: Line) -> Statement:
    nodes = words.nodes(2)
    long = {"R": ("resistance", "r"), "C": ("capacitance", "c"), "L": ("inductance", "l")}[letter]
    what = long[0]
    value = None if words.peek(1) == "=" else words.number(what)
    extras = words.pairs()
    given = [extras.pop(key) for key in long if key in extras]
    if len(given) + (value is not None) != 1:
        raise ValueError(f"give the {what} once")
    initial = {"ic": extras.pop("ic")} if "ic" in extras and letter != "R" else {}
    _only_zero(extras, frozenset({"tc1", "tc2", "tc"}), "a temperature coefficient")
    number = given[0] if value is None else value
    return Statement(letter, name, nodes, number, extras=initial, line=line.number)


def _only_zero(extras: Mapping[str, float], known: frozenset[str], what: str) -> None:
    for key, value in extras.items():
        if key not in known:
            raise ValueError(f"parameter {key} is not supported")
        if value != 0.0:
            raise ValueError(f"{what} ({key}) is not supported")


def _independent(words: Words, letter: str, name: str, line: Line) -> Statement:
    nodes = words.nodes(2)
    value: float | None = None
    waveform: tuple[str, tuple[float, ...]] | None = None
    while words.more():
        key = words.peek()
        if key in _FOREIGN_WAVEFORMS:
            raise ValueError(f"the waveform {key} is not supported; use pulse, sin or pwl")
        if key in _WAVEFORMS:
            if waveform is not None:
                raise ValueError("two waveforms; give one")
            words.word(key)
            numbers: list[float] = []
            while words.more() and not words.peek().isalpha():
                numbers.append(words.number(f"argument {len(numbers) + 1} of {key}"))
            if words.peek(1) == "=":
                raise ValueError(f"{words.peek()} of the waveform {key} is not supported; write it out with pwl")
            waveform = (key, tuple(numbers))
            continue
        if key == "ac":  # small-signal magnitude and phase: no part in an operating point
            words.word(key)
            for what in ("magnitude", "phase"):
                if words.more() and _is_number(words.peek()):
                    words.number(what)
            continue
        if key == "dc":
            words.word(key)
            if words.peek() == "=":
                words.at += 1
        if value is not None:
            raise ValueError(f"unexpected {words.peek()!r}")
        value = words.number("DC value")
    return Statement(letter, name, nodes, value or 0.0, waveform=waveform, dc=value is not None, line=line.number)


def _is_number(token: str) -> bool:
    return token[:1].isdigit() or token[:1] in "+-.{'"


def _voltage_controlled(words: Words, letter: str, name: str, line: Line) -> Statement:
    form = words.items[3].lower() if len(words.items) > 3 else ""
    keys = ("value", "vol") if letter == "E" else ("value", "cur")
    if form in keys:
        return _by_expression(words, name, words.nodes(2), dict.fromkeys(keys, letter == "E"), line)
    if form == "poly":
        return _polynomial(words, letter, name, line)
    for word in words.items[3:]:
        if word.lower() in {"poly", "value", "vol", "cur", "table", "laplace"} or word in "={}":
            raise ValueError(f"only 'p n cp cn gain', {keys[0]}=, {keys[1]}= and poly(n) are supported")
    nodes = words.nodes(4)
    return _finish(words, Statement(letter, name, nodes, words.number("gain"), line=line.number))


def _polynomial(words: Words, letter: str, name: str, line: Line) -> Statement:
    """Return a polynomial of voltages; see :func:`polynomial`."""
    nodes = words.nodes(2)
    words.word("poly")
    count = words.number("the number of controls")
    if not (count == int(count) and 1 <= count <= _MOST_CONTROLS):
        raise ValueError(f"poly takes 1 to {_MOST_CONTROLS} controls, not {count:g}")
    ports = [words.nodes(2) for _ in range(int(count))]
    coefficients: list[float] = []
    while words.more():
        coefficients.append(words.number(f"coefficient {len(coefficients) + 1}"))
        if len(coefficients) > _MOST_COEFFICIENTS:
            raise ValueError(f"more than {_MOST_COEFFICIENTS} coefficients")
    if len(coefficients) < 2:  # alone it is the constant to some simulators, the gain to others
        raise ValueError("poly needs the constant and at least one more coefficient")
    text = polynomial(coefficients, ports)
    extras = {"voltage": float(letter == "E")}
    return Statement("B", name, nodes, reference=squeeze(text), extras=extras, line=line.number)


def _current_controlled(words: Words, letter: str, name: str, line: Line) -> Statement:
    nodes = words.nodes(2)
    source = words.word("the controlling source").lower()
    if source == "poly":
        raise ValueError("only the linear form 'p n source gain' is supported")
    return _finish(words, Statement(letter, name, nodes, words.number("gain"), source, line=line.number))


def _finish(words: Words, statement: Statement) -> Statement:
    if words.more():
        raise ValueError(f"unexpected {words.peek()!r}")
    return statement


def _diode(words: Words, letter: str, name: str, line: Line) -> Statement:
    nodes = words.nodes(2)
    model = words.word("the model name").lower()
    extras: dict[str, float] = {}
    if words.more() and words.peek(1) != "=" and words.peek() != "off":
        extras["area"] = words.number("area")
    for key, value in words.pairs(flags=("off",)).items():  # "off" and ic are hints for the first iteration
        if key in ("temp", "area"):
            extras[key] = value
        elif key != "ic" and not (key == "m" and value == 1.0):
            raise ValueError(f"parameter {key} is not supported")
    return Statement(letter, name, nodes, reference=model, extras=extras, line=line.number)


def _transistor(words: Words, letter: str, name: str, line: Line) -> Statement:
    nodes = words.nodes(4)
    model = words.word("the model name").lower()
    extras: dict[str, float] = {}
    for key, value in words.pairs(flags=("off",)).items():  # "off" is a hint for the first iteration
        if key in ("l", "w") and not value > 0:
            raise ValueError(f"{key} must be positive")
        if key in ("ad", "as", "pd", "ps") and value < 0.0:
            raise ValueError(f"{key} = {value:g} must be zero or more")
        if key in ("l", "w", "temp", "ad", "as", "pd", "ps"):
            extras[key] = value
        elif key not in _SQUARES and not (key == "m" and value == 1.0):
            raise ValueError(f"parameter {key} is not supported")
    return Statement(letter, name, nodes, reference=model, extras=extras, line=line.number)


_SQUARES = frozenset({"nrd", "nrs"})
"""They scale a model parameter that must be zero here."""


def _switch(words: Words, letter: str, name: str, line: Line) -> Statement:
    nodes = words.nodes(4)
    model = words.word("the model name").lower()
    closed = 0.0
    if words.peek() in ("on", "off"):
        closed = float(words.word("on or off").lower() == "on")
    return _finish(words, Statement(letter, name, nodes, 0.0, model, {"closed": closed}, line=line.number))


def _behavioural(words: Words, letter: str, name: str, line: Line) -> Statement:
    nodes = words.nodes(2)
    return _by_expression(words, name, nodes, {"i": False, "v": True}, line)


def _by_expression(
    words: Words, name: str, nodes: tuple[str, ...], keys: Mapping[str, bool], line: Line
) -> Statement:
    """Return a source by its expression; its letter is B whatever the name begins with.

    ``keys`` are the words that may stand before the expression, and whether it then is a voltage.
    """
    head, equals, expression = line.text.partition("=")
    key = words.word("a keyword").lower()
    if not equals or key not in keys or tokens(head) != words.items[: words.at]:
        raise ValueError(f"expected {' or '.join(keys)}=expression behind the nodes")
    text = substituted(expression, words.parameters)
    if "=" in text:
        raise ValueError("expected one expression and nothing behind it")
    extras = {"voltage": float(keys[key])}
    return Statement("B", name, nodes, reference=squeeze(text), extras=extras, line=line.number)


_Parser = Callable[[Words, str, str, Line], Statement]
_PARSERS: dict[str, _Parser] = {
    "R": _passive,
    "C": _passive,
    "L": _passive,
    "M": _transistor,
    "S": _switch,
    "V": _independent,
    "I": _independent,
    "E": _voltage_controlled,
    "G": _voltage_controlled,
    "F": _current_controlled,
    "H": _current_controlled,
    "D": _diode,
    "B": _behavioural,
}
