"""How well voltages from elsewhere satisfy Kirchhoff's laws, by our own device laws.

A foreign simulator gives voltages; the branch currents of multi-port devices (E and H sources, ammeters,
ideal diodes) are unknown, but every law is linear in them, so those that fit best are found by least squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from analogep.circuit import Bank, Circuit
from analogep.devices import IdealDiode, MultiPort
from analogep.solve import Nudge
from analogep.solve.equations.model import Model, model_for
from analogep.solve.equations.system import System, node_currents

Array = NDArray[np.float64]

VOLTAGE_SLACK = 1e-8
"""Allowed error [V], per volt in the circuit above 1 V.

A residual of G · 1e-8 V at a node of conductance G is what an error of about 1e-8 V there produces. ngspice
stops when its last Newton step is below 1e-9 of the voltage (1e-6 at worst, see ``engine``), and the error
left after a step s near a junction is s²/(2 nV_T) or less: below 1e-8 V for steps below 1e-6 · 10 V. A wrong
element, a wrong source or a stale result misses it by orders of magnitude.
"""

_CURRENT_FLOOR = 1e-15  # ngspice's own absolute tolerance [A]
_BRANCH_SLACK = 1e-9  # of the branch currents themselves: their rounding, and that of what they sum
_DENSE = 300


@dataclass(frozen=True)
class Check:
    """Outcome for a batch.

    Attributes
    ----------
    residual
        Largest current by which Kirchhoff's law is missed at any unknown, (B,) [A].
    excess
        Largest ratio of a violation (of Kirchhoff's law, a source's or a branch's equation) to what is
        allowed for it, (B,); a result with a ratio above 1 is refused.
    worst
        Where that is, for messages, per sample.
    branches
        Branch currents (B, E, K) [A] of multi-port banks, by bank index.
    """

    residual: Array
    excess: Array
    worst: tuple[str, ...]
    branches: dict[int, Array]


def check(circuit: Circuit, inputs: Array, nudge: Nudge | None, voltages: Array) -> Check:
    """Check node voltages (B, N) [V] for inputs (B, I) [V] and a nudge; see :class:`Check`."""
    model = model_for(circuit)
    scale = np.maximum(1.0, np.abs(voltages).max(axis=1, initial=0.0))
    branches, branch_excess = _branch_currents(model, nudge, inputs, voltages, scale)
    rows, bound = _rows(model, nudge, inputs, voltages, scale, branches)
    count = len(model.plan.nodes)
    excess = np.zeros((len(voltages), count + len(circuit.nodes) + 1))
    excess[:, :count] = np.abs(rows) / bound
    excess[:, count:-1] = _tree_violation(model, inputs, voltages) / (VOLTAGE_SLACK * scale[:, None])
    excess[:, -1] = branch_excess
    where = np.argmax(excess, axis=1)
    worst = tuple(_place(model, int(k), count) for k in where)
    residual = np.abs(rows).max(axis=1, initial=0.0)
    return Check(residual, excess.max(axis=1), worst, branches)


def _place(model: Model, k: int, count: int) -> str:
    nodes = model.circuit.nodes
    if k < count:
        return f"Kirchhoff's current law at node {nodes[model.plan.nodes[k]]}"
    if k < count + len(nodes):
        return f"the source, amplifier or input that fixes node {nodes[k - count]}"
    return "the law of a controlled source or ideal diode"


def _tree_violation(model: Model, inputs: Array, voltages: Array) -> Array:
    """Return by how much each node misses what sources and amplifiers make of its root, (B, N) [V]."""
    root = model.plan.elimination.root
    fixed = voltages.copy()
    fixed[:, 0] = 0.0
    fixed[:, model.circuit.input_nodes] = inputs
    violation: Array = np.abs(voltages - (model.t * fixed[:, root] + model.c))
    return violation / np.maximum(1.0, np.abs(model.t))


def _nodal(model: Model, nudge: Nudge | None, voltages: Array, branches: dict[int, Array] | None) -> Array:
    """Return the residual rows of the nodes, (B, n) [A]."""
    circuit = model.circuit
    currents = node_currents(circuit, voltages, branches)
    if nudge is not None:
        pairs = circuit.output_pairs
        i, _ = nudge.evaluate(voltages[:, pairs[:, 0]] - voltages[:, pairs[:, 1]])
        i = np.broadcast_to(i, (len(voltages), len(pairs)))
        np.add.at(currents.T, pairs[:, 0], i.T)
        np.add.at(currents.T, pairs[:, 1], -i.T)
    return model.reduce_currents(currents)[:, : len(model.plan.nodes)]


def _rows(
    model: Model,
    nudge: Nudge | None,
    inputs: Array,
    voltages: Array,
    scale: Array,
    branches: dict[int, Array],
) -> tuple[Array, Array]:
    """Return the nodes' residual rows and what is allowed for each, (B, n) [A]."""
    rows = _nodal(model, nudge, voltages, branches)
    allowed = VOLTAGE_SLACK * scale[:, None] * _conductance(model, nudge, inputs, voltages)
    through = np.zeros_like(voltages)
    for b, currents in branches.items():
        bank = model.circuit.banks[b]
        if currents.shape[2]:
            size = np.abs(currents).sum(axis=2)
            for pin in range(bank.pins.shape[1]):
                np.add.at(through.T, bank.pins[:, pin], size.T)
    folded = np.abs(model.reduce_currents(through)[:, : rows.shape[1]])
    bound: Array = allowed + _BRANCH_SLACK * folded + _CURRENT_FLOOR
    return rows, bound


def _conductance(model: Model, nudge: Nudge | None, inputs: Array, voltages: Array) -> Array:
    """Return the sum of the magnitudes of each node's row of the Jacobian, (B, n) [S]."""
    system = System(model.circuit, inputs, nudge)
    count = len(model.plan.nodes)
    with np.errstate(over="ignore", invalid="ignore"):
        evaluation = system.evaluate(model.reduce_voltages(voltages))
    matrix = model.linear_matrix
    magnitude = np.asarray(abs(matrix[:count, :count]).sum(axis=1)).ravel()
    slots = model.slots
    entries = np.abs(slots.values(evaluation.slopes))
    out = np.broadcast_to(magnitude, (len(voltages), count)).copy()
    own = np.flatnonzero((slots.rows < count) & (slots.columns < count))
    np.add.at(out.T, slots.rows[own], entries[:, own].T)
    return out


# --- branch currents -----------------------------------------------------------------------------------


def _branch_currents(
    model: Model, nudge: Nudge | None, inputs: Array, voltages: Array, scale: Array
) -> tuple[dict[int, Array], Array]:
    """Return the best branch currents by bank, and the worst ratio of branch laws to their slack, (B,)."""
    circuit, plan = model.circuit, model.plan
    batch, count = len(voltages), len(plan.nodes)
    banks = [b for b in plan.multiport_banks if circuit.banks[b].device.branches]
    out = {b: np.zeros((batch, circuit.banks[b].size, circuit.banks[b].device.branches)) for b in banks}
    worst = np.zeros(batch)
    if not banks:
        return out, worst
    start = _nodal(model, nudge, voltages, out)
    # Rows in volts, but not too far apart: nodes between sources and ammeters have no conductance at all.
    conductance = _conductance(model, nudge, inputs, voltages)
    weight = 1.0 / (conductance + 1e-3 * conductance.max(axis=1, keepdims=True, initial=1e-12))
    for s in range(batch):
        blocks, offsets, columns = [], [], 0
        for b in banks:
            incidence, law, law_offset = _stamps(model, circuit.banks[b], b, voltages[s], scale[s])
            blocks.append((incidence, law))
            offsets.append(law_offset)
            columns += incidence.shape[1]
        nodal = sp.hstack([i for i, _ in blocks], format="csr")
        laws = sp.block_diag([w for _, w in blocks], format="csr")
        left = sp.vstack([sp.diags_array(weight[s]) @ nodal, laws], format="csr")
        law_offset = np.concatenate(offsets)
        right = -np.concatenate([weight[s] * start[s, :count], law_offset])
        currents = _least_squares(left, right)
        at = 0
        for b in banks:
            shape = out[b].shape[1:]
            size = shape[0] * shape[1]
            if circuit.banks[b].device is IdealDiode:  # a current the wrong way is a violation, not a fit
                currents[at : at + size] = np.maximum(currents[at : at + size], 0.0)
            out[b][s] = currents[at : at + size].reshape(shape)
            at += size
        left_over = np.abs(laws @ currents + law_offset)
        worst[s] = left_over.max(initial=0.0) / (VOLTAGE_SLACK * scale[s])
    return out, worst


def _stamps(
    model: Model, bank: Bank, b: int, voltages: Array, scale: float
) -> tuple[sp.csr_array, sp.csr_array, Array]:
    """Return how a bank's branch currents enter the nodes (n, K) and its own laws (K, K), and the laws at 0.

    Laws are divided by the size of their voltage coefficients, so that each reads in volts.
    """
    device = bank.device
    assert issubclass(device, MultiPort)
    pins, extra = bank.pins.shape[1], device.branches
    size = bank.size * extra
    z = np.concatenate([voltages[bank.pins], np.zeros((bank.size, extra))], axis=-1)
    if device is IdealDiode:
        return _ideal_diodes(model, bank, b, z, scale)
    f, jacobian = device.stamp(z, bank.values)
    norm = np.maximum(np.abs(jacobian[:, pins:, :pins]).sum(axis=2), 1e-30)
    local = model.plan.local_unknowns(model.circuit, b)[:, :pins]
    element, pin, branch = np.nonzero(jacobian[:, :pins, pins:])
    unknown, weight = local[element, pin], model.w[bank.pins[element, pin]]
    keep = unknown >= 0
    incidence = sp.coo_array(
        (
            (weight * jacobian[element, pin, pins + branch])[keep],
            (unknown[keep], (element * extra + branch)[keep]),
        ),
        shape=(len(model.plan.nodes), size),
    )
    element, row, branch = np.nonzero(jacobian[:, pins:, pins:])
    law = sp.coo_array(
        (
            jacobian[element, pins + row, pins + branch] / norm[element, row],
            (element * extra + row, element * extra + branch),
        ),
        shape=(size, size),
    )
    return incidence.tocsr(), law.tocsr(), (f[:, pins:] / norm).ravel()


def _ideal_diodes(
    model: Model, bank: Bank, b: int, z: Array, scale: float
) -> tuple[sp.csr_array, sp.csr_array, Array]:
    """Return the stamps of ideal diodes: clearly below threshold they carry nothing, else any current."""
    beyond = z[:, 0] - z[:, 1] - bank.values["threshold"]
    open_ = beyond < -VOLTAGE_SLACK * scale
    size = bank.size
    local = model.plan.local_unknowns(model.circuit, b)[:, :2]
    rows, columns, data = [], [], []
    for pin, sign in ((0, 1.0), (1, -1.0)):
        keep = np.flatnonzero((local[:, pin] >= 0) & ~open_)
        rows.append(local[keep, pin])
        columns.append(keep)
        data.append(sign * model.w[bank.pins[keep, pin]])
    incidence = sp.coo_array(
        (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))),
        shape=(len(model.plan.nodes), size),
    )
    law = sp.diags_array(np.where(open_, 1.0, 0.0), format="csr")
    return incidence.tocsr(), law, np.where(open_, 0.0, np.maximum(beyond, 0.0))


def _least_squares(left: sp.csr_array, right: Array) -> Array:
    """Return the x that minimises |left x - right|, with columns scaled alike (they span decades)."""
    norm = np.sqrt((left.multiply(left)).sum(axis=0))
    norm = np.where(norm > 0, norm, 1.0)
    scaled = left @ sp.diags_array(1.0 / norm)
    if left.shape[1] <= _DENSE:
        dense = scaled.toarray()
        y = np.linalg.lstsq(dense, right, rcond=None)[0]
        y = y + np.linalg.lstsq(dense, right - dense @ y, rcond=None)[0]  # one step of refinement
    else:
        y = spl.lsmr(scaled, right, atol=1e-15, btol=1e-15, maxiter=20 * left.shape[1])[0]
    solution: Array = y / norm
    return solution
