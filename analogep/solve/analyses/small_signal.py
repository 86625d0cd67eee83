"""The circuit linearised at its operating point: conductance between ports, and time constants.

Both are dense, one sample at a time, and meant for circuits whose Jacobian fits in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit, Topology
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.memory import too_large
from analogep.solve.answers.solution import Solution
from analogep.solve.equations.model import Model
from analogep.solve.equations.pieces import sharing
from analogep.solve.equations.system import System
from analogep.solve.operating import Method, operating_point
from analogep.solve.time.storage import Storage

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Port = str | tuple[str, str]

_EPS = float(np.finfo(float).eps)


@checked(but=("ports", "count"))
def port_conductance(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None,
    ports: Sequence[Port],
    method: Method = "auto",
) -> Array:
    """Return the small-signal conductance matrix between ports at the operating point.

    Entry (p, q) is the current di_p that flows into the plus node of port p and out of its minus node, per
    voltage dv_q at port q, while all other ports are held at their operating voltages (short-circuit or
    y parameters at zero frequency). Its inverse is the open-circuit impedance. An input that belongs to a
    port is driven by that port alone; all other inputs stay clamped.

    Parameters
    ----------
    circuit
        The circuit.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes at the operating point, or a mapping.
    ports
        P ports, each a node name (against ground) or a pair (plus, minus) of node names.
    method
        As for :func:`analogep.operating_point`.

    Returns
    -------
    numpy.ndarray
        Conductances (B, P, P) [S]; symmetric for a reciprocal circuit.

    Raises
    ------
    InputError
        If a port does not fit: unknown node, voltage fixed by sources or by other ports, no finite conductance.
    ConvergenceError
        If there is no operating point.

    References
    ----------
    Ho, Ruehli & Brennan, The modified nodal approach to network analysis (IEEE TCS 22, 1975): each port is a
    voltage source whose current is one more unknown.
    """
    pairs = _port_nodes(circuit, ports)
    array = circuit.input_array(inputs)
    found = operating_point(circuit, array, method=method)
    keep = ~np.isin(circuit.input_nodes, pairs)
    opened = circuit
    if not keep.all():
        opened = replace(circuit, input_nodes=circuit.input_nodes[keep], topology=Topology(), checked=True)
    system = System(opened, array[:, keep])
    model, count = system.model, len(pairs)
    size = model.plan.size
    inject, read = (_incidence(model, pairs, factor) for factor in (model.w, model.t))
    _check_ports(circuit, pairs, read)
    out = np.empty((len(array), count, count))
    _require_room(size + count)
    bordered = np.zeros((size + count, size + count))
    bordered[:size, size:] = -inject.T
    bordered[size:, :size] = read
    rhs = np.vstack([np.zeros((size, count)), np.eye(count)])
    for b, jacobian in enumerate(_jacobians(system, found)):
        bordered[:size, :size] = jacobian
        try:
            out[b] = np.linalg.solve(bordered, rhs)[size:]
        except np.linalg.LinAlgError:
            raise InputError(
                f"the ports {_names(circuit, pairs)} have no finite conductance in sample {b}: an ideal element "
                "holds one of them, or nothing holds a node; add a series resistor or a leak there"
            ) from None
    return out


@checked(but=("ports", "count"))
def time_constants(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None,
    count: int = 1,
    node_capacitance: float = 1e-12,
    method: Method = "auto",
) -> Array:
    """Return the slowest time constants of the circuit linearised at its operating point.

    Near it C dv/dt = −J v, where C has the slopes of all stored charges. Its modes decay as exp(−t/τ); the slowest
    estimates how the last part of :func:`analogep.transient` decays: settling to a fraction ε takes about
    τ ln(1/ε). With C = U S Vᵀ restricted to its range, the modes 1/λ are the eigenvalues of S^½ Vᵀ J⁻¹ U S^½, so
    that unknowns without memory are eliminated by the solve.

    Parameters
    ----------
    circuit
        The circuit.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes at the operating point, or a mapping.
    count
        How many time constants.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own, as in
        :class:`analogep.solve.TransientOptions`.
    method
        As for :func:`analogep.operating_point`.

    Returns
    -------
    numpy.ndarray
        1/Re λ (B, count) [s], slowest first; infinite for a mode that does not decay, since the operating
        point is then unstable and never reached; zero for a capacitor whose voltage follows at once.

    Raises
    ------
    InputError
        If arguments do not fit the circuit, or it has fewer than ``count`` capacitive unknowns.
    ConvergenceError
        If there is no operating point.

    References
    ----------
    Vlach & Singhal, Computer Methods for Circuit Analysis and Design (2nd ed. 1994), on poles as a
    generalised eigenproblem.
    """
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise InputError(f"count = {count!r}; give a positive number of time constants")
    array = circuit.input_array(inputs)
    return time_constants_at(operating_point(circuit, array, method=method), array, count, node_capacitance)


def time_constants_at(found: Solution, inputs: Array, count: int, node_capacitance: float) -> Array:
    """Return :func:`time_constants` at operating points that are known, with their inputs (B, I) [V]."""
    system = System(found.circuit, inputs)
    _require_room(system.model.plan.size)
    stored = Storage(system.model, node_capacitance)
    own = stored.slopes(system, system.model.unknowns(found.voltages, found.branches))
    matrices = [stored.capacitance.toarray()] if own is None else own
    factors = [_range_of(matrix, count) for matrix in matrices]
    small = sharing(system.model)
    shared = None if small is None else small.toarray()
    out = np.empty((len(inputs), count))
    for b, jacobian in enumerate(_jacobians(system, found)):
        if shared is not None:  # ideal diodes side by side leave their currents open
            jacobian += shared
        left, right = factors[b] if len(factors) > 1 else factors[0]
        try:
            modes = left @ np.linalg.solve(jacobian, right)
        except np.linalg.LinAlgError:
            raise InputError(
                f"the operating point of sample {b} is not isolated; add a leak to ground at what floats"
            ) from None
        out[b] = _decay(np.linalg.eigvals(modes), len(modes) * _EPS * float(np.linalg.norm(modes)))[:count]
    return out


def _range_of(capacitance: Array, count: int) -> tuple[Array, Array]:
    """Return S^½ Vᵀ and U S^½ of C = U S Vᵀ restricted to its range, which needs ``count`` dimensions."""
    u, s, vt = np.linalg.svd(capacitance)
    rank = int(np.count_nonzero(s > len(s) * _EPS * s.max(initial=0.0)))
    if count > rank:
        raise InputError(
            f"{count} time constants need as many capacitive unknowns, and the circuit has {rank}; "
            "lower count, or give a node_capacitance above zero"
        )
    root = np.sqrt(s[:rank])
    return vt[:rank] * root[:, None], u[:, :rank] * root


def _require_room(size: int) -> None:
    """Raise :class:`InputError` if dense matrices of so many unknowns do not fit in memory."""
    problem = too_large(6.0 * 8.0 * float(size) ** 2)
    if problem is not None:
        raise InputError(
            f"the dense matrices of {size} unknowns are too large: this {problem}; take a smaller circuit"
        )


def _decay(modes: NDArray[np.complexfloating] | Array, rounding: float) -> Array:
    """Return 1/Re λ of modes 1/λ, largest first."""
    tau = np.zeros(len(modes))
    size = np.abs(modes)
    slow = size > rounding
    with np.errstate(divide="ignore"):
        tau[slow] = np.where(modes.real[slow] > 0.0, size[slow] ** 2 / modes.real[slow], np.inf)
    return np.sort(tau)[::-1]


def _jacobians(system: System, found: Solution) -> Iterator[Array]:
    """Yield the dense Jacobian (n, n) of each sample at the voltages and branch currents of ``found``."""
    model = system.model
    x = model.reduce_voltages(found.voltages)
    for b, start in model.plan.branch_start.items():
        flat = found.branches[b].reshape(len(x), -1)
        x[:, start : start + flat.shape[1]] = flat
    entries = model.slots.values(system.evaluate(x).slopes)
    base: Array = sp.csr_array(model.linear_matrix).toarray()
    for row in entries:
        jacobian = base.copy()
        jacobian[model.slots.rows, model.slots.columns] += row
        yield jacobian


def _incidence(model: Model, pairs: Index, factor: Array) -> Array:
    """Return the map (P, n) between unknowns and ports, plus minus minus, weighted by ``factor`` (N,)."""
    out = np.zeros((len(pairs), model.plan.size))
    for p, (plus, minus) in enumerate(pairs):
        for node, sign in ((plus, 1.0), (minus, -1.0)):
            unknown = model.plan.unknown[node]
            if unknown >= 0:
                out[p, unknown] += sign * factor[node]
    return out


def _port_nodes(circuit: Circuit, ports: Sequence[Port]) -> Index:
    """Return the node indices (P, 2) of ports, plus first."""
    if not isinstance(ports, (list, tuple)) or not ports:
        raise InputError(f"ports = {ports!r}; give a list of at least one node name or (plus, minus) pair")
    pairs = []
    for port in ports:
        names = (port, "0") if isinstance(port, str) else tuple(port) if isinstance(port, (list, tuple)) else ()
        if len(names) != 2 or not all(isinstance(name, str) for name in names):
            raise InputError(f"port {port!r} is neither a node name nor a (plus, minus) pair of them")
        plus, minus = (circuit.node(name) for name in names)
        if plus == minus:
            raise InputError(f"port {port!r} has both pins on node {names[0]}; give two different nodes")
        pairs.append((plus, minus))
    return np.array(pairs, np.int64)


def _check_ports(circuit: Circuit, pairs: Index, read: Array) -> None:
    """Raise unless the ports' voltages are independent of each other and of the sources."""
    for p, row in enumerate(read):
        if not row.any():
            raise InputError(
                f"the voltage of port {_names(circuit, pairs[p : p + 1])} is fixed by inputs and sources; "
                "leave it out, or make the node an input"
            )
        if np.linalg.matrix_rank(read[: p + 1]) <= p:
            raise InputError(
                f"the voltage of port {_names(circuit, pairs[p : p + 1])} follows from the ports before it; "
                "leave it out"
            )


def _names(circuit: Circuit, pairs: Index) -> str:
    nodes = circuit.nodes
    return ", ".join(nodes[a] if b == 0 else f"({nodes[a]}, {nodes[b]})" for a, b in pairs)
