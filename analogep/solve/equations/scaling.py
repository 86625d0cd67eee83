"""How amplifiers scale the energy, and which circuits have one at all.

With amplifiers Kirchhoff's law derives from E = Σ_e s_e Φ_e, where the scale s changes by B/A across each
bidirectional amplifier. Normalised to 1 at the outputs, s_e is the factor between the raw local estimate of
equilibrium propagation and the true gradient: (A/B)^{L−l} for layer l of L.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import Constraint, MultiPort
from analogep.kinds import checked
from analogep.solve.equations.plan import plan_for

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EnergyScale:
    """Scale of the energy at each node, (N,), 1 at the outputs; NaN at nodes that are fixed.

    ``culprit`` names the element that leaves the circuit without an energy, and why; ``None`` if it has one.
    """

    nodes: Array
    culprit: str | None

    def of_pins(self, pins: NDArray[np.int64]) -> Array:
        """Return the scale (E,) of elements with these pins (E, P); 1 where all pins are fixed."""
        scales = self.nodes[pins]
        known = np.isfinite(scales)
        first = np.argmax(known, axis=1)
        out: Array = np.where(known.any(axis=1), scales[np.arange(len(pins)), first], 1.0)
        return out


@checked()
def energy_scale(circuit: Circuit) -> EnergyScale:
    """Return the energy's scale at every node of ``circuit``."""
    banks = [b for b in circuit.banks if issubclass(b.device, (Constraint, MultiPort))]
    return circuit.reuse("energy_scale", banks, lambda: _energy_scale(circuit))


def _energy_scale(circuit: Circuit) -> EnergyScale:
    plan = plan_for(circuit)
    t, w, _ = circuit.reuse("factors", circuit.constraint_banks, lambda: plan.elimination.factors(circuit))
    count = len(circuit.nodes)
    free = plan.unknown >= 0
    scales = np.full(count, np.nan)
    for bank in circuit.banks:
        if not bank.device.reciprocal:
            return EnergyScale(scales, f"{bank.names[0]} is a {bank.device.kind}, which is not")
    for coupling in circuit.transconductances:
        one_way = not free[coupling.rows].any() or not free[coupling.columns].any()  # the other way does nothing
        if not (coupling.symmetric or one_way):
            return EnergyScale(scales, f"crossbar {coupling.name} has other transconductances back than forth")
    dead = np.flatnonzero(free & ((t == 0.0) | (w == 0.0)))
    if len(dead):
        node = circuit.nodes[int(dead[0])]
        return EnergyScale(scales, f"an amplifier with a gain of zero stands before node {node}")
    relative = np.where(free, w / np.where(t == 0.0, 1.0, t), np.nan)

    groups = _tied_nodes(circuit, free)
    by_node: dict[int, list[int]] = {}
    for g, (_, nodes) in enumerate(groups):
        for n in nodes:
            by_node.setdefault(int(n), []).append(g)
    by_unknown: dict[int, list[int]] = {}
    for n in np.flatnonzero(free):
        by_unknown.setdefault(int(plan.unknown[n]), []).append(int(n))

    origin: dict[int, str] = {}  # the element that gave a node its scale

    def fill(start: int) -> str | None:
        """Give every node that hangs on ``start`` its scale; return the culprit of a contradiction."""
        queue = deque([start])
        scales[start] = 1.0
        seen = set()
        while queue:
            n = queue.popleft()
            for m in by_unknown[int(plan.unknown[n])]:
                value = scales[n] * relative[m] / relative[n]
                if np.isnan(scales[m]):
                    scales[m] = value
                    queue.append(m)
                elif abs(scales[m] / value - 1.0) > 1e-9:
                    name = origin.get(m) or origin.get(n) or f"an element between outputs at {circuit.nodes[m]}"
                    return f"{name} bridges an amplifier whose gains A and B differ"
            for g in by_node.get(n, ()):
                if g in seen:
                    continue
                seen.add(g)
                name, nodes = groups[g]
                for m in nodes:
                    if np.isnan(scales[m]):
                        scales[m] = scales[n]
                        origin[int(m)] = name
                        queue.append(int(m))
                    elif abs(scales[m] / scales[n] - 1.0) > 1e-9:
                        return f"{name} bridges an amplifier whose gains A and B differ"
        return None

    starts = [int(n) for n in circuit.output_pairs.ravel() if free[n]]
    for position, n in enumerate([*starts, *np.flatnonzero(free)]):
        if np.isnan(scales[n]):
            culprit = fill(int(n))
            if culprit is not None:
                return EnergyScale(scales, culprit)
        elif position < len(starts) and abs(scales[n] - 1.0) > 1e-9:
            return EnergyScale(
                scales, f"output {circuit.nodes[n]} lies behind an amplifier that another output precedes"
            )
    return EnergyScale(scales, None)


def _tied_nodes(circuit: Circuit, free: NDArray[np.bool_]) -> list[tuple[str, NDArray[np.int64]]]:
    """Return the sets of free nodes that one element, or one crossbar, holds at one scale."""
    groups: list[tuple[str, NDArray[np.int64]]] = []
    for c in circuit.couplings:
        nodes = np.concatenate([c.rows, c.columns])
        groups.append((f"crossbar {c.name}", nodes[free[nodes]]))
    for bank in circuit.banks:
        if issubclass(bank.device, Constraint):
            continue
        several = free[bank.pins].sum(axis=1) > 1
        groups += [(bank.names[e], bank.pins[e][free[bank.pins[e]]]) for e in np.flatnonzero(several)]
    return groups
