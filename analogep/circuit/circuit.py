"""The circuit: immutable banks of elements between named nodes, and its ports.

Everything else in analogep is a function of a :class:`Circuit`. Arrays are copied in and made read-only;
changing a value gives a new circuit that shares the old one's :class:`Topology`, so that what was planned
for the pattern of connections is reused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.circuit.couplings import Crossbar, TransconductanceCrossbar, frozen
from analogep.circuit.elements import Bank, Topology
from analogep.circuit.validation import structural_faults, value_faults
from analogep.devices import Constraint, Resistor, Waveform, device_name
from analogep.errors import CircuitError, Fault, InputError
from analogep.kinds import checked, is_numbers, shown

if TYPE_CHECKING:
    import networkx as nx


Array = NDArray[np.float64]
Index = NDArray[np.int64]
Derived = TypeVar("Derived")
_Valued = TypeVar("_Valued", "Bank", "TransconductanceCrossbar")


def _numbers(values: ArrayLike, what: str) -> Array:
    if not is_numbers(values):
        raise InputError(f"{what}: not an array of numbers ({shown(values)})")
    return np.asarray(values, dtype=float)


@checked(CircuitError, "circuit")
@dataclass(frozen=True, eq=False)
class Circuit:
    """A circuit with clamped inputs and observed outputs.

    Attributes
    ----------
    nodes
        Node names; ``nodes[0]`` is ground, ``"0"``.
    banks, crossbars
        The elements.
    input_nodes
        Indices (I,) of the nodes that an experiment clamps to the input voltages.
    output_pairs
        Indices (O, 2) of each output's positive and negative node; the negative node of a single-ended
        output is ground.
    waveforms
        Values over time of independent voltage and current sources, by element name. Only a transient follows
        them; an operating point has the sources' own values.
    transconductances
        Couplings by controlled currents; see :class:`TransconductanceCrossbar`.
    models
        What a netlist calls the model cards of diodes, MOSFETs and switches, by element name. It is no part of
        the circuit's law, nor of its equality.

    Raises
    ------
    CircuitError
        With every fault found: duplicate or illegal names, unknown nodes, illegal values, floating nodes,
        voltage-source loops, nodes without a path to a fixed potential.
    """

    nodes: tuple[str, ...]
    banks: tuple[Bank, ...] = ()
    crossbars: tuple[Crossbar, ...] = ()
    input_nodes: Index = field(default_factory=lambda: np.zeros(0, np.int64))
    output_pairs: Index = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    waveforms: Mapping[str, Waveform] = field(default_factory=dict)
    transconductances: tuple[TransconductanceCrossbar, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict, repr=False)
    topology: Topology = field(default_factory=Topology, repr=False)
    checked: bool = field(default=False, repr=False)
    derived: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "banks", tuple(self.banks))
        object.__setattr__(self, "crossbars", tuple(self.crossbars))
        object.__setattr__(self, "input_nodes", frozen(self.input_nodes, np.int64))
        if self.input_nodes.ndim != 1:
            what = f"shape {self.input_nodes.shape}; give a list of node indices, (I,)"
            raise CircuitError("circuit", [Fault("input_nodes", what)])
        pairs = frozen(self.output_pairs, np.int64)
        if pairs.size % 2:
            what = f"shape {pairs.shape}; give pairs (positive, negative) of node indices, (O, 2)"
            raise CircuitError("circuit", [Fault("output_pairs", what)])
        object.__setattr__(self, "output_pairs", pairs.reshape(-1, 2))
        object.__setattr__(self, "waveforms", dict(self.waveforms))
        object.__setattr__(self, "models", dict(self.models))
        object.__setattr__(self, "transconductances", tuple(self.transconductances))
        if not self.checked:
            faults = structural_faults(self) or value_faults(self)
            if faults:
                raise CircuitError("circuit", faults)

    # --- construction ----------------------------------------------------------------------------------

    @classmethod
    def from_graph(
        cls,
        graph: nx.MultiDiGraph,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
    ) -> Circuit:
        """Build a circuit from a networkx graph; see :func:`analogep.circuit.graph.parts_of_graph`."""
        from analogep.circuit.graph import parts_of_graph  # networkx takes a fifth of a second to load

        return cls(**parts_of_graph(graph, inputs, outputs))

    def to_graph(self) -> nx.MultiDiGraph:
        """Return the circuit as a networkx graph; see :func:`analogep.circuit.graph.graph_of`."""
        from analogep.circuit.graph import graph_of

        return graph_of(self)

    # --- ports -----------------------------------------------------------------------------------------

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the input nodes."""
        return tuple(self.nodes[i] for i in self.input_nodes)

    @property
    def outputs(self) -> tuple[str | tuple[str, str], ...]:
        """Names of the outputs: a node, or a pair (positive, negative)."""
        named = []
        for plus, minus in self.output_pairs:
            pair = (self.nodes[plus], self.nodes[minus])
            named.append(pair[0] if minus == 0 else pair)
        return tuple(named)

    @cached_property
    def _indices(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.nodes)}

    def node(self, name: str) -> int:
        """Return the index of node ``name``; raises :class:`InputError` if there is none."""
        try:
            return self._indices[name]
        except (KeyError, TypeError):
            raise InputError(f"the circuit has no node {shown(name)}") from None

    def input_array(self, inputs: ArrayLike | Mapping[str, ArrayLike] | None) -> Array:
        """Return input voltages as an array (B, I) [V].

        Parameters
        ----------
        inputs
            An array (B, I) or (I,), a mapping from input node to a voltage or to (B,) voltages, or ``None``
            for a circuit without inputs.

        Raises
        ------
        InputError
            If the shape does not fit, a name is unknown or missing, a value is not finite, or an input has a
            waveform, which only :func:`analogep.transient` follows.
        """
        count = len(self.input_nodes)
        if isinstance(inputs, Mapping):
            unknown = [k for k in inputs if k not in self.inputs]
            missing = [k for k in self.inputs if k not in inputs]
            if unknown or missing:
                raise InputError(
                    f"inputs do not fit the circuit: unknown {unknown}, missing {missing}; "
                    f"its inputs are {list(self.inputs)}"
                )
            for k in self.inputs:
                if isinstance(inputs[k], Waveform):
                    raise InputError(
                        f"input {k} has a waveform, {inputs[k]!r}, which only analogep.transient follows; "
                        "give a voltage here, such as the waveform's value(t) at a time t"
                    )
            columns = [np.atleast_1d(_numbers(inputs[k], f"input {k}")) for k in self.inputs]
            try:
                array = np.stack(np.broadcast_arrays(*columns), axis=-1) if columns else np.zeros((1, 0))
            except ValueError:
                sizes = {k: len(c) for k, c in zip(self.inputs, columns, strict=True)}
                raise InputError(
                    f"inputs have different numbers of samples: {sizes}; give each one, or the same number"
                ) from None
        elif inputs is None:
            array = np.zeros((1, 0))
        else:
            array = np.atleast_2d(_numbers(inputs, "inputs"))
        if array.ndim != 2 or array.shape[1] != count:
            raise InputError(
                f"inputs have shape {np.shape(array)}; this circuit needs (batch, {count}) voltages, "
                f"one per input node"
            )
        if not len(array):
            raise InputError(f"inputs have shape {array.shape}, no sample at all; give at least one")
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            b, i = bad[0]
            raise InputError(f"input {self.inputs[i]} of sample {b} is {array[b, i]}; give a finite voltage")
        return array

    # --- parameters ------------------------------------------------------------------------------------

    def all_parameters(self) -> Iterator[tuple[str, Array, bool]]:
        """Yield name, values and trainability of every parameter block ``"<bank>.<parameter>"``, in SI units."""
        for crossbar in self.crossbars:
            yield f"{crossbar.name}.conductance", crossbar.conductance, crossbar.trainable
        for coupling in self.transconductances:
            for key, value in coupling.values.items():
                yield f"{coupling.name}.{key}", value, coupling.trainable
        for bank in self.banks:
            for key, value in bank.values.items():
                yield f"{bank.name}.{key}", value, key in bank.trainable

    @property
    def parameters(self) -> dict[str, Array]:
        """Trainable parameters by block name ``"<bank>.<parameter>"``, read-only, in SI units."""
        return {name: value for name, value, trainable in self.all_parameters() if trainable}

    @property
    def parameter_units(self) -> dict[str, str]:
        """SI unit of each trainable block."""
        units = {f"{c.name}.conductance": "S" for c in self.crossbars if c.trainable}
        units |= {f"{c.name}.{key}": "S" for c in self.transconductances if c.trainable for key in c.values}
        for bank in self.banks:
            infos = bank.device.parameters()
            units |= {f"{bank.name}.{key}": infos[key].unit for key in bank.values if key in bank.trainable}
        return units

    @property
    def parameter_ranges(self) -> dict[str, tuple[float, float]]:
        """Legal range of each trainable block, in its SI unit."""
        conductance = Resistor.parameters()["conductance"]
        ranges = {
            f"{c.name}.conductance": (conductance.low, conductance.high) for c in self.crossbars if c.trainable
        }
        for c in self.transconductances:
            if c.trainable:
                ranges |= {f"{c.name}.{key}": (-np.inf, np.inf) for key in c.values}
        for bank in self.banks:
            infos = bank.device.parameters()
            ranges |= {f"{bank.name}.{key}": (infos[key].low, infos[key].high) for key in bank.trainable}
        return ranges

    def with_parameters(self, values: Mapping[str, ArrayLike]) -> Circuit:
        """Return this circuit with some parameter blocks replaced (trainable or not).

        Raises
        ------
        CircuitError
            If a block is unknown, a shape differs, or a value is illegal; names every fault.
        """
        known = {name: array for name, array, _ in self.all_parameters()}
        new: dict[str, Array] = {}
        faults = []
        if not isinstance(values, Mapping):
            what = f"{shown(values)}; give a mapping from the name of a block to its values"
            raise CircuitError("parameter update", [Fault("values", what)])
        for name, value in values.items():
            if name not in known:
                faults.append(Fault(name, f"unknown parameter block; this circuit has {', '.join(known)}"))
                continue
            if not is_numbers(value):
                faults.append(Fault(name, f"not an array of numbers ({shown(value)})"))
                continue
            array = np.asarray(value, dtype=float)
            if array.shape != known[name].shape:
                faults.append(Fault(name, f"shape {array.shape} does not fit {known[name].shape}"))
            else:
                new[name] = array
        if faults:
            raise CircuitError("parameter update", faults)
        changed = self._with(new)
        faults = value_faults(changed, only=frozenset(new))
        if faults:
            raise CircuitError("parameter update", faults)
        return changed

    def _with(self, new: Mapping[str, Array]) -> Circuit:
        crossbars = tuple(
            replace(c, conductance=new[key]) if (key := f"{c.name}.conductance") in new else c
            for c in self.crossbars
        )

        def changed(part: _Valued) -> _Valued:
            values = {k: new[key] for k in part.values if (key := f"{part.name}.{k}") in new}
            return replace(part, values={**part.values, **values}) if values else part

        return replace(
            self,
            banks=tuple(changed(bank) for bank in self.banks),
            crossbars=crossbars,
            transconductances=tuple(changed(c) for c in self.transconductances),
            checked=True,
        )

    def reuse(self, name: str, banks: Sequence[Bank], build: Callable[[], Derived]) -> Derived:
        """Return what ``build`` derives from the topology and the values of ``banks`` alone.

        Kept with the topology and rebuilt only when one of the banks was replaced, so that training a
        crossbar does not recompute what depends on diodes and amplifiers.
        """
        kept = self.topology.derived.get(name)
        if kept is not None and [id(a) for a in kept[0]] == [id(b) for b in banks]:
            found: Derived = kept[1]
            return found
        result = build()
        self.topology.derived[name] = (tuple(banks), result)
        return result

    @property
    def couplings(self) -> tuple[Crossbar | TransconductanceCrossbar, ...]:
        """All couplings that are kept as tables."""
        return (*self.crossbars, *self.transconductances)

    @property
    def constraint_banks(self) -> tuple[Bank, ...]:
        """The banks of sources and amplifiers, which solvers eliminate."""
        return tuple(bank for bank in self.banks if issubclass(bank.device, Constraint))

    # --- description -----------------------------------------------------------------------------------

    @property
    def element_count(self) -> int:
        """Number of elements, those of crossbars and couplings included."""
        return sum(b.size for b in self.banks) + sum(c.size for c in self.couplings)

    def __repr__(self) -> str:
        parts = [f"{c.name} {c.conductance.shape[0]}×{c.conductance.shape[1]}" for c in self.crossbars]
        parts += [f"{c.name} {c.forward.shape[0]}×{c.forward.shape[1]}" for c in self.transconductances]
        parts += [f"{b.name} {b.size}" for b in self.banks]
        return (
            f"<Circuit: {len(self.nodes) - 1} nodes, {len(self.input_nodes)} inputs, "
            f"{len(self.output_pairs)} outputs; {', '.join(parts)}>"
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Circuit):
            return NotImplemented
        return _description(self) == _description(other)

    __hash__ = None  # type: ignore[assignment]


