"""Gradient rules against the adjoint on random circuits of eight kinds.

Run: python experiments/audit.py [--circuits 50] [--seed 0]

In every parameter block of every circuit: equilibrium propagation (the non-reciprocal rule where the circuit
has no energy) against the adjoint, and the adjoint against finite differences, extrapolated from two steps.
Beside them, the uncorrected vector-field rule where the circuit has no energy; where it has one, the exponent
with which the error of the holomorphic rule falls with its radius. The nudge is what `suggest_beta` says for
each circuit. Every block that misses a target is listed below the table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import NMOS, VCCS, VCVS, CurrentSource, Diode, Resistor, SinhResistor
from analogep.learning import Adjoint, AuditRow, FiniteDifference, HolomorphicEP, audit, energy_scale
from analogep.learning.audit import compare_blocks
from analogep.learning.beta import CONVEX_FRACTION, neuron_limit
from analogep.learning.rules.base import NativeSolver
from analogep.networks import deep_resistive, disordered, glorot, hopfield, lattice, uniform

Array = NDArray[np.float64]
Generator = np.random.Generator
COSINE, SCALE, DIFFERENCES = 0.9999, 0.01, 1e-6
"""Targets: least cosine, largest deviation of the scale, largest relative error to finite differences."""

SOLVER = NativeSolver("newton")
POINTS = (2, 3, 4)
RADII = (2.0, 4.0, 8.0)
"""Radii of the holomorphic fit, in suggested β: junctions move by 4 to 16 % of their nV_T."""


def layered(rng: Generator, amplifier: tuple[float, float] | None = None) -> Circuit:
    """One or two hidden layers with Shockley diodes, biases as lines or currents."""
    hidden = [int(n) for n in rng.integers(3, 7, rng.integers(1, 3))]
    circuit = deep_resistive(
        [3, *hidden, 2],
        hidden=("pair", "split")[rng.integers(2)],
        diode=Diode(saturation_current=10.0 ** rng.uniform(-12, -8), emission=rng.uniform(1.0, 2.0)),
        rails=(-0.2, 0.2),
        amplifier=amplifier,
        bias=("lines", "current")[rng.integers(2)],
        paired_outputs=bool(rng.integers(2)),
        initial=uniform(1e-5, 1e-3),
        rng=rng,
    )
    return with_biases(circuit, 1e-4, rng)


def with_biases(circuit: Circuit, most: float, rng: Generator) -> Circuit:
    """Draw the trainable currents from ±``most`` [A]: zeros leave finite differences no scale."""
    biases = {key: value for key, value in circuit.parameters.items() if key.endswith(".amplitude")}
    return circuit.with_parameters({key: rng.uniform(-most, most, value.shape) for key, value in biases.items()})


def memristive_edge(rng: Generator) -> Resistor | SinhResistor:
    return (
        SinhResistor(conductance=1e-4, v0=rng.uniform(0.1, 0.5)) if rng.integers(2) else Resistor(conductance=1e-4)
    )


def square_lattice(rng: Generator) -> Circuit:
    rows, columns = rng.integers(3, 6, 2)
    return lattice(
        int(rows), int(columns), 3, 2, periodic=bool(rng.integers(2)), bias_voltages=(0.3, -0.7),
        edge=memristive_edge(rng), initial=(1e-5, 1e-3), rng=rng,
    )  # fmt: skip


def disordered_graph(rng: Generator) -> Circuit:
    return disordered(
        int(rng.integers(10, 20)), 3, 2, bias_voltages=(0.3, -0.7), edge=memristive_edge(rng),
        initial=(1e-5, 1e-3), rng=rng,
    )  # fmt: skip


def symmetric_neurons(rng: Generator, coupling: str = "symmetric") -> Circuit:
    """Layers of tanh or logistic neurons with random biases."""
    hidden = [int(n) for n in rng.integers(3, 8, rng.integers(1, 3))]
    circuit = hopfield(
        [3, *hidden, 2],
        activation=("tanh", "sigmoid")[rng.integers(2)],
        coupling=coupling,  # type: ignore[arg-type]
        initial=glorot(1e-4, 1.5),
        rng=rng,
    )
    return with_biases(circuit, 3e-5, rng)


def transistors(rng: Generator) -> Circuit:
    """A lattice or a graph of transistors whose gate voltages are trained, or a chain of common-source stages."""
    choice = rng.integers(3)
    edge = NMOS(threshold=0.7, transconductance=1e-4, width=1e-5, length=1e-6, control=("0", "0"))
    if choice == 0:
        return lattice(
            4, 4, 3, 1, periodic=True, paired_outputs=True, bias_voltages=(0.11, 0.33), edge=edge,
            initial=(0.9, 2.0), rng=rng,
        )  # fmt: skip
    if choice == 1:
        return disordered(
            12, 3, 1, paired_outputs=True, bias_voltages=(0.11, 0.33), edge=edge, initial=(0.9, 2.0), rng=rng
        )
    graph = nx.MultiDiGraph()

    def resistor(a: str, b: str, g: float) -> None:
        graph.add_edge(a, b, device=Resistor(conductance=g * rng.uniform(0.5, 2.0)), trainable=True)

    gates = ("x0", "x1", "x2")
    for k, gate in enumerate(gates):
        graph.add_edge("0", f"d{k}", device=CurrentSource(amplitude=1e-4 * rng.uniform(0.8, 1.5)), trainable=True)
        gate_voltage = rng.uniform(-0.1, 0.1)
        card = {"threshold": 0.5, "body_effect": 0.3, "channel_modulation": 0.05, "gate_voltage": gate_voltage}
        device = NMOS(**card, transconductance=1e-4, width=4e-6, control=(f"g{k}", "0"))
        resistor(gate, f"g{k}", 2e-5)
        resistor(f"g{k}", f"d{k}", 3e-6)
        resistor(f"d{k}", "0", 4e-5)
        resistor(f"s{k}", "0", 2e-4)
        resistor(f"d{k}", f"g{(k + 1) % 3}", 1e-5)
        graph.add_edge(f"d{k}", f"s{k}", device=device, trainable=True)
    return Circuit.from_graph(graph, inputs=gates, outputs=["d0", ("d1", "d2")][: int(rng.integers(1, 3))])


def controlled_sources(rng: Generator) -> Circuit:
    """Resistors on a random graph with diodes, controlled currents, and controlled voltages behind resistors."""
    graph, count = nx.MultiDiGraph(), int(rng.integers(5, 9))
    names = [f"n{k}" for k in range(count)]

    def add(a: str, b: str, device: Resistor | VCCS | VCVS | Diode) -> None:
        graph.add_edge(a, b, device=device, trainable=not isinstance(device, Diode))

    def some(number: int) -> list[str]:
        return [names[k] for k in rng.permutation(count)[:number]]

    for k, name in enumerate(names):
        add(
            name,
            f"x{k}" if k < 3 else names[int(rng.integers(k))],
            Resistor(conductance=10 ** rng.uniform(-4, -3)),
        )
        add(name, "0", Resistor(conductance=10 ** rng.uniform(-4, -3)))
    for _ in range(count):
        a, b = some(2)
        add(a, b, Resistor(conductance=10 ** rng.uniform(-5, -3)))
    for a in some(2):
        add(a, "0", Diode(saturation_current=1e-9, emission=1.5))
    for _ in range(int(rng.integers(1, 4))):
        a, b = some(2)
        add(a, "0", VCCS(transconductance=rng.uniform(-3e-4, 3e-4), control=(b, "0")))
    for k in range(int(rng.integers(1, 3))):
        a, b, c = some(3)
        add(f"e{k}", "0", VCVS(gain=rng.uniform(-3.0, 3.0), control=(a, b)))
        add(f"e{k}", c, Resistor(conductance=10 ** rng.uniform(-4, -3.5)))
    return Circuit.from_graph(graph, inputs=["x0", "x1", "x2"], outputs=some(2))


KINDS: dict[str, Callable[[Generator], Circuit]] = {
    "deep resistive": layered,
    "with amplifiers": lambda rng: layered(rng, (4.0, 0.25)),
    "lattice": square_lattice,
    "disordered graph": disordered_graph,
    "Hopfield": symmetric_neurons,
    "two-matrix Hopfield": lambda rng: symmetric_neurons(rng, "both"),
    "transistors": transistors,
    "VCCS and VCVS": controlled_sources,
}


def experiment(kind: str, rng: Generator, samples: int = 4) -> tuple[Circuit, Array, Array]:
    """Return a random circuit of this kind with inputs and targets [V]; transistors keep above ground."""
    circuit = KINDS[kind](rng)
    low, high = (0.0, 0.45) if kind == "transistors" else (-1.0, 1.0)
    stages = kind == "transistors" and "edge.gate_voltage" not in circuit.parameters
    if stages:
        low, high = 0.5, 2.0
    inputs = rng.uniform(low, high, (samples, len(circuit.input_nodes)))
    reach = 0.1 if kind == "transistors" and not stages else 0.5
    return circuit, inputs, rng.uniform(-reach, reach, (samples, len(circuit.output_pairs)))


@dataclass(frozen=True)
class Findings:
    """What one circuit shows: rows of its blocks, and exponents of r in the holomorphic error, by N."""

    kind: str
    name: str
    beta: float
    rule: list[AuditRow]
    vector_field: list[AuditRow]
    differences: list[AuditRow]
    exponents: dict[int, float] = field(default_factory=dict)

    def misses(self) -> list[str]:
        """Return what misses its target."""
        out = [
            f"{row.rule}, {row.block}: cosine {row.cosine:.6f}, scale {row.scale:.5f}"
            for row in self.rule
            if row.cosine < COSINE or abs(row.scale - 1.0) > SCALE
        ]
        out += [
            f"adjoint to finite differences, {row.block}: {row.error:.1e}"
            for row in self.differences
            if not row.error <= DIFFERENCES
        ]
        return out + [
            f"holomorphic N={n}: r^{slope:.2f}" for n, slope in self.exponents.items() if abs(slope - n) > 0.1 * n
        ]


def examine(kind: str, rng: Generator, name: str = "") -> Findings:
    """Return the findings on one random circuit."""
    circuit, inputs, targets = experiment(kind, rng)
    energy = energy_scale(circuit).culprit is None
    rules = ["EP centered"] if energy else ["non-reciprocal EP centered", "vector field EP centered"]
    found = audit(circuit, inputs, targets, rules=rules, solver=SOLVER, fit=False)
    if found.refused:
        raise RuntimeError(f"{kind} {name}: {found.refused}")
    exact = Adjoint().gradient(circuit, inputs, targets, solver=SOLVER)
    halves = [FiniteDifference(step).gradient(circuit, inputs, targets, solver=SOLVER) for step in (1e-4, 2e-4)]
    richardson = {key: (4.0 * halves[0][key] - halves[1][key]) / 3.0 for key in exact}  # the error of h² cancels
    differences = compare_blocks(FiniteDifference(), richardson, richardson, exact.blocks)
    exponents = {}
    for points in POINTS if energy else ():
        # At complex nudges neurons find an equilibrium only while each output node by itself has one.
        radii = min(found.beta, CONVEX_FRACTION * neuron_limit(circuit)) * np.array(RADII)
        errors = []
        for radius in radii:
            estimate = HolomorphicEP(radius, points).gradient(circuit, inputs, targets, solver=SOLVER)
            rows = compare_blocks(HolomorphicEP(radius, points), estimate.blocks, estimate.raw, exact.blocks)
            errors.append(np.sqrt(np.mean([row.error**2 for row in rows])))
        exponents[points] = float(np.polyfit(np.log(radii), np.log(errors), 1)[0])
    rows = [[row for row in found.rows if row.rule == rule] for rule in rules]
    return Findings(kind, name, found.beta, rows[0], [] if energy else rows[1], differences, exponents)


def examine_all(count: int, seed: int) -> list[Findings]:
    """Return the findings on ``count`` circuits, the kinds in turn, each circuit with a generator of its own."""
    kinds = list(KINDS)
    return [examine(kinds[k % len(kinds)], np.random.default_rng([seed, k]), f"circuit {k}") for k in range(count)]


def spread(values: list[float], digits: str) -> str:
    return f"{min(values):{digits}} to {max(values):{digits}}" if values else "–"


def table(all_findings: list[Findings]) -> str:
    """Return the table of all kinds: worst block of all circuits of a kind, and ranges over its circuits."""
    lines = [
        "| kind | circuits, blocks | β [S] | worst cosine | worst scale | adjoint to differences "
        f"| vector field: worst cosine, error | exponents of r for N = {', '.join(map(str, POINTS))} |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        group = [f for f in all_findings if f.kind == kind]
        if not group:
            continue
        rows = [row for f in group for row in f.rule]
        biased = [(min(r.cosine for r in f.vector_field), max(r.error for r in f.vector_field)) for f in group
                  if f.vector_field]  # fmt: skip
        wrong = "–"
        if biased:
            wrong = f"{spread([c for c, _ in biased], '.4f')}, {spread([e for _, e in biased], '.1%')}"
        slopes = [spread([f.exponents[n] for f in group if n in f.exponents], ".2f") for n in POINTS]
        lines.append(
            f"| {kind} | {len(group)}, {len(rows)} | {spread([f.beta for f in group], '.1e')} "
            f"| {min(r.cosine for r in rows):.7f} | {max(rows, key=lambda r: abs(r.scale - 1.0)).scale:.5f} "
            f"| {max(r.error for f in group for r in f.differences):.1e} | {wrong} | {'; '.join(slopes)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--circuits", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.perf_counter()
    all_findings = examine_all(options.circuits, options.seed)
    print(table(all_findings))
    misses = [f"{f.kind}, {f.name}: {miss}" for f in all_findings for miss in f.misses()]
    print(f"{len(all_findings)} circuits, {time.perf_counter() - began:.0f} s; targets missed: {len(misses)}")
    for miss in misses:
        print(f"  {miss}")


if __name__ == "__main__":
    main()
