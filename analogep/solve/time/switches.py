"""Elements that remember (switches): frozen during a step of a transient, changed between steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from analogep.devices import MultiPort
from analogep.solve.equations.system import System

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_BISECTIONS = 50
_CLOSE = 1e-3  # of the tolerance, between which a change is caught
_MANY = 30  # changes of an element in a row that make one look at it
_FEW = 100.0  # tolerances
_FADED = 0.2  # of moves and intervals


class States:
    """The states of all elements that have one, in every sample.

    Parameters
    ----------
    system
        The system whose elements are frozen in these states.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        circuit = system.model.circuit
        self.banks: dict[int, type[MultiPort]] = {}
        self.now: dict[int, Array] = {}
        self.last = ""  # element that changed last
        self.changes: dict[tuple[int, int, int], deque[tuple[float, Array]]] = {}
        for b in system.model.plan.multiport_banks:
            device = circuit.banks[b].device
            if issubclass(device, MultiPort) and device.state is not None:
                self.banks[b] = device
                first = circuit.banks[b].values[device.state]
                self.now[b] = np.repeat(first[None], len(system.inputs), axis=0)

    def __bool__(self) -> bool:
        return bool(self.banks)

    def freeze(self) -> None:
        """Let the elements keep their states wherever their voltages go."""
        for b, device in self.banks.items():
            self.system.held[b] = device.held(self.now[b], self.system.model.circuit.banks[b].values)

    def take(self, states: Mapping[int, Mapping[str, Array]]) -> None:
        """Go on from the states of a solution, where they fit; see :attr:`Solution.states`."""
        for b, device in self.banks.items():
            found = states.get(b, {}).get(device.state or "")
            if found is not None and found.shape == self.now[b].shape:
                self.now[b] = found

    def _local(self, b: int, voltages: Array, x: Array) -> Array:
        return self.system.model.local_values(b, voltages, x)

    def _next(self, b: int, z: Array) -> Array:
        device, values = self.banks[b], self.system.model.circuit.banks[b].values
        assert device.state is not None
        return device.next_state(z, {**values, device.state: self.now[b]})

    def changed(self, voltages: Array, x: Array) -> dict[int, NDArray[np.bool_]]:
        """Return which elements (B, E) of each bank would change state there; empty if none would."""
        found = {b: self._next(b, self._local(b, voltages, x)) != self.now[b] for b in self.banks}
        return {b: flags for b, flags in found.items() if flags.any()}

    def update(self, voltages: Array, x: Array, now: float) -> bool:
        """Take on the states that belong to these voltages at a time [s]; return whether any changed."""
        changed = self.changed(voltages, x)
        if not changed:
            return False
        for b, flags in changed.items():
            z = self._local(b, voltages, x)
            self.now[b] = self._next(b, z)
            for s, e in np.argwhere(flags):
                self.last = self.system.model.circuit.banks[b].names[e]
                kept = self.changes.setdefault((int(s), b, int(e)), deque(maxlen=_MANY))
                kept.append((now, z[s, e, : len(self.banks[b].pins)]))
        self.freeze()
        return True

    def restless(self, end: float, tolerance: float, most: float) -> str:
        """Return a sentence about an element that changes its state again and again while time stands still.

        Parameters
        ----------
        end
            Time [s] up to which there is to be a result.
        tolerance
            Change of voltages [V] that is nothing.
        most
            Changes that would be too many.

        Returns
        -------
        str
            Empty if there is none: if the last changes of each element were more than a few tolerances apart, not
            so close in time that there would be too many of them, and did not follow each other ever faster over
            ever less.
        """
        for (_, b, e), kept in self.changes.items():
            if len(kept) < _MANY:
                continue
            moves = np.abs(np.diff([z for _, z in kept], axis=0)).max(axis=1)
            times = np.array([t for t, _ in kept])
            pace = (times[-1] - times[0]) / (len(times) - 1)
            cycles = times[2:] - times[:-2]
            fades = moves[-2:].max() < _FADED * moves[:2].max() and cycles[-1] < _FADED * cycles[0]
            if (
                moves.max() <= _FEW * tolerance
                or end - times[-1] > most * pace
                or (fades and (cycles[2:] < cycles[:-2]).all())
            ):
                name = self.system.model.circuit.banks[b].names[e]
                return (
                    f"{name} chatters: it changed its state {len(times)} times between t = {times[0]:.6g} s and "
                    f"{times[-1]:.6g} s. Give it a hysteresis that its control does not cross at once, or its "
                    "control node a larger capacitor"
                )
        return ""

    def overshoot(self, path: Callable[[float], tuple[Array, Array]], tolerance: float) -> float:
        """Return the part of a step, in (0, 1], after which a change of state has gone just far enough.

        Parameters
        ----------
        path
            Node voltages (B, N) and unknowns (B, n) at a part of the step; some element changes state at 1.
        tolerance
            Change of an element's voltages since it switched [V].

        Returns
        -------
        float
            1 if no element has moved by more than the tolerance since its state should have changed.
        """
        low, high, before, after = 0.0, 1.0, path(0.0), path(1.0)
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            at = path(middle)
            if self.changed(*at):
                high, after = middle, at
            else:
                low, before = middle, at
            if np.abs(after[1] - before[1]).max(initial=0.0) <= _CLOSE * tolerance and (
                np.abs(after[0] - before[0]).max() <= _CLOSE * tolerance
            ):
                break
        flags = self.changed(*after)
        origin = {b: self._local(b, *before) for b in flags}
        pins = {b: len(self.banks[b].pins) for b in flags}

        def moved(part: float) -> float:
            at = path(part)
            return max(
                float(np.abs((self._local(b, *at) - origin[b])[..., : pins[b]])[flags[b]].max()) for b in flags
            )

        if moved(1.0) <= tolerance:
            return 1.0
        first, low, last = high, high, 1.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + last)
            move = moved(middle)
            low, last = (low, middle) if move > 0.5 * tolerance else (middle, last)
            if 0.2 * tolerance < move <= 0.5 * tolerance:
                break
        return max(low, first)
