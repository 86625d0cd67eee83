"""A gradient by parameter block, and how circuits turn voltages into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit, Crossbar
from analogep.devices import MultiPort, OnePort
from analogep.kinds import ByValue
from analogep.learning.scaling import EnergyScale
from analogep.solve import Solution
from analogep.solve.equations.plan import plan_for

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gradient(ByValue, Mapping[str, Array]):
    """Mean over the batch of dC/dθ, by parameter block; a mapping from block name to array.

    Attributes
    ----------
    blocks
        dC/dθ with the shapes of ``circuit.parameters``, in V² per SI unit of θ.
    raw
        What each element measures locally, before amplifiers are accounted for; equal to ``blocks`` without
        amplifiers. For rules that do not work locally it is the same as ``blocks``.
    cost
        Cost per sample (B,) [V²] at the free equilibrium.
    free
        The free phase.
    rule
        Name of the rule.
    info
        Further facts of the rule (β, nudged solutions).
    """

    blocks: Mapping[str, Array]
    raw: Mapping[str, Array]
    cost: Array
    free: Solution
    rule: str
    info: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, block: str) -> Array:
        return self.blocks[block]

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)


def energy_difference(circuit: Circuit, low: Array, high: Array) -> dict[str, Array]:
    """Return mean over the batch of ∂E/∂θ(high) − ∂E/∂θ(low) for each trainable block, unscaled.

    A multi-port's part is the difference of its ``observable``, which it must have.

    Parameters
    ----------
    circuit
        The circuit.
    low, high
        Node voltages (B, N) [V] of two phases.

    Notes
    -----
    For a crossbar, ½Δv² of two phases differ by ½(d_r − d_c)(s_r − s_c) with d the difference and s the sum of
    the phases: two matrix products, no array of shape (batch, rows, columns), and no cancellation.
    """
    batch = len(low)
    free = plan_for(circuit).unknown >= 0
    out: dict[str, Array] = {}
    for c in circuit.crossbars:
        if not c.trainable:
            continue
        dr, sr = high[:, c.rows] - low[:, c.rows], high[:, c.rows] + low[:, c.rows]
        dc, sc = high[:, c.columns] - low[:, c.columns], high[:, c.columns] + low[:, c.columns]
        out[f"{c.name}.conductance"] = pair_products(dr, dc, sr, sc) * (0.5 / batch)
    for t in circuit.transconductances:
        if t.trainable:  # E = −Σ W v_r v_c
            dr, sr = high[:, t.rows] - low[:, t.rows], high[:, t.rows] + low[:, t.rows]
            dc, sc = high[:, t.columns] - low[:, t.columns], high[:, t.columns] + low[:, t.columns]
            products = -0.5 * (dr.T @ sc + sr.T @ dc)
            # Without a symmetric matrix one side is fixed: the matrix that drives the fixed side does nothing.
            driven = "backward" if "forward" in t.values and not free[t.columns].any() else "forward"
            for key in t.values:
                idle = not t.symmetric and key != driven
                out[f"{t.name}.{key}"] = np.zeros(products.shape) if idle else products / batch
    for bank in circuit.banks:
        if not bank.trainable:
            continue
        parts = []
        for v in (high, low):
            if issubclass(bank.device, OnePort):
                drop = v[:, bank.pins[:, 0]] - v[:, bank.pins[:, 1]]
                parts.append(bank.device.cocontent_gradient(drop, bank.values))
                continue
            assert issubclass(bank.device, MultiPort)
            seen = bank.device.observable(v[:, bank.pins], bank.values)
            assert seen is not None
            parts.append(seen)
        for key in sorted(bank.trainable):
            out[f"{bank.name}.{key}"] = (parts[0][key] - parts[1][key]).mean(axis=0)
    return out


def pair_products(ar: Array, ac: Array, br: Array, bc: Array) -> Array:
    """Return Σ_batch (a_r − a_c)(b_r − b_c), (R, C), for row values (B, R) and column values (B, C)."""
    out: Array = -(ar.T @ bc)
    out -= br.T @ ac
    out += np.einsum("br,br->r", ar, br)[:, None]
    out += np.einsum("bc,bc->c", ac, bc)[None, :]
    return out


def scaled(circuit: Circuit, scale: EnergyScale, raw: Mapping[str, Array]) -> dict[str, Array]:
    """Return the raw local estimates times the energy's scale at their elements."""
    out: dict[str, Array] = {}
    for c in circuit.couplings:
        if c.trainable:
            nodes = scale.nodes[np.concatenate([c.columns, c.rows])]
            known = nodes[np.isfinite(nodes)]
            for name in ("conductance",) if isinstance(c, Crossbar) else c.values:
                key = f"{c.name}.{name}"
                out[key] = raw[key] * (known[0] if len(known) else 1.0)
    for bank in circuit.banks:
        if bank.trainable:
            factor = scale.of_pins(bank.pins)
            for key in sorted(bank.trainable):
                out[f"{bank.name}.{key}"] = raw[f"{bank.name}.{key}"] * factor
    return out


def adjoint_products(
    circuit: Circuit, free: Solution, lam: Array, branch_lam: dict[int, Array] | None
) -> dict[str, Array]:
    """Return −mean over the batch of λᵀ ∂F/∂θ for each trainable block.

    Parameters
    ----------
    circuit, free
        The circuit and its free equilibrium.
    lam
        Adjoint voltages at the nodes, (B, N).
    branch_lam
        Adjoints of the branch equations (B, E, K) of multi-port banks, by bank index; ``None`` leaves the blocks
        of multi-ports out.
    """
    v, batch = free.voltages, len(free.voltages)
    out: dict[str, Array] = {}
    for c in circuit.crossbars:
        if c.trainable:
            products = pair_products(lam[:, c.rows], lam[:, c.columns], v[:, c.rows], v[:, c.columns])
            out[f"{c.name}.conductance"] = products * (-1.0 / batch)
    for t in circuit.transconductances:
        if t.trainable:
            forth = v[:, t.rows].T @ lam[:, t.columns]
            back = lam[:, t.rows].T @ v[:, t.columns]
            of = {"forward": forth, "backward": back, "transconductance": forth + back}
            out |= {f"{t.name}.{key}": of[key] / batch for key in t.values}
    for b, bank in enumerate(circuit.banks):
        if not bank.trainable:
            continue
        if issubclass(bank.device, OnePort):
            drop = v[:, bank.pins[:, 0]] - v[:, bank.pins[:, 1]]
            lam_drop = lam[:, bank.pins[:, 0]] - lam[:, bank.pins[:, 1]]
            slopes = bank.device.current_gradient(drop, bank.values)
            for key in sorted(bank.trainable):
                out[f"{bank.name}.{key}"] = -(lam_drop * slopes[key]).mean(axis=0)
        elif issubclass(bank.device, MultiPort) and branch_lam is not None:
            z = np.concatenate([v[:, bank.pins], free.branches[b]], axis=-1)
            lam_local = np.concatenate([lam[:, bank.pins], branch_lam[b]], axis=-1)
            slopes = bank.device.stamp_gradient(z, bank.values)
            for key in sorted(bank.trainable):
                out[f"{bank.name}.{key}"] = -(lam_local * slopes[key]).sum(axis=-1).mean(axis=0)
    return out
