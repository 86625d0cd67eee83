"""Circuits over time: d/dt q(x, t) = −F(x, t), integrated to a time or to equilibrium.

q holds the charges of capacitors and the flux linkages of inductors, F Kirchhoff's current law and the branch
equations without them. :mod:`analogep.solve.integrators` has the methods; steps are common to the whole batch,
end on every corner of a source's waveform, and start afresh after it. Ideal diodes are part of each stage's
equations, as at an operating point; switches keep their state during a step, which is shortened until it ends
where the state changes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.csgraph import connected_components

from analogep.circuit import Circuit
from analogep.devices import Waveform
from analogep.errors import ConvergenceError, InputError
from analogep.solve import checks
from analogep.solve.cutsets import cutset
from analogep.solve.drives import Drives
from analogep.solve.events import States
from analogep.solve.integrators import METHODS, Point, Step, interpolate
from analogep.solve.linear import linear_solver
from analogep.solve.newton import Anchor, NewtonOptions, newton, residual_bound
from analogep.solve.nudge import Nudge
from analogep.solve.outcome import DEFAULT, check_nudge, failure_message, finish
from analogep.solve.plausible import lawless
from analogep.solve.solution import Solution
from analogep.solve.strategies import robust_newton, sharing
from analogep.solve.system import System

Array = NDArray[np.float64]

STARTS = ("zero", "operating_point")
"""Where a transient may start."""

_VIOLENT = 1e3  # currents that no conductance of the circuit could carry
_SUDDEN = 1e6  # how much shorter than a time constant "at once" is
_RIGID = 1e3  # largest resistance that an inductor may see, in that of the largest conductance
_FIRST_MOVE = 1e3  # movement of the first step, in absolute tolerances
_FIRST_PART = 0.01  # of the time to the next corner, at most, in the first step
_MOST_SHORTENED = 8  # attempts to end a step just where a switch changes
_MOST_CHANGES = 100  # of switches at one time
_SHORTEST = 1e-30  # step [s], of which nothing is left beside any time

_RUNAWAY = 1e9
"""Voltage, relative to the first one (at least 1 V), beyond which a circuit counts as unstable."""


@dataclass(frozen=True)
class TransientOptions:
    """Method and tolerances of the integrator.

    Attributes
    ----------
    absolute, relative
        Local error allowed per step, ``absolute`` [V] + ``relative`` · |v|. A switch is caught within
        ``absolute`` of where it changes its state.
    current_absolute
        The same for inductor currents [A], beside ``relative`` · |i|.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own: the integrator of the
        leaky integrator. Zero leaves such nodes without memory.
    max_steps
        Accepted and rejected steps before giving up.
    method
        ``"tr-bdf2"``, ``"trapezoidal"`` or ``"bdf2"``; see :mod:`analogep.solve.integrators`.
    step
        Length of every step [s], shortened only to end on corners and events; ``None`` lets the local error
        decide.
    max_step
        Longest step [s]; ``None`` sets no limit beside that of the local error.

    Raises
    ------
    InputError
        If the method is unknown or a number out of its range: names all such fields.
    """

    absolute: float = 1e-6
    relative: float = 1e-4
    current_absolute: float = 1e-9
    node_capacitance: float = 1e-12
    max_steps: int = 100_000
    method: str = "tr-bdf2"
    step: float | None = None
    max_step: float | None = None

    def __post_init__(self) -> None:
        step, longest = self.step, self.max_step
        checks.require(
            self,
            (
                ("absolute", checks.positive(self.absolute), "positive volts"),
                ("relative", checks.not_negative(self.relative), "zero or a small fraction"),
                ("current_absolute", checks.positive(self.current_absolute), "positive amperes"),
                ("node_capacitance", checks.not_negative(self.node_capacitance), "zero or positive farads"),
                ("max_steps", checks.count(self.max_steps), "a whole number of at least 1"),
                ("method", self.method in METHODS, f"one of {', '.join(METHODS)}"),
                ("step", step is None or checks.positive(step), "a positive time in seconds, or None"),
                (
                    "max_step",
                    longest is None or checks.positive(longest, infinite=True),
                    "a positive time in seconds, or None",
                ),
            ),
        )


@dataclass(frozen=True)
class Trajectory:
    """Voltages over time.

    Attributes
    ----------
    times
        Time points (T,) [s], from 0, or those that were asked for. Where voltages jump there are two points
        at one time, before and after.
    voltages
        Node voltages (T, B, N) [V].
    solution
        The last point as a solution; converged only if it is an equilibrium.
    steps, rejected
        Accepted and rejected steps.
    branches
        Branch currents (T, B, E, K) [A] of multi-port banks, by bank index: those of inductors, for instance.
    """

    times: Array
    voltages: Array
    solution: Solution
    steps: int
    rejected: int
    branches: Mapping[int, Array]

    def voltage(self, node: str) -> Array:
        """Return the voltages (T, B) [V] of a node; raises :class:`InputError` if there is none."""
        out: Array = self.voltages[:, :, self.solution.circuit.node(node)]
        return out

    def current(self, element: str) -> Array:
        """Return the currents (T, B) [A] of an element that has one of its own, such as an inductor.

        Raises
        ------
        InputError
            If no element of that name has a branch current.
        """
        banks = self.solution.circuit.banks
        for b, currents in self.branches.items():
            if element in banks[b].names and currents.shape[-1]:
                out: Array = currents[:, :, banks[b].names.index(element), 0]
                return out
        raise InputError(f"{element!r} has no branch current; an inductor has one, say")


def transient(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike | Waveform] | None = None,
    until: float | str | None = None,
    nudge: Nudge | None = None,
    v0: Array | Solution | None = None,
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
        taken over, too.
    options
        Method, tolerances, and the leaky integrator's node capacitance.
    newton_options
        Tolerances of the stages, and of the equilibrium.
    start
        Without ``v0``: ``"zero"``, all capacitors and inductors empty (SPICE's ``uic``), or
        ``"operating_point"``, with every source at its value just before time zero (SPICE's ``.tran``).
    times
        Times [s] at which to return the voltages, ascending, instead of at every step; interpolated to the
        order of the method. At a jump, those just after.

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
    if wanted is not None and wanted[-1] > end:
        raise InputError(f"times end at {wanted[-1]:g} s, after until = {end:g} s; raise until")
    if start not in STARTS:
        raise InputError(f"unknown start {start!r}; use one of {', '.join(STARTS)}")
    if v0 is not None and start != "zero":
        raise InputError(f"start = {start!r} and v0 exclude each other; leave one out")
    if v0 is not None and not isinstance(v0, Solution):
        v0 = np.asarray(v0, dtype=float)
    first = v0.voltages if isinstance(v0, Solution) else v0
    if first is not None and first.shape != (len(array), len(circuit.nodes)):
        raise InputError(f"v0 has shape {first.shape}; expected {(len(array), len(circuit.nodes))}")
    run = _Run(circuit, array, nudge, options or TransientOptions(), newton_options, waves, circuit.waveforms)
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
    run = _Run(circuit, inputs, nudge, coarse, options, {}, {})
    return run.integrate(v0, math.inf, wanted=np.zeros(0)).solution


def _asked(times: ArrayLike) -> Array:
    try:
        wanted = np.array(times, dtype=float).reshape(-1)
    except (TypeError, ValueError):
        raise InputError(f"times = {times!r}; give an array of times in seconds") from None
    if not len(wanted) or not np.isfinite(wanted).all() or wanted[0] < 0.0 or (np.diff(wanted) <= 0.0).any():
        raise InputError("times must be finite, zero or more, and ascending; sort them and drop repetitions")
    return wanted


class _Record:
    """Collects points, of every step or at the times that were asked for."""

    def __init__(self, wanted: Array | None) -> None:
        self.wanted, self.next = wanted, 0
        self.times: list[float] = []
        self.voltages: list[Array] = []
        self.x: list[Array] = []

    def add(self, t: float, voltages: Array, x: Array) -> None:
        self.times.append(t)
        self.voltages.append(voltages)
        self.x.append(x)

    def due(self, t: float) -> list[float]:
        """Return the times up to t that are still to come, and count them as done."""
        assert self.wanted is not None
        last = int(np.searchsorted(self.wanted, t, side="right"))
        out = [float(w) for w in self.wanted[self.next : last]]
        self.next = max(last, self.next)
        return out

    def jump(self, t: float, voltages: Array, x: Array) -> None:
        """Add the point just after a jump."""
        if self.wanted is None:
            self.add(t, voltages, x)
        elif self.times and self.times[-1] == t:
            self.voltages[-1], self.x[-1] = voltages, x


class _Run:
    """One integration; holds what does not change from step to step."""

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
        """Raise :class:`InputError` if some waveform never comes to rest."""
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

    def integrate(
        self, v0: Array | Solution | None, end: float, *, operating: bool = False, wanted: Array | None = None
    ) -> Trajectory:
        """Integrate from time zero; see :func:`transient`."""
        began = time.perf_counter()
        system = self.system
        x, charge = self.first(v0, operating=operating)
        self.states.freeze()
        edges = [0.0, *self.drives.corners(end)]
        if edges[-1] < end:
            edges.append(end)
        self.record, self.steps, self.rejected, self.iterations = _Record(wanted), 0, 0, 0
        values = self.drives.values(0.0, before=operating)
        for k, (a, b) in enumerate(pairwise(edges)):
            self.drives.segment(a, b)
            jumped = not np.array_equal(values, self.drives.first)
            point = self.begin(a, x, charge, needed=jumped or (k == 0 and bool(self.states)))
            voltages = system.voltages(point.x)
            if k == 0:
                self.ceiling = _RUNAWAY * max(1.0, float(np.abs(voltages).max()))
                if wanted is None or self.record.due(0.0):
                    self.record.add(a, voltages, point.x)
            elif jumped:
                self.record.jump(a, voltages, point.x)
            point = self.follow(point, b, last=b == end)
            x, charge, values = point.x, point.charge, self.drives.last
        if not math.isinf(end) and not np.array_equal(values, self.drives.values(end)):
            self.drives.segment(end, math.inf)
            x = self.begin(end, x, charge, needed=True).x
            self.record.jump(end, system.voltages(x), x)
        return self.trajectory(x, end, began)

    def follow(self, point: Point, end: float, *, last: bool) -> Point:
        """Integrate without corners from ``point`` to ``end``, or, in the last piece, to equilibrium."""
        method, growth = METHODS[self.options.method]
        past = [point]
        h, forced, shortened = self.fresh(point, end), False, 0
        forever = last and math.isinf(end)
        while point.time < end and not (forever and bool(self.settled(point.x).all())):
            if self.steps + self.rejected >= self.options.max_steps:
                raise ConvergenceError(
                    f"the transient did not end within {self.options.max_steps} steps (t = {point.time:.3g} s). "
                    f"{cutset(self.system.model.circuit)}"
                    "Raise TransientOptions.max_steps or loosen its tolerances"
                )
            h, final = self.fit(h, end - point.time, forced=forced)
            forced = False
            if point.time + h == point.time or h < _SHORTEST:
                raise ConvergenceError(
                    f"the transient's step collapsed to {h:.3g} s at t = {point.time:.3g} s. "
                    f"{lawless(self.system, point.x)}{cutset(self.system.model.circuit)}"
                    "Check capacitances and sources, or raise TransientOptions.node_capacitance"
                )
            step = method(self.stage, past, h)
            error = math.nan if step is None else self.error(step)
            if self.options.step is not None and step is not None:
                error = 1.0
            if step is None or not math.isfinite(error) or error > 1.0:
                self.rejected += 1
                failed = not math.isfinite(error)
                if failed and self.options.step is not None:
                    raise ConvergenceError(
                        f"no solution after a step of {h:.3g} s at t = {point.time:.3g} s; give a smaller "
                        "TransientOptions.step, or None"
                    )
                h *= 0.125 if failed else max(0.2, 0.9 * error ** (-1.0 / 3.0))
                continue
            switched = False
            if self.states:
                part = self.switching(step, point.time)
                switched = part is not None
                if part is not None and part < 1.0 and shortened < _MOST_SHORTENED:
                    self.rejected += 1
                    h, forced, shortened = max(part, 1e-3) * h, True, shortened + 1
                    continue
                shortened = 0
            point = step.nodes[2]
            if final:
                point = replace(point, time=end)
            self.steps += 1
            self.iterations += int(np.max(step.iterations, initial=0))
            self.bounded(point.x, self.ceiling, point.time)
            self.keep(step, point)
            if switched:
                point = self.begin(point.time, point.x, point.charge, needed=True)
                self.record.jump(point.time, self.system.voltages(point.x), point.x)
                past, h = [point], self.fresh(point, end)
                continue
            past = [past[-1], point]
            h *= min(growth, 0.9 * max(error, 1e-9) ** (-1.0 / 3.0))
        return point

    def fresh(self, point: Point, end: float) -> float:
        """Return the first step [s] after a start, a corner or an event."""
        return min(self.first_step(point.rate), _FIRST_PART * (end - point.time))

    def fit(self, h: float, left: float, *, forced: bool) -> tuple[float, bool]:
        """Return the step [s] to try and whether it ends the piece, of which ``left`` [s] is to go."""
        if self.options.step is not None and not forced:
            fixed = min(self.options.step, self.options.max_step or math.inf)
            count = max(1, math.ceil(left / fixed - 1e-6)) if math.isfinite(left) else 1
            return (left / count, count == 1) if math.isfinite(left) else (fixed, False)
        h = min(h, self.drives.pace, self.options.max_step or math.inf)
        if h >= left:
            return left, True
        if h > 0.5 * left and not forced:
            return 0.5 * left, False
        return h, False

    def switching(self, step: Step, first: float) -> float | None:
        """Return the part of a step from ``first`` after which a switch has just changed, if one does."""
        last, last_x = step.nodes[2].time, step.nodes[2].x
        if not self.states.changed(self.system.voltages(last_x), last_x):
            return None

        def path(part: float) -> tuple[Array, Array]:
            t = first + part * (last - first) if part < 1.0 else last
            x = interpolate(step.nodes, t) if part < 1.0 else last_x
            self.drives.apply(t)
            return self.system.voltages(x), x

        part = self.states.overshoot(path, self.options.absolute)
        self.drives.apply(last)
        return part

    def keep(self, step: Step, point: Point) -> None:
        """Record the end of a step, or the times asked for within it."""
        if self.record.wanted is None:
            self.record.add(point.time, self.system.voltages(point.x), point.x)
            return
        for t in self.record.due(point.time):
            x = point.x if t == point.time else interpolate(step.nodes, t)
            self.drives.apply(t)
            self.record.add(t, self.system.voltages(x), x)
        self.drives.apply(point.time)

    def settled(self, x: Array) -> NDArray[np.bool_]:
        """Return, per sample (B,), whether Kirchhoff's law holds without the capacitors' currents."""
        model = self.system.model
        ev = self.system.evaluate(x)
        bound = residual_bound(model, x, ev, model.slots.values(ev.slopes), self.newton_options)
        out: NDArray[np.bool_] = np.all(np.abs(ev.residual) <= bound, axis=1)
        return out

    def trajectory(self, x: Array, end: float, began: float) -> Trajectory:
        """Return what was recorded, with x as the last point."""
        system, record = self.system, self.record
        rows = system.evaluate(x).residual
        solution = finish(system, x, rows, np.full(len(x), self.iterations), "transient", began)
        if not math.isinf(end):
            solution = replace(solution, converged=self.settled(x))
        branches = system.model.branch_currents(np.array(record.x)) if record.x else {}
        times, voltages = np.array(record.times), np.array(record.voltages)
        return Trajectory(times, voltages, solution, self.steps, self.rejected, branches)
