"""Values of independent sources over time: SPICE's PULSE, SIN and PWL.

The semantics are ngspice's (manual, chapter 4, "Independent sources for voltage or current"), with one more
freedom: an edge may take no time at all, which is a jump. Times are in seconds from the start of the
transient, values in the source's own unit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.errors import CircuitError, Fault, InputError
from analogep.kinds import is_number, require_parts, shown

Array = NDArray[np.float64]

SPICE_EDGE = 1e-15
"""Time [s] that an instant edge or plateau takes in SPICE, where zero stands for the printing step."""

_MOST_PULSES = 1e6
_ROUNDING = 8.0 * float(np.finfo(float).eps)


class Waveform(ABC):
    """A source's value as a function of time.

    Attributes
    ----------
    kind
        Its keyword in SPICE, in lower case.
    """

    kind: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        require_parts(cls, "waveform", [] if hasattr(cls, "kind") else ["kind"])

    @abstractmethod
    def value(self, t: ArrayLike, *, before: bool = False) -> Array:
        """Return the value at each time [s], of ``t``'s shape.

        At a jump it is the value just after, or just ``before``.
        """

    @abstractmethod
    def corners(self, end: float) -> Array:
        """Return the times in (0, end] [s] where value or slope jumps, ascending.

        Raises
        ------
        InputError
            If there is no end to them, or too many.
        """

    @abstractmethod
    def rest(self) -> float:
        """Return the time [s] from which on the value stays the same; infinite for one that never rests."""

    @abstractmethod
    def spice(self) -> tuple[str, tuple[float, ...]]:
        """Return keyword and arguments as ngspice takes them; jumps become edges of ``SPICE_EDGE``."""

    def pace(self) -> float:
        """Return the longest step [s] that cannot overlook a whole swing; infinite between straight pieces."""
        return math.inf

    def faults(self) -> list[Fault]:
        """Return the faults of this waveform's arguments, by name."""
        return []

    def __post_init__(self) -> None:
        faults = [
            Fault(f.name, f"{shown(value)} is not a number; give a value like 1e-6")
            for f in fields(self)  # type: ignore[arg-type]
            if f.type == "float" and not _is_number(value := getattr(self, f.name))
        ]
        faults = faults or self.faults()
        if faults:
            raise CircuitError(f"waveform {self.kind}", faults)


def _is_number(value: object) -> bool:
    return is_number(value) and not math.isnan(float(value))  # type: ignore[arg-type]


def _finite(waveform: Waveform, *names: str) -> list[Fault]:
    found = [(name, getattr(waveform, name)) for name in names]
    return [Fault(n, f"{v:g} is not finite; give a finite number") for n, v in found if not math.isfinite(v)]


def _inside(times: Array, end: float) -> Array:
    """Return the different ones of ``times`` within (0, end]; what differs by rounding is the same."""
    inside = np.unique(times[(times > 0.0) & (times <= end)])
    out: Array = inside[np.diff(inside, prepend=0.0) > _ROUNDING * inside]
    return out


