"""Where a transient with ``uic`` starts: voltages of ``.ic``, and ``ic=`` of capacitors and inductors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.devices import Inductor
from analogep.errors import InputError
from analogep.solve import Solution

Array = NDArray[np.float64]
_TOLERANCE = 1e-9


def initial_state(
    circuit: Circuit, nodes: Mapping[str, float], stored: Mapping[str, float], inputs: Mapping[str, float]
) -> Solution:
    """Return the state at time zero, as a solution that has not converged.

    Voltages spread from ground, inputs and the nodes of ``.ic`` along voltage sources and capacitors with
    ``ic=``; what they do not reach is at zero, as is a node of every part that hangs together but is not reached.

    Parameters
    ----------
    nodes
        Voltages [V] of ``.ic``, by node.
    stored
        Voltages [V] of capacitors and currents [A] of inductors, by element.
    inputs
        Voltages [V] of input nodes.

    Raises
    ------
    InputError
        If these voltages contradict each other.
    """
    known = {0: 0.0, **{circuit.nodes.index(name): value for name, value in {**nodes, **inputs}.items()}}
    links: dict[int, list[tuple[int, float, str]]] = {}
    branches: dict[int, Array] = {}
    for b, bank in enumerate(circuit.banks):
        if bank.device is Inductor:
            branches[b] = np.array([[[stored.get(name, 0.0)] for name in bank.names]])
        for e, name in enumerate(bank.names):
            if bank.device.kind == "voltage_source":
                wave = circuit.waveforms.get(name)
                value = float(bank.values["voltage"][e]) if wave is None else float(wave.value(0.0))
            elif bank.device.kind == "capacitor" and name in stored:
                value = stored[name]
            else:
                continue
            p, n = bank.pins[e].tolist()
            links.setdefault(p, []).append((n, -value, name))
            links.setdefault(n, []).append((p, value, name))
    for root in [*known, *links]:
        known.setdefault(root, 0.0)
        waiting = [root]
        while waiting:
            here = waiting.pop()
            for there, difference, name in links.pop(here, []):
                voltage = known[here] + difference
                if there not in known:
                    known[there] = voltage
                    waiting.append(there)
                elif abs(known[there] - voltage) > _TOLERANCE * max(1.0, abs(voltage)):
                    raise InputError(
                        f"initial voltages contradict each other at {name}: node {circuit.nodes[there]} would be "
                        f"at {known[there]:g} V and {voltage:g} V; change an ic= or .ic"
                    )
    voltages = np.zeros((1, len(circuit.nodes)))
    voltages[0, list(known)] = list(known.values())
    none = np.zeros(1)
    return Solution(circuit, voltages, none > 0, none, none.astype(np.int64), "initial conditions", 0.0, branches)
