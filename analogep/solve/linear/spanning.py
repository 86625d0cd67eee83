"""Kirchhoff's laws of cuts: the Jacobian as it looks from the tree of the strongest conductances.

A group of nodes joined by 100 S and held by 1e-14 S has rows whose sum, the law of the whole group, is lost in
their rounding. Here each unknown node voltage is the sum of drops along a maximum spanning tree of the circuit's
conductances, and each equation the law of the cut through one branch of that tree: the sum of what crosses it.
An element within a group crosses no cut around it and does not enter its law at all; a cut's own conductance
is the largest that crosses it (Chua, Desoer and Kuh 1987, Linear and Nonlinear Circuits, section 12.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

from analogep.devices import MultiPort, OnePort
from analogep.solve.equations.model import Model
from analogep.solve.equations.pieces import sharing
from analogep.solve.equations.stamps import Entries, add_transconductances
from analogep.solve.equations.system import System
from analogep.solve.newton.limiting import Linearisation

Array = NDArray[np.float64]
Index = NDArray[np.int64]

EPS = float(np.finfo(float).eps)
_RIGID = 1e300
"""Conductance [S] that counts for a law of voltages, of an ideal source, say."""
_STEPS = 60
_STILL = 1e-12  # last step, per volt around
_CANCELLED = 8.0 * EPS
"""Sum, relative to its terms, that is their rounding."""


@dataclass(frozen=True)
class Cuts:
    """The equations of one sample: matrix (n, n) and rows (n,) of cuts and branches, drops to unknowns (n, n).

    ``blur`` (n,) bounds what rounding makes of each row; ``spread`` is the ratio of the largest conductance to
    the smallest that holds a node.
    """

    matrix: Array
    rows: Array
    paths: Array
    blur: Array
    spread: float

    def step(self) -> Array:
        """Return Newton's step (n,) of the unknowns; NaN if the matrix is singular."""
        try:
            left, right = self._scales()
            y = right * np.linalg.solve(left[:, None] * self.matrix * right, -left * self.rows)
        except np.linalg.LinAlgError:
            return np.full(len(self.rows), np.nan)
        out: Array = self.paths @ y
        return out

    def uncertainty(self) -> Array:
        """Return how far [V] rounding may move each unknown (n,)."""
        try:
            left, right = self._scales()
            inverse = np.abs(np.linalg.inv(left[:, None] * self.matrix * right))
        except np.linalg.LinAlgError:
            return np.full(len(self.rows), np.inf)
        out: Array = self.paths @ (right * (inverse @ (left * self.blur)))
        return out

    def _scales(self) -> tuple[Array, Array]:
        """Return factors of rows and of columns that bring the largest entries near 1."""
        size = np.abs(self.matrix)
        diagonal = size.diagonal()
        both = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        left, right = both.copy(), both.copy()
        for _ in range(2):
            largest = (left[:, None] * size * right).max(axis=1, initial=0.0)
            left /= np.where(largest > 0.0, largest, 1.0)
            largest = (left[:, None] * size * right).max(axis=0, initial=0.0)
            right /= np.where(largest > 0.0, largest, 1.0)
        return left, right


@dataclass(frozen=True)
class _Locals:
    """A multi-port bank at one point: unknowns (E, L), f (E, L), Jacobian (E, L, L), z (E, L), factors (E, L)."""

    unknowns: Index
    f: Array
    jac: Array
    z: Array
    w: Array
    t: Array
    pins: int


def spanning_cuts(
    system: System, x: Array, junctions: Array | None = None, local: Sequence[Array] | None = None
) -> Cuts:
    """Return the cuts' equations of the one sample x (1, n); the rest as in :meth:`System.evaluate`."""
    model = system.model
    v = system.voltages(x)
    pins, i, g = _one_ports(system, v, junctions)
    banks = _multi_ports(system, v, x, local)
    paths, weakest, strongest = _paths(model, pins, g, banks)
    sparse = sp.csr_array(paths)
    into, of = (_incidence(model, pins, factor).T @ sparse for factor in (model.w, model.t))
    matrix = np.asarray((into.T @ sp.diags_array(g) @ of).toarray())
    rows: Array = into.T @ i
    reach = np.abs(v[0, pins]).max(axis=1, initial=0.0)
    blur: Array = abs(into).T @ (2.0 * np.abs(g) * reach + 4.0 * np.abs(i))
    for bank in banks:
        _add_bank(bank, paths, matrix, rows, blur)
    jac, f = _others(system, v)
    matrix += paths.T @ jac @ paths
    rows += paths.T @ f
    blur += paths.T @ (np.abs(jac) @ np.abs(x[0]))
    shared = sharing(model)
    if shared is not None:
        matrix += shared.toarray()
    return Cuts(matrix, rows, paths, EPS * blur, strongest / weakest if weakest > 0.0 else np.inf)


