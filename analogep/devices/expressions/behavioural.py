"""Behavioural sources: currents and voltages that are expressions of voltages, one device class per expression."""

from __future__ import annotations

import copyreg
import functools
import keyword
import weakref
from abc import ABC, ABCMeta
from collections.abc import Mapping, Sequence
from dataclasses import field, make_dataclass
from typing import Any, ClassVar

import numpy as np

from analogep.devices.base import Array, MultiPort, Primitive, Values, parameter
from analogep.devices.expressions.expression import Dual, Node, differentiate, parse, spell, steep_arguments
from analogep.errors import CircuitError, Fault
from analogep.kinds import checked

_KIND = "behavioural_current"
_GROUND = "0"


class _ByExpression(ABCMeta):
    """Type of the classes that :func:`behavioural_class` makes; they are pickled by their expression."""


class Behavioural(MultiPort, ABC, metaclass=_ByExpression):
    """Current from p to n that is a differentiable expression of voltages; made by :func:`behavioural`.

    Pins are p, n and the control nodes c1, c2, …, which draw no current. In the expression, ``v(p,n)`` is the
    source's own voltage, ``v(c1)`` a control node's, to ground. Names are parameters, all trainable; their
    units are those that make the expression a current in amperes. SPICE ``B``.

    It is no reciprocal element, even where the current depends on ``v(p,n)`` alone: its co-content has no
    closed form, so that equilibrium propagation cannot use it. The adjoint gradient can.
    """

    kind: ClassVar[str] = _KIND
    linear: ClassVar[bool] = False
    reciprocal: ClassVar[bool] = False
    expression: ClassVar[str]
    """The expression in its canonical spelling."""
    tree: ClassVar[Node]
    control: tuple[str, ...] | None

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        """Return its own pins if the current depends on a voltage there."""
        used = {pin for node in cls.tree.walk() if node.kind == "v" for pin in node.text.split(",")}
        return ((0, 1),) if used & {"p", "n"} else ()

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        text = spell(cls.tree, dict(zip(cls.pins, nodes, strict=True)), p)
        return [Primitive("B", name, nodes[:2], (text,))]


class BehaviouralVoltage(Behavioural, ABC):
    """Source whose voltage v(p) − v(n) is a differentiable expression of voltages.

    Made by :func:`behavioural_voltage`; all else is as for :class:`Behavioural`, with a branch current from p
    to n. In SPICE, a ``B`` current through 1 Ω is the expression in volts and an ``E`` source of gain 1 repeats
    it, which all simulators have, also those without behavioural voltages.
    """

    kind: ClassVar[str] = "behavioural_voltage"
    branches: ClassVar[int] = 1

    @classmethod
    def conducting_pins(cls) -> tuple[tuple[int, int], ...]:
        return ((0, 1),)

    @classmethod
    def spice(cls, name: str, nodes: tuple[str, ...], p: Mapping[str, float]) -> list[Primitive]:
        text = spell(cls.tree, dict(zip(cls.pins, nodes, strict=True)), p)
        value = f"{name}_value"
        return [
            Primitive("B", name, ("0", value), (text,)),
            Primitive("R", value, (value, "0"), (1.0,)),
            Primitive("E", name, (*nodes[:2], value, "0"), (1.0,)),
        ]


@checked(CircuitError)
def behavioural(expression: str, /, control: Sequence[str] = (), **parameters: float) -> Behavioural:
    """Return a behavioural current source as a device instance.

    Parameters
    ----------
    expression
        The current [A] from p to n, for example ``"g*tanh(v(p,n)/v0) + gm*v(gate)"``; see
        :mod:`analogep.devices.expressions.expression` for the grammar. ``v()`` takes p, n, ``0`` and the nodes
        of ``control``.
    control
        Names of the nodes, other than its own, whose voltages the expression uses.
    parameters
        Value of every name in the expression.

    Raises
    ------
    CircuitError
        If the expression is malformed, or its nodes or names do not fit the arguments.
    """
    return _device(expression, control, parameters, voltage=False)


@checked(CircuitError)
def behavioural_voltage(
    expression: str, /, control: Sequence[str] = (), **parameters: float
) -> BehaviouralVoltage:
    """Return a behavioural voltage source; arguments and errors are those of :func:`behavioural`, in volts."""
    made = _device(expression, control, parameters, voltage=True)
    assert isinstance(made, BehaviouralVoltage)
    return made


