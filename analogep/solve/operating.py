"""The one entrance to an operating point: checks, engine choice, and the promise that it converged."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, InputError
from analogep.solve.newton import NewtonOptions, NewtonResult, robust_newton
from analogep.solve.nudge import Nudge
from analogep.solve.solution import Solution
from analogep.solve.system import System

Array = NDArray[np.float64]
Method = Literal["auto", "newton", "layered", "transient"]
METHODS: tuple[str, ...] = get_args(Method)

DEFAULT = NewtonOptions()


def operating_point(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    nudge: Nudge | None = None,
    method: Method = "auto",
    v0: Array | Solution | None = None,
    options: NewtonOptions = DEFAULT,
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

    Returns
    -------
    Solution
        Converged for every sample; ``engine`` says which method ran.

    Raises
    ------
    InputError
        If inputs, targets or ``v0`` do not fit the circuit.
    ConvergenceError
        If some sample has no operating point that was found; names the worst node and the remedy.
    """
    started = time.perf_counter()
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; use one of {', '.join(METHODS)}")
    array = circuit.input_array(inputs)
    start = v0.voltages if isinstance(v0, Solution) else None if v0 is None else np.asarray(v0, dtype=float)
    if start is not None and start.shape != (len(array), len(circuit.nodes)):
        raise InputError(f"v0 has shape {start.shape}; expected {(len(array), len(circuit.nodes))}")
    check_nudge(circuit, nudge, len(array))
    if method in ("auto", "layered"):
        from analogep.solve.layered import layered_plan, solve_layered

        plan = layered_plan(circuit)
        if plan.reason is None and plan.accepts(nudge):
            return solve_layered(plan, circuit, array, nudge, start, options, started)
        if method == "layered":
            raise InputError(f"the layered engine cannot solve this circuit: {plan.why(nudge)}; use newton")
    if method == "transient":
        from analogep.solve.transient import settle

        return settle(circuit, array, nudge, start, options, started)
    return solve_newton(circuit, array, nudge, start, options, started)


def check_nudge(circuit: Circuit, nudge: Nudge | None, batch: int) -> None:
    """Raise :class:`InputError` unless the nudge fits the circuit's outputs and the batch."""
    if nudge is None:
        return
    count = len(circuit.output_pairs)
    if not count:
        raise InputError("a nudge needs outputs, and this circuit has none; name outputs when you build it")
    try:
        current, _ = nudge.evaluate(np.zeros((batch, count)))
        np.broadcast_to(current, (batch, count))
    except ValueError as error:
        raise InputError(f"the nudge does not fit (batch, outputs) = {(batch, count)}: {error}") from None


def solve_newton(
    circuit: Circuit,
    inputs: Array,
    nudge: Nudge | None,
    v0: Array | None,
    options: NewtonOptions,
    started: float,
) -> Solution:
    """Solve by Newton's method with its fallbacks; see :func:`operating_point`."""
    system = System(circuit, inputs, nudge)
    x0 = np.zeros((len(inputs), system.model.plan.size)) if v0 is None else system.model.reduce_voltages(v0)
    result, tried = robust_newton(system, x0, options)
    if not result.converged.all():
        raise failure_message(circuit, system, result, tried)
    return finish(system, result.x, result.residual, result.iterations, "newton", started)


def finish(
    system: System, x: Array, rows: Array, iterations: NDArray[np.int64], engine: str, started: float
) -> Solution:
    """Wrap converged unknowns as a :class:`Solution`."""
    model = system.model
    nodes = len(model.plan.nodes)
    branches = {}
    for b, start in model.plan.branch_start.items():
        bank = model.circuit.banks[b]
        count = bank.size * bank.device.branches
        branches[b] = x[:, start : start + count].reshape(len(x), bank.size, bank.device.branches)
    return Solution(
        model.circuit,
        system.voltages(x),
        np.ones(len(x), dtype=bool),
        np.abs(rows[:, :nodes]).max(axis=1, initial=0.0),
        iterations,
        engine,
        time.perf_counter() - started,
        branches,
    )


def failure_message(
    circuit: Circuit, system: System, result: NewtonResult, tried: tuple[str, ...]
) -> ConvergenceError:
    """Return the error for samples without a solution: worst node, what was tried, and the remedy."""
    failed = np.flatnonzero(~result.converged)
    sample = int(failed[0])
    return ConvergenceError(
        f"no operating point found for {len(failed)} of {len(result.converged)} samples (first: sample "
        f"{sample}); tried {', '.join(tried)}. {_worst(circuit, system, result, sample)}, start from nearby "
        "voltages (v0), or loosen NewtonOptions"
    )


def _worst(circuit: Circuit, system: System, result: NewtonResult, sample: int) -> str:
    """Name the node, or the element with an equation of its own, whose equation is missed most."""
    plan = system.model.plan
    count = len(plan.nodes)
    row = np.abs(result.residual[sample])
    row = np.where(np.isfinite(row), row, np.inf)
    largest = float(row[:count].max(initial=0.0))
    # A branch equation is in volts or amperes; one that is missed by more than rounding explains the rest.
    branch = count + int(np.argmax(row[count:])) if count < plan.size else -1
    if branch >= 0 and np.isfinite(largest) and row[branch] > max(largest, 1e-9):
        for b, start in plan.branch_start.items():
            bank = circuit.banks[b]
            if start <= branch < start + bank.size * bank.device.branches:
                name = bank.names[(branch - start) // bank.device.branches]
                return f"The law of {name} is missed by {row[branch]:.3g}. Check {name} and what it connects"
    if not count:
        return "Check the elements between inputs and sources"
    node = circuit.nodes[plan.nodes[int(np.argmax(row[:count]))]]
    return f"Kirchhoff's law is worst at node {node} ({largest:.3g} A). Check the elements at {node}"
