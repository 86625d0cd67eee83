"""Netlist text as logical lines and tokens: title, comments, continuations, numbers with suffixes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from analogep.errors import Fault
from analogep.spice.text.control import Script, makes_vectors
from analogep.spice.writing.metadata import CONTINUED, MARK

_NUMBER = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)([a-zµ]*)Ω?", re.IGNORECASE | re.ASCII
)  # ASCII: neither the digits of other scripts, nor the Kelvin sign for k
_FORTRAN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))d([+-]?)(\d+)", re.IGNORECASE | re.ASCII)
_SUFFIXES = {
    "t": 1e12,
    "g": 1e9,
    "meg": 1e6,
    "k": 1e3,
    "mil": 25.4e-6,
    "m": 1e-3,
    "u": 1e-6,
    "µ": 1e-6,
    "n": 1e-9,
    "p": 1e-12,
    "f": 1e-15,
}
_TRAILING = re.compile(r";|//|(?<=\s)\$(?=\s|$)")
_TOKEN = re.compile(r"\{[^{}]*\}|'[^']*'|=|[^\s,()={}']+|[{}']")


@dataclass(frozen=True)
class Place:
    """Where text stands: file, line (counted from 1), and the subcircuit instances around it.

    Attributes
    ----------
    file, line
        Name of the file as it was opened, and its line.
    instances
        Path of the instance that the text was flattened into, such as ``x1.xload``.
    """

    file: str
    line: int
    instances: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" (in {self.instances})" if self.instances else "")


@dataclass(frozen=True)
class Line:
    """One logical line: where it starts, its text, and whether it is a structured comment."""

    number: Place
    text: str
    structured: bool = False


class Source:
    """A netlist's name and the faults found in it so far, each with its place."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.faults: list[Fault] = []
        self.undone: dict[str, Place] = {}
        """Commands of scripts that change no voltage and are not done here, and where they stand."""

    def fault(self, place: Place | None, what: str) -> None:
        """Note a fault at a place, or of the netlist as a whole."""
        self.faults.append(Fault(self.name if place is None else str(place), what))


def logical_lines(text: str, source: Source, file: str | None = None) -> tuple[str, list[Line]]:
    """Return the title and the logical lines up to ``.end``.

    Comments are dropped; lines that begin with ``+`` are joined to the one before. Analyses and options of a
    ``.control`` block become dot lines; see :mod:`analogep.spice.text.control`. A carriage return ends a line
    together with a line feed only, and blanks and tabs are all that separates words: other blanks and control
    characters are faults.

    Parameters
    ----------
    text
        The whole text.
    source
        Gets the faults.
    file
        Name of an included file, which has no title; ``None`` for the netlist itself.
    """
    physical = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    title = "" if file is not None else physical[0].strip().removeprefix("*").strip()
    lines: list[Line] = []
    ended = False
    for place, raw in _outside_control(physical, source, file):
        if ended:
            if raw and not raw.startswith("*"):
                source.fault(place, f"text after .end: {_shown(raw)}; a netlist holds one circuit")
                break
        elif raw.startswith(MARK):
            _add_structured(lines, place, raw, source)
        elif raw.startswith("*"):
            continue
        elif stripped := _TRAILING.split(raw, maxsplit=1)[0].strip(_BLANKS):
            if (odd := _odd(stripped)) is None:
                ended = _add(lines, place, stripped, source)
            else:
                source.fault(
                    place,
                    f"{_shown(raw)} holds U+{ord(odd):04X}, neither a blank nor a letter of ASCII; write one",
                )
    return title, lines


_BLANKS = " \t"


def _odd(text: str) -> str | None:
    """Return the first character of a line that may not stand there; none in most lines.

    Those are control characters, blanks other than a blank and a tab, and what merely looks like a letter or digit
    of ASCII, such as the Kelvin sign.
    """
    if text.isascii() and text.isprintable():
        return None
    return next(filter(_is_odd, text), None)


def _is_odd(c: str) -> bool:
    alike = not c.isascii() and unicodedata.normalize("NFKC", c).isascii()
    return alike or not (c == "\t" or c.isprintable())


def _outside_control(physical: list[str], source: Source, file: str | None) -> Iterator[tuple[Place, str]]:
    opened: Place | None = None
    name, start = (source.name, 1) if file is None else (file, 0)
    script = Script()
    for number, raw in enumerate(physical[start:], start=start + 1):
        line = raw.strip(_BLANKS)
        word = line[:9].lower().split(maxsplit=1)[:1]
        if opened:
            if word == [".endc"]:
                opened = None
                continue
            try:
                command = _TRAILING.split(line, maxsplit=1)[0].strip(_BLANKS)
                if meant := script.dot_line(command, line.partition(";")[2]):
                    yield Place(name, number), meant
                elif makes_vectors(command):
                    source.undone[command.split()[0]] = Place(name, number)
            except ValueError as error:
                source.fault(Place(name, number), str(error))
        elif word == [".control"]:
            opened, script = Place(name, number), Script()
        else:
            yield Place(name, number), line
    if opened:
        source.fault(opened, ".control without .endc")


