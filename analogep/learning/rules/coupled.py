"""Coupled and contrastive learning: the second phase clamps the outputs instead of pulling at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Bank, Circuit, Topology
from analogep.devices import VCVS, MultiPort
from analogep.errors import InputError, RuleError
from analogep.kinds import checked
from analogep.learning.costs.base import Cost, OnOutputs, target_array
from analogep.learning.gradient import Gradient, energy_difference, scaled
from analogep.learning.resolution import check_resolved
from analogep.learning.rules.base import NATIVE, SQUARED_ERROR, Inputs, Solver, has_observable
from analogep.learning.scaling import EnergyScale, energy_scale, require_energy
from analogep.solve import Solution
from analogep.solve.equations.plan import plan_for

Array = NDArray[np.float64]
Clamping = Literal["positive", "negative", "centered"]


@checked()
@dataclass(frozen=True)
class CoupledLearning:
    """Coupled learning (Stern, Hexner, Rocks & Liu 2021, section II; the centered form: Scellier et al. 2023).

    The clamped phase holds each output at v_free + η (y − v_free), and [∂E/∂θ(clamped) − ∂E/∂θ(free)]/η is the
    estimate: (1/2η)[(Δv^C)² − (Δv^F)²] for a conductance, so that a step of gradient descent is the paper's
    ġ = (α/2η)[(Δv^F)² − (Δv^C)²]. The negative variant clamps at v_free − η (y − v_free), the centered one
    takes the difference of both over 2η.

    It is not the gradient of the squared error but follows another contrast, E(clamped) − E(free) [W]. For a
    small η each sample's estimate tends to the adjoint for the pull K (o − y) instead of o − y, K being the
    conductance matrix [S] between the outputs at the free equilibrium: parallel to the gradient for one output
    and one sample, and at an angle otherwise. Blocks are in W per unit of θ, not V² per unit, and the scale
    that an audit shows is in siemens.

    Attributes
    ----------
    eta
        How far η the outputs are clamped towards the targets, 0 < η ≤ 1.
    variant
        ``"positive"``, ``"negative"`` or ``"centered"``.
    """

    eta: float = 0.1
    variant: Clamping = "positive"

    def __post_init__(self) -> None:
        if not (0.0 < self.eta <= 1.0):
            raise InputError(f"η = {self.eta:g} must lie in (0, 1]; choose the sign by the variant")
        if self.variant not in get_args(Clamping):
            raise InputError(f"unknown variant {self.variant!r}; use one of {', '.join(get_args(Clamping))}")

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return f"coupled {self.variant}"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate, a mean over the batch; parameters as for ``EquilibriumPropagation.gradient``.

        The cost is only reported. Transistors count with their ``observable``, as in Dillavou et al. 2024.

        Raises
        ------
        RuleError
            If the circuit has no energy and its elements no observable instead, sources hold an output, or the
            targets are not the outputs' own.
        ConvergenceError
            If a phase has no operating point.
        """
        scale = _scale(circuit, self.name)
        if not isinstance(cost, OnOutputs):
            raise RuleError(
                f"{self.name} clamps outputs towards targets of their own, and a {type(cost).__name__} has none; "
                "use EquilibriumPropagation"
            )
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        clamp = clamp_for(circuit, self.name)
        free = solver(circuit, array)
        etas = {"positive": (0.0, self.eta), "negative": (-self.eta, 0.0)}.get(self.variant, (-self.eta, self.eta))
        phases = [
            free if eta == 0.0 else clamp.solve(free, array, free.outputs + eta * (wanted - free.outputs), solver)
            for eta in etas
        ]
        nodes = len(circuit.nodes)
        low, high = (phase.voltages[:, :nodes] for phase in phases)
        pull = cost.gradient(free.outputs, wanted)
        missed = float(np.abs(wanted - free.outputs).max())
        check_resolved(self.name, ("η", self.eta, ""), free, array, pull, high - low, missed)
        raw = {k: d / (etas[1] - etas[0]) for k, d in energy_difference(circuit, low, high).items()}
        return Gradient(
            scaled(circuit, scale, raw),
            raw,
            cost.value(free.outputs, wanted),
            free,
            self.name,
            {"etas": etas, "phases": tuple(phases), "scale_unit": "S"},
        )


