"""A single crossbar with loads: the smallest linear network."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from analogep.circuit import Circuit, Crossbar, resistor_bank
from analogep.errors import CircuitError, Fault
from analogep.kinds import checked


@checked(CircuitError)
def crossbar(conductance: ArrayLike, load: float | ArrayLike = 1e-4, *, trainable: bool = True) -> Circuit:
    """Return a crossbar whose word lines are inputs and whose bit lines are loaded outputs.

    Parameters
    ----------
    conductance
        Conductances (R, C) [S] between word line r and bit line c.
    load
        Conductance [S] from each bit line to ground, a number or (C,).
    trainable
        Whether learning may change the crossbar.

    Returns
    -------
    Circuit
        Inputs ``x0 … x{R−1}``, outputs ``y0 … y{C−1}``; the parameter block is ``"W1.conductance"``. In each
        bit line v_c = Σ_r g_rc v_r / (load_c + Σ_r g_rc).

    Raises
    ------
    CircuitError
        If ``conductance`` is not a matrix, or a value is negative or not finite.
    """
    g = np.array(conductance, dtype=float)
    if g.ndim != 2 or not g.size:
        raise CircuitError("crossbar", [Fault("conductance", f"shape {g.shape}; give a matrix (rows, columns)")])
    rows, columns = g.shape
    try:
        loads_of = np.broadcast_to(np.asarray(load, dtype=float), columns)
    except ValueError:
        message = f"shape {np.shape(load)}; give one conductance, or one for each of the {columns} bit lines"
        raise CircuitError("crossbar", [Fault("load", message)]) from None
    nodes = ("0", *(f"x{i}" for i in range(rows)), *(f"y{k}" for k in range(columns)))
    row_nodes, column_nodes = 1 + np.arange(rows), 1 + rows + np.arange(columns)
    loads = resistor_bank(
        "load",
        np.stack([column_nodes, np.zeros(columns, np.int64)], axis=1),
        loads_of,
        [f"load{k}" for k in range(columns)],
    )
    return Circuit(
        nodes,
        (loads,),
        (Crossbar("W1", row_nodes, column_nodes, g, trainable),),
        row_nodes,
        np.stack([column_nodes, np.zeros(columns, np.int64)], axis=1),
    )
