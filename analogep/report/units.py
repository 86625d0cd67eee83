"""SI prefixes chosen from the data, for axis labels and numbers in text."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from analogep.errors import InputError

MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
"""Signs for text in figures."""

_SYMBOLS = {
    -30: "q", -27: "r", -24: "y", -21: "z", -18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m",
    0: "",
    3: "k", 6: "M", 9: "G", 12: "T", 15: "P", 18: "E", 21: "Z", 24: "Y", 27: "R", 30: "Q",
}  # fmt: skip
_LOWEST, _HIGHEST = min(_SYMBOLS), max(_SYMBOLS)


class Prefix(NamedTuple):
    """An SI prefix.

    Attributes
    ----------
    factor
        What the prefix stands for; a value is shown as ``value / factor``.
    symbol
        Its symbol, ``""`` for 1.
    """

    factor: float
    symbol: str


def prefix(max_abs: float, power: int = 1) -> Prefix:
    """Return the SI prefix for data whose largest magnitude is ``max_abs``.

    Parameters
    ----------
    max_abs
        Largest magnitude, in the unit without prefix.
    power
        Exponent of the unit: 2 for V², whose prefix is squared with it (1 mV² is 1e-6 V²).

    Returns
    -------
    Prefix
        With ``power`` 1, ``max_abs / factor`` is in [1, 1000) within the range of the prefixes; 0 has none.
        With power 2 it is in [1e-3, 1e3), so that 0.3 V² stays 0.3 V².

    Raises
    ------
    InputError
        If ``max_abs`` is negative or not finite, or ``power`` is neither 1 nor 2.
    """
    if not 0 <= max_abs < math.inf:
        raise InputError(f"largest magnitude {max_abs!r} must be finite and not negative")
    if power not in (1, 2):
        raise InputError(f"power {power!r} of the unit must be 1 or 2")
    if max_abs == 0:
        return Prefix(1.0, "")
    exponent = math.floor(math.log10(max_abs))
    if exponent < 300 and 10.0 ** (exponent + 1) <= max_abs:  # log10 just below a power of ten rounds
        exponent += 1
    step = 3 * math.floor((exponent + (3 if power == 2 else 0)) / (3 * power))
    step = min(max(step, _LOWEST), _HIGHEST)
    return Prefix(10.0 ** (step * power), _SYMBOLS[step])


def fitting(*data: ArrayLike, power: int = 1) -> Prefix:
    """Return the prefix that fits the finite values of some arrays together; none if there are none."""
    arrays = [np.abs(np.asarray(values, dtype=float)).ravel() for values in data]
    finite = [a[np.isfinite(a)].max(initial=0.0) for a in arrays]
    return prefix(float(max(finite, default=0.0)), power)


def quantity(value: float, unit: str, digits: int = 3) -> str:
    """Return a number with ``digits`` significant digits and its unit, for example ``12.3 µS``.

    Parameters
    ----------
    value
        The number, in ``unit``.
    unit
        Unit without prefix.
    digits
        Significant digits, at least 3 so that no integer digit is lost.

    Raises
    ------
    InputError
        If ``digits`` is below 3.
    """
    if digits < 3:
        raise InputError(f"{digits} significant digits are too few; use at least 3")
    if not math.isfinite(value):
        return f"{value} {unit}".replace("-", MINUS)
    rounded = float(f"{value:.{digits - 1}e}")  # first, so that 999.96 µS becomes 1.00 mS
    factor, symbol = prefix(abs(rounded))
    scaled = rounded / factor
    if scaled != 0 and not 0.999 < abs(scaled) < 1000:
        number = f"{scaled:.{digits - 1}e}"  # beyond the prefixes
    else:
        before = 1 if abs(scaled) < 10 else 2 if abs(scaled) < 100 else 3
        number = f"{scaled:.{digits - before}f}" if scaled else "0"
    return f"{number} {symbol}{unit}".replace("-", MINUS)


def axis_label(name: str, unit: str, symbol: str = "") -> str:
    """Return an axis label such as ``Conductance (µS)``; no parentheses for a pure number."""
    return f"{name} ({symbol}{unit})" if symbol or unit else name
