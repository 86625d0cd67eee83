"""What a SPICE dialect decides: how elements, model cards and options are spelt.

The writer turns a circuit into :class:`~analogep.devices.base.Primitive` elements, which no dialect owns; a
dialect turns each into text. Scripting (``.control``) is not part of a dialect: it belongs to the engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from analogep.constants import CELSIUS_ZERO
from analogep.devices.base import Primitive

Card = tuple[str, tuple[tuple[str, float], ...]]
"""Model type and parameters of a ``.model`` card."""

SIZES = ("l", "w", "pd", "ps")
"""What the numbers of a MOSFET are called, in their order; the perimeters may be left out."""


def number(value: float) -> str:
    """Return a literal that reads back to the same double; never a suffix, since ``M`` means milli."""
    return f"{value:.17g}"


def words(primitive: Primitive, model: str | None) -> list[str]:
    """Return what all dialects write alike: name, nodes, model, and numbers or controlling sources."""
    name = primitive.letter + primitive.name
    middle = [] if model is None else [model]
    args = [a if isinstance(a, str) else number(a) for a in primitive.args]
    if primitive.letter == "M":
        args = [f"{key}={value}" for key, value in zip(SIZES, args, strict=False)]
    if primitive.waveform is not None:
        keyword, numbers = primitive.waveform
        args = ["dc", *args, f"{keyword}({' '.join(map(number, numbers))})"]
    return [name, *primitive.nodes, *middle, *args]


def switched_current(primitive: Primitive, choice: str) -> Primitive:
    """Return a switch without memory as a behavioural current source.

    Parameters
    ----------
    primitive
        The switch.
    choice
        How the dialect writes a choice, from ``{condition}``, ``{yes}`` and ``{no}``.

    Raises
    ------
    ValueError
        If the switch has a hysteresis, which no expression can have.
    """
    assert primitive.model is not None
    card, (p, n, cp, cn) = dict(primitive.model[1]), primitive.nodes
    if card["vh"] != 0.0:
        raise ValueError(
            f"its hysteresis is {card['vh']:g} V, and a switch with memory has no form in this dialect"
        )
    sign = ">=" if primitive.args == ("on",) else ">"
    resistance = choice.format(
        condition=f"v({cp},{cn}){sign}({number(card['vt'])})", yes=number(card["ron"]), no=number(card["roff"])
    )
    return Primitive("B", f"S{primitive.name}", (p, n), (f"v({p},{n})/{resistance}",))


def shared_model(name: str, card: Card, nominal: Mapping[str, float]) -> str:
    """Return a ``.model`` line with the parameters of ``card`` and the dialect's own of ``nominal``."""
    kind, parameters = card
    pairs = (f"{key}={number(value)}" for key, value in (*parameters, *nominal.items()))
    return f".model {name} {kind}({' '.join(pairs)})"


def pairs_line(head: str, values: Mapping[str, float]) -> str:
    """Return a line of ``key=value`` pairs after ``head``."""
    return " ".join([head, *(f"{key}={number(value)}" for key, value in values.items())])


def analysis_lines(analyses: Sequence[Sequence[str]], printed: str) -> tuple[str, ...]:
    """Return dot lines of analyses; ``printed`` is what a ``.print`` line lists, nothing for no such lines."""
    lines = ["." + " ".join(words) for words in analyses]
    kinds = dict.fromkeys("tran" if words[0] == "tran" else "dc" for words in analyses)
    return (*lines, *(f".print {kind} {printed}" for kind in kinds if printed))


def celsius(kelvin: float) -> float:
    """Return the Celsius value from which adding 273.15 gives ``kelvin`` back, where one exists.

    Simulators do that sum in doubles, so an exact inverse keeps the thermal voltage equal to the last bit.
    """
    value = kelvin - CELSIUS_ZERO
    for candidate in (value, math.nextafter(value, math.inf), math.nextafter(value, -math.inf)):
        if candidate + CELSIUS_ZERO == kelvin:
            return candidate
    return value


@dataclass(frozen=True)
class Limits:
    """What a simulator accepts, checked before anything is written.

    Attributes
    ----------
    reserved_nodes
        Lower-case node names that mean something else to the simulator.
    reserved_parts
        Lower-case words that may not stand between dots in a node name.
    smallest_saturation
        Smallest saturation current [A] that is not silently replaced.
    smallest_gmin
        Smallest junction shunt [S] that may be set; a smaller one is written as this.
    separators
        Characters that may not stand in a name, since they separate levels of hierarchy.
    foreign_operators
        Operators that expressions may not use, since they mean nothing or something else.
    most_pins
        Most pins of a subcircuit.
    """

    reserved_nodes: frozenset[str] = frozenset({"gnd"})
    reserved_parts: frozenset[str] = frozenset()
    smallest_saturation: float = 0.0
    smallest_gmin: float = 0.0
    separators: str = ""
    foreign_operators: tuple[str, ...] = ()
    most_pins: int | None = None


class Dialect(Protocol):
    """A SPICE dialect: a name, the simulator's limits, and the spelling of each kind of line."""

    @property
    def name(self) -> str:
        """Name in the registry."""
        ...

    @property
    def limits(self) -> Limits:
        """What the simulator accepts."""
        ...

    def express(self, primitive: Primitive) -> Primitive:
        """Return the element that stands for ``primitive`` in this dialect, mostly itself.

        Raises
        ------
        ValueError
            If there is none; the message says why.
        """
        ...

    def element(self, primitive: Primitive, model: str | None) -> str:
        """Return the line of one element; ``model`` names its model card, if it needs one."""
        ...

    def model_card(self, name: str, card: Card, temperature: float | None) -> str:
        """Return the ``.model`` line; ``temperature`` [K] is where the card's values hold."""
        ...

    def options(self, values: Mapping[str, float]) -> str:
        """Return the line that sets simulator options, without a line end."""
        ...

    @property
    def tolerances(self) -> bool:
        """Whether ``.options`` takes SPICE's tolerances under their own names."""
        ...

    @property
    def scripted(self) -> bool:
        """Whether a script (:mod:`analogep.spice.writing.script`) asks for the analyses, not ``closing``."""
        ...

    def closing(self, analyses: Sequence[Sequence[str]], nodes: Sequence[str]) -> tuple[str, ...]:
        """Return the lines before ``.end`` that ask for ``analyses``, in SPICE's words, and print ``nodes``."""
        ...
