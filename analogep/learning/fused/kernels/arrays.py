"""What the compiled loops share, as named tuples of arrays (numba passes them as they are)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Real = NDArray[Any]
"""float32 or float64, the same in all arrays of a network."""


class Net(NamedTuple):
    """A chain of crossbars; group g holds the columns of crossbar g. See :class:`~..shape.Shape`.

    ``node`` (groups + 1,), ``shape`` (crossbars, 3): first and last of its rows in the row arrays, and columns;
    ``ways`` (crossbars, 2): where its tables forth and back begin, −1 for none. ``mutual`` is 1 for crossbars of
    transconductances, which load no node. ``first`` is flat and holds the first crossbar as
    :class:`~..layout.FirstCrossbar` says, with its ``kinds``, ``features`` and ``depth``; ``weights`` holds the
    others row by row, but a narrow one, for which ``turned`` (crossbars,) is 1, column by column, so that inner
    loops are long; ``unit`` holds as many ones as such a one has columns at most. ``sums`` (n,) are column sums,
    ``shares`` row sums by tile from ``share_start`` on, ``tiles`` (T, 4): crossbar, first and last column, number
    within the crossbar. ``leak``, ``steady`` and ``bias`` (n,) are other conductances [S], fixed and trained
    currents [A] of each node; ``low`` and ``high`` its bounds [V]; ``law`` (groups,) is 1 where nodes have
    junctions. ``plain`` is 1 where node k of the last group is output k. ``with_junctions`` is the address of the
    function of that name, 0 where no node has any.
    """

    kinds: int
    features: int
    depth: int
    node: Index
    shape: Index
    ways: Index
    mutual: int
    first: Real
    weights: Real
    sums: Real
    shares: Real
    share_start: Index
    tiles: Index
    leak: Real
    steady: Real
    bias: Real
    row_t: Real
    row_w: Real
    row_known: Real
    low: Real
    high: Real
    law: Index
    junction_start: Index
    junctions: NDArray[np.float64]
    fixed: NDArray[np.float64]
    partner: Index
    position: Index
    plain: int
    turned: Index
    unit: Real
    with_junctions: int


class Lines(NamedTuple):
    """What clamps the first crossbar: ``data`` (S, F) [V], and the voltages ``extra`` (E,) of constant lines."""

    data: Real
    extra: Real


class Stop(NamedTuple):
    """When a phase ends: after ``sweeps`` if ``tolerance`` is zero, else once no node moves by more.

    ``tolerance`` is relative to the largest voltage (at least 1 V), ``rounding`` what a move of nothing is.
    """

    sweeps: int
    tolerance: float
    rounding: float


class Step(NamedTuple):
    """One update: β [S] of the two phases (2,), frozen or not, rates and bounds of crossbars and biases.

    ``rates`` (crossbars, 2), forth and back, hold the energy's scale and ½/(β₂ − β₁), ``bias_rates`` scale and
    1/(β₂ − β₁); ``bounds`` are (crossbars, 2, 2). ``signs`` (updates,) multiply β. ``rule`` is 0 where the circuit
    has an energy; 1 takes the difference of the phases for what λ is without one, 2 turns the couplings round in
    the nudged phases so that it is λ.
    """

    betas: Real
    frozen: bool
    rates: Real
    bias_rates: Real
    bounds: Real
    bias_bounds: Real
    signs: Real
    rule: int


class Grip(NamedTuple):
    """What holds each node, (n,).

    ``held`` [S] is the conductance that holds it; ``reach`` [S] the current that can flow back into it from the
    next group per volt there; below the current ``floor`` [A], or above ``ceiling``, it is at a bound for sure.
    """

    held: Real
    reach: Real
    floor: Real
    ceiling: Real


class Phase(NamedTuple):
    """State and scratch of the lanes (samples, or samples in a nudged phase) that settle together.

    ``state`` [V] and ``into`` [A] are flat, group after group, (lanes, n_g) each; ``row`` (lanes · most rows of a
    crossbar) [V]; ``picked`` lists rows; ``settled`` (lanes,) holds the sweeps each lane took, negative if it did
    not settle; ``move`` and ``before`` (lanes,) its largest moves in this sweep and the one before [V].
    """

    state: Real
    into: Real
    row: Real
    picked: Index
    settled: Index
    before: NDArray[np.float64]
    move: NDArray[np.float64]
    peak: Real


class Nudging(NamedTuple):
    """How outputs are nudged, per lane of a sample.

    A conductance ``beta`` [S] to ``target`` (B, O) [V], or the current ``freeze`` · ``error`` (B, O) [A].
    """

    beta: Real
    target: Real
    freeze: Real
    error: Real


class Front(NamedTuple):
    """Room for the first crossbar: that of batches of B samples, Q quads, and of tiles with up to W columns.

    ``volts`` (2, 4 Q, lines) [V] are the voltages of its lines for this batch and the next, those of missing
    samples and lines being zero; ``lit`` (2, Q, blocks) is where four by four are not all zero. The others are
    flat, a vector of columns after the other. ``shift`` (Q, vectors, 4, vector) is what an update takes off per
    volt of a line, for each of four samples; ``base`` (vectors, 5, vector) what it takes off anyway, and this with
    what samples so far take off each of four lines; ``sums`` (W,) are a tile's column sums, ``fresh`` (Q, vectors,
    4, vector) [A] the next batch's currents.
    """

    volts: Real
    lit: NDArray[np.bool_]
    shift: Real
    base: Real
    sums: Real
    fresh: Real


class Work(NamedTuple):
    """What one thread needs to train batches of B samples; its phases ``rest`` and ``pushed`` share their states.

    ``grip`` is what holds the nodes, ``quiet`` the free phase's nudging and ``nudging`` the nudged ones'.
    ``extra`` (B n,) [A] turns couplings round. ``tables`` (5, B + 1, most rows or columns) hold differences and
    sums of the phases [V] along a crossbar's rows and along the columns of one tile, and zeros.
    ``front`` serves the first crossbar, ``scratch`` and ``live`` (B + 4,) the updates of others.
    The rest are addresses of the functions of these names; that of ``twist`` is 0 where nothing is turned round.
    """

    rest: Phase
    pushed: Phase
    grip: Grip
    quiet: Nudging
    nudging: Nudging
    extra: Real
    tables: Real
    front: Front
    scratch: Real
    live: Index
    hold: int
    relax: int
    twist: int
    update_first: int
    update_constant: int
    update_inner: int


class Reading(NamedTuple):
    """What one thread needs to find free phases of B samples a time: as in :class:`Work`, ``into`` (B, n0) [A]."""

    front: Front
    phase: Phase
    grip: Grip
    quiet: Nudging
    extra: Real
    into: Real
    line_currents: int
    hold: int
    relax: int
