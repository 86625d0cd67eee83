"""Where a transient with ``uic`` starts: voltages of ``.ic``, and ``ic=`` of capacitors and inductors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from analogep.circuit import Circuit
from analogep.devices import Inductor
from analogep.solve.time.trajectory import Stored


def initial_state(circuit: Circuit, nodes: Mapping[str, float], stored: Mapping[str, float]) -> Stored:
    """Return what elements hold at time zero, as ngspice has it.

    An element holds what its own ``ic=`` says, else what the voltages of ``.ic`` give, in which every other node,
    those of sources too, is at zero.

    Parameters
    ----------
    nodes
        Voltages [V] of ``.ic``, by node.
    stored
        Voltages [V] of capacitors and currents [A] of inductors, by element.
    """
    voltages = np.zeros((1, len(circuit.nodes)))
    voltages[0, [circuit.node(name) for name in nodes]] = list(nodes.values())
    across, branches = {}, {}
    for b, bank in enumerate(circuit.banks):
        own = np.array([stored.get(name, np.nan) for name in bank.names])
        if bank.device is Inductor:
            branches[b] = np.nan_to_num(own)[None, :, None]
        elif not np.isnan(own).all():
            across[b] = own
    return Stored(voltages, across, branches)
