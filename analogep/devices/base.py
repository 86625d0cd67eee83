"""What a device is: a frozen set of parameters and a law on arrays.

A device class is used twice. An *instance* (``Resistor(conductance=1e-4)``) is what a user puts on an edge
of a graph. The *class* is what a :class:`~analogep.circuit.Bank` carries: its static methods evaluate the
law for all elements of the bank at once, on arrays.

Three families cover every device:

* :class:`OnePort`: current and slope as a function of the voltage between its two pins;
* :class:`MultiPort`: any number of pins and of extra unknowns (branch currents), with a local Jacobian;
* :class:`Constraint`: a device that fixes one pin's voltage from the other's, which the plan eliminates
  instead of solving (independent voltage sources, bidirectional amplifiers).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from analogep.errors import CircuitError, Fault
from analogep.kinds import is_number, require_parts, shown

Array = NDArray[np.float64]
Values = Mapping[str, Array]
"""Parameter arrays of one bank, by name, each of shape (E,), in SI units."""


@dataclass(frozen=True)
class Parameter:
    """Description of one device parameter.

    Attributes
    ----------
    unit
        SI unit, as printed to users (``"S"``, ``"A"``, ``"1"`` for a number).
    doc
        What it is.
    low, high
        Range of legal values; ``low_open`` excludes ``low`` itself.
    trainable
        Whether a learning rule can give its gradient.
    default
        Default value, ``None`` where the user must give one.
    """

    unit: str
    doc: str
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    trainable: bool = False
    default: float | None = None


def parameter(
    unit: str,
    doc: str,
    *,
    default: float | None = None,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    trainable: bool = False,
) -> Any:
    """Declare a numeric device parameter as a dataclass field; see :class:`Parameter`."""
    info = Parameter(unit, doc, low, high, low_open, trainable, default)
    return field(default=MISSING if default is None else default, metadata={"parameter": info})


def _parameter_of(f: Field[Any]) -> Parameter | None:
    return f.metadata.get("parameter")


class Device(ABC):
    """Base of all devices; subclass one of the three families instead.

    Attributes
    ----------
    kind
        Name in the registry, in configs and in error messages.
    pins
        Names of the pins, in SPICE order. Current is positive from the first pin to the second, through
        the element.
    branches
        Number of extra unknowns (branch currents) of one element.
    linear
        Whether the local Jacobian is constant (independent of voltages).
    reciprocal
        Whether the law derives from a co-content, so that equilibrium propagation may use it.
    """

    kind: ClassVar[str]
    pins: ClassVar[tuple[str, ...]]
    branches: ClassVar[int] = 0
    linear: ClassVar[bool] = True
    reciprocal: ClassVar[bool] = True
    is_source: ClassVar[bool] = False
    """Whether it is an independent source, which delivers the power that all else takes."""
    analytic: ClassVar[bool] = True
    """Whether the law is smooth, in pieces perhaps: no ideal diode, clip or switch."""
    passive: ClassVar[bool] = True
    """Whether its current grows with its voltage, so that it takes from every small change and feeds none."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        lacking = [name for name in ("kind", "pins") if not hasattr(cls, name)]
        require_parts(cls, "device", [*lacking, *cls._lacking()])

    @classmethod
    def _lacking(cls) -> list[str]:
        """Return the parts that this family needs beside its abstract ones, and that the class leaves out."""
        return []

    @classmethod
    def _is_trainable(cls) -> bool:
        """Return whether some parameter that the class declares is trainable, before its fields are known."""
        infos = [_parameter_of(f) for f in vars(cls).values() if isinstance(f, Field)]
        return any(info is not None and info.trainable for info in infos)

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """Return the numeric parameters of this device by name."""
        found = {f.name: _parameter_of(f) for f in fields(cls)}  # type: ignore[arg-type]
        return {name: info for name, info in found.items() if info is not None}

    @property
    def values(self) -> dict[str, float]:
        """Parameter values of this instance, by name, in SI units."""
        return {name: float(getattr(self, name)) for name in self.parameters()}

    @classmethod
    def check(cls, values: Values, names: tuple[str, ...]) -> list[Fault]:
        """Return one fault for each element (of ``names``) and parameter outside its legal range."""
        faults = []
        for key, info in cls.parameters().items():
            array = np.asarray(values[key], dtype=float)
            low_bad = array <= info.low if info.low_open else array < info.low
            bad = ~np.isfinite(array) | low_bad | (array > info.high)
            for e in np.flatnonzero(bad):
                faults.append(Fault(names[e], f"{key} = {array.flat[e]:g}{_unit(info)} {_range_text(info)}"))
        return faults

    def __post_init__(self) -> None:
        if not hasattr(self, "kind"):
            name = type(self).__name__
            raise CircuitError(f"device {name}", [Fault(name, "is a base of devices; use one derived from it")])
        values = {}
        for key, info in self.parameters().items():
            value = getattr(self, key)
            if not is_number(value):
                raise CircuitError(
                    f"device {self.kind}",
                    [Fault(key, f"{shown(value)} is not a number; give a value in {info.unit}")],
                )
            values[key] = np.array([float(value)])
        faults = self.check(values, (type(self).__name__,))
        if faults:
            raise CircuitError(f"device {self.kind}", faults)

    @classmethod
    @abstractmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        """Return the SPICE elements that make up one element of this device.

        Parameters
        ----------
        name
            The element's name, without a SPICE type letter.
        nodes
            SPICE names of its pins, in the order of ``pins``.
        p
            Its parameters, in SI units.
        """