@dataclass(frozen=True)
class ContrastiveLearning:
    """Contrastive learning (Movellan 1991): the outputs are clamped at the targets, coupled learning with η = 1.

    Its estimate is the exact gradient of the contrast E(clamped) − E(free) [W], since the clamped voltages do
    not depend on the parameters; see :class:`CoupledLearning` for how that differs from the squared error's.
    """

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return "contrastive"

    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate, a mean over the batch; see :meth:`CoupledLearning.gradient`."""
        found = CoupledLearning(1.0).gradient(circuit, inputs, targets, cost, solver)
        return replace(found, rule=self.name)


def _scale(circuit: Circuit, rule: str) -> EnergyScale:
    """Return the energy's scale, or that of a circuit whose only faults are elements with an observable."""
    banks = [b for b in circuit.banks if issubclass(b.device, MultiPort) and not has_observable(b.device)]
    for bank in banks:
        if bank.trainable:
            raise RuleError(
                f"{rule} has no local observable for {bank.names[0]}, a {bank.device.kind}; use the Adjoint rule"
            )
    scale = energy_scale(circuit)
    odd = [b for b in circuit.banks if not b.device.reciprocal]
    forgiven = (
        odd and all(has_observable(b.device) for b in odd) and all(t.symmetric for t in circuit.transconductances)
    )
    return scale if forgiven else require_energy(circuit, rule)


@dataclass(frozen=True)
class Clamp:
    """A circuit whose outputs are held: its last inputs are the voltages of the outputs.

    Attributes
    ----------
    circuit
        The circuit, whose first nodes are those of the original.
    """

    circuit: Circuit

    def solve(self, free: Solution, inputs: Array, outputs: Array, solver: Solver) -> Solution:
        """Return the operating points with the outputs at (B, O) [V], starting from the free ones."""
        more = len(self.circuit.nodes) - free.voltages.shape[1]
        start = np.concatenate([free.voltages, np.zeros((len(inputs), more))], axis=1)
        held = np.concatenate([inputs, outputs], axis=1)
        start[:, self.circuit.input_nodes] = held
        return solver(self.circuit, held, v0=start)


def clamp_for(circuit: Circuit, rule: str) -> Clamp:
    """Return the circuit with clamped outputs.

    A single-ended output becomes an input. A pair, or an output behind an amplifier or a source, gets an ideal
    source across it that follows one more input node, so that its current is one more unknown.

    Raises
    ------
    RuleError
        If inputs and sources hold an output already.
    """
    if "clamp" not in circuit.derived:
        circuit.derived["clamp"] = _clamp(circuit, rule)
    found: Clamp = circuit.derived["clamp"]
    return found


def _clamp(circuit: Circuit, rule: str) -> Clamp:
    plan, pairs = plan_for(circuit), circuit.output_pairs
    for k, pair in enumerate(pairs):
        if (plan.unknown[pair] < 0).all():
            raise RuleError(
                f"{rule} cannot clamp the output {circuit.outputs[k]}, which inputs and sources hold already; "
                "choose outputs that are free to move"
            )
    plain = (pairs[:, 1] == 0) & (plan.elimination.root[pairs[:, 0]] == pairs[:, 0])
    nodes, banks, held = list(circuit.nodes), circuit.banks, []
    names = _fresh((*circuit.nodes, *(name for b in banks for name in (b.name, *b.names))))
    for k in range(len(pairs)):
        held.append(int(pairs[k, 0]) if plain[k] else len(nodes))
        if not plain[k]:
            nodes.append(next(names))
    across = np.flatnonzero(~plain)
    if len(across):
        control = np.array([held[k] for k in across], np.int64)
        pins = np.stack([pairs[across, 0], pairs[across, 1], control, np.zeros_like(control)], axis=1)
        sources = tuple(next(names) for _ in across)
        banks = (*banks, Bank(next(names), VCVS, pins, {"gain": np.ones(len(across))}, sources))
    shared = circuit.topology.derived
    known = "clamped" in shared
    topology: Topology = shared.setdefault("clamped", Topology())
    clamped = replace(
        circuit,
        nodes=tuple(nodes),
        banks=banks,
        input_nodes=np.concatenate([circuit.input_nodes, np.array(held, np.int64)]),
        topology=topology,
        checked=known,
    )
    return Clamp(clamped)


def _fresh(taken: Iterable[str]) -> Iterator[str]:
    """Return names that nothing has."""
    used = set(taken)
    return (name for k in count() if (name := f"clamp{k}") not in used)
