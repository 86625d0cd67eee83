"""Shared by the tests of Newton's method: small graphs, the tangent at a solution and its uncertainty."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np

from analogep.circuit import Bank, Circuit, Crossbar, resistor_bank
from analogep.constants import thermal_voltage
from analogep.devices import Device, Diode, Resistor
from analogep.solve import NewtonOptions, Nudge, Solution, operating_point
from analogep.solve.equations.system import System
from analogep.solve.newton.newton import residual_bound

EPS = float(np.finfo(float).eps)
VT = thermal_voltage()

Experiment = tuple[Circuit, np.ndarray]
Edge = tuple[str, str, Device]


def graph(
    *edges: Edge, inputs: tuple[str, ...] = (), outputs: tuple[Any, ...] = (), trainable: bool = False
) -> Circuit:
    g = nx.MultiDiGraph()
    for a, b, device in edges:
        g.add_edge(a, b, device=device, trainable=trainable and isinstance(device, Resistor))
    return Circuit.from_graph(g, inputs=inputs, outputs=outputs)


def ohms(a: str, b: str, resistance: float) -> Edge:
    return (a, b, Resistor.from_resistance(resistance))


def solve(circuit: Circuit, inputs: Any = None, nudge: Nudge | None = None, **options: Any) -> Solution:
    return operating_point(circuit, inputs, nudge, method="newton", **options)


def volt(solution: Solution, node: str) -> float:
    (value,) = solution.voltage(node)
    return float(value)


# --- tools: the tangent at a solution, and how well the solution is known ----------------------------------


class Tangent:
    """Jacobian, residual and bound at a solution, assembled densely."""

    def __init__(self, solution: Solution, inputs: np.ndarray, nudge: Nudge | None = None) -> None:
        self.system = System(solution.circuit, inputs, nudge)
        self.model = model = self.system.model
        self.x = model.reduce_voltages(solution.voltages)
        for b, start in model.plan.branch_start.items():
            branches = solution.branches[b].reshape(len(self.x), -1)
            self.x[:, start : start + branches.shape[1]] = branches
        ev = self.system.evaluate(self.x)
        entries = model.slots.values(ev.slopes)
        self.residual = ev.residual
        self.bound = residual_bound(model, self.x, ev, entries, NewtonOptions())
        self.jacobian = self.assemble(entries)

    def assemble(self, entries: np.ndarray) -> np.ndarray:
        linear = self.model.linear_matrix
        dense = linear if self.model.dense else linear.toarray()  # type: ignore[union-attr]
        jacobian = np.repeat(dense[None], len(entries), axis=0)
        jacobian[:, self.model.slots.rows, self.model.slots.columns] += entries
        return jacobian

    def uncertainty(self) -> np.ndarray:
        """Error of the node voltages, (B, N) [V]: the residual and its rounding, through the inverse.

        Rounding is 64 EPS of what :func:`residual_bound` takes 1e-11 of.
        """
        if not self.model.plan.size:
            return EPS * (1.0 + np.abs(self.system.known))
        rounding = 64 * EPS / 1e-11 * self.bound
        inverse = np.abs(np.linalg.inv(self.jacobian))
        error = (inverse @ (np.abs(self.residual) + rounding)[..., None])[..., 0]
        nodes = np.abs(self.model.t_free) * error[:, self.model.gather]
        return nodes + 8 * EPS * (1.0 + np.abs(self.system.known))


def known_to(solution: Solution, inputs: np.ndarray, nudge: Nudge | None = None) -> np.ndarray:
    return Tangent(solution, inputs, nudge).uncertainty()


def layered_circuit(rng: np.random.Generator) -> Circuit:
    """Four inputs, five hidden nodes with two diodes each, two outputs (one pair); weights near 1e-4 S."""
    nodes = ("0", *(f"x{i}" for i in range(4)), *(f"h{i}" for i in range(5)), "y0", "y1")
    diode = {key: np.full(10, value) for key, value in Diode().values.items()}
    pins = [[h, 0] for h in range(5, 10)] + [[0, h] for h in range(5, 10)]
    return Circuit(
        nodes,
        (
            Bank("D", Diode, np.array(pins), diode, tuple(f"d{k}" for k in range(10))),
            resistor_bank("L", [[10, 0], [11, 0]], rng.uniform(5e-5, 2e-4, 2), ["l0", "l1"], trainable=True),
        ),
        (
            Crossbar("W1", np.arange(1, 5), np.arange(5, 10), rng.uniform(1e-5, 2e-4, (4, 5))),
            Crossbar("W2", np.arange(5, 10), np.array([10, 11]), rng.uniform(1e-5, 2e-4, (5, 2))),
        ),
        np.arange(1, 5),
        np.array([[10, 0], [10, 11]]),
    )
