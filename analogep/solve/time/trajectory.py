"""What a transient is asked for and what it returns: its options, the record of its points, the trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.kinds import ByValue, checked
from analogep.solve import checks
from analogep.solve.answers.solution import Solution
from analogep.solve.time.integrators import METHODS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TransientOptions:
    """Method and tolerances of the integrator.

    Attributes
    ----------
    absolute, relative
        Local error allowed per step, ``absolute`` [V] + ``relative`` · |v|. A switch is caught within
        ``absolute`` of where it changes its state.
    current_absolute
        The same for inductor currents [A], beside ``relative`` · |i|.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own: the integrator of the
        leaky integrator. Zero leaves such nodes without memory.
    max_steps
        Accepted and rejected steps before giving up.
    method
        ``"tr-bdf2"``, ``"trapezoidal"`` or ``"bdf2"``; see :mod:`analogep.solve.time.integrators`.
    step
        Length of every step [s], shortened only to end on corners and events; ``None`` lets the local error
        decide.
    max_step
        Longest step [s]; ``None`` sets no limit beside that of the local error.

    Raises
    ------
    InputError
        If the method is unknown or a number out of its range: names all such fields.
    """

    absolute: float = 1e-6
    relative: float = 1e-4
    current_absolute: float = 1e-9
    node_capacitance: float = 1e-12
    max_steps: int = 100_000
    method: str = "tr-bdf2"
    step: float | None = None
    max_step: float | None = None

    def __post_init__(self) -> None:
        step, longest = self.step, self.max_step
        checks.require(
            self,
            (
                ("absolute", checks.positive(self.absolute), "positive volts"),
                ("relative", checks.not_negative(self.relative), "zero or a small fraction"),
                ("current_absolute", checks.positive(self.current_absolute), "positive amperes"),
                ("node_capacitance", checks.not_negative(self.node_capacitance), "zero or positive farads"),
                ("max_steps", checks.count(self.max_steps), "a whole number of at least 1"),
                ("method", checks.word(self.method, METHODS), f"one of {', '.join(METHODS)}"),
                ("step", step is None or checks.positive(step), "a positive time in seconds, or None"),
                (
                    "max_step",
                    longest is None or checks.positive(longest, infinite=True),
                    "a positive time in seconds, or None",
                ),
            ),
        )


@dataclass(frozen=True, eq=False)
class Trajectory(ByValue):
    """Voltages over time.

    Attributes
    ----------
    times
        Time points (T,) [s], from 0, or those that were asked for. Where voltages jump there are two points
        at one time, before and after.
    voltages
        Node voltages (T, B, N) [V].
    solution
        The last point as a solution; converged only if it is an equilibrium.
    steps, rejected
        Accepted and rejected steps.
    branches
        Branch currents (T, B, E, K) [A] of multi-port banks, by bank index: those of inductors, for instance.
    """

    times: Array
    voltages: Array
    solution: Solution
    steps: int
    rejected: int
    branches: Mapping[int, Array]

    @checked()
    def voltage(self, node: str) -> Array:
        """Return the voltages (T, B) [V] of a node; raises :class:`InputError` if there is none."""
        out: Array = self.voltages[:, :, self.solution.circuit.node(node)]
        return out

    @checked()
    def current(self, element: str) -> Array:
        """Return the currents (T, B) [A] of an element that has one of its own, such as an inductor.

        Raises
        ------
        InputError
            If no element of that name has a branch current.
        """
        banks = self.solution.circuit.banks
        for b, currents in self.branches.items():
            if element in banks[b].names and currents.shape[-1]:
                out: Array = currents[:, :, banks[b].names.index(element), 0]
                return out
        raise InputError(f"{element!r} has no branch current; an inductor has one, say")


@dataclass(frozen=True)
class Stored:
    """What elements hold at the start of a transient, whatever the voltages of sources are just then.

    Attributes
    ----------
    voltages
        Node voltages (B, N) [V] that give every element the charge it starts with.
    across
        Voltages (E,) [V] of capacitors that start at their own, by bank index; NaN for those that do not.
    branches
        Branch currents (B, E, K) [A], of inductors, by bank index; zero where missing.
    """

    voltages: Array
    across: Mapping[int, Array] = field(default_factory=dict)
    branches: Mapping[int, Array] = field(default_factory=dict)


class Record:
    """Collects points, of every step or at the times that were asked for."""

    def __init__(self, wanted: Array | None) -> None:
        self.wanted, self.next = wanted, 0
        self.times: list[float] = []
        self.voltages: list[Array] = []
        self.x: list[Array] = []

    def add(self, t: float, voltages: Array, x: Array) -> None:
        """Add the voltages (B, N) [V] and unknowns (B, n) at a time [s]."""
        self.times.append(t)
        self.voltages.append(voltages)
        self.x.append(x)

    def due(self, t: float) -> list[float]:
        """Return the times up to t that are still to come, and count them as done."""
        assert self.wanted is not None
        last = int(np.searchsorted(self.wanted, t, side="right"))
        out = [float(w) for w in self.wanted[self.next : last]]
        self.next = max(last, self.next)
        return out

    def jump(self, t: float, voltages: Array, x: Array) -> None:
        """Add the point just after a jump."""
        if self.wanted is None:
            self.add(t, voltages, x)
        elif self.times and self.times[-1] == t:
            self.voltages[-1], self.x[-1] = voltages, x
