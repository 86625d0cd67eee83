"""The dialect of HSPICE, after its manual; the program itself was not at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analogep.devices.base import Primitive
from analogep.spice.dialects.base import (
    Card,
    Limits,
    celsius,
    number,
    pairs_line,
    shared_model,
    switched_current,
    words,
)

AMBIENT = 25.0
"""Temperature of the circuit [°C], which the netlist sets; a diode says by how much it differs."""


@dataclass(frozen=True)
class Hspice:
    """Spelling of HSPICE netlists: quoted expressions, and G elements where others have B sources.

    A behavioural source ``Bx`` is called ``GBx``, since ``Gx`` may be a G element already. HSPICE's gmin is
    for transients; the shunt at an operating point is ``gmindc``, so both are set.
    """

    name: str = "hspice"
    limits: Limits = field(
        default=Limits(
            reserved_nodes=frozenset({"gnd", "ground"}),
            smallest_saturation=1e-28,  # its option epsmin
            smallest_gmin=1e-40,  # as for ngspice
            separators=".",
            foreign_operators=("^",),  # "**" is the power that all dialects share
        )
    )
    tolerances: bool = True
    scripted: bool = False

    def express(self, primitive: Primitive) -> Primitive:
        """Return a switch as a voltage-controlled current; see :class:`~analogep.spice.dialects.base.Dialect`."""
        if primitive.letter == "S":
            return switched_current(primitive, "({condition} ? {yes} : {no})")
        return primitive

    def element(self, primitive: Primitive, model: str | None) -> str:
        """Return the line of one element; see :class:`~analogep.spice.dialects.base.Dialect`."""
        parts = words(primitive, model)
        if primitive.letter == "B":
            parts[0] = f"G{parts[0]}"
            parts[-1] = f"cur='{parts[-1]}'"
        if primitive.temperature is not None:
            parts.append(f"dtemp={number(celsius(primitive.temperature) - AMBIENT)}")
        return " ".join(parts)

    def model_card(self, name: str, card: Card, temperature: float | None) -> str:
        """Return the ``.model`` line, with ``tref`` equal to the instances' temperature."""
        return shared_model(name, card, {} if temperature is None else {"tref": celsius(temperature)})

    def options(self, values: Mapping[str, float]) -> str:
        """Return the ``.option`` line, with ``gmindc`` next to ``gmin``."""
        both = {"gmindc": values["gmin"]} if "gmin" in values else {}
        return pairs_line(".option", {**values, **both})

    def closing(self, analyses: Sequence[Sequence[str]], nodes: Sequence[str]) -> tuple[str, ...]:
        """Return temperature and analyses; see :class:`~analogep.spice.dialects.base.Dialect`.

        A transient's start and longest step are not its third and fourth numbers here.
        """
        lines = []
        for word, *rest in analyses:
            numbers = [text for text in rest if text != "uic"]
            if word == "tran" and len(numbers) > 2:
                lines += [f".option delmax={numbers[3]}"] if len(numbers) > 3 else []
                rest = [*numbers[:2], f"start={numbers[2]}", *rest[len(numbers) :]]
            lines.append(" ".join([f".{word}", *rest]))
        printed = " ".join(f"v({node})" for node in nodes)
        kinds = dict.fromkeys(words[0] for words in analyses if words[0] != "op")
        return (f".temp {number(AMBIENT)}", *lines, *(f".print {kind} {printed}" for kind in kinds))
