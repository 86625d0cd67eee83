"""Circuits as netlists: text that a simulator runs, and that the reader turns back into an equal circuit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.solve import Nudge, Solution
from analogep.spice.dialects import DIALECTS, number
from analogep.spice.reading.reader import Netlist
from analogep.spice.writing.deck import Deck
from analogep.spice.writing.folding import fold
from analogep.spice.writing.layers import layers_of
from analogep.spice.writing.metadata import MARK
from analogep.spice.writing.primitives import nudge_primitives, nudge_terms
from analogep.spice.writing.script import Task

Hierarchy = Literal["flat", "layers"]
HIERARCHIES: tuple[str, ...] = get_args(Hierarchy)


@checked()
def to_netlist(
    circuit: Circuit | Netlist,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    dialect: str = "ngspice",
    nudge: Nudge | None = None,
    title: str | None = None,
    sample: int = 0,
    fold_inputs: bool = False,
    nodeset: Solution | None = None,
    hierarchy: Hierarchy = "flat",
) -> str:
    """Write a circuit as a netlist.

    Comments that begin with ``*@`` (see :mod:`analogep.spice.writing.metadata`) carry what SPICE cannot say, so
    that :func:`~analogep.spice.reading.reader.from_netlist` returns an equal circuit, conductances to the last
    bit. The netlist asks for the operating point, or for what a netlist that was read asks for, each dialect in
    its own words. Under ``ngspice -b`` it prints the voltages of the outputs (of all nodes, where there are
    none) with 16 digits, and its exit status is 1 if an analysis failed.

    Parameters
    ----------
    circuit
        The circuit; or a netlist that was read, which brings inputs, nudge, title, analyses, initial voltages,
        first guesses and options along.
    inputs
        Voltages (B, I) or (I,) [V]; one sample becomes a source to ground at each input node, named after
        it. ``None`` writes 0 V.
    dialect
        Name in :data:`analogep.spice.dialects.DIALECTS`. The reader understands ``"ngspice"`` and
        ``"ltspice"``; the others are for their simulators.
    nudge
        Extra currents at the outputs, written as G and V, or I, sources.
    title
        First line of the netlist.
    sample
        Which sample of ``inputs`` and ``nudge`` is written.
    fold_inputs
        Write the resistors at the input nodes as their Norton equivalents for this sample's voltages (see
        :mod:`analogep.spice.writing.folding`): the same voltages at every node, found orders of magnitude faster
        in a large network. It is for speed, not for reading back: there are no structured comments, and the
        folded resistors are gone. The currents that the inputs deliver are not those of the circuit.
    nodeset
        A solution of this circuit; its voltages of the same ``sample`` become ``.nodeset`` lines, from which
        a simulator starts its search. They choose between operating points where there are several and are
        no part of the circuit: the reader returns them as ``guesses``. Inputs have none, nor have the nodes
        within a device.
    hierarchy
        ``"flat"``, or ``"layers"``: a subcircuit for each crossbar with the banks at its column nodes (see
        :mod:`analogep.spice.writing.layers`). Nodes of the circuit keep their names, helper nodes within a
        device are the subcircuit's own.

    Returns
    -------
    str
        The netlist, ending with ``.end``.

    Raises
    ------
    NetlistError
        Naming every element that the dialect cannot express, and every name that two elements would share.
    InputError
        If inputs, nudge, nodeset, sample, dialect or hierarchy do not exist or do not fit the circuit.
    """
    task = None
    if isinstance(circuit, Netlist):
        inputs, nudge, task = circuit.inputs if inputs is None else inputs, nudge or circuit.nudge, circuit.task
        title = title or circuit.title or None
        circuit = circuit.circuit
    title = "analogep circuit" if title is None else title
    deck = make_deck(
        circuit, inputs, dialect, nudge, title, sample, nodeset, hierarchy, fold_inputs=fold_inputs, task=task
    )
    text = deck.text(title)
    return _without_comments(text) if fold_inputs else text


def make_deck(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None,
    dialect: str,
    nudge: Nudge | None,
    title: str,
    sample: int,
    nodeset: Solution | None,
    hierarchy: Hierarchy,
    *,
    fold_inputs: bool = False,
    task: Task | None = None,
) -> Deck:
    """Return all lines of a netlist; arguments and errors are those of :func:`to_netlist`."""
    if dialect not in DIALECTS:
        raise InputError(f"unknown dialect {dialect!r}; use one of {', '.join(DIALECTS)}")
    if hierarchy not in HIERARCHIES:
        raise InputError(f"unknown hierarchy {hierarchy!r}; use one of {', '.join(HIERARCHIES)}")
    if not title.strip() or not title.isprintable():
        raise InputError(f"title {title!r} must be one line of printable text")
    given = inputs is not None
    array = circuit.input_array(inputs if given else np.zeros((1, len(circuit.input_nodes))))
    terms = None if nudge is None else nudge_terms(circuit, nudge)
    if nodeset is not None and nodeset.circuit.nodes != circuit.nodes:
        raise InputError("nodeset is a solution of a circuit with other nodes; solve this one")
    for what, values in (
        ("inputs", array),
        ("nudge", None if terms is None else terms.values),
        ("nodeset voltages", None if nodeset is None else nodeset.voltages),
    ):
        if values is not None and not 0 <= sample < len(values):
            raise InputError(f"there is no sample {sample}: the {what} have {len(values)}")
    if fold_inputs:
        circuit = fold(circuit).at(array[sample])
    deck = Deck(circuit, DIALECTS[dialect], task)
    deck.inputs(array[sample], given)
    if hierarchy == "layers":
        layers, banks = layers_of(circuit)
        for layer in layers:
            deck.layer(layer)
    else:
        banks = list(circuit.banks)
        for coupling in circuit.couplings:
            deck.coupling(coupling)
    for bank in banks:
        deck.bank(bank)
    if terms is not None:
        deck.nudge(nudge_primitives(circuit.nodes, circuit.output_pairs, terms, sample), terms.kind)
    if nodeset is not None:
        deck.nodeset(nodeset.voltages[sample])
    else:
        deck.guesses += [f".nodeset v({node})={number(value)}" for node, value in deck.task.guesses.items()]
    return deck


def deck_of(netlist: Netlist, inputs: Mapping[str, float]) -> Deck:
    """Return all lines of a netlist that was read, for ngspice, with other input voltages [V]."""
    voltages: Mapping[str, ArrayLike] = dict(inputs)
    task = netlist.task
    return make_deck(netlist.circuit, voltages, "ngspice", netlist.nudge, "t", 0, None, "flat", task=task)


def _without_comments(text: str) -> str:
    """Return a folded netlist as a plain one, so that no reader takes it for the circuit that was folded."""
    title, head, *lines = text.split("\n")
    note = "* The inputs' resistors are folded into Norton equivalents; this is not for reading back."
    return "\n".join([title, head, note, *(line for line in lines if not line.startswith(MARK))])
