"""Deep resistive networks: layers of nodes joined by crossbars, diodes at the hidden nodes.

Kendall et al. (2020) put two biased diodes on each hidden node and a bidirectional amplifier behind it;
Scellier (2024) lets half of a layer's nodes be non-negative and the other half non-positive. Both, and the
boards in between, are the same builder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit, Crossbar
from analogep.devices import BidirectionalAmplifier, Device, Diode, IdealDiode
from analogep.errors import CircuitError, Fault
from analogep.kinds import checked
from analogep.networks.builder import Builder, choice_fault, drawn, size_fault
from analogep.networks.initial import Initial, positive_part

Hidden = Literal["split", "pair", "linear"]
Bias = Literal["none", "lines", "current"]


@checked(CircuitError, "deep resistive network")
def deep_resistive(
    layers: Sequence[int],
    *,
    hidden: Hidden = "split",
    diode: Diode | IdealDiode | None = None,
    rails: tuple[float, float] = (0.0, 0.0),
    amplifier: tuple[float, float] | None = None,
    bias: Bias = "lines",
    bias_voltages: Sequence[float] = (1.0, -1.0),
    paired_outputs: bool = False,
    initial: Initial | Mapping[str, NDArray[np.float64]] | None = None,
    rng: np.random.Generator | None = None,
) -> Circuit:
    """Build a deep resistive network.

    Parameters
    ----------
    layers
        Nodes per layer, ``[inputs, hidden …, outputs]``. The inputs are lines: data that is doubled to ±x
        needs twice its features here.
    hidden
        ``"split"``: a diode from the lower rail keeps the first half of each hidden layer above it, a diode to
        the upper rail keeps the second half below it. ``"pair"``: both diodes at every hidden node.
        ``"linear"``: none.
    diode
        The diode, ``Diode()`` by default.
    rails
        Lower and upper rail [V]; a rail at 0 V is ground.
    amplifier
        (A, B): voltage gain forward and current gain backward of the amplifier behind every hidden node.
    bias
        ``"lines"``: every layer's crossbar has one more row for each of ``bias_voltages``; ``"current"``: a
        trainable current source at every node; ``"none"``.
    bias_voltages
        Voltages [V] of the bias lines. Two different levels keep the network from being an odd function of
        its inputs.
    paired_outputs
        Whether an output is the difference of two nodes, so that it can have any sign.
    initial
        Draws the conductances of one crossbar (R, C) [S]; or the conductances themselves, by crossbar name.
        ``positive_part(1e-4)`` by default.
    rng
        Generator for ``initial``; a fixed one by default.

    Returns
    -------
    Circuit
        Nodes ``x0…`` (inputs), ``h1_0…`` (hidden), ``a1_0…`` (behind amplifiers), ``y0…`` or ``y0p``/``y0n``
        (outputs); parameter blocks ``"W1.conductance"``, ``"b1.amplitude"``, ...

    Raises
    ------
    CircuitError
        If the layers or options make no network; names each fault.
    """
    faults = _faults(layers, hidden, rails, bias, bias_voltages)
    if faults:
        raise CircuitError("deep resistive network", faults)
    rng = np.random.default_rng(0) if rng is None else rng
    diode = Diode() if diode is None else diode
    build = _Builder("deep resistive network")

    inputs = build.nodes(f"x{i}" for i in range(layers[0]))
    bias_nodes = np.zeros(0, np.int64)
    if bias == "lines":
        bias_nodes = build.nodes(f"bias{i}" for i in range(len(bias_voltages)))
        build.fix("bias_lines", bias_nodes, bias_voltages)
    low = build.rail("rail_low", rails[0]) if hidden != "linear" else 0
    high = low if rails[0] == rails[1] else (build.rail("rail_high", rails[1]) if hidden != "linear" else 0)

    below = inputs
    depth = len(layers) - 1
    for k in range(1, depth + 1):
        last = k == depth
        if last and paired_outputs:
            here = build.nodes(f"y{i}{sign}" for sign in "pn" for i in range(layers[k]))
        elif last:
            here = build.nodes(f"y{i}" for i in range(layers[k]))
        else:
            here = build.nodes(f"h{k}_{i}" for i in range(layers[k]))
        rows = np.concatenate([below, bias_nodes])
        build.crossbar(f"W{k}", rows, here, initial, rng)
        if bias == "current":
            build.bias_currents(f"b{k}", here)
        below = here
        if not last:
            build.clamp(k, here, hidden, diode, low, high)
            if amplifier is not None:
                below = build.amplify(k, here, amplifier)
    outputs = here
    zeros = np.zeros(layers[-1], np.int64)
    plus = outputs[: layers[-1]]
    minus = outputs[layers[-1] :] if paired_outputs else zeros
    if isinstance(initial, Mapping):
        unknown = sorted(set(initial) - {f"W{k}" for k in range(1, depth + 1)})
        build.faults += [Fault(name, "no such crossbar in this network") for name in unknown]
    return build.circuit(inputs, np.stack([plus, minus], axis=1))


def _faults(
    layers: Sequence[int], hidden: str, rails: tuple[float, float], bias: str, voltages: Sequence[float]
) -> list[Fault]:
    faults = size_fault(layers)
    faults += choice_fault("hidden", hidden, Hidden) + choice_fault("bias", bias, Bias)
    if not (np.isfinite(rails).all() and rails[0] <= rails[1]):
        faults.append(Fault("rails", f"{tuple(rails)} V; give (lower, upper) with lower ≤ upper"))
    if bias == "lines" and not (len(voltages) and np.isfinite(voltages).all()):
        faults.append(Fault("bias_voltages", f"{list(voltages)}; give at least one finite voltage"))
    return faults


class _Builder(Builder):
    """Adds what only resistive networks have."""

    def crossbar(
        self,
        name: str,
        rows: NDArray[np.int64],
        columns: NDArray[np.int64],
        initial: Initial | Mapping[str, NDArray[np.float64]] | None,
        rng: np.random.Generator,
    ) -> None:
        shape = (len(rows), len(columns))
        if isinstance(initial, Mapping):
            if name not in initial:
                self.faults.append(Fault(name, f"initial conductances are missing; give an array {shape}"))
                return
            g = np.asarray(initial[name], dtype=float)
        else:
            g = drawn(name, positive_part(1e-4) if initial is None else initial, rng, shape, self.faults)
        if g.shape != shape:
            self.faults.append(Fault(name, f"initial conductances have shape {g.shape}, expected {shape}"))
            return
        self.crossbars.append(Crossbar(name, rows, columns, g))

    def clamp(self, k: int, nodes: NDArray[np.int64], hidden: Hidden, diode: Device, low: int, high: int) -> None:
        if hidden == "linear":
            return
        half = (len(nodes) + 1) // 2
        above = nodes[:half] if hidden == "split" else nodes
        below = nodes[half:] if hidden == "split" else nodes
        if len(above):
            self.bank(f"dlow{k}", diode, np.stack([np.full_like(above, low), above], axis=1))
        if len(below):
            self.bank(f"dhigh{k}", diode, np.stack([below, np.full_like(below, high)], axis=1))

    def amplify(self, k: int, nodes: NDArray[np.int64], gains: tuple[float, float]) -> NDArray[np.int64]:
        out = self.nodes(f"a{k}_{i}" for i in range(len(nodes)))
        device = BidirectionalAmplifier(voltage_gain=gains[0], current_gain=gains[1])
        self.bank(f"amp{k}", device, np.stack([nodes, out], axis=1))
        return out
