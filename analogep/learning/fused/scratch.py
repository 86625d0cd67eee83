"""What compiled loops are given: room to work in, since they allocate nothing, and addresses of what they call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analogep.learning.fused.kernels.arrays import Front, Grip, Lines, Net, Nudging, Phase, Reading, Stop, Work
from analogep.learning.fused.kernels.first import line_currents, update_constant, update_first
from analogep.learning.fused.kernels.intrinsics.pointers import address
from analogep.learning.fused.kernels.phases import hold, relax, twist, with_junctions
from analogep.learning.fused.kernels.updates import update_inner
from analogep.learning.fused.layout import COLUMNS, QUAD, aligned, rounded

Real = NDArray[Any]


def _most(net: Net) -> tuple[int, int]:
    """Return the most rows of a crossbar behind a group, and the most columns of any."""
    rows = (net.shape[:, 1] - net.shape[:, 0]).max()
    return max(1, int(rows)), max(1, int(net.shape[:, 2].max()))


def _phase(state: Real, net: Net, lanes: int) -> Phase:
    """Return room for so many lanes with their state."""
    rows, widest = _most(net)
    dtype = net.weights.dtype
    return Phase(
        state,
        np.zeros(len(state), dtype),
        np.zeros(lanes * rows, dtype),
        np.zeros(max(rows, widest) + 1, np.int64),
        np.zeros(lanes, np.int64),
        np.zeros(lanes),
        np.zeros(lanes),
        np.zeros(lanes, dtype),
    )


def _grip(net: Net) -> Grip:
    return Grip(*(np.zeros(int(net.node[-1]), net.weights.dtype) for _ in range(4)))


def _relax(net: Net, phase: Phase, grip: Grip, nudging: Nudging, extra: Real) -> int:
    """Return the address of :func:`~..phases.relax`."""
    into = np.zeros((1, 1), net.weights.dtype)
    return address(relax, 0, 0, 0, 0, into, 0, extra, grip, nudging, Stop(0, 0.0, 0.0), net, phase)


def front_room(net: Net, batch: int) -> Front:
    """Return room for the first crossbar and for batches of so many samples."""
    widest = max(int(b - a) for c, a, b, _ in net.tiles if c == 0)
    width, samples, features = rounded(widest, COLUMNS), rounded(batch, QUAD), rounded(net.features, QUAD)
    dtype = net.weights.dtype

    def zeros(size: int) -> Real:
        out = aligned(size, dtype)
        out[:] = 0
        return out

    return Front(
        volts=np.zeros((2, samples, features), dtype),
        lit=np.zeros((2, samples // QUAD, features // QUAD), np.bool_),
        shift=zeros(samples * width),
        base=zeros(5 * width),
        sums=zeros(width),
        fresh=zeros(samples * width),
    )


def _updates(net: Net, front: Front) -> tuple[int, int, int]:
    """Return the addresses of the updates of lines, of constant lines and of crossbars between groups."""
    dtype = net.weights.dtype
    number, index = dtype.type(0), np.zeros(1, np.int64)
    line, table = (np.zeros((1,) * k, dtype) for k in (1, 2))
    first = address(update_first, line, number, 0, 0, front, *(0,) * 4, number, number, 0)
    inner = address(update_inner, table, 0, *(table,) * 4, *(number,) * 3, 0, line, line, line, index, net.mutual)
    constant = address(update_constant, line, line, 0, 0, front, 0, number, number)
    return first, constant, inner


def training_room(
    net: Net, batch: int, outputs: int, lanes: int, free: Real, nudged: Real, *, turned: bool
) -> Work:
    """Return a thread's room for training.

    Parameters
    ----------
    net
        The network.
    batch, outputs
        Samples per update, and outputs.
    lanes
        Nudged phases per sample, 1 or 2.
    free, nudged
        States that all threads share, (batch · n,) and (lanes · batch · n,) [V].
    turned
        Whether couplings are turned round in the nudged phases.
    """
    rows, widest = _most(net)
    dtype = net.weights.dtype

    def zeros(*shape: int) -> Real:
        return np.zeros(shape, dtype)

    wanted, error = zeros(batch, outputs), zeros(batch, outputs)
    off, extra = zeros(lanes), zeros(len(free))
    rest, grip, quiet = _phase(free, net, batch), _grip(net), Nudging(off, wanted, off, error)
    front = front_room(net, batch)
    first_update, constant_update, inner_update = _updates(net, front)
    return Work(
        rest=rest,
        pushed=_phase(nudged, net, lanes * batch),
        grip=grip,
        quiet=quiet,
        nudging=Nudging(zeros(lanes), wanted, zeros(lanes), error),
        extra=extra,
        tables=zeros(5, batch + 1, rounded(max(rows, widest), COLUMNS)),
        front=front,
        scratch=zeros(2 * max(rows, widest)),
        live=np.zeros(batch + 4, np.int64),
        hold=address(hold, net, grip),
        relax=_relax(net, rest, grip, quiet, extra),
        twist=address(twist, 0, 0, 0, net, rest, extra) if turned else 0,
        update_first=first_update,
        update_constant=constant_update,
        update_inner=inner_update,
    )


def reading_room(net: Net, block: int, outputs: int) -> Reading:
    """Return a thread's room for the free phases of ``block`` samples a time."""
    nodes, dtype = int(net.node[-1]), net.weights.dtype
    off, none = np.zeros(1, dtype), np.zeros((block, outputs), dtype)
    phase, extra = _phase(np.zeros(block * nodes, dtype), net, block), np.zeros(block * nodes, dtype)
    grip, quiet = _grip(net), Nudging(off, none, off, none)
    into = np.zeros((block, int(net.shape[0, 2])), dtype)
    front, lines = front_room(net, block), Lines(np.zeros((1, 1), dtype), np.zeros(1, dtype))
    carry = address(line_currents, net, lines, np.zeros(1, np.int64), front, into)
    return Reading(
        front=front,
        phase=phase,
        grip=grip,
        quiet=quiet,
        extra=extra,
        into=into,
        line_currents=carry,
        hold=address(hold, net, grip),
        relax=_relax(net, phase, grip, quiet, extra),
    )


def junctions_address(net_dtype: np.dtype[np.floating], junctions: Real, fixed: Real) -> int:
    """Return the address of :func:`~..phases.with_junctions`."""
    line = np.zeros(1, net_dtype)
    index, move = np.zeros(1, np.int64), np.zeros(1)
    return address(with_junctions, line, line, line, line, line, index, junctions, fixed, move, 0)
