"""The end of every solve: the solution that is returned, or the error that says why there is none."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, InputError
from analogep.solve.answers.singular import undetermined
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.system import System
from analogep.solve.newton.newton import NewtonOptions, NewtonResult
from analogep.solve.newton.plausible import implausible, lawless, no_value
from analogep.solve.newton.strategies import Attempt
from analogep.solve.nudge import Nudge

Array = NDArray[np.float64]

DEFAULT = NewtonOptions()


def check_nudge(circuit: Circuit, nudge: Nudge | None, batch: int) -> None:
    """Raise :class:`InputError` unless the nudge fits the circuit's outputs and the batch."""
    if nudge is None:
        return
    count = len(circuit.output_pairs)
    if not count:
        raise InputError("a nudge needs outputs, and this circuit has none; name outputs when you build it")
    try:
        current, slope = nudge.evaluate(np.zeros((batch, count)))
        np.broadcast_to(current, (batch, count))
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"the nudge does not fit (batch, outputs) = {(batch, count)}: {error}") from None
    if not (np.isfinite(current).all() and np.isfinite(slope).all()):
        raise InputError("the nudge has currents or slopes that are not finite; check its β, targets or currents")


def finish(
    system: System,
    x: Array,
    rows: Array,
    iterations: NDArray[np.int64],
    engine: str,
    started: float,
    trace: tuple[Attempt, ...] = (),
    stable: NDArray[np.bool_] | None = None,
) -> Solution:
    """Wrap converged unknowns as a :class:`Solution`.

    Raises
    ------
    ConvergenceError
        If the law of an element, between nodes of known voltage say, has no finite value.
    """
    model = system.model
    fault = lawless(system, x)
    if fault:
        raise ConvergenceError(fault.strip())
    nodes = len(model.plan.nodes)
    return Solution(
        model.circuit,
        system.voltages(x),
        np.ones(len(x), dtype=bool),
        np.abs(rows[:, :nodes]).max(axis=1, initial=0.0),
        iterations,
        engine,
        time.perf_counter() - started,
        model.branch_currents(x),
        trace,
        {b: dict(held) for b, held in system.held.items()},
        system.nudge,
        stable,
    )


def failure_message(
    circuit: Circuit, system: System, result: NewtonResult, trace: tuple[Attempt, ...]
) -> ConvergenceError:
    """Return the error for samples without a solution: worst node, what was tried, and the remedy."""
    failed = np.flatnonzero(~result.converged)
    sample = int(failed[0])
    with np.errstate(all="ignore"):
        absurd = implausible(system.select(failed[:1]), result.x[[sample]])
    forced = ""
    if np.isfinite(result.x[sample]).all() and absurd:
        without = [name for _, name, current in absurd if not np.isfinite(current)]
        _, name, current = max(absurd, key=lambda found: abs(found[2]))
        forced = (
            f"{name} would carry {current:.3g} A: sources may hold its voltage; put a resistor in series with it. "
        )
        if without:
            forced = no_value(without[0])
    return ConvergenceError(
        f"no operating point found for {len(failed)} of {len(result.converged)} samples (first: sample "
        f"{sample}); tried {', '.join(map(str, trace))}. "
        f"{forced}{undetermined(system.select(failed[:1]), result.x[sample])}"
        f"{worst_equation(system, result, sample)}, or start from nearby voltages"
    )


def worst_equation(system: System, result: NewtonResult, sample: int) -> str:
    """Name the node, or the element with an equation of its own, whose equation is missed most."""
    circuit, plan = system.model.circuit, system.model.plan
    count = len(plan.nodes)
    with np.errstate(all="ignore"):  # of the elements' own laws, not of tangents at limited voltages
        row = np.abs(system.select(np.array([sample])).evaluate(result.x[[sample]]).residual[0])
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
