"""How the loss and the errors fall during training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.kinds import checked
from analogep.report.style import BLUE, INK, RED, SMALL, few_ticks, new_figure, spread, styled, whole_numbers
from analogep.report.units import axis_label, fitting

Array = NDArray[np.float64]

ERRORS = {"train_error": ("train", RED, "--"), "test_error": ("test", BLUE, "-")}
LOSSES = {"train_loss": ("train", RED, "--"), "test_loss": ("test", BLUE, "-")}
MARKED = 40
"""Up to this many epochs every one has a marker."""


@checked()
@styled
def learning_curve(metrics: Mapping[str, Sequence[float]]) -> Figure:
    """Draw the training loss and the errors against the epoch.

    Parameters
    ----------
    metrics
        Columns of equal length: ``epoch``, ``train_loss`` [V²], and where they exist ``test_loss`` [V²],
        ``train_error`` and ``test_error`` (fractions); other columns are not drawn. A column that is
        missing or NaN throughout has no curve.

    Returns
    -------
    Figure
        Left the loss, logarithmic if it spans more than a decade; right the errors in %, with their final
        values. Without errors the loss alone.

    Raises
    ------
    InputError
        If a column is missing, not one-dimensional or of another length, or there is no epoch.
    """
    columns = metric_columns(metrics)
    both = has_errors(columns)
    figure = new_figure(5.2 if both else 2.7, 1.95)
    axes = figure.subplots(1, 2 if both else 1, squeeze=False)[0]
    draw_loss(axes[0], columns)
    if both:
        draw_errors(axes[1], columns)
    return figure


def metric_columns(metrics: Mapping[str, Sequence[float]]) -> dict[str, Array]:
    """Return the columns as arrays; raises :class:`InputError` as :func:`learning_curve` does."""
    for name in ("epoch", "train_loss"):
        if name not in metrics:
            raise InputError(f"metrics have no column {name!r}; they have {', '.join(metrics) or 'none'}")
    columns: dict[str, Array] = {}
    for name in ("epoch", *LOSSES, *ERRORS):
        if name not in metrics:
            continue
        values = np.array([np.nan if v is None else v for v in metrics[name]], dtype=float)
        if values.ndim != 1 or values.shape != (len(metrics["epoch"]),):
            raise InputError(f"metric {name!r} has shape {values.shape}; epoch has {len(metrics['epoch'])} rows")
        columns[name] = values
    if not len(columns["epoch"]):
        raise InputError("metrics have no epoch yet; train at least one")
    return columns


def has_errors(columns: Mapping[str, Array]) -> bool:
    """Whether some error column has a value."""
    return any(name in columns and bool(np.isfinite(columns[name]).any()) for name in ERRORS)


def draw_loss(axes: Axes, columns: Mapping[str, Array]) -> None:
    """Draw the training loss [V²], and the test loss if there is one, into ``axes``."""
    both = "test_loss" in columns and bool(np.isfinite(columns["test_loss"]).any())
    loss = np.concatenate([columns["train_loss"], columns["test_loss"]]) if both else columns["train_loss"]
    finite = loss[np.isfinite(loss)]
    log = bool(finite.size and finite.min() > 0 and finite.max() > 10 * finite.min())
    factor, symbol = (1.0, "") if log else fitting(loss, power=2)
    if both:
        for name, (label, colour, dash) in LOSSES.items():
            here = np.isfinite(columns[name])
            _line(axes, columns["epoch"][here], columns[name][here] / factor, colour, dash, label)
        axes.legend(loc="best")
    else:
        _line(axes, columns["epoch"], columns["train_loss"] / factor, INK, "-")
    if log:
        axes.set_yscale("log")
        axes.set_ylim(10.0 ** np.floor(np.log10(finite.min())), 1.3 * finite.max())  # two labelled decades
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        if finite.size and finite.min() >= 0:
            axes.set_ylim(0.0, 1.08 * finite.max() / factor if finite.max() > 0 else 1.0)
        few_ticks(axes)
    axes.set_ylabel(axis_label("Loss" if both else "Training loss", "V²", symbol))
    _epochs(axes, columns["epoch"])


def draw_errors(axes: Axes, columns: Mapping[str, Array]) -> None:
    """Draw the training and test errors in % into ``axes``, each with its final value at the right."""
    top = 0.0
    ends: list[tuple[float, str, str]] = []
    for name, (label, colour, dash) in ERRORS.items():
        if name not in columns or not np.isfinite(columns[name]).any():
            continue
        error = 100.0 * columns[name]
        here = np.isfinite(error)
        # Test errors may exist for some epochs only: join those that do.
        _line(axes, columns["epoch"][here], error[here], colour, dash, label)
        top = max(top, float(error[here].max()))
        last = float(error[here][-1])
        ends.append(
            (
                last,
                f"{label} {last:.{0 if last >= 99.95 else 1 if last >= 0.1 or last == 0 else 2}f} %",
                colour,
            )
        )
    top = top if top > 0 else 10.0
    axes.set_ylim(-0.03 * top, 1.06 * top)
    few_ticks(axes)
    axes.set_ylabel("Error (%)")
    _epochs(axes, columns["epoch"])
    low, high = axes.get_ylim()
    at = spread([(y - low) / (high - low) for y, _, _ in ends], 0.1, 0.03, 0.97)
    for place, (_, text, colour) in zip(at, ends, strict=True):
        axes.annotate(
            text,
            (1.0, place),
            (3.0, 0.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=SMALL,
        )


def _line(axes: Axes, x: Array, y: Array, colour: str, dash: str, label: str | None = None) -> None:
    few = len(x) <= MARKED
    axes.plot(
        x,
        y,
        dash,
        color=colour,
        label=label,
        marker="o" if few else "",
        markersize=3.2 if len(x) < 8 else 2.2,
        markerfacecolor="white" if dash == "--" else colour,
        markeredgewidth=0.7,
        linewidth=1.0 if few else 0.8,
        zorder=2.5 if dash == "--" else 2.0,  # dashes over a line show both where they coincide
        clip_on=len(x) > 1,
    )


def _epochs(axes: Axes, epoch: Array) -> None:
    first, last = float(epoch.min()), float(epoch.max())
    pad = 0.5 if first == last else 0.02 * (last - first)
    axes.set_xlim(first - pad, last + pad)
    whole_numbers(axes)
    axes.set_xlabel("Epoch")
    axes.grid(axis="y")
