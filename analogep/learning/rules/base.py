"""Learning rules that use nothing but the phases of the circuit itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Bank, Circuit
from analogep.devices import Device, MultiPort
from analogep.errors import InputError, RuleError
from analogep.kinds import checked, require_parts
from analogep.learning.beta import is_passive, is_stable, largest_safe_beta, neuron_limit, safe_betas
from analogep.learning.costs.base import Cost, NudgeForm, SquaredError, check_nudge_form, target_array
from analogep.learning.gradient import Gradient, energy_difference, scaled
from analogep.learning.resolution import check_resolved
from analogep.learning.scaling import require_energy
from analogep.solve import Method, NewtonOptions, Nudge, Solution, operating_point

Array = NDArray[np.float64]
Variant = Literal["positive", "negative", "centered"]
VARIANTS: tuple[str, ...] = get_args(Variant)
AnyVariant = Literal["positive", "negative", "centered", "random"]
Inputs = ArrayLike | Mapping[str, ArrayLike] | None
SQUARED_ERROR = SquaredError()


def phase_betas(variant: AnyVariant, beta: float) -> tuple[float, float]:
    """Return β [S] of the two phases whose difference a variant takes, or may take; 0 is the free phase."""
    check_variant(variant, get_args(AnyVariant))
    return {"positive": (0.0, beta), "negative": (-beta, 0.0)}.get(variant, (-beta, beta))


def check_variant(variant: str, known: tuple[str, ...] = VARIANTS) -> None:
    """Raise :class:`InputError` unless the variant is one of those known."""
    if variant not in known:
        raise InputError(f"unknown variant {variant!r}; use one of {', '.join(known)}")


def check_beta(beta: float) -> None:
    """Raise :class:`InputError` unless β [S] is finite and positive."""
    if not (0 < beta < np.inf):
        raise InputError(f"β = {beta:g} S must be finite and positive; choose the sign by the variant")


def beyond_convexity(circuit: Circuit, beta: float, cost: Cost) -> str | None:
    """Return what β [S] exceeds if nudged by −β some sample may have no unique equilibrium, else ``None``.

    In networks of transconductances it is what holds a single neuron: whether a sample's phases converge shows
    when it is trained.
    """
    limit = neuron_limit(circuit) if circuit.transconductances else largest_safe_beta(circuit)
    return _beyond(limit, beta, cost.curvature(len(circuit.output_pairs)))


def _beyond(limit: float, beta: float, curvature: float) -> str | None:
    if beta * curvature < limit:
        return None
    share = "" if curvature == 1.0 else f" divided by {curvature:g}, the curvature of the cost"
    return f"{beta:g} S is not below {limit / curvature:.4g} S, the conductance that holds the outputs{share}"


def check_convex(free: Solution, inputs: Array, beta: float, cost: Cost) -> None:
    """Raise :class:`InputError` if nudged by −β a circuit at ``free`` may have no unique equilibrium."""
    circuit, curvature = free.circuit, cost.curvature(len(free.circuit.output_pairs))
    limit, where = largest_safe_beta(circuit), ""
    if beta * curvature >= limit and not is_passive(circuit):
        limits = safe_betas(free, inputs)
        limit, where = float(limits.min()), f" of sample {int(np.argmin(limits))}"
    too_large = _beyond(limit, beta, curvature)
    if too_large is not None:
        raise InputError(
            f"β = {too_large}{where}: nudged by −β the circuit has no unique equilibrium. Use a smaller β, the "
            "positive variant or a frozen nudge"
        )


def check_stable(free: Solution, inputs: Array, rule: str) -> None:
    """Raise :class:`RuleError` if the leaky integrator does not stay at the free phase of some sample."""
    stable = is_stable(free)
    if not stable.all():
        raise RuleError(
            f"{rule} starts from a stable free phase, and that of sample {int(np.argmin(stable))} is unstable: "
            "the circuit runs away from it. Start the solver elsewhere, or use larger leaks"
        )


def has_observable(device: type[Device]) -> bool:
    """Return whether a device is a multi-port with an observable of its own."""
    return issubclass(device, MultiPort) and device.observable is not MultiPort.observable


def without_observable(circuit: Circuit) -> Bank | None:
    """Return a bank whose trainable parameter has no local observable that phases could compare."""
    for bank in circuit.banks:
        device = bank.device
        if bank.trainable and issubclass(device, MultiPort) and not (device.reciprocal and has_observable(device)):
            return bank
    return None


def require_observables(circuit: Circuit, rule: str) -> None:
    """Raise :class:`RuleError` if a trainable parameter has no local observable that phases could compare."""
    bank = without_observable(circuit)
    if bank is not None:
        raise RuleError(
            f"{rule} has no local observable for {bank.names[0]}, a {bank.device.kind}; "
            "use NonReciprocalEP or the Adjoint rule"
        )


class Solver(Protocol):
    """Anything that finds operating points like :func:`analogep.operating_point`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        require_parts(cls, "solver")

    @abstractmethod
    def __call__(
        self, circuit: Circuit, inputs: Array, nudge: Nudge | None = None, *, v0: Solution | Array | None = None
    ) -> Solution:
        """Return the operating points of a batch."""
        ...


