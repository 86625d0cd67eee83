"""One figure that shows a network, its training and what its conductances learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import ArrayLike, NDArray

from analogep.circuit import Circuit
from analogep.errors import InputError
from analogep.kinds import checked
from analogep.report.confusion import confusion_counts, draw_confusion
from analogep.report.curves import draw_errors, draw_loss, has_errors, metric_columns
from analogep.report.drawing import draw_schematic
from analogep.report.histograms import draw_histogram
from analogep.report.layers import layers_of
from analogep.report.maps import draw_crossbar, initial_blocks
from analogep.report.phases import HIGHLIGHT, draw_shifts, phase_shifts
from analogep.report.style import DIVERGING, PAGE, SEQUENTIAL, SMALL, letter, new_figure, styled, subfigures
from analogep.report.units import MINUS, TIMES, axis_label, fitting
from analogep.solve import Solution

Array = NDArray[np.float64]

TILES = 24
"""Most hidden nodes whose receptive fields are drawn."""


@checked()
@styled
def overview(
    circuit: Circuit,
    metrics: Mapping[str, Sequence[float]],
    free: Solution,
    nudged: Mapping[str, Solution],
    labels: ArrayLike | None,
    predictions: ArrayLike | None,
    initial: Mapping[str, ArrayLike] | None = None,
    image: tuple[int, int] | None = None,
    *,
    sample: int = 0,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """Draw a network, its learning curve, its first layer, its nudged phase and its errors.

    Parameters
    ----------
    circuit
        The trained circuit; has at least one crossbar.
    metrics
        Columns as for :func:`analogep.report.learning_curve`.
    free, nudged
        Phases as for :func:`analogep.report.phase_voltages`.
    labels, predictions
        True and predicted classes (B,); ``None`` for a task without classes, which has no confusion matrix.
    initial
        Parameters before learning; the first crossbar's distribution before and after is drawn.
    image
        Height and width of the images that the inputs are: pixels +x, or pixels doubled to [+x …, -x …]. The
        first layer is then drawn as receptive fields, g of +x minus g of -x.
    sample
        Which sample of the phases to draw.
    class_names
        Names of the classes.

    Returns
    -------
    Figure
        A composite of two rows with panel letters.

    Raises
    ------
    InputError
        If something does not fit the circuit; see the single figures.
    """
    columns = metric_columns(metrics)
    before = initial_blocks(circuit, initial)
    _, shifts = phase_shifts(circuit, free, nudged, sample)
    counts = None
    if labels is not None and predictions is not None:
        counts = confusion_counts(labels, predictions, class_names)
    fields = None if image is None else receptive_fields(circuit, image)
    figure = new_figure(PAGE, 4.75)
    upper, lower = subfigures(figure, 0, [2.7, 2.05])
    drawing, curve = subfigures(upper, 1, [4.6, 2.6])
    draw_schematic(drawing.subplots(), circuit)
    _draw_curves(curve, columns)
    panels = [drawing, curve]
    block = f"{circuit.crossbars[0].name}.conductance"
    ratios = [2.1, *([1.35] if block in before else []), 2.2, *([1.95] if counts is not None else [])]
    if len(ratios) == 2:
        ratios = [2.4, 4.8]
    places = subfigures(lower, 1, ratios)
    panels += places
    if fields is not None:
        _draw_fields(places[0], fields)
    else:
        draw_crossbar(places[0], circuit, circuit.crossbars[0])
    if block in before:
        draw_histogram(places[1].subplots(), circuit.crossbars[0].conductance, before[block], "Conductance", "S")
    _draw_nudged(places[2 if block in before else 1], circuit, shifts)
    if counts is not None:
        draw_confusion(places[-1].subplots(), counts, class_names, 1.35 / len(counts))
    for panel, text in zip(panels, "abcdef", strict=False):
        letter(panel, text)
    return figure


def receptive_fields(circuit: Circuit, image: tuple[int, int]) -> Array:
    """Return the first crossbar's conductances (C, height, width) [S] by bit line, as images.

    With inputs doubled to [+x …, -x …] it is the difference g⁺ - g⁻: what the node sees of x.

    Raises
    ------
    InputError
        If the word lines are neither once nor twice the pixels.
    """
    if not circuit.crossbars:
        raise InputError("the circuit has no crossbar, so no receptive fields")
    crossbar = circuit.crossbars[0]
    inputs = set(circuit.input_nodes.tolist())
    g = crossbar.conductance[[i in inputs for i in crossbar.rows.tolist()]]
    pixels = int(np.prod(image))
    if len(g) == 2 * pixels:
        net = g[:pixels] - g[pixels:]
    elif len(g) == pixels:
        net = g
    else:
        raise InputError(
            f"an image of {image[0]} {TIMES} {image[1]} has {pixels} pixels; {crossbar.name} has {len(g)} "
            "input lines, which is neither once nor twice as many"
        )
    return net.T.reshape(-1, *image)


def _draw_curves(place: SubFigure, columns: Mapping[str, Array]) -> None:
    if not has_errors(columns):
        draw_loss(place.subplots(), columns)
        return
    loss, errors = place.subplots(2, 1, sharex=True, height_ratios=[1.0, 1.5])
    draw_loss(loss, columns)
    loss.set_xlabel("")
    loss.set_ylabel(loss.get_ylabel().replace("Training loss", "Loss"))
    draw_errors(errors, columns)
    place.align_ylabels([loss, errors])


def _draw_fields(place: SubFigure, fields: Array) -> None:
    """Draw receptive fields (C, height, width) [S] of the strongest nodes as tiles with one colour bar."""
    strength = np.sqrt((fields**2).sum(axis=(1, 2)))
    chosen = np.sort(np.argsort(strength, kind="stable")[::-1][:TILES])
    factor, symbol = fitting(fields[chosen])
    tiles = fields[chosen] / factor
    largest = float(np.abs(tiles).max()) or 1.0
    peak = float(np.quantile(np.abs(tiles), 0.995)) or largest
    clipped = largest > 1.05 * peak
    signed = bool((tiles < 0).any())
    axes = place.subplots()
    shades = matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL].with_extremes(bad="#BBBBBB")
    low, ends = (-peak, "both") if signed else (0.0, "max")
    image = axes.imshow(
        mosaic(tiles), cmap=shades, vmin=low, vmax=peak,
        interpolation="nearest" if max(tiles.shape[1:]) <= 16 else "antialiased",
    )  # fmt: skip
    axes.set_axis_off()
    bar = place.colorbar(
        image, ax=axes, location="bottom", fraction=0.06, aspect=26, pad=0.03,
        extend=ends if clipped else "neither",
    )  # fmt: skip
    bar.set_label(axis_label(f"Net conductance g⁺ {MINUS} g⁻" if signed else "Conductance", "S", symbol))
    bar.outline.set_visible(False)


def mosaic(tiles: Array) -> Array:
    """Return tiles (K, height, width) as one image, three wide for two high, with NaN between them."""
    count, height, width = tiles.shape
    across = min(count, max(1, round(np.sqrt(1.5 * count * height / width))))
    down = -(-count // across)
    gap = max(1, round(0.06 * max(height, width)))
    out = np.full((down * (height + gap) + gap, across * (width + gap) + gap), np.nan)
    for k, tile in enumerate(tiles):
        top, left = gap + (k // across) * (height + gap), gap + (k % across) * (width + gap)
        out[top : top + height, left : left + width] = tile
    return out


def _draw_nudged(place: SubFigure, circuit: Circuit, shifts: Mapping[str, Array]) -> None:
    """Draw the shifts of the last hidden layer above those of the outputs."""
    layers = [layer for layer in layers_of(circuit) if layer.kind in ("hidden", "other", "output")]
    outputs = [layer for layer in layers if layer.kind == "output"]
    inner = [layer for layer in layers if layer.kind != "output"][-1:]
    shown = [*inner, *outputs]
    stacked: list[Axes] = list(place.subplots(len(shown), 1, squeeze=False)[:, 0])
    for axes, layer in zip(stacked, shown, strict=True):
        draw_shifts(axes, layer, shifts)
        axes.set_title(f"{layer.title} ({layer.size})", fontsize=SMALL, loc="left", pad=2.0)
        axes.set_ylabel(axes.get_ylabel().replace("Shift ", ""))
        axes.set_xlabel("")
        axes.tick_params(axis="x", labelsize=SMALL if layer.size <= 16 else SMALL - 1.2)
        if layer.kind == "output":
            axes.set_facecolor(HIGHLIGHT)
    place.align_ylabels(stacked)
    handles, names = stacked[0].get_legend_handles_labels()
    stacked[0].legend(
        handles, names, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(names), columnspacing=1.0
    )
