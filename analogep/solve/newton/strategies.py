"""Ways to an operating point, in the order in which they are tried, and the trace of what each achieved.

Plain Newton solves almost everything. Samples that it leaves go to the fallbacks, one after the other, until
they are solved: sums by element, another start, another split of the currents of ideal diodes, the laws of
cuts, a line search, three continuations that lead from an easy circuit to the one asked for, random starts, and
a homotopy that may turn back on its way. Every result is certified by Newton's own tests on the circuit as it is,
or by steps that come to rest on the laws of its cuts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.solve.equations.elementwise import conductance_spread
from analogep.solve.equations.model import Model
from analogep.solve.equations.pieces import has_pieces, sharing
from analogep.solve.equations.system import System
from analogep.solve.linear.spanning import linear_hold, newton_by_cuts
from analogep.solve.linear.systems import linear_solver
from analogep.solve.newton.homotopy import follow
from analogep.solve.newton.newton import Anchor, NewtonOptions, NewtonResult, newton
from analogep.solve.newton.plausible import forced, implausible
from analogep.solve.newton.refine import SPREAD

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Attempt:
    """What one strategy achieved.

    Attributes
    ----------
    name
        The strategy.
    tried, solved
        Samples that it was given, and that it solved.
    iterations
        Newton steps of the sample that took most.
    reached
        How far the sample that came least far was led, in words (``"1.2e-09 S"``); empty for strategies that
        lead nowhere.
    """

    name: str
    tried: int
    solved: int
    iterations: int
    reached: str = ""

    def __str__(self) -> str:
        return f"{self.name} (reached {self.reached})" if self.reached else self.name


@dataclass(frozen=True)
class Strategy:
    """A way to an operating point: ``run(system, x0, options)`` returns the result and how far it led.

    Attributes
    ----------
    name
        Name in messages.
    run
        The method.
    applies
        Whether it can do anything that plain Newton from ``x0`` (B, n) has not.
    resumes
        Whether it starts where the last strategy ended, not at ``x0``.
    """

    name: str
    run: Callable[[System, Array, NewtonOptions], tuple[NewtonResult, str]]
    applies: Callable[[System, Array], bool] = lambda system, x0: True
    resumes: bool = False


def robust_newton(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, tuple[Attempt, ...]]:
    """Run Newton from ``x0`` (B, n), then each fallback on what is left.

    Returns
    -------
    tuple
        The result, and one attempt for each strategy; none where plain Newton solved everything.
    """
    result = _plausible(system, newton(system, x0, options))
    if result.converged.all():
        return result, ()
    trace = [_attempt("newton", result)]
    hopeless = forced(system)
    for strategy in FALLBACKS:
        left = np.flatnonzero(~result.converged & ~hopeless)
        if not len(left):
            break
        part = system.select(left)
        if not strategy.applies(part, x0[left]):
            continue
        start = x0[left]
        if strategy.resumes:
            ended = result.x[left]
            start = np.where(np.isfinite(ended).all(axis=1, keepdims=True), ended, start)
        again, reached = strategy.run(part, start, options)
        again = _plausible(part, again)
        trace.append(_attempt(strategy.name, again, reached))
        result = merge(result, left, again)
    return result, tuple(trace)


def _plausible(system: System, result: NewtonResult) -> NewtonResult:
    """Return a result in which samples with an impossible current do not count as solved."""
    solved = np.flatnonzero(result.converged)
    absurd = implausible(system.select(solved), result.x[solved])
    if not absurd:
        return result
    converged = result.converged.copy()
    converged[solved[[sample for sample, _, _ in absurd]]] = False
    return replace(result, converged=converged)


def _attempt(name: str, result: NewtonResult, reached: str = "") -> Attempt:
    most = int(result.iterations.max(initial=0))
    return Attempt(name, len(result.converged), int(result.converged.sum()), most, reached)


def merge(result: NewtonResult, rows: Index, part: NewtonResult) -> NewtonResult:
    """Return ``result`` with ``part`` at ``rows``; iterations add up."""
    merged = NewtonResult(
        result.x.copy(), result.converged.copy(), result.residual.copy(), result.iterations.copy()
    )
    merged.x[rows], merged.converged[rows] = part.x, part.converged
    merged.residual[rows] = part.residual
    merged.iterations[rows] += part.iterations
    return merged


# --- single runs -------------------------------------------------------------------------------------------


def cold_start(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Run plain Newton from rest."""
    return newton(system, np.zeros_like(x0), options), ""


