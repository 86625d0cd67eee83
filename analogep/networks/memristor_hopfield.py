"""A Hopfield network of memristor pairs: weights G⁺ − G⁻, neurons made of op-amps.

The summing node of each neuron's op-amp is a virtual ground. Memristors G⁻ carry the other neurons' voltages to
it and memristors G⁺ their negatives, so that the op-amp, whose feedback is the leak g beside a capacitor, has
v = Σ (G⁺ − G⁻) v_j / g: an inverting leaky integrator (Hopfield 1984, fig. 2; Hu et al. 2015, IEEE Trans. Neural
Netw. Learn. Syst. 26, 2283). Clamp diodes in the feedback keep v between 0 and the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from analogep.circuit import Circuit, Crossbar
from analogep.devices import VCVS, Capacitor, IdealDiode, Resistor
from analogep.errors import CircuitError, Fault
from analogep.kinds import checked
from analogep.networks.builder import Builder, Index, range_faults, size_fault, to_ground
from analogep.networks.hopfield import Array


@checked(CircuitError, "memristor Hopfield network")
def memristor_hopfield(
    layers: Sequence[int],
    weights: Mapping[str, ArrayLike],
    *,
    leak: float = 1e-4,
    limit: float = 1.0,
    lowest: float = 1e-7,
    gain: float = 1e6,
    capacitance: float = 1e-12,
) -> Circuit:
    """Build the circuit of memristor pairs that stands for ``hopfield(layers, initial=weights, bias=False)``.

    Parameters
    ----------
    layers
        Neurons per layer, ``[inputs, hidden …, outputs]``.
    weights
        Transconductances (R, C) [S] of any sign, ``"W1"``, ``"W2"``, …: the difference G⁺ − G⁻ of each pair.
    leak
        Feedback conductance [S] of every op-amp.
    limit
        Voltage [V] of a fully active neuron.
    lowest
        Smallest conductance [S] of a memristor; of each pair one has it.
    gain
        Open-loop gain of the op-amps, which leaves an error of (leak + Σ G) / (gain · leak).
    capacitance
        Feedback capacitance [F]; the neuron's time constant is ``capacitance / leak``.

    Returns
    -------
    Circuit
        Nodes ``x0…``, ``h1_0…``, ``y0…`` (neurons), each with an inverse (``x0_inv``) and, if it is no input, a
        summing node (``h1_0_sum``). Crossbars ``W1p`` and ``W1n`` onwards, and for the way back ``W2p_back`` and
        ``W2n_back``, each trainable: in hardware every memristor learns from its own voltages.

    Raises
    ------
    CircuitError
        If the arguments make no network; names each fault.
    """
    build = Builder("memristor Hopfield network")
    build.faults += size_fault(layers, tables=4)
    build.faults += range_faults(leak=(leak, "S"), limit=(limit, "V"), lowest=(lowest, "S"))
    build.faults += range_faults(gain=(gain, "1"), capacitance=(capacitance, "F"))
    if build.faults:
        raise CircuitError(build.what, build.faults)
    matrices = {f"W{k}": np.zeros(pair) for k, pair in enumerate(pairwise(layers), 1)}
    for name, zeros in matrices.items():
        found = np.asarray(weights.get(name, np.zeros(0)), dtype=float)
        if found.shape == zeros.shape:
            matrices[name] = found
        else:
            build.faults.append(Fault(name, f"weights have shape {found.shape}, expected {zeros.shape}"))
    unknown = sorted(set(weights) - set(matrices))
    build.faults += [Fault(name, "no such matrix in this network") for name in unknown]
    if build.faults:
        raise CircuitError(build.what, build.faults)
    depth = len(layers) - 1
    stems = ["x", *(f"h{k}_" for k in range(1, depth)), "y"]
    voltage, inverse, summing = [], [], []
    for k, (stem, count) in enumerate(zip(stems, layers, strict=True)):
        voltage.append(build.nodes(f"{stem}{i}" for i in range(count)))
        inverse.append(build.nodes(f"{stem}{i}_inv" for i in range(count)))
        summing.append(build.nodes(f"{stem}{i}_sum" for i in range(count)) if k else np.zeros(0, np.int64))
        _amplify(build, f"inverter{k}", voltage[k], inverse[k], 1.0)
        if k:
            _amplify(build, f"opamp{k}", summing[k], voltage[k], gain)
            across = np.stack([summing[k], voltage[k]], axis=1)
            build.bank(f"leak{k}", Resistor(conductance=leak), across)
            build.bank(f"memory{k}", Capacitor(value=capacitance), across)
            build.bank(f"low{k}", IdealDiode(), across)
            build.bank(f"high{k}", IdealDiode(threshold=limit), across[:, ::-1])
    for k, (name, w) in enumerate(matrices.items(), 1):
        _pair(build, name, "", inverse[k - 1], voltage[k - 1], summing[k], w, lowest)
        if k > 1:
            _pair(build, name, "_back", inverse[k], voltage[k], summing[k - 1], w.T, lowest)
    return build.circuit(voltage[0], to_ground(voltage[-1]))


def _amplify(build: Builder, name: str, sensed: Index, driven: Index, gain: float) -> None:
    """Add sources that hold v(driven) = −gain · v(sensed)."""
    ground = np.zeros_like(sensed)
    build.bank(name, VCVS(gain=-gain), np.stack([driven, ground, sensed, ground], axis=1))


def _pair(
    build: Builder, name: str, suffix: str, inverse: Index, voltage: Index, summing: Index, w: Array, lowest: float
) -> None:
    """Add the two crossbars whose difference is ``w`` (R, C) [S]."""
    for sign, rows, label in ((1.0, inverse, "p"), (-1.0, voltage, "n")):
        build.crossbars.append(
            Crossbar(f"{name}{label}{suffix}", rows, summing, np.maximum(sign * w, 0.0) + lowest)
        )
