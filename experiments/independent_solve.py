"""Rest and time by the third route: Newton, Radau IIA, the leaky integrator's rates, roots in 50 digits."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import scipy.linalg
from independent import Network
from independent_laws import Array, OutOfReach

MOST_FLIPS = 5000
"""Flips of switches after which they are taken to chatter."""


def newton(
    residual: Callable[[Array], Array], slopes: Callable[[Array], Array], x: Array, most: int = 40
) -> Array:
    """Return a root by Newton's method with short steps; :class:`OutOfReach` if it does not settle."""
    for k in range(most):
        f, j = residual(x), slopes(x)
        if not (np.isfinite(f).all() and np.isfinite(j).all()):
            raise OutOfReach("overflow")
        scale = np.abs(j).max(axis=1)
        scale[scale == 0] = 1.0
        try:
            step = np.linalg.solve(j / scale[:, None], -f / scale)
        except np.linalg.LinAlgError as error:
            raise OutOfReach("singular") from error
        size = np.abs(step) / (1e-9 * np.abs(x) + 1e-10)
        if size.max(initial=0.0) <= 1.0:
            return x + step
        most_step = np.abs(step).max()
        x = x + step * (min(1.0, (2.0 if k < 10 else 0.3) / most_step) if k > 3 else 1.0)
    raise OutOfReach("Newton does not settle")


def at_rest(net: Network, x: Array | None = None, time: float | None = None) -> Array:
    """Return an operating point, by shunts to ground that shrink; nodes of ``.ic`` are held if there is a time."""
    held = {net.node(k): v for k, v in net.ic.items()} if time is not None else {}
    x = np.zeros(net.size) if x is None else x
    for _ in range(4):
        for shunt in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11, 0.0):

            def residual(z: Array, shunt: float = shunt) -> Array:
                f = net.forces(z, time)
                f[: net.nodes] += shunt * z[: net.nodes]
                for k, v in held.items():
                    f[k] += 1e6 * (z[k] - v)
                return f

            def slopes(z: Array, shunt: float = shunt) -> Array:
                j = net.slopes(z)
                for k in range(net.nodes):
                    j[k, k] += shunt
                for k in held:
                    j[k, k] += 1e6
                return j

            x = newton(residual, slopes, x, 200)
        moved = [s for s in net.switches if s.wanted(x) != s.closed]
        if not moved:
            return x
        for s in moved:
            s.closed = s.wanted(x)
    raise OutOfReach("switches do not come to rest")


INVERSE = np.linalg.inv(np.array([[5 / 12, -1 / 12], [3 / 4, 1 / 4]]))


def step_from(net: Network, x: Array, q: Array, t: float, h: float) -> Array:
    """Return x at t + h by Radau IIA of two stages from the charges ``q`` at t."""
    n = len(x)

    def residual(z: Array) -> Array:
        a, b = z[:n], z[n:]
        da, db = net.stored(a) - q, net.stored(b) - q
        return np.concatenate(
            [
                net.forces(a, t + h / 3) + (INVERSE[0, 0] * da + INVERSE[0, 1] * db) / h,
                net.forces(b, t + h) + (INVERSE[1, 0] * da + INVERSE[1, 1] * db) / h,
            ]
        )

    def slopes(z: Array) -> Array:
        ca, cb = net.capacitances(z[:n]) / h, net.capacitances(z[n:]) / h
        j = np.block([[INVERSE[0, 0] * ca, INVERSE[0, 1] * cb], [INVERSE[1, 0] * ca, INVERSE[1, 1] * cb]])
        j[:n, :n] += net.slopes(z[:n])
        j[n:, n:] += net.slopes(z[n:])
        return j

    return newton(residual, slopes, np.concatenate([x, x]))[n:]