def _unit(info: Parameter) -> str:
    return "" if info.unit == "1" else f" {info.unit}"


def _range_text(info: Parameter) -> str:
    if info.low == 0 and info.high == math.inf:
        sign = "positive" if info.low_open else "non-negative"
        return f"must be finite and {sign}"
    if info.low == -math.inf and info.high == math.inf:
        return "must be finite"
    left = "(" if info.low_open else "["
    return f"must lie in {left}{info.low:g}, {info.high:g}]{_unit(info)}"


@dataclass(frozen=True)
class Primitive:
    """One SPICE element in dialect-neutral form.

    Attributes
    ----------
    letter
        SPICE type letter: R C L V I E F G H D M S, or B for a behavioural current source.
    name
        Name after the letter.
    nodes
        Node names; in SPICE order.
    args
        What follows the nodes: numbers, names of controlling sources, an expression for ``B``; length and
        width [m] of a MOSFET, and perimeters [m] of drain and source where they matter; ``on`` or ``off`` of a
        switch.
    model
        Model type and parameters for elements that need a ``.model`` card.
    temperature
        Element temperature [K] where it matters.
    waveform
        Keyword and arguments of a source's value over time; its number stays the direct-current value.
    """

    letter: str
    name: str
    nodes: tuple[str, ...]
    args: tuple[float | str, ...] = ()
    model: tuple[str, tuple[tuple[str, float], ...]] | None = None
    temperature: float | None = None
    waveform: tuple[str, tuple[float, ...]] | None = None


class OnePort(Device):
    """A device with two pins whose current depends on the voltage between them alone.

    Arrays: ``v`` has shape (..., E), the parameters (E,). The current flows from pin 0 to pin 1.
    """

    @classmethod
    def _lacking(cls) -> list[str]:
        gradients = ("current_gradient", "cocontent_gradient") if cls._is_trainable() else ()
        return [name for name in gradients if getattr(cls, name) is getattr(OnePort, name)]

    @staticmethod
    @abstractmethod
    def current(v: Array, p: Values) -> tuple[Array, Array]:
        """Return the current i(v) [A] and the slope di/dv [S], both of ``v``'s shape."""

    @staticmethod
    @abstractmethod
    def cocontent(v: Array, p: Values) -> Array:
        """Return the co-content Φ(v) = ∫₀^v i(u) du [W]."""

    @classmethod
    def continued(cls, v: Array, p: Values, at: Array) -> tuple[Array, Array]:
        """Return current and slope at complex voltages v (..., E) [V], continued from real ones ``at``.

        Of a law in pieces it is the piece on which ``at`` lies, so that it is analytic in v. A law in one piece
        takes complex voltages as they are.
        """
        return cls.current(v, p)

    @staticmethod
    def current_gradient(v: Array, p: Values) -> dict[str, Array]:
        """Return ∂i/∂θ for each trainable parameter θ."""
        return {}

    @staticmethod
    def cocontent_gradient(v: Array, p: Values) -> dict[str, Array]:
        """Return ∂Φ/∂θ for each trainable parameter θ: the observable of equilibrium propagation."""
        return {}

    @staticmethod
    def limit(v_new: Array, v_old: Array, p: Values) -> Array:
        """Return ``v_new``, pulled back towards ``v_old`` where the law is too steep for a full step."""
        return v_new

    @staticmethod
    def load_point(v_open: Array, resistance: Array, p: Values) -> Array | None:
        """Return about which v solves v + R i(v) = ``v_open``, R > 0 being the load's ``resistance`` [Ω].

        ``None`` for a device that does not offer it and is content with ``limit``.
        """
        return None

    @staticmethod
    def capacitance(p: Values) -> Array | None:
        """Return the capacitance dq/dv [F], or ``None`` for a device that stores no charge."""
        return None

    @classmethod
    def noise(cls, v: Array, p: Values) -> Array | None:
        """Return the conductance (..., E) [S] whose thermal noise the element makes at v; ``None``: not known.

        The spectral density of its current is 4kT times as much (one-sided; Nyquist 1928). At 0 V it is the slope,
        so that a circuit that nothing drives fluctuates as equipartition demands. Elements that carry no current
        which depends on their voltage make none and are not asked.
        """
        return None

    @staticmethod
    def thermal_scale(p: Values) -> Array | None:
        """Return the voltage [V] over which the law bends (nV_T of a junction), ``None`` if it is linear."""
        return None

    @staticmethod
    def least_slope(p: Values) -> Array:
        """Return a lower bound (E,) [S] of the slope di/dv anywhere."""
        return np.zeros(np.shape(next(iter(p.values()))))

    @staticmethod
    def conducts(p: Values) -> NDArray[np.bool_]:
        """Return which elements carry a direct current that depends on their voltage."""
        first = next(iter(p.values()))
        return np.ones(np.shape(first), dtype=bool)


