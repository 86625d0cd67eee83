"""Waveforms of V and I lines, with ngspice's rules for what is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analogep.devices.sources.waveforms import PiecewiseLinear, Pulse, Sine, Waveform
from analogep.spice.text.analyses import Analysis, Transient
from analogep.spice.text.statements import Statement


def waveform(statement: Statement, analyses: Sequence[Analysis]) -> Waveform:
    """Return the waveform of a source's line.

    An edge of a pulse that is left out or 0 takes the printing step of ``.tran``, as in ngspice; without
    ``.tran`` it takes no time. A width or period that is left out or 0 has no end, and a sine without
    frequency has one period in the time of ``.tran``.

    Raises
    ------
    ValueError
        If the number of arguments does not fit.
    CircuitError
        If their values do not.
    """
    assert statement.waveform is not None
    keyword, numbers = statement.waveform
    run = next((a for a in analyses if isinstance(a, Transient)), None)
    least, most = {"pulse": (2, 7), "sin": (2, 6), "pwl": (2, math.inf)}[keyword]
    if not least <= len(numbers) <= most:
        raise ValueError(f"{keyword} has {len(numbers)} arguments; expected at least {least} and at most {most}")
    if keyword == "pwl":
        if len(numbers) % 2:
            raise ValueError("pwl needs a value for each time")
        return PiecewiseLinear(numbers[::2], numbers[1::2])
    if keyword == "sin":
        offset, amplitude, frequency, *rest = (*numbers, 0.0)[: max(3, len(numbers))]
        if frequency == 0.0:
            if run is None:
                raise ValueError("sin has no frequency, and there is no .tran whose time could be its period")
            frequency = 1.0 / run.stop
        return Sine(offset, amplitude, frequency, *rest)
    initial, pulsed, delay, rise, fall, width, period = (*numbers, *[0.0] * (7 - len(numbers)))
    edge = run.step if run is not None else 0.0
    return Pulse(initial, pulsed, delay, rise or edge, fall or edge, width or math.inf, period or math.inf)
