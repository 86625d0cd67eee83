"""``--set key=value``: changes of a configuration from the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from analogep.errors import ConfigError, Fault
from analogep.training.configuration.config import TrainConfig, load_config


def configured(source: str, changes: Sequence[str]) -> TrainConfig:
    """Return the configuration in ``source`` with ``changes`` applied.

    Raises
    ------
    ConfigError
        If the file or a change is faulty.
    """
    config = load_config(source)
    return config.changed(**nested(changes)) if changes else config


def nested(changes: Sequence[str]) -> dict[str, Any]:
    """Return KEY=VALUE texts as nested mappings.

    Raises
    ------
    ConfigError
        With every text that is none, or contradicts an earlier one.
    """
    found: dict[str, Any] = {}
    faults = []
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            faults.append(Fault(change, "is not KEY=VALUE"))
            continue
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # a bare word is a string
        place = found
        *parents, last = _parts(key.strip())
        for part in parents:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                faults.append(Fault(change, "contradicts an earlier change"))
                place = {}
        place[last] = value
    if faults:
        raise ConfigError("--set", faults)
    return found


def _parts(key: str) -> list[str]:
    """Split a dotted key; the keys of rates and bounds contain a dot themselves."""
    parts = key.split(".")
    if len(parts) > 3 and parts[:2] in (["training", "rates"], ["training", "bounds"]):
        return [*parts[:2], ".".join(parts[2:])]
    return parts
