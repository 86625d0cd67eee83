"""One step of each integration method for d/dt q(x, t) = −F(x, t), q being charges [C] and flux linkages [Wb].

All are implicit and of second order. A stage solves q(x, t) = base + τ k(x, t) for x, with the rate k = −F;
rows without memory have q = 0 and k = 0 there, and are solved as F = 0. Every step returns an estimate of its
local error in q, divided by the last stage's τ; the caller turns it into unknowns with that stage's Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """The circuit at one time.

    Attributes
    ----------
    time
        [s].
    x
        Unknowns (B, n).
    charge
        The part of q that the sources' values give, (n,), charge of capacitors to driven nodes, and what charges
        that devices state have taken up since the start, (B, n).
    rate
        k = −F (B, n), zero in rows without memory.
    iterations
        Newton iterations (B,) that it took.
    stored
        The second part of ``charge``, (B, n) or zeros (n,).
    local
        Local unknowns (B, E, L) of banks that state a charge, by bank index.
    """

    time: float
    x: Array
    charge: Array
    rate: Array
    iterations: NDArray[np.int64]
    stored: Array
    local: Mapping[int, Array]


@dataclass(frozen=True)
class Step:
    """A finished step.

    Attributes
    ----------
    nodes
        The three points through which a parabola follows the solution to the method's order; the last one is
        the end of the step.
    defect
        Estimated local error of q over τ, (B, n) [A or V].
    tau
        τ of the last stage [s].
    iterations
        Newton iterations (B,) of all stages.
    first
        The start of the step.
    """

    nodes: tuple[Point, Point, Point]
    defect: Array
    tau: float
    iterations: NDArray[np.int64]
    first: Point


Stage = Callable[[float, float, Array, Array, Array, Point], Point | None]
"""stage(time, τ, guess, target, extra, first): solve C (x − target) + charge − extra = τ k(x), or return None.

``charge`` is that of ``time`` and x, the latter on a straight way from ``first``, the start of the step.
"""

Method = Callable[[Stage, Sequence[Point], float], Step | None]

_GAMMA = 2.0 - math.sqrt(2.0)
_D = _GAMMA / 2.0  # weight of the implicit stage
_W = math.sqrt(2.0) / 4.0
_ERROR = (_W - (1.0 - _W) / 3.0, _W - (3.0 * _W + 1.0) / 3.0, _D - _D / 3.0)


def tr_bdf2(stage: Stage, past: Sequence[Point], h: float) -> Step | None:
    """Take a trapezoidal stage to γh and a BDF2 stage to h, with the same Jacobian.

    L-stable. The local error comes from the embedded third-order formula.

    References
    ----------
    Bank et al., Transient simulation of silicon devices and circuits (IEEE TCAD 4, 1985). Hosea & Shampine,
    Analysis and implementation of TR-BDF2 (Appl. Numer. Math. 20, 1996), section 3.
    """
    first, tau = past[-1], h * _D
    middle = stage(first.time + _GAMMA * h, tau, first.x, first.x, first.charge + tau * first.rate, first)
    if middle is None:
        return None
    extra = first.charge + _W * h * (first.rate + middle.rate)
    last = stage(first.time + h, tau, middle.x, first.x, extra, first)
    if last is None:
        return None
    defect = (_ERROR[0] * first.rate + _ERROR[1] * middle.rate + _ERROR[2] * last.rate) / _D
    return Step((first, middle, last), defect, tau, middle.iterations + last.iterations, first)


def trapezoidal(stage: Stage, past: Sequence[Point], h: float) -> Step | None:
    """Take a step of the trapezoidal rule; the first after a start or corner is one of TR-BDF2.

    A-stable, without damping of what it cannot resolve. Local error −h³ q‴/12 from differences of the rate.

    References
    ----------
    Nagel, SPICE2 (UC Berkeley ERL-M520, 1975), section 4.
    """
    if len(past) < 2:
        return tr_bdf2(stage, past, h)
    before, first = past[-2:]
    tau = 0.5 * h
    last = stage(first.time + h, tau, first.x, first.x, first.charge + tau * first.rate, first)
    if last is None:
        return None
    defect = -(h**3) / 12.0 * _curvature(before, first, last) / tau
    return Step((before, first, last), defect, tau, last.iterations, first)


def bdf2(stage: Stage, past: Sequence[Point], h: float) -> Step | None:
    """Take a step of the backward differentiation formula of order 2; the first one is one of TR-BDF2.

    L-stable for equal steps, and stable as long as steps grow by less than 1 + √2. With ω = h/h₋₁ the local
    error is −h³ q‴ (1 + ω)²/(6 ω (1 + 2ω)).

    References
    ----------
    Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I (1993), section III.5.
    """
    if len(past) < 2:
        return tr_bdf2(stage, past, h)
    before, first = past[-2:]
    ratio = h / (first.time - before.time)
    weight = ratio**2 / (1.0 + 2.0 * ratio)
    tau = h * (1.0 + ratio) / (1.0 + 2.0 * ratio)
    target = first.x + weight * (first.x - before.x)
    extra = first.charge + weight * (first.charge - before.charge)
    last = stage(first.time + h, tau, first.x, target, extra, first)
    if last is None:
        return None
    constant = (1.0 + ratio) ** 2 / (6.0 * ratio * (1.0 + 2.0 * ratio))
    defect = -(h**3) * constant * _curvature(before, first, last) / tau
    return Step((before, first, last), defect, tau, last.iterations, first)


METHODS: dict[str, tuple[Method, float]] = {
    "tr-bdf2": (tr_bdf2, 8.0),
    "trapezoidal": (trapezoidal, 2.0),
    "bdf2": (bdf2, 2.0),
}
"""Every method by name, and by how much a step may be longer than the one before."""


def _curvature(a: Point, b: Point, c: Point) -> Array:
    """Return d²k/dt² (B, n) from the rates at three points."""
    late = (c.rate - b.rate) / (c.time - b.time)
    early = (b.rate - a.rate) / (b.time - a.time)
    out: Array = 2.0 * (late - early) / (c.time - a.time)
    return out


def weights(nodes: tuple[Point, Point, Point], t: float) -> tuple[float, float, float]:
    """Return how much each of three points counts at time t on the parabola through them."""
    a, b, c = (node.time for node in nodes)
    return (
        (t - b) * (t - c) / ((a - b) * (a - c)),
        (t - a) * (t - c) / ((b - a) * (b - c)),
        (t - a) * (t - b) / ((c - a) * (c - b)),
    )


def interpolate(nodes: tuple[Point, Point, Point], t: float) -> Array:
    """Return the unknowns (B, n) at time t on the parabola through three points."""
    out = np.zeros_like(nodes[0].x)
    for weight, node in zip(weights(nodes, t), nodes, strict=True):
        out += weight * node.x
    return out
