"""The native solver against a SPICE engine, phase by phase."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.solve import Nudge
from analogep.solve import operating_point as native_operating_point
from analogep.spice.engines.operating_point import Engine, operating_point

TOLERANCE = 1e-9
"""Largest voltage difference [V] that counts as agreement."""


@dataclass(frozen=True)
class PhaseParity:
    """Agreement in one phase.

    Attributes
    ----------
    phase
        Its name, such as ``"free"``.
    max_difference
        Largest voltage difference over all nodes and samples [V].
    node, sample
        Where that is.
    native_residual, spice_residual
        Largest current by which Kirchhoff's law is missed, by our device laws [A].
    native_seconds, spice_seconds
        Wall times [s].
    """

    phase: str
    max_difference: float
    node: str
    sample: int
    native_residual: float
    spice_residual: float
    native_seconds: float
    spice_seconds: float


@dataclass(frozen=True)
class ParityReport:
    """Agreement of both solvers on one circuit.

    Attributes
    ----------
    engine
        SPICE engine and its version.
    native
        Native method.
    samples, nodes, elements
        Size of what was compared.
    tolerance
        Largest voltage difference that passes [V].
    phases
        One entry per phase.
    folded
        Whether SPICE got the resistors at the inputs as their Norton equivalents.
    """

    engine: str
    native: str
    samples: int
    nodes: int
    elements: int
    tolerance: float
    phases: tuple[PhaseParity, ...]
    folded: bool = False

    @property
    def max_difference(self) -> float:
        """Largest voltage difference over all phases [V]."""
        return max((phase.max_difference for phase in self.phases), default=0.0)

    @property
    def passed(self) -> bool:
        """Whether all phases agree within the tolerance."""
        return self.max_difference <= self.tolerance

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON; keys end in their unit."""
        phases = [
            {
                "phase": p.phase,
                "max_difference_V": p.max_difference,
                "node": p.node,
                "sample": p.sample,
                "native_residual_A": p.native_residual,
                "spice_residual_A": p.spice_residual,
                "native_s": p.native_seconds,
                "spice_s": p.spice_seconds,
            }
            for p in self.phases
        ]
        head = {k: v for k, v in asdict(self).items() if k not in ("phases", "tolerance")}
        return {
            **head,
            "tolerance_V": self.tolerance,
            "max_difference_V": self.max_difference,
            "passed": self.passed,
            "phases": phases,
        }

    def __str__(self) -> str:
        verdict = "agree" if self.passed else "DISAGREE"
        lines = [
            f"{self.native} and {self.engine} {verdict}: largest difference {self.max_difference:.2e} V "
            f"(tolerance {self.tolerance:.0e} V), {self.samples} samples, {self.nodes} nodes, "
            f"{self.elements} elements" + (", resistors at the inputs folded for SPICE" if self.folded else "")
        ]
        for p in self.phases:
            lines.append(
                f"  {p.phase}: {p.max_difference:.2e} V at node {p.node}, sample {p.sample}; residual "
                f"{p.native_residual:.1e} A native, {p.spice_residual:.1e} A SPICE; "
                f"{p.native_seconds:.3f} s native, {p.spice_seconds:.3f} s SPICE"
            )
        return "\n".join(lines)


@checked()
def compare(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    nudges: Mapping[str, Nudge | None] | None = None,
    *,
    engine: Engine = "ngspice",
    tolerance: float = TOLERANCE,
    timeout: float = 600.0,
    fold_inputs: bool = False,
) -> ParityReport:
    """Solve every phase natively and by SPICE, and compare all node voltages.

    Parameters
    ----------
    circuit
        The circuit.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes, or a mapping from their names.
    nudges
        Nudge of each phase by its name; the free phase alone by default.
    engine, timeout, fold_inputs
        As for :func:`analogep.spice.operating_point`.
    tolerance
        Largest voltage difference that passes [V].

    Raises
    ------
    EngineError, NetlistError
        If the SPICE engine fails or cannot express the circuit.
    ConvergenceError
        If the native solver fails.
    InputError
        If the arguments do not fit the circuit.
    """
    if not 0.0 <= tolerance < np.inf:
        raise InputError(f"tolerance = {tolerance:g} V must be finite and not negative")
    array = circuit.input_array(inputs)
    phases = []
    names = ("", "")
    for name, nudge in ({"free": None} if nudges is None else nudges).items():
        started = time.perf_counter()
        native = native_operating_point(circuit, array, nudge)
        native_seconds = time.perf_counter() - started
        other = operating_point(circuit, array, nudge, engine=engine, timeout=timeout, fold_inputs=fold_inputs)
        difference = np.abs(native.voltages - other.voltages)
        sample, node = np.unravel_index(int(np.argmax(difference)), difference.shape)
        names = (native.engine, other.engine)
        phases.append(
            PhaseParity(
                name,
                float(difference[sample, node]),
                circuit.nodes[node],
                int(sample),
                float(native.residual.max(initial=0.0)),
                float(other.residual.max(initial=0.0)),
                native_seconds,
                other.wall_time,
            )
        )
    return ParityReport(
        names[1],
        names[0],
        len(array),
        len(circuit.nodes) - 1,
        circuit.element_count,
        tolerance,
        tuple(phases),
        fold_inputs,
    )
