"""Operating points whose nodes are held by conductances far below those around them.

Newton's method stops where Kirchhoff's law is met to rounding, which says little of a group of nodes that 50 S
join and 1e-14 S hold. From there the laws of cuts (:mod:`analogep.solve.linear.spanning`) lead on, as far as
doubles can tell; what they cannot, a warning does.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analogep.errors import LooselyHeldWarning
from analogep.solve.equations.stamps import scatter_add
from analogep.solve.equations.system import System
from analogep.solve.linear.spanning import linear_hold, newton_by_cuts, spanning_cuts
from analogep.solve.newton.newton import NewtonResult
from analogep.solve.stable_points.spectrum import monotone

Array = NDArray[np.float64]

_SPREAD = 1e6
"""Ratio of the largest conductance to one that holds a node from which rounding may be seen."""

_PROBES = 8
_ANOTHER = 0.1  # movement, per volt around, that may lead to another operating point
_UNKNOWN = 1e-7  # uncertainty, per volt around but at least that of one volt, that is told


def tightened(system: System, result: NewtonResult) -> NewtonResult:
    """Return a converged result with loosely held nodes solved for from the laws of cuts.

    Of a large batch a few samples are asked first whether any node is loosely held.

    Warns
    -----
    LooselyHeldWarning
        If rounding leaves a voltage unknown by more than 1e-7 of the largest around.
    """
    model, batch = system.model, len(result.x)
    if not batch or not len(model.plan.nodes) or not model.dense or not _suspect(system, result.x):
        return result
    if batch > _PROBES:
        few = np.linspace(0, batch - 1, _PROBES).astype(np.int64)
        parts = (spanning_cuts(system.select(few[k : k + 1]), result.x[few[k : k + 1]]) for k in range(_PROBES))
        if not any(part.spread >= _SPREAD for part in parts):
            return result
    x, nodes = result.x.copy(), len(model.plan.nodes)
    told: list[tuple[int, int, float]] = []
    for s in range(batch):
        one = system.select(np.array([s]))
        if spanning_cuts(one, x[[s]]).spread < _SPREAD:
            continue
        x[s], open_ = _solved(one, x[[s]])
        scale = max(1.0, float(np.abs(x[s, :nodes]).max()))
        at = int(np.argmax(open_))
        if not open_[at] <= _UNKNOWN * scale:
            told.append((s, at, float(open_[at])))
    if told:
        sample, at, most = max(told, key=lambda found: found[2])
        node = model.circuit.nodes[model.plan.nodes[at]]
        warnings.warn(
            f"{len(told)} of {batch} samples have nodes that next to nothing holds: of v({node}) in sample "
            f"{sample} rounding leaves {most:.2g} V unknown. Give the node a path to ground or to a source whose "
            "conductance is not so far below those around it",
            LooselyHeldWarning,
            stacklevel=4,
        )
    return replace(result, x=x)


def _suspect(system: System, x: Array) -> bool:
    """Return whether resistors, or one-ports to known voltages, may hold some node by far too little.

    Cheap: what holds each node for certain, against the largest conductance.
    """
    model, hold = system.model, linear_hold(system.model)
    nodes = len(model.plan.nodes)
    largest = float(model.linear_diagonal[:nodes].max(initial=0.0))
    if len(model.junction_pins):
        _, slopes = system.junction_currents(model.junction_voltages(system.voltages(x)))
        largest = max(largest, float(slopes.max(initial=0.0)))
        unknown = model.plan.unknown[model.junction_pins]
        own = np.zeros((len(x), nodes))
        for pin, other in ((0, 1), (1, 0)):
            alone = (unknown[:, pin] >= 0) & (unknown[:, other] < 0)
            scatter_add(own, unknown[alone, pin], slopes[:, alone])
        hold = max(hold, float(own.min(initial=np.inf)))
    return hold * _SPREAD <= largest


def _solved(system: System, x: Array) -> tuple[Array, Array]:
    """Return the unknowns (n,) of one sample from x (1, n), and how far its nodes are unknown (n,) [V]."""
    nodes = len(system.model.plan.nodes)
    end, still, _ = newton_by_cuts(system, x)
    open_: Array = spanning_cuts(system, end).uncertainty()[:nodes]
    moved = np.abs(end - x)[0, :nodes]
    near = moved.max() <= _ANOTHER * max(1.0, float(np.abs(end[0, :nodes]).max()))
    if still and (near or monotone(system.model.circuit)):
        return end[0], open_
    return x[0], np.fmax(np.where(np.isfinite(moved), moved, np.inf), open_)
