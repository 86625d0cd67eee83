"""A SPICE engine in the solver's place: learning rules and training take their phases from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.kinds import checked
from analogep.solve import Nudge, Solution
from analogep.spice.engines.ngspice import check_timeout
from analogep.spice.engines.operating_point import Engine, SpiceEngine, find_engine, operating_point

Array = NDArray[np.float64]


@checked()
@dataclass(frozen=True)
class SpiceSolver:
    """Operating points by a SPICE engine, for whatever takes a :class:`analogep.learning.Solver`.

    Each phase is one netlist for the whole batch: loading new weights is sooner than altering them.

    Attributes
    ----------
    engine
        ``"ngspice"``, ``"pyspice"`` or an engine object.
    fold_inputs
        Give the engine the Norton equivalents of the resistors at the inputs; see
        :func:`analogep.spice.operating_point`.
    timeout
        Longest time for one batch of one phase [s].
    """

    engine: Engine | SpiceEngine = "ngspice"
    fold_inputs: bool = True
    timeout: float = 600.0

    def __post_init__(self) -> None:
        check_timeout(self.timeout)

    def __call__(
        self, circuit: Circuit, inputs: Array, nudge: Nudge | None = None, *, v0: Solution | Array | None = None
    ) -> Solution:
        """Return the operating points of a batch; SPICE searches from its own start, not from ``v0``."""
        del v0
        return operating_point(
            circuit, inputs, nudge, engine=self.engine, timeout=self.timeout, fold_inputs=self.fold_inputs
        )

    def require(self) -> str:
        """Return the engine's name with version; raises :class:`EngineError` with the remedy without it."""
        return find_engine(self.engine).name
