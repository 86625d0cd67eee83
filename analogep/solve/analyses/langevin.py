"""Thermal noise in the leaky integrator: C dv = −F(v) dt + noise currents.

Every ohmic conductance g carries white noise of spectral density 4kTg (one-sided; Nyquist 1928): in a step h a
current of variance 2kTg/h. At rest a reciprocal circuit then fluctuates as equipartition demands, with the
covariance kT C⁻¹ of its node voltages: kT/C for a single capacitor, whatever the conductances. A nonlinear element
says by its ``noise`` which conductance it is like at its voltage; it is that of the end of each step, as it must
for the same equilibrium (Klimontovich 1990, *Physica A* 163, 515: the kinetic form of a Langevin equation).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Bank, Circuit
from analogep.constants import BOLTZMANN, NOMINAL_TEMPERATURE
from analogep.devices import MultiPort, OnePort
from analogep.errors import ConvergenceError, InputError
from analogep.kinds import ByValue, checked
from analogep.memory import too_large
from analogep.solve.equations.model import Model
from analogep.solve.equations.stamps import scatter_add
from analogep.solve.equations.system import System
from analogep.solve.linear.systems import linear_solver
from analogep.solve.operating import operating_point
from analogep.solve.time.storage import Storage

Array = NDArray[np.float64]

_WILD = 8.0
"""Factor by which the noise of an element may change within a step."""


@dataclass(frozen=True, eq=False)
class LangevinTrajectory(ByValue):
    """Fluctuating voltages over time.

    Attributes
    ----------
    circuit
        The circuit.
    times
        Time points (T,) [s], from 0 (the operating point) in equal steps.
    voltages
        Node voltages (T, B, N) [V].
    """

    circuit: Circuit
    times: Array
    voltages: Array

    @checked()
    def voltage(self, node: str) -> Array:
        """Return the voltages (T, B) [V] of a node; raises :class:`InputError` if there is none."""
        out: Array = self.voltages[:, :, self.circuit.node(node)]
        return out


@checked()
def langevin(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None,
    duration: float,
    step: float,
    rng: np.random.Generator,
    temperature: float = NOMINAL_TEMPERATURE,
    node_capacitance: float = 1e-12,
) -> LangevinTrajectory:
    """Integrate C dv = −F(v) dt with the noise of all that conducts, from the operating point.

    Linearly implicit Euler–Maruyama: (C/h + J) Δv = −F(v) + noise, one linear solve a step, two where noise
    depends on voltages. It is stable for any step, of strong order 1 where the noise is additive, and damps what
    it cannot resolve: a mode of time constant τ has its variance divided by 1 + h/2τ. Resistors and crossbars make
    thermal noise, nonlinear elements that of their ``noise``. Linear controlled sources, transconductances and
    amplifiers are ideal and make none. A node without any capacitance shows noise of bandwidth 1/h.

    Parameters
    ----------
    circuit
        The circuit.
    inputs
        Voltages (B, I) or (I,) [V] of the input nodes, or a mapping. Repeat a row for independent samples.
    duration
        Time [s], rounded to whole steps.
    step
        Time step h [s]; see :func:`analogep.solve.time_constants` for the circuit's own times.
    rng
        Source of all randomness; one standard normal number per sample and step for each solved node and each
        nonlinear element.
    temperature
        Of all that makes noise [K]; zero for none.
    node_capacitance
        Capacitance [F] to ground of every solved node that has no capacitor of its own.

    Returns
    -------
    LangevinTrajectory
        All time points.

    Raises
    ------
    InputError
        If arguments do not fit the circuit, or a source has a waveform, or an element switches (an ideal
        diode), which a linearised step cannot follow, or nobody knows an element's noise (a transistor).
    ConvergenceError
        If there is no operating point, or the voltages run away.

    References
    ----------
    Nyquist, Thermal agitation of electric charge in conductors (Phys. Rev. 32, 1928). Kloeden & Platen,
    Numerical Solution of Stochastic Differential Equations (1992), section 12.2, on implicit Euler schemes.
    """
    _check(circuit, duration, step, rng, temperature)
    array = circuit.input_array(inputs)
    system = System(circuit, array)
    model = system.model
    stored = Storage(model, node_capacitance)
    if stored.banks:
        names = circuit.banks[stored.banks[0]].names
        raise InputError(
            f"{names[0]} stores a charge that bends with its voltage, which a linearised step cannot follow under "
            "noise; use a device without it, and a capacitor"
        )
    shunt = sp.csr_array(stored.capacitance / step)
    found = operating_point(circuit, array)
    x = model.unknowns(found.voltages, found.branches)
    scale = math.sqrt(2.0 * BOLTZMANN * temperature / step)
    factor = scale * _noise_factor(model)
    bent = _bent_banks(circuit) if temperature > 0.0 else []
    solver = linear_solver(model, shunt)
    steps = max(1, round(duration / step))
    problem = too_large(8.0 * (steps + 1.0) * found.voltages.size)
    if problem is not None:
        raise InputError(f"{steps} steps: the record {problem}; give a shorter duration, or a longer step")
    voltages = np.empty((steps + 1, *found.voltages.shape))
    voltages[0] = found.voltages
    for k in range(1, steps + 1):
        with np.errstate(over="ignore", invalid="ignore"):  # a sample that runs away is reported below
            ev = system.evaluate(x)
            noise = rng.standard_normal((len(x), factor.shape[1])) @ factor.T
            entries = model.slots.values(ev.slopes)
            if bent:
                drawn = [scale * rng.standard_normal((len(x), bank.size)) for bank in bent]
                before = _noise_of(bent, system.voltages(x))
                end = x + solver.solve(entries, noise + _bent_noise(model, bent, drawn, before) - ev.residual)
                after = _noise_of(bent, system.voltages(end))
                _check_step(bent, before, after, step)
                noise += _bent_noise(model, bent, drawn, after)
            x = x + solver.solve(entries, noise - ev.residual)
        if not np.isfinite(x).all():
            sample = int(np.flatnonzero(~np.isfinite(x).all(axis=1))[0])
            raise ConvergenceError(
                f"the voltages of sample {sample} run away at t = {k * step:.3g} s; if the operating point "
                f"is not unstable (see time_constants), give a step below {step:.3g} s"
            )
        voltages[k] = system.voltages(x)
    times = step * np.arange(steps + 1, dtype=np.float64)
    return LangevinTrajectory(circuit, times, voltages)


def _bent_banks(circuit: Circuit) -> list[Bank]:
    """Return the banks whose noise depends on their voltage."""
    return [b for b in circuit.banks if issubclass(b.device, OnePort) and not b.device.linear]


def _noise_of(banks: list[Bank], voltages: Array) -> list[Array]:
    """Return the conductance (B, E) [S] whose noise each element makes at node voltages (B, N) [V]."""
    found = []
    for bank in banks:
        assert issubclass(bank.device, OnePort)
        like = bank.device.noise(voltages[:, bank.pins[:, 0]] - voltages[:, bank.pins[:, 1]], bank.values)
        assert like is not None
        found.append(like)
    return found


def _check_step(banks: list[Bank], before: list[Array], after: list[Array], step: float) -> None:
    """Raise :class:`ConvergenceError` if the noise of an element changes too much for one step."""
    for bank, low, high in zip(banks, before, after, strict=True):
        wild = (high > _WILD * low) | (low > _WILD * high)
        if wild.any():
            sample, element = np.argwhere(wild)[0]
            raise ConvergenceError(
                f"noise drives {bank.names[element]} of sample {sample} past the bend of its law within one step; "
                f"give a step below {step:.3g} s, or a larger capacitance, so that it fluctuates by less"
            )


def _bent_noise(model: Model, banks: list[Bank], drawn: list[Array], like: list[Array]) -> Array:
    """Return the noise currents (B, n) [A] into the solver's rows of elements that are like conductances [S].

    ``drawn`` are normal numbers (B, E) of each bank, in units of the noise current of 1 S.
    """
    into = np.zeros((len(drawn[0]), len(model.circuit.nodes)))
    for bank, normal, g in zip(banks, drawn, like, strict=True):
        current = normal * np.sqrt(g)
        scatter_add(into, bank.pins[:, 1], current)
        scatter_add(into, bank.pins[:, 0], -current)
    return model.reduce_currents(into)


def _check(circuit: Circuit, duration: float, step: float, rng: np.random.Generator, temperature: float) -> None:
    """Raise :class:`InputError` unless the arguments make sense."""
    if not isinstance(rng, np.random.Generator):
        raise InputError(f"rng = {rng!r}; give a numpy.random.Generator, such as numpy.random.default_rng(seed)")
    if not 0.0 < step < math.inf:
        raise InputError(f"step = {step!r}; give a positive time in seconds")
    if not step <= duration < math.inf:
        raise InputError(f"duration = {duration!r}; give a time in seconds of at least one step ({step:g} s)")
    if not 0.0 <= temperature < math.inf:
        raise InputError(f"temperature = {temperature!r}; give kelvins, zero or more")
    if circuit.waveforms:
        raise InputError(
            f"{next(iter(circuit.waveforms))} follows a waveform, and noise is integrated around constant "
            "sources; remove the waveform"
        )
    for bank in circuit.banks:
        if not bank.device.analytic or (issubclass(bank.device, MultiPort) and bank.device.state is not None):
            raise InputError(
                f"{bank.names[0]} ({bank.device.kind}) switches: a linearised step cannot follow it "
                "under noise; use a device with a smooth law, such as Diode"
            )
    quiet = _without_noise(circuit) if temperature > 0.0 else None
    if quiet is not None:
        raise InputError(
            f"{quiet.names[0]} ({quiet.device.kind}) has no law of its noise, and without it the circuit would "
            "fluctuate too little; use resistors, diodes, sinh resistors or tanh neurons there, give the device a "
            "noise(v, p), or set temperature = 0"
        )


def _without_noise(circuit: Circuit) -> Bank | None:
    """Return a bank whose elements may make noise that nobody knows."""
    for bank in circuit.banks:
        if issubclass(bank.device, OnePort):
            if (
                bank.device.conducts(bank.values).any()
                and bank.device.noise(np.zeros(bank.size), bank.values) is None
            ):
                return bank
        elif not bank.device.linear:
            return bank
    return None


def _noise_factor(model: Model) -> Array:
    """Return L (n, m) with L Lᵀ = W G Wᵀ [S], G being the nodal matrix of all whose noise is always the same.

    The noise of one conductance leaves one node and enters the other, so that its covariance is its stamp; W
    carries node currents to rows, through sources and amplifiers.
    """
    circuit, plan = model.circuit, model.plan
    count = len(circuit.nodes)
    nodal = np.zeros((count, count))

    def add(a: NDArray[np.int64], b: NDArray[np.int64], g: Array) -> None:
        for row, column, sign in ((a, a, 1.0), (b, b, 1.0), (a, b, -1.0), (b, a, -1.0)):
            np.add.at(nodal, (row, column), sign * g)

    for bank in circuit.banks:
        if issubclass(bank.device, OnePort) and bank.device.linear:
            like = bank.device.noise(np.zeros(bank.size), bank.values)
            if like is not None:
                add(bank.pins[:, 0], bank.pins[:, 1], like)
    for c in circuit.crossbars:
        rows, columns = c.conductance.shape
        add(np.repeat(c.rows, columns), np.tile(c.columns, rows), c.conductance.ravel())
    solved = np.flatnonzero(plan.unknown >= 0)
    carry = np.zeros((plan.size, count))
    carry[plan.unknown[solved], solved] = model.w[solved]
    power, modes = np.linalg.eigh(carry @ nodal @ carry.T)
    rank = len(plan.nodes)  # no noise enters a branch equation
    top = slice(plan.size - rank, None)
    factor: Array = modes[:, top] * np.sqrt(np.maximum(power[top], 0.0))
    return factor