def _device(
    expression: str, control: Sequence[str], parameters: Mapping[str, float], *, voltage: bool
) -> Behavioural:
    base = _base(voltage=voltage)
    try:
        tree = parse(expression)
    except ValueError as error:
        raise CircuitError(f"device {base.kind}", [Fault("expression", str(error))]) from None
    pins = {node: f"c{k + 1}" for k, node in enumerate(control)}
    faults = []
    for node in tree.walk():
        if node.kind == "v":
            unknown = [n for n in node.text.split(",") if n not in ("p", "n", _GROUND, *control)]
            faults += [Fault("expression", f"v({n}): add node {n} to control=(...)") for n in unknown]
    if {"p", "n", _GROUND} & set(control) or len(pins) != len(control):
        faults.append(Fault("control", f"{tuple(control)}: give other nodes than p, n and ground, each once"))
    names = {node.text for node in tree.walk() if node.kind == "name"}
    faults += [Fault(name, "the expression uses it; give its value") for name in sorted(names - set(parameters))]
    faults += [Fault(name, "the expression does not use it") for name in sorted(set(parameters) - names)]
    if faults:
        raise CircuitError(f"device {base.kind}", faults)
    canonical = spell(_renamed(tree, pins), {}, {})
    device = behavioural_class(canonical, len(control), voltage=voltage)
    made: Behavioural = device(**parameters, control=tuple(control))  # type: ignore[call-arg]
    return made


def _base(*, voltage: bool) -> type[Behavioural]:
    return BehaviouralVoltage if voltage else Behavioural


def _renamed(tree: Node, pins: Mapping[str, str]) -> Node:
    parts = tuple(_renamed(part, pins) for part in tree.parts)
    text = tree.text
    if tree.kind == "v":
        text = ",".join(pins.get(pin, pin) for pin in text.split(","))
    return Node(tree.kind, parts, text, tree.value)


_MOST_CONTROLS = 9999

_OWN = frozenset({"control", "expression", "pins", "tree"})
"""Names that mean something else to these classes."""

_CLASSES: weakref.WeakValueDictionary[tuple[str, int, str], type[Behavioural]] = weakref.WeakValueDictionary()


@checked(CircuitError)
def behavioural_class(expression: str, controls: int, *, voltage: bool = False) -> type[Behavioural]:
    """Return the device class of an expression over the pins p, n, c1 … c``controls``.

    It is the same class as long as it is in use. The expression is a current, or with ``voltage`` a voltage.

    Raises
    ------
    CircuitError
        If the expression is malformed or uses a name that no parameter may have.
    """
    base = _base(voltage=voltage)
    if not 0 <= controls <= _MOST_CONTROLS:
        what = f"{controls}; give the number of control nodes, 0 to {_MOST_CONTROLS}"
        raise CircuitError(f"device {base.kind}", [Fault("controls", what)])
    try:
        tree = parse(expression)
    except ValueError as error:
        raise CircuitError(f"device {base.kind}", [Fault("expression", str(error))]) from None
    canonical = spell(tree, {}, {})
    key = (canonical, controls, base.kind)
    found = _CLASSES.get(key)
    if found is None:
        found = _CLASSES[key] = _made(canonical, tree, controls, base)
    return found


