"""Learning rules that use nothing but the phases of the circuit itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.devices import Device, MultiPort
from analogep.errors import InputError, RuleError
from analogep.kinds import checked, require_parts
from analogep.learning.beta import largest_safe_beta
from analogep.learning.costs import Cost, NudgeForm, SquaredError, check_nudge_form, target_array
from analogep.learning.gradient import Gradient, energy_difference, scaled
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
    """Return what β [S] exceeds if nudged by −β the circuit may have no unique equilibrium, else ``None``."""
    limit, curvature = largest_safe_beta(circuit), cost.curvature(len(circuit.output_pairs))
    if beta * curvature < limit:
        return None
    share = "" if curvature == 1.0 else f" divided by {curvature:g}, the curvature of the cost"
    return f"{beta:g} S is not below {limit / curvature:.4g} S, the conductance that holds the outputs{share}"


def check_convex(circuit: Circuit, beta: float, cost: Cost) -> None:
    """Raise :class:`InputError` if nudged by −β the circuit may have no unique equilibrium."""
    too_large = beyond_convexity(circuit, beta, cost)
    if too_large is not None:
        raise InputError(
            f"β = {too_large}: nudged by −β the circuit has no unique equilibrium. Use a smaller β, the positive "
            "variant or a frozen nudge"
        )


def has_observable(device: type[Device]) -> bool:
    """Return whether a device is a multi-port with an observable of its own."""
    return issubclass(device, MultiPort) and device.observable is not MultiPort.observable


def require_observables(circuit: Circuit, rule: str) -> None:
    """Raise :class:`RuleError` if a trainable parameter has no local observable that phases could compare."""
    for bank in circuit.banks:
        device = bank.device
        if (
            bank.trainable
            and issubclass(device, MultiPort)
            and (not device.reciprocal or not has_observable(device))
        ):
            raise RuleError(
                f"{rule} has no local observable for {bank.names[0]}, a {device.kind}; "
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
        Whether a repelling nudge is checked against the largest β that keeps the problem convex.
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
            If the circuit has no energy, or a trainable parameter no co-content derivative.
        InputError
            If β makes the repelled phase non-convex; names the largest that is safe.
        ConvergenceError
            If a phase has no operating point.
        """
        scale = require_energy(circuit, self.name)
        require_observables(circuit, self.name)
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        if self.check and self.variant != "positive" and self.nudge == "error":
            check_convex(circuit, self.beta, cost)
        free = solver(circuit, array)
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
