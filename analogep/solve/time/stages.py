"""The equations of a transient: charges and rates, the state after a jump, implicit stages and their error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import Waveform
from analogep.errors import ConvergenceError, InputError
from analogep.solve.answers.outcome import failure_message
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.pieces import sharing
from analogep.solve.equations.system import System
from analogep.solve.linear.systems import linear_solver
from analogep.solve.newton.newton import Anchor, NewtonOptions, newton, residual_bound
from analogep.solve.newton.strategies import robust_newton
from analogep.solve.nudge import Nudge
from analogep.solve.time.drives import Drives, charges
from analogep.solve.time.integrators import Point, Step, interpolate, weights
from analogep.solve.time.jumps import Jumps
from analogep.solve.time.storage import Storage
from analogep.solve.time.switches import States
from analogep.solve.time.trajectory import Stored, TransientOptions

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_FIRST_MOVE = 1e3  # movement of the first step, in absolute tolerances
_MOST_CHANGES = 100  # of switches at one time
_FLAT = 1e-6  # conductance [S] of a circuit without any
_LAST_BITS = 4.0 * float(np.finfo(float).eps)

SHORTEST = 1e-30
"""Shortest step [s], of which nothing is left beside any time."""


class Stages:
    """The equations of one integration; holds what does not change from step to step."""

    def __init__(
        self,
        circuit: Circuit,
        inputs: Array,
        nudge: Nudge | None,
        options: TransientOptions,
        newton_options: NewtonOptions,
        waves: Mapping[int, Waveform],
        sources: Mapping[str, Waveform],
    ) -> None:
        self.system = System(circuit, inputs, nudge)
        self.options, self.newton_options = options, newton_options
        self.drives = Drives(self.system, waves, sources)
        self.states = States(self.system)
        model = self.system.model
        self.storage = Storage(model, options.node_capacitance)
        self.capacitance, self.dynamic = self.storage.capacitance, self.storage.dynamic
        self.sharing = sharing(model)
        self.jumps = Jumps(self.system, self.storage, newton_options, self.sharing)
        self.nothing = np.zeros(model.plan.size)
        self.nodes = len(model.plan.nodes)
        self.absolute = np.full(model.plan.size, options.absolute)
        self.absolute[self.nodes :] = np.where(self.dynamic[self.nodes :], options.current_absolute, np.inf)
        self.entries: Array = np.zeros((len(inputs), 0))  # of the Jacobian, where `rate` was last asked

    def check_rest(self) -> None:
        """Raise :class:`InputError` if some waveform, or the nudge, never comes to rest."""
        if self.drives.nudge is not None:
            raise InputError("there is no equilibrium under a sinusoidal nudge; give until= a time")
        for waveform in self.drives.waveforms:
            if math.isinf(waveform.rest()):
                raise InputError(
                    f"there is no equilibrium under {waveform}, which never comes to rest; give until= a time"
                )

    def rate(self, x: Array) -> Array:
        """Return −F (B, n) [A], zero in rows without memory; keep the Jacobian's changing entries."""
        ev = self.system.evaluate(x)
        self.entries = self.system.model.slots.values(ev.slopes)
        return np.where(self.dynamic, -ev.residual, 0.0)

    def first_step(self, point: Point) -> float:
        """Return a step [s] in which no unknown moves by much more than its absolute tolerance."""
        if not self.dynamic.any():
            return 1.0 if self.options.step is None else self.options.step
        c = self.storage.diagonal(self.system, point.local)[:, self.dynamic]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            speed = np.abs(point.rate[:, self.dynamic]) / (c * _FIRST_MOVE * self.absolute[self.dynamic])
        fastest = float(np.max(speed, initial=0.0, where=c > 0.0))
        return 1.0 / fastest if fastest > 0 else float(np.max(c)) / 1e-6

    def point(self, now: float, x: Array, sources: Array, first: Point | None, iterations: Index) -> Point:
        """Return the point at unknowns x (B, n), reached from ``first``, under the charge (n,) of ``sources``."""
        storage, rate = self.storage, self.rate(x)
        if not storage.banks:
            return Point(now, x, sources, rate, iterations, self.nothing, {})
        local, stored = storage.local(self.system, x), self.nothing
        if first is not None:
            stored = first.stored + storage.moved(self.system, local, first.local)
        return Point(now, x, sources + stored, rate, iterations, stored, local)

    def begin(self, before: Point) -> Point:
        """Return the point just after ``before``, with charges kept.

        Raises
        ------
        ConvergenceError
            If there is none, or switches do not come to rest.
        """
        now = before.time
        sources, point = self.drives.apply(now), before
        for _ in range(_MOST_CHANGES):
            x = self.jumps.after(point.x, sources - (point.charge - point.stored), point.local, now)
            point = self.point(now, x, sources, point, np.zeros(len(x), np.int64))
            if self.first_step(point) < self.resolution(now):
                point = self.fall(point)
            if not self.states or not self.states.update(self.system.voltages(point.x), point.x, now):
                return point
        raise ConvergenceError(
            f"switches keep changing at t = {now:.3g} s: {self.states.last} drives its own control across the "
            "threshold; give it a hysteresis, or its control node a capacitor"
        )

    def fall(self, point: Point) -> Point:
        """Return where a state goes that cannot last for any time that could be told from ``point``'s.

        That of a junction volts forward, say, at 1e50 A. An implicit Euler step, short beside the time constants
        of the linear circuit, leads there.
        """
        model = self.system.model
        steepest = float(np.abs(model.linear_diagonal[: self.nodes]).max(initial=0.0)) or _FLAT
        rates = np.minimum(self.jumps.rates(self.system, point.x, steepest), 1.0 / self.resolution(point.time))
        found = self.jumps.euler(self.system, point.x, self.nothing, point.local, rates)
        x = np.where(found.converged[:, None], found.x, point.x)
        return self.point(point.time, x, self.drives.apply(point.time), point, point.iterations)

    def resolution(self, now: float) -> float:
        """Return the shortest time [s] that is anything beside ``now``."""
        return max(SHORTEST, _LAST_BITS * now)

    def between(self, t: float, x: Array) -> Array:
        """Return unknowns (B, n) with the charges of x, an interpolation, that satisfy Kirchhoff's law at t."""
        if self.storage.closed:
            return x
        return self.jumps.after(x, self.nothing, self.storage.local(self.system, x), t)

    def stage(self, t: float, tau: float, guess: Array, target: Array, extra: Array, first: Point) -> Point | None:
        """Solve C (x − target) + charge − extra = τ k(x); see :mod:`analogep.solve.time.integrators`."""
        sources = self.drives.apply(t)
        pull = np.broadcast_to((sources + first.stored - extra) / tau, target.shape)  # may be of the sources alone
        anchor = Anchor(sp.csr_array(self.capacitance / tau), target, pull)
        self.system.memory = self.storage.memory(1.0 / tau, first.local)
        found = newton(self.system, guess, self.newton_options, anchor)
        if self.sharing is not None and not found.converged.all():  # ideal diodes side by side
            found = newton(self.system, guess, self.newton_options, anchor, self.sharing)
        self.system.memory = None
        if not found.converged.all():
            return None
        return self.point(t, found.x, sources, first, found.iterations)

    def error(self, step: Step) -> float:
        """Return the step's largest local error, relative to what is allowed."""
        entries, last = self.entries, step.nodes[2]
        if self.storage.banks:
            entries = entries + self.storage.entries(self.system, last.local, step.first.local) / step.tau
        size = np.maximum(np.abs(step.nodes[0].x), np.abs(last.x))
        error = self._relative(entries, step.tau, step.defect, size)
        if self.storage.banks and math.isfinite(error):
            error += self._relative(entries, step.tau, self._bend(step) / step.tau, size)
        return error

    def _bend(self, step: Step) -> Array:
        """Return the charge rows (B, n) that a step's straight way misses where charge depends on the way.

        Meyer's capacitances of a MOSFET are of this kind: no charge is a function of its voltages. What comes by
        way of the parabola's point halfway is compared with what came straight.
        """
        first, last = step.first.local, step.nodes[2].local
        count = weights(step.nodes, 0.5 * (step.first.time + step.nodes[2].time))
        middle = {b: np.einsum("k,k...->...", count, [node.local[b] for node in step.nodes]) for b in last}
        moved = self.storage.moved
        bent = moved(self.system, middle, first) + moved(self.system, last, middle)
        return np.where(self.dynamic, bent - moved(self.system, last, first), 0.0)

    def obeyed(self, step: Step) -> bool:
        """Return whether the parabola through a step's points obeys the circuit's equations all along.

        Halfway between points that the step solved, the charge must be the integral of a cubic of the rate. What
        the parabola misses it by, as a deviation of the unknowns, stays within the tolerance; states far faster
        than the step show here, amplified as much as they are in the voltages that depend on them.
        """
        if self.storage.banks:
            return False
        solved = sorted({step.first.time, *(node.time for node in step.nodes if node.time > step.first.time)})
        return all(self._missed(step, 0.5 * (a + b)) <= 1.0 for a, b in pairwise(solved))

    def _missed(self, step: Step, t: float) -> float:
        first, last = step.first, step.nodes[2]
        x = self.between(t, interpolate(step.nodes, t))
        sources, rate = self.drives.apply(t), self.rate(x)
        times = (np.array([*(node.time for node in step.nodes), t]) - first.time) / (last.time - first.time)
        powers = np.arange(1, 5)
        count = np.linalg.solve(np.vander(times, increasing=True).T, times[3] ** powers / powers)
        count *= last.time - first.time
        taken = sum(w * k for w, k in zip(count, (*(node.rate for node in step.nodes), rate), strict=True))
        charge = (self.capacitance @ (x - first.x).T).T + sources - first.charge
        defect = np.where(self.dynamic, (charge - taken) / count[3], 0.0)
        return self._relative(self.entries, float(count[3]), defect, np.abs(x))

    def _relative(self, entries: Array, tau: float, defect: Array, size: Array) -> float:
        """Return the largest deviation for a defect of the charge over τ, relative to what is allowed."""
        shunt = sp.csr_array(self.capacitance / tau)
        if self.sharing is not None:
            shunt = sp.csr_array(shunt + self.sharing)
        deviation = linear_solver(self.system.model, shunt).solve(entries, defect)
        allowed = self.absolute + self.options.relative * size
        return float(np.max(np.abs(deviation) / allowed, initial=0.0))

    def first(self, v0: Array | Solution | Stored | None, *, operating: bool) -> Point:
        """Return the point at time zero, before sources jump."""
        system, model = self.system, self.system.model
        if v0 is None and not operating:
            v0 = Stored(np.zeros((len(system.inputs), len(model.circuit.nodes))))
        x = np.zeros((len(system.inputs), model.plan.size))
        sources = self.drives.put(self.drives.values(0.0, before=operating))
        if operating:
            found, tried = robust_newton(system, x, self.newton_options)
            if not found.converged.all():
                raise failure_message(model.circuit, system, found, tried)
            x = found.x
            self.states.update(system.voltages(x), x, 0.0)
        elif isinstance(v0, Solution):
            self.states.take(v0.states)
            x = model.unknowns(v0.voltages, v0.branches)
        elif isinstance(v0, Stored):
            x = model.unknowns(v0.voltages, v0.branches)
        elif v0 is not None:
            x = model.reduce_voltages(v0)
        point = self.point(0.0, x, sources, None, np.zeros(len(x), np.int64))
        return self.holding(point, v0) if isinstance(v0, Stored) else point

    def holding(self, point: Point, stored: Stored) -> Point:
        """Return the point with the charges that elements hold, whatever the voltages of its sources are."""
        model = self.system.model
        held = charges(model, stored.voltages, stored.across) - charges(model, self.system.voltages(point.x))
        local = {b: model.local_values(b, stored.voltages, point.x) for b in self.storage.banks}
        return replace(point, charge=point.charge + held, local=local)

    def settled(self, x: Array) -> NDArray[np.bool_]:
        """Return, per sample (B,), whether Kirchhoff's law holds without the capacitors' currents."""
        model = self.system.model
        ev = self.system.evaluate(x)
        bound = residual_bound(model, x, ev, model.slots.values(ev.slopes), self.newton_options)
        out: NDArray[np.bool_] = np.all(np.abs(ev.residual) <= bound, axis=1)
        return out
