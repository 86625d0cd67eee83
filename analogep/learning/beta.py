"""Choosing β: small enough for the bias, large enough for the noise, and never non-convex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.devices import OnePort
from analogep.errors import InputError
from analogep.learning.costs import Cost, SquaredError, target_array
from analogep.solve import Solution, operating_point
from analogep.solve.adjoint import linear_response, output_impedance, own_conductance

Array = NDArray[np.float64]

JUNCTION_FRACTION = 0.02
"""Largest move of a junction in one nudge, as a fraction of its nV_T: bends the exponential by 2e-4."""

CONVEX_FRACTION = 0.02
"""Largest β as a fraction of the largest safe one: changes the linear response by 4e-4 if centered."""


def largest_safe_beta(circuit: Circuit) -> float:
    """Return the β [S] at which a repelling nudge −β would make the nudged problem non-convex.

    It is the smallest eigenvalue of the conductance that holds the outputs with all junctions off, the least
    that any operating point can have; infinite for outputs that sources hold, zero if only junctions hold
    them. The energy of a network of transconductances need not be convex to begin with: there it is the least
    conductance of an output node of its own, below which a node's law has one solution.
    """
    if "safe_beta" not in circuit.derived:
        inputs = np.zeros((1, len(circuit.input_nodes)))
        dark = Solution(
            circuit,
            np.zeros((1, len(circuit.nodes))),
            np.ones(1, bool),
            np.zeros(1),
            np.zeros(1, np.int64),
            "none",
            0.0,
            {},
        )
        if circuit.transconductances:
            circuit.derived["safe_beta"] = own_conductance(dark, inputs)
        else:
            impedance = output_impedance(dark, inputs, junctions_off=True)[0]
            circuit.derived["safe_beta"] = _inverse_peak(impedance)
    limit: float = circuit.derived["safe_beta"]
    return limit


def _inverse_peak(impedance: Array) -> float:
    if not impedance.size:
        return np.inf
    if not np.isfinite(impedance).all():
        return 0.0
    peak = float(np.linalg.eigvalsh((impedance + impedance.T) / 2.0).max())
    return 1.0 / peak if peak > 0 else np.inf


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
    """

    beta: float
    safe: float
    output_shift: float
    junction_shift: float
    reason: str

    def __str__(self) -> str:
        return f"β = {self.beta:.3g} S: {self.reason}"


def suggest_beta(
    circuit: Circuit, inputs: ArrayLike, targets: ArrayLike, cost: Cost | None = None
) -> BetaSuggestion:
    """Suggest a β [S] for error-dependent nudging from the circuit's linear response.

    The bias of the estimate grows with how far the nudge moves each junction relative to nV_T, and with β
    relative to the conductance that holds the outputs; the error of the solver (and of any voltmeter) shrinks
    with β. The largest β that keeps both biases small is therefore the best.

    Parameters
    ----------
    circuit
        The circuit.
    inputs, targets
        A typical batch, (B, I) and (B, O) [V].
    cost
        The cost; squared error by default.

    Raises
    ------
    InputError
        If the targets equal the outputs, so that a nudge does nothing.
    """
    cost = SquaredError() if cost is None else cost
    array = circuit.input_array(inputs)
    wanted = target_array(circuit, targets, len(array))
    free = operating_point(circuit, array)
    pull = cost.gradient(free.outputs, wanted)
    response = linear_response(free, array, pull)
    pairs = circuit.output_pairs
    per_beta = float(np.abs(response[:, pairs[:, 0]] - response[:, pairs[:, 1]]).max())
    if not per_beta > 0:
        raise InputError("the outputs meet the targets or cannot move; suggest β from other samples")
    safe = largest_safe_beta(circuit)
    if not safe > 0:  # only junctions hold the outputs: use what they conduct at these operating points
        safe = min(_inverse_peak(z) for z in output_impedance(free, array, junctions_off=False))
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
    by_convexity = CONVEX_FRACTION * safe
    by_junction = JUNCTION_FRACTION / junction if junction > 0 else np.inf
    beta = min(by_convexity, by_junction)
    if beta == np.inf:
        raise InputError("nothing limits β: no node of this circuit answers to a nudge")
    limit = (
        f"moves the most sensitive junction ({name}) by {JUNCTION_FRACTION:.0%} of its nV_T"
        if by_junction < by_convexity
        else f"is {CONVEX_FRACTION:.0%} of {safe:.3g} S, the conductance that holds the outputs"
    )
    shift = beta * per_beta
    reason = f"{limit}; it moves outputs by up to {shift:.3g} V, which a read-out must resolve"
    return BetaSuggestion(beta, safe, shift, beta * junction, reason)