def begin(net: Network) -> tuple[Array, Array]:
    """Return x and the charges at time zero."""
    if not net.uic:
        x = at_rest(net, time=0.0)
        return x, net.stored(x)
    x = np.zeros(net.size)
    for name, value in net.ic.items():
        x[net.node(name)] = value
    q = net.stored(x)
    for p, n, value in net.given:
        here = (x[p] if p >= 0 else 0.0) - (x[n] if n >= 0 else 0.0)
        c = -net.c[p, n] if p >= 0 and n >= 0 else net.c[max(p, n), max(p, n)]
        if (p >= 0 and n >= 0) or c == 0.0:
            raise OutOfReach("IC= of a floating capacitor")
        k, sign = (p, 1.0) if p >= 0 else (n, -1.0)
        own = [abs(v) for a, b, v in net.storing if a == k and b == k]
        if len(own) != 1:
            raise OutOfReach("IC= of one capacitor of several")
        q[k] += sign * own[0] * (value - here)
    for k, value in net.flowing.items():
        q[k] = net.c[k, k] * value
    h = 1e-9 * net.stop
    for s in net.switches:
        s.closed = s.wanted(x)
    x = step_from(net, x, q, 0.0, h * 1e-3)
    return x, q


def over_time(net: Network, rtol: float = 1e-6, most_steps: int = 60_000) -> tuple[Array, Array]:
    """Return times (T,) [s] and voltages (T, nodes) [V]; every printed time is among them."""
    x, q = begin(net)
    stops = {k * net.step for k in range(1, int(net.stop / net.step + 1e-9) + 1)} | {net.stop}
    corners = {c for _, _, wave in net.sources for c in wave.corners if 0 < c < net.stop}
    stops |= corners
    ends = sorted(stops)
    t, h, flips, count = 0.0, net.step * 1e-4, 0, 0
    times, record = [0.0], [x[: net.nodes].copy()]
    atol = 1e-7
    for end in ends:
        if end - t < 1e-12 * net.stop:
            continue
        while t < end:
            count += 1
            if count > most_steps:
                raise OutOfReach("too many steps")
            whole = min(h, end - t)
            last = whole >= end - t
            try:
                big = step_from(net, x, q, t, whole)
                half = step_from(net, x, q, t, whole / 2)
                two = step_from(net, half, net.stored(half), t + whole / 2, whole / 2)
                scale = np.maximum(np.abs(two), np.abs(x))[: net.nodes]
                error = (np.abs(big - two)[: net.nodes] / (atol + rtol * scale)).max(initial=1e-9)
            except OutOfReach:
                error, two = 1e6, x
            if error > 8.0:
                h = whole * max(0.2, 0.8 * (8.0 / error) ** (1 / 3))
                if h < 1e-16 * net.stop:
                    raise OutOfReach(f"step of {h:.1e} s at {t:.6e} s")
                continue
            moved = [s for s in net.switches if s.wanted(two) != s.closed]
            if moved and whole > 1e-8 * net.stop:
                h = whole / 2
                continue
            t = end if last else t + whole
            x, q = two, net.stored(two)
            times.append(t)
            record.append(x[: net.nodes].copy())
            for s in moved:
                s.closed = not s.closed
                flips += 1
                if flips > MOST_FLIPS:
                    raise OutOfReach("switches chatter")
            grow = 0.8 * (8.0 / error) ** (1 / 3)
            h = max(h, whole) if last and grow > 1 else whole * min(4.0, max(0.2, grow))
            h = 1e-8 * net.stop if moved else min(h, net.stop / 50)
        h = min(h, net.step * 1e-3) if end in corners else h
    return np.array(times), np.array(record)


