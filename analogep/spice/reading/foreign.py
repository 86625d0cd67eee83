"""Element lines that stand in no section: any netlist's own R, C, V, I, D, E, G, F and H."""

from __future__ import annotations

from collections.abc import Sequence

from analogep.devices import CCCS, CCVS, REGISTRY, Diode, JunctionDiode, Resistor, Switch, VoltageSource
from analogep.errors import AnalogepError
from analogep.spice.reading.builder import Builder, legal_name
from analogep.spice.reading.cards import Cards
from analogep.spice.reading.device_values import (
    diode_values,
    is_plain_diode,
    junction_diode_values,
    model_of,
    mosfet_values,
    series_resistance,
    switch_values,
)
from analogep.spice.text.analyses import Sweep
from analogep.spice.text.behaviour import behavioural_source
from analogep.spice.text.statements import Statement
from analogep.spice.text.stimuli import waveform
from analogep.spice.writing.primitives import LETTERS, MODELLED

_KINDS = {letter: REGISTRY[kind] for kind, letter in LETTERS.items() if letter not in "DM"} | {"S": Switch}
_ELEMENTS = frozenset(_KINDS) | {"D", "M"}
_CONTROLLED = {"F": (CCCS, "gain"), "H": (CCVS, "transresistance")}


class ForeignReader:
    """Turns loose statements into banks, and sources that the caller names into inputs."""

    def __init__(self, builder: Builder, cards: Cards, inputs: Sequence[str]) -> None:
        self.builder = builder
        self.cards = cards
        self.wanted = list(inputs)
        self._swept = {x.source.lower() for a in cards.analyses if isinstance(a, Sweep) for x in a.axes}
        self._clamps: dict[str, tuple[int, float]] = {}  # lower-case wanted name -> node, voltage

    def read(self, statements: list[Statement]) -> None:
        """Add all statements; every fault goes to the source with its line."""
        self.builder.nodes.reserve(node for s in statements for node in s.nodes)
        sources = {s.key: s for s in statements if s.letter == "V"}
        users: dict[str, list[Statement]] = {}
        for s in statements:
            if s.letter in _CONTROLLED:
                users.setdefault(s.reference, []).append(s)
        clamped = self._clamped(sources)
        for s in statements:
            try:
                if s.letter == "V":
                    self._source(s, users.get(s.key, []), clamped.get(s.key))
                elif s.letter in _ELEMENTS:
                    self._element(s)
                elif s.letter == "B":
                    voltage = s.extras.get("voltage", 0.0) != 0.0
                    device, control = behavioural_source(s.reference, s.nodes, voltage=voltage)
                    pins = (*self._pins(s), *map(self.builder.nodes, control))
                    self._add(s, device, pins, {})
                elif s.reference not in sources:
                    raise ValueError(
                        f"{s.name}: controlling source {s.reference} is not a V source outside sections"
                    )
            except ValueError as error:
                self.builder.source.fault(s.line, str(error))

    def _add(self, s: Statement, device: type, pins: tuple[int, ...], values: dict[str, float]) -> None:
        name = legal_name(s.name)
        if s.letter in MODELLED:
            self.builder.models[name] = legal_name(s.reference)
        self.builder.lines[name.lower()] = s.line
        self.builder.loose(device, name, pins, values)

    def _pins(self, s: Statement) -> tuple[int, ...]:
        return tuple(map(self.builder.nodes, s.nodes))

    def _element(self, s: Statement) -> None:
        pins = self._pins(s)
        if s.letter in "LC" and "ic" in s.extras:
            self.builder.stored[legal_name(s.name)] = s.extras["ic"]
        if s.letter == "M":
            drain, gate, source, bulk = pins
            device = REGISTRY[model_of(s, self.cards).kind]
            self._add(s, device, (drain, source, gate, bulk), mosfet_values(s, self.cards))
            return
        if s.letter == "D":
            self._diode(s, pins)
            return
        device = _KINDS[s.letter]
        if s.letter == "S":
            values = switch_values(s, self.cards)
        elif s.letter == "R":
            if not s.value > 0:
                raise ValueError(f"{s.name}: resistance {s.value:g} Ω must be positive; a short joins its nodes")
            values = {"conductance": 1.0 / s.value}
        else:
            (key,) = device.parameters()
            values = {key: s.value}
        self._add(s, device, pins, values)
        if s.waveform is not None:
            self._wave(s, legal_name(s.name), values)

    def _diode(self, s: Statement, pins: tuple[int, ...]) -> None:
        """Add a diode; one that stores charge or breaks down has its series resistance beside it."""
        if is_plain_diode(s, self.cards):
            self._add(s, Diode, pins, diode_values(s, self.cards))
            return
        anode, cathode = pins
        values, resistance = junction_diode_values(s, self.cards), series_resistance(s, self.cards)
        if resistance > 0.0:
            inner = self.builder.nodes.fresh(f"{s.name}_junction")
            name = legal_name(f"{s.name}_rs")
            self.builder.lines[name.lower()] = s.line
            self.builder.loose(Resistor, name, (anode, inner), {"conductance": 1.0 / resistance})
            anode = inner
        self._add(s, JunctionDiode, (anode, cathode), values)

    def _wave(self, s: Statement, name: str, values: dict[str, float]) -> None:
        """Note a source's waveform; its value before time zero is the DC value, unless one is given."""
        try:
            wave = waveform(s, self.cards.analyses)
        except AnalogepError as error:
            raise ValueError(f"{s.name}: {error}") from None
        self.builder.waveforms[name] = wave
        if not s.dc:
            (key,) = values
            values[key] = float(wave.value(0.0, before=True))

    # --- sources, their sensing, and inputs ------------------------------------------------------------

    def _source(self, s: Statement, users: list[Statement], wanted: str | None) -> None:
        """Add a V source, with the ports of the elements it controls in series behind it.

        The source's current flows from p to n through it, and on through the ports, so that each port
        senses what SPICE would. A source of 0 V that is no input is nothing but its ports.
        """
        p, n = self._pins(s)
        end = n
        if wanted is not None:
            if 0 not in (p, n) or p == n:
                raise ValueError(f"{s.name}: an input must be a source between one node and ground")
            sign, node = (1.0, p) if n == 0 else (-1.0, n)
            if users:  # the ports stand between the node and a new node that is clamped in its place
                node = self.builder.nodes.fresh(f"{self.builder.nodes.names[node]}_clamped")
                p, end = (p, node) if n == 0 else (node, n)
            if s.waveform is not None:
                raise ValueError(f"{s.name}: an input has no waveform; give it to transient() as an input")
            self._clamps[wanted] = (node, sign * s.value)
        elif s.value != 0.0 or not users or s.waveform is not None or s.key in self._swept:
            if users:
                end = self.builder.nodes.fresh(f"{s.name}_sensed")
            values = {"voltage": s.value}
            if s.waveform is not None:
                self._wave(s, legal_name(s.name), values)
            self._add(s, VoltageSource, (p, end), values)
            p, end = end, n
        for k, user in enumerate(users):
            last = k == len(users) - 1
            after = end if last else self.builder.nodes.fresh(f"{s.name}_sensed")
            device, key = _CONTROLLED[user.letter]
            try:
                self._add(user, device, (*self._pins(user), p, after), {key: user.value})
            except ValueError as error:
                self.builder.source.fault(user.line, str(error))
            p = after

    def _clamped(self, sources: dict[str, Statement]) -> dict[str, str]:
        """Return which sources the wanted inputs name, or find at the nodes they name, by source."""
        chosen: dict[str, str] = {}
        for name in map(str.lower, self.wanted):
            key = name if name in sources else next((s.key for s in sources.values() if _holds(s, name)), None)
            if key is not None:
                chosen[key] = name
        return chosen

    def finish(self) -> list[float] | None:
        """Set the inputs, in the order wanted; a node without a source is clamped too.

        Returns
        -------
        list of float or None
            Voltages [V] of the inputs' sources, ``None`` if some input had none.
        """
        voltages: list[float] = []
        for name in self.wanted:
            node, voltage = self._clamps.get(name.lower(), (self.builder.nodes.known(name), None))
            if node is None:
                self.builder.source.fault(None, f"input {name}: there is no such V source or node")
                continue
            self.builder.inputs.append(node)
            if voltage is not None:
                voltages.append(voltage)
        return voltages if len(voltages) == len(self.wanted) else None


def _holds(source: Statement, node: str) -> bool:
    """Whether a source stands between ``node`` and ground."""
    return {n.lower() for n in source.nodes} in ({node, "0"}, {node, "gnd"})
