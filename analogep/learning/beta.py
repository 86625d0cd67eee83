"""Limits of the nudging strength: the largest below which a repelled phase still has an equilibrium of its own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.kinds import checked
from analogep.learning.scaling import energy_scale
from analogep.solve import Solution, operating_point, stability
from analogep.solve.response.adjoint import dark_conductances, output_impedance, own_conductance

Array = NDArray[np.float64]

JUNCTION_FRACTION = 0.02
"""Largest move of a junction in one nudge, as a fraction of its nV_T: bends the exponential by 2e-4."""

CONVEX_FRACTION = 0.02
"""Largest β as a fraction of the largest safe one: changes the linear response by 4e-4 if centered."""


@checked()
def largest_safe_beta(circuit: Circuit, inputs: ArrayLike | Mapping[str, ArrayLike] | None = None) -> float:
    """Return the β [S] from which a repelling nudge −β leaves the circuit without a stable equilibrium.

    Of a passive circuit it is the smallest eigenvalue of the conductance that holds the outputs with all junctions
    off, the least that any operating point can have; infinite for outputs that sources hold, zero if only
    junctions hold them. ``inputs`` then make no difference.

    An active circuit, such as a Hopfield network, may be stable at one operating point and not at another. With
    ``inputs`` the limit is the least of their operating points: the β at which J − β P Pᵀ becomes singular, J
    being the Jacobian there and P the outputs. Without, it is the least that any operating point can have, as
    above; zero where the circuit without its junctions is not stable, so that only operating points can tell.

    Parameters
    ----------
    circuit
        The circuit.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes, or a mapping.

    Raises
    ------
    InputError
        If inputs do not fit the circuit.
    ConvergenceError
        If there is no operating point.
    """
    if inputs is None or is_passive(circuit):
        if "safe_beta" not in circuit.derived:
            circuit.derived["safe_beta"] = _anywhere(circuit)
        limit: float = circuit.derived["safe_beta"]
        return limit
    array = circuit.input_array(inputs)
    return float(safe_betas(operating_point(circuit, array), array).min(initial=np.inf))


def is_passive(circuit: Circuit) -> bool:
    """Return whether no element can feed the circuit with more than constant sources do."""
    return not circuit.transconductances and all(bank.device.passive for bank in circuit.banks)


def safe_betas(free: Solution, inputs: Array) -> Array:
    """Return what :func:`largest_safe_beta` does of each operating point, (B,) [S]; zero at an unstable one."""
    impedance = output_impedance(free, inputs, junctions_off=False)
    limits = np.array([_inverse_peak(z) for z in impedance])
    return np.where(is_stable(free), limits, 0.0)


def is_stable(free: Solution) -> NDArray[np.bool_]:
    """Return which operating points (B,) the leaky integrator stays at; all of a passive circuit."""
    if is_passive(free.circuit):
        return np.ones(len(free.voltages), bool)
    flags: NDArray[np.bool_] = stability(free) <= 0.0
    return flags


def neuron_limit(circuit: Circuit) -> float:
    """Return the least conductance [S] of an output node of its own, below which the node's law has one solution.

    It is what block steps need, which take one group of nodes at a time.
    """
    return own_conductance(_dark(circuit), np.zeros((1, len(circuit.input_nodes))))


def _dark(circuit: Circuit) -> Solution:
    """Return all nodes at 0 V, as a place at which to linearise."""
    at = np.zeros((1, len(circuit.nodes)))
    return Solution(circuit, at, np.ones(1, bool), np.zeros(1), np.zeros(1, np.int64), "none", 0.0, {})


def _anywhere(circuit: Circuit) -> float:
    """Return the limit that holds at every operating point."""
    dark, inputs = _dark(circuit), np.zeros((1, len(circuit.input_nodes)))
    if not is_passive(circuit):
        scale = energy_scale(circuit)
        if scale.culprit is not None or not all(
            bank.device.linear or bank.device.passive for bank in circuit.banks
        ):
            return 0.0
        nodes, conductances = dark_conductances(dark, inputs)
        energy = scale.nodes[nodes][:, None] * conductances
        try:
            scipy.linalg.cholesky((energy + energy.T) / 2.0)
        except np.linalg.LinAlgError:
            return 0.0
    return _inverse_peak(output_impedance(dark, inputs, junctions_off=True)[0])


def _inverse_peak(impedance: Array) -> float:
    """Return the least β [S] at which 1 − β Z becomes singular for an impedance Z (O, O) [Ω] between outputs."""
    if not impedance.size:
        return np.inf
    if not np.isfinite(impedance).all():
        return 0.0
    peak = float(np.linalg.eigvals(impedance).real.max())
    return 1.0 / peak if peak > 0 else np.inf
