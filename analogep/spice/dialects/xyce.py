"""The dialect of Xyce, after its Reference Guide; the program itself was not at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analogep.devices.base import Primitive
from analogep.spice.dialects.base import Card, Limits, celsius, number, pairs_line, shared_model, words


@dataclass(frozen=True)
class Xyce:
    """Spelling of Xyce netlists: expressions in braces, options by package, the analysis in the netlist."""

    name: str = "xyce"
    limits: Limits = field(
        default=Limits(
            reserved_nodes=frozenset({"gnd", "gnd!", "ground"}),  # ground under ".preprocess replaceground"
            smallest_gmin=1e-40,  # as for ngspice, whose diodes Xyce's level 1 repeats
            foreign_operators=("^",),  # exclusive or
        )
    )
    closing: tuple[str, ...] = (".op", ".print dc v(*)")

    def element(self, primitive: Primitive, model: str | None) -> str:
        """Return the line of one element; see :class:`~analogep.spice.dialects.base.Dialect`."""
        parts = words(primitive, model)
        if primitive.letter == "B":
            parts[-1] = f"I={{{parts[-1]}}}"
        if primitive.temperature is not None:
            parts.append(f"temp={number(celsius(primitive.temperature))}")
        return " ".join(parts)

    def model_card(self, name: str, card: Card, temperature: float | None) -> str:
        """Return the ``.model`` line, with ``tnom`` equal to the instances' ``temp``."""
        return shared_model(name, card, {} if temperature is None else {"tnom": celsius(temperature)})

    def options(self, values: Mapping[str, float]) -> str:
        """Return the options of Xyce's device package."""
        return pairs_line(".options device", values)
