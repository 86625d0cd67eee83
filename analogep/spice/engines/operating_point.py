"""Operating points by a SPICE engine, checked against Kirchhoff's laws before they are believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import EngineError, InputError
from analogep.kinds import checked
from analogep.solve import Nudge, Solution
from analogep.solve.equations.system import System
from analogep.solve.newton.plausible import implausible
from analogep.spice.engines.kirchhoff import check
from analogep.spice.engines.ngspice import (
    RELAXED,
    TIGHT,
    NgspiceEngine,
    Outcome,
    Settings,
    Tolerances,
    check_timeout,
)
from analogep.spice.writing.folding import Folding, fold
from analogep.spice.writing.primitives import NudgeTerms, input_primitives, nudge_primitives, nudge_terms

Array = NDArray[np.float64]
Engine = Literal["ngspice", "pyspice"]
ENGINES: tuple[str, ...] = get_args(Engine)

_Runner = Callable[[list[Settings], Tolerances], Outcome]


class SpiceEngine(Protocol):
    """What :class:`~analogep.spice.NgspiceEngine` and :class:`~analogep.spice.PySpiceEngine` do."""

    @property
    def name(self) -> str:
        """Name with version; raises :class:`EngineError` if the engine is not installed."""
        ...

    def netlist(self, circuit: Circuit, inputs: ArrayLike, nudge: Nudge | None = None) -> str:
        """Return the netlist of a batch's first sample."""
        ...

    def run(
        self, netlist: str, samples: Sequence[Settings], tolerances: Tolerances, timeout: float | None = None
    ) -> Outcome:
        """Solve a netlist for every sample, each with the sources altered to its settings."""
        ...


@checked()
def operating_point(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    nudge: Nudge | None = None,
    *,
    engine: Engine | SpiceEngine = "ngspice",
    timeout: float | None = None,
    fold_inputs: bool = False,
) -> Solution:
    """Solve a circuit with a SPICE engine, for a whole batch in one process.

    Parameters
    ----------
    circuit
        The circuit.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes, or a mapping from their names.
    nudge
        A conductance or current nudge of the outputs.
    engine
        ``"ngspice"`` runs the program; ``"pyspice"`` loads its shared library through PySpice, in a process
        of its own that then serves all batches. Or an engine object.
    timeout
        Longest time for the batch [s]; the engine's own, 600 s, by default.
    fold_inputs
        Give the engine the Norton equivalents of the resistors at the inputs, sample by sample: the same
        voltages, much sooner in a large network. The check is against the circuit as it is.

    Returns
    -------
    Solution
        Voltages (B, N) [V] from SPICE; ``residual`` is Kirchhoff's law at them by our own device laws, and
        ``engine`` says which version ran with which linear solver.
        Iterations are not known and are 0.

    Raises
    ------
    EngineError
        If the engine is missing, crashes, takes too long, finds no operating point, or gives one that misses
        Kirchhoff's laws or in which an element would carry an impossible current
        (:mod:`analogep.solve.newton.plausible`).
    NetlistError
        If the circuit cannot be written as a netlist.
    InputError
        If inputs or nudge do not fit.
    """
    started = time.perf_counter()
    spice = find_engine(engine)
    if timeout is not None:
        check_timeout(timeout)
    array = circuit.input_array(inputs)
    terms = None if nudge is None else nudge_terms(circuit, nudge, len(array))
    folding = fold(circuit) if fold_inputs else None
    written = folding.at(array[0]) if folding is not None and len(array) else circuit
    version = spice.name
    text = spice.netlist(written, array, nudge)
    points, factorisation = _solve(
        lambda samples, tolerances: spice.run(text, samples, tolerances, timeout),
        _samples(circuit, array, terms, folding),
    )
    name = f"{version} ({factorisation})"
    voltages = _voltages(circuit, points)
    found = check(circuit, array, nudge, voltages)
    if found.excess.max(initial=0.0) > 1.0:
        s = int(np.argmax(found.excess))
        raise EngineError(
            f"{name} gave voltages that miss {found.worst[s]} in sample {s} by {found.excess[s]:.3g} times "
            f"what is allowed (largest residual {found.residual[s]:.3g} A); do not trust it on this circuit"
        )
    system = System(circuit, array, nudge)
    absurd = implausible(system, system.model.unknowns(voltages, found.branches))
    if absurd:
        s, element, current = max(absurd, key=lambda found: abs(found[2]))
        raise EngineError(
            f"{name} gave voltages at which {element} would carry {current:.3g} A in sample {s}: sources may hold "
            "its voltage; put a resistor in series with it"
        )
    return Solution(
        circuit,
        voltages,
        np.ones(len(array), dtype=bool),
        found.residual,
        np.zeros(len(array), dtype=np.int64),
        name,
        time.perf_counter() - started,
        found.branches,
        nudge=nudge,
    )


