"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from analogep.errors import InputError
from analogep.kinds import checked
from analogep.report.style import INK, RED, SMALL, new_figure, styled, whole_numbers

Counts = NDArray[np.int64]

ANNOTATED = 30
"""Up to this many classes the counts are written into the cells."""

RIGHT = LinearSegmentedColormap.from_list("right", ["#FFFFFF", "#C9D8EA", "#7FA0C8"])
WRONG = LinearSegmentedColormap.from_list("wrong", ["#FFFFFF", "#EBC2C9", RED, "#7A2233"])


@checked()
@styled
def confusion_matrix(
    labels: ArrayLike, predictions: ArrayLike, class_names: Sequence[str] | None = None
) -> Figure:
    """Draw how often each class was predicted as each.

    Parameters
    ----------
    labels, predictions
        Class numbers (B,), from 0.
    class_names
        Names of the classes; their numbers if not given.

    Returns
    -------
    Figure
        Counts with true classes down and predicted ones across, and the accuracy as title. Correct counts are
        blue; errors are red by the square root of their share of the true class, so that single ones show.

    Raises
    ------
    InputError
        If labels and predictions are no class numbers of equal count, there are none, or names are missing.
    """
    counts = confusion_counts(labels, predictions, class_names)
    side = min(max(0.2 * len(counts), 1.2), 5.0)
    figure = new_figure(side + 0.7, side + 0.65)
    draw_confusion(figure.subplots(), counts, class_names, side / len(counts))
    return figure


def confusion_counts(
    labels: ArrayLike, predictions: ArrayLike, class_names: Sequence[str] | None = None
) -> Counts:
    """Return counts (K, K) by true and predicted class; raises as :func:`confusion_matrix` does."""
    true, predicted = np.asarray(labels), np.asarray(predictions)
    for name, array in (("labels", true), ("predictions", predicted)):
        whole = array.ndim == 1 and array.dtype.kind in "iufb" and bool(np.all(array == np.floor(array)))
        if not whole or (array < 0).any():
            raise InputError(f"{name} (shape {array.shape}) must be a vector of class numbers 0, 1, …")
    if true.shape != predicted.shape:
        raise InputError(f"there are {len(true)} labels but {len(predicted)} predictions")
    if not len(true):
        raise InputError("there are no labels to count")
    needed = int(max(true.max(), predicted.max())) + 1
    size = needed if class_names is None else len(class_names)
    if size < needed:
        raise InputError(f"{size} class names given, but class {needed - 1} occurs; name at least {needed}")
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (true.astype(int), predicted.astype(int)), 1)
    return counts


def draw_confusion(
    axes: Axes, counts: Counts, class_names: Sequence[str] | None = None, cell: float = 0.2
) -> None:
    """Draw counts (K, K) by true and predicted class into ``axes``; a cell is ``cell`` inches wide."""
    size = len(counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(size, dtype=bool)
    worst = max(float(share[~diagonal].max(initial=0.0)), 0.05)
    axes.imshow(np.ma.masked_array(share, ~diagonal), cmap=RIGHT, vmin=0.0, vmax=1.0)
    axes.imshow(np.ma.masked_array(share, diagonal), cmap=WRONG, norm=PowerNorm(0.5, 0.0, worst))
    axes.set_xticks(np.arange(size + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(size + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#EEEEEE", linewidth=0.5 if size <= ANNOTATED else 0.0)
    axes.tick_params(which="both", length=0.0)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.6)
    if size <= ANNOTATED:
        digits = len(str(counts.max()))
        fontsize = min(SMALL, 72 * cell / (0.75 * max(digits, 2)))
        for (r, c), count in np.ndenumerate(counts):
            if count:
                dark = r != c and share[r, c] > 0.3 * worst
                axes.text(
                    c,
                    r,
                    str(count),
                    ha="center",
                    va="center",
                    fontsize=fontsize,
                    color="white" if dark else INK,
                )
    _name_classes(axes, size, class_names, cell)
    axes.set_title(accuracy(counts))


def accuracy(counts: Counts) -> str:
    """Return the accuracy of counts (K, K) as text; it says 100 % only if there is no error."""
    total, right = int(counts.sum()), int(np.trace(counts))
    percent = 100.0 * right / total
    digits = 1 if right == total or percent < 99.95 else 2
    return f"Accuracy {min(percent, 99.99) if right < total else percent:.{digits}f} % (n = {total})"


def _name_classes(axes: Axes, size: int, class_names: Sequence[str] | None, cell: float) -> None:
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    if size > ANNOTATED:
        whole_numbers(axes, "x", 10)
        whole_numbers(axes, "y", 10)
        return
    names = [str(k) for k in range(size)] if class_names is None else list(class_names)
    tilt = 90 if 0.055 * max(map(len, names)) > cell else 0
    axes.set_xticks(range(size), names, rotation=tilt)
    axes.set_yticks(range(size), names)
