"""Runs compiled updates on all cores, a few hundred at a time, and hands over what does not settle."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import ConvergenceError, InputError
from analogep.learning.costs.base import NUDGE_FORMS, NudgeForm
from analogep.learning.fused.chain import Chain
from analogep.learning.rules.base import VARIANTS, AnyVariant, phase_betas
from analogep.learning.steps.signs import hashed_signs

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Precision = Literal["float32", "float64"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
Direction = Literal["energy", "vector_field", "non_reciprocal"]
DIRECTIONS: tuple[str, ...] = get_args(Direction)

MOST_SWEEPS = 2000
"""Sweeps after which a phase that has to settle counts as stalled."""

BLOCK = 8
"""Samples whose free phases a thread finds together."""


@dataclass(frozen=True)
class FusedSettings:
    """How the compiled epochs run.

    Attributes
    ----------
    beta
        Nudging strength β [S].
    variant, nudge
        As in :class:`~analogep.learning.EquilibriumPropagation`; ``"random"`` draws the sign of β for each update
        from its samples, so that a run that goes on from a checkpoint draws the same.
    direction
        ``"energy"``: equilibrium propagation, for reciprocal circuits. ``"non_reciprocal"``: couplings are turned
        round in the nudged phases, as :class:`~analogep.learning.NonReciprocalEP` does; ``"vector_field"``: they
        are not, as in :class:`~analogep.learning.VectorFieldEP`.
    sweeps
        Block steps per phase, to match a paper; 0 lets every phase settle.
    nudged_sweeps
        Block steps per nudged phase, which then need not settle: what the nudge does through longer loops of the
        circuit is cut off, as in truncated backpropagation. 0 is as many as in the free phase.
    tolerance
        Largest move of a node in the last sweep, relative to the largest voltage (at least 1 V). In float32 it
        is never below 1e-6.
    precision
        ``"float32"`` or ``"float64"``.
    threads
        How many threads share an update; 0 measures whether several are faster than one as it goes. The result
        is the same to the last bit.
    persistent
        Whether the free phase of a sample starts where its last one ended (Scellier & Bengio 2017: persistent
        particles), and not at 0 V: of several equilibria a sample then keeps its own.

    Raises
    ------
    InputError
        If a value is out of range; names it.
    """

    beta: float
    variant: AnyVariant = "centered"
    nudge: NudgeForm = "error"
    direction: Direction = "energy"
    sweeps: int = 0
    nudged_sweeps: int = 0
    tolerance: float = 1e-9
    precision: Precision = "float64"
    threads: int = 0
    persistent: bool = False

    def __post_init__(self) -> None:
        faults = []
        if not 0 < self.beta < np.inf:
            faults.append(f"beta = {self.beta:g} S must be finite and positive")
        if self.variant not in (*VARIANTS, "random"):
            faults.append(f"unknown variant {self.variant!r}; use one of {', '.join(VARIANTS)}, random")
        if self.nudge not in NUDGE_FORMS:
            faults.append(f"unknown nudge form {self.nudge!r}; use one of {', '.join(NUDGE_FORMS)}")
        if self.direction not in DIRECTIONS:
            faults.append(f"unknown direction {self.direction!r}; use one of {', '.join(DIRECTIONS)}")
        for name in ("sweeps", "nudged_sweeps"):
            if getattr(self, name) < 0:
                faults.append(f"{name} = {getattr(self, name)} must not be negative")
        if not 0 < self.tolerance <= 1e-3:
            faults.append(f"tolerance = {self.tolerance:g} must lie in (0, 1e-3]")
        if self.precision not in PRECISIONS:
            faults.append(f"unknown precision {self.precision!r}; use one of {', '.join(PRECISIONS)}")
        if self.threads < 0:
            faults.append(f"threads = {self.threads} must not be negative")
        if faults:
            raise InputError("fused epochs: " + "; ".join(faults))

    @property
    def betas(self) -> tuple[float, float]:
        """β of the two phases [S]."""
        return phase_betas("positive" if self.variant == "random" else self.variant, self.beta)


@dataclass
class _Choice:
    """How many threads to use: measured, and measured again now and then, since machines are shared."""

    most: int
    pace: dict[int, float] = field(default_factory=dict)  # seconds per update
    runs: int = 0

    AGAIN = 40
    """Runs after which the other choice is tried again."""

    fixed: bool = False

    def next(self) -> int:
        """Return how many threads to use now."""
        self.runs += 1
        if self.fixed or self.most == 1:
            return self.most
        for threads in (1, self.most):
            if threads not in self.pace:
                return threads
        best = min(self.pace, key=lambda threads: self.pace[threads])
        if self.runs % self.AGAIN == 0:
            return self.most if best == 1 else 1
        return best

    def note(self, threads: int, pace: float) -> None:
        """Note what an update took [s]."""
        self.pace[threads] = pace


def _together(threads: int, work: Callable[[int], None]) -> None:
    """Call ``work`` with 0 to ``threads`` − 1, each in a thread of its own, the first in this one."""
    others = [threading.Thread(target=work, args=(k,)) for k in range(1, threads)]
    for thread in others:
        thread.start()
    work(0)
    for thread in others:
        thread.join()


class FusedEpochs:
    """Trains a chain of crossbars with the squared error, by plain gradient descent.

    Parameters
    ----------
    circuit
        The circuit, a chain (see :func:`~analogep.learning.fused.why_not`).
    lines
        Voltages (S, F) [V] of the clamped lines, without the negated half if ``doubled``.
    targets
        Target voltages (S, O) [V].
    rates, bounds
        Per block, as in :class:`~analogep.learning.SGD`; a trainable block without a rate does not move.
    batch
        Samples per update.
    settings
        How to run.
    doubled
        Whether the circuit's inputs are (x, −x) for lines at x.
    tolerance
        Largest |o − y| [V] of a regression that does not count as an error; ``None`` for classes, the largest
        output being the one that is chosen.

    Raises
    ------
    NotAChain
        If the circuit is no chain.
    InputError
        If lines, targets, rates or bounds do not fit it, or lines are not finite.
    """

    def __init__(
        self,
        circuit: Circuit,
        lines: NDArray[np.floating],
        targets: NDArray[np.floating],
        *,
        rates: Mapping[str, float],
        bounds: Mapping[str, tuple[float, float]],
        batch: int,
        settings: FusedSettings,
        doubled: bool = False,
        tolerance: float | None = None,
    ) -> None:
        self.settings, self.batch, self.doubled = settings, batch, doubled
        self.rates, self.bounds = dict(rates), dict(bounds)
        if tolerance is not None and not tolerance >= 0:
            raise InputError(f"fused epochs: tolerance = {tolerance:g} V must not be negative")
        self.tolerance = -1.0 if tolerance is None else float(tolerance)
        self.dtype: np.dtype[np.floating] = np.dtype(settings.precision)
        self._check_lines(circuit, lines)
        if targets.shape != (len(lines), len(circuit.output_pairs)):
            raise InputError(
                f"targets have shape {targets.shape}; expected {(len(lines), len(circuit.output_pairs))}"
            )
        blocks = tuple(circuit.parameters)
        unknown = [block for block in (*self.rates, *self.bounds) if block not in blocks]
        if unknown:
            raise InputError(
                f"fused epochs: rate or bounds for {unknown[0]}, which is no trainable block; these are "
                f"{', '.join(blocks)}"
            )
        self.data = np.ascontiguousarray(lines, dtype=self.dtype)
        self.targets = np.ascontiguousarray(targets, dtype=self.dtype)
        most = settings.threads or min(os.cpu_count() or 1, batch // 2 or 1)
        self.choice = _Choice(most, fixed=settings.threads > 0)
        self.lost = np.zeros(len(lines))
        self.wrong = np.zeros(len(lines), np.bool_)
        self.load(circuit)
        self._make_room()
        if settings.direction == "energy" and not self.chain.shape.reciprocal:
            raise InputError(
                "fused epochs: the circuit has no energy, since couplings differ forth and back; use direction = "
                '"non_reciprocal"'
            )

    def _check_lines(self, circuit: Circuit, lines: NDArray[np.floating]) -> None:
        count = len(circuit.input_nodes) // (2 if self.doubled else 1)
        if lines.ndim != 2 or lines.shape[1] != count:
            raise InputError(f"lines have shape {lines.shape}; expected (samples, {count})")
        finite = np.isfinite(lines)
        if not finite.all():
            wrong = np.argwhere(~finite)
            sample, line = wrong[0]
            raise InputError(
                f"lines: {len(wrong)} voltages are not finite, the first {lines[sample, line]:g} V at line {line} "
                f"of sample {sample}; leave such samples out"
            )

    def load(self, circuit: Circuit) -> None:
        """Take the parameters of ``circuit``, which has the same topology."""
        self.chain = Chain(circuit, doubled=self.doubled, dtype=self.dtype, parts=self.choice.most)

    def _make_room(self) -> None:
        """Make what all parameters of the topology share: the threads' room, and the states that samples keep."""
        from analogep.learning.fused.scratch import training_room

        net = self.chain.net
        nodes, lanes = int(net.node[-1]), sum(beta != 0 for beta in self.settings.betas)
        self.kept = np.zeros((len(self.data) if self.settings.persistent else 0, nodes), self.dtype)
        self._into = np.zeros((2, self.batch, int(net.shape[0, 2])), self.dtype)
        states = [np.zeros(count * self.batch * nodes, self.dtype) for count in (1, lanes)]
        outputs, turned = self.targets.shape[1], self.settings.direction == "non_reciprocal"
        self._work = [
            training_room(net, self.batch, outputs, lanes, *states, turned=turned) for _ in range(self.choice.most)
        ]

    @property
    def circuit(self) -> Circuit:
        """The circuit with its present parameters."""
        return self.chain.circuit.with_parameters(self.chain.parameters())

    def _step(self, factor: float, order: Index) -> object:
        from analogep.learning.fused.kernels.arrays import Step

        chain, (b1, b2) = self.chain, self.settings.betas
        free = (-np.inf, np.inf)
        rates: list[list[float]] = []
        bounds: list[list[tuple[float, float]]] = []
        bias_rates, bias_bounds = [], []
        ranges = chain.circuit.parameter_ranges
        for g, c in enumerate(chain.circuit.couplings):
            scale = chain.shape.scale[g] * factor / (b2 - b1)
            blocks = [block if c.trainable else None for block in chain.shape.blocks[g]]
            rates.append([0.5 * scale * self.rates.get(b, 0.0) if b else 0.0 for b in blocks])
            bounds.append([self.bounds.get(b, ranges[b]) if b else free for b in blocks])
            bias = chain.bias_block(g)
            bias_rates.append(0.0 if bias is None else scale * self.rates.get(bias, 0.0))
            bias_bounds.append(free if bias is None else self.bounds.get(bias, free))
        rule = DIRECTIONS.index(self.settings.direction)
        signs = np.ones(-(-len(order) // self.batch), self.dtype)
        if self.settings.variant == "random":
            signs = hashed_signs(order, self.batch).astype(self.dtype)

        def array(values: object) -> NDArray[np.floating]:
            return np.array(values, dtype=self.dtype)

        return Step(
            array((b1, b2)),
            self.settings.nudge == "frozen",
            array(rates),
            array(bias_rates),
            array(bounds),
            array(bias_bounds),
            signs,
            rule,
        )

    def _stop(self, sweeps: int) -> object:
        from analogep.learning.fused.kernels.arrays import Stop

        tolerance = max(self.settings.tolerance, 1e-6 if self.dtype == np.float32 else 0.0)
        eps = float(np.finfo(self.dtype).eps)
        return Stop(sweeps or MOST_SWEEPS, 0.0 if sweeps else tolerance, 4.0 * eps)

    def _owners(self, threads: int) -> Index:
        """Share the tiles out: the largest first, each to the thread with the least to do."""
        net = self.chain.net
        rows = np.append(len(self.chain.circuit.couplings[0].rows), net.shape[1:, 1] - net.shape[1:, 0])
        cost = (net.tiles[:, 2] - net.tiles[:, 1]) * rows[net.tiles[:, 0]]
        load, owner = np.zeros(threads), np.zeros(len(cost), np.int64)
        for t in np.argsort(-cost, kind="stable"):
            owner[t] = np.argmin(load)
            load[owner[t]] += cost[t]
        return owner

    def run(self, order: Index, factor: float = 1.0) -> int:
        """Train on the samples ``order``, batch after batch; returns how many were done.

        Fewer than all are done if a phase of some batch did not settle: the parameters are then those before
        this batch. ``lost`` (S,) [V²] and ``wrong`` (S,) hold the cost and the error of each sample's free phase.

        Parameters
        ----------
        order
            Samples, as indices into ``lines``.
        factor
            Factor on all rates.

        Raises
        ------
        ConvergenceError
            If a fixed number of sweeps drives voltages beyond all bounds.
        """
        from analogep.learning.fused.kernels.arrays import Lines
        from analogep.learning.fused.kernels.first import line_currents
        from analogep.learning.fused.kernels.loops import train

        if not len(order):
            return 0
        threads = self.choice.next()
        began = time.perf_counter()
        net, lines = self.chain.net, Lines(self.data, self.chain.extra)
        order = np.ascontiguousarray(order, dtype=np.int64)
        line_currents(net, lines, order[: self.batch], self._work[0].front, self._into[0])
        status, counter = np.zeros(2, np.int64), np.zeros(1, np.int64)
        shared = (
            counter, self._owners(threads), net, lines, self.targets, self.tolerance, order, self.batch,
            self._step(factor, order), self._stop(self.settings.sweeps),
            self._stop(self.settings.nudged_sweeps or self.settings.sweeps), self._into,
        )  # fmt: skip
        results = (self.kept, self.lost, self.wrong, status)
        _together(threads, lambda k: train(k, threads, *shared, self._work[k], *results))
        done = len(order)
        if status[0]:
            done = int(status[1]) * self.batch
            if self.settings.sweeps:
                raise ConvergenceError(
                    f"{int(status[0])} phases ran away within {self.settings.sweeps} sweeps; use a smaller β or "
                    "rate, or sweeps = 0 to let phases settle"
                )
        self.choice.note(threads, (time.perf_counter() - began) * self.batch / max(done, 1))
        return done

    def outputs(self, lines: NDArray[np.floating], otherwise: Callable[[Index], Array] | None = None) -> Array:
        """Return the outputs (S, O) [V] of settled free phases for lines at (S, F) [V].

        Samples 2 k and 2 k + 1 share their passes over the crossbars, so that the last bits of one depend on the
        other.

        Parameters
        ----------
        lines
            Voltages of the clamped lines.
        otherwise
            Finds the outputs of samples that do not settle, given their indices (s,).

        Raises
        ------
        InputError
            If lines do not fit the circuit or are not finite.
        ConvergenceError
            If some sample does not settle, and there is no ``otherwise``.
        """
        from analogep.learning.fused.kernels.arrays import Lines
        from analogep.learning.fused.kernels.loops import predict
        from analogep.learning.fused.scratch import reading_room

        self._check_lines(self.chain.circuit, lines)
        data = Lines(np.ascontiguousarray(lines, dtype=self.dtype), self.chain.extra)
        out = np.zeros((len(lines), self.targets.shape[1]), self.dtype)
        threads = self.choice.most
        edges = [BLOCK * (len(lines) * k // (threads * BLOCK)) for k in range(threads)] + [len(lines)]
        net, stop, samples = self.chain.net, self._stop(0), np.arange(len(lines))
        rooms = [reading_room(net, BLOCK, out.shape[1]) for _ in range(threads)]
        _together(threads, lambda k: predict(net, data, stop, edges[k], edges[k + 1], samples, rooms[k], out))
        found = out.astype(np.float64)
        failed = np.flatnonzero(np.isnan(found).any(axis=1))
        if len(failed) and otherwise is None:
            raise ConvergenceError(
                f"the free phase of {len(failed)} of {len(lines)} samples did not settle within {MOST_SWEEPS} "
                "sweeps; loosen the tolerance or use the newton engine"
            )
        if len(failed) and otherwise is not None:
            found[failed] = otherwise(failed)
        return found
