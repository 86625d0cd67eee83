"""Nudged phases that answer with the transposed Jacobian, so that non-reciprocal circuits learn from phases.

Near the free equilibrium x₀ a nudge β ∂C/∂x moves a circuit by −J⁻¹ β ∂C/∂x, while the gradient needs the
response of Jᵀ. With one more linear term the circuit answers so::

    F(x) + β ∂C/∂x + (J₀ᵀ − J₀)(x − x₀) = 0,        J₀ᵀ (x − x₀) ≈ −β ∂C/∂x

(Scurria, Vanden Abeele, Mognetti & Massar 2026; with f = −F, J₀ᵀ − J₀ is −2A of their A = (J_f − J_fᵀ)/2.)
Nothing is added where J₀ is symmetric. x are the solver's unknowns: node voltages and branch currents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.devices import MultiPort
from analogep.errors import ConvergenceError
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.model import Model
from analogep.solve.equations.pieces import sharing
from analogep.solve.equations.stamps import scatter_add
from analogep.solve.equations.system import System
from analogep.solve.newton.newton import NewtonOptions, NewtonResult, newton
from analogep.solve.nudge import Nudge
from analogep.solve.response.adjoint import spread

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True)
class Correction:
    """The term (J₀ᵀ − J₀)(x − x₀) of a batch and the nudge β ∂C/∂x: a :class:`~.newton.Term`.

    A nudge current at a node behind an amplifier reaches the solver's unknown by the current gain; ∂C/∂x counts
    it by the voltage gain. The nudge is therefore part of this term and not of the system.
    """

    system: System
    start: Array
    conductance: sp.csr_array
    changing: Array
    nudge: Nudge

    @property
    def rounding(self) -> Array:
        """See :class:`~analogep.solve.newton.newton.Term`."""
        slots = self.system.model.slots
        out: Array = np.asarray(abs(self.conductance).sum(axis=1)).ravel().copy()
        np.add.at(out, slots.rows, np.abs(self.changing).max(axis=0, initial=0.0))
        return out

    def currents(self, x: Array, samples: Index) -> Array:
        """See :class:`~analogep.solve.newton.newton.Term`."""
        model = self.system.model
        slots, moved = model.slots, x - self.start[samples]
        out: Array = (self.conductance @ moved.T).T
        scatter_add(out, slots.rows, self.changing[samples] * moved[:, slots.columns])
        i, _ = self._nudge(x, samples)
        pairs = model.circuit.output_pairs
        for pin, sign in ((0, 1.0), (1, -1.0)):
            unknown = model.plan.unknown[pairs[:, pin]]
            keep = unknown >= 0
            scatter_add(out, unknown[keep], (sign * model.t[pairs[:, pin]] * i)[:, keep])
        return out

    def entries(self, x: Array, samples: Index) -> Array:
        """See :class:`~analogep.solve.newton.newton.Term`."""
        _, slope = self._nudge(x, samples)
        count = slope.shape[1]
        if slope.ndim == 2:
            slope = slope[:, :, None] * np.eye(count)
        out: Array = self.changing[samples] + (_nudge_map(self.system.model) @ slope.reshape(len(x), -1).T).T
        return out

    def _nudge(self, x: Array, samples: Index) -> tuple[Array, Array]:
        pairs = self.system.model.circuit.output_pairs
        v = self.system.select(samples).voltages(x)
        return self.nudge.select(samples).evaluate(v[:, pairs[:, 0]] - v[:, pairs[:, 1]])


def corrected_phase(
    free: Solution, inputs: Array, nudge: Nudge, options: NewtonOptions
) -> tuple[Array, dict[int, Array], Array]:
    """Return how far the nudged phase with the correction moves from the free one, x − x₀.

    Two times: as adjoints of nodes (B, N) and branches, like
    :func:`~analogep.solve.response.adjoint.adjoint_voltages`, and as moves of the outputs (B, O) [V].

    Parameters
    ----------
    free
        The free phase.
    inputs
        Its inputs (B, I) [V].
    nudge
        The nudge; its currents count as ∂/∂x of the cost.
    options
        Tolerances of Newton's method.

    Raises
    ------
    ConvergenceError
        If some sample has no such equilibrium.
    """
    system = System(free.circuit, inputs)
    model = system.model
    x0 = model.unknowns(free.voltages, free.branches)
    term = Correction(system, x0, *_asymmetry(system, x0), nudge)
    result = newton(system, x0, options, term)
    shared = sharing(model)
    for tangent, by_element in ((shared, False), (None, True)):
        left = np.flatnonzero(~result.converged)
        if not len(left) or not (by_element or tangent is not None):
            continue
        part = Correction(system.select(left), x0[left], term.conductance, term.changing[left], nudge.select(left))
        again = newton(part.system, x0[left], options, part, tangent, by_element=by_element)
        x, done = result.x.copy(), result.converged.copy()
        x[left], done[left] = again.x, again.converged
        result = NewtonResult(x, done, result.residual, result.iterations)
    failed = np.flatnonzero(~result.converged)
    if len(failed):
        raise ConvergenceError(
            f"no corrected nudged phase found for {len(failed)} of {len(x0)} samples (first: sample {failed[0]}); "
            "use a smaller β"
        )
    moved = result.x - x0
    v = model.t_free * moved[:, model.gather] if model.plan.size else np.zeros_like(free.voltages)
    pairs = free.circuit.output_pairs
    return *spread(model, moved), v[:, pairs[:, 0]] - v[:, pairs[:, 1]]


def _asymmetry(system: System, x0: Array) -> tuple[sp.csr_array, Array]:
    """Return J₀ᵀ − J₀: the part (n, n) of the linear elements, and the changing entries (B, S)."""
    model = system.model
    slots, size = model.slots, max(model.plan.size, 1)
    linear = sp.csr_array(model.linear_matrix)
    slopes = system.evaluate(x0).slopes
    mirror = np.searchsorted(slots.rows * size + slots.columns, slots.columns * size + slots.rows)
    backward = slots.values(_reciprocal_as_they_are(model, slopes))[:, mirror]
    return sp.csr_array(linear.T - linear), backward - slots.values(slopes)


def _reciprocal_as_they_are(model: Model, slopes: Array) -> Array:
    """Return the slopes with the blocks of reciprocal multi-ports transposed, so that J₀ᵀ has them as they are.

    Their equations are symmetric once the branch current is eliminated. Transposed, they would only rename it,
    but an ideal diode tells by its current whether it conducts.
    """
    out, start = slopes.copy(), len(model.junction_pins)
    for b in model.nonlinear_multiports:
        bank = model.circuit.banks[b]
        length = len(bank.device.pins) + bank.device.branches
        end = start + bank.size * length * length
        if bank.device.reciprocal and not bank.trainable and issubclass(bank.device, MultiPort):
            block = slopes[:, start:end].reshape(-1, bank.size, length, length)
            out[:, start:end] = block.swapaxes(2, 3).reshape(len(slopes), -1)
        start = end
    return out


def _nudge_map(model: Model) -> sp.csr_array:
    """Return the map (S, O·O) from the nudge's slopes to changing entries, for currents that count as ∂C/∂x."""
    circuit = model.circuit

    def build() -> sp.csr_array:
        slots, size = model.slots, max(model.plan.size, 1)
        outs = circuit.output_pairs
        number = len(outs)
        first, second = np.divmod(np.arange(number * number), max(number, 1))
        u, t, code = model.plan.unknown[outs], model.t[outs], slots.rows * size + slots.columns
        rows, columns, data = [], [], []
        for a, b, sign in ((0, 0, 1.0), (0, 1, -1.0), (1, 0, -1.0), (1, 1, 1.0)):
            row, column = u[first, a], u[second, b]
            keep = np.flatnonzero((row >= 0) & (column >= 0))
            rows.append(np.searchsorted(code, row[keep] * size + column[keep]))
            columns.append(keep)
            data.append(sign * t[first[keep], a] * t[second[keep], b])
        triple = (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns)))
        return sp.csr_array(sp.coo_array(triple, shape=(len(code), number * number)))

    return circuit.reuse("corrected_nudge", circuit.constraint_banks, build)
