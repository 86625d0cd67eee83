"""PySpice: a circuit as a PySpice ``Circuit``; its shared library is driven by ``pyspice_engine``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analogep.circuit import Circuit
from analogep.devices.base import Primitive
from analogep.errors import EngineError, InputError
from analogep.kinds import checked
from analogep.solve import Nudge
from analogep.spice.dialects import DIALECTS, SIZES, Card, celsius, number
from analogep.spice.writing.primitives import (
    bank_primitives,
    base_gmin,
    crossbar_primitives,
    input_primitives,
    nudge_primitives,
    nudge_terms,
    transconductance_primitives,
)
from analogep.spice.writing.writer import to_netlist

_ELEMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "R": ("R", ("resistance",)),
    "C": ("C", ("capacitance",)),
    "L": ("L", ("inductance",)),
    "V": ("V", ("dc_value",)),
    "I": ("I", ("dc_value",)),
    "E": ("VCVS", ("voltage_gain",)),
    "G": ("VCCS", ("transconductance",)),
    "F": ("F", ("source", "current_gain")),
    "H": ("H", ("source", "transresistance")),
    "B": ("B", ("current_expression",)),
}
"""PySpice's method and keywords for each type letter without a model; D, M and S have one."""


def load_pyspice() -> ModuleType:
    """Return the module ``PySpice.Spice.Netlist``.

    Raises
    ------
    EngineError
        If PySpice is not installed; the message holds the remedy.
    """
    try:
        # by its full name: PySpice.Spice has a class of the same name
        return importlib.import_module("PySpice.Spice.Netlist")
    except ImportError:
        raise EngineError('PySpice is not installed: pip install "analogep[spice]"') from None


def pyspice_version() -> str:
    """Return PySpice's version; raises :class:`EngineError` if it is not installed."""
    load_pyspice()
    import PySpice

    return str(PySpice.__version__)


@checked()
def to_pyspice(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    nudge: Nudge | None = None,
    title: str = "analogep circuit",
    sample: int = 0,
) -> Any:
    """Return a PySpice ``Circuit`` of one sample, built element by element.

    Parameters
    ----------
    circuit, inputs, nudge, title, sample
        As for :func:`analogep.spice.to_netlist`.

    Raises
    ------
    EngineError
        If PySpice is not installed.
    NetlistError, InputError
        As :func:`analogep.spice.to_netlist`, by whose checks the circuit goes first.
    """
    module = load_pyspice()
    # One set of rules for names, ranges and shapes: whatever the writer refuses is refused here too.
    to_netlist(circuit, inputs, nudge=nudge, title=title, sample=sample)
    array = circuit.input_array(np.zeros(len(circuit.input_nodes)) if inputs is None else inputs)
    netlist = module.Circuit(title)
    models: dict[tuple[Card, float | None], str] = {}
    for primitive in _primitives(circuit, array[sample], nudge, sample):
        _add(netlist, primitive, models)
    for (card, kelvin), name in models.items():
        kind, parameters = card
        tnom = {} if kelvin is None else {"tnom": celsius(kelvin)}
        netlist.model(name, kind, **dict(parameters), **tnom)
    gmin = base_gmin(circuit)
    if gmin is not None:
        dialect = DIALECTS["ngspice"]
        netlist.raw_spice += dialect.options({"gmin": max(gmin, dialect.limits.smallest_gmin)}) + "\n"
    return netlist


def _primitives(circuit: Circuit, voltages: np.ndarray, nudge: Nudge | None, sample: int) -> Iterator[Primitive]:
    gmin = base_gmin(circuit)
    yield from input_primitives(circuit, voltages)
    for crossbar in circuit.crossbars:
        yield from crossbar_primitives(circuit, crossbar)
    for coupling in circuit.transconductances:
        yield from transconductance_primitives(circuit, coupling)
    for bank in circuit.banks:
        for _, primitives in bank_primitives(circuit, bank, gmin):
            yield from primitives
    if nudge is not None:
        terms = nudge_terms(circuit, nudge)
        yield from nudge_primitives(circuit.nodes, circuit.output_pairs, terms, sample)


def _add(netlist: Any, primitive: Primitive, models: dict[tuple[Card, float | None], str]) -> None:
    letter, tail = primitive.letter, []
    keywords: dict[str, Any] = {}
    if primitive.model is not None:
        head = primitive.model[0][0].lower()
        keywords["model"] = models.setdefault((primitive.model, primitive.temperature), f"{head}{len(models) + 1}")
        method = letter
        if letter == "M":
            tail = [f"{key}={number(float(value))}" for key, value in zip(SIZES, primitive.args, strict=False)]
        else:
            tail = [str(value) for value in primitive.args]
    elif letter in _ELEMENTS:
        method, keys = _ELEMENTS[letter]
        keywords |= zip(keys, primitive.args, strict=True)
    else:
        raise InputError(f"{letter}{primitive.name}: elements of this type have no PySpice form here")
    if primitive.temperature is not None:
        tail.append(f"temp={number(celsius(primitive.temperature))}")
    if primitive.waveform is not None:
        kind, numbers = primitive.waveform
        tail.append(f"{kind}({' '.join(number(value) for value in numbers)})")
    if tail:
        keywords["raw_spice"] = " ".join(tail)
    getattr(netlist, method)(primitive.name, *primitive.nodes, **keywords)
