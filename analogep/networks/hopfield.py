"""Hopfield networks, feedforward ones and all between: neurons coupled by transconductances.

Each neuron is a node with a leak g to ground and something that limits its voltage; transconductances W carry
currents from neuron to neuron. Where W is symmetric, the operating point minimises the energy
E(s) = Σ Φ(s_i) − Σ_{i<j} W_ij s_i s_j − Σ b_i s_i (Hopfield 1984; with clamped ReLUs the model of Scellier &
Bengio 2017, section 2, in which ρ is the identity between the bounds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit, TransconductanceCrossbar
from analogep.devices import IdealDiode, MutualTransconductance, Resistor, TanhNeuron
from analogep.errors import CircuitError, Fault
from analogep.kinds import checked
from analogep.networks.builder import (
    Builder,
    Index,
    choice_fault,
    drawn,
    memory_fault,
    range_faults,
    size_fault,
    to_ground,
)
from analogep.networks.initial import Initial, glorot

Array = NDArray[np.float64]
Activation = Literal["clipped_relu", "tanh", "sigmoid", "identity"]
_NEURON = 2000.0
"""Bytes that a neuron takes with its elements."""

Coupling = Literal["symmetric", "forward", "both"]


@checked(CircuitError, "Hopfield network")
def hopfield(
    layers: Sequence[int],
    *,
    activation: Activation = "clipped_relu",
    coupling: Coupling = "symmetric",
    leak: float = 1e-4,
    limit: float = 1.0,
    bias: bool = True,
    linear_outputs: bool = False,
    initial: Initial | Mapping[str, ArrayLike] | None = None,
    alike: bool = False,
    rng: np.random.Generator | None = None,
) -> Circuit:
    """Build layers of neurons, each coupled to the next by transconductances.

    Parameters
    ----------
    layers
        Neurons per layer, ``[inputs, hidden …, outputs]``; the inputs are clamped.
    activation
        What limits a neuron: ``"clipped_relu"``, ideal diodes that keep it in [0, ``limit``]; ``"tanh"``, a load
        that makes it ``limit`` · tanh of its current; ``"sigmoid"``, one that makes it a logistic function
        between 0 and ``limit`` whose slope at rest is 1/``leak``; ``"identity"``, nothing.
    coupling
        ``"symmetric"``: one matrix for both directions (a Hopfield network); ``"forward"``: no way back (a
        feedforward network); ``"both"``: a matrix for each direction (a non-reciprocal network). The inputs'
        coupling always goes forward alone, since nothing moves a clamped neuron.
    leak
        Leak of every neuron [S]: a weight of one is a transconductance of ``leak``.
    limit
        Voltage [V] of a fully active neuron.
    bias
        Whether every neuron has a trainable current.
    linear_outputs
        Whether the outputs have a leak alone, whatever limits the other neurons.
    initial
        Draws the transconductances of one matrix (R, C) [S], by default ``glorot(leak)``; or the matrices
        themselves, by block name. With ``coupling="both"`` the two directions are drawn apart.
    alike
        With ``coupling="both"``: whether the way back starts with the matrix of the way forth, as a network that
        is symmetric before it learns.
    rng
        Generator for ``initial``; a fixed one by default.

    Returns
    -------
    Circuit
        Nodes ``x0…``, ``h1_0…``, ``y0…``; parameter blocks ``"W1.forward"``, ``"W2.transconductance"`` (or
        ``"W2.forward"`` and ``"W2.backward"``), ``"b1.amplitude"``, …

    Raises
    ------
    CircuitError
        If the layers or options make no network; names each fault.
    """
    build = Builder("Hopfield network")
    build.faults += size_fault(layers)
    build.faults += choice_fault("activation", activation, Activation)
    build.faults += choice_fault("coupling", coupling, Coupling)
    build.faults += range_faults(leak=(leak, "S"), limit=(limit, "V"))
    if build.faults:
        raise CircuitError(build.what, build.faults)
    rng = np.random.default_rng(0) if rng is None else rng
    initial = glorot(leak) if initial is None else initial
    keys = {"symmetric": ("transconductance",), "forward": ("forward",), "both": ("forward", "backward")}[coupling]
    depth = len(layers) - 1
    nodes = [build.nodes(f"x{i}" for i in range(layers[0]))]
    for k in range(1, depth + 1):
        stem = "y" if k == depth else f"h{k}_"
        nodes.append(build.nodes(f"{stem}{i}" for i in range(layers[k])))
    expected: dict[str, tuple[int, int]] = {}
    for k, (below, here) in enumerate(pairwise(nodes), 1):
        values: dict[str, Array] = {}
        for key in ("forward",) if k == 1 else keys:
            expected[f"W{k}.{key}"] = (len(below), len(here))
            if key == "backward" and alike:
                values[key] = values["forward"]
            else:
                values[key] = _matrix(
                    build,
                    f"W{k}.{key}",
                    expected[f"W{k}.{key}"],
                    glorot(leak) if initial is None else initial,
                    rng,
                )
        build.transconductances.append(TransconductanceCrossbar(f"W{k}", below, here, values))
        _neurons(build, str(k), here, "identity" if linear_outputs and k == depth else activation, leak, limit)
        if bias:
            build.bias_currents(f"b{k}", here)
    if isinstance(initial, Mapping):
        build.faults += [
            Fault(name, "no such matrix in this network") for name in sorted(set(initial) - set(expected))
        ]
    return build.circuit(nodes[0], to_ground(nodes[-1]))


@checked(CircuitError, "Hopfield network")
def feedforward(
    layers: Sequence[int],
    *,
    activation: Activation = "tanh",
    leak: float = 1e-4,
    limit: float = 1.0,
    bias: bool = True,
    initial: Initial | Mapping[str, ArrayLike] | None = None,
    rng: np.random.Generator | None = None,
) -> Circuit:
    """Build a feedforward network: :func:`hopfield` without a way back.

    With ``"tanh"`` each layer is v = limit · tanh(vᵀW / (leak · limit)). Parameters, blocks (``"W1.forward"``, …)
    and errors are those of :func:`hopfield`.
    """
    return hopfield(
        layers,
        activation=activation,
        coupling="forward",
        leak=leak,
        limit=limit,
        bias=bias,
        initial=initial,
        rng=rng,
    )


@checked(CircuitError, "Hopfield network")
def hopfield_graph(
    edges: ArrayLike,
    weights: ArrayLike,
    *,
    inputs: Sequence[int],
    outputs: Sequence[int],
    activation: Activation = "clipped_relu",
    leak: float = 1e-4,
    limit: float = 1.0,
    bias: bool = True,
) -> Circuit:
    """Build a Hopfield network on any graph: a symmetric synapse on each edge.

    Parameters
    ----------
    edges
        Pairs (E, 2) of neurons, which are counted from 0; each pair once, in either order.
    weights
        Transconductances (E,) [S], of any sign.
    inputs, outputs
        Neurons that are clamped, and those that are read.
    activation, leak, limit, bias
        As for :func:`hopfield`; the clamped neurons have none of it.

    Returns
    -------
    Circuit
        Nodes ``s0…``; parameter blocks ``"W.transconductance"``, the elements' own sign being the opposite of the
        weights' (see :class:`~analogep.devices.MutualTransconductance`), and ``"b.amplitude"``.

    Raises
    ------
    CircuitError
        If the arguments make no network; names each fault.
    """
    build = Builder("Hopfield network")
    build.faults += choice_fault("activation", activation, Activation)
    build.faults += range_faults(leak=(leak, "S"), limit=(limit, "V"))
    pairs, w = np.asarray(edges), np.asarray(weights, dtype=float)
    if pairs.ndim != 2 or pairs.shape[1:] != (2,) or not len(pairs) or pairs.dtype.kind not in "iu":
        build.faults.append(Fault("edges", f"shape {pairs.shape} of {pairs.dtype}; give pairs of neurons (E, 2)"))
    elif w.shape != (len(pairs),):
        build.faults.append(Fault("weights", f"shape {w.shape}; give one for each of the {len(pairs)} edges"))
    else:
        unordered = np.sort(pairs, axis=1)
        if (pairs < 0).any() or (pairs[:, 0] == pairs[:, 1]).any():
            build.faults.append(Fault("edges", "a neuron is negative or coupled to itself; count neurons from 0"))
        if len(np.unique(unordered, axis=0)) < len(pairs):
            build.faults.append(Fault("edges", "a pair of neurons occurs twice; add up its weights"))
    if build.faults:
        raise CircuitError(build.what, build.faults)
    count = 1 + int(pairs.max())
    for what, chosen in (("inputs", inputs), ("outputs", outputs)):
        outside = [n for n in chosen if not 0 <= n < count]
        if outside:
            build.faults.append(Fault(what, f"no neurons {outside}; the edges have 0 to {count - 1}"))
    if build.faults:
        raise CircuitError(build.what, build.faults)
    build.faults += memory_fault("edges", f"{count} neurons", _NEURON * float(count))
    if build.faults:
        raise CircuitError(build.what, build.faults)
    nodes = build.nodes(f"s{i}" for i in range(count))
    ground = np.zeros(len(pairs), np.int64)
    pins = np.stack([nodes[pairs[:, 0]], ground, nodes[pairs[:, 1]], ground], axis=1)
    build.bank("W", MutualTransconductance(transconductance=0.0), pins, True, transconductance=-w)
    free = np.delete(nodes, list(inputs))
    _neurons(build, "", free, activation, leak, limit)
    if bias:
        build.bias_currents("b", free)
    return build.circuit(nodes[list(inputs)], to_ground(nodes[list(outputs)]))


def _neurons(build: Builder, suffix: str, nodes: Index, activation: Activation, leak: float, limit: float) -> None:
    """Add the leaks of neurons and what limits their voltage."""
    ground = np.zeros_like(nodes)
    if activation == "tanh":
        build.bank(f"neuron{suffix}", TanhNeuron(leak, limit), to_ground(nodes))
        return
    if activation == "sigmoid":
        if "middle" not in build.names:
            build.rail("middle", limit / 2.0)
        middle = np.full_like(nodes, build.names.index("middle"))
        build.bank(f"neuron{suffix}", TanhNeuron(leak, limit / 2.0), np.stack([nodes, middle], axis=1))
        return
    build.bank(f"leak{suffix}", Resistor(conductance=leak), to_ground(nodes))
    if activation == "clipped_relu":
        build.bank(f"low{suffix}", IdealDiode(), np.stack([ground, nodes], axis=1))
        build.bank(f"high{suffix}", IdealDiode(threshold=limit), to_ground(nodes))


def _matrix(
    build: Builder,
    name: str,
    shape: tuple[int, int],
    initial: Initial | Mapping[str, ArrayLike],
    rng: np.random.Generator,
) -> Array:
    if not isinstance(initial, Mapping):
        return drawn(name, initial, rng, shape, build.faults)
    if name not in initial:
        build.faults.append(Fault(name, f"initial transconductances are missing; give an array {shape}"))
        return np.zeros(shape)
    w = np.asarray(initial[name], dtype=float)
    if w.shape != shape:
        build.faults.append(Fault(name, f"initial transconductances have shape {w.shape}, expected {shape}"))
        return np.zeros(shape)
    return w
