"""Distributions of parameters before and after learning, and small banks as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from analogep.report.style import BLUE, GREY, INK, LIGHT, RED, few_ticks, whole_numbers
from analogep.report.units import axis_label, fitting

Array = NDArray[np.float64]
Bounds = tuple[float, float] | Mapping[str, tuple[float, float]]
"""(low, high) in the SI unit of a parameter, for all blocks or by block name."""

MANY = 200
"""From this many values on a histogram counts on a logarithmic axis."""


def draw_histogram(
    axes: Axes,
    after: Array,
    before: Array | None,
    name: str,
    unit: str,
    bounds: tuple[float, float] | None = None,
) -> None:
    """Draw the distribution of parameters, and with ``before`` what it was, into ``axes``.

    Parameters
    ----------
    axes
        Where to draw.
    after, before
        Values of any shape, in ``unit``.
    name, unit
        What they are, for the axis.
    bounds
        (low, high) in ``unit``, drawn as lines where they lie near the data.
    """
    sets = [after.ravel()] if before is None else [after.ravel(), before.ravel()]
    factor, symbol = fitting(*sets)
    edges = _edges(np.concatenate(sets) / factor)
    log = after.size >= MANY
    if before is not None:
        counts = np.histogram(before / factor, edges)[0]
        axes.stairs(counts, edges, fill=True, color=LIGHT, label="initial")
    counts = np.histogram(after / factor, edges)[0]
    if before is None:
        axes.stairs(counts, edges, fill=True, color=BLUE, label="trained")
    else:
        axes.stairs(counts, edges, baseline=None, color=BLUE, linewidth=1.0, label="trained")
    if log:
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
    else:
        axes.set_ylim(bottom=0)
        few_ticks(axes, "y", 4)
    span = edges[-1] - edges[0]
    near = [b / factor for b in bounds or () if edges[0] - span / 2 <= b / factor <= edges[-1] + span / 2]
    for k, at in enumerate(near):
        axes.axvline(at, color=RED, linestyle=":", linewidth=0.9, label="" if k else "limits")
    axes.set_xlabel(axis_label(name, unit, symbol))
    axes.set_ylabel("Count")
    few_ticks(axes, "x", 5)
    if before is not None or near:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, columnspacing=1.0)


def _edges(values: Array) -> Array:
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = 0.5 * abs(high) if high else 0.5
        low, high = low - pad, high + pad
    return np.linspace(low, high, int(np.clip(np.sqrt(values.size), 8, 50)) + 1)


def draw_bars(
    axes: Axes, after: Array, before: Array | None, name: str, unit: str, names: Sequence[str] | None
) -> None:
    """Draw the values (E,) of a small bank as stems, and with ``before`` what they were, into ``axes``.

    Parameters
    ----------
    axes
        Where to draw.
    after, before
        Values (E,) in ``unit``.
    name, unit
        What they are, for the axis.
    names
        Names of the elements; their numbers if not given.
    """
    factor, symbol = fitting(after, *([] if before is None else [before]))
    at = np.arange(after.size)
    axes.vlines(at, 0.0, after / factor, color=BLUE, linewidth=0.9)
    axes.plot(at, after / factor, "o", color=BLUE, markersize=2.8, label="trained")
    if before is not None:
        axes.plot(
            at, before / factor, "o", markerfacecolor="none", markeredgecolor=GREY, markersize=4.2,
            markeredgewidth=0.7, label="initial",
        )  # fmt: skip
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, columnspacing=1.0)
    if min(after.min(), 0.0 if before is None else before.min()) < 0:
        axes.axhline(0.0, color=INK, linewidth=0.5)
    else:
        axes.set_ylim(bottom=0.0)
    axes.set_xlim(-0.7, after.size - 0.3)
    if names is not None:
        tilt = 90 if sum(map(len, names)) > 24 else 0
        axes.set_xticks(at, names, rotation=tilt)
        axes.tick_params(axis="x", length=0.0)
    else:
        axes.set_xlabel("Element")
        whole_numbers(axes)
    axes.set_ylabel(axis_label(name, unit, symbol))
    few_ticks(axes)