@np.errstate(all="ignore")  # a step that overflows is not taken
def newton_by_cuts(system: System, x: Array) -> tuple[Array, bool, int]:
    """Run Newton on the laws of cuts for one sample from x (1, n).

    Returns
    -------
    tuple
        The last x (1, n); whether steps came to rest there; their number.
    """
    nodes, contact = len(system.model.plan.nodes), Linearisation(system, x)
    last, still, k = np.inf, False, 0
    for k in range(_STEPS):
        step = spanning_cuts(system, x, *contact.points).step()
        if not np.isfinite(step).all():
            return x, False, k
        scale = max(1.0, float(np.abs(x[0, :nodes]).max()))
        move = float(np.abs(step[:nodes]).max()) / scale
        x = x + step
        limited = not contact.advance(system, x).all()
        still = not limited and move <= _STILL
        if still and not move < 0.5 * last:
            break
        last = np.inf if limited else move
    return x, still, k


def linear_hold(model: Model) -> float:
    """Return the smallest conductance [S] of the tree of resistors and crossbars; 0 where it leaves a node out."""
    kept: float | None = model.circuit.derived.get("linear hold")
    if kept is None:
        pins, g = _linear_conductances(model)
        _, kept, _ = _paths(model, pins, g, [])
        model.circuit.derived["linear hold"] = kept
    return kept


def _linear_conductances(model: Model) -> tuple[Index, Array]:
    pins, slopes = [np.zeros((0, 2), np.int64)], [np.zeros(0)]
    for b in model.plan.linear_banks:
        bank = model.circuit.banks[b]
        assert issubclass(bank.device, OnePort)
        _, g = bank.device.current(np.zeros(bank.size), bank.values)
        pins.append(bank.pins)
        slopes.append(np.broadcast_to(g, bank.size))
    for c in model.circuit.crossbars:
        pins.append(np.stack([np.repeat(c.rows, len(c.columns)), np.tile(c.columns, len(c.rows))], axis=1))
        slopes.append(c.conductance.ravel())
    return np.concatenate(pins), np.concatenate(slopes)


def _one_ports(system: System, v: Array, junctions: Array | None) -> tuple[Index, Array, Array]:
    """Return pins (E, 2), currents and slopes (E,) of all one-ports and of the crossbars' elements."""
    model = system.model
    pins, g = _linear_conductances(model)
    u = v[0, pins[:, 0]] - v[0, pins[:, 1]]
    i, start = g * u, 0
    for b in model.plan.linear_banks:
        bank = model.circuit.banks[b]
        assert issubclass(bank.device, OnePort)
        own, _ = bank.device.current(u[start : start + bank.size], bank.values)
        i[start : start + bank.size] = own
        start += bank.size
    if not len(model.junction_pins):
        return pins, i, g
    across = model.junction_voltages(v)
    at = across if junctions is None else junctions
    bent, slope = system.junction_currents(at)
    bent = bent + slope * (across - at)
    return (
        np.concatenate([pins, model.junction_pins]),
        np.concatenate([i, bent[0]]),
        np.concatenate([g, slope[0]]),
    )


def _multi_ports(system: System, v: Array, x: Array, local: Sequence[Array] | None) -> list[_Locals]:
    model, plan = system.model, system.model.plan
    out = []
    for b in plan.multiport_banks:
        bank = model.circuit.banks[b]
        assert issubclass(bank.device, MultiPort)
        own = model.local_values(b, v, x)
        bent = not bank.device.linear and local is not None
        at = local[model.nonlinear_multiports.index(b)] if bent and local is not None else own
        f, jac = bank.device.stamp(at, system.bank_values(b))
        f = f + (jac @ (own - at)[..., None])[..., 0]
        unknowns, pins = plan.local_unknowns(model.circuit, b), len(bank.device.pins)
        ones = np.ones((bank.size, unknowns.shape[1] - pins))
        w, t = (np.concatenate([factor[bank.pins], ones], axis=1) for factor in (model.w, model.t))
        jac = np.broadcast_to(jac, (len(x), *jac.shape[-3:]))[0]
        out.append(_Locals(unknowns, f[0], jac, own[0], w, t, pins))
    return out


