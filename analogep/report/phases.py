"""Node voltages in the free and the nudged phases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.report.layers import Layer, layers_of
from analogep.report.style import (
    BLUE,
    CYCLE,
    GREY,
    INK,
    LIGHT,
    PAGE,
    SMALL,
    few_ticks,
    new_figure,
    styled,
    whole_numbers,
)
from analogep.report.units import axis_label, fitting
from analogep.solve import Solution

Array = NDArray[np.float64]

STEMS = 40
"""Up to this many nodes of a layer have a stem."""
NAMED = 24
"""Up to this many outputs are named, upright if they do not fit otherwise."""
HIGHLIGHT = "#FBF4E3"


@checked()
@styled
def phase_voltages(circuit: Circuit, free: Solution, nudged: Mapping[str, Solution], sample: int = 0) -> Figure:
    """Draw one sample's node voltages, and how far each nudge moves them: what a conductance sees.

    Parameters
    ----------
    circuit
        The circuit.
    free
        The free phase, voltages (B, N) [V].
    nudged
        Nudged phases of the same batch by name, for example ``{"+β": …, "-β": …}``.
    sample
        Which sample of the batch.

    Returns
    -------
    Figure
        One column per layer: above the free voltages, below the shifts Δv = v_nudged - v_free. Nodes that
        sources hold (bias lines, rails) and nodes behind amplifiers, which follow theirs, are left out.

    Raises
    ------
    InputError
        If a solution does not fit the circuit or the others, there is no such sample, or no nudged phase.
    """
    voltages, shifts = phase_shifts(circuit, free, nudged, sample)
    layers = [layer for layer in layers_of(circuit) if layer.kind != "amplified"]
    widths = [_width(layer) for layer in layers]
    width = min(sum(widths), max(PAGE, 1.2 * len(widths)))
    figure = new_figure(width, 2.7)
    grid = figure.subplots(2, len(layers), squeeze=False, width_ratios=widths, sharex="col")
    for k, layer in enumerate(layers):
        upper, lower = grid[0, k], grid[1, k]
        _draw_free(upper, layer, voltages)
        upper.set_title(f"{layer.title} ({layer.size})")
        upper.tick_params(labelbottom=False)
        upper.set_xlabel("")
        draw_shifts(lower, layer, shifts)
        if layer.kind == "output":
            upper.set_facecolor(HIGHLIGHT)
            lower.set_facecolor(HIGHLIGHT)
    handles, labels = grid[1, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def phase_shifts(
    circuit: Circuit, free: Solution, nudged: Mapping[str, Solution], sample: int
) -> tuple[Array, dict[str, Array]]:
    """Return the free voltages (N,) and by phase the shifts (N,) [V], after checking that they fit.

    Raises
    ------
    InputError
        As :func:`phase_voltages` does.
    """
    if not nudged:
        raise InputError("no nudged phase given; pass at least one, by name")
    count = len(circuit.nodes)
    for name, solution in {"free": free, **nudged}.items():
        shape = np.shape(solution.voltages)
        if len(shape) != 2 or shape[1] != count:
            raise InputError(f"the {name} phase has voltages {shape}; this circuit needs (batch, {count})")
        if shape[0] != len(free.voltages):
            raise InputError(f"the {name} phase has {shape[0]} samples, the free phase {len(free.voltages)}")
    batch = len(free.voltages)
    if not 0 <= sample < batch:
        raise InputError(f"sample {sample} is not in the batch; it has samples 0 to {batch - 1}")
    base = free.voltages[sample]
    return base, {name: solution.voltages[sample] - base for name, solution in nudged.items()}


def _width(layer: Layer) -> float:
    """Return the width [inch] of a column: more for more nodes, and for names that fit in a line."""
    width = 1.25 + 0.55 * min(layer.size / 64, 1.0)
    if layer.kind == "output" and layer.size <= NAMED:
        width = max(width, 0.45 + 0.085 * layer.size)
    named = _name_width(layer)
    return max(width, named) if named < 1.8 else width


def _name_width(layer: Layer) -> float:
    return 0.2 + 0.05 * sum(len(name) + 1.2 for name in layer.names)


def _draw_free(axes: Axes, layer: Layer, voltages: Array) -> None:
    values = voltages[layer.nodes]
    factor, symbol = fitting(values)
    at = np.arange(layer.size)
    colour = BLUE if layer.kind == "output" else INK
    if layer.size <= STEMS:
        axes.vlines(at, 0.0, values / factor, color=colour, linewidth=0.7)
    axes.plot(at, values / factor, "o", color=colour, markersize=_size(layer), markeredgewidth=0)
    axes.set_ylabel(axis_label("Free voltage", "V", symbol))
    _finish(axes, layer)


def draw_shifts(axes: Axes, layer: Layer, shifts: Mapping[str, Array]) -> None:
    """Draw the shifts Δv of one layer's nodes, one marker style per phase, into ``axes``."""
    here = {name: shift[layer.nodes] for name, shift in shifts.items()}
    if layer.kind == "input" and not any(np.any(shift) for shift in here.values()):
        _finish(axes, layer)
        axes.set_yticks([0.0])
        axes.set_ylim(-1.0, 1.0)
        axes.set_ylabel("Shift Δv (V)")
        axes.text(
            0.5,
            0.58,
            "clamped",
            transform=axes.transAxes,
            ha="center",
            va="bottom",
            color=GREY,
            fontsize=SMALL,
        )
        return
    factor, symbol = fitting(*here.values())
    at = np.arange(layer.size)
    for k, (name, shift) in enumerate(here.items()):
        colour = CYCLE[k % len(CYCLE)]
        if layer.size <= STEMS:
            axes.vlines(at, 0.0, shift / factor, color=colour if k == 0 else LIGHT, linewidth=0.7, zorder=1.5)
        axes.plot(
            at,
            shift / factor,
            "os^D"[k % 4],
            color=colour,
            markerfacecolor=colour if k % 2 == 0 else "white",
            markersize=_size(layer) + (0.0 if k % 2 == 0 else 0.2),
            markeredgewidth=0.6,
            label=name,
        )
    axes.set_ylabel(axis_label("Shift Δv", "V", symbol))
    _finish(axes, layer)


def _size(layer: Layer) -> float:
    return 3.2 if layer.size <= 16 else 2.4 if layer.size <= STEMS else 1.6


def _finish(axes: Axes, layer: Layer) -> None:
    axes.axhline(0.0, color=GREY, linewidth=0.5, zorder=1)
    axes.set_xlim(-0.7, layer.size - 0.3) if layer.size < 30 else axes.set_xlim(
        -0.02 * layer.size, 1.02 * layer.size
    )
    axes.margins(y=0.1)
    few_ticks(axes, "y", 4)
    if _name_width(layer) <= _width(layer):
        axes.set_xticks(np.arange(layer.size), layer.names)
    elif layer.kind == "output" and layer.size <= NAMED:
        axes.set_xticks(np.arange(layer.size), layer.names, rotation=90)
    else:
        whole_numbers(axes)
        axes.set_xlabel("Node")
