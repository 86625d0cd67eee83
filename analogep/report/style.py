"""One look for all figures: sizes, fonts, colours, and how a figure function applies them.

Nothing global is changed: :func:`styled` wraps a figure function in ``matplotlib.rc_context`` and writes into
the figure what matplotlib would otherwise look up when it draws.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.ticker import MaxNLocator

COLUMN = 3.5
"""Width of a journal column [inch]."""
PAGE = 7.2
"""Width of a journal page [inch]."""

# Tol's high-contrast scheme: safe for the colour-blind, and distinct in greyscale.
BLUE, RED, YELLOW = "#004488", "#BB5566", "#DDAA33"
INK, GREY, LIGHT = "#222222", "#777777", "#D4D4D4"
CYCLE = (BLUE, RED, YELLOW, GREY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"

SMALL, NORMAL, LETTER = 6.0, 6.8, 8.5

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure on every machine
    "mathtext.fontset": "dejavusans",
    "font.size": NORMAL,
    "axes.labelsize": NORMAL,
    "axes.titlesize": NORMAL,
    "axes.titlepad": 3.5,
    "axes.labelpad": 2.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.borderaxespad": 0.2,
    "legend.labelspacing": 0.35,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.0,
    "patch.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "grid.linewidth": 0.4,
    "grid.color": "#E6E6E6",
    "figure.dpi": 200,
    "savefig.dpi": "figure",
    "figure.facecolor": "white",
    "savefig.facecolor": "auto",
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "image.interpolation": "antialiased",
    "svg.fonttype": "path",
    "svg.hashsalt": "analogep",
    "pdf.fonttype": 42,
}

P = ParamSpec("P")


def styled(build: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a figure function run under :data:`RC` and keep that look however the figure is drawn later."""

    @functools.wraps(build)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(RC):
            figure = build(*args, **kwargs)
            for axes in all_axes(figure):
                _fix_ticks(axes)
        return figure

    return wrapped


def all_axes(figure: FigureBase) -> list[Axes]:
    """Return the axes of a figure and of its subfigures."""
    return list(figure.axes) if isinstance(figure, Figure | SubFigure) else []


def subfigures(figure: Figure | SubFigure, along: int, ratios: Sequence[float]) -> list[SubFigure]:
    """Return subfigures of the given relative sizes, in a column (``along`` 0) or a row (1)."""
    if along == 0:
        return list(figure.subfigures(len(ratios), 1, squeeze=False, height_ratios=list(ratios))[:, 0])
    return list(figure.subfigures(1, len(ratios), squeeze=False, width_ratios=list(ratios))[0])


def _fix_ticks(axes: Axes) -> None:
    """Write tick sizes into the axes: ticks are made when drawn, from the settings of that moment."""
    for axis in (axes.xaxis, axes.yaxis):
        kept = axis.get_tick_params(which="major")
        size = kept.get("labelsize", SMALL)
        axis.set_tick_params(which="both", width=0.6, pad=2.0, labelsize=size, color=INK, labelcolor=INK)
        axis.set_tick_params(which="major", length=kept.get("length", 2.4))
        axis.set_tick_params(which="minor", length=0.0 if kept.get("length") == 0.0 else 1.4)
        axis.get_offset_text().set_fontsize(SMALL)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure [inch] that lays its panels out by itself; call it under :func:`styled`."""
    return Figure(figsize=(width, height), dpi=RC["figure.dpi"], layout="constrained")


def letter(figure: FigureBase, text: str) -> None:
    """Write a panel letter at the top left of a subfigure, in room of its own."""
    figure.suptitle(text, x=0.006, ha="left", fontsize=LETTER, fontweight="bold")


def whole_numbers(axes: Axes, which: str = "x", bins: int = 5) -> None:
    """Let an axis that counts something have ticks at integers only."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins=bins, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def few_ticks(axes: Axes, which: str = "y", bins: int = 5) -> None:
    """Let a linear axis have at most ``bins`` + 1 round ticks."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins=bins, steps=[1, 2, 2.5, 5, 10]))


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move positions apart until they are ``gap`` apart, in [``low``, ``high``] where they fit.

    Returns them in the order given; each group that had to move stays centred where it was.
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    groups: list[tuple[float, list[int]]] = []  # (centre, members)
    for i in order:
        centre, members = positions[i], [i]
        while groups:
            left, before = groups[-1]
            if centre - left >= gap * (len(members) + len(before)) / 2 - 1e-12:
                break
            groups.pop()
            total = len(members) + len(before)
            centre = (left * len(before) + centre * len(members)) / total
            members = before + members
        groups.append((centre, members))
    out = [0.0] * len(positions)
    for centre, members in groups:
        for k, i in enumerate(members):
            out[i] = centre + gap * (k - (len(members) - 1) / 2)
    bound = high
    for i in reversed(order):
        out[i] = min(out[i], bound)
        bound = out[i] - gap
    bound = low
    for i in order:
        out[i] = max(out[i], bound)
        bound = out[i] + gap
    return out