def _paths(model: Model, pins: Index, g: Array, banks: Sequence[_Locals]) -> tuple[Array, float, float]:
    """Return the drops that add up to each unknown (n, n), 0 or 1, and the smallest and largest conductance.

    The smallest is that of the tree's branches.
    """
    plan = model.plan
    nodes, known = len(plan.nodes), len(plan.nodes)
    ends, weights = [plan.unknown[pins]], [np.abs((model.w * model.t)[pins]).max(axis=1, initial=0.0) * np.abs(g)]
    for bank in banks:
        for a in range(bank.pins):
            for b in range(a):
                weight = np.minimum(np.abs(bank.jac[:, a, b]), np.abs(bank.jac[:, b, a]))
                for k in range(bank.pins, bank.unknowns.shape[1]):
                    rigid = (bank.jac[:, a, k] != 0.0) & (bank.jac[:, b, k] != 0.0)
                    weight = np.where(rigid, _RIGID, weight)
                ends.append(bank.unknowns[:, [a, b]])
                weights.append(weight)
    pair, weight = np.concatenate(ends), np.concatenate(weights)
    pair = np.where(pair >= 0, pair, known)
    keep = (pair[:, 0] != pair[:, 1]) & (weight > 0.0) & np.isfinite(weight)
    pair, weight = np.sort(pair[keep], axis=1), weight[keep]
    graph = sp.csr_array(sp.coo_array((weight, (pair[:, 0], pair[:, 1])), shape=(nodes + 1, nodes + 1)))
    graph.data = 1.0 / np.minimum(graph.data, _RIGID)
    tree = minimum_spanning_tree(graph)
    order, before = breadth_first_order(tree, known, directed=False)
    paths = np.zeros((plan.size, plan.size))
    np.fill_diagonal(paths, 1.0)
    for node in order[1:]:
        if before[node] != known:
            paths[node] += paths[before[node]]
    holds = len(order) == nodes + 1 and len(tree.data)
    real = weight[weight < _RIGID]
    weakest = float(1.0 / tree.data.max()) if holds else 0.0
    return paths, weakest, float(real.max(initial=0.0))


def _incidence(model: Model, pins: Index, factor: Array) -> sp.csr_array:
    """Return the map (n, E) from elements to rows, each pin with its factor."""
    entries, count = Entries(), np.arange(len(pins))
    for pin, sign in ((0, 1.0), (1, -1.0)):
        entries.add(model.plan.unknown[pins[:, pin]], count, sign * factor[pins[:, pin]])
    return entries.matrix((model.plan.size, len(pins)))


def _add_bank(bank: _Locals, paths: Array, matrix: Array, rows: Array, blur: Array) -> None:
    """Add a multi-port bank to the cuts' equations in place.

    Its pins count as the first one and the differences from it: sums over all pins that are mere rounding,
    since the currents of an element add up to nothing, say, are nothing.
    """
    pins, size = bank.pins, bank.unknowns.shape[1]
    basis = np.eye(size)
    basis[:pins, 0] = 1.0

    def summed(values: Array) -> Array:
        total: Array = values @ basis
        total[np.abs(total) <= _CANCELLED * (np.abs(values) @ basis)] = 0.0
        return total

    f = summed(bank.f)
    jac = summed(summed(bank.jac).swapaxes(1, 2)).swapaxes(1, 2)
    at = np.where(bank.unknowns >= 0, bank.unknowns, 0)
    known = bank.unknowns < 0
    into, of = (np.where(known[..., None], 0.0, factor[..., None] * paths[at]) for factor in (bank.w, bank.t))
    for side in (into, of):
        side[:, 1:pins] -= side[:, :1]
    flat = into.reshape(-1, len(rows))
    matrix += flat.T @ (jac @ of).reshape(-1, len(rows))
    rows += flat.T @ f.ravel()
    reach = np.abs(bank.z).copy()
    reach[:, :pins] = reach[:, :pins].max(axis=1, keepdims=True)
    blur += np.abs(flat).T @ (2.0 * (np.abs(jac) @ reach[..., None])[..., 0] + 4.0 * np.abs(f)).ravel()


def _others(system: System, v: Array) -> tuple[Array, Array]:
    """Return Jacobian (n, n) and rows (n,) of transconductances and of the nudge."""
    model, size = system.model, system.model.plan.size
    entries = Entries()
    currents = np.zeros(v.shape)
    for t in model.circuit.transconductances:
        model._transconductance_entries(entries, t)
    add_transconductances(currents, model.circuit, v)
    jac, rows = entries.matrix((size, size)).toarray(), model.reduce_currents(currents)
    if system.nudge is not None:
        slots, slopes = model.slots, np.zeros((1, model.slots.count))
        system._add_nudge(v, rows, slopes)
        np.add.at(jac, (slots.rows, slots.columns), slots.values(slopes)[0])
    return jac, rows[0]
