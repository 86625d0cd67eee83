"""The circuit with its values, reduced to the plan's unknowns: matrices of the linear part, maps of the rest.

A :class:`Model` is kept with the circuit; :mod:`analogep.solve.equations.system` adds inputs and a nudge. Rows are
currents [A] leaving each root node (then branch equations); columns are unknowns.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.circuit import Bank, Circuit, TransconductanceCrossbar
from analogep.devices import Diode, MultiPort, OnePort
from analogep.errors import InputError
from analogep.solve.equations.load_line import FREE_STEP, meet_load
from analogep.solve.equations.plan import Plan, plan_for
from analogep.solve.equations.slots import Slots
from analogep.solve.equations.stamps import Entries, add_transconductances, crossbar_currents, scatter_add

Array = NDArray[np.float64]
Index = NDArray[np.int64]

DENSE_LIMIT = 700
"""Number of unknowns up to which the linear part is a dense matrix."""

_YIELDING = 2.0
"""Resistance that a node shows, relative to what it would be with all of its neighbours held."""

_COMPILED = 256
"""Diodes of a bank from which compiled code is faster, in circuits whose linear solver is compiled anyway."""


class Model:
    """The circuit with its values, reduced to the plan's unknowns."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self.plan: Plan = plan_for(circuit)
        plan = self.plan
        self.t, self.w, self.c = circuit.reuse(
            "factors", circuit.constraint_banks, lambda: plan.elimination.factors(circuit)
        )
        free = plan.unknown >= 0
        self.gather = np.where(free, plan.unknown, 0)
        self.t_free = np.where(free, self.t, 0.0)
        self.nonlinear = tuple(circuit.banks[b] for b in plan.nonlinear_banks)
        self.dense = plan.size <= DENSE_LIMIT

    # --- voltages --------------------------------------------------------------------------------------

    def known_voltages(self, inputs: Array) -> Array:
        """Return the part of all node voltages that inputs and sources fix, (B, N) [V]."""
        fixed = np.zeros((len(inputs), len(self.circuit.nodes)))
        fixed[:, self.circuit.input_nodes] = inputs
        held = self.plan.unknown < 0
        root = self.plan.elimination.root
        known = np.broadcast_to(self.c, fixed.shape).copy()
        known[:, held] += self.t[held] * fixed[:, root[held]]
        return known

    def expand(self, x: Array, known: Array) -> Array:
        """Return all node voltages (B, N) for the unknowns x (B, n)."""
        if not self.plan.size:
            return known.copy()
        out: Array = known + self.t_free * x[:, self.gather]
        return out

    def reduce_voltages(self, voltages: Array) -> Array:
        """Return the unknowns (B, n) that correspond to node voltages; branch currents start at zero."""
        x = np.zeros((len(voltages), self.plan.size))
        x[:, : len(self.plan.nodes)] = voltages[:, self.plan.nodes]
        return x

    def unknowns(self, voltages: Array, branches: Mapping[int, Array]) -> Array:
        """Return the unknowns (B, n) of node voltages and of branch currents (B, E, K) by bank index.

        Currents that are missing, or belong to a bank of another size, start at zero.
        """
        x = self.reduce_voltages(voltages)
        for b, start in self.plan.branch_start.items():
            shape = (len(x), self.circuit.banks[b].size, self.circuit.banks[b].device.branches)
            if b in branches and branches[b].shape == shape:
                x[:, start : start + shape[1] * shape[2]] = branches[b].reshape(len(x), -1)
        return x

    def branch_currents(self, x: Array) -> dict[int, Array]:
        """Return the branch currents (..., E, K) of each multi-port bank that has some, for unknowns (..., n)."""
        out = {}
        for b, start in self.plan.branch_start.items():
            bank = self.circuit.banks[b]
            count = bank.size * bank.device.branches
            out[b] = x[..., start : start + count].reshape(*x.shape[:-1], bank.size, bank.device.branches)
        return out

    # --- linear part -----------------------------------------------------------------------------------

    def _pair_entries(self, entries: Entries, pins: Index, g: Array) -> None:
        """Add a conductance-like value g (E,) between the two pins of each element."""
        u, t, w = self.plan.unknown[pins], self.t[pins], self.w[pins]
        for a, b, sign in ((0, 0, 1.0), (0, 1, -1.0), (1, 0, -1.0), (1, 1, 1.0)):
            entries.add(u[:, a], u[:, b], sign * w[:, a] * t[:, b] * g)

    @cached_property
    def linear_matrix(self) -> Array | sp.csr_array:
        """Jacobian of the linear part, (n, n), dense for small circuits.

        Sparse, it may store zeros: where :attr:`on_pattern`, its pattern is :func:`pattern_for`'s.
        """
        if self.on_pattern:
            return self._conductances()
        entries = Entries()
        circuit, plan = self.circuit, self.plan
        for b in plan.linear_banks:
            bank = circuit.banks[b]
            device = _one_port(bank)
            _, g = device.current(np.zeros(bank.size), bank.values)
            if np.any(g):
                self._pair_entries(entries, bank.pins, g)
        for b in plan.multiport_banks:
            bank = circuit.banks[b]
            if bank.device.linear:
                local = plan.local_unknowns(circuit, b)
                _, jac = _multi_port(bank).stamp(np.zeros(local.shape), bank.values)
                self._stamp_entries(entries, bank, local, jac)
        shape = (plan.size, plan.size)
        for t in circuit.transconductances:
            self._transconductance_entries(entries, t)
        if not self.dense:
            for c in circuit.crossbars:
                self._crossbar_entries(entries, c.rows, c.columns, c.conductance)
            return entries.matrix(shape)
        dense: Array = entries.matrix(shape).toarray()
        for c in circuit.crossbars:
            self._add_crossbar(dense, c.rows, c.columns, c.conductance)
        return dense

    @property
    def on_pattern(self) -> bool:
        """Whether this is a large circuit of one-ports alone, whose matrices share one symmetric pattern."""
        others = self.plan.multiport_banks or self.circuit.crossbars or self.circuit.transconductances
        return not (self.dense or others)

    def _conductances(self) -> sp.csr_array:
        """Return the Jacobian of the linear part of a large circuit of one-ports."""
        from analogep.solve.equations.pattern import Pattern, add_conductances, pattern_for

        circuit, plan, derived = self.circuit, self.plan, self.circuit.topology.derived
        pattern: Pattern = pattern_for(circuit, plan)
        data = np.zeros(len(pattern.indices))
        for b in plan.linear_banks:
            bank = circuit.banks[b]
            _, g = _one_port(bank).current(np.zeros(bank.size), bank.values)
            if np.any(g):
                u = plan.unknown[bank.pins]
                if f"places {b}" not in derived:
                    derived[f"places {b}"] = pattern.pair_places(u)
                places = derived[f"places {b}"]
                t, w = self.t[bank.pins], self.w[bank.pins]
                add_conductances(data, pattern.diagonal, places, u, t, w, np.broadcast_to(g, bank.size))
        return sp.csr_array((data, pattern.indices, pattern.indptr), shape=(plan.size, plan.size))

    @cached_property
    def linear_diagonal(self) -> Array:
        """Absolute diagonal of the linear part, (n,) [S]: a yardstick for residuals."""
        return np.abs(self.linear_matrix.diagonal())

    def _stamp_entries(self, entries: Entries, bank: Bank, local: Index, jac: Array) -> None:
        pins = len(bank.device.pins)
        ones = np.ones((bank.size, local.shape[1] - pins))
        w = np.concatenate([self.w[bank.pins], ones], axis=1)
        t = np.concatenate([self.t[bank.pins], ones], axis=1)
        for i in range(local.shape[1]):
            for j in range(local.shape[1]):
                value = w[:, i] * t[:, j] * jac[:, i, j]
                if np.any(value):
                    entries.add(local[:, i], local[:, j], value)

    def _crossbar_entries(self, entries: Entries, rows: Index, columns: Index, g: Array) -> None:
        u = self.plan.unknown
        entries.add(u[rows], u[rows], self.w[rows] * self.t[rows] * g.sum(axis=1))
        entries.add(u[columns], u[columns], self.w[columns] * self.t[columns] * g.sum(axis=0))
        r, c = u[rows] >= 0, u[columns] >= 0
        if r.any() and c.any():
            rows, columns, g = rows[r], columns[c], g[np.ix_(r, c)]
            i, j = np.repeat(rows, len(columns)), np.tile(columns, len(rows))
            entries.add(u[i], u[j], -self.w[i] * self.t[j] * g.ravel())
            entries.add(u[j], u[i], -self.w[j] * self.t[i] * g.ravel())

    def _transconductance_entries(self, entries: Entries, t: TransconductanceCrossbar) -> None:
        u = self.plan.unknown
        i, j = np.repeat(t.rows, len(t.columns)), np.tile(t.columns, len(t.rows))
        for into, of, matrix in ((j, i, t.forward), (i, j, t.backward)):
            if matrix is not None:
                entries.add(u[into], u[of], -self.w[into] * self.t[of] * matrix.ravel())

    def _add_crossbar(self, dense: Array, rows: Index, columns: Index, g: Array) -> None:
        u = self.plan.unknown
        r, c = u[rows] >= 0, u[columns] >= 0
        np.add.at(dense, (u[rows[r]],) * 2, (self.w * self.t)[rows[r]] * g.sum(axis=1)[r])
        np.add.at(dense, (u[columns[c]],) * 2, (self.w * self.t)[columns[c]] * g.sum(axis=0)[c])
        if r.any() and c.any():
            rows, columns, g = rows[r], columns[c], g[np.ix_(r, c)]
            forth = -np.outer(self.w[rows], self.t[columns]) * g
            back = -np.outer(self.w[columns], self.t[rows]) * g.T
            np.add.at(dense, np.ix_(u[rows], u[columns]), forth)
            np.add.at(dense, np.ix_(u[columns], u[rows]), back)

    @cached_property
    def capacitance_matrix(self) -> sp.csr_array:
        """What the circuit's own elements store: capacitances (n, n) [F], inductances [H] in branch rows."""
        entries = Entries()
        for b in (*self.plan.linear_banks, *self.plan.nonlinear_banks):
            bank = self.circuit.banks[b]
            value = _one_port(bank).capacitance(bank.values)
            if value is not None:
                self._pair_entries(entries, bank.pins, value)
        for b in self.plan.multiport_banks:
            bank = self.circuit.banks[b]
            stored = _multi_port(bank).storage(bank.values)
            if stored is not None:
                self._stamp_entries(entries, bank, self.plan.local_unknowns(self.circuit, b), stored)
        return entries.matrix((self.plan.size, self.plan.size))

    def integrator_capacitance(
        self, node_capacitance: float, touched: NDArray[np.bool_] | None = None
    ) -> sp.csr_array:
        """Return the capacitance matrix (n, n) [F] of the leaky integrator.

        Every solved node without a capacitor of its own, ``touched`` (n,) by no other charge either, has
        ``node_capacitance`` [F] to ground.

        Raises
        ------
        InputError
            If ``node_capacitance`` is negative or not finite.
        """
        node_capacitance = float(node_capacitance)
        if not 0.0 <= node_capacitance < np.inf:
            raise InputError(
                f"node_capacitance = {node_capacitance!r}; give a capacitance in farads, zero or more"
            )
        own = self.capacitance_matrix
        bare = np.asarray(abs(own).sum(axis=1)).ravel() == 0.0
        bare[len(self.plan.nodes) :] = False
        if touched is not None:
            bare &= ~touched
        return sp.csr_array(own + sp.diags_array(node_capacitance * bare))

    def linear_offset(self, known: Array) -> Array:
        """Return the linear part of the residual at x = 0, (B, n) [A]."""
        circuit, plan = self.circuit, self.plan
        node_currents = np.zeros(known.shape)
        for b in plan.linear_banks:
            bank = circuit.banks[b]
            i, _ = _one_port(bank).current(known[:, bank.pins[:, 0]] - known[:, bank.pins[:, 1]], bank.values)
            scatter_add(node_currents, bank.pins[:, 0], i)
            scatter_add(node_currents, bank.pins[:, 1], -i)
        for c in circuit.crossbars:
            rows, columns = crossbar_currents(c.conductance, known[:, c.rows], known[:, c.columns])
            node_currents[:, c.rows] += rows
            node_currents[:, c.columns] += columns
        add_transconductances(node_currents, circuit, known)
        offset = self.reduce_currents(node_currents)
        for b in plan.multiport_banks:
            bank = circuit.banks[b]
            if bank.device.linear:
                local = plan.local_unknowns(circuit, b)
                f = self.local_residual(bank, local, known, np.zeros((len(known), plan.size)))[0]
                self._scatter_local(offset, bank, local, f)
        return offset

    def reduce_currents(self, node_currents: Array) -> Array:
        """Return the residual rows (B, n) [A] for currents (B, N) leaving each node through elements."""
        out = np.zeros((len(node_currents), self.plan.size))
        nodes = np.flatnonzero(self.plan.unknown >= 0)
        roots = self.plan.elimination.root[nodes] == nodes
        simple, rest = nodes[roots], nodes[~roots]
        out[:, self.plan.unknown[simple]] = node_currents[:, simple]
        if len(rest):
            scatter_add(out, self.plan.unknown[rest], self.w[rest] * node_currents[:, rest])
        return out

    # --- multi-ports -----------------------------------------------------------------------------------

    def local_residual(self, bank: Bank, local: Index, voltages: Array, x: Array) -> tuple[Array, Array]:
        """Return f (B, E, L) and Jacobian of a multi-port bank."""
        branches = x[:, local[:, len(bank.device.pins) :]]
        z = np.concatenate([voltages[:, bank.pins], branches], axis=-1)
        return self.stamp(bank, z)

    @cached_property
    def nonlinear_multiports(self) -> tuple[int, ...]:
        """Indices of the multi-port banks that are not linear."""
        return tuple(b for b in self.plan.multiport_banks if not self.circuit.banks[b].device.linear)

    def local_values(self, b: int, voltages: Array, x: Array) -> Array:
        """Return the local unknowns z (B, E, L) of multi-port bank ``b``."""
        bank = self.circuit.banks[b]
        branches = x[:, self.plan.local_unknowns(self.circuit, b)[:, len(bank.device.pins) :]]
        return np.concatenate([voltages[:, bank.pins], branches], axis=-1)

    @staticmethod
    def stamp(bank: Bank, z: Array) -> tuple[Array, Array]:
        """Return f (B, E, L) and Jacobian of a multi-port bank at local unknowns z (B, E, L)."""
        return _multi_port(bank).stamp(z, bank.values)

    def _scatter_local(self, residual: Array, bank: Bank, local: Index, f: Array) -> None:
        ones = np.ones((bank.size, local.shape[1] - len(bank.device.pins)))
        w = np.concatenate([self.w[bank.pins], ones], axis=1)
        keep = local >= 0
        scatter_add(residual, local[keep], (w * f)[:, keep])

    # --- nonlinear part --------------------------------------------------------------------------------

    @cached_property
    def junction_pins(self) -> Index:
        """Pins of all nonlinear one-ports, bank after bank, (E, 2)."""
        pins = [bank.pins for bank in self.nonlinear]
        return np.concatenate(pins) if pins else np.zeros((0, 2), np.int64)

    def junction_voltages(self, voltages: Array) -> Array:
        """Return the voltages across all nonlinear one-ports, (B, E) [V]."""
        out: Array = voltages[:, self.junction_pins[:, 0]] - voltages[:, self.junction_pins[:, 1]]
        return out

    def junction_currents(self, u: Array) -> tuple[Array, Array]:
        """Return currents and slopes of all nonlinear one-ports, (B, E)."""
        parts = []
        for bank, s, diodes in zip(self.nonlinear, self._slices, self._tables, strict=True):
            if diodes is None:
                parts.append(_one_port(bank).current(u[:, s], bank.values))
                continue
            from analogep.solve.equations.junctions import currents

            i, g = np.empty((len(u), bank.size)), np.empty((len(u), bank.size))
            currents(u[:, s], diodes, i, g)
            parts.append((i, g))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([i for i, _ in parts], axis=1), np.concatenate([g for _, g in parts], axis=1)

    @property
    def least_slopes(self) -> Array:
        """Lower bounds (E,) [S] of the slopes of all nonlinear one-ports."""
        return np.concatenate(
            [np.zeros(0), *(_one_port(bank).least_slope(bank.values) for bank in self.nonlinear)]
        )

    def continued_currents(self, u: Array, at: Array) -> tuple[Array, Array]:
        """Return the same at complex voltages u (B, E), continued analytically from real ones ``at``."""
        parts = [
            _one_port(bank).continued(u[:, s], bank.values, at[:, s])
            for bank, s in zip(self.nonlinear, self._slices, strict=True)
        ]
        return np.concatenate([i for i, _ in parts], axis=1), np.concatenate([g for _, g in parts], axis=1)

    def limit(self, u_new: Array, u_old: Array) -> Array:
        """Return the junction voltages at which to linearise next, (B, E).

        Parameters
        ----------
        u_new
            Voltages (B, E) [V] that solve the linearised circuit.
        u_old
            Voltages (B, E) [V] at which it was linearised.
        """
        out = np.empty_like(u_new)
        for bank, s, diodes in zip(self.nonlinear, self._slices, self._tables, strict=True):
            device = _one_port(bank)
            if diodes is not None:
                from analogep.solve.equations.junctions import meet_loads

                meet_loads(u_new[:, s], u_old[:, s], diodes, self._loads[s], FREE_STEP, out[:, s])
            elif device.load_point is OnePort.load_point:
                out[:, s] = device.limit(u_new[:, s], u_old[:, s], bank.values)
            else:
                out[:, s] = meet_load(device, u_new[:, s], u_old[:, s], bank.values, self._loads[s])
        return out

    @cached_property
    def _loads(self) -> Array:
        """Guess of the resistance [Ω] that each nonlinear one-port sees, (E,); infinite where nothing loads it.

        A node whose neighbours were all held would have 1/G, its diagonal of the linear part; they are not.
        """
        u, share = self.plan.unknown[self.junction_pins], np.abs(self.t * self.w)[self.junction_pins]
        if not self.plan.size:
            return np.zeros(len(u))
        with np.errstate(divide="ignore"):
            each = np.where(u >= 0, share / self.linear_diagonal[u], 0.0)
        total: Array = _YIELDING * each.sum(axis=1)
        return total

    @cached_property
    def _slices(self) -> tuple[slice, ...]:
        edges = np.cumsum([0, *(bank.size for bank in self.nonlinear)])
        return tuple(slice(int(a), int(b)) for a, b in pairwise(edges))

    @cached_property
    def _tables(self) -> tuple[Array | None, ...]:
        """Parameters of the banks that are evaluated by compiled code: large ones of diodes; else ``None``."""
        large = [not self.dense and bank.device is Diode and bank.size >= _COMPILED for bank in self.nonlinear]
        if not any(large):
            return (None,) * len(self.nonlinear)
        from analogep.solve.equations.junctions import table  # numba takes half a second to load

        banks = zip(self.nonlinear, large, strict=True)
        return tuple(table(bank.values, bank.size) if compiled else None for bank, compiled in banks)

    @cached_property
    def junction_scatter(self) -> tuple[sp.csr_array, sp.csr_array]:
        """Map (n, E) from junction currents to residual rows, and its absolute value."""
        circuit = self.circuit
        return circuit.reuse("junction_scatter", circuit.constraint_banks, self._junction_scatter)

    def _junction_scatter(self) -> tuple[sp.csr_array, sp.csr_array]:
        pins, count = self.junction_pins, len(self.junction_pins)
        entries = Entries()
        for pin, sign in ((0, 1.0), (1, -1.0)):
            entries.add(self.plan.unknown[pins[:, pin]], np.arange(count), sign * self.w[pins[:, pin]])
        matrix = entries.matrix((self.plan.size, count))
        return matrix, abs(matrix)

    @cached_property
    def slots(self) -> Slots:
        """Where slopes of nonlinear elements and of a nudge enter the Jacobian."""
        circuit = self.circuit
        return circuit.reuse(
            "slots",
            circuit.constraint_banks,
            lambda: Slots(self.plan, circuit, self.t, self.w, self.junction_pins),
        )


def _one_port(bank: Bank) -> type[OnePort]:
    assert issubclass(bank.device, OnePort)
    return bank.device


def _multi_port(bank: Bank) -> type[MultiPort]:
    assert issubclass(bank.device, MultiPort)
    return bank.device


def model_for(circuit: Circuit) -> Model:
    """Return the model of ``circuit``, computed once for its values."""
    if "model" not in circuit.derived:
        circuit.derived["model"] = Model(circuit)
    model: Model = circuit.derived["model"]
    return model
