"""The dialect of ngspice (tried with version 39)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analogep.devices.base import Primitive
from analogep.spice.dialects.base import Card, Limits, celsius, number, pairs_line, shared_model, words


@dataclass(frozen=True)
class Ngspice:
    """Spelling of ngspice netlists."""

    name: str = "ngspice"
    limits: Limits = field(
        default=Limits(
            # "temper" is the temperature in expressions; the others are rewritten by ngspice's preprocessor
            # wherever they stand as a word, dots included, and the line is then malformed.
            reserved_nodes=frozenset({"gnd", "temper"}),
            reserved_parts=frozenset({"table", "value", "ac"}),
            # ngspice raises smaller saturation currents to 1e-28 A without a word.
            smallest_saturation=1e-28,
            # With gmin = 0 ngspice's gmin stepping, where it is needed, never ends. 1e-40 S is nothing even
            # beside a saturation current of 1e-28 A.
            smallest_gmin=1e-40,
        )
    )

    closing: tuple[str, ...] = ()

    def element(self, primitive: Primitive, model: str | None) -> str:
        """Return the line of one element; see :class:`~analogep.spice.dialects.base.Dialect`."""
        parts = words(primitive, model)
        if primitive.letter == "B":
            parts[-1] = f"I={parts[-1]}"
        if primitive.temperature is not None:
            parts.append(f"temp={number(celsius(primitive.temperature))}")
        return " ".join(parts)

    def model_card(self, name: str, card: Card, temperature: float | None) -> str:
        """Return the ``.model`` line; see :class:`~analogep.spice.dialects.base.Dialect`.

        ``tnom`` equals the instances' ``temp``, so that no temperature law changes the saturation current.
        """
        return shared_model(name, card, {} if temperature is None else {"tnom": celsius(temperature)})

    def options(self, values: Mapping[str, float]) -> str:
        """Return the ``.options`` line."""
        return pairs_line(".options", values)