def element_by_element(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Run Newton on Kirchhoff's law summed element by element, for conductances that span many decades."""
    brief = replace(options, max_iterations=min(_CERTIFY, options.max_iterations))
    return newton(system, x0, brief, by_element=True), ""


def shared_currents(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Run Newton with a small resistance in the tangent of every piecewise linear law, not in the law itself.

    Ideal diodes that conduct side by side, or around a loop, leave their currents undetermined and the
    Jacobian singular. Each step is then the one of smallest norm Σ r Δj² (a proximal point step), so that equal
    diodes share their current equally, starting from none; the solution satisfies the unchanged laws.
    """
    return newton(system, np.zeros_like(x0), options, tangent=sharing(system.model)), ""


def certify(system: System, x: Array, options: NewtonOptions) -> NewtonResult:
    """Run Newton on the circuit as it is, from the end of a continuation."""
    options = replace(options, max_iterations=min(_CERTIFY, options.max_iterations))
    result = newton(system, x, options)
    shared, by_element = sharing(system.model), conductance_spread(system.model) >= SPREAD
    for tried, again in ((shared is not None, False), (by_element, True)):
        left = np.flatnonzero(~result.converged)
        if tried and len(left):
            other = newton(system.select(left), x[left], options, tangent=shared, by_element=again)
            result = merge(result, left, other)
    return result


def laws_of_cuts(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Run Newton on the laws of cuts (:mod:`analogep.solve.linear.spanning`), one sample at a time, from rest.

    Of strings of junctions that block, their leakage alone holds the nodes between them; in the summed Jacobian
    it is lost. After some samples in a row that were not solved, the rest are left.
    """
    result = NewtonResult(
        np.zeros_like(x0), np.zeros(len(x0), dtype=bool), np.zeros_like(x0), np.zeros(len(x0), dtype=np.int64)
    )
    failures = 0
    for s in range(len(x0)):
        one = system.select(np.array([s]))
        x, result.converged[s], result.iterations[s] = newton_by_cuts(one, np.zeros_like(x0[[s]]))
        if result.converged[s]:
            result.x[s], result.residual[s] = x[0], one.evaluate(x).residual[0]
        failures = 0 if result.converged[s] else failures + 1
        if failures == _HOPELESS:
            break
    return result, ""


def _leaks_hold(system: System, x0: Array) -> bool:
    """Return whether resistors alone leave a node out, in a circuit of some size and with one-ports that bend."""
    model = system.model
    return model.dense and bool(len(model.plan.nodes)) and bool(model.nonlinear) and not linear_hold(model)


@np.errstate(over="ignore", invalid="ignore")  # a trial that overflows is refused
def line_search(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Halve each Newton step until the residual shrinks, then certify.

    The residual of a node counts in units of its linear conductance. A step that does not get shorter than
    2⁻¹² of Newton's is taken all the same, to leave a place where no direction descends.
    """
    model, x = system.model, np.zeros_like(x0)
    solver = linear_solver(model, sharing(model))
    weight = 1.0 / (model.linear_diagonal + 1e-9 * model.linear_diagonal.max(initial=1.0))
    weight[len(model.plan.nodes) :] = 1.0
    alive = np.arange(len(x))
    taken = np.zeros(len(x), dtype=np.int64)
    for _ in range(min(_LINE_SEARCHES, options.max_iterations)):
        part = system.select(alive)
        ev = part.evaluate(x[alive])
        merit = np.linalg.norm(ev.residual * weight, axis=1)
        step = solver.solve(model.slots.values(ev.slopes), -ev.residual)
        sound = np.isfinite(step).all(axis=1)
        alive, step, merit = alive[sound], step[sound], merit[sound]
        if not len(alive):
            break
        part, share = system.select(alive), np.ones(len(alive))
        for _ in range(12):
            trial = np.linalg.norm(part.evaluate(x[alive] + share[:, None] * step).residual * weight, axis=1)
            worse = ~(trial <= (1.0 - 1e-4 * share) * merit)
            if not worse.any():
                break
            share[worse] *= 0.5
        x[alive] += share[:, None] * step
        taken[alive] += 1
        going = (np.abs(share[:, None] * step) > 1e-6 * np.maximum(1.0, np.abs(x[alive]))).any(axis=1)
        alive = alive[going]
        if not len(alive):
            break
    result = certify(system, x, options)
    return replace(result, iterations=result.iterations + taken), ""


# --- continuations -----------------------------------------------------------------------------------------


def _shunts(model: Model) -> tuple[float, Callable[[float], sp.csr_array]]:
    """Return a conductance typical of the circuit [S], and shunts of a given one from every node to ground."""
    marks = np.zeros(model.plan.size)
    marks[: len(model.plan.nodes)] = 1.0
    typical = float(np.max(model.linear_diagonal[: len(model.plan.nodes)], initial=1e-6)) or 1e-6
    return typical, lambda level: sp.csr_array(sp.diags_array(level * marks))


Path = Callable[[Index, float, Array], NewtonResult]
"""Solves samples of a batch at a position in (0, 1] along a continuation, from unknowns."""


def _follow(at: Path, x: Array, step: float, smallest: float) -> tuple[Array, Array, NDArray[np.int64]]:
    """Follow a path from 0 to 1 by steps that grow while they succeed; x (B, n) is changed in place.

    Samples that part company (some fail a step that others pass) go on in groups of their own.

    Returns
    -------
    tuple
        x; the positions that were reached, (B,); iterations (B,).
    """
    reached, iterations = np.zeros(len(x)), np.zeros(len(x), dtype=np.int64)
    groups = [(np.arange(len(x)), 0.0, step, 0)]
    while groups:
        samples, here, step, runs = groups.pop()
        there = min(1.0, here + step)
        result = at(samples, there, x[samples])
        ok = result.converged
        iterations[samples] += result.iterations
        x[samples[ok]], reached[samples[ok]] = result.x[ok], there
        if runs == _MOST_RUNS:
            continue
        if ok.any() and there < 1.0:
            groups.append((samples[ok], there, 2.0 * step, runs + 1))
        if not ok.all() and 0.25 * step >= smallest:
            groups.append((samples[~ok], here, 0.25 * step, runs + 1))
    return x, reached, iterations


def gmin_stepping(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Follow the solution while a shunt from every node to ground shrinks over fourteen decades."""
    typical, shunt = _shunts(system.model)
    shared = sharing(system.model)

    def level(position: float) -> float:
        return float(typical * 10.0 ** (1.0 - 14.0 * position))

    def at(samples: Index, position: float, x: Array) -> NewtonResult:
        anchor = Anchor(shunt(level(position)), np.zeros_like(x))
        return newton(system.select(samples), x, _brief(options, x), anchor, shared)

    x, reached, iterations = _follow(at, np.zeros_like(x0), 1.0 / 14.0, 2e-3)
    result = certify(system, x, options)
    words = f"{level(float(reached.min())):.2g} S"
    return replace(result, iterations=result.iterations + iterations), words


def source_stepping(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Follow the solution while inputs, independent sources and nudge targets grow from nothing."""
    shared = sharing(system.model)

    def at(samples: Index, position: float, x: Array) -> NewtonResult:
        return newton(system.select(samples).scaled(position), x, _brief(options, x), tangent=shared)

    x, reached, iterations = _follow(at, np.zeros_like(x0), 0.1, 1e-3)
    result = certify(system, x, options)
    words = f"{_percent(float(reached.min()))} of the sources"
    return replace(result, iterations=result.iterations + iterations), words


def pseudo_transient(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Follow implicit Euler steps, with a capacitor from every node to ground, until the circuit rests.

    A level is the conductance C/h [S] of such a step; it shrinks while steps succeed.
    """
    typical, shunt = _shunts(system.model)
    shared = sharing(system.model)
    x, iterations = np.zeros_like(x0), np.zeros(len(x0), dtype=np.int64)
    lowest = np.full(len(x0), 10.0 * typical)
    groups = [(np.arange(len(x0)), 10.0 * typical, 3.0, 0)]
    while groups:
        samples, level, factor, runs = groups.pop()
        start = x[samples]
        anchor = Anchor(shunt(level), start.copy())
        result = newton(system.select(samples), start, _brief(options, start), anchor, shared)
        ok = result.converged
        iterations[samples] += result.iterations
        x[samples[ok]] = result.x[ok]
        lowest[samples[ok]] = np.minimum(lowest[samples[ok]], level)
        if runs == _MOST_RUNS:
            continue
        if ok.any() and level > 1e-12 * typical:
            groups.append((samples[ok], level / factor, min(10.0, 1.5 * factor), runs + 1))
        if not ok.all() and level < 1e6 * typical:
            groups.append((samples[~ok], level * 10.0, 2.0, runs + 1))
    result = certify(system, x, options)
    return replace(result, iterations=result.iterations + iterations), f"{float(lowest.max()):.2g} S"


def random_starts(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Run Newton from random voltages (seeded), for each sample a batch of them; take the first that arrives."""
    size, nodes = x0.shape[1], len(system.model.plan.nodes)
    starts = np.repeat(_SPREADS, _STARTS_EACH)[:, None] * np.random.default_rng(0).standard_normal(
        (len(_SPREADS) * _STARTS_EACH, size)
    )
    starts[:, nodes:] = 0.0
    result = NewtonResult(
        np.zeros_like(x0), np.zeros(len(x0), dtype=bool), np.zeros_like(x0), np.zeros(len(x0), dtype=np.int64)
    )
    brief = replace(options, max_iterations=min(_CERTIFY, options.max_iterations))
    shared = sharing(system.model)
    failures = 0
    for s in range(len(x0)):
        many = newton(system.select(np.full(len(starts), s)), starts, brief, tangent=shared, guess=False)
        k = int(np.argmax(many.converged))
        one = NewtonResult(many.x[[k]], many.converged[[k]], many.residual[[k]], many.iterations[[k]])
        result = merge(result, np.array([s]), one)
        failures = 0 if one.converged[0] else failures + 1
        if failures == _HOPELESS:
            break
    return result, ""


def homotopy(system: System, x0: Array, options: NewtonOptions) -> tuple[NewtonResult, str]:
    """Follow Newton homotopies, through folds, from rest and from a few other voltages.

    One sample at a time; after some in a row that were not solved, the rest are left.
    """
    model = system.model
    tangent = sharing(model)
    result = NewtonResult(
        np.zeros_like(x0), np.zeros(len(x0), dtype=bool), np.zeros_like(x0), np.zeros(len(x0), dtype=np.int64)
    )
    rng = np.random.default_rng(0)
    lowest, failures = 1.0, 0
    for s in range(len(x0)):
        one, furthest = system.select(np.array([s])), 0.0
        for scale in _STARTS:
            begin: Array = scale * rng.standard_normal(x0.shape[1:])
            begin[len(model.plan.nodes) :] = 0.0
            end, reached, solves = follow(one, begin, tangent)
            furthest = max(furthest, reached)
            again = certify(one, end[None], options)
            result.iterations[s] += solves
            result = merge(result, np.array([s]), again)
            if again.converged[0]:
                break
        lowest = min(lowest, furthest)
        failures = 0 if result.converged[s] else failures + 1
        if failures == _HOPELESS:
            break
    return result, f"{_percent(lowest)} of the way"


def _percent(share: float) -> str:
    return f"{min(100.0 * share, 100.0):.3g} %"


def _brief(options: NewtonOptions, x: Array) -> NewtonOptions:
    """Return options for one step of a continuation: near the solution, Newton needs few iterations."""
    limit = _BRIEF if x.any() else 4 * _BRIEF
    return replace(options, max_iterations=min(limit, options.max_iterations))


_LINE_SEARCHES = 30
_CERTIFY = 60
_STARTS = (0.0, 1.0, 5.0)  # spread [V] of the voltages from which homotopies start
_HOPELESS = 4
_SPREADS = (0.1, 0.3, 1.0, 5.0)  # of random voltages [V]
_STARTS_EACH = 12
_BRIEF = 40
_MOST_RUNS = 30  # Newton runs of one continuation

FALLBACKS: tuple[Strategy, ...] = (
    Strategy(
        "element by element",
        element_by_element,
        lambda system, x0: conductance_spread(system.model) >= SPREAD,
        resumes=True,
    ),
    Strategy("cold start", cold_start, lambda system, x0: bool(x0.any())),
    Strategy("shared currents", shared_currents, lambda system, x0: has_pieces(system.model)),
    Strategy("laws of cuts", laws_of_cuts, _leaks_hold),
    Strategy("line search", line_search),
    Strategy("gmin stepping", gmin_stepping),
    Strategy("source stepping", source_stepping),
    Strategy("pseudo-transient", pseudo_transient),
    Strategy("random starts", random_starts),
    Strategy("homotopy", homotopy),
)
"""What is tried, in order, for samples that plain Newton did not solve."""
