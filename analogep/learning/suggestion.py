"""Choosing β: small enough for the bias, large enough for the noise, and never non-convex."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from analogep.circuit import Circuit
from analogep.constants import BOLTZMANN, NOMINAL_TEMPERATURE
from analogep.devices import OnePort
from analogep.errors import ConvergenceError, GradientWarning, InputError
from analogep.kinds import checked
from analogep.learning.beta import (
    CONVEX_FRACTION,
    JUNCTION_FRACTION,
    is_passive,
    largest_safe_beta,
    safe_betas,
)
from analogep.learning.costs.base import Cost, NudgeForm, SquaredError, target_array
from analogep.learning.resolution import is_held
from analogep.learning.scaling import energy_scale
from analogep.solve import NewtonOptions, Solution, operating_point
from analogep.solve.equations.model import model_for
from analogep.solve.response.adjoint import adjoint_voltages, linear_response
from analogep.solve.response.transposed_phase import corrected_phase

Array = NDArray[np.float64]

MISS = 1e-3
"""Largest distance of half the difference of two phases from the tangent, relative to it, at every block."""

_TRIALS = 16


@dataclass(frozen=True)
class BetaSuggestion:
    """A β [S] and the reason for it.

    Attributes
    ----------
    beta
        Suggested nudging strength [S].
    safe
        Largest β that keeps the repelled phase convex [S].
    output_shift
        Largest move of an output in the nudged phase [V].
    junction_shift
        Largest move of a junction relative to its nV_T; 0 without junctions.
    reason
        One sentence.
    noise
        Root mean square of the noise in the difference of two phases at the noisiest output, averages taken [V].
    reads_needed
        How many reads of each phase must be averaged for that noise to fall below ``output_shift``.
    """

    beta: float
    safe: float
    output_shift: float
    junction_shift: float
    reason: str
    noise: float = 0.0
    reads_needed: int = 1

    @property
    def below_noise(self) -> bool:
        """Whether the nudge moves no output by as much as the noise."""
        return self.output_shift < self.noise

    def __str__(self) -> str:
        return f"β = {self.beta:.3g} S: {self.reason}"


@checked()
def suggest_beta(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None,
    targets: ArrayLike,
    cost: Cost | None = None,
    *,
    noise: float = 0.0,
    averages: int = 1,
    temperature: float = NOMINAL_TEMPERATURE,
    node_capacitance: float = 1e-12,
) -> BetaSuggestion:
    """Suggest a β [S] for error-dependent nudging, from the circuit's linear response and its nudged phases.

    The bias of the estimate grows with how far the nudge moves each junction relative to nV_T, and with β
    relative to the conductance that holds the outputs; the error of the solver, and the noise of a circuit and
    its voltmeter, weigh less the larger β is. The largest β that keeps both biases small is therefore the best.
    What else bends (transistors, behavioural sources, limits) is measured: half the difference of the phases at
    ±β is compared with the circuit's tangent, and β falls until they agree within :data:`MISS` at every block; a
    :class:`~analogep.errors.GradientWarning` says where none does. Noise cannot make it larger without bias;
    where the move of the outputs is below it, more reads must be averaged, and the suggestion says how many.

    Parameters
    ----------
    circuit
        The circuit.
    inputs, targets
        A typical batch, (B, I) and (B, O) [V].
    cost
        The cost; squared error by default.
    noise
        Root mean square of the noise of one read of an output [V], beside thermal noise.
    averages
        Reads of each phase that are averaged.
    temperature
        Of the thermal noise kT/C of each output [K]; zero for none.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own.

    Raises
    ------
    InputError
        If the targets equal the outputs, so that a nudge does nothing, or an argument is out of its range.
    ConvergenceError
        If there is no stable operating point.

    References
    ----------
    Nyquist, Thermal agitation of electric charge in conductors (Phys. Rev. 32, 1928); equipartition gives
    kT C⁻¹ as the covariance of node voltages, see :func:`analogep.solve.langevin`.
    """
    for name, value in (("noise", noise), ("temperature", temperature)):
        if not 0.0 <= value < np.inf:
            raise InputError(f"{name} = {value:g} must be finite and not negative")
    if averages < 1:
        raise InputError(f"averages = {averages}; give the number of reads of each phase, at least 1")
    cost = SquaredError() if cost is None else cost
    array = circuit.input_array(inputs)
    wanted = target_array(circuit, targets, len(array), cost)
    free = operating_point(circuit, array)
    pull = cost.gradient(free.outputs, wanted)
    response = linear_response(free, array, pull)
    pairs = circuit.output_pairs
    per_beta = float(np.abs(response[:, pairs[:, 0]] - response[:, pairs[:, 1]]).max())
    if is_held(circuit, per_beta, float(np.abs(pull).max())):
        raise InputError("the outputs meet the targets or cannot move; suggest β from other samples")
    safe = _safe(free, array)
    junction, name = _most_moved(circuit, response)
    bent = cost.curvature(len(pairs))
    frozen = not 0.0 < bent < np.inf  # a frozen nudge bends nothing, and no other suits such a cost
    bent = 1.0 if frozen else bent
    by_convexity = CONVEX_FRACTION * safe / bent
    by_junction = JUNCTION_FRACTION / junction if junction > 0 else np.inf
    beta = min(by_convexity, by_junction)
    if beta == np.inf:
        raise InputError("nothing limits β: no node of this circuit answers to a nudge")
    limit = (
        f"moves the most sensitive junction ({name}) by {JUNCTION_FRACTION:.0%} of its nV_T"
        if by_junction < by_convexity
        else f"is {CONVEX_FRACTION:.0%} of {safe:.3g} S, the conductance that holds the outputs"
        + ("" if bent == 1.0 else f", over {bent:.3g}, the curvature of the {cost.name} cost")
    )
    measured = _measured(free, array, wanted, cost, "frozen" if frozen else "error", beta)
    if measured < beta:
        beta, limit = (
            measured,
            f"is the largest tried at which the phases at ±β are within {MISS:.1%} of the tangent",
        )
    shift = beta * per_beta
    thermal = _thermal_noise(circuit, temperature, node_capacitance)
    single = math.sqrt(2.0) * math.hypot(thermal, noise)
    floor, needed = single / math.sqrt(averages), max(1, math.ceil((single / shift) ** 2))
    source = "thermal noise kT/C" if thermal >= noise else "the read-out"
    rest = f"it moves outputs by up to {shift:.3g} V, which a read-out must resolve"
    if shift < floor:
        rest += f" and the noise of {floor:.3g} V hides, mostly of {source}: average {needed} reads of each phase"
    elif floor > 0.0:
        rest += f" above a noise of {floor:.3g} V, mostly of {source}"
    return BetaSuggestion(beta, safe, shift, beta * junction, f"{limit}; {rest}", floor, needed)


def _safe(free: Solution, inputs: Array) -> float:
    """Return the largest safe β [S] of the batch; see :func:`~analogep.learning.largest_safe_beta`."""
    if not is_passive(free.circuit):
        limits = safe_betas(free, inputs)
        if not limits.min() > 0.0:
            raise ConvergenceError(
                f"the operating point of sample {int(np.argmin(limits))} is unstable, so that no β is small "
                "enough; lower what the circuit feeds back, or give its nodes larger leaks"
            )
        return float(limits.min())
    safe = largest_safe_beta(free.circuit)
    if not safe > 0:  # only junctions hold the outputs: use what they conduct at these operating points
        safe = float(safe_betas(free, inputs).min())
    return safe


def _most_moved(circuit: Circuit, response: Array) -> tuple[float, str]:
    """Return by how many of its nV_T the junction that moves most moves per β [1/S], and its name."""
    junction, name = 0.0, ""
    for bank in circuit.banks:
        if not issubclass(bank.device, OnePort):
            continue
        width = bank.device.thermal_scale(bank.values)
        if width is None:
            continue
        moves = np.abs(response[:, bank.pins[:, 0]] - response[:, bank.pins[:, 1]]) / width
        e = int(np.argmax(moves.max(axis=0)))
        if moves[:, e].max() > junction:
            junction, name = float(moves[:, e].max()), bank.names[e]
    return junction, name


def _measured(free: Solution, inputs: Array, targets: Array, cost: Cost, form: NudgeForm, beta: float) -> float:
    """Return the largest of some β [S], from ``beta`` down, at which the phases at ±β move as the tangent does.

    It is the one that misses least, with a warning, if none comes within :data:`MISS`.
    """
    circuit, outputs = free.circuit, free.outputs
    pull = cost.gradient(outputs, targets)
    has_energy = energy_scale(circuit).culprit is None
    tangent = -linear_response(free, inputs, pull) if has_energy else adjoint_voltages(free, inputs, pull)[0]
    if not np.isfinite(
        tangent
    ).all():  # the free phase leaves something open: there is no gradient to compare with
        return beta
    places = _trained_nodes(circuit)
    sizes = [float(np.linalg.norm(tangent[:, nodes])) for nodes in places]
    best, least = beta, np.inf
    for _ in range(_TRIALS):
        miss = np.inf
        try:
            low, high = (
                operating_point(circuit, inputs, nudge, v0=free).voltages
                if has_energy
                else corrected_phase(free, inputs, nudge, NewtonOptions())[0]
                for nudge in (cost.nudge(b, outputs, targets, form) for b in (-beta, beta))
            )
            off = (low - high) / (2.0 * beta) - tangent
            miss = max(
                (float(np.linalg.norm(off[:, n])) / s for n, s in zip(places, sizes, strict=True) if s),
                default=0.0,
            )
        except ConvergenceError:
            pass  # so large a β leaves a phase without an equilibrium
        if miss <= MISS:
            return beta
        if miss < least:
            best, least = beta, miss
        beta *= min(0.5, max(0.9 * math.sqrt(MISS / miss), 0.03))
    warnings.warn(
        f"at no β do the nudged phases come nearer to the tangent of the free one than {least:.1%}: a sample lies "
        "on a corner of some law, where the cost has no gradient, or what the nudge moves is lost in rounding",
        GradientWarning,
        stacklevel=3,
    )
    return best


def _trained_nodes(circuit: Circuit) -> list[NDArray[np.int64]]:
    """Return the nodes of each trainable coupling and bank; all nodes if there is none."""
    found = [np.concatenate([c.rows, c.columns]) for c in circuit.couplings if c.trainable]
    found += [np.unique(bank.pins) for bank in circuit.banks if bank.trainable]
    return found or [np.arange(len(circuit.nodes))]


def _thermal_noise(circuit: Circuit, temperature: float, node_capacitance: float) -> float:
    """Return the largest root mean square of the thermal noise of an output [V], √(kT cᵀ C⁻¹ c)."""
    model = model_for(circuit)
    count = len(model.plan.nodes)
    capacitance = sp.csr_array(model.integrator_capacitance(node_capacitance))[:count, :count]
    across = np.zeros((count, len(circuit.output_pairs)))
    for pin, sign in ((0, 1.0), (1, -1.0)):
        unknown = model.plan.unknown[circuit.output_pairs[:, pin]]
        for k in np.flatnonzero(unknown >= 0):
            across[unknown[k], k] += sign * model.t[circuit.output_pairs[k, pin]]
    touched = np.flatnonzero(across.any(axis=1))
    _, island = connected_components(capacitance, directed=False)
    near = np.flatnonzero(np.isin(island, island[touched]))
    inverse = np.linalg.pinv(capacitance[near][:, near].toarray(), hermitian=True)
    peak = float(np.einsum("ik,ij,jk->k", across[near], inverse, across[near]).max(initial=0.0))
    return math.sqrt(BOLTZMANN * temperature * max(peak, 0.0))
