"""Whether two phases differ by more than rounding, and what to say where they do not."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import GradientWarning, InputError
from analogep.solve import Solution
from analogep.solve.equations.model import model_for
from analogep.solve.response.adjoint import linear_response

Array = NDArray[np.float64]

RESOLVED = 1e3
"""Move of a node, in units of rounding of the largest voltage, below which less than three digits are left."""

_HELD = 1e-12
"""Answer to a current, relative to that of the largest conductance at a node, at which outputs count as held."""

_MET = 1e-9
"""Error of the outputs, relative to the largest voltage, below which the targets count as met."""


def is_held(circuit: Circuit, response: float, pull: float) -> bool:
    """Whether ideal elements hold outputs that nudge currents ``pull`` [A] move by ``response`` [V] at most."""
    scale = float(model_for(circuit).linear_diagonal.max(initial=0.0))  # 0 without linear conductances
    return not response > 0.0 or 0.0 < response * scale < _HELD * pull


def check_resolved(
    rule: str,
    strength: tuple[str, float, str],
    free: Solution,
    inputs: Array,
    pull: Array,
    move: Array,
    per_unit: float | None = None,
    epsilon: float = float(np.finfo(float).eps),
) -> None:
    """See that a nudge moved the circuit by more than rounding does.

    Parameters
    ----------
    rule
        Its name.
    strength
        Symbol, value and unit of the nudging strength, such as ``("β", 1e-6, " S")``.
    free, inputs
        The free phase and its inputs (B, I) [V].
    pull
        ∂C/∂o (B, O) at the free phase.
    move
        By how much the nodes differ between the two phases, (B, N) [V].
    per_unit
        Largest move of a node per unit of strength; by default that of the nudge currents ``pull``.
    epsilon
        Rounding of the numbers that the phases are computed in.

    Raises
    ------
    InputError
        If the strength is too small to move any node by more than rounding; names the smallest sensible one.

    Warns
    -----
    GradientWarning
        If no nudge can move the outputs, since sources or conducting ideal diodes hold them: the gradient is zero.
    """
    largest = float(np.abs(free.voltages).max(initial=0.0))
    rounding = RESOLVED * epsilon * largest
    if float(np.abs(move).max(initial=0.0)) > rounding:
        return
    missed = float(np.abs(pull).max(initial=0.0))
    if missed <= _MET * largest or missed == 0.0:
        return  # the targets are met, or what is left of the error is rounding itself
    response = per_unit
    if response is None:
        response = float(np.abs(linear_response(free, inputs, pull)).max(initial=0.0))
    if not np.isfinite(response):
        return  # the free phase leaves a voltage open, so that no strength can be named
    symbol, value, unit = strength
    if per_unit is None and is_held(free.circuit, response, missed):
        warnings.warn(
            f"{rule}: no nudge moves the circuit, since sources or conducting ideal diodes hold its outputs in "
            "every sample; the gradient is zero",
            GradientWarning,
            stacklevel=4,
        )
        return
    raise InputError(
        f"{symbol} = {value:g}{unit} moves no node by more than {rounding:.2g} V, which is rounding of "
        f"{largest:.3g} V: nothing is left of the gradient. Use {symbol} above {rounding / response:.2g}{unit}"
    )