def find_engine(engine: Engine | SpiceEngine) -> SpiceEngine:
    """Return an engine by its name; raises :class:`InputError` if there is none of that name."""
    if not isinstance(engine, str):
        return engine
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; use one of {', '.join(ENGINES)}")
    if engine == "pyspice":
        from analogep.spice.engines.pyspice_engine import shared_engine

        return shared_engine()
    return NgspiceEngine()


def _samples(circuit: Circuit, inputs: Array, terms: NudgeTerms | None, folding: Folding | None) -> list[Settings]:
    """Return the source values of each sample, by SPICE name."""
    samples: list[Settings] = []
    currents = None if folding is None else folding.currents(inputs).tolist()
    for s, row in enumerate(inputs):
        primitives = input_primitives(circuit, row)
        if terms is not None:
            primitives += nudge_primitives(circuit.nodes, circuit.output_pairs, terms, s)
        values = {p.letter + p.name: p.args[0] for p in primitives if p.letter in "VI"}
        settings = {name: value for name, value in values.items() if not isinstance(value, str)}
        if folding is not None and currents is not None:
            settings |= dict(zip(folding.names, currents[s], strict=True))
        samples.append(settings)
    return samples


def _changes(samples: Sequence[Settings]) -> list[Settings]:
    """Leave out of each sample what the one before has set already; ``alter`` is slow."""
    before: Settings = {}
    changes: list[Settings] = []
    for settings in samples:
        changes.append({k: v for k, v in settings.items() if before.get(k) != v})
        before = settings
    return changes


def _solve(run: _Runner, samples: list[Settings]) -> tuple[list[dict[str, float]], str]:
    """Run all samples; those that fail get a second run with relaxed tolerances.

    Returns the points and the linear solver that found them.
    """
    outcome = run(_changes(samples), TIGHT)
    points = outcome.points
    failed = [k for k, point in enumerate(points) if point is None]
    if failed:
        again = run(_changes([samples[k] for k in failed]), RELAXED)
        for k, point in zip(failed, again.points, strict=True):
            points[k] = point
        failed = [k for k in failed if points[k] is None]
        outcome = again
    if failed:
        raise EngineError(
            f"SPICE found no operating point for {len(failed)} of {len(samples)} samples (first: sample "
            f"{failed[0]}): {outcome.trouble()}"
        )
    return [point for point in points if point is not None], outcome.linear_solver


def _voltages(circuit: Circuit, points: list[dict[str, float]]) -> Array:
    names = [name.lower() for name in circuit.nodes[1:]]
    voltages = np.zeros((len(points), len(circuit.nodes)))
    for s, point in enumerate(points):
        missing = [name for name in names if name not in point]
        if missing:
            raise EngineError(f"SPICE gave no voltage for node {missing[0]} in sample {s}")
        voltages[s, 1:] = [point[name] for name in names]
    bad = np.argwhere(~np.isfinite(voltages))
    if len(bad):
        s, node = bad[0]
        raise EngineError(f"SPICE gave {voltages[s, node]} V at node {circuit.nodes[node]} in sample {s}")
    return voltages
