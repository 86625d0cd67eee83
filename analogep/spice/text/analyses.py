"""What a netlist asks to be computed: ``.op``, ``.dc`` and ``.tran``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analogep.spice.text.lexer import Place
from analogep.spice.text.words import number_of

_MOST_POINTS = 10_000_000


@dataclass(frozen=True)
class OperatingPoint:
    """``.op``: one operating point."""


@dataclass(frozen=True)
class Axis:
    """One swept source of a ``.dc`` line.

    Attributes
    ----------
    source
        Its name as written.
    start, stop, step
        First value, bound of the last, and their distance [V] or [A].
    """

    source: str
    start: float
    stop: float
    step: float

    @property
    def values(self) -> NDArray[np.float64]:
        """All values (S,) [V] or [A]; the last lies within a billionth of a step of ``stop`` or before it."""
        count = math.floor((self.stop - self.start) / self.step + 1e-9) + 1
        return np.asarray(self.start + self.step * np.arange(count), dtype=float)


@dataclass(frozen=True)
class Sweep:
    """``.dc``: operating points along one source, or two, of which the first moves fastest.

    Attributes
    ----------
    axes
        The sources.
    place
        Where the line stands, for messages.
    """

    axes: tuple[Axis, ...]
    place: Place | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Transient:
    """``.tran``: the circuit over time.

    Attributes
    ----------
    step, stop, start
        Distance of the printed times, their end and their beginning [s]; time itself begins at 0.
    longest
        Longest step of the integration [s]; ``None`` leaves it to the integrator.
    from_initial
        Whether it starts from initial conditions (``uic``), not from the operating point.
    """

    step: float
    stop: float
    start: float = 0.0
    longest: float | None = None
    from_initial: bool = False

    @property
    def times(self) -> NDArray[np.float64]:
        """The printed times (S,) [s]; one within a billionth of a step of ``stop`` is ``stop``."""
        count = math.floor((self.stop - self.start) / self.step + 1e-9) + 1
        times = np.asarray(self.start + self.step * np.arange(count), dtype=float)
        if abs(times[-1] - self.stop) <= 1e-9 * self.step:
            times[-1] = self.stop
        return times


Analysis = OperatingPoint | Sweep | Transient


def read_analysis(words: list[str], parameters: Mapping[str, float], place: Place | None = None) -> Analysis:
    """Return what a ``.op``, ``.dc`` or ``.tran`` line at ``place`` asks for.

    Raises
    ------
    ValueError
        If its arguments do not fit.
    """
    word = words[0].lower()
    if word == ".op":
        if len(words) > 1:
            raise ValueError(f".op takes no arguments, not {words[1]!r}")
        return OperatingPoint()
    return _sweep(words[1:], parameters, place) if word == ".dc" else _transient(words[1:], parameters)


def _sweep(words: list[str], parameters: Mapping[str, float], place: Place | None) -> Sweep:
    if len(words) not in (4, 8):
        raise ValueError(".dc: expected a source, start, stop and step, once or twice")
    axes = []
    for at in range(0, len(words), 4):
        source = words[at]
        if source[0] not in "vViI":
            raise ValueError(f".dc: {source} is no V or I source; sweep a source, or call analogep.dc_sweep")
        start, stop, step = (number_of(w, parameters) for w in words[at + 1 : at + 4])
        if step == 0.0 or (stop - start) / step < 0.0:
            raise ValueError(f".dc: step {step:g} does not lead from {start:g} to {stop:g}")
        axes.append(Axis(source, start, stop, step))
    if len({axis.source.lower() for axis in axes}) < len(axes):
        raise ValueError(f".dc: {axes[0].source} is swept twice")
    points = math.prod((axis.stop - axis.start) / axis.step + 1.0 for axis in axes)
    if not points <= _MOST_POINTS:
        raise ValueError(f".dc: more than {_MOST_POINTS} points")
    return Sweep(tuple(axes), place)


def _transient(words: list[str], parameters: Mapping[str, float]) -> Transient:
    uic = words[-1:] != [] and words[-1].lower() == "uic"
    words = words[:-1] if uic else words
    if not 2 <= len(words) <= 4:
        raise ValueError(".tran: expected a step and an end, then a start, a longest step and uic if needed")
    step, stop, *rest = (number_of(w, parameters) for w in words)
    start = rest[0] if rest else 0.0
    longest = rest[1] if len(rest) > 1 and rest[1] != 0.0 else None
    if not (step > 0.0 and stop > start >= 0.0 and (longest is None or longest > 0.0)):
        raise ValueError(".tran: needs step > 0, end > start >= 0 and a positive longest step")
    if not (stop - start) / step <= _MOST_POINTS:
        raise ValueError(f".tran: more than {_MOST_POINTS} points")
    return Transient(step, stop, start, longest, uic)
