"""Instances of subcircuits: their own parameters and models, and their flattening.

An element ``R1`` of instance ``x1`` is called ``x1.R1`` and a node ``mid`` of it ``x1.mid``; instance names are
in lower case, as ngspice prints them. Names are looked up as ngspice does: subcircuits and models where the
text stands (in the definition and those around it), parameters along the instances (in the caller and its
callers); see :mod:`analogep.spice.text.scopes`. A definition that is never used is not read any further than its
``.ends``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from analogep.spice.reading.cards import Cards, definitions_of
from analogep.spice.reading.models import read_model
from analogep.spice.text.behaviour import with_nodes
from analogep.spice.text.definitions import Definition
from analogep.spice.text.lexer import Line, Place, Source, assignments, tokens
from analogep.spice.text.parameters import Parameters
from analogep.spice.text.scopes import assignment_order, is_number
from analogep.spice.text.statements import Statement, parse_statement
from analogep.spice.text.words import plain_name
from analogep.spice.writing.primitives import MODELLED

DEEPEST = 50
"""Instances within instances that are followed."""

MOST_ELEMENTS = 1_000_000
"""Elements and instances that all instances together may hold."""

_LOCAL = frozenset({".param", ".model", ".func", ".ic", ".nodeset"})


@dataclass(frozen=True, eq=False)
class Scope:
    """One instance of a definition.

    Attributes
    ----------
    definition
        What it is an instance of.
    path
        Its name, ``""`` for the netlist itself.
    parameters
        Its parameters, and behind them its caller's.
    ports
        Outer node of each pin, by the pin's lower-case name.
    around
        The instance in whose definition this one's definition stands.
    models
        Key in ``Cards.models`` of each model defined here, by lower-case name.
    """

    definition: Definition
    path: str
    parameters: Parameters
    ports: dict[str, str] = field(default_factory=dict)
    around: Scope | None = None
    models: dict[str, str] = field(default_factory=dict)

    def inside(self, name: str) -> str:
        """Return the full name of something called ``name`` here."""
        return f"{self.path}.{name}" if self.path else name

    def find(self, name: str) -> tuple[Definition, Scope] | None:
        """Return a definition by lower-case name, and the scope in which it stands."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.definition.inner:
                return scope.definition.inner[name], scope
            scope = scope.around
        return None

    def model(self, name: str) -> str:
        """Return the key of a model; its plain name if there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.models:
                return scope.models[name]
            scope = scope.around
        return name


class Flattener:
    """Turns element lines into statements, and X lines into those of the subcircuit that they use.

    Parameters
    ----------
    root
        The netlist's definitions.
    cards
        Its dot lines; models and initial voltages of instances are added to it.
    source
        Gets the faults: one for each line and cause, however many instances have it.
    """

    def __init__(self, root: Definition, cards: Cards, source: Source) -> None:
        self.cards = cards
        self.source = source
        self._top = Scope(root, "", cards.parameters, models={name: name for name in cards.models})
        self._seen: set[tuple[str, int, str]] = set()
        self._sizes: dict[int, tuple[int, int]] = {}
        self._orders: dict[int, list[str]] = {}
        self._total = 0

    def statements(self, line: Line) -> list[Statement]:
        """Return the statements of one line of the netlist itself.

        Raises
        ------
        ValueError
            If the line is at fault; faults within instances go to the source.
        """
        return list(self._line(line, self._top))

    def _line(self, line: Line, scope: Scope) -> Iterator[Statement]:
        if line.text[0] in "xX":
            yield from self._instance(line, scope)
            return
        yield self._renamed(parse_statement(line, scope.parameters), scope)

    def _renamed(self, s: Statement, scope: Scope) -> Statement:
        """Return a statement with the names that it has outside its instance."""
        reference = s.reference
        if s.letter in MODELLED:
            reference = scope.model(reference)
        elif s.letter in "FH" and scope.path:
            reference = scope.inside(reference)
        if not scope.path:
            return s if reference == s.reference else replace(s, reference=reference)
        if s.letter == "B":
            reference = with_nodes(reference, lambda node: self._node(node, scope))
        nodes = tuple(self._node(n, scope) for n in s.nodes)
        return replace(s, name=scope.inside(s.name), nodes=nodes, reference=reference)

    def _node(self, name: str, scope: Scope) -> str:
        low = name.lower()
        if not scope.path or low in ("0", "gnd") or low in self.cards.globals:
            return name
        return scope.ports.get(low) or scope.inside(name)

    # --- instances -------------------------------------------------------------------------------------

    def _instance(self, line: Line, scope: Scope) -> Iterator[Statement]:
        head, given = assignments(line.text)
        words = [w for w in tokens(head) if w.lower() != "params:"]
        name = words[0] if words else line.text.split()[0]
        if len(words) < 2 or set(head) & set("{}'="):
            raise ValueError(f"{name}: expected nodes, a subcircuit and name=value pairs")
        found = scope.find(words[-1].lower())
        if found is None:
            raise ValueError(
                f"{name}: subcircuit {words[-1]} is not defined; add its .subckt or .include its file"
            )
        definition, around = found
        nodes = [plain_name(node, "node") for node in words[1:-1]]
        if len(nodes) != len(definition.pins):
            raise ValueError(
                f"{name}: {len(nodes)} nodes for the {len(definition.pins)} pins of subcircuit {definition.name} "
                f"({definition.place})"
            )
        for key in given:
            if key not in definition.defaults:
                known = ", ".join(definition.defaults) or "none"
                raise ValueError(
                    f"{name}: subcircuit {definition.name} has no parameter {key}; its parameters: {known}"
                )
        if scope.path == "":
            self._total += self._size(definition, ())[0]
            if self._total > MOST_ELEMENTS:
                raise ValueError(f"{name}: the subcircuits hold more than {MOST_ELEMENTS} elements in all")
        path = scope.inside(name.lower())
        ports = {pin: self._node(node, scope) for pin, node in zip(definition.pins, nodes, strict=True)}
        yield from self._body(definition, path, ports, given, scope, around, line.number)

    def _body(
        self,
        definition: Definition,
        path: str,
        ports: dict[str, str],
        given: dict[str, str],
        caller: Scope,
        around: Scope,
        used: Place,
    ) -> Iterator[Statement]:
        own = [replace(line, number=replace(line.number, instances=path)) for line in definition.lines]
        parameters, functions, _, faults = definitions_of(own)
        for place, what in faults:
            self._fault(place, what)
        for key in parameters.keys() & definition.defaults.keys():
            self._fault(definition.place, f"parameter {key} of subcircuit {definition.name} is also its .param")
        known = Parameters({}, caller.parameters, functions)
        texts = {**definition.defaults, **parameters, **given}
        for key in self._order(definition, parameters, known, texts):
            self._try(used if key in given else definition.place, known.assign, key, texts[key])
        scope = Scope(definition, path, known, ports, around)
        dots = [line for line in own if line.text.startswith(".")]
        for line in dots:
            word = line.text.split(maxsplit=1)[0].lower()
            if word not in _LOCAL:
                self._fault(line.number, f"{word} within .subckt {definition.name} is not supported; move it out")
            elif word == ".model":
                self._try(line.number, self._model, line, scope)
            elif word in (".ic", ".nodeset"):
                self._try(line.number, self._voltages, line, scope)
        for line in own:
            if line.text.startswith("."):
                continue
            try:
                yield from self._line(line, scope)
            except ValueError as error:
                self._fault(line.number, str(error))

    def _order(self, d: Definition, own: dict[str, str], known: Parameters, texts: dict[str, str]) -> list[str]:
        """Return the parameters of an instance in the order in which they get their values."""
        if id(d) not in self._orders:
            try:
                self._orders[id(d)] = assignment_order({**d.defaults, **own}, known.functions)
            except ValueError as error:
                self._fault(d.place, str(error))
                self._orders[id(d)] = []
        return sorted(self._orders[id(d)], key=lambda name: not is_number(texts[name]))

    def _model(self, line: Line, scope: Scope) -> None:
        name, model = read_model(tokens(line.text)[1:], scope.parameters)
        if name in scope.models:
            raise ValueError(f"model {name} is defined twice")
        scope.models[name] = f"{scope.path}:{name}"
        self.cards.models[scope.models[name]] = model

    def _voltages(self, line: Line, scope: Scope) -> None:
        self.cards.voltages(line, scope.parameters, lambda node: self._node(node, scope))

    def _try(self, place: Place | None, action: Callable[..., object], *arguments: object) -> None:
        try:
            action(*arguments)
        except ValueError as error:
            self._fault(place, str(error))

    def _fault(self, place: Place | None, what: str) -> None:
        key = (place.file, place.line, what) if place else ("", 0, what)
        if key not in self._seen:
            self._seen.add(key)
            self.source.fault(place, what)

    def _size(self, d: Definition, open_: tuple[Definition, ...]) -> tuple[int, int]:
        """Return how many elements and instances an instance of ``d`` holds, and how deep; nothing is expanded.

        Raises
        ------
        ValueError
            If it contains itself, or is nested too deeply.
        """
        if d in open_:
            chain = " -> ".join(x.name for x in (*open_[open_.index(d) :], d))
            raise ValueError(f"subcircuit {d.name} contains itself: {chain}")
        if len(open_) >= DEEPEST:
            raise ValueError(f"subcircuits are nested more than {DEEPEST} deep")
        if id(d) not in self._sizes:
            size = height = 1
            for line in d.lines:
                size += 1
                inner = _lexical(line, d) if line.text[0] in "xX" else None
                if inner is not None:
                    more, above = self._size(inner, (*open_, d))
                    size, height = size + more, max(height, above + 1)
            self._sizes[id(d)] = (size, height)
        if self._sizes[id(d)][1] > DEEPEST:
            raise ValueError(f"subcircuits are nested more than {DEEPEST} deep")
        return self._sizes[id(d)]


def _lexical(line: Line, d: Definition | None) -> Definition | None:
    """Return the definition that an X line in ``d`` uses, if there is one."""
    try:
        words = [w for w in tokens(assignments(line.text)[0]) if w.lower() != "params:"]
    except ValueError:
        return None
    while d is not None:
        if words and words[-1].lower() in d.inner:
            return d.inner[words[-1].lower()]
        d = d.outer
    return None