@dataclass(frozen=True)
class Pulse(Waveform):
    """Trapezoidal pulse, repeated with a period; SPICE ``PULSE``.

    Attributes
    ----------
    initial, pulsed
        The two values.
    delay
        Start of the first rising edge [s]; negative if the pulse is under way at time zero.
    rise, fall
        Lengths of the edges [s]; zero for a jump.
    width
        Length of the plateau at ``pulsed`` [s].
    period
        From one rising edge to the next [s]; a pulse that is longer than its period is cut off by the next.

    Raises
    ------
    CircuitError
        If a time is negative, the period is not positive, or a number is not finite where it must be.
    """

    kind: ClassVar[str] = "pulse"
    initial: float
    pulsed: float
    delay: float = 0.0
    rise: float = 0.0
    fall: float = 0.0
    width: float = math.inf
    period: float = math.inf

    def faults(self) -> list[Fault]:
        """See :meth:`Waveform.faults`."""
        found = _finite(self, "initial", "pulsed", "delay", "rise", "fall")
        for name in ("rise", "fall", "width"):
            if (value := getattr(self, name)) < 0.0:
                found.append(Fault(name, f"{value:g} s is negative; give zero (a jump) or more"))
        if self.period <= 0.0:
            found.append(Fault("period", f"{self.period:g} s must be positive; leave it out for a single pulse"))
        return found

    def value(self, t: ArrayLike, *, before: bool = False) -> Array:
        """See :meth:`Waveform.value`."""
        t = np.asarray(t, float)
        s = t - self.delay
        near = _ROUNDING * np.maximum(np.abs(t), abs(self.delay))  # corners are sums of times, and round
        s = np.where(np.abs(s) <= near, 0.0, s)
        running = s > 0.0 if before else s >= 0.0
        if math.isfinite(self.period):
            cycles = np.maximum(np.floor((s + near) / self.period), 0.0)
            rest = np.where(s - cycles * self.period <= near, 0.0, s - cycles * self.period)
            s = np.where((rest == 0.0) & (cycles > 0.0), self.period, rest) if before else rest
        top = self.rise + self.width
        knots = (0.0, self.rise, top, top + self.fall)
        for knot in knots:
            s = np.where(np.abs(s - knot) <= near, knot, s)
        place = np.zeros(s.shape, dtype=np.int64)
        for knot in knots:
            place += s > knot if before else s >= knot
        swing = self.pulsed - self.initial
        with np.errstate(divide="ignore", invalid="ignore"):  # in the branches that are not taken
            up = self.initial + swing * (s / self.rise)
            down = self.pulsed - swing * ((s - top) / self.fall) if math.isfinite(top) else np.full_like(s, np.nan)
        low = np.full_like(s, self.initial)
        inside = np.choose(place, [low, up, np.full_like(s, self.pulsed), down, low])
        out: Array = np.where(running, inside, self.initial)
        return out

    def _knots(self) -> Array:
        """Return the times of the corners of one pulse, from its start."""
        top = self.rise + self.width
        knots = np.array([0.0, self.rise, top, top + self.fall])
        out: Array = knots[np.isfinite(knots) & (knots < self.period)]
        return out

    def corners(self, end: float) -> Array:
        """See :meth:`Waveform.corners`."""
        starts = np.array([self.delay])
        if math.isfinite(self.period):
            if math.isinf(end):
                raise InputError(f"a pulse of period {self.period:g} s never ends; give an end time")
            first = max(0.0, math.floor(-self.delay / self.period) - 1.0)
            last = max(0.0, math.floor((end - self.delay) / self.period))
            if last - first > _MOST_PULSES:
                raise InputError(
                    f"a pulse of period {self.period:g} s repeats {last - first:.2g} times until {end:g} s, more "
                    f"than {_MOST_PULSES:g}; give an earlier end or a longer period"
                )
            starts = self.delay + self.period * np.arange(first, last + 1.0)
        return _inside((starts[:, None] + self._knots()).ravel(), end)

    def rest(self) -> float:
        """See :meth:`Waveform.rest`."""
        if self.initial == self.pulsed:
            return 0.0
        return math.inf if math.isfinite(self.period) else max(0.0, self.delay + float(self._knots()[-1]))

    def spice(self) -> tuple[str, tuple[float, ...]]:
        """See :meth:`Waveform.spice`."""
        arguments = [self.initial, self.pulsed, self.delay]
        arguments += [max(self.rise, SPICE_EDGE), max(self.fall, SPICE_EDGE)]
        width = min(self.width, self.period)
        if math.isfinite(width):
            arguments.append(max(width, SPICE_EDGE))
        if math.isfinite(self.period):
            arguments.append(self.period)
        return "PULSE", tuple(map(float, arguments))


