"""The result of a solve: voltages and the evidence that they are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import ByValue, checked
from analogep.solve.answers.balance import bank_pin_currents, is_independent, powers
from analogep.solve.answers.elements import ElementState, element_state
from analogep.solve.nudge import Nudge

if TYPE_CHECKING:
    from analogep.solve.newton.strategies import Attempt

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Solution(ByValue):
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
    nudge
        The nudge under which it was found, ``None`` in a free phase.
    stable
        Which samples (B,) rest where the leaky integrator stays; ``None`` where that was not looked into, since
        the devices alone say that there is one operating point, or since the engine follows the integrator.
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
    nudge: Nudge | None = None
    stable: NDArray[np.bool_] | None = None

    @checked()
    def voltage(self, node: str) -> Array:
        """Return the voltages (B,) [V] of a node."""
        return self.voltages[:, self.circuit.node(node)]

    def __getitem__(self, node: str) -> Array:
        """Return the voltages (B,) [V] of a node: ``solution["y0"]``."""
        return self.voltage(node)

    @checked()
    def element(self, name: str) -> ElementState:
        """Return voltages, currents and power of one element, also of a cross-point of a crossbar.

        ``solution.element("R1").current`` (B,) [A] flows into the first pin; ``.voltage`` (B,) [V] and ``.power``
        (B,) [W] go with it.

        Raises
        ------
        InputError
            If the circuit has no such element.
        """
        return element_state(self, name)

    def __repr__(self) -> str:
        batch = len(self.voltages)
        trouble = "" if self.converged.all() else f", {int((~self.converged).sum())} not converged"
        missed = f", Kirchhoff's law to {self.residual.max():.3g} A" if batch else ""
        return (
            f"<Solution: {batch} sample{'' if batch == 1 else 's'}, {self.voltages.shape[1] - 1} nodes, by "
            f"{self.engine}{missed}{trouble}>"
        )

    @property
    def outputs(self) -> Array:
        """Output voltages v₊ − v₋ (B, O) [V]."""
        pairs = self.circuit.output_pairs
        out: Array = self.voltages[:, pairs[:, 0]] - self.voltages[:, pairs[:, 1]]
        return out

    @checked()
    def bank_currents(self, name: str) -> Array:
        """Return the current (B, E) [A] into the first pin of each element of a bank.

        Of an element with two pins it is the current from the first to the second. The currents of sources and
        amplifiers, which are no unknowns, follow from Kirchhoff's law.
        """
        for b, bank in enumerate(self.circuit.banks):
            if bank.name != name:
                continue
            first: Array = bank_pin_currents(self, b)[..., 0]
            return first
        known = ", ".join(bank.name for bank in self.circuit.banks)
        raise InputError(f"the circuit has no bank {name!r}; its banks are {known or 'none'}")

    @property
    def powers(self) -> dict[str, Array]:
        """Power (B,) [W] that each part of the circuit takes, by name; negative where the part delivers.

        The parts are banks, crossbars and other couplings by name, and ``"(inputs)"`` and ``"(nudge)"`` where
        there are some. They add up to zero but for the residual of Kirchhoff's law (Tellegen 1952).
        """
        return powers(self)

    @property
    def power(self) -> Array:
        """Power (B,) [W] that the independent sources deliver.

        Independent sources are the clamped inputs, the voltage and current sources, and the nudge. What they
        deliver all other elements take: resistors, junctions and transistors turn it into heat, while controlled
        sources, transconductances and amplifiers stand for circuits with a supply of their own and may give power
        back (negative). What capacitors store at a moment of a transient is not counted.
        """
        taken = np.zeros(len(self.voltages))
        for part, power in powers(self).items():
            if not is_independent(self.circuit, part):
                taken += power
        return taken