def _add_structured(lines: list[Line], number: Place, raw: str, source: Source) -> None:
    if not raw.startswith(CONTINUED):
        lines.append(Line(number, raw[len(MARK) :].strip(), structured=True))
    elif lines and lines[-1].structured:
        last = lines[-1]
        lines[-1] = Line(last.number, f"{last.text} {raw[len(CONTINUED) :].strip()}", structured=True)
    else:
        source.fault(number, f"{CONTINUED} continues no structured comment")


def _add(lines: list[Line], number: Place, text: str, source: Source) -> bool:
    """Add a line or a continuation; return whether it is ``.end``."""
    if text.lower() == ".end":
        return True
    if not text.startswith("+"):
        lines.append(Line(number, text))
        return False
    last = next((k for k in range(len(lines) - 1, -1, -1) if not lines[k].structured), None)
    if last is None:
        source.fault(number, f"{_shown(text)} continues no line")
    else:
        lines[last] = Line(lines[last].number, f"{lines[last].text} {text[1:].strip()}")
    return False


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def assignments(text: str) -> tuple[str, dict[str, str]]:
    """Split ``words a = 1 b={2*c}`` into what stands before the first name, and values by lower-case name.

    Braces and quotes around a value go.

    Raises
    ------
    ValueError
        If a value is missing or malformed, or a name is given twice.
    """
    heads = list(_ASSIGNED.finditer(_blanked(text)))
    if not heads:
        return text, {}
    found: dict[str, str] = {}
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        name = head.group(1).lower()
        value = text[head.end() : after.start() if after else len(text)].strip(" \t,")
        if len(value) > 1 and (value[0], value[-1]) in (("{", "}"), ("'", "'")):
            value = value[1:-1]
        if not value.strip():
            raise ValueError(f"{name} has no value")
        if re.search(r"[{}']|(?<![=!<>])=(?!=)", value):
            raise ValueError(f"{name}: unexpected {_shown(value)}")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = value
    return text[: heads[0].start()], found


_ASSIGNED = re.compile(r"([^\s,(){}='<>!&|?:*/+^%-]+)\s*=(?!=)")


def _blanked(text: str) -> str:
    """Return ``text`` with what stands in braces, quotes or parentheses replaced by ``~``."""
    out, depth, quoted = [], 0, False
    for c in text:
        if c == "'":
            quoted = not quoted
        elif not quoted and c in "{(":
            depth += 1
        inside = quoted or depth > 0
        if not quoted and c in "})":
            depth = max(depth - 1, 0)
        out.append("~" if inside else c)
    return "".join(out)


def tokens(text: str) -> list[str]:
    """Split a line at blanks, commas and parentheses; ``=``, ``{...}`` and ``'...'`` stay whole."""
    return _TOKEN.findall(text)


def parse_number(token: str) -> float:
    """Return the value of a SPICE number, such as ``4.7k``, ``10Meg`` or ``1e-3``.

    Digits, one point, an exponent with ``e``, then a suffix and letters of a unit. What looks like a number by
    accident (``1_000``, ``1k5``, digits of other scripts) is none. Fortran's ``1d3`` is 1000, as for ngspice,
    which takes ``1d+3`` for 3, however, and refuses both in an expression: they are refused here, too.

    Raises
    ------
    ValueError
        If it is no finite number, or means different things to different simulators.
    """
    if fortran := _FORTRAN.fullmatch(token):
        if fortran.group(2):
            raise ValueError(f"{_shown(token)}: ngspice takes no sign in an exponent with d; write it with e")
        token = f"{fortran.group(1)}e{fortran.group(3)}"
    match = _NUMBER.fullmatch(token)
    if match is None:
        raise ValueError(f"{_shown(token)} is not a number; write it like 4.7, 4.7k or 4.7e3")
    digits, letters = match.groups()
    if letters[:1] in ("e", "E"):
        raise ValueError(f"{_shown(token)}: its exponent has no digits; write one, or leave the e out")
    value = float(digits)
    value *= _factor(letters.lower(), token)
    if value - value != 0.0:
        raise ValueError(f"{_shown(token)} is not finite")
    return value


def _factor(letters: str, token: str) -> float:
    if letters.startswith("a"):
        raise ValueError(f"{_shown(token)}: 'a' is 1e-18 to newer simulators and nothing to older; use e-18")
    for suffix, factor in _SUFFIXES.items():
        if letters.startswith(suffix):
            return factor
    return 1.0
