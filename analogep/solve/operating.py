"""The one entrance to an operating point: checks, engine choice, and the promise that it converged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.solve.answers.outcome import DEFAULT, check_nudge, failure_message, finish
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.system import System
from analogep.solve.layered.groups import layered_plan
from analogep.solve.layered.layered import solve_layered
from analogep.solve.newton.loose import tightened
from analogep.solve.newton.newton import NewtonOptions
from analogep.solve.newton.refine import refine
from analogep.solve.newton.strategies import robust_newton
from analogep.solve.nudge import Nudge, SineNudge
from analogep.solve.stable_points.leaving import settled
from analogep.solve.time.transient import settle

Array = NDArray[np.float64]
Method = Literal["auto", "newton", "layered", "transient"]
METHODS: tuple[str, ...] = get_args(Method)


@checked()
def operating_point(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    nudge: Nudge | None = None,
    method: Method = "auto",
    v0: Array | Solution | None = None,
    options: NewtonOptions = DEFAULT,
    sweeps: int = 0,
) -> Solution:
    """Find the node voltages at which Kirchhoff's current law holds.

    Parameters
    ----------
    circuit
        The circuit.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes, or a mapping from their names.
    nudge
        Extra currents at the outputs (the nudged phase).
    method
        ``"newton"`` works for every circuit; ``"layered"`` for groups of nodes joined by crossbars;
        ``"transient"`` lets the leaky integrator settle; ``"auto"`` takes ``layered`` where it can.
    v0
        Starting voltages (B, N) [V], or an earlier solution (warm start).
    options
        Tolerances.
    sweeps
        Layered engine only: exactly this many block steps over all groups, to match a paper; 0 lets it converge.

    Returns
    -------
    Solution
        Converged for every sample; ``engine`` says which method ran. With a number of ``sweeps``, ``converged``
        tells which samples meet Kirchhoff's law within the tolerance, and ``residual`` by how much they miss it.

    Raises
    ------
    InputError
        If inputs, targets or ``v0`` do not fit the circuit, or ``sweeps`` its engine.
    ConvergenceError
        If some sample has no operating point that was found; names the worst node and the remedy.

    Warns
    -----
    UnstableWarning
        If a sample has operating points, but none that was found is stable; see
        :func:`analogep.solve.stability`.
    LooselyHeldWarning
        If rounding leaves a voltage unknown by more than 1e-7 of the largest around.
    """
    started = time.perf_counter()
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; use one of {', '.join(METHODS)}")
    if sweeps < 0 or (sweeps and method not in ("auto", "layered")):
        raise InputError(f"sweeps = {sweeps} with method {method!r}: use sweeps >= 0, with method layered only")
    array = circuit.input_array(inputs)
    start = v0.voltages if isinstance(v0, Solution) else None if v0 is None else np.asarray(v0, dtype=float)
    if start is not None and start.shape != (len(array), len(circuit.nodes)):
        raise InputError(f"v0 has shape {start.shape}; expected {(len(array), len(circuit.nodes))}")
    check_nudge(circuit, nudge, len(array))
    if isinstance(nudge, SineNudge):
        raise InputError("an operating point cannot follow a sinusoidal nudge; use analogep.transient")
    if method in ("auto", "layered"):
        plan = layered_plan(circuit)
        if plan.reason is None and plan.accepts(nudge):
            return solve_layered(plan, circuit, array, nudge, start, options, started, sweeps)
        if method == "layered" or sweeps:
            raise InputError(f"the layered engine cannot solve this circuit: {plan.why(nudge)}; use newton")
    if method == "transient":
        return settle(circuit, array, nudge, start, options)
    branches = v0.branches if isinstance(v0, Solution) else {}
    return solve_newton(circuit, array, nudge, start, options, started, branches)


def solve_newton(
    circuit: Circuit,
    inputs: Array,
    nudge: Nudge | None,
    v0: Array | None,
    options: NewtonOptions,
    started: float,
    branches: Mapping[int, Array] | None = None,
) -> Solution:
    """Solve by Newton's method with its fallbacks, from voltages and branch currents."""
    system = System(circuit, inputs, nudge)
    x0 = np.zeros((len(inputs), system.model.plan.size))
    if v0 is not None:
        x0 = system.model.unknowns(v0, branches or {})
    result, trace = robust_newton(system, x0, options)
    if not result.converged.all():
        raise failure_message(circuit, system, result, trace)
    result, led, stable = settled(system, result, options)
    result = tightened(system, refine(system, result))
    trace = (*trace, *led)
    return finish(system, result.x, result.residual, result.iterations, "newton", started, trace, stable)
