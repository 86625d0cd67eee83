"""Circuits as netlists: text that a simulator runs, and that the reader turns back into an equal circuit."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

import analogep
from analogep.circuit import Bank, Circuit, Crossbar
from analogep.devices import Resistor
from analogep.devices.base import Primitive
from analogep.errors import Fault, InputError, NetlistError
from analogep.solve import Nudge, Solution
from analogep.spice.deck import (
    LETTERS,
    bank_primitives,
    base_gmin,
    input_primitives,
    is_compound,
    is_prefixed,
    nudge_primitives,
    nudge_terms,
)
from analogep.spice.dialects import DIALECTS, Card, Dialect, number
from analogep.spice.folding import fold
from analogep.spice.metadata import MARK, VERSION, bank_comment, comment, exact_comment

Array = NDArray[np.float64]


def to_netlist(
    circuit: Circuit,
    inputs: ArrayLike | Mapping[str, ArrayLike] | None = None,
    *,
    dialect: str = "ngspice",
    nudge: Nudge | None = None,
    title: str = "analogep circuit",
    sample: int = 0,
    fold_inputs: bool = False,
    nodeset: Solution | None = None,
) -> str:
    """Write a circuit as a flat netlist.

    Comments that begin with ``*@`` (see :mod:`analogep.spice.metadata`) carry what SPICE cannot say, so that
    :func:`~analogep.spice.reader.from_netlist` returns an equal circuit, conductances to the last bit.

    Parameters
    ----------
    circuit
        The circuit.
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
        :mod:`analogep.spice.folding`): the same voltages at every node, found orders of magnitude faster in a
        large network. It is for speed, not for reading back: there are no structured comments, and the
        folded resistors are gone. The currents that the inputs deliver are not those of the circuit.
    nodeset
        A solution of this circuit; its voltages of the same ``sample`` become ``.nodeset`` lines, from which
        a simulator starts its search. They choose between operating points where there are several and are
        no part of the circuit: the reader skips them. Inputs have none, nor have the nodes within a device.

    Returns
    -------
    str
        The netlist, ending with ``.end``.

    Raises
    ------
    NetlistError
        Naming every element that the dialect cannot express, and every name that two elements would share.
    InputError
        If inputs, nudge, nodeset, sample or dialect do not exist or do not fit the circuit.
    """
    if dialect not in DIALECTS:
        raise InputError(f"unknown dialect {dialect!r}; use one of {', '.join(DIALECTS)}")
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
    deck = _Deck(circuit, DIALECTS[dialect])
    deck.inputs(array[sample], given)
    for crossbar in circuit.crossbars:
        deck.crossbar(crossbar)
    for bank in circuit.banks:
        deck.bank(bank)
    if terms is not None:
        deck.nudge(nudge_primitives(circuit.nodes, circuit.output_pairs, terms, sample), terms.kind)
    if nodeset is not None:
        deck.nodeset(nodeset.voltages[sample])
    text = deck.text(title)
    return _without_comments(text) if fold_inputs else text


class _Deck:
    """Collects lines, names and faults."""

    def __init__(self, circuit: Circuit, dialect: Dialect) -> None:
        self.circuit = circuit
        self.dialect = dialect
        self.gmin = base_gmin(circuit)
        self.lines: list[str] = []
        self.guesses: list[str] = []
        self.names: list[str] = []
        self.helpers: dict[str, str] = {}  # lower-case helper node -> element that made it
        self.known_nodes = {name.lower() for name in circuit.nodes}
        self.models: dict[tuple[Card, float | None], str] = {}
        self.faults: list[Fault] = list(_node_faults(circuit, dialect))

    # --- sections --------------------------------------------------------------------------------------

    def inputs(self, voltages: Array, given: bool) -> None:
        circuit = self.circuit
        if circuit.inputs:
            self.lines += comment("inputs", "given" if given else "unset", *circuit.inputs)
            self.elements(input_primitives(circuit, voltages), "inputs", circuit.inputs)
        if circuit.outputs:
            pairs = (o if isinstance(o, str) else ",".join(o) for o in circuit.outputs)
            self.lines += comment("outputs", *pairs)

    def crossbar(self, crossbar: Crossbar) -> None:
        nodes, g = self.circuit.nodes, crossbar.conductance
        rows, columns = [nodes[i] for i in crossbar.rows], [nodes[i] for i in crossbar.columns]
        flag = "trainable" if crossbar.trainable else "fixed"
        counts = (str(len(rows)), str(len(columns)))
        self.lines += comment("crossbar", crossbar.name, flag, *counts, *rows, *columns)
        resistance, closed = _resistances(g)
        names: list[str] = []
        for r, row in enumerate(rows):
            start = f"R{crossbar.name}_{r}_"
            picked = np.flatnonzero(closed[r]).tolist()
            names += [f"{start}{k}" for k in picked]
            values = resistance[r].tolist()
            self.lines += [f"{start}{k} {row} {columns[k]} {values[k]:.17g}" for k in picked]
        for r, k in np.argwhere(~closed & (g > 0)):
            self.lines += _open(crossbar.element_name(r, k), rows[r], columns[k], g[r, k])
        self.names += names
        self.lines += exact_comment(g[closed])

    def bank(self, bank: Bank) -> None:
        prefixed = bank.device.kind in LETTERS and is_prefixed(bank.device.kind, bank.names)
        self.lines += bank_comment(bank.name, bank.device, prefixed, bank.trainable)
        if bank.device is Resistor:
            self._resistors(bank, prefixed)
            return
        for e, primitives in bank_primitives(self.circuit, bank, self.gmin):
            values = {k: float(v[e]) for k, v in bank.values.items()}
            nodes = [self.circuit.nodes[i] for i in bank.pins[e]]
            if is_compound(bank.device, values, self.gmin):
                pairs = (f"{k}={number(v)}" for k, v in values.items())
                self.lines += comment("element", bank.names[e], *nodes, *pairs)
            self.elements(primitives, bank.names[e], nodes)

    def _resistors(self, bank: Bank, prefixed: bool) -> None:
        nodes, g = self.circuit.nodes, bank.values["conductance"]
        letter = LETTERS[bank.device.kind] if prefixed else ""
        resistance, closed = _resistances(g)
        for e, (name, (p, n), value) in enumerate(
            zip(bank.names, bank.pins.tolist(), resistance.tolist(), strict=True)
        ):
            if closed[e]:
                self.lines.append(f"{letter}{name} {nodes[p]} {nodes[n]} {value:.17g}")
            else:
                self.lines += _open(name, nodes[p], nodes[n], g[e])
        self.names += [f"{letter}{bank.names[e]}" for e in np.flatnonzero(closed)]
        self.lines += exact_comment(g[closed])

    def nudge(self, primitives: list[Primitive], kind: str) -> None:
        self.lines += comment("nudge", kind)
        self.elements(primitives, "nudge", [self.circuit.nodes[i] for i in self.circuit.output_pairs.ravel()])

    def nodeset(self, voltages: Array) -> None:
        """Add a first guess for every node but ground and the inputs; ``voltages`` (N,) [V]."""
        fixed = {0, *self.circuit.input_nodes.tolist()}
        for k, (name, value) in enumerate(zip(self.circuit.nodes, voltages.tolist(), strict=True)):
            if not math.isfinite(value):
                raise InputError(f"nodeset is {value} V at node {name}; give a solution that converged")
            if k not in fixed:
                self.guesses.append(f".nodeset v({name})={number(value)}")

    # --- elements --------------------------------------------------------------------------------------

    def elements(self, primitives: Iterable[Primitive], owner: str, pins: Iterable[str]) -> None:
        """Add the primitives of ``owner``; nodes other than its pins and ground are helpers of its own."""
        own = {"0", *pins}
        for primitive in primitives:
            for node in primitive.nodes:
                if node not in own:
                    self._helper(node, owner)
            self._check_values(primitive, owner)
            line = self.dialect.element(primitive, self._model(primitive))
            self.names.append(line.partition(" ")[0])
            self.lines.append(line)

    def _helper(self, node: str, owner: str) -> None:
        low = node.lower()
        other = self.helpers.setdefault(low, owner)
        if low in self.known_nodes:
            self.faults.append(Fault(owner, f"its helper node {node} is also a node of the circuit; rename one"))
        elif other != owner:
            self.faults.append(Fault(owner, f"its helper node {node} is also one of {other}; rename one"))

    def _model(self, primitive: Primitive) -> str | None:
        if primitive.model is None:
            return None
        key = (primitive.model, primitive.temperature)
        return self.models.setdefault(key, f"d{len(self.models) + 1}")

    def _check_values(self, primitive: Primitive, owner: str) -> None:
        card = dict(primitive.model[1]) if primitive.model else {}
        smallest = self.dialect.limits.smallest_saturation
        if card.get("is", np.inf) < smallest:
            self.faults.append(
                Fault(
                    owner,
                    f"saturation current {card['is']:g} A is below {smallest:g} A, to which "
                    f"{self.dialect.name} silently raises it",
                )
            )
        if primitive.letter == "B":
            for operator in self.dialect.limits.foreign_operators:
                if any(operator in a for a in primitive.args if isinstance(a, str)):
                    what = f"its expression uses {operator}, which {self.dialect.name} does not have"
                    self.faults.append(Fault(owner, what))
        numbers = [a for a in (*primitive.args, *card.values()) if not isinstance(a, str)]
        if not np.isfinite(numbers).all():
            self.faults.append(Fault(owner, "has a value that overflows when inverted; SPICE cannot write it"))

    # --- the whole -------------------------------------------------------------------------------------

    def text(self, title: str) -> str:
        self._check_names()
        if self.faults:
            raise NetlistError(f"netlist export ({self.dialect.name})", self.faults)
        head = [title, f"* Written by analogep {analogep.__version__} for {self.dialect.name}; SI units."]
        cards = [self.dialect.model_card(name, *key) for key, name in self.models.items()]
        options = []
        if self.gmin is not None:
            written = max(self.gmin, self.dialect.limits.smallest_gmin)
            options = [] if written == self.gmin else comment("gmin", number(self.gmin))
            options.append(self.dialect.options({"gmin": written}))
        end = comment("end") if cards or options or self.guesses else []
        tail = [*cards, *options, *self.guesses, *self.dialect.closing]
        return "\n".join([*head, *comment("analogep", VERSION), *self.lines, *end, *tail, ".end", ""])

    def _check_names(self) -> None:
        separators = self.dialect.limits.separators
        for name in self.names if separators else ():
            if not set(separators).isdisjoint(name):
                what = f"{self.dialect.name} takes {' '.join(separators)} for a level of hierarchy; rename it"
                self.faults.append(Fault(f"SPICE name {name}", what))
        counts = Counter(map(str.lower, self.names))
        if len(counts) < len(self.names):
            for name in (n for n, k in counts.items() if k > 1):
                what = f"{counts[name]} elements would be called that in the netlist; rename one"
                self.faults.append(Fault(f"SPICE name {name}", what))


def _resistances(g: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Return 1/g [ohm] and where it can be written: not for zero, nor for the tiny g whose inverse overflows."""
    with np.errstate(divide="ignore", over="ignore"):
        resistance = 1.0 / g
    return resistance, np.isfinite(resistance)


def _without_comments(text: str) -> str:
    """Return a folded netlist as a plain one, so that no reader takes it for the circuit that was folded."""
    title, head, *lines = text.split("\n")
    note = "* The inputs' resistors are folded into Norton equivalents; this is not for reading back."
    return "\n".join([title, head, note, *(line for line in lines if not line.startswith(MARK))])


def _open(name: str, p: str, n: str, g: float) -> list[str]:
    return comment("open", name, p, n, *([number(g)] if g else []))


def _node_faults(circuit: Circuit, dialect: Dialect) -> Iterable[Fault]:
    limits = dialect.limits
    for name in circuit.nodes[1:]:
        low = name.lower()
        if low in limits.reserved_nodes or not limits.reserved_parts.isdisjoint(low.split(".")):
            yield Fault(f"node {name}", f"this name means something else to {dialect.name}; rename the node")
        elif not set(limits.separators).isdisjoint(name):
            what = f"{dialect.name} takes {' '.join(limits.separators)} for a level of hierarchy; rename the node"
            yield Fault(f"node {name}", what)