@checked()
@dataclass(frozen=True)
class NativeSolver:
    """The native solver with one method and its tolerances."""

    method: Method = "auto"
    options: NewtonOptions = field(default_factory=NewtonOptions)

    def __call__(
        self, circuit: Circuit, inputs: Array, nudge: Nudge | None = None, *, v0: Solution | Array | None = None
    ) -> Solution:
        """Return the operating points of a batch; see :func:`analogep.operating_point`."""
        return operating_point(circuit, inputs, nudge, self.method, v0, self.options)


NATIVE = NativeSolver()


class Rule(Protocol):
    """Maps (circuit, inputs, targets, cost) to a gradient with the shapes of the trainable parameters."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        require_parts(cls, "rule")

    @property
    @abstractmethod
    def name(self) -> str:
        """Name for tables and messages."""
        ...

    @abstractmethod
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the mean gradient over the batch."""
        ...


@checked()
@dataclass(frozen=True)
class EquilibriumPropagation:
    """Equilibrium propagation (Scellier & Bengio 2017; Kendall et al. 2020, theorem 1).

    dC/dθ ≈ [∂E/∂θ(v_{β₂}) − ∂E/∂θ(v_{β₁})] / (β₂ − β₁) with (β₁, β₂) = (0, β) for ``positive``, (−β, 0) for
    ``negative`` and (−β, β) for ``centered``, whose bias is O(β²) instead of O(β). ``random`` draws ``positive``
    or ``negative`` for every batch, so that the bias of first order averages out over batches at the price of two
    phases (Scellier & Bengio 2017, section 5.2). Behind amplifiers the local estimate is multiplied by the
    energy's scale; both are in the result.

    Attributes
    ----------
    beta
        Nudging strength β [S] for the squared error.
    variant
        ``"positive"``, ``"negative"``, ``"centered"`` or ``"random"``.
    nudge
        ``"error"``: the nudge follows the error as it shrinks; ``"frozen"``: fixed at the free phase's.
    check
        Whether the free phase is checked to be stable, and a repelling nudge against the largest β that keeps the
        problem convex.
    rng
        Draws the signs of the random variant, one for each call of :meth:`gradient`; no other variant has one.
    """

    beta: float = 1e-6
    variant: AnyVariant = "centered"
    nudge: NudgeForm = "error"
    check: bool = True
    rng: np.random.Generator | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_beta(self.beta)
        check_variant(self.variant, get_args(AnyVariant))
        check_nudge_form(self.nudge)
        if (self.variant == "random") != isinstance(self.rng, np.random.Generator):
            raise InputError(
                f"variant {self.variant!r} with rng = {self.rng!r}; the random variant, and no other, needs a "
                "numpy.random.Generator, such as numpy.random.default_rng(seed)"
            )

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return f"EP {self.variant}"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate of dC/dθ, a mean over the batch.

        Parameters
        ----------
        circuit
            A reciprocal circuit with trainable parameters.
        inputs, targets
            (B, I) and (B, O) [V].
        cost
            The cost.
        solver
            Finds the phases.

        Raises
        ------
        RuleError
            If the circuit has no energy, a trainable parameter no co-content derivative, or the free phase is a
            saddle.
        InputError
            If β makes the repelled phase non-convex, or the phases differ by rounding alone; names a right one.
        ConvergenceError
            If a phase has no operating point.
        """
        scale = require_energy(circuit, self.name)
        require_observables(circuit, self.name)
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        if self.check:
            check_stable(free, array, self.name)
            if self.variant != "positive" and self.nudge == "error":
                check_convex(free, array, self.beta, cost)
        outputs = free.outputs
        betas = phase_betas(self._drawn(), self.beta)
        phases: list[Solution] = []
        start: Solution | Array = free
        for beta in betas:
            if beta == 0.0:
                phases.append(free)
                continue
            nudge = cost.nudge(beta, outputs, wanted, self.nudge)
            phases.append(solver(circuit, array, nudge, v0=start))
            # to first order the other phase is the mirror image of this one about the free phase
            start = 2.0 * free.voltages - phases[-1].voltages
        move = phases[1].voltages - phases[0].voltages
        pull = cost.gradient(outputs, wanted)
        check_resolved(self.name, ("β", self.beta, " S"), free, array, pull, move)
        difference = energy_difference(circuit, phases[0].voltages, phases[1].voltages)
        raw = {key: value / (betas[1] - betas[0]) for key, value in difference.items()}
        return Gradient(
            scaled(circuit, scale, raw),
            raw,
            cost.value(outputs, wanted),
            free,
            self.name,
            {"betas": betas, "phases": tuple(phases)},
        )

    def _drawn(self) -> Variant:
        """Return the variant, a random one's drawn."""
        if self.variant != "random":
            return self.variant
        assert self.rng is not None
        return "positive" if self.rng.integers(2) else "negative"
