"""Frequency propagation: the error as an alternating current, the answer as a Fourier coefficient."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.devices import MultiPort
from analogep.errors import InputError, RuleError
from analogep.kinds import checked
from analogep.learning.costs.base import Cost, target_array
from analogep.learning.gradient import Gradient, adjoint_products, scaled
from analogep.learning.resolution import check_resolved
from analogep.learning.rules.base import NATIVE, SQUARED_ERROR, Inputs, Solver, require_observables
from analogep.learning.scaling import require_energy
from analogep.solve import SineNudge, Solution, TransientOptions, transient
from analogep.solve.analyses.small_signal import time_constants_at

Array = NDArray[np.float64]

_SETTLED = 1e-9
"""What may be left of the slowest mode when the measurement begins."""


@checked()
@dataclass(frozen=True)
class FrequencyPropagation:
    """Frequency propagation (Anisetti, Kandala, Scellier & Schwarz 2024, section 3).

    Inputs and biases stay constant while the error currents −β ∂C/∂o sin(ωt) enter the outputs. Each element's
    voltage difference then has a mean a and a coefficient b of sin(ωt), both measured over whole periods, and
    dC/dθ ≈ ∂i/∂θ(a) · b/β: a b/β for a conductance. An element with several ports, such as a mutual
    transconductance, counts with the coefficient of sin(ωt) in its observable. The circuit is the leaky integrator
    of :func:`analogep.transient`.

    Both a and b are off by O(β²). A mode of time constant τ lags behind: its part of b is in phase by
    1/(1 + (ωτ)²) only. A low frequency therefore approaches the adjoint, and costs a long measurement.

    Attributes
    ----------
    beta
        Nudging strength β [S] for the squared error.
    lag
        ωτ at the slowest time constant of the batch, which sets the frequency.
    frequency
        Frequency [Hz] to use instead.
    periods
        Whole periods that are measured, after the slowest mode has settled.
    steps
        Time steps per period.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own.
    """

    beta: float = 1e-6
    lag: float = 0.03
    frequency: float | None = None
    periods: int = 1
    steps: int = 32
    node_capacitance: float = 1e-12

    def __post_init__(self) -> None:
        if not 0.0 <= self.node_capacitance < np.inf:
            raise InputError(f"node_capacitance = {self.node_capacitance:g} F must be finite and not negative")
        if not (0 < self.beta < np.inf):
            raise InputError(f"β = {self.beta:g} S must be finite and positive")
        if not (0 < self.lag < np.inf):
            raise InputError(
                f"lag = {self.lag:g}: ωτ must be finite and positive; below 0.1 approaches the gradient"
            )
        if self.frequency is not None and not (0 < self.frequency < np.inf):
            raise InputError(f"frequency = {self.frequency:g} Hz must be finite and positive")
        if self.periods < 1 or self.steps < 8:
            raise InputError(
                f"periods = {self.periods} and steps = {self.steps}: give at least 1 period and 8 steps in each"
            )

    @property
    def name(self) -> str:
        """Name for tables and messages."""
        return "frequency propagation"

    @checked()
    def gradient(
        self,
        circuit: Circuit,
        inputs: Inputs,
        targets: ArrayLike,
        cost: Cost = SQUARED_ERROR,
        solver: Solver = NATIVE,
    ) -> Gradient:
        """Return the estimate of dC/dθ, a mean over the batch; parameters as for ``EquilibriumPropagation``.

        ``info`` holds the ``frequency`` [Hz], the slowest time constant ``tau`` [s], and the nodes' coefficients
        ``in_phase`` and ``quadrature`` (B, N) [V] of sin(ωt) and cos(ωt).

        Raises
        ------
        RuleError
            If the circuit has no energy, a trainable parameter no co-content derivative, or a waveform drives it.
        InputError
            If nothing in the circuit has a time constant, or β moves nothing by more than rounding.
        ConvergenceError
            If the free equilibrium is unstable, or a step has no solution.
        """
        scale = require_energy(circuit, self.name)
        require_observables(circuit, self.name)
        if circuit.waveforms:
            raise RuleError(
                f"{self.name} needs constant inputs, and {next(iter(circuit.waveforms))} has a waveform; remove it"
            )
        array = circuit.input_array(inputs)
        wanted = target_array(circuit, targets, len(array), cost)
        free = solver(circuit, array)
        tau = float(time_constants_at(free, array, 1, self.node_capacitance).max())
        if not 0.0 < tau < math.inf:
            raise RuleError(
                f"the slowest time constant of the free equilibrium is {tau:g} s, which sets no frequency for "
                f"{self.name}; a finite one needs a stable circuit and a node_capacitance above zero"
            )
        frequency = self.frequency or self.lag / (2.0 * math.pi * tau)
        voltages, times = self._measure(
            free, array, self.beta * cost.gradient(free.outputs, wanted), frequency, tau
        )
        phase = 2.0 * math.pi * frequency * times
        mean = voltages.mean(axis=0)
        sine, cosine = (2.0 / len(times) * wave for wave in (np.sin(phase), np.cos(phase)))
        in_phase, quadrature = (np.einsum("t,tbn->bn", wave, voltages - mean) for wave in (sine, cosine))
        pull = cost.gradient(free.outputs, wanted)
        check_resolved(self.name, ("β", self.beta, " S"), free, array, pull, in_phase)
        raw = adjoint_products(circuit, replace(free, voltages=mean), in_phase / -self.beta, None)
        raw |= _several_ports(circuit, voltages, sine / self.beta)
        return Gradient(
            scaled(circuit, scale, raw),
            raw,
            cost.value(free.outputs, wanted),
            free,
            self.name,
            {"frequency": frequency, "tau": tau, "in_phase": in_phase, "quadrature": quadrature},
        )

    def _measure(
        self, free: Solution, inputs: Array, amplitude: Array, frequency: float, tau: float
    ) -> tuple[Array, Array]:
        """Return voltages (T, B, N) [V] at the times (T,) [s] of the last whole periods."""
        first = math.ceil(math.log(1.0 / _SETTLED) * tau * frequency)
        count = self.steps * self.periods
        times = (first + (1.0 + np.arange(count)) / self.steps) / frequency
        options = TransientOptions(step=1.0 / (self.steps * frequency), node_capacitance=self.node_capacitance)
        run = transient(
            free.circuit, inputs, nudge=SineNudge(amplitude, frequency), v0=free, options=options, times=times
        )
        return run.voltages, times


def _several_ports(circuit: Circuit, voltages: Array, wave: Array) -> dict[str, Array]:
    """Return Σ_t wave(t) ∂Φ/∂θ(t), a mean over the batch, of each trainable block of multi-ports.

    ``voltages`` (T, B, N) [V] are those at the times of ``wave`` (T,).
    """
    out: dict[str, Array] = {}
    for bank in circuit.banks:
        if bank.trainable and issubclass(bank.device, MultiPort):
            seen = bank.device.observable(voltages[:, :, bank.pins], bank.values)
            assert seen is not None
            for key in sorted(bank.trainable):
                out[f"{bank.name}.{key}"] = np.einsum("t,tbe->e", wave, seen[key]) / voltages.shape[1]
    return out
