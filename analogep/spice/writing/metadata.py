"""Structured comments: what a netlist says to analogep and to no simulator.

Each begins with ``*@`` and a keyword, and continues on lines that begin with ``*@+``::

    *@ analogep 1                              format version
    *@ inputs given|unset NODE...              the V sources that follow clamp these nodes
    *@ outputs NODE PLUS,MINUS ...             observed nodes and pairs
    *@ crossbar NAME trainable|fixed R C NODE...   R row nodes, C column nodes; its resistors follow
    *@ transconductance NAME trainable|fixed symmetric|forward|both R C NODE...   likewise; G sources follow
    *@ bank NAME KIND [prefixed|marked] [trainable=PARAMETER,...]   its elements follow
    *@ open NAME P N [SIEMENS]                 a resistor of no conductance, or of one whose 1/g overflows
    *@ element NAME NODE... KEY=VALUE...       one device; the SPICE elements that stand for it follow
    *@ waveform NAME KIND NUMBER...            the exact waveform of the source on the next line
    *@ exact conductance DIGITS                one digit per resistor of the section, see below
    *@ nudge conductance|current               the elements that follow are the nudge
    *@ gmin SIEMENS                            the shunt that .options gmin stands for, where that is too small
    *@ layer NAME                              the subcircuit that follows stands for its lines, see layers.py
    *@ end                                     what follows belongs to no section

A resistor's value is 1/g rounded, and 1/(1/g) can miss g by one unit in the last place: the digits of
``exact`` say by how much (``.`` none, ``+`` and ``-`` one unit up and down). The
KIND of a behavioural source is ``behavioural_current:CONTROLS:EXPRESSION``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from analogep.devices import Device, PiecewiseLinear, Waveform, device_name
from analogep.devices.sources.waveforms import WAVEFORMS
from analogep.errors import CircuitError

Array = NDArray[np.float64]

MARK = "*@"
CONTINUED = "*@+"
VERSION = "1"
_WIDTH = 110
KINDS = ("symmetric", "forward", "both")
"""Kinds of couplings by transconductance: one matrix for both directions, one direction, two matrices."""

_DIGITS = {0: ".", 1: "+", -1: "-"}


def comment(*fields: str) -> list[str]:
    """Return the lines of one structured comment, wrapped between fields."""
    lines, line = [], MARK
    for field in fields:
        if len(line) + len(field) >= _WIDTH and line not in (MARK, CONTINUED):
            lines.append(line)
            line = CONTINUED
        line += f" {field}"
    return [*lines, line]


def exact_comment(conductance: Array) -> list[str]:
    """Return the ``exact`` comment for conductances (E,) [S] written as 1/g, or none if all are exact."""
    g = np.asarray(conductance, float)
    back = 1.0 / (1.0 / g)
    if np.array_equal(g, back):
        return []
    steps = np.zeros(len(g), np.int64)
    steps[np.nextafter(back, np.inf) == g] = 1
    steps[np.nextafter(back, 0.0) == g] = -1
    text = np.array([ord(_DIGITS[k]) for k in (0, 1, -1)], np.uint8)[steps].tobytes().decode()
    chunks = (text[i : i + _WIDTH - 4] for i in range(0, len(text), _WIDTH - 4))
    return comment("exact", "conductance", *chunks)


def apply_exact(conductance: Array, digits: str) -> Array:
    """Undo the rounding of 1/(1/g) with the digits of an ``exact`` comment.

    Raises
    ------
    ValueError
        If there is not one legal digit per conductance.
    """
    if len(digits) != len(conductance):
        raise ValueError(f"{len(digits)} digits for {len(conductance)} resistors")
    if set(digits) - set(_DIGITS.values()):
        raise ValueError("digits other than '.', '+' and '-'")
    marks = np.frombuffer(digits.encode(), np.uint8)
    up, down = marks == ord("+"), marks == ord("-")
    out = np.where(up, np.nextafter(conductance, np.inf), conductance)
    return np.where(down, np.nextafter(conductance, 0.0), out)


def waveform_comment(name: str, waveform: Waveform) -> list[str]:
    """Return the comment with a waveform's own numbers, of which SPICE cannot have instant edges or infinities."""
    if isinstance(waveform, PiecewiseLinear):
        numbers = [*waveform.times, *waveform.values]
    else:
        numbers = [getattr(waveform, field.name) for field in fields(waveform)]  # type: ignore[arg-type]
    return comment("waveform", name, waveform.kind, *(f"{x:.17g}" for x in numbers))


def read_waveform(words: list[str]) -> tuple[str, Waveform]:
    """Return name and waveform of the fields of a ``waveform`` comment.

    Raises
    ------
    ValueError
        If it is malformed.
    """
    if len(words) < 4 or words[2] not in WAVEFORMS:
        raise ValueError(f"waveform: expected a name, one of {', '.join(WAVEFORMS)} and its numbers")
    try:
        numbers = [float(word) for word in words[3:]]
        kind, half = WAVEFORMS[words[2]], len(numbers) // 2
        if kind is PiecewiseLinear:
            return words[1], PiecewiseLinear(tuple(numbers[:half]), tuple(numbers[half:]))
        return words[1], kind(*numbers)
    except (TypeError, ValueError, CircuitError) as error:
        raise ValueError(f"waveform {words[1]}: {error}") from None


def bank_comment(name: str, device: type[Device], style: str, trainable: Iterable[str]) -> list[str]:
    """Return the comment that opens a bank's section; ``style`` as in :func:`~.primitives.naming`."""
    flags = [] if style == "plain" else [style]
    keys = ",".join(sorted(trainable))
    if keys:
        flags.append(f"trainable={keys}")
    return comment("bank", name, device_name(device), *flags)