def _description(circuit: Circuit) -> tuple[Any, ...]:
    """Everything that makes two circuits equal, independent of the order of nodes and elements."""
    nodes = circuit.nodes

    def named(index: Index) -> tuple[str, ...]:
        return tuple(nodes[i] for i in index)

    banks = sorted(
        (
            bank.name,
            device_name(bank.device),
            tuple(sorted(bank.trainable)),
            tuple(
                sorted(
                    (name, named(pins), tuple((k, float(v[e])) for k, v in sorted(bank.values.items())))
                    for e, (name, pins) in enumerate(zip(bank.names, bank.pins, strict=True))
                )
            ),
        )
        for bank in circuit.banks
    )
    crossbars = sorted(
        (c.name, named(c.rows), named(c.columns), c.trainable, c.conductance.tobytes()) for c in circuit.crossbars
    )
    couplings = sorted(
        (
            t.name,
            named(t.rows),
            named(t.columns),
            t.trainable,
            tuple((k, v.tobytes()) for k, v in sorted(t.values.items())),
        )
        for t in circuit.transconductances
    )
    return (
        frozenset(nodes),
        circuit.inputs,
        circuit.outputs,
        tuple(banks),
        tuple(crossbars),
        tuple(couplings),
        dict(circuit.waveforms),
    )
