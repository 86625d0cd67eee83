"""Sources and nudges over time: known voltages, residual and charge, all affine in the sources' values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analogep.devices import MultiPort, OnePort, VoltageSource, Waveform
from analogep.solve.equations.model import Model
from analogep.solve.equations.stamps import scatter_add
from analogep.solve.equations.system import System
from analogep.solve.nudge import SineNudge

Array = NDArray[np.float64]


class Drives:
    """The waveforms of a circuit's sources and inputs, and what a unit of each does.

    Parameters
    ----------
    system
        The system whose ``known`` and ``offset`` follow the waveforms; its own are those of constant sources.
    inputs
        Waveforms of input nodes [V], by position among the inputs.
    sources
        Waveforms of independent sources [V or A], by element name.
    """

    def __init__(self, system: System, inputs: Mapping[int, Waveform], sources: Mapping[str, Waveform]) -> None:
        self.system = system
        model = system.model
        circuit = model.circuit
        self.known, self.offset = system.known, system.offset
        nodes, size = len(circuit.nodes), model.plan.size
        waveforms, base = list(inputs.values()), [float(system.inputs[0, i]) for i in inputs]
        count = len(inputs)
        unit = np.zeros((count + 1, len(circuit.input_nodes)))
        unit[np.arange(count), list(inputs)] = 1.0
        volts = model.known_voltages(unit)
        volts = volts[:-1] - volts[-1]
        amperes = np.zeros((count, nodes))
        for bank in circuit.banks:
            held = [e for e, name in enumerate(bank.names) if name in sources]
            if not held:
                continue
            waveforms += [sources[bank.names[e]] for e in held]
            value = bank.values["voltage" if issubclass(bank.device, VoltageSource) else "amplitude"]
            base += [float(v) for v in value[held]]
            more = np.zeros((len(held), nodes))
            if issubclass(bank.device, VoltageSource):
                volts = np.vstack([volts, [_unit_voltage(model, bank.name, e) for e in held]])
                amperes = np.vstack([amperes, more])
            else:
                more[np.arange(len(held)), bank.pins[held, 0]] += 1.0
                more[np.arange(len(held)), bank.pins[held, 1]] -= 1.0
                volts = np.vstack([volts, np.zeros_like(more)])
                amperes = np.vstack([amperes, more])
        self.waveforms, self.base = tuple(waveforms), np.array(base)
        self.unit_known = volts
        self.unit_offset, self.unit_charge = np.zeros((len(base), size)), np.zeros((len(base), size))
        if len(base):
            rest = model.linear_offset(np.zeros((1, nodes)))
            self.unit_offset = model.linear_offset(volts) - rest + model.reduce_currents(amperes)
            self.unit_charge = charges(model, volts)
        self.bent = [k for k, w in enumerate(self.waveforms) if np.isfinite(w.pace())]
        self.pace = min((w.pace() for w in self.waveforms), default=np.inf)
        self.nudge = system.nudge if isinstance(system.nudge, SineNudge) else None
        if self.nudge is not None:
            self.pace = min(self.pace, 0.25 / self.nudge.frequency)
        self.start, self.end = 0.0, np.inf
        self.first = self.last = np.zeros(len(base))

    def corners(self, end: float) -> Array:
        """Return the times in (0, end] [s] where some source jumps or bends, ascending."""
        return np.unique(np.concatenate([np.zeros(0), *(w.corners(end) for w in self.waveforms)]))

    def values(self, t: float, *, before: bool = False) -> Array:
        """Return the value of every waveform at t, (K,), just after or just before it."""
        return np.array([float(w.value(t, before=before)) for w in self.waveforms])

    def segment(self, start: float, end: float) -> None:
        """Prepare times from just after ``start`` to just before ``end``, between which there is no corner."""
        self.start, self.end = start, end
        self.first = self.values(start)
        self.last = self.values(end, before=True) if np.isfinite(end) else self.first

    def apply(self, t: float) -> Array:
        """Put the system at time t of the segment; return the sources' part of q, (n,)."""
        if self.nudge is not None:
            self.system.nudge = self.nudge.at(t)
        if not self.waveforms:
            return np.zeros(self.system.model.plan.size)
        part = (t - self.start) / (self.end - self.start) if np.isfinite(self.end) else 0.0
        values = self.first + part * (self.last - self.first)
        for k in self.bent:
            values[k] = self.waveforms[k].value(t)
        return self.put(values)

    def put(self, values: Array) -> Array:
        """Give the sources these values (K,); return their part of q, (n,)."""
        change = values - self.base
        self.system.known = self.known + change @ self.unit_known
        self.system.offset = self.offset + change @ self.unit_offset
        out: Array = change @ self.unit_charge
        return out


def _unit_voltage(model: Model, bank: str, element: int) -> Array:
    """Return how all node voltages (N,) change per volt of one voltage source."""
    circuit = model.circuit
    sources = [b for b in circuit.constraint_banks if issubclass(b.device, VoltageSource)]
    silent = {f"{b.name}.voltage": np.zeros(b.size) for b in sources}
    _, _, rest = model.plan.elimination.factors(circuit._with(silent))
    silent[f"{bank}.voltage"][element] = 1.0
    _, _, driven = model.plan.elimination.factors(circuit._with(silent))
    return driven - rest


def charges(model: Model, volts: Array, across: Mapping[int, Array] | None = None) -> Array:
    """Return the linear part of the charge rows (K, n) that node voltages (K, N) alone give.

    Capacitors of a bank in ``across`` are at its voltages (E,) instead, where these are not NaN.
    """
    circuit, plan = model.circuit, model.plan
    charge = np.zeros(volts.shape)
    for b in (*plan.linear_banks, *plan.nonlinear_banks):
        bank = circuit.banks[b]
        assert issubclass(bank.device, OnePort)
        value = bank.device.capacitance(bank.values)
        if value is not None:
            held = volts[:, bank.pins[:, 0]] - volts[:, bank.pins[:, 1]]
            if across is not None and b in across:
                held = np.where(np.isnan(across[b]), held, across[b])
            q = value * held
            scatter_add(charge, bank.pins[:, 0], q)
            scatter_add(charge, bank.pins[:, 1], -q)
    out = model.reduce_currents(charge)
    for b in plan.multiport_banks:
        bank = circuit.banks[b]
        assert issubclass(bank.device, MultiPort)
        stored = bank.device.storage(bank.values)
        if stored is not None:
            z = model.local_values(b, volts, np.zeros((len(volts), plan.size)))
            local = plan.local_unknowns(circuit, b)
            model._scatter_local(out, bank, local, (stored @ z[..., None])[..., 0])
    return out
