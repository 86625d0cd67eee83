"""Kirchhoff's current law of one circuit, one batch of inputs and a nudge, as R(x) = 0 with its Jacobian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import MultiPort, OnePort
from analogep.solve.equations.model import Model, model_for
from analogep.solve.equations.stamps import add_transconductances, crossbar_currents, scatter_add
from analogep.solve.linear.systems import LinearSolver, linear_solver
from analogep.solve.nudge import Nudge, ScaledNudge

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Evaluation:
    """Residual and slopes at one point.

    Attributes
    ----------
    residual
        R (B, n): currents [A], then branch equations.
    slopes
        Slopes (B, count) in the order of :class:`Slots`.
    magnitude
        Sum of the absolute nonlinear currents at each row, (B, n) [A], for tolerances.
    """

    residual: Array
    slopes: Array
    magnitude: Array


@dataclass(frozen=True)
class Memory:
    """Currents of charges that devices state, in an implicit step: rate · (charge since its start).

    Attributes
    ----------
    rates
        1/τ of each element (E,) [1/s], by bank index.
    origin
        Local unknowns (B, E, L) at the start of the step.
    """

    rates: Mapping[int, Array]
    origin: Mapping[int, Array]

    def select(self, samples: Index) -> Memory:
        """Return the memory of some samples of the batch."""
        return Memory(self.rates, {b: z[samples] for b, z in self.origin.items()})

    def add(self, b: int, device: type[MultiPort], at: Array, values: Mapping[str, Array]) -> tuple[Array, Array]:
        """Return the currents (B, E, L) of bank ``b`` at local unknowns (B, E, L), and their slopes."""
        found = device.charge_step(at, self.origin[b], values)
        assert found is not None
        rate = self.rates[b][:, None]
        return rate * found[0], rate[..., None] * found[1]


def _fixed_part(model: Model, inputs: Array) -> tuple[Array, Array]:
    """Return known voltages and linear offset; kept for the next phase, which has the same inputs."""
    kept = model.circuit.derived.get("fixed_part")
    if kept is not None and np.array_equal(kept[0], inputs):
        return kept[1], kept[2]
    known = model.known_voltages(inputs)
    offset = model.linear_offset(known)
    model.circuit.derived["fixed_part"] = (inputs.copy(), known, offset)
    return known, offset


class System:
    """One circuit with one batch of inputs and a nudge.

    Parameters
    ----------
    circuit, inputs, nudge
        What to solve; inputs (B, I) [V].
    """

    def __init__(self, circuit: Circuit, inputs: Array, nudge: Nudge | None = None) -> None:
        self.model = model_for(circuit)
        self.inputs = inputs
        self.nudge = nudge
        self.known, self.offset = _fixed_part(self.model, inputs)
        self.held: dict[int, dict[str, Array]] = {}  # parameters (B, E) that replace a multi-port bank's own
        self.memory: Memory | None = None

    def select(self, samples: Index) -> System:
        """Return the system of some samples of the batch."""
        part = object.__new__(System)
        part.model = self.model
        part.inputs = self.inputs[samples]
        part.nudge = None if self.nudge is None else self.nudge.select(samples)
        part.known = self.known[samples]
        part.offset = self.offset[samples]
        part.held = {b: {k: v[samples] for k, v in held.items()} for b, held in self.held.items()}
        part.memory = None if self.memory is None else self.memory.select(samples)
        return part

    def scaled(self, factor: float) -> System:
        """Return the system whose inputs, independent sources and nudge targets are ``factor`` times these."""
        part = object.__new__(System)
        part.model, part.inputs = self.model, factor * self.inputs
        part.nudge = None if self.nudge is None else ScaledNudge(self.nudge, factor)
        part.known, part.offset = factor * self.known, factor * self.offset
        part.held, part.memory = self.held, self.memory
        return part

    # --- what is solved for: all unknowns and rows, unless a subclass says otherwise ------------------------

    def fix(self, x: Array) -> Array:
        """Return unknowns (B, n) that differ from x only in what is not free to be solved for."""
        return x

    def project(self, rows: Array) -> Array:
        """Return the rows (B, n) that a solution must meet, for those of all Kirchhoff's laws."""
        return rows

    def bound(self, rows: Array) -> Array:
        """Return how far the rows that a solution must meet may be off, for bounds (B, n) of all rows."""
        return rows

    def solver(self, shunt: sp.csr_array | None = None) -> LinearSolver:
        """Return what solves for Newton's steps, the Jacobian with ``shunt`` (n, n) added."""
        return linear_solver(self.model, shunt)

    # --- Kirchhoff's law --------------------------------------------------------------------------------

    def bank_values(self, b: int) -> Mapping[str, Array]:
        """Return the parameters of bank ``b``, those that are held included."""
        values = self.model.circuit.banks[b].values
        return {**values, **self.held[b]} if b in self.held else values

    def local(self, x: Array) -> tuple[Array, ...]:
        """Return the local unknowns z (B, E, L) of each nonlinear multi-port bank at x (B, n)."""
        model, v = self.model, self.voltages(x)
        return tuple(model.local_values(b, v, x) for b in model.nonlinear_multiports)

    def voltages(self, x: Array) -> Array:
        """Return all node voltages (B, N) [V]."""
        return self.model.expand(x, self.known)

    def evaluate(
        self, x: Array, junctions: Array | None = None, local: tuple[Array, ...] | None = None
    ) -> Evaluation:
        """Evaluate Kirchhoff's law at x (B, n).

        Parameters
        ----------
        x
            Unknowns.
        junctions
            Voltages (B, E) at which nonlinear one-ports are linearised; ``None`` means their own voltages.
            Elsewhere than there, their current is the tangent's.
        local
            The same for each nonlinear multi-port bank: local unknowns (B, E, L); see :meth:`local`.
        """
        if self.model.dense:
            linear = x @ self.model.linear_matrix.T + self.offset
        else:
            linear = (self.model.linear_matrix @ x.T).T + self.offset
        return self.add_nonlinear(x, linear, junctions, local)

    def add_nonlinear(
        self,
        x: Array,
        residual: Array,
        junctions: Array | None = None,
        local: tuple[Array, ...] | None = None,
    ) -> Evaluation:
        """Add the nonlinear elements and the nudge to the linear residual (B, n); see :meth:`evaluate`."""
        model = self.model
        v = self.voltages(x)
        slopes = np.zeros((len(x), model.slots.count), x.dtype)
        magnitude = np.zeros(residual.shape)
        count = len(model.junction_pins)
        if count:
            own = model.junction_voltages(v)
            at = own if junctions is None else junctions
            i, g = self.junction_currents(at)
            if junctions is not None:
                i = i + g * (own - junctions)
            scatter, absolute = model.junction_scatter
            residual = residual + (scatter @ i.T).T
            magnitude = magnitude + (absolute @ np.abs(i).T).T
            slopes[:, :count] = g
        start = count
        for k, b in enumerate(model.nonlinear_multiports):
            bank = model.circuit.banks[b]
            own = model.local_values(b, v, x)
            assert issubclass(bank.device, MultiPort)
            values, at = self.bank_values(b), own if local is None else local[k]
            f, jac = bank.device.stamp(at, values)
            if self.memory is not None and b in self.memory.rates:
                stored, slope = self.memory.add(b, bank.device, at, values)
                f, jac = f + stored, jac + slope
            if local is not None:
                f = f + (jac @ (own - local[k])[..., None])[..., 0]
            unknowns = model.plan.local_unknowns(model.circuit, b)
            model._scatter_local(residual, bank, unknowns, f)
            size = bank.size * unknowns.shape[1] ** 2
            slopes[:, start : start + size] = jac.reshape(len(x), size)
            start += size
        if self.nudge is not None:
            self._add_nudge(v, residual, slopes)
        return Evaluation(residual, slopes, magnitude)

    def junction_currents(self, u: Array) -> tuple[Array, Array]:
        """Return currents and slopes of all nonlinear one-ports at their voltages u, (B, E)."""
        return self.model.junction_currents(u)

    def _add_nudge(self, v: Array, residual: Array, slopes: Array) -> None:
        assert self.nudge is not None
        model = self.model
        pairs = model.circuit.output_pairs
        i, slope = self.nudge.evaluate(v[:, pairs[:, 0]] - v[:, pairs[:, 1]])
        for pin, sign in ((0, 1.0), (1, -1.0)):
            unknown = model.plan.unknown[pairs[:, pin]]
            keep = unknown >= 0
            scatter_add(residual, unknown[keep], (sign * model.w[pairs[:, pin]] * i)[:, keep])
        block = slopes[:, model.slots.nudge_start :].reshape(len(v), len(pairs), len(pairs))
        if slope.ndim == 2:
            diagonal = np.arange(len(pairs))
            block[:, diagonal, diagonal] = slope
        else:
            block[...] = slope


