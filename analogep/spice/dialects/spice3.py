"""The spelling that ngspice, LTspice and Xyce share; each adds its limits and small differences as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from analogep.devices.base import Primitive
from analogep.spice.dialects.base import (
    Card,
    Limits,
    analysis_lines,
    celsius,
    number,
    pairs_line,
    shared_model,
    switched_current,
    words,
)


@dataclass(frozen=True)
class Spice3:
    """A dialect with B sources, ``temp`` on elements and ``tnom`` on models, as SPICE3 had them.

    Attributes
    ----------
    name, limits, tolerances
        As in :class:`~analogep.spice.dialects.base.Dialect`.
    scripted
        Whether a script outside the circuit's lines asks for the analyses.
    printed
        What ``.print`` lines list.
    expression
        How a B source gives its current; ``{}`` stands for the expression.
    options_head
        What an options line begins with.
    choice
        How an expression chooses, for a dialect without a switch of this law; ``None`` if it has one.
    """

    name: str
    limits: Limits = field(default=Limits())
    scripted: bool = False
    printed: str = ""
    tolerances: bool = True
    expression: str = "I={}"
    options_head: str = ".options"
    choice: str | None = None

    def express(self, primitive: Primitive) -> Primitive:
        """Return the element, or a current for a switch; see :class:`~analogep.spice.dialects.base.Dialect`."""
        if primitive.letter == "S" and self.choice is not None:
            return switched_current(primitive, self.choice)
        return primitive

    def element(self, primitive: Primitive, model: str | None) -> str:
        """Return the line of one element; see :class:`~analogep.spice.dialects.base.Dialect`."""
        parts = words(primitive, model)
        if primitive.letter == "B":
            parts[-1] = self.expression.format(parts[-1])
        if primitive.temperature is not None:
            parts.append(f"temp={number(celsius(primitive.temperature))}")
        return " ".join(parts)

    def model_card(self, name: str, card: Card, temperature: float | None) -> str:
        """Return the ``.model`` line; see :class:`~analogep.spice.dialects.base.Dialect`.

        ``tnom`` equals the instances' ``temp``, so that no temperature law changes the saturation current.
        """
        return shared_model(name, card, {} if temperature is None else {"tnom": celsius(temperature)})

    def options(self, values: Mapping[str, float]) -> str:
        """Return the options line."""
        return pairs_line(self.options_head, values)

    def closing(self, analyses: Sequence[Sequence[str]], nodes: Sequence[str]) -> tuple[str, ...]:
        """Return the analyses as dot lines; see :class:`~analogep.spice.dialects.base.Dialect`."""
        return analysis_lines(analyses, self.printed)
