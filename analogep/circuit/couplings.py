"""Couplings between groups of nodes that are kept as whole tables: conductances, and transconductances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.errors import CircuitError, Fault
from analogep.kinds import checked

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def frozen(array: ArrayLike, dtype: Any) -> NDArray[Any]:
    """Return a read-only copy of ``array``; the array itself if it is one already (see :func:`given_away`)."""
    if isinstance(array, np.ndarray) and array.dtype == dtype and array.base is None:
        flags = array.flags
        if flags.c_contiguous and not flags.writeable:
            return array
    copy = np.array(array, dtype=dtype, order="C")
    copy.flags.writeable = False
    return copy


def given_away(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array that nobody else writes to read-only, so that a circuit takes it without a copy."""
    array.flags.writeable = False
    return array


def _require_lists(name: str, **indices: Index) -> None:
    """Raise :class:`CircuitError` unless rows and columns are lists of nodes."""
    faults = [
        Fault(f"{name} {key}", f"shape {array.shape}; give a list of node indices")
        for key, array in indices.items()
        if array.ndim != 1
    ]
    if faults:
        raise CircuitError("crossbar", faults)


@checked(CircuitError, "crossbar")
@dataclass(frozen=True, eq=False)
class Crossbar:
    """A conductance between every row node and every column node; never expanded unless exported.

    Attributes
    ----------
    name
        Name of the crossbar; its conductances are called ``"<name>.conductance"``.
    rows, columns
        Node indices, (R,) and (C,).
    conductance
        Conductances [S], (R, C).
    trainable
        Whether learning may change the conductances.
    """

    name: str
    rows: Index
    columns: Index
    conductance: Array
    trainable: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", frozen(self.rows, np.int64))
        object.__setattr__(self, "columns", frozen(self.columns, np.int64))
        _require_lists(self.name, rows=self.rows, columns=self.columns)
        object.__setattr__(self, "conductance", frozen(self.conductance, float))

    @property
    def size(self) -> int:
        """Number of elements, R · C."""
        return self.conductance.size

    @property
    def element_names(self) -> Iterator[str]:
        """Names of all elements."""
        rows, columns = self.conductance.shape
        return (self.element_name(r, k) for r in range(rows) for k in range(columns))

    def element_name(self, row: int, column: int) -> str:
        """Return the name of one element, as used in netlists and messages."""
        return f"{self.name}_{row}_{column}"


@checked(CircuitError, "crossbar")
@dataclass(frozen=True, eq=False)
class TransconductanceCrossbar:
    """Transconductances between every row node and every column node, one matrix for each direction.

    The current Σ_r forward[r, c] v_r flows into column c from ground, and Σ_c backward[r, c] v_c into row r. Equal
    matrices make a layer of a Hopfield network, no way back a feedforward one, all else a non-reciprocal one.
    Unlike a crossbar of conductances it neither conducts nor loads a node.

    Attributes
    ----------
    name
        Name of the coupling; its parameters are called ``"<name>.<key>"``.
    rows, columns
        Node indices, (R,) and (C,).
    values
        Transconductances [S], (R, C), of any sign: ``{"transconductance": W}`` for both directions, which learning
        then changes as one, ``{"forward": W}`` for one, or ``{"forward": W, "backward": V}``.
    trainable
        Whether learning may change them.
    """

    name: str
    rows: Index
    columns: Index
    values: Mapping[str, Array]
    trainable: bool = True

    KEYS: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset({"transconductance"}),
        frozenset({"forward"}),
        frozenset({"forward", "backward"}),
    )
    """Sets of matrices that make a coupling: symmetric, feedforward, and any other."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", frozen(self.rows, np.int64))
        object.__setattr__(self, "columns", frozen(self.columns, np.int64))
        _require_lists(self.name, rows=self.rows, columns=self.columns)
        object.__setattr__(self, "values", {k: frozen(v, float) for k, v in self.values.items()})

    @property
    def symmetric(self) -> bool:
        """Whether one matrix serves both directions, so that the coupling is reciprocal."""
        return "transconductance" in self.values

    @property
    def forward(self) -> Array:
        """Transconductances (R, C) [S] from rows to columns."""
        return self.values["transconductance" if self.symmetric else "forward"]

    @property
    def backward(self) -> Array | None:
        """Transconductances (R, C) [S] from columns to rows, ``None`` if there is no way back."""
        return self.values["transconductance"] if self.symmetric else self.values.get("backward")

    @property
    def size(self) -> int:
        """Number of controlled sources."""
        return self.forward.size * (1 if self.backward is None else 2)

    @property
    def element_names(self) -> Iterator[str]:
        """Names of all sources."""
        rows, columns = self.forward.shape
        keys = ("forward", "backward")[: 1 if self.backward is None else 2]
        return (self.element_name(key, r, k) for key in keys for r in range(rows) for k in range(columns))

    def element_name(self, key: str, row: int, column: int) -> str:
        """Return the name of one source of the direction ``"forward"`` or ``"backward"``, as netlists use it."""
        return f"{self.name}_{key}_{row}_{column}"
