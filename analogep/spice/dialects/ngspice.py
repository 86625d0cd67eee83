"""The dialect of ngspice (tried with version 39)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from analogep.devices.base import Primitive
from analogep.spice.dialects.base import Card, Limits, celsius, number


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

    def element(self, primitive: Primitive, model: str | None) -> str:
        """Return the line of one element; see :class:`~analogep.spice.dialects.base.Dialect`."""
        parts = [primitive.letter + primitive.name, *primitive.nodes]
        if primitive.letter == "B":
            parts.append(f"I={primitive.args[0]}")
        else:
            if model is not None:
                parts.append(model)
            parts += [a if isinstance(a, str) else number(a) for a in primitive.args]
        if primitive.temperature is not None:
            parts.append(f"temp={number(celsius(primitive.temperature))}")
        return " ".join(parts)

    def model_card(self, name: str, card: Card, temperature: float | None) -> str:
        """Return the ``.model`` line; see :class:`~analogep.spice.dialects.base.Dialect`.

        ``tnom`` equals the instances' ``temp``, so that no temperature law changes the saturation current.
        """
        kind, parameters = card
        values = [f"{key}={number(value)}" for key, value in parameters]
        if temperature is not None:
            values.append(f"tnom={number(celsius(temperature))}")
        return f".model {name} {kind}({' '.join(values)})"

    def options(self, values: Mapping[str, float]) -> str:
        """Return the ``.options`` line."""
        return " ".join([".options", *(f"{key}={number(value)}" for key, value in values.items())])
