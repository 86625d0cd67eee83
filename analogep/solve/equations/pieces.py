"""Piecewise linear laws (ideal diodes) among a circuit's multi-ports, and what parts their currents."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from analogep.devices import MultiPort
from analogep.solve.equations.model import Model

_SHARING = 1e-6  # resistance [Ω] in the tangent of ideal diodes: far below what is around them


def sharing(model: Model) -> sp.csr_array | None:
    """Return the small resistances [Ω] that part the currents of ideal diodes, (n, n); ``None`` without any."""
    if not has_pieces(model):
        return None
    marks = np.zeros(model.plan.size)
    for b in model.nonlinear_multiports:
        bank = model.circuit.banks[b]
        if _in_pieces(model, b):
            start = model.plan.branch_start[b]
            marks[start : start + bank.size * bank.device.branches] = _SHARING
    return sp.csr_array(sp.diags_array(marks))


def _in_pieces(model: Model, b: int) -> bool:
    device = model.circuit.banks[b].device
    return issubclass(device, MultiPort) and device.piece is not MultiPort.piece


def has_pieces(model: Model) -> bool:
    """Return whether the circuit has piecewise linear laws."""
    return any(_in_pieces(model, b) for b in model.nonlinear_multiports)
