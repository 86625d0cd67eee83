"""What every section of a configuration has in common: strict keys, and faults by dotted key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationError

from analogep.errors import ConfigError, Fault

NonNegative = Annotated[NonNegativeFloat, Field(allow_inf_nan=False)]
Positive = Annotated[PositiveFloat, Field(allow_inf_nan=False)]
Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """A section: frozen, and a key that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def validated(model: type[Model], data: Mapping[str, Any], subject: str) -> Model:
    """Return ``data`` as ``model``.

    Raises
    ------
    ConfigError
        With every fault by its dotted key.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(subject, _one_per_key([_fault(e) for e in error.errors()])) from None


def _one_per_key(faults: list[Fault]) -> list[Fault]:
    """Join what pydantic says of each alternative of one entry, such as "a number" or "auto"."""
    joined: dict[str, list[str]] = {}
    for fault in faults:
        joined.setdefault(fault.where, []).append(fault.what)
    return [Fault(where, "; or ".join(whats)) for where, whats in joined.items()]


_ALTERNATIVE = re.compile(r"constrained-\w+|literal\[.*|kind=.*")  # names for the members of a union


def alternative(kind: str) -> str:
    """Return the name for one kind of a section, which messages leave out."""
    return f"kind={kind}"


def _fault(error: Any) -> Fault:
    keys = [str(part) for part in error["loc"] if not _ALTERNATIVE.fullmatch(str(part))]
    where = ".".join(keys) or "configuration"
    if error["type"] == "extra_forbidden":
        return Fault(where, "unknown key; check its spelling and section")
    if error["type"] == "missing":
        return Fault(where, "missing")
    message = error["msg"].removeprefix("Value error, ")
    value = error.get("input")
    shown = f" (got {value!r})" if isinstance(value, (str, int, float, bool)) else ""
    return Fault(where, message[:1].lower() + message[1:] + shown)
