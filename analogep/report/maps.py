"""Conductance matrices as images, and how learning changed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit, Crossbar
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.report.histograms import Bounds, draw_bars, draw_histogram
from analogep.report.style import PAGE, SEQUENTIAL, SMALL, new_figure, styled, subfigures, whole_numbers
from analogep.report.units import TIMES, axis_label, fitting

Array = NDArray[np.float64]

IMAGE_HEIGHT = 1.75
BARS = 64
"""Largest bank whose values are drawn one by one."""
NUMBERED = 64
"""Largest crossbar whose conductances are written into its cells."""
SHARP = 300
"""Most lines that are drawn as sharp cells; more are averaged where they share a pixel."""
NAMED = 16
"""Most lines whose node names are written at an axis."""


@dataclass(frozen=True)
class _Panel:
    """One block and the room [inch] that it takes."""

    block: str
    crossbar: Crossbar | None
    width: float


@checked()
@styled
def conductance_maps(
    circuit: Circuit,
    initial: Mapping[str, ArrayLike] | None = None,
    *,
    bounds: Bounds | None = None,
) -> Figure:
    """Draw every crossbar's conductances, and the trainable values of every bank.

    Parameters
    ----------
    circuit
        The circuit.
    initial
        Parameters before learning, by block name as in ``circuit.parameters``; each block found here gets a
        histogram before and after.
    bounds
        (low, high) [SI unit of the block] of what the devices can do, the same for all crossbars or by block
        name; drawn into the histograms.

    Returns
    -------
    Figure
        Per crossbar an image with rows (word lines) down and columns (bit lines) across, the rows of bias
        lines as a strip of their own below it. Trainable banks as bars, or as a histogram if they are large.

    Raises
    ------
    InputError
        If ``initial`` or ``bounds`` name an unknown block, a shape differs, or there is nothing to draw.
    """
    before = initial_blocks(circuit, initial)
    panels = _panels(circuit)
    if not panels:
        raise InputError("the circuit has neither crossbars nor trainable banks; there are no maps to draw")
    rows = _wrap(panels)
    shapes = [_row_height(row, before) for row in rows]
    width = max(max(sum(panel.width for panel in row) for row in rows), 2.2)
    heights = [sum(shape) for shape in shapes]
    figure = new_figure(width, sum(heights))
    bands = subfigures(figure, 0, heights)
    for band, row, shape in zip(bands, rows, shapes, strict=True):
        spare = width - sum(panel.width for panel in row)
        ratios = [panel.width for panel in row] + ([spare] if spare > 0.05 else [])
        places = subfigures(band, 1, ratios)
        for place, panel in zip(places, row, strict=False):
            _draw_block(place, circuit, panel, before, bounds, shape)
    return figure


def initial_blocks(circuit: Circuit, initial: Mapping[str, ArrayLike] | None) -> dict[str, Array]:
    """Return ``initial`` as arrays; raises :class:`InputError` unless they fit the circuit's blocks."""
    known = _blocks(circuit)
    out: dict[str, Array] = {}
    for block, value in (initial or {}).items():
        array = np.asarray(value, dtype=float)
        if block not in known:
            raise InputError(f"initial values for an unknown block {block!r}; the circuit has {', '.join(known)}")
        if array.shape != known[block].shape:
            raise InputError(f"initial values of {block} have shape {array.shape}, expected {known[block].shape}")
        out[block] = array
    return out


def _blocks(circuit: Circuit) -> dict[str, Array]:
    return {f"{c.name}.conductance": c.conductance for c in circuit.crossbars} | circuit.parameters


def _panels(circuit: Circuit) -> list[_Panel]:
    panels = []
    for crossbar in circuit.crossbars:
        rows, columns = crossbar.conductance.shape
        image = IMAGE_HEIGHT * min(max(columns / rows, 0.55), 1.6)
        panels.append(_Panel(f"{crossbar.name}.conductance", crossbar, image + 1.05))
    crossbars = {panel.block for panel in panels}
    for block, value in circuit.parameters.items():
        if block not in crossbars:
            panels.append(_Panel(block, None, min(max(0.7 + 0.1 * value.size, 1.8), 3.2)))
    return panels


def _wrap(panels: list[_Panel]) -> list[list[_Panel]]:
    rows: list[list[_Panel]] = [[]]
    for panel in panels:
        if rows[-1] and sum(p.width for p in rows[-1]) + panel.width > PAGE:
            rows.append([])
        rows[-1].append(panel)
    return [row for row in rows if row]


def _row_height(row: list[_Panel], before: Mapping[str, Array]) -> tuple[float, float]:
    """Return the heights [inch] of the upper part (images, bars) and of the histograms below them."""
    crossbars = [panel for panel in row if panel.crossbar is not None]
    if not crossbars:
        return 1.7, 0.0
    return IMAGE_HEIGHT + 0.55, 1.15 if any(panel.block in before for panel in crossbars) else 0.0