def _made(canonical: str, tree: Node, controls: int, base: type[Behavioural]) -> type[Behavioural]:
    pins = ("p", "n", *(f"c{k + 1}" for k in range(controls)))
    nodes = tree.walk()
    names = sorted({node.text for node in nodes if node.kind == "name"})
    bad = [n for n in names if hasattr(Behavioural, n) or keyword.iskeyword(n) or "." in n or n in _OWN]
    used = {pin for node in nodes if node.kind == "v" for pin in node.text.split(",")}
    faults = [Fault(name, "a parameter cannot have this name; choose another") for name in bad]
    faults += [
        Fault("expression", f"v({pin}) is no pin; pins are {', '.join(pins)}") for pin in used - {*pins, _GROUND}
    ]
    if faults:
        raise CircuitError(f"device {base.kind}", faults)
    steep = steep_arguments(tree)

    def duals(z: Array, p: Values, by: str) -> tuple[dict[str, Dual], dict[str, Dual]]:
        one = np.asarray(1.0)
        variables = {k: Dual(p[k], {k: one} if by == "names" else {}) for k in names}
        voltages = {pin: Dual(z[..., k], {pin: one} if by == "pins" else {}) for k, pin in enumerate(pins)}
        return variables, {**voltages, _GROUND: Dual(np.asarray(0.0), {})}

    def stamp(z: Array, p: Values) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):  # where the law has no value, the solver sees it and says so
            law = differentiate(tree, *duals(z, p, "pins"))
        f, jac = np.zeros(z.shape), np.zeros((*z.shape, z.shape[-1]))
        if base.branches:  # of which the last row is v(p) − v(n) − law
            f[..., 0], f[..., 1], f[..., -1] = z[..., -1], -z[..., -1], z[..., 0] - z[..., 1] - law.value
            jac[..., 0, -1], jac[..., 1, -1], jac[..., -1, 0], jac[..., -1, 1] = 1.0, -1.0, 1.0, -1.0
            for k, pin in enumerate(pins):
                jac[..., -1, k] -= law.slopes.get(pin, 0.0)
            return f, jac
        f[..., 0] = law.value
        f[..., 1] = -f[..., 0]
        for k, pin in enumerate(pins):
            jac[..., 0, k] = law.slopes.get(pin, 0.0)
            jac[..., 1, k] = -jac[..., 0, k]
        return f, jac

    def stamp_gradient(z: Array, p: Values) -> dict[str, Array]:
        with np.errstate(all="ignore"):
            law = differentiate(tree, *duals(z, p, "names"))
        out = {}
        for name in names:
            out[name] = np.zeros(z.shape)
            if base.branches:
                out[name][..., -1] = -law.slopes.get(name, np.asarray(0.0))
                continue
            out[name][..., 0] = law.slopes.get(name, 0.0)
            out[name][..., 1] = -out[name][..., 0]
        return out

    def limit(z_new: Array, z_old: Array, p: Values) -> Array:
        share = np.ones(z_new.shape[:-1])
        with np.errstate(all="ignore"):
            for argument in steep:
                new, old = (np.abs(differentiate(argument, *duals(z, p, "")).value) for z in (z_new, z_old))
                floor = np.maximum(old, _FREE_EXPONENT)
                most = floor + np.log1p(np.maximum(new - floor, 0.0))
                share = np.where(new > most, np.minimum(share, (most - old) / (new - old)), share)
            if (share < 1.0).any():  # an exponential that saturates within the law needs no limit
                reached, beyond = (
                    np.abs(differentiate(tree, *duals(z, p, "")).value) for z in (z_new, 2.0 * z_new - z_old)
                )
                share = np.where(beyond <= _GROWTH * reached, 1.0, share)
        return np.where(share[..., None] < 1.0, z_old + share[..., None] * (z_new - z_old), z_new)

    members: list[Any] = [
        (name, float, parameter("1", "parameter of the expression", trainable=True)) for name in names
    ]
    made = make_dataclass(
        base.__name__,
        [*members, ("control", "tuple[str, ...] | None", field(default=None))],
        bases=(base,),
        frozen=True,
        namespace={
            "pins": pins,
            "expression": canonical,
            "tree": tree,
            "stamp": staticmethod(stamp),
            "stamp_gradient": staticmethod(stamp_gradient),
            "limit": staticmethod(limit),
            "__module__": __name__,
            "__doc__": base.__doc__,
        },
    )
    return made


_FREE_EXPONENT = 10.0
"""Argument of an exponential up to which a step of Newton's method is not limited."""


_GROWTH = 1e3
"""Growth of a law, where a step is twice as long, from which an exponential runs away in it."""


def _reduced(cls: type) -> str | tuple[Any, ...]:
    if issubclass(cls, Behavioural) and "tree" in vars(cls):
        made = functools.partial(behavioural_class, voltage=issubclass(cls, BehaviouralVoltage))
        return made, (cls.expression, len(cls.pins) - 2)
    return cls.__qualname__


copyreg.pickle(_ByExpression, _reduced)  # pickle asks here for what a class of this type is made of