class MultiPort(Device):
    """A device with any number of pins, and ``branches`` extra unknowns with as many extra equations.

    The local unknowns of one element are z = (pin voltages, branch currents), L in all; its local residual
    f(z) holds the currents leaving each pin through the element, then its branch equations.
    """

    passive: ClassVar[bool] = False
    state: ClassVar[str | None] = None
    """Name of the parameter that remembers what happened before (a switch's position), if one does."""

    @classmethod
    def _lacking(cls) -> list[str]:
        wanted = ["stamp_gradient"] if cls._is_trainable() else []
        wanted += ["next_state", "held"] if cls.state is not None else []
        return [name for name in wanted if getattr(cls, name) is getattr(MultiPort, name)]

    @staticmethod
    @abstractmethod
    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        """Return f (..., E, L) and its Jacobian: (E, L, L) if the device is linear, else (..., E, L, L)."""

    @staticmethod
    def stamp_gradient(z: Array, p: Values) -> dict[str, Array]:
        """Return ∂f/∂θ (..., E, L) for each trainable parameter θ."""
        return {}

    @staticmethod
    def observable(z: Array, p: Values) -> dict[str, Array] | None:
        """Return what a local rule measures (..., E) for each trainable parameter, as a co-content's slope [W/θ].

        That slope itself for a reciprocal device, that of the conductance that it stands in for otherwise, such
        as for a transistor on an edge; ``None`` for a device that has none.
        """
        return None

    @staticmethod
    def storage(p: Values) -> Array | None:
        """Return M (E, L, L) of the law over time, f(z) + M dz/dt = 0; ``None`` for a law without memory."""
        return None

    @staticmethod
    def charge(z: Array, p: Values) -> tuple[Array, Array] | None:
        """Return q(z) (..., E, L) and dq/dz of the law over time, f(z) + M dz/dt + dq/dt = 0; ``None`` without."""
        return None

    @classmethod
    def charge_step(cls, z: Array, z_from: Array, p: Values) -> tuple[Array, Array] | None:
        """Return the charge that comes on the straight way from ``z_from`` to z, (..., E, L), and its slope in z.

        A law of capacitances that derive from no charge says so here; else it is the difference of ``charge``.
        """
        here, there = cls.charge(z, p), cls.charge(z_from, p)
        return None if here is None or there is None else (here[0] - there[0], here[1])

    @staticmethod
    def next_state(z: Array, p: Values) -> Array:
        """Return the value (..., E) of the parameter ``state`` once the element has settled at z.

        Raises
        ------
        NotImplementedError
            For a device without a state.
        """
        raise NotImplementedError("this device has no state")

    @staticmethod
    def held(state: Array, p: Values) -> dict[str, Array]:
        """Return the parameters (..., E) to change so that the device stays in ``state`` wherever z goes."""
        raise NotImplementedError("this device has no state")

    @staticmethod
    def limit(z_new: Array, z_old: Array, p: Values) -> Array:
        """Return where to linearise next: ``z_new``, pulled back towards ``z_old`` where the law is too steep.

        Newton's method then uses f(z) ≈ f(limited) + J (z − limited); all arrays are (..., E, L).
        """
        return z_new

    @staticmethod
    def piece(z: Array, p: Values) -> NDArray[np.bool_] | None:
        """Return on which of its two pieces each element is, (..., E); ``None`` unless the law has two."""
        return None

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        """Return the pairs of pins between which a direct current can always flow."""
        return ()


class Constraint(Device):
    """A device that fixes v(child) = ratio · v(parent) + offset and passes ``back`` · i on to the parent.

    ``i`` is the current that leaves the child node through all other elements; the parent node then carries
    ``back`` · i. For a voltage source both factors are 1 and current is conserved; for a bidirectional
    amplifier they are its voltage gain A and its current gain B, the rest returning through ground.
    """

    child: ClassVar[int]
    """Index of the child pin; the parent is the other one."""
    reversible: ClassVar[bool] = False
    """Whether parent and child may be exchanged (true for a source, not for an amplifier)."""

    @classmethod
    def _lacking(cls) -> list[str]:
        return [] if hasattr(cls, "child") else ["child"]

    @staticmethod
    @abstractmethod
    def law(p: Values) -> tuple[Array, Array, Array]:
        """Return (ratio, back, offset [V]), each (E,)."""
