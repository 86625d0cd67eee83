"""Solutions in which an element carries a current that nothing in the circuit could supply.

Ideal sources, amplifiers or inductors in a row may hold volts across a junction. Its current, of e^100 A, then
runs around that loop, and whatever else enters the loop is lost in its rounding: Kirchhoff's law would seem to
hold at voltages that are wrong. Such samples do not count as solved. Currents into nodes of known voltage, whose
sums nobody asks for, may be as large as they like; yet a law of voltages must have a value there, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Bank
from analogep.devices import MultiPort
from analogep.solve.equations.system import System

Array = NDArray[np.float64]

_TIMES = 1e6
"""How much more than 1 A, and than any linear element and source carries, is still taken for real."""

_BEYOND = 1e6
"""How much more still than that is surely forced by the sources."""


def implausible(system: System, x: Array) -> list[tuple[int, str, float]]:
    """Return sample, element and current [A] wherever unknowns (B, n) give an element an impossible current."""
    model, v = system.model, system.voltages(x)
    nodes = len(model.plan.nodes)
    if not nodes:
        return []
    widest = np.abs(v).max(axis=1, initial=0.0)
    linear = model.linear_diagonal[:nodes].max(initial=0.0) * widest
    source = np.abs(system.offset[:, :nodes]).max(axis=1, initial=0.0)
    most = _TIMES * np.maximum(1.0, np.maximum(linear, source))[:, None]
    found: list[tuple[int, str, float]] = []

    def look(currents: Array, banks: Sequence[Bank]) -> None:
        bad = ~(np.abs(currents) <= most)
        if bad.any():
            names = [name for bank in banks for name in bank.names]
            found.extend((int(s), names[e], float(currents[s, e])) for s, e in np.argwhere(bad))

    with np.errstate(over="ignore", invalid="ignore"):
        across = model.junction_voltages(v)
        if len(model.junction_pins) and not _calm(system, across, float(most.min(initial=np.inf))):
            free = (model.plan.unknown[model.junction_pins] >= 0).any(axis=1)
            look(np.where(free, model.junction_currents(across)[0], 0.0), model.nonlinear)
        for b in model.nonlinear_multiports:
            bank = model.circuit.banks[b]
            assert issubclass(bank.device, MultiPort)
            f, _ = bank.device.stamp(model.local_values(b, v, x), {**bank.values, **system.held.get(b, {})})
            into = np.where(model.plan.unknown[bank.pins] >= 0, f[..., : len(bank.device.pins)], 0.0)
            look(np.abs(into).max(axis=-1), [bank])
    return found


def _calm(system: System, across: Array, most: float) -> bool:
    """Return whether no nonlinear one-port carries more than ``most`` [A] at voltages (B, E) [V].

    Currents of passive laws rise with their voltage, so that the ends of each one's range over the batch decide.
    """
    model = system.model
    if not len(across) or not all(bank.device.passive for bank in model.nonlinear):
        return False
    ends = np.stack([across.min(axis=0), across.max(axis=0)])
    return bool((np.abs(model.junction_currents(ends)[0]) <= most).all())


def forced(system: System) -> NDArray[np.bool_]:
    """Return the samples (B,) whose sources alone force an impossible current through some nonlinear one-port.

    The largest voltage that each may have with a possible current bounds differences of node voltages, ``v_a − v_b
    ≤ u``, and a cycle of such bounds around known voltages that adds up to less than nothing cannot be met
    (Bellman and Ford's algorithm; Cormen et al., Introduction to Algorithms, section 24.4). Whatever the method,
    such a sample has no plausible operating point.
    """
    model, nodes = system.model, len(system.model.plan.nodes)
    plain = (model.t[model.junction_pins] == 1.0) | (model.plan.unknown[model.junction_pins] < 0)
    keep = np.flatnonzero(plain.all(axis=1))
    pins = model.junction_pins[keep]
    found = np.zeros(len(system.known), dtype=bool)
    if not len(pins) or not nodes:
        return found
    at = np.where(model.plan.unknown[pins] >= 0, model.plan.unknown[pins], nodes)
    widest = np.abs(system.known).max(axis=1, initial=0.0)
    linear = model.linear_diagonal[:nodes].max(initial=0.0) * widest
    source = np.abs(system.offset[:, :nodes]).max(axis=1, initial=0.0)
    most = _BEYOND * _TIMES * np.maximum(1.0, np.maximum(linear, source))[:, None]
    known = system.known[:, pins[:, 0]] - system.known[:, pins[:, 1]]
    rise, fall = (
        _largest_voltage(system, sign, most, 4.0 * widest)[:, keep] - sign * known for sign in (1.0, -1.0)
    )
    room = np.concatenate([rise, fall], axis=1)
    a, b = np.concatenate([at, at[:, ::-1]]).T
    distance = np.zeros((len(found), nodes + 1))
    for _ in range(nodes + 2):
        before = distance.copy()
        np.minimum.at(distance.T, a, (before[:, b] + room).T)
    found |= (distance < before - 1e-6).any(axis=1)
    return found


def _largest_voltage(system: System, sign: float, most: Array, widest: Array) -> Array:
    """Return how far (B, E) [V] nonlinear one-ports may be driven to one side before they carry ``most`` (B, 1).

    Infinite where that is beyond ``widest`` (B,) [V].
    """
    shape = (len(widest), len(system.model.junction_pins))
    low, high = np.zeros(shape), np.repeat(widest[:, None], shape[1], axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        never = np.abs(system.junction_currents(sign * high)[0]) <= most
        for _ in range(40):
            middle = 0.5 * (low + high)
            small = np.abs(system.junction_currents(sign * middle)[0]) <= most
            low, high = np.where(small, middle, low), np.where(small, high, middle)
    return np.where(never, np.inf, high)


def lawless(system: System, x: Array) -> str:
    """Return a sentence that names an element whose law has no finite value at unknowns (B, n), or nothing.

    Only elements that state their current as a function of voltages: others have it among the unknowns.
    """
    model, v = system.model, system.voltages(x)
    for b in model.nonlinear_multiports:
        bank = model.circuit.banks[b]
        assert issubclass(bank.device, MultiPort)
        if bank.device.branches:
            continue
        with np.errstate(all="ignore"):
            f, _ = bank.device.stamp(model.local_values(b, v, x), {**bank.values, **system.held.get(b, {})})
        bad = np.argwhere(~np.isfinite(f).all(axis=-1))
        if len(bad):
            sample, element = bad[0]
            return no_value(bank.names[element], f" in sample {sample}")
    return ""


def no_value(name: str, where: str = "") -> str:
    """Return the sentence about an element without a current."""
    return (
        f"The law of {name} has no finite value at its voltages{where}: check what it divides by and takes roots "
        "and logarithms of. "
    )
