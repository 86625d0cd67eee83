"""Currents of sources and amplifiers, and the power that each part of a solved circuit takes.

Solvers eliminate independent voltage sources, amplifiers and inputs, so that their currents are no unknowns.
They follow from Kirchhoff's current law: what leaves a node through all other elements, the constraint that fixes
the node delivers. Constraints form a forest, which is walked from its leaves to its roots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit, Crossbar
from analogep.solve.equations.plan import plan_for
from analogep.solve.equations.stamps import crossbar_currents, scatter_add
from analogep.solve.equations.system import node_currents, pin_currents
from analogep.solve.nudge import Nudge

Array = NDArray[np.float64]


class Solved(Protocol):
    """What is known of a solved circuit; see :class:`~analogep.solve.answers.solution.Solution`."""

    @property
    def circuit(self) -> Circuit: ...  # noqa: D102
    @property
    def voltages(self) -> Array: ...  # noqa: D102
    @property
    def branches(self) -> Mapping[int, Array]: ...  # noqa: D102
    @property
    def states(self) -> Mapping[int, Mapping[str, Array]]: ...  # noqa: D102
    @property
    def nudge(self) -> Nudge | None: ...  # noqa: D102
    @property
    def outputs(self) -> Array: ...  # noqa: D102


INPUTS, NUDGE = "(inputs)", "(nudge)"
"""Names, in tables of powers, of all clamped inputs together and of the nudge; no bank can have them."""


def constraint_currents(solution: Solved) -> tuple[Mapping[int, Array], Array]:
    """Return what flows through each source and amplifier, and what its surroundings take from each node.

    Returns
    -------
    mapping
        By bank index, the current (B, E, 2) [A] that enters each pin of each element from outside.
    Array
        Current (B, N) [A] that leaves each node, with the currents of what is fixed from it; that of an input
        node is what its source delivers.
    """
    circuit, v = solution.circuit, solution.voltages
    total = node_currents(circuit, v, solution.branches, solution.states)
    through, pairs = nudge_currents(solution), circuit.output_pairs
    scatter_add(total, pairs[:, 0], through)
    scatter_add(total, pairs[:, 1], -through)
    found: dict[int, Array] = {}
    for level in reversed(plan_for(circuit).elimination.levels):
        bank = circuit.banks[level.bank]
        device, e = bank.device, level.elements
        _, back, _ = (a[e] for a in device.law(bank.values))  # type: ignore[attr-defined]
        delivered = total[:, level.node]
        returned = delivered / back if level.reverse else delivered * back
        scatter_add(total, level.source, returned)
        pin = 1 - device.child if level.reverse else device.child  # type: ignore[attr-defined]
        into = found.setdefault(level.bank, np.zeros((len(v), bank.size, 2)))
        into[:, e, pin] = -delivered
        into[:, e, 1 - pin] = returned
    return found, total


def bank_pin_currents(solution: Solved, b: int) -> Array:
    """Return the current (B, E, P) [A] into each pin of a bank's elements, sources and amplifiers included."""
    into = pin_currents(solution.circuit, b, solution.voltages, solution.branches, solution.states)
    return constraint_currents(solution)[0][b] if into is None else into


def nudge_currents(solution: Solved) -> Array:
    """Return the current (B, O) [A] that the nudge takes from the circuit at each output."""
    outputs = solution.outputs
    if solution.nudge is None:
        return np.zeros(outputs.shape)
    out: Array = np.broadcast_to(solution.nudge.evaluate(outputs)[0], outputs.shape)
    return out


def powers(solution: Solved) -> dict[str, Array]:
    """Return the power (B,) [W] that each part of the circuit takes, negative where it delivers.

    The parts are banks and couplings by name, and ``"(inputs)"`` and ``"(nudge)"`` where there are some. By
    Tellegen's theorem their sum is the residual of Kirchhoff's law times the voltages: zero but for rounding.
    """
    circuit, v = solution.circuit, solution.voltages
    held, total = constraint_currents(solution)
    out: dict[str, Array] = {}
    for b, bank in enumerate(circuit.banks):
        at = v[:, bank.pins]
        into = pin_currents(circuit, b, v, solution.branches, solution.states)
        if into is None:
            into = held.get(b, np.zeros((len(v), bank.size, 2)))
        out[bank.name] = (into * at).sum(axis=(1, 2))
    for c in circuit.couplings:
        rows, columns = v[:, c.rows], v[:, c.columns]
        if isinstance(c, Crossbar):
            into_rows, into_columns = crossbar_currents(c.conductance, rows, columns)
            out[c.name] = (rows * into_rows).sum(axis=1) + (columns * into_columns).sum(axis=1)
            continue
        out[c.name] = -np.einsum("bc,bc->b", rows @ c.forward, columns)
        if c.backward is not None:
            out[c.name] = out[c.name] - np.einsum("br,br->b", columns @ c.backward.T, rows)
    inputs = circuit.input_nodes
    if len(inputs):
        out[INPUTS] = -(v[:, inputs] * total[:, inputs]).sum(axis=1)
    if solution.nudge is not None:
        out[NUDGE] = (nudge_currents(solution) * solution.outputs).sum(axis=1)
    return out


def is_independent(circuit: Circuit, part: str) -> bool:
    """Return whether a part of a table of powers is an independent source: an input, the nudge, or a source."""
    banks = {bank.name: bank.device for bank in circuit.banks}
    return banks[part].is_source if part in banks else part in (INPUTS, NUDGE)