def stability(net: Network, x: Array) -> float:
    """Return the largest real part of the leaky integrator's rates [S], its capacitance being 1 F at each node.

    Negative where the point is stable. Sources and inductors constrain nodes: rates are those within the
    voltages that they allow, of Kirchhoff's law at what no branch's current enters.
    """
    j, n = net.slopes(x), net.nodes
    nodes, hidden = list(range(n)), list(net.inner)  # what lies behind series resistances has no capacitance
    branches = [k for k in range(n, net.size) if k not in net.inner]
    if hidden:
        j = j.copy()
        inside = np.linalg.solve(j[np.ix_(hidden, hidden)], j[np.ix_(hidden, nodes)])
        j[np.ix_(nodes, nodes)] -= j[np.ix_(nodes, hidden)] @ inside
    a, b, d = j[np.ix_(nodes, nodes)], j[np.ix_(nodes, branches)], j[np.ix_(branches, nodes)]
    if branches:
        if np.abs(j[np.ix_(branches, branches)]).max() > 0:
            raise OutOfReach("a branch with a resistance of its own")
        left = scipy.linalg.null_space(b.T)
        right = scipy.linalg.null_space(d / np.abs(d).max(axis=1, keepdims=True))
        if left.shape != right.shape:
            raise OutOfReach("sources in a loop")
        a, mass = left.T @ a @ right, left.T @ right
    else:
        mass = np.eye(len(nodes))
    if not len(a):
        return -math.inf
    values = scipy.linalg.eigvals(-a, mass)
    if not np.isfinite(values).all():
        raise OutOfReach("a node whose rate is not determined")
    return float(values.real.max())


def exact(net: Network, x: Array, digits: int = 50, most: int = 100) -> Array:
    """Return the root that Newton's method in many digits leads to from x; for sources, resistors, junctions."""
    if any(law.function.__qualname__ != "junction.<locals>.current" for law in net.laws) or net.switches:
        raise OutOfReach("laws without an exact form")
    with localcontext() as context:
        context.prec = digits
        h = Decimal(10) ** (-digits // 2)
        zero = Decimal(0)
        z = [Decimal(float(v)) for v in x]
        constant = [[zero] * net.size for _ in range(net.size)]
        for row, column, value in net.constant:  # net.g has lost 1e-12 S beside 50 S in its sums
            if row >= 0 and column >= 0:
                constant[row][column] += Decimal(value)
        for k in range(most):
            j = [row.copy() for row in constant]
            f = [sum((a * b for a, b in zip(each, z, strict=True) if a), zero) for each in constant]
            for c, weight, wave in net.sources:
                if c >= 0:
                    f[c] += Decimal(weight) * Decimal(wave.rest)
            for law in net.laws:
                p, n = law.controls
                u = [z[p] if p >= 0 else zero, z[n] if n >= 0 else zero]
                i: Decimal = law.function(u)  # type: ignore[assignment,arg-type]
                up: Decimal = law.function([u[0] + h, u[1]])  # type: ignore[assignment,list-item]
                g = (up - i) / h
                for row, weight in law.rows:
                    if row >= 0:
                        f[row] += Decimal(weight) * i
                        if p >= 0:
                            j[row][p] += Decimal(weight) * g
                        if n >= 0:
                            j[row][n] -= Decimal(weight) * g
            step = _solved(j, f)
            longest = max(abs(v) for v in step[: net.nodes])
            short = min(Decimal(1), Decimal("0.3") / longest) if k > 2 and longest > 0 else Decimal(1)
            z = [a - short * b for a, b in zip(z, step, strict=True)]
            if longest < Decimal(10) ** (-digits // 3):
                return np.array([float(v) for v in z])
    raise OutOfReach("Newton of many digits does not settle")


def _solved(a: list[list[Decimal]], b: list[Decimal]) -> list[Decimal]:
    """Return the solution of a x = b, by elimination; both are overwritten."""
    size = len(b)
    for k in range(size):
        best = max(range(k, size), key=lambda i: abs(a[i][k]) / max(max(abs(v) for v in a[i]), Decimal("1e-300")))
        if not a[best][k]:
            raise OutOfReach("singular")
        a[k], a[best], b[k], b[best] = a[best], a[k], b[best], b[k]
        for i in range(k + 1, size):
            if a[i][k]:
                factor = a[i][k] / a[k][k]
                a[i] = [u - factor * v if v else u for u, v in zip(a[i], a[k], strict=True)]
                b[i] -= factor * b[k]
    x = [Decimal(0)] * size
    for k in reversed(range(size)):
        x[k] = (b[k] - sum((a[k][i] * x[i] for i in range(k + 1, size) if a[k][i]), Decimal(0))) / a[k][k]
    return x
