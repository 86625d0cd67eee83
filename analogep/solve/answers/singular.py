"""Why a circuit has no unique solution: the unknowns that its equations leave open, and the elements around.

A vector y with J y = 0 is a change of voltages and currents that no equation notices. The unknowns with weight
in it are what to name: floating nodes, or the branch currents of sources, inductors and ideal diodes that fix
the same voltage twice.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
from numpy.typing import NDArray

from analogep.solve.equations.model import Model
from analogep.solve.equations.system import System

Array = NDArray[np.float64]

_SINGULAR = 1e-13
"""Singular value, relative to the largest of the equilibrated Jacobian, that counts as zero."""

_SHARE = 0.1
"""Weight in the null vector, relative to the largest, from which an unknown is named."""

_DENSE = 400
_NAMED = 8


def undetermined(system: System, x: Array) -> str:
    """Return a sentence that names what the equations leave open at x (n,) and a remedy; empty if nothing.

    Parameters
    ----------
    system
        The system of the one sample.
    x
        Unknowns at which the last run ended; rest is taken instead where they are not finite.
    """
    model = system.model
    at = x[None] if np.isfinite(x).all() else np.zeros((1, len(x)))
    with np.errstate(all="ignore"):
        jacobian = _jacobian(model, system, at)
        if not np.isfinite(jacobian.data).all():
            jacobian = _jacobian(model, system, np.zeros_like(at))
        if not np.isfinite(jacobian.data).all():
            return ""  # some law has no value at all, which is another fault
        vector = _null_vector(jacobian)
    if vector is None:
        return ""
    weight = np.abs(vector)
    chosen = np.flatnonzero(weight >= _SHARE * weight.max())
    nodes, elements = _names(model, chosen[np.argsort(-weight[chosen], kind="stable")])
    if elements:
        what = f"the current of {_list(elements)}" + (f" and the voltage of {_list(nodes)}" if nodes else "")
        remedy = f"put a resistor in series with {elements[0]}, or remove one element of its loop"
    else:
        what = f"the voltage of node {_list(nodes)}"
        remedy = f"connect {nodes[0]} to ground by a resistor, or check the gains of the sources it controls"
    return f"The equations are singular and leave open {what}: {remedy}. "


def _jacobian(model: Model, system: System, x: Array) -> sp.csr_array:
    slots = model.slots
    entries = slots.values(system.evaluate(x).slopes)[0]
    shape = (model.plan.size,) * 2
    changing = sp.csr_array(sp.coo_array((entries, (slots.rows, slots.columns)), shape=shape))
    return sp.csr_array(sp.csr_array(model.linear_matrix) + changing)


def _null_vector(jacobian: sp.csr_array) -> Array | None:
    """Return the right null vector of the equilibrated Jacobian, or ``None`` if it is regular."""
    size = jacobian.shape[0]
    if not size:
        return None
    matrix = jacobian
    for _ in range(5):  # rows and columns in volts, amperes and siemens become comparable
        for axis in (1, 0):
            peak = np.sqrt(np.asarray(abs(matrix).max(axis=axis).todense()).ravel())
            scale = sp.diags_array(1.0 / np.where(peak > 0, peak, 1.0))
            matrix = sp.csr_array(scale @ matrix if axis == 1 else matrix @ scale)
    if size <= _DENSE:
        _, values, right = np.linalg.svd(matrix.toarray())
        return np.asarray(right[-1]) if values[-1] <= _SINGULAR * max(values[0], 1e-300) else None
    shift = 1e-14 * float(spl.norm(matrix))
    factor = spl.splu(sp.csc_array(matrix + shift * sp.eye_array(size)))
    vector = np.random.default_rng(0).standard_normal(size)
    for _ in range(4):  # inverse iteration on JᵀJ
        vector = factor.solve(factor.solve(vector, trans="T"))
        vector /= np.linalg.norm(vector)
    small = float(np.linalg.norm(matrix @ vector)) <= 10.0 * shift
    return vector if small else None


def _names(model: Model, unknowns: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """Return the names of the nodes, and of the elements with branch currents, among the unknowns."""
    circuit, plan = model.circuit, model.plan
    nodes, elements = [], []
    for k in unknowns:
        if k < len(plan.nodes):
            nodes.append(circuit.nodes[plan.nodes[k]])
            continue
        for b, start in plan.branch_start.items():
            bank = circuit.banks[b]
            if start <= k < start + bank.size * bank.device.branches:
                elements.append(bank.names[(k - start) // bank.device.branches])
    return nodes, list(dict.fromkeys(elements))


def _list(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
