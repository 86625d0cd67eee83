"""Elements that remember (switches): frozen during a step of a transient, changed between steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from analogep.devices import MultiPort
from analogep.solve.system import System

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_BISECTIONS = 50


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

    def update(self, voltages: Array, x: Array) -> bool:
        """Take on the states that belong to these voltages; return whether any changed."""
        if not self.changed(voltages, x):
            return False
        for b in self.banks:
            self.now[b] = self._next(b, self._local(b, voltages, x))
        self.freeze()
        return True

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
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if self.changed(*path(middle)):
                high = middle
            else:
                low = middle
        flags = self.changed(*path(high))
        origin = {b: self._local(b, *path(low)) for b in flags}

        def moved(part: float) -> float:
            at = path(part)
            pins = {b: len(self.banks[b].pins) for b in flags}
            return max(
                float(np.abs((self._local(b, *at) - origin[b])[..., : pins[b]])[flags[b]].max()) for b in flags
            )

        if moved(1.0) <= tolerance:
            return 1.0
        first, low, last = high, high, 1.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + last)
            low, last = (low, middle) if moved(middle) > 0.5 * tolerance else (middle, last)
        return max(low, first)