def _draw_block(
    place: SubFigure,
    circuit: Circuit,
    panel: _Panel,
    before: Mapping[str, Array],
    bounds: Bounds | None,
    shape: tuple[float, float],
) -> None:
    block, old = panel.block, before.get(panel.block)
    limits = bounds.get(block) if isinstance(bounds, Mapping) else bounds
    if panel.crossbar is not None:
        upper, lower = place, None
        if shape[1]:
            upper, lower = subfigures(place, 0, shape)
        draw_crossbar(upper, circuit, panel.crossbar, panel.width - 1.05)
        if lower is not None and old is not None:
            draw_histogram(lower.subplots(), panel.crossbar.conductance, old, "Conductance", "S", limits)
        return
    values, unit = circuit.parameters[block], circuit.parameter_units[block]
    bank_name, _, parameter = block.rpartition(".")
    axes = place.subplots()
    if values.size <= BARS:
        names = next(bank.names for bank in circuit.banks if bank.name == bank_name)
        draw_bars(axes, values, old, parameter.capitalize(), unit, names if values.size <= NAMED else None)
    else:
        inside = limits if isinstance(bounds, Mapping) or unit == "S" else None
        draw_histogram(axes, values, old, parameter.capitalize(), unit, inside)
    axes.set_title(bank_name, loc="left")


def draw_crossbar(
    place: SubFigure | Figure, circuit: Circuit, crossbar: Crossbar, width: float = 1.2
) -> AxesImage:
    """Draw one crossbar's conductances with colour bar, bias rows in a strip of their own.

    Parameters
    ----------
    place
        Where to draw.
    circuit, crossbar
        The circuit and one of its crossbars.
    width
        Expected width of the image [inch], which decides whether bit lines can be named.

    Returns
    -------
    AxesImage
        The image of the rows that are no bias lines (of the bias lines, if there are no others).
    """
    g = crossbar.conductance
    is_bias = np.array([circuit.nodes[i].startswith("bias") for i in crossbar.rows])
    factor, symbol = fitting(g)
    low, high, extend = _colour_range(g / factor)
    parts = [part for part in (np.flatnonzero(~is_bias), np.flatnonzero(is_bias)) if len(part)]
    # A strip of a few bias rows below many others would be too thin to see in proportion.
    strip = max(len(parts[-1]) / len(g), 0.05 * len(parts[-1]) if len(parts[-1]) <= 3 else 0.15)
    ratios = [1.0 - strip, strip] if len(parts) == 2 else [1.0]
    stacked = place.subplots(len(parts), 1, squeeze=False, height_ratios=ratios, gridspec_kw={"hspace": 0.0})[:, 0]
    images: list[AxesImage] = []
    for axes, part in zip(stacked, parts, strict=True):
        shown = g[part] / factor
        sharp = "nearest" if max(g.shape) <= SHARP else "antialiased"
        image = axes.imshow(
            shown, cmap=SEQUENTIAL, vmin=low, vmax=high, aspect="auto", origin="upper", interpolation=sharp
        )
        if len(g) * g.shape[1] <= NUMBERED:
            _write_numbers(axes, shown, low, high)
        _name_rows(axes, circuit, crossbar, part, bool(is_bias[part[0]]))
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(labelbottom=axes is stacked[-1], bottom=axes is stacked[-1])
        images.append(image)
    _name_columns(stacked[-1], circuit, crossbar, width)
    rows, columns = g.shape
    fixed = "" if crossbar.trainable else ", fixed"
    stacked[0].set_title(f"{crossbar.name} ({rows} {TIMES} {columns}{fixed})")
    bar = place.colorbar(images[0], ax=list(stacked), extend=extend, pad=0.02, fraction=0.09, aspect=26)
    bar.set_label(axis_label("Conductance", "S", symbol))
    bar.outline.set_visible(False)
    return images[0]


def _colour_range(g: Array) -> tuple[float, float, str]:
    """Return (low, high, extend): from zero where that costs little, and not up to a few outliers."""
    low, high = float(g.min()), float(g.max())
    extend = "neither"
    usual = float(np.quantile(g, 0.995))
    if g.size >= 1000 and high > 1.5 * usual > 0:
        high, extend = usual, "max"
    if low < 0.5 * high:
        low = min(low, 0.0)
    if low == high:
        low, high = (0.0, 1.0) if high == 0 else (0.0, high)
    return low, high, extend


def _write_numbers(axes: Axes, shown: Array, low: float, high: float) -> None:
    for (r, c), value in np.ndenumerate(shown):
        bright = (value - low) / (high - low) > 0.6
        text = f"{value:.3g}"
        axes.text(c, r, text, ha="center", va="center", fontsize=SMALL - 0.6, color="black" if bright else "white")


def _name_rows(axes: Axes, circuit: Circuit, crossbar: Crossbar, part: NDArray[np.intp], bias: bool) -> None:
    names = [circuit.nodes[i] for i in crossbar.rows[part]]
    if bias:
        if len(crossbar.rows) <= NAMED:
            axes.set_yticks(range(len(names)), names)
        else:
            axes.set_yticks([(len(names) - 1) / 2], ["bias" if len(names) == 1 else f"{len(names)} bias"])
        axes.tick_params(axis="y", length=0.0)
        return
    axes.set_ylabel("Word line")
    if len(crossbar.rows) <= NAMED:
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", length=0.0)
    else:
        whole_numbers(axes, "y")


def _name_columns(axes: Axes, circuit: Circuit, crossbar: Crossbar, width: float) -> None:
    names = [circuit.nodes[i] for i in crossbar.columns]
    axes.set_xlabel("Bit line")
    if sum(len(name) + 1.5 for name in names) * 0.05 <= width:
        axes.set_xticks(range(len(names)), names)
        axes.tick_params(axis="x", length=0.0)
    else:
        whole_numbers(axes, "x")
