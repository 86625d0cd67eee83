"""The result of a solve: voltages and the evidence that they are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import CurrentSource, MultiPort, OnePort
from analogep.errors import InputError

if TYPE_CHECKING:
    from analogep.solve.strategies import Attempt

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Solution:
    """Operating points of a batch of inputs.

    Attributes
    ----------
    circuit
        The circuit that was solved.
    voltages
        Node voltages (B, N) [V]; column 0 is ground.
    converged
        Per sample (B,); all true in a solution that :func:`operating_point` returns.
    residual
        Largest current by which Kirchhoff's law is missed at any unknown, per sample (B,) [A].
    iterations
        Iterations per sample (B,).
    engine
        Which engine produced it.
    wall_time
        Time taken [s].
    branches
        Branch currents (B, E, K) [A] of multi-port banks, by bank index.
    trace
        What each strategy achieved, in order; empty where the first one solved everything.
    states
        Parameters (B, E) that replace the bank's own where elements remember (switches at the end of a
        transient), by bank index.
    """

    circuit: Circuit
    voltages: Array
    converged: NDArray[np.bool_]
    residual: Array
    iterations: NDArray[np.int64]
    engine: str
    wall_time: float
    branches: dict[int, Array]
    trace: tuple[Attempt, ...] = ()
    states: Mapping[int, Mapping[str, Array]] = field(default_factory=dict)

    def voltage(self, node: str) -> Array:
        """Return the voltages (B,) [V] of a node."""
        return self.voltages[:, self.circuit.node(node)]

    @property
    def outputs(self) -> Array:
        """Output voltages v₊ − v₋ (B, O) [V]."""
        pairs = self.circuit.output_pairs
        out: Array = self.voltages[:, pairs[:, 0]] - self.voltages[:, pairs[:, 1]]
        return out

    def bank_currents(self, name: str) -> Array:
        """Return the current (B, E) [A] from first to second pin through each element of a bank.

        Sources and amplifiers are not banks of known current; see :meth:`source_currents`. For a multi-port
        it is the current into its first pin.
        """
        for b, bank in enumerate(self.circuit.banks):
            if bank.name != name:
                continue
            if issubclass(bank.device, OnePort):
                v = self.voltages[:, bank.pins[:, 0]] - self.voltages[:, bank.pins[:, 1]]
                return bank.device.current(v, bank.values)[0]
            if issubclass(bank.device, MultiPort):
                z = np.concatenate([self.voltages[:, bank.pins], self._branches(b)], axis=-1)
                return bank.device.stamp(z, {**bank.values, **self.states.get(b, {})})[0][..., 0]
            raise InputError(f"bank {name!r} holds sources; their currents follow from Kirchhoff's law")
        raise InputError(f"the circuit has no bank {name!r}")

    def _branches(self, b: int) -> Array:
        bank = self.circuit.banks[b]
        empty = np.zeros((len(self.voltages), bank.size, bank.device.branches))
        return self.branches.get(b, empty)

    @property
    def power(self) -> Array:
        """Power (B,) [W] that conductances, crossbars and diodes turn into heat."""
        total = np.zeros(len(self.voltages))
        for bank in self.circuit.banks:
            if issubclass(bank.device, OnePort) and not issubclass(bank.device, CurrentSource):
                v = self.voltages[:, bank.pins[:, 0]] - self.voltages[:, bank.pins[:, 1]]
                total += (bank.device.current(v, bank.values)[0] * v).sum(axis=1)
            elif bank.device.kind == "ideal_diode":
                v = self.voltages[:, bank.pins[:, 0]] - self.voltages[:, bank.pins[:, 1]]
                total += (self.bank_currents(bank.name) * v).sum(axis=1)
        for c in self.circuit.crossbars:
            rows, columns = self.voltages[:, c.rows], self.voltages[:, c.columns]
            g = c.conductance
            total += rows**2 @ g.sum(axis=1) + columns**2 @ g.sum(axis=0)
            total -= 2.0 * np.einsum("br,br->b", rows, columns @ g.T)
        return total
