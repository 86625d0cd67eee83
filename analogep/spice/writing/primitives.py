"""A circuit as SPICE primitives, in no dialect: what the writer, PySpice and the reader's check share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Bank, Circuit, Crossbar, TransconductanceCrossbar
from analogep.constants import CELSIUS_ZERO
from analogep.devices import CCCS, CCVS, BidirectionalAmplifier, Device, IdealDiode, Resistor
from analogep.devices.base import Primitive
from analogep.errors import Fault, InputError, NetlistError
from analogep.solve import ConductanceNudge, CurrentNudge, Nudge
from analogep.spice.dialects.base import celsius

Array = NDArray[np.float64]
Index = NDArray[np.int64]

LETTERS: dict[str, str] = {
    "resistor": "R",
    "capacitor": "C",
    "inductor": "L",
    "voltage_source": "V",
    "current_source": "I",
    "diode": "D",
    "junction_diode": "D",
    "vcvs": "E",
    "vccs": "G",
    "nmos": "M",
    "pmos": "M",
    "switch": "S",
}
"""Type letter of the devices that are one SPICE element each; the reader understands them without help."""

MODELLED = frozenset({"D", "M", "S"})
"""Letters of the elements that name a model card."""

COMPOUND: frozenset[type[Device]] = frozenset({BidirectionalAmplifier, CCCS, CCVS, IdealDiode})
"""Devices written as several elements, or as one that says less than the device."""


def base_gmin(circuit: Circuit) -> float | None:
    """Return the smallest junction shunt [S] of the circuit, which becomes the simulator's own gmin."""
    values = [bank.values["gmin"].min() for bank in circuit.banks if "gmin" in bank.values and bank.size]
    return float(min(values)) if values else None


Style = Literal["plain", "prefixed", "marked"]
"""How a bank's names become SPICE names; see :func:`naming`."""


def naming(kind: str, names: tuple[str, ...]) -> Style:
    """Return how the names of a bank's elements become SPICE names, which begin with a type letter.

    ``"plain"`` where all of them begin with it (``R1``, ``Rload``), and for devices that are several SPICE
    elements, which have letters of their own. ``"prefixed"``, the letter in front of every name, where none does.
    Else ``"marked"``: those that begin with it stay, the others get it with ``_`` behind it, as do the few that
    begin so by themselves; so each name can be told from its SPICE name.
    """
    if kind not in LETTERS:
        return "plain"
    own = sum(name.startswith(LETTERS[kind]) for name in names)
    return "plain" if own == len(names) else "marked" if own else "prefixed"


def spice_stem(kind: str, style: Style, name: str) -> str:
    """Return what follows the type letter in an element's SPICE name."""
    if kind not in LETTERS or style == "prefixed":
        return name
    if style == "plain":
        return name[1:]
    return name[1:] if name.startswith(LETTERS[kind]) and name[1:2] != "_" else f"_{name}"


def name_of(style: Style, written: str) -> str:
    """Return an element's name from its SPICE name, which :func:`spice_stem` made of it."""
    if style == "plain":
        return written
    if style == "prefixed":
        return written[1:]
    return written[2:] if written[1:2] == "_" else written


def element_primitives(
    device: type[Device],
    name: str,
    nodes: tuple[str, ...],
    values: Mapping[str, float],
    gmin: float | None,
) -> list[Primitive]:
    """Return the primitives of one element, with junction shunts above ``gmin`` [S] made explicit."""
    out: list[Primitive] = []
    for primitive in device.spice(name, nodes, values):
        out += _with_shunt(primitive, gmin)
    return out


def is_compound(device: type[Device], values: Mapping[str, float], gmin: float | None) -> bool:
    """Whether an element needs a structured comment to be read back as one device."""
    kelvin = values.get("temperature")
    return (
        device in COMPOUND
        or device.kind not in LETTERS
        or values.get("gmin", gmin) != gmin
        or values.get("gate_voltage", 0.0) != 0.0
        or (kelvin is not None and celsius(kelvin) + CELSIUS_ZERO != kelvin)
    )


def _with_shunt(primitive: Primitive, gmin: float | None) -> list[Primitive]:
    """Take gmin out of a diode's or a MOSFET's card; what exceeds the simulator's becomes a resistor."""
    if primitive.model is None:
        return [primitive]
    kind, parameters = primitive.model
    card = dict(parameters)
    own = card.pop("gmin", gmin)
    if own is None or gmin is None or own == gmin:
        return [replace(primitive, model=(kind, tuple(card.items())))]
    if primitive.letter != "D":  # a MOSFET has two junctions, from bulk to drain and to source
        drain, _, source, bulk = primitive.nodes
        return [
            replace(primitive, model=(kind, tuple(card.items()))),
            Primitive("R", f"{primitive.name}_gmin_drain", (bulk, drain), (1.0 / (own - gmin),)),
            Primitive("R", f"{primitive.name}_gmin_source", (bulk, source), (1.0 / (own - gmin),)),
        ]
    anode, cathode = primitive.nodes
    name, junction, series = primitive.name, anode, []
    if card.get("rs", 0.0) > 0.0:  # the shunt sits across the junction, inside the series resistance
        junction = f"D{name}_junction"
        series = [Primitive("R", f"{name}_rs", (anode, junction), (card["rs"],))]
        card["rs"] = 0.0
    return [
        *series,
        replace(primitive, nodes=(junction, cathode), model=(kind, tuple(card.items()))),
        Primitive("R", f"{name}_gmin", (junction, cathode), (1.0 / (own - gmin),)),
    ]