@dataclass(frozen=True)
class Sine(Waveform):
    """Damped sine, offset + amplitude · sin(2π f (t − delay) + phase) · exp(−damping (t − delay)); SPICE ``SIN``.

    Before the delay, the value stands at offset + amplitude · sin(phase).

    Attributes
    ----------
    offset, amplitude
        Of the sine.
    frequency
        Frequency f [Hz].
    delay
        Start of the oscillation [s].
    damping
        Rate at which the amplitude decays [1/s].
    phase
        Phase at the delay [degrees].

    Raises
    ------
    CircuitError
        If a number is not finite, or the frequency is not positive.
    """

    kind: ClassVar[str] = "sin"
    offset: float
    amplitude: float
    frequency: float
    delay: float = 0.0
    damping: float = 0.0
    phase: float = 0.0

    def faults(self) -> list[Fault]:
        """See :meth:`Waveform.faults`."""
        found = _finite(self, *(f.name for f in fields(self)))
        if not self.frequency > 0.0:
            found.append(Fault("frequency", f"{self.frequency:g} Hz must be positive"))
        return found

    def value(self, t: ArrayLike, *, before: bool = False) -> Array:
        """See :meth:`Waveform.value`."""
        s = np.maximum(np.asarray(t, float) - self.delay, 0.0)
        wave = np.sin(2.0 * math.pi * self.frequency * s + math.radians(self.phase))
        out: Array = self.offset + self.amplitude * wave * np.exp(-self.damping * s)
        return out

    def corners(self, end: float) -> Array:
        """See :meth:`Waveform.corners`."""
        return _inside(np.array([self.delay]), end)

    def rest(self) -> float:
        """See :meth:`Waveform.rest`."""
        return 0.0 if self.amplitude == 0.0 else math.inf

    def pace(self) -> float:
        """See :meth:`Waveform.pace`."""
        return 0.05 / self.frequency if self.amplitude else math.inf

    def spice(self) -> tuple[str, tuple[float, ...]]:
        """See :meth:`Waveform.spice`."""
        return "SIN", tuple(float(getattr(self, f.name)) for f in fields(self))


@dataclass(frozen=True)
class PiecewiseLinear(Waveform):
    """Straight lines between points, constant before the first and after the last; SPICE ``PWL``.

    Attributes
    ----------
    times
        Times of the points [s], ascending; the same time twice is a jump.
    values
        Value at each point.

    Raises
    ------
    CircuitError
        If the lengths differ, times go back, or a number is not finite.
    """

    kind: ClassVar[str] = "pwl"
    times: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("times", "values"):
            given = getattr(self, name)
            try:
                numbers = tuple(float(v) for v in given if is_number(v))
                if len(numbers) != len(given):
                    raise TypeError
            except TypeError:
                fault = Fault(name, f"{shown(given)} is not a list of numbers; give e.g. (0.0, 1e-6)")
                raise CircuitError(f"waveform {self.kind}", [fault]) from None
            object.__setattr__(self, name, numbers)
        super().__post_init__()

    def faults(self) -> list[Fault]:
        """See :meth:`Waveform.faults`."""
        times, values = np.array(self.times), np.array(self.values)
        if len(times) != len(values) or not len(times):
            what = f"{len(times)} times and {len(values)} values; give as many of each, at least one"
            return [Fault("times, values", what)]
        found = []
        for name, array in (("times", times), ("values", values)):
            for k in np.flatnonzero(~np.isfinite(array)):
                found.append(Fault(f"{name}[{k}]", f"{array[k]:g} is not finite; give a finite number"))
        for k in 1 + np.flatnonzero(np.diff(times) < 0.0):
            found.append(Fault(f"times[{k}]", f"{times[k]:g} s comes after {times[k - 1]:g} s; sort the points"))
        for k in 2 + np.flatnonzero((times[2:] == times[1:-1]) & (times[1:-1] == times[:-2])):
            found.append(Fault(f"times[{k}]", f"{times[k]:g} s appears three times; a jump needs two points"))
        return found

    def value(self, t: ArrayLike, *, before: bool = False) -> Array:
        """See :meth:`Waveform.value`."""
        s = np.asarray(t, float)
        times, values = np.array(self.times), np.array(self.values)
        k = np.searchsorted(times, s, side="left" if before else "right")
        low, high = np.maximum(k - 1, 0), np.minimum(k, len(times) - 1)
        span = times[high] - times[low]
        part = np.where(span > 0.0, (s - times[low]) / np.where(span > 0.0, span, 1.0), 0.0)
        out: Array = values[low] + part * (values[high] - values[low])
        return out

    def corners(self, end: float) -> Array:
        """See :meth:`Waveform.corners`."""
        return _inside(np.array(self.times), end)

    def rest(self) -> float:
        """See :meth:`Waveform.rest`."""
        if len(set(self.values)) == 1:
            return 0.0
        return max(0.0, self.times[-1])

    def spice(self) -> tuple[str, tuple[float, ...]]:
        """See :meth:`Waveform.spice`."""
        times = np.array(self.times)
        times[1:] += SPICE_EDGE * (np.diff(times) == 0.0)
        return "PWL", tuple(float(v) for v in np.stack([times, self.values], axis=1).ravel())


WAVEFORMS: dict[str, type[Waveform]] = {w.kind: w for w in (Pulse, Sine, PiecewiseLinear)}
"""Every waveform, by its ``kind``."""
