"""Checks of options: one error that names every field that is wrong, its value and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeGuard

import numpy as np

from analogep.errors import InputError
from analogep.kinds import is_number


def positive(value: object, *, infinite: bool = False) -> bool:
    """Return whether a value is a number above zero, and finite unless it may be infinite."""
    return _number(value) and float(value) > 0.0 and (infinite or float(value) < math.inf)


def not_negative(value: object) -> bool:
    """Return whether a value is a finite number of zero or more."""
    return _number(value) and 0.0 <= float(value) < math.inf


def count(value: object) -> bool:
    """Return whether a value is a whole number of one or more."""
    return _number(value) and not isinstance(value, (float, np.floating)) and 1 <= value < 2**63


def word(value: object, known: Iterable[str]) -> bool:
    """Return whether a value is one of the words that are known."""
    return isinstance(value, str) and value in known


def require(options: object, fields: Sequence[tuple[str, bool, str]]) -> None:
    """Raise :class:`InputError` with all fields of ``options`` that are not right.

    Parameters
    ----------
    options
        The options.
    fields
        For each field its name, whether it is right, and what to give instead.
    """
    faults = [f"{name} = {getattr(options, name)!r}; give {remedy}" for name, right, remedy in fields if not right]
    if faults:
        raise InputError(f"{type(options).__name__}: {'. '.join(faults)}")


def _number(value: object) -> TypeGuard[float]:
    return is_number(value)
