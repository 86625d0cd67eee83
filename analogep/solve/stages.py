"""The equations of a transient: charges and rates, the state after a jump, implicit stages and their error."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from analogep.circuit import Circuit
from analogep.devices import Waveform
from analogep.errors import ConvergenceError, InputError
from analogep.solve.drives import Drives
from analogep.solve.events import States
from analogep.solve.integrators import Point, Step
from analogep.solve.linear import linear_solver
from analogep.solve.newton import Anchor, NewtonOptions, newton, residual_bound
from analogep.solve.nudge import Nudge
from analogep.solve.outcome import failure_message
from analogep.solve.solution import Solution
from analogep.solve.strategies import robust_newton, sharing
from analogep.solve.system import System
from analogep.solve.trajectory import TransientOptions

Array = NDArray[np.float64]

_VIOLENT = 1e3  # currents that no conductance of the circuit could carry
_SUDDEN = 1e6  # how much shorter than a time constant "at once" is
_RIGID = 1e3  # largest resistance that an inductor may see, in that of the largest conductance
_FIRST_MOVE = 1e3  # movement of the first step, in absolute tolerances
_MOST_CHANGES = 100  # of switches at one time


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
        self.capacitance = model.integrator_capacitance(options.node_capacitance)
        self.dynamic = np.asarray(abs(self.capacitance).sum(axis=1)).ravel() > 0.0
        self.sharing = sharing(model)
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

    def first_step(self, rate: Array) -> float:
        """Return a step [s] in which no unknown moves by much more than its absolute tolerance."""
        c = np.abs(self.capacitance.diagonal())[self.dynamic]
        if not len(c):
            return 1.0 if self.options.step is None else self.options.step
        speed = np.abs(rate[:, self.dynamic]) / (c * _FIRST_MOVE * self.absolute[self.dynamic])
        fastest = float(np.max(speed, initial=0.0))
        return 1.0 / fastest if fastest > 0 else float(np.max(c)) / 1e-6

    def consistent(self, x: Array, charge: Array, *, needed: bool) -> Array:
        """Return the state just after a jump that adds ``charge`` (n,) to q.

        Implicit Euler steps, short beside all time constants, find it. Nodes that only capacitors between
        them hold jump together when the inputs are switched on; branch currents follow from the voltages; and
        a junction that starts volts forward falls back at once, which a trapezoidal stage with its current
        would not survive. Two such steps, one half as long, are extrapolated to no time at all, unless
        something violent happens in them.
        """
        model, c = self.system.model, sp.coo_array(self.capacitance)
        steepest = float(abs(model.linear_matrix.diagonal()).max(initial=0.0)) or 1e-6
        volts = max(1.0, float(np.abs(self.system.voltages(x)).max()))
        violent = np.abs(self.rate(x)[:, : self.nodes]).max(initial=0.0) > _VIOLENT * steepest * volts
        if not (needed or violent or model.plan.size > self.nodes or np.any(c.row != c.col)):
            return x
        _, island = connected_components(self.capacitance, directed=False)
        own = abs(self.capacitance.diagonal())
        smallest = np.full(int(island.max(initial=-1)) + 1, np.inf)
        np.minimum.at(smallest, island[own > 0.0], own[own > 0.0])
        rates = _SUDDEN * steepest / smallest[island]
        branch = np.arange(self.nodes, len(rates))[self.dynamic[self.nodes :]]
        rates[branch] = _SUDDEN * _RIGID / (steepest * smallest[island[branch]])
        found = []
        for factor in (1.0, 2.0):
            conductance = sp.csr_array(sp.diags_array(factor * rates) @ self.capacitance)
            pull = np.repeat((factor * rates * charge)[None], len(x), axis=0)
            found.append(newton(self.system, x, self.newton_options, Anchor(conductance, x, pull)))
        long, short = found
        out = np.where(long.converged[:, None], long.x, x)
        if violent:
            return out
        both = (long.converged & short.converged)[:, None]
        return np.where(both, 2.0 * short.x - long.x, out)

    def begin(self, now: float, x: Array, charge: Array, *, needed: bool) -> Point:
        """Return the point just after ``now``, at which q has ``charge`` (n,) from the sources before."""
        after = self.drives.apply(now)
        for _ in range(_MOST_CHANGES):
            x = self.consistent(x, after - charge, needed=needed)
            if not self.states or not self.states.update(self.system.voltages(x), x):
                return Point(now, x, after, self.rate(x), np.zeros(len(x), np.int64))
            charge, needed = after, True
        raise ConvergenceError(
            f"switches keep changing at t = {now:.3g} s: a switch drives its own control across the threshold; "
            "give it a hysteresis, or its control node a capacitor"
        )

    def stage(self, t: float, tau: float, guess: Array, target: Array, extra: Array) -> Point | None:
        """Solve C (x − target) + charge(t) − extra = τ k(x); see :mod:`analogep.solve.integrators`."""
        charge = self.drives.apply(t)
        pull = np.broadcast_to((charge - extra) / tau, target.shape)  # extra may be of the sources alone
        anchor = Anchor(sp.csr_array(self.capacitance / tau), target, pull)
        found = newton(self.system, guess, self.newton_options, anchor)
        if self.sharing is not None and not found.converged.all():  # ideal diodes side by side
            found = newton(self.system, guess, self.newton_options, anchor, self.sharing)
        if not found.converged.all():
            return None
        return Point(t, found.x, charge, self.rate(found.x), found.iterations)

    def error(self, step: Step) -> float:
        """Return the step's largest local error, relative to what is allowed."""
        shunt = sp.csr_array(self.capacitance / step.tau)
        if self.sharing is not None:
            shunt = sp.csr_array(shunt + self.sharing)
        error = linear_solver(self.system.model, shunt).solve(self.entries, step.defect)
        size = np.maximum(np.abs(step.nodes[0].x), np.abs(step.nodes[2].x))
        allowed = self.absolute + self.options.relative * size
        return float(np.max(np.abs(error) / allowed, initial=0.0))

    def first(self, v0: Array | Solution | None, *, operating: bool) -> tuple[Array, Array]:
        """Return the unknowns at time zero, and the sources' part of q before they jump."""
        system, model = self.system, self.system.model
        x = np.zeros((len(system.inputs), model.plan.size))
        if operating:
            charge = self.drives.put(self.drives.values(0.0, before=True))
            found, tried = robust_newton(system, x, self.newton_options)
            if not found.converged.all():
                raise failure_message(model.circuit, system, found, tried)
            self.states.update(system.voltages(found.x), found.x)
            return found.x, charge
        charge = self.drives.put(self.drives.values(0.0))
        if v0 is None:
            return x, charge
        if isinstance(v0, Solution):
            self.states.take(v0.states)
            return model.unknowns(v0.voltages, v0.branches), charge
        return model.reduce_voltages(v0), charge

    def settled(self, x: Array) -> NDArray[np.bool_]:
        """Return, per sample (B,), whether Kirchhoff's law holds without the capacitors' currents."""
        model = self.system.model
        ev = self.system.evaluate(x)
        bound = residual_bound(model, x, ev, model.slots.values(ev.slopes), self.newton_options)
        out: NDArray[np.bool_] = np.all(np.abs(ev.residual) <= bound, axis=1)
        return out
