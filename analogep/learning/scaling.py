"""The energy that equilibrium propagation needs; see :mod:`analogep.solve.equations.scaling`."""

from __future__ import annotations

from analogep.circuit import Circuit
from analogep.errors import RuleError
from analogep.solve.equations.scaling import EnergyScale, energy_scale

__all__ = ["EnergyScale", "energy_scale", "require_energy"]


def require_energy(circuit: Circuit, rule: str) -> EnergyScale:
    """Return the scale; raises :class:`RuleError` if the circuit is not reciprocal."""
    scale = energy_scale(circuit)
    if scale.culprit is not None:
        raise RuleError(
            f"{rule} needs a reciprocal circuit, and {scale.culprit}; use NonReciprocalEP or the Adjoint rule for "
            "this circuit"
        )
    return scale