def pin_currents(
    circuit: Circuit,
    b: int,
    voltages: Array,
    branches: Mapping[int, Array] | None = None,
    states: Mapping[int, Mapping[str, Array]] | None = None,
) -> Array | None:
    """Return the current into each pin of a bank's elements, (B, E, P) [A]; ``None`` for sources and amplifiers.

    Parameters
    ----------
    circuit, voltages, branches, states
        As for :func:`node_currents`.
    b
        Index of the bank.
    """
    bank = circuit.banks[b]
    if issubclass(bank.device, OnePort):
        i, _ = bank.device.current(voltages[:, bank.pins[:, 0]] - voltages[:, bank.pins[:, 1]], bank.values)
        return np.stack([i, -i], axis=-1)
    if not issubclass(bank.device, MultiPort):
        return None
    extra = np.zeros((len(voltages), bank.size, bank.device.branches))
    if branches is not None and b in branches:
        extra = branches[b]
    z = np.concatenate([voltages[:, bank.pins], extra], axis=-1)
    f, _ = bank.device.stamp(z, {**bank.values, **(states or {}).get(b, {})})
    out: Array = f[..., : bank.pins.shape[1]]
    return out


def node_currents(
    circuit: Circuit,
    voltages: Array,
    branches: Mapping[int, Array] | None = None,
    states: Mapping[int, Mapping[str, Array]] | None = None,
) -> Array:
    """Return the current leaving each node through elements other than sources and amplifiers, (B, N) [A].

    Parameters
    ----------
    circuit
        The circuit.
    voltages
        Node voltages (B, N) [V].
    branches
        Branch currents (B, E, K) [A] of multi-port banks, by bank index; zero where not given.
    states
        Parameters (B, E) that replace a multi-port bank's own, by bank index.
    """
    total = np.zeros(voltages.shape)
    for b, bank in enumerate(circuit.banks):
        into = pin_currents(circuit, b, voltages, branches, states)
        if into is not None:
            scatter_add(total, bank.pins.ravel(), into.reshape(len(voltages), -1))
    for c in circuit.crossbars:
        rows, columns = crossbar_currents(c.conductance, voltages[:, c.rows], voltages[:, c.columns])
        total[:, c.rows] += rows
        total[:, c.columns] += columns
    add_transconductances(total, circuit, voltages)
    return total
