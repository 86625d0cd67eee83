"""The leaky integrator: C dv/dt = −F(v), integrated to a time or to equilibrium.

TR-BDF2 (Bank et al. 1985), a trapezoidal stage and a BDF2 stage with the same Jacobian: second order,
L-stable, so that steps may grow without bound while the circuit comes to rest. The local error comes from
the embedded third-order formula (Hosea & Shampine 1996, section 3); steps are common to the whole batch.
Ideal diodes are part of each stage's equations, as at an operating point.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, InputError
from analogep.solve.linear import linear_solver
from analogep.solve.newton import Anchor, NewtonOptions, newton, residual_bound
from analogep.solve.nudge import Nudge
from analogep.solve.outcome import DEFAULT, check_nudge, finish
from analogep.solve.solution import Solution
from analogep.solve.system import System

Array = NDArray[np.float64]

_GAMMA = 2.0 - math.sqrt(2.0)
_D = _GAMMA / 2.0  # weight of the implicit stage
_W = math.sqrt(2.0) / 4.0
_VIOLENT = 1e3  # currents that no conductance of the circuit could carry
_SUDDEN = 1e6  # how much shorter than a time constant "at once" is
_ERROR = (_W - (1.0 - _W) / 3.0, _W - (3.0 * _W + 1.0) / 3.0, _D - _D / 3.0)

_RUNAWAY = 1e9
"""Voltage, relative to the first one (at least 1 V), beyond which a circuit counts as unstable."""


@dataclass(frozen=True)
class TransientOptions:
    """Tolerances of the integrator.

    Attributes
    ----------
    absolute, relative
        Local error allowed per step, ``absolute`` [V] + ``relative`` · |v|.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own: the integrator of the
        leaky integrator. Zero leaves such nodes without memory.
    max_steps
        Accepted and rejected steps before giving up.
    """

    absolute: float = 1e-6
    relative: float = 1e-4
    node_capacitance: float = 1e-12
    max_steps: int = 100_000


@dataclass(frozen=True)
class Trajectory:
    """Voltages over time.

    Attributes
    ----------
    times
        Time points (T,) [s], from 0.
    voltages
        Node voltages (T, B, N) [V].
    solution
        The last point as a solution; converged only if it is an equilibrium.
    steps, rejected
        Accepted and rejected steps.
    """

    times: Array
    voltages: Array
    solution: Solution
    steps: int
    rejected: int


def transient(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    until: float | str = "equilibrium",
    nudge: Nudge | None = None,
    v0: Array | Solution | None = None,
    options: TransientOptions | None = None,
    newton_options: NewtonOptions = DEFAULT,
) -> Trajectory:
    """Integrate C dv/dt = −F(v) from ``v0`` (zero by default) under constant inputs.

    Parameters
    ----------
    circuit, inputs, nudge
        As for :func:`analogep.operating_point`.
    until
        End time [s], or ``"equilibrium"``: until Kirchhoff's law holds without the capacitors' currents.
    v0
        Node voltages (B, N) [V] at time zero, or a solution.
    options
        Tolerances and the leaky integrator's node capacitance.
    newton_options
        Tolerances of the stages, and of the equilibrium.

    Raises
    ------
    InputError
        If arguments do not fit the circuit.
    ConvergenceError
        If the step size collapses or the number of steps runs out.
    """
    array = circuit.input_array(inputs)
    check_nudge(circuit, nudge, len(array))
    if until != "equilibrium" and not (isinstance(until, (int, float)) and 0 < until < math.inf):
        raise InputError(f"until = {until!r}; give a positive time in seconds, or 'equilibrium'")
    start = v0.voltages if isinstance(v0, Solution) else v0
    if start is not None and start.shape != (len(array), len(circuit.nodes)):
        raise InputError(f"v0 has shape {start.shape}; expected {(len(array), len(circuit.nodes))}")
    end = math.inf if until == "equilibrium" else float(until)
    run = _Run(circuit, array, nudge, options or TransientOptions(), newton_options)
    return run.integrate(start, end, keep=True)


def settle(
    circuit: Circuit,
    inputs: Array,
    nudge: Nudge | None,
    v0: Array | None,
    options: NewtonOptions,
    started: float,
) -> Solution:
    """Return the equilibrium that the leaky integrator settles into (``method="transient"``)."""
    del started
    run = _Run(circuit, inputs, nudge, TransientOptions(relative=1e-2, absolute=1e-3), options)
    return run.integrate(v0, math.inf, keep=False).solution


class _Run:
    """One integration; holds what does not change from step to step."""

    def __init__(
        self,
        circuit: Circuit,
        inputs: Array,
        nudge: Nudge | None,
        options: TransientOptions,
        newton_options: NewtonOptions,
    ) -> None:
        self.system = System(circuit, inputs, nudge)
        self.options, self.newton_options = options, newton_options
        model = self.system.model
        self.capacitance = model.integrator_capacitance(options.node_capacitance)
        self.dynamic = np.asarray(abs(self.capacitance).sum(axis=1)).ravel() > 0.0
        self.nodes = len(model.plan.nodes)

    def rate(self, x: Array) -> tuple[Array, Array]:
        """Return −F (B, n) [A], zero in rows without memory, and the Jacobian's changing entries."""
        ev = self.system.evaluate(x)
        entries = self.system.model.slots.values(ev.slopes)
        return np.where(self.dynamic, -ev.residual, 0.0), entries

    def first_step(self, rate: Array) -> float:
        """Return a step [s] in which no node moves by more than about a millivolt."""
        c = self.capacitance.diagonal()[self.dynamic]
        if not len(c):
            return 1.0
        speed = float(np.max(np.abs(rate[:, self.dynamic]) / c, initial=0.0))
        return 1e-3 / speed if speed > 0 else float(np.max(c)) / 1e-6

    def consistent(self, x: Array) -> Array:
        """Return the state just after time zero.

        One implicit Euler step, short beside all time constants, finds it. Nodes that only capacitors between
        them hold jump together when the inputs are switched on; branch currents follow from the voltages; and
        a junction that starts volts forward falls back at once, which a trapezoidal stage with its current
        would not survive.
        """
        model, c = self.system.model, sp.coo_array(self.capacitance)
        steepest = float(abs(model.linear_matrix.diagonal()).max(initial=0.0)) or 1e-6
        volts = max(1.0, float(np.abs(self.system.voltages(x)).max()))
        violent = np.abs(self.rate(x)[0]).max(initial=0.0) > _VIOLENT * steepest * volts
        if not (violent or model.plan.size > self.nodes or np.any(c.row != c.col)):
            return x
        _, island = connected_components(self.capacitance, directed=False)
        own = abs(self.capacitance.diagonal())
        smallest = np.full(int(island.max()) + 1, np.inf)
        np.minimum.at(smallest, island[own > 0.0], own[own > 0.0])
        rates = sp.diags_array(_SUDDEN * steepest / smallest[island])
        anchor = Anchor(sp.csr_array(rates @ self.capacitance), x)
        jump = newton(self.system, np.zeros_like(x), self.newton_options, anchor)
        return np.where(jump.converged[:, None], jump.x, x)

    def bounded(self, x: Array, ceiling: float, now: float) -> None:
        """Raise :class:`ConvergenceError` if a node has run away from where it started."""
        size = np.abs(x[:, : self.nodes])
        if size.max(initial=0.0) > ceiling:
            sample, k = np.unravel_index(int(np.argmax(size)), size.shape)
            node = self.system.model.circuit.nodes[self.system.model.plan.nodes[k]]
            raise ConvergenceError(
                f"the transient runs away: node {node} of sample {sample} stands at {x[sample, k]:.3g} V at "
                f"t = {now:.3g} s. The circuit is unstable; use a smaller repelling β or lower gains"
            )

    def integrate(self, v0: Array | None, end: float, *, keep: bool) -> Trajectory:
        began = time.perf_counter()
        system, model = self.system, self.system.model
        batch = len(system.inputs)
        x = np.zeros((batch, model.plan.size)) if v0 is None else model.reduce_voltages(v0)
        x = self.consistent(x)
        k1, _ = self.rate(x)
        h = min(self.first_step(k1), end)
        now, steps, rejected, iterations = 0.0, 0, 0, 0
        times, states = [0.0], [system.voltages(x)]
        ceiling = _RUNAWAY * max(1.0, float(np.abs(states[0]).max()))
        resting = math.isinf(end) and bool(self.settled(x).all())
        while now < end and not resting:
            if steps + rejected >= self.options.max_steps:
                raise ConvergenceError(
                    f"the transient did not end within {self.options.max_steps} steps (t = {now:.3g} s); "
                    "raise TransientOptions.max_steps or loosen its tolerances"
                )
            h = min(h, end - now)
            if now + h == now:
                raise ConvergenceError(
                    f"the transient's step collapsed to {h:.3g} s at t = {now:.3g} s; "
                    "check capacitances and sources, or raise TransientOptions.node_capacitance"
                )
            trial = self.step(x, k1, h)
            if trial is None:
                rejected += 1
                h *= 0.125
                continue
            x_new, k_new, error, count = trial
            iterations += count
            if error > 1.0:
                rejected += 1
                h *= max(0.2, 0.9 * error ** (-1.0 / 3.0))
                continue
            x, k1, now, steps = x_new, k_new, now + h, steps + 1
            self.bounded(x, ceiling, now)
            if keep:
                times.append(now)
                states.append(system.voltages(x))
            h *= min(8.0, 0.9 * max(error, 1e-9) ** (-1.0 / 3.0))
            resting = math.isinf(end) and bool(self.settled(x).all())
        rows = system.evaluate(x).residual
        solution = finish(system, x, rows, np.full(batch, iterations), "transient", began)
        if not math.isinf(end):
            solution = replace(solution, converged=self.settled(x))
        return Trajectory(np.array(times), np.array(states), solution, steps, rejected)

    def step(self, x: Array, k1: Array, h: float) -> tuple[Array, Array, float, int] | None:
        """Return (x, rate, error relative to the tolerance, iterations) after one step, None on failure."""
        model = self.system.model
        conductance = sp.csr_array(self.capacitance / (h * _D))
        middle = newton(self.system, x, self.newton_options, Anchor(conductance, x, -k1))
        if not middle.converged.all():
            return None
        k2, _ = self.rate(middle.x)
        last = newton(self.system, middle.x, self.newton_options, Anchor(conductance, x, -(_W / _D) * (k1 + k2)))
        if not last.converged.all():
            return None
        k3, entries = self.rate(last.x)
        defect = (_ERROR[0] * k1 + _ERROR[1] * k2 + _ERROR[2] * k3) / _D
        error = linear_solver(model, conductance).solve(entries, defect)[:, : self.nodes]
        size = np.maximum(np.abs(x), np.abs(last.x))[:, : self.nodes]
        allowed = self.options.absolute + self.options.relative * size
        worst = float(np.max(np.abs(error) / allowed, initial=0.0))
        if not math.isfinite(worst):
            return None
        return last.x, k3, worst, int(np.max(middle.iterations + last.iterations, initial=0))

    def settled(self, x: Array) -> NDArray[np.bool_]:
        """Return, per sample (B,), whether Kirchhoff's law holds without the capacitors' currents."""
        model = self.system.model
        ev = self.system.evaluate(x)
        bound = residual_bound(model, x, ev, model.slots.values(ev.slopes), self.newton_options)
        out: NDArray[np.bool_] = np.all(np.abs(ev.residual) <= bound, axis=1)
        return out
