"""Circuits over time: d/dt q(x, t) = −F(x, t), integrated to a time or to equilibrium.

q holds the charges of capacitors and the flux linkages of inductors, F Kirchhoff's current law and the branch
equations without them. :mod:`analogep.solve.time.integrators` has the methods; steps are common to the whole
batch, end on every corner of a source's waveform, and start afresh after it. Ideal diodes are part of each
stage's equations, as at an operating point; switches keep their state during a step, which is shortened until it
ends where the state changes.

:mod:`analogep.solve.time.trajectory` has the options and the result, :mod:`analogep.solve.time.stages` the
equations, :mod:`analogep.solve.time.stepping` the steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.devices import Waveform
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.solve.answers.outcome import DEFAULT, check_nudge
from analogep.solve.answers.solution import Solution
from analogep.solve.newton.newton import NewtonOptions
from analogep.solve.nudge import Nudge
from analogep.solve.time.stepping import Run
from analogep.solve.time.trajectory import Stored, Trajectory, TransientOptions

Array = NDArray[np.float64]

__all__ = ["STARTS", "Trajectory", "TransientOptions", "settle", "transient"]

_ROUNDING = 1e-9  # by which times, relative to the end, may pass it

STARTS = ("zero", "operating_point")
"""Where a transient may start."""


@checked()
def transient(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike | Waveform] | None = None,
    until: float | str | None = None,
    nudge: Nudge | None = None,
    v0: Array | Solution | Stored | None = None,
    options: TransientOptions | None = None,
    newton_options: NewtonOptions = DEFAULT,
    start: str = "zero",
    times: ArrayLike | None = None,
) -> Trajectory:
    """Integrate d/dt q = −F from time zero, with capacitors, inductors and sources that follow their waveforms.

    Parameters
    ----------
    circuit, nudge
        As for :func:`analogep.operating_point`.
    inputs
        The same; in a mapping, an input may also have a waveform, common to the batch.
    until
        End time [s], or ``"equilibrium"``: until Kirchhoff's law holds without the capacitors' currents. By
        default the last of ``times``, and ``"equilibrium"`` if there are none.
    v0
        Node voltages (B, N) [V] at time zero, or a solution, of which branch currents and switch positions are
        taken over, too; or what elements hold (:class:`~analogep.solve.time.trajectory.Stored`, of netlists).
    options
        Method, tolerances, and the leaky integrator's node capacitance.
    newton_options
        Tolerances of the stages, and of the equilibrium.
    start
        Without ``v0``: ``"zero"``, all capacitors and inductors empty (SPICE's ``uic``), or
        ``"operating_point"``, with every source at its value just before time zero (SPICE's ``.tran``).
    times
        Times [s] at which to return the voltages, ascending, instead of at every step. Between steps what
        capacitors and inductors hold is interpolated, to the order of the method, and Kirchhoff's law solved for
        the rest. At a jump, those just after. Times within a billionth of ``until`` past it are taken for it.

    Raises
    ------
    InputError
        If arguments do not fit the circuit, or an equilibrium is asked for under a waveform that never rests.
    ConvergenceError
        If there is no operating point to start from, the step size collapses, the number of steps runs out,
        the voltages run away, or switches do not come to rest.
    """
    waves: dict[int, Waveform] = {}
    if isinstance(inputs, Mapping):
        names = circuit.inputs
        waves = {names.index(k): w for k, w in inputs.items() if isinstance(w, Waveform) and k in names}
        array = circuit.input_array({k: w.value(0.0) if isinstance(w, Waveform) else w for k, w in inputs.items()})
    else:
        array = circuit.input_array(inputs)
    check_nudge(circuit, nudge, len(array))
    wanted = None if times is None else _asked(times)
    if until is None:
        until = "equilibrium" if wanted is None else float(wanted[-1])
    if until != "equilibrium" and not (isinstance(until, (int, float)) and 0 < until < math.inf):
        raise InputError(f"until = {until!r}; give a positive time in seconds, or 'equilibrium'")
    end = math.inf if until == "equilibrium" else float(until)
    if wanted is not None and end < wanted[-1] <= end * (1.0 + _ROUNDING):  # a sum of steps, say
        wanted = np.minimum(wanted, end)
        wanted = wanted[np.diff(wanted, prepend=-1.0) > 0.0]
    if wanted is not None and wanted[-1] > end:
        raise InputError(f"times end at {wanted[-1]:g} s, after until = {end:g} s; raise until")
    if start not in STARTS:
        raise InputError(f"unknown start {start!r}; use one of {', '.join(STARTS)}")
    if v0 is not None and start != "zero":
        raise InputError(f"start = {start!r} and v0 exclude each other; leave one out")
    if v0 is not None and not isinstance(v0, (Solution, Stored)):
        v0 = np.asarray(v0, dtype=float)
    first = v0.voltages if isinstance(v0, (Solution, Stored)) else v0
    if first is not None and first.shape != (len(array), len(circuit.nodes)):
        raise InputError(f"v0 has shape {first.shape}; expected {(len(array), len(circuit.nodes))}")
    run = Run(circuit, array, nudge, options or TransientOptions(), newton_options, waves, circuit.waveforms)
    if math.isinf(end):
        run.check_rest()
    return run.integrate(v0, end, operating=start == "operating_point", wanted=wanted)


def settle(
    circuit: Circuit,
    inputs: Array,
    nudge: Nudge | None,
    v0: Array | None,
    options: NewtonOptions,
) -> Solution:
    """Return the equilibrium that the leaky integrator settles into (``method="transient"``)."""
    coarse = TransientOptions(relative=1e-2, absolute=1e-3, current_absolute=1e-6)
    run = Run(circuit, inputs, nudge, coarse, options, {}, {})
    return run.integrate(v0, math.inf, wanted=np.zeros(0)).solution


def _asked(times: ArrayLike) -> Array:
    try:
        wanted = np.array(times, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        raise InputError(f"times = {times!r}; give an array of times in seconds") from None
    if not len(wanted) or not np.isfinite(wanted).all() or wanted[0] < 0.0 or (np.diff(wanted) <= 0.0).any():
        raise InputError("times must be finite, zero or more, and ascending; sort them and drop repetitions")
    return wanted
