"""What a device's law returns, looked at once for each class: a shape that does not fit is a fault by name.

A device written outside the package is a full member, and its law is called by many engines; one whose arrays have
other shapes would be broadcast to wrong numbers in some and fail far from its cause in others.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.devices.base import Constraint, Device, MultiPort, OnePort, Values
from analogep.errors import Fault

Array = NDArray[np.float64]

_SAMPLES = 3
_SOUND: weakref.WeakSet[type[Device]] = weakref.WeakSet()
"""Classes whose laws returned what they must."""


def law_faults(device: type[Device], values: Values) -> list[Fault]:
    """Return the faults of what a device's law returns for the first elements of a bank with legal ``values``."""
    if device in _SOUND:
        return []
    few = {key: value[:2] for key, value in values.items()}
    count = min((len(value) for value in few.values()), default=1)
    if not count:
        return []
    with np.errstate(all="ignore"):
        faults = list(_looked_at(device, few, count))
    if not faults:
        _SOUND.add(device)
    return faults


def _looked_at(device: type[Device], p: Values, count: int) -> Iterator[Fault]:
    able = [key for key, info in device.parameters().items() if info.trainable]
    own = (count,)
    if issubclass(device, OnePort):
        v = np.linspace(-0.1, 0.1, _SAMPLES * count).reshape(_SAMPLES, count)
        yield from _checked(device, "current", lambda: device.current(v, p), (v.shape, v.shape))
        yield from _checked(device, "cocontent", lambda: device.cocontent(v, p), v.shape)
        yield from _checked(device, "limit", lambda: device.limit(v, 0.0 * v, p), v.shape)
        slopes = dict.fromkeys(able, v.shape)
        yield from _checked(device, "current_gradient", lambda: device.current_gradient(v, p), slopes)
        yield from _checked(device, "cocontent_gradient", lambda: device.cocontent_gradient(v, p), slopes)
        yield from _checked(device, "conducts", lambda: device.conducts(p), own)
        yield from _checked(device, "least_slope", lambda: device.least_slope(p), own)
        yield from _checked(device, "capacitance", lambda: device.capacitance(p), own, may_lack=True)
        yield from _checked(device, "thermal_scale", lambda: device.thermal_scale(p), own, may_lack=True)
        yield from _checked(device, "noise", lambda: device.noise(v, p), v.shape, may_lack=True)
    elif issubclass(device, MultiPort):
        size = len(device.pins) + device.branches
        z = np.linspace(-0.1, 0.1, _SAMPLES * count * size).reshape(_SAMPLES, count, size)
        square = (count, size, size) if device.linear else (*z.shape, size)
        yield from _checked(device, "stamp", lambda: device.stamp(z, p), (z.shape, square))
        yield from _checked(
            device, "stamp_gradient", lambda: device.stamp_gradient(z, p), dict.fromkeys(able, z.shape)
        )
        yield from _checked(device, "limit", lambda: device.limit(z, 0.0 * z, p), z.shape)
        yield from _checked(device, "storage", lambda: device.storage(p), (count, size, size), may_lack=True)
    elif issubclass(device, Constraint):
        yield from _checked(device, "law", lambda: device.law(p), (own, own, own))


def _checked(
    device: type[Device], name: str, call: Callable[[], Any], wanted: Any, *, may_lack: bool = False
) -> Iterator[Fault]:
    """Yield the fault of one method, called with ``call``, whose result must have the shapes ``wanted``."""
    where = f"device {device.kind}"
    try:
        found = call()
    except Exception as error:  # whatever a user's law raises
        yield Fault(where, f"its {name} fails with {type(error).__name__}: {error}; mend it")
        return
    if found is None and may_lack:
        return
    shapes = _shapes(found)
    if isinstance(wanted, Mapping):
        lacking = [key for key in wanted if not isinstance(shapes, Mapping) or shapes.get(key) != wanted[key]]
        right = not lacking
    else:
        right = shapes == wanted
    if not right:
        yield Fault(where, f"its {name} returns {_text(shapes)}; make it {_text(wanted)}")


def _shapes(found: Any) -> Any:
    """Return the shape of an array of numbers, or those of a tuple or mapping of them; else the type's name."""
    if isinstance(found, Mapping):
        return {key: _shapes(value) for key, value in found.items()}
    if isinstance(found, (tuple, list)):
        return tuple(_shapes(value) for value in found)
    if isinstance(found, (np.ndarray, np.generic)) and np.asarray(found).dtype.kind in "fiub":
        return np.shape(found)
    return type(found).__name__


def _text(shapes: Any) -> str:
    if isinstance(shapes, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(value)}" for key, value in shapes.items()) + "}"
    if isinstance(shapes, tuple) and all(isinstance(n, int) for n in shapes):
        return f"an array of shape {shapes}"
    if isinstance(shapes, tuple):
        return f"({', '.join(map(_text, shapes))})"
    return f"a {shapes}"
