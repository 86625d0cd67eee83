"""The dialect of LTspice, after its help pages; the program itself was not at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analogep.devices.base import Primitive
from analogep.spice.dialects.base import Card, Limits, celsius, number, pairs_line, shared_model, words


@dataclass(frozen=True)
class LTspice:
    """Spelling of LTspice netlists: ``if()`` in place of ``?:``, the analysis in the netlist."""

    name: str = "ltspice"
    limits: Limits = field(
        default=Limits(
            reserved_nodes=frozenset({"gnd"}),
            smallest_gmin=1e-40,  # as for ngspice
            foreign_operators=("?", "^"),  # not known; exclusive or
        )
    )
    closing: tuple[str, ...] = (".op",)

    def element(self, primitive: Primitive, model: str | None) -> str:
        """Return the line of one element; see :class:`~analogep.spice.dialects.base.Dialect`."""
        parts = words(primitive, model)
        if primitive.letter == "B":
            parts[-1] = f"I={parts[-1]}"
        if primitive.temperature is not None:
            parts.append(f"temp={number(celsius(primitive.temperature))}")
        return " ".join(parts)

    def model_card(self, name: str, card: Card, temperature: float | None) -> str:
        """Return the ``.model`` line, with ``tnom`` equal to the instances' ``temp``."""
        return shared_model(name, card, {} if temperature is None else {"tnom": celsius(temperature)})

    def options(self, values: Mapping[str, float]) -> str:
        """Return the ``.options`` line."""
        return pairs_line(".options", values)
