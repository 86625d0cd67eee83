"""Operating points along a sweep of one input voltage or one parameter: the .DC analysis of SPICE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import CircuitError, ConvergenceError, InputError
from analogep.kinds import ByValue, checked
from analogep.solve.answers.solution import Solution
from analogep.solve.nudge import Nudge
from analogep.solve.operating import Method, operating_point

Array = NDArray[np.float64]

_SHOWN = 8  # names that one message spells out


@dataclass(frozen=True, eq=False)
class DCSweep(ByValue):
    """Operating points along a sweep.

    Attributes
    ----------
    name
        What was swept: an input node, or ``"<element>.<parameter>"``.
    values
        Its values (S,), in SI units.
    solutions
        One solution per value, each with the circuit it belongs to.
    """

    name: str
    values: Array
    solutions: tuple[Solution, ...]

    @property
    def voltages(self) -> Array:
        """Node voltages (S, B, N) [V]; column 0 is ground."""
        return np.stack([s.voltages for s in self.solutions])

    @property
    def outputs(self) -> Array:
        """Output voltages v₊ − v₋ (S, B, O) [V]."""
        return np.stack([s.outputs for s in self.solutions])

    @checked()
    def voltage(self, node: str) -> Array:
        """Return the voltages (S, B) [V] of a node; raises :class:`InputError` if there is none."""
        return np.stack([s.voltage(node) for s in self.solutions])

    @checked()
    def bank_currents(self, name: str) -> Array:
        """Return the currents (S, B, E) [A] of a bank; see :meth:`Solution.bank_currents`."""
        return np.stack([s.bank_currents(name) for s in self.solutions])


@checked()
def dc_sweep(
    circuit: Circuit,
    name: str,
    values: ArrayLike,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    method: Method = "auto",
    nudge: Nudge | None = None,
) -> DCSweep:
    """Find the operating point at each value of an input voltage or of a parameter.

    An input is swept as one batch of S · B samples; should some sample of it not converge, and for every
    parameter, the points are solved in turn, each from its predecessor's voltages. A circuit with several
    operating points therefore follows its branch only along a parameter.

    Parameters
    ----------
    circuit
        The circuit.
    name
        An input node; or ``"<element>.<parameter>"``, such as ``"V1.voltage"``; or ``"<bank>.<parameter>"``,
        which sets all elements of the bank alike (the temperature of all diodes).
    values
        Values (S,), [V] for an input, else the parameter's SI unit, in the order of the sweep.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes, or a mapping. A swept input's own entry is not used;
        a mapping may leave it out, and ``None`` will do if it is the only input.
    method, nudge
        As for :func:`analogep.operating_point`; a nudge of one sample, or of B.

    Returns
    -------
    DCSweep
        The solutions, all converged.

    Raises
    ------
    InputError
        If there is no such input or parameter, if a value is not legal for it, or if ``inputs`` do not fit.
    ConvergenceError
        If a point has no operating point that was found; names the value.

    References
    ----------
    Nagel, SPICE2: A Computer Program to Simulate Semiconductor Circuits (1975), on the DC transfer curve.
    """
    try:
        grid = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError(f"sweep of {name}: not an array of numbers ({error}); give one value per point") from None
    if grid.ndim != 1 or not grid.size:
        raise InputError(f"sweep of {name}: values have shape {grid.shape}; give a list of at least one value")
    bad = np.flatnonzero(~np.isfinite(grid))
    if len(bad):
        raise InputError(f"sweep of {name}: value {bad[0]} is {grid[bad[0]]}; give finite values")
    grid.flags.writeable = False
    if name in circuit.inputs:
        return _sweep_input(circuit, name, grid, inputs, method, nudge)
    array = circuit.input_array(inputs)
    block, where = _locate(circuit, name)
    current = next(value for name, value, _ in circuit.all_parameters() if name == block)
    circuits = []
    for value in grid:
        new = current.copy()
        new[where] = value
        try:
            circuits.append(circuit.with_parameters({block: new}))
        except CircuitError as error:
            raise InputError(f"sweep of {name} to {value:g}: {error.faults[0]}; leave this value out") from None
    return DCSweep(name, grid, _in_turn(name, grid, circuits, [array] * len(grid), method, nudge))


def _sweep_input(
    circuit: Circuit,
    name: str,
    grid: Array,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None,
    method: Method,
    nudge: Nudge | None,
) -> DCSweep:
    if isinstance(inputs, Mapping):
        inputs = {**inputs, name: 0.0}
    elif inputs is None and len(circuit.inputs) == 1:
        inputs = [0.0]
    array = circuit.input_array(inputs)
    points = np.repeat(array[None], len(grid), axis=0)
    points[:, :, circuit.inputs.index(name)] = grid[:, None]
    batch = len(array)
    repeated = None if nudge is None else nudge.select(np.tile(np.arange(batch), len(grid)))
    try:
        whole = operating_point(circuit, points.reshape(-1, array.shape[1]), repeated, method=method)
    except ConvergenceError:
        return DCSweep(name, grid, _in_turn(name, grid, [circuit] * len(grid), list(points), method, nudge))
    parts = [slice(s * batch, (s + 1) * batch) for s in range(len(grid))]
    return DCSweep(name, grid, tuple(_part(whole, part, len(grid)) for part in parts))


def _part(whole: Solution, part: slice, points: int) -> Solution:
    """Return some samples of a solution, with their share of its time."""
    return replace(
        whole,
        voltages=whole.voltages[part],
        converged=whole.converged[part],
        residual=whole.residual[part],
        iterations=whole.iterations[part],
        wall_time=whole.wall_time / points,
        branches={b: currents[part] for b, currents in whole.branches.items()},
        stable=None if whole.stable is None else whole.stable[part],
        states={b: {key: value[part] for key, value in held.items()} for b, held in whole.states.items()},
    )


def _in_turn(
    name: str,
    grid: Array,
    circuits: list[Circuit],
    inputs: list[Array],
    method: Method,
    nudge: Nudge | None,
) -> tuple[Solution, ...]:
    """Solve the points one after the other, each from the voltages of the one before."""
    found: list[Solution] = []
    for value, circuit, array in zip(grid, circuits, inputs, strict=True):
        try:
            found.append(operating_point(circuit, array, nudge, method=method, v0=found[-1] if found else None))
        except ConvergenceError as error:
            raise ConvergenceError(f"sweep of {name} at {value:g}: {error}") from error
    return tuple(found)


def _locate(circuit: Circuit, name: str) -> tuple[str, tuple[int, ...]]:
    """Return the parameter block that ``name`` means and the index in it; no index means all of it."""
    owner, _, parameter = name.rpartition(".")
    found: list[tuple[str, tuple[int, ...], tuple[str, ...]]] = []
    for bank in circuit.banks:
        keys = tuple(bank.values)
        if bank.name == owner:
            found.append((bank.name, (), keys))
        elif owner in bank.names:
            found.append((bank.name, (bank.names.index(owner),), keys))
    for c in circuit.crossbars:
        if c.name == owner:
            found.append((c.name, (), ("conductance",)))
        elif owner.startswith(c.name):
            rows, columns = c.conductance.shape
            at = [(r, k) for r in range(rows) for k in range(columns) if c.element_name(r, k) == owner]
            found += [(c.name, index, ("conductance",)) for index in at]
    found += [(t.name, (), tuple(t.values)) for t in circuit.transconductances if t.name == owner]
    if not found:
        names = [*circuit.inputs, *(name for name, _, _ in circuit.all_parameters())]
        more = ", ..." if len(names) > _SHOWN else ""
        raise InputError(
            f"nothing called {name!r} to sweep; give an input node, '<element>.<parameter>' or "
            f"'<bank>.<parameter>', such as {', '.join(names[:_SHOWN])}{more}"
        )
    if len(found) > 1:
        raise InputError(f"{owner} names an element and a bank; rename one of them to sweep {name}")
    block, where, keys = found[0]
    if parameter not in keys:
        raise InputError(f"{owner} has no parameter {parameter!r}; it has {', '.join(keys)}")
    return f"{block}.{parameter}", where
