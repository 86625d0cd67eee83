"""The steps of a transient: their lengths, corners of waveforms, switches that change, and the record."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from analogep.errors import ConvergenceError
from analogep.solve.answers.outcome import finish
from analogep.solve.answers.solution import Solution
from analogep.solve.newton.plausible import lawless
from analogep.solve.time.cutsets import cutset
from analogep.solve.time.integrators import METHODS, Point, Step, interpolate, tr_bdf2
from analogep.solve.time.stages import SHORTEST, Stages
from analogep.solve.time.trajectory import Record, Stored, Trajectory

Array = NDArray[np.float64]

_FIRST_PART = 0.01  # of the time to the next corner, at most, in the first step
_LOOKS = (0.25, 0.5, 0.75)  # parts of a step at which switches are looked at, beside its end
_MOST_SHORTENED = 8  # attempts to end a step just where a switch changes

_RUNAWAY = 1e9
"""Voltage, relative to the first one (at least 1 V), beyond which a circuit counts as unstable."""


class Run(Stages):
    """One integration, from piece to piece and step to step."""

    def integrate(
        self,
        v0: Array | Solution | Stored | None,
        end: float,
        *,
        operating: bool = False,
        wanted: Array | None = None,
    ) -> Trajectory:
        """Integrate from time zero; see :func:`analogep.solve.time.transient.transient`."""
        began = time.perf_counter()
        system = self.system
        point = self.first(v0, operating=operating)
        self.states.freeze()
        edges = [0.0, *self.drives.corners(end)]
        if edges[-1] < end:
            edges.append(end)
        self.end = end
        self.record, self.steps, self.rejected, self.iterations = Record(wanted), 0, 0, 0
        values = self.drives.values(0.0, before=operating)
        for k, (a, b) in enumerate(pairwise(edges)):
            self.drives.segment(a, b)
            jumped = not np.array_equal(values, self.drives.first)
            point = self.begin(replace(point, time=a))
            voltages = system.voltages(point.x)
            if k == 0:
                self.ceiling = _RUNAWAY * max(1.0, float(np.abs(voltages).max()))
                if wanted is None or self.record.due(0.0):
                    self.record.add(a, voltages, point.x)
            elif jumped:
                self.record.jump(a, voltages, point.x)
            point = self.follow(point, b, last=b == end)
            values = self.drives.last
        if not math.isinf(end) and not np.array_equal(values, self.drives.values(end)):
            self.drives.segment(end, math.inf)
            point = self.begin(point)
            self.record.jump(end, system.voltages(point.x), point.x)
        return self.trajectory(point.x, end, began)

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
            if point.time + h == point.time or h < SHORTEST:
                raise ConvergenceError(
                    f"the transient's step collapsed to {h:.3g} s at t = {point.time:.3g} s. "
                    f"{lawless(self.system, point.x)}{cutset(self.system.model.circuit)}"
                    "Check capacitances and sources, or raise TransientOptions.node_capacitance"
                )
            step = method(self.stage, past, h)
            error = math.nan
            if step is not None:
                error = self.error(step) if self.options.step is None else 1.0
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
                point = self.begin(point)
                if chatter := self.states.restless(self.end, self.options.absolute, self.options.max_steps):
                    raise ConvergenceError(chatter)
                self.record.jump(point.time, self.system.voltages(point.x), point.x)
                past, h = [point], self.fresh(point, end)
                continue
            past = [past[-1], point]
            h *= min(growth, 0.9 * max(error, 1e-9) ** (-1.0 / 3.0))
        return point

    def fresh(self, point: Point, end: float) -> float:
        """Return the first step [s] after a start, a corner or an event."""
        return min(self.first_step(point), _FIRST_PART * (end - point.time))

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

        def at(t: float) -> tuple[Array, Array]:
            x = interpolate(step.nodes, t) if t < last else last_x
            self.drives.apply(t)
            return self.system.voltages(x), x

        part = None
        for end in (*(first + look * (last - first) for look in _LOOKS), last):
            if self.states.changed(*at(end)):

                def path(p: float, end: float = end) -> tuple[Array, Array]:
                    return at(first + p * (end - first) if p < 1.0 else end)

                found = self.states.overshoot(path, self.options.absolute)
                part = found * (end - first) / (last - first) if end < last else found
                break
        self.drives.apply(last)
        return part

    def keep(self, step: Step, point: Point) -> None:
        """Record the end of a step, or the times asked for within it."""
        if self.record.wanted is None:
            self.record.add(point.time, self.system.voltages(point.x), point.x)
            return
        due = self.record.due(point.time)
        smooth = any(t < point.time for t in due) and self.obeyed(step)
        for t in due:
            self.drives.apply(t)
            if t == point.time:
                x = point.x
            elif smooth:
                x = self.between(t, interpolate(step.nodes, t))
            else:
                x = self.within(step, t)
            self.record.add(t, self.system.voltages(x), x)
        self.drives.apply(point.time)

    def within(self, step: Step, t: float) -> Array:
        """Return the unknowns (B, n) at a time within a step, which is taken anew up to there."""
        again = tr_bdf2(self.stage, [step.first], t - step.first.time)
        return self.between(t, interpolate(step.nodes, t)) if again is None else again.nodes[2].x

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
