"""What every epoch runner does: the updates of an epoch, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.learning import Cost
from analogep.learning.rules.registry import PhaseRule
from analogep.training.problem import Volts

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[np.generic]]


class Chunk(NamedTuple):
    """Some updates that are done: loss (s,) [V²] and error (s,) of their samples, in the epoch's order."""

    losses: Array
    wrong: NDArray[np.bool_]
    updates: int


class Runner(Protocol):
    """Holds the circuit under training, and updates it."""

    @property
    def circuit(self) -> Circuit:
        """The circuit with the parameters of now."""
        ...

    @property
    def cost(self) -> Cost:
        """The cost, a readout with the parameters of now."""
        ...

    @property
    def engine(self) -> str:
        """The engine that solved the last phase."""
        ...

    @property
    def rule(self) -> PhaseRule:
        """The rule of every update; where signs are drawn, that of one of them."""
        ...

    @property
    def declined(self) -> str:
        """Why the compiled epochs, if they were asked, left this to the general engine; empty if they did not."""
        ...

    @property
    def compiles(self) -> bool:
        """Whether the first updates will wait for their loops to be compiled."""
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return what else it takes to go on to the same bits: what the optimizer remembers, running sums."""
        ...

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays of ``state()`` after an update."""
        ...

    def restore(self, circuit: Circuit, cost: Cost, state: Arrays) -> None:
        """Go on from a circuit, a cost and a state that were saved together."""
        ...

    def outputs(self, part: Volts, batch: NDArray[np.int64]) -> Array:
        """Return the outputs (B, O) [V] of the free phase of some samples."""
        ...

    def run_epoch(self, order: NDArray[np.int64], factor: float) -> Iterator[Chunk]:
        """Do the updates for the training samples ``order`` (S,), batch by batch from its start.

        Parameters
        ----------
        order
            The samples of an epoch, or the rest of them from the start of some batch.
        factor
            The schedule's factor on the rates.

        Yields
        ------
        Chunk
            After one or more whole updates; then ``circuit`` and ``state()`` are those after them, and the
            caller may save them and stop.
        """
        ...