def bank_primitives(circuit: Circuit, bank: Bank, gmin: float | None) -> Iterator[tuple[int, list[Primitive]]]:
    """Yield (element index, primitives) with the names that a netlist uses; see :func:`naming`."""
    keys = list(bank.values)
    kind = bank.device.kind
    style = naming(kind, bank.names)
    columns = [bank.values[k].tolist() for k in keys]
    for e, (name, pins) in enumerate(zip(bank.names, bank.pins.tolist(), strict=True)):
        values = {k: column[e] for k, column in zip(keys, columns, strict=True)}
        nodes = tuple(circuit.nodes[i] for i in pins)
        primitives = element_primitives(bank.device, spice_stem(kind, style, name), nodes, values, gmin)
        if name in circuit.waveforms:
            primitives = [replace(p, waveform=circuit.waveforms[name].spice()) for p in primitives]
        yield e, primitives


def crossbar_primitives(circuit: Circuit, crossbar: Crossbar) -> Iterator[Primitive]:
    """Yield the resistors of a crossbar, zero conductances left out."""
    nodes = circuit.nodes
    for r, row in enumerate(crossbar.rows.tolist()):
        for k, (column, g) in enumerate(
            zip(crossbar.columns.tolist(), crossbar.conductance[r].tolist(), strict=True)
        ):
            if g > 0.0:
                yield Primitive("R", crossbar.element_name(r, k), (nodes[row], nodes[column]), (1.0 / g,))


def transconductance_primitives(circuit: Circuit, t: TransconductanceCrossbar) -> Iterator[Primitive]:
    """Yield the G sources of a coupling by transconductance, forward ones first, zeros left out."""
    rows, columns = ([circuit.nodes[i] for i in side] for side in (t.rows, t.columns))
    for key, matrix in (("forward", t.forward), ("backward", t.backward)):
        for r, k in () if matrix is None else np.argwhere(matrix != 0.0).tolist():
            into, of = (rows[r], columns[k]) if key == "backward" else (columns[k], rows[r])
            assert matrix is not None
            yield Primitive("G", t.element_name(key, r, k), ("0", into, of, "0"), (float(matrix[r, k]),))


def input_primitives(circuit: Circuit, voltages: Array) -> list[Primitive]:
    """Return a source to ground for each input node, named after it; ``voltages`` (I,) [V]."""
    return [
        Primitive("V", name, (node, "0"), (value,))
        for name, node, value in zip(_input_names(circuit), circuit.inputs, voltages.tolist(), strict=True)
    ]


def _input_names(circuit: Circuit) -> list[str]:
    """Return what follows the V in the names of the inputs' sources: the nodes, other than elements are called."""
    names = (n.lower() for bank in circuit.banks if bank.device is not Resistor for n in bank.names)
    taken = {form for name in names for form in (name, f"v{name}", f"v_{name}")}
    found = []
    for node in circuit.inputs:
        name = node
        while f"v{name}".lower() in taken:
            name += "_input"
        taken.add(f"v{name}".lower())
        found.append(name)
    return found


@dataclass(frozen=True)
class NudgeTerms:
    """A nudge as numbers per sample.

    Attributes
    ----------
    kind
        ``"conductance"`` or ``"current"``.
    beta
        Nudging conductance [S]; 0 for currents.
    values
        Targets [V] or currents [A], (B, O).
    """

    kind: str
    beta: float
    values: Array


def nudge_terms(circuit: Circuit, nudge: Nudge, batch: int | None = None) -> NudgeTerms:
    """Return a nudge in the form that SPICE elements can express.

    Raises
    ------
    NetlistError
        For a nudge that is neither a conductance to a target nor a constant current.
    InputError
        If its arrays do not fit the circuit's outputs or the batch.
    """
    if isinstance(nudge, ConductanceNudge):
        kind, beta, values = "conductance", float(nudge.beta), np.atleast_2d(np.asarray(nudge.target, float))
    elif isinstance(nudge, CurrentNudge):
        kind, beta, values = "current", 0.0, np.atleast_2d(np.asarray(nudge.current, float))
    else:
        raise NetlistError(
            "netlist export",
            [
                Fault(
                    f"nudge {type(nudge).__name__}",
                    "only ConductanceNudge and CurrentNudge have a SPICE form; freeze it as a CurrentNudge",
                )
            ],
        )
    count = len(circuit.output_pairs)
    if not count:
        raise InputError("a nudge needs outputs, and this circuit has none; name outputs when you build it")
    try:
        shape = (len(values) if batch is None else batch, count)
        values = np.broadcast_to(values, shape)
    except ValueError:
        raise InputError(
            f"the nudge has shape {values.shape}; expected (batch, {count}), one value per output"
        ) from None
    if not (np.isfinite(values).all() and np.isfinite(beta)):
        raise InputError("the nudge is not finite; give finite targets, currents and β")
    return NudgeTerms(kind, beta, values)


def nudge_primitives(
    nodes: tuple[str, ...], output_pairs: Index, terms: NudgeTerms, sample: int = 0
) -> list[Primitive]:
    """Return the elements of one sample's nudge, output after output.

    A conductance β between an output and its target, i = β (o - y), is a G source controlled by o - y, with y
    a source on top of the output's negative node; it draws no current there, so a pair stays balanced.
    """
    out = []
    for k, (value, (plus, minus)) in enumerate(
        zip(terms.values[sample].tolist(), output_pairs.tolist(), strict=True)
    ):
        p, n = nodes[plus], nodes[minus]
        if terms.kind == "current":
            out.append(Primitive("I", f"nudge{k}", (p, n), (value,)))
        else:
            target = f"nudge{k}_target"
            out.append(Primitive("V", f"nudge{k}", (target, n), (value,)))
            out.append(Primitive("G", f"nudge{k}", (p, n, p, target), (terms.beta,)))
    return out
