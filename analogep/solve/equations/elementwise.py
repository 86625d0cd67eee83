"""Kirchhoff's law summed element by element.

The linear part of the residual is usually formed from the summed matrix, which has lost 3 nS beside 1 S to one
part in 1e7: a group of nodes joined by strong conductances and held by weak ones is only as well known. Here
the current of each element comes from the difference of its voltages, so that what leaves one node of the
group enters another exactly, and the sums are carried in extended precision.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analogep.devices import OnePort
from analogep.solve.equations.model import Model
from analogep.solve.equations.system import Evaluation, System

Array = NDArray[np.float64]
Long = NDArray[np.longdouble]


def conductance_spread(model: Model) -> float:
    """Return the ratio of the largest to the smallest conductance among resistors and crossbars."""
    circuit = model.circuit
    kept: float | None = circuit.derived.get("spread")
    if kept is None:
        arrays = [c.conductance for c in circuit.crossbars]
        arrays += [circuit.banks[b].values.get("conductance", np.zeros(0)) for b in model.plan.linear_banks]
        positive = [g[g > 0] for g in arrays]
        lows = [float(g.min()) for g in positive if g.size]
        highs = [float(g.max()) for g in positive if g.size]
        kept = max(highs) / min(lows) if lows else 1.0
        circuit.derived["spread"] = kept
    return kept


def evaluate_by_element(
    system: System, x: Array, junctions: Array | None = None, local: tuple[Array, ...] | None = None
) -> Evaluation:
    """Evaluate Kirchhoff's law at x (B, n), each linear element's current from its own voltage.

    Parameters are those of :meth:`System.evaluate`.
    """
    model, circuit = system.model, system.model.circuit
    v = system.voltages(x)
    total: Long = np.zeros(v.shape, dtype=np.longdouble)
    rows: Long = np.zeros(x.shape, dtype=np.longdouble)
    _add_one_ports(model, v, total)
    for c in circuit.crossbars:
        for s in range(len(v)):
            i = c.conductance * (v[s, c.rows][:, None] - v[s, c.columns])
            total[s, c.rows] += i.sum(axis=1, dtype=np.longdouble)
            total[s, c.columns] -= i.sum(axis=0, dtype=np.longdouble)
    for t in circuit.transconductances:
        back = None if t.backward is None else t.backward.T
        for into, of, matrix in ((t.columns, t.rows, t.forward), (t.rows, t.columns, back)):
            if matrix is not None:
                for s in range(len(v)):
                    total[s, into] -= (v[s, of][:, None] * matrix).sum(axis=0, dtype=np.longdouble)
    for b in model.plan.multiport_banks:
        bank = circuit.banks[b]
        if bank.device.linear:
            pins = len(bank.device.pins)
            f, _ = model.stamp(bank, model.local_values(b, v, x))
            for k in range(pins):
                np.add.at(total.T, bank.pins[:, k], f[..., k].T)
            branches = model.plan.local_unknowns(circuit, b)[:, pins:]
            rows[:, branches.ravel()] = f[..., pins:].reshape(len(x), -1)
    plan = model.plan
    rows[:, : len(plan.nodes)] += total[:, plan.nodes]  # each follows itself
    rest = np.flatnonzero((plan.unknown >= 0) & (plan.elimination.root != np.arange(len(plan.unknown))))
    if len(rest):
        np.add.at(rows.T, plan.unknown[rest], (model.w[rest] * total[:, rest]).T)
    ev = system.add_nonlinear(x, np.zeros_like(x), junctions, local)
    return Evaluation((rows + ev.residual).astype(np.float64), ev.slopes, ev.magnitude)


def _add_one_ports(model: Model, v: Array, total: Long) -> None:
    """Add the currents of linear one-ports at node voltages v (B, N) to the sums ``total`` (B, N) in place."""
    parts = []
    for b in model.plan.linear_banks:
        bank = model.circuit.banks[b]
        assert issubclass(bank.device, OnePort)
        i, _ = bank.device.current(v[:, bank.pins[:, 0]] - v[:, bank.pins[:, 1]], bank.values)
        parts.append((bank.pins, np.broadcast_to(i, (len(v), bank.size))))
    if model.dense:
        for pins, i in parts:
            np.add.at(total.T, pins[:, 0], i.T)
            np.add.at(total.T, pins[:, 1], -i.T)
        return
    from analogep.solve.equations.compensated import add_at

    high, low = np.zeros(v.shape), np.zeros(v.shape)
    for pins, i in parts:
        add_at(high, low, pins, i)
    total += high
    total += low
