"""How well each learning rule finds the gradient."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from analogep.errors import InputError
from analogep.kinds import checked
from analogep.learning import Audit, AuditRow
from analogep.report.style import (
    CYCLE,
    GREY,
    INK,
    MARKERS,
    PAGE,
    SMALL,
    letter,
    new_figure,
    spread,
    styled,
    subfigures,
)
from analogep.report.units import MINUS, axis_label, fitting

Array = NDArray[np.float64]

FLOOR = 1e-16
"""Rounding of 1 - cosine; smaller values, and those below zero by rounding, are drawn here."""


@checked()
@styled
def audit_figure(audit: Audit) -> Figure:
    """Draw an audit of learning rules against the adjoint gradient.

    Parameters
    ----------
    audit
        Result of :func:`analogep.learning.audit`.

    Returns
    -------
    Figure
        **a** 1 - cosine and **b** scale of each rule's gradient, per parameter block; hollow markers in **b**
        are raw local estimates, where amplifiers make them differ, and scales in siemens are left out. **c**
        the relative error against β with the fitted slopes, if they were fitted, beside thin lines of slopes
        1 and 2.

    Raises
    ------
    InputError
        If the audit has no rows.
    """
    if not audit.rows:
        raise InputError("the audit compared no rule; give it at least one")
    rules = list(dict.fromkeys(row.rule for row in audit.rows))
    blocks = list(dict.fromkeys(row.block for row in audit.rows))
    look = {rule: (CYCLE[k % len(CYCLE)], MARKERS[k % len(MARKERS)]) for k, rule in enumerate(rules)}
    fitted = any(bool((np.asarray(e) > 0).any()) for e in audit.errors.values())
    pitch = 0.13 if len(rules) <= 6 else 0.085
    dots = 0.85 + max(pitch * len(blocks) * len(rules), 0.8)
    height = max(dots, 2.1 if fitted else 0.0) + 0.25
    figure = new_figure(PAGE if fitted else 5.0, height)
    ratios = [2.9, 2.0, 2.3] if fitted else [2.9, 2.0]
    places = subfigures(figure, 1, ratios)
    for place, text in zip(places, "abc", strict=False):
        letter(place, text)
    cosine, scale = places[0].subplots(), places[1].subplots()
    _draw_cosines(cosine, audit.rows, rules, blocks, look)
    _draw_scales(scale, audit.rows, rules, blocks, look)
    if fitted:
        _draw_errors(places[2].subplots(), audit, look, height - 0.9)
    handles, labels = cosine.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5))
    return figure


Look = dict[str, tuple[str, str]]


def _places(rows: tuple[AuditRow, ...], rules: list[str], blocks: list[str]) -> list[tuple[AuditRow, float]]:
    """Return each row with its height: one band per block, the rules spread within it."""
    step = 0.7 / max(len(rules), 1)
    return [(row, blocks.index(row.block) + step * (rules.index(row.rule) - (len(rules) - 1) / 2)) for row in rows]


def _bands(axes: Axes, blocks: list[str], named: bool) -> None:
    for k in range(0, len(blocks), 2):
        axes.axhspan(k - 0.5, k + 0.5, color="#F4F4F4", linewidth=0, zorder=0)
    axes.set_ylim(len(blocks) - 0.5, -0.5)
    axes.set_yticks(range(len(blocks)), blocks if named else [""] * len(blocks))
    axes.tick_params(axis="y", length=0.0)
    axes.spines["left"].set_visible(False)


def _draw_cosines(axes: Axes, rows: tuple[AuditRow, ...], rules: list[str], blocks: list[str], look: Look) -> None:
    for rule in rules:
        mine = [(row, y) for row, y in _places(rows, rules, blocks) if row.rule == rule]
        x = [max(1.0 - row.cosine, FLOOR) for row, _ in mine]
        colour, marker = look[rule]
        axes.plot(x, [y for _, y in mine], marker, color=colour, markersize=3.6, markeredgewidth=0, label=rule)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    low = max(low, FLOOR / 3)
    axes.set_xlim(low if high / low > 100 else low / 10, high if high / low > 100 else high * 10)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(f"1 {MINUS} cosine to the adjoint")
    axes.grid(axis="x")
    _bands(axes, blocks, named=True)


def _draw_scales(axes: Axes, rows: tuple[AuditRow, ...], rules: list[str], blocks: list[str], look: Look) -> None:
    axes.axvline(1.0, color=GREY, linewidth=0.6, zorder=1)
    values = []
    for row, y in _places(rows, rules, blocks):
        if row.unit != "1":
            continue
        colour, marker = look[row.rule]
        axes.plot(row.scale, y, marker, color=colour, markersize=3.6, markeredgewidth=0)
        values.append(row.scale)
        if abs(row.raw_scale - row.scale) > 0.01 * abs(row.scale):
            axes.plot(row.raw_scale, y, marker, markerfacecolor="none", markeredgecolor=colour, markersize=3.6)
            values.append(row.raw_scale)
    positive = all(v > 0 for v in values)
    if positive and max(values) > 10 * min(values):
        axes.set_xscale("log")
    else:
        away = max((abs(v - 1.0) for v in values), default=0.0)
        if away < 0.05:
            axes.set_xlim(0.95, 1.05)
    axes.set_xlabel("Scale to the adjoint")
    axes.grid(axis="x")
    _bands(axes, blocks, named=False)


def _draw_errors(axes: Axes, audit: Audit, look: Look, height: float) -> None:
    factor, symbol = fitting(audit.betas)
    betas = np.asarray(audit.betas) / factor
    ends: list[tuple[float, str, str]] = []
    drawn: list[Array] = []
    for k, (rule, series) in enumerate(audit.errors.items()):
        error = np.asarray(series, dtype=float)
        here = error > 0
        if not here.any():
            continue
        colour, marker = look.get(rule, (CYCLE[k % len(CYCLE)], MARKERS[k % len(MARKERS)]))
        axes.plot(
            betas[here],
            error[here],
            marker,
            color=colour,
            markersize=3.6,
            markerfacecolor=colour if k % 2 == 0 else "white",
            markeredgewidth=0.7,
        )
        slope = audit.slopes.get(rule)
        if slope is not None:
            middle = np.exp(np.log(error[here]).mean() + slope * (np.log(betas) - np.log(betas[here]).mean()))
            axes.plot(betas, middle, color=colour, linewidth=0.9)
            ends.append((float(middle[-1]), f"{slope:.2f}", colour))
        drawn.append(error[here])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(axis_label("β", "S", symbol))
    axes.set_ylabel("Relative error")
    axes.xaxis.set_major_locator(FixedLocator(betas.tolist()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.2g}" if x < 100 else f"{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    everything = np.concatenate(drawn)
    _reference_slopes(axes, betas, float(everything.min()), float(everything.max()))
    _label_slopes(axes, ends, 0.12 / height)


def _reference_slopes(axes: Axes, betas: Array, low: float, high: float) -> None:
    """Draw thin lines of slope 1 above and of slope 2 below all errors."""
    relative = betas / betas[-1]
    for power, start, text in ((1, 3.0 * high, "∝ β"), (2, low * (betas[-1] / betas[0]) ** 2 / 3.0, "∝ β²")):
        line = start * relative**power
        axes.plot(betas, line, color=GREY, linewidth=0.5, linestyle=(0, (4, 2)), zorder=1)
        axes.annotate(
            text, (betas[0], line[0]), (0.0, 3.0 if power == 1 else -2.0), textcoords="offset points",
            color=GREY, fontsize=SMALL, ha="left", va="bottom" if power == 1 else "top",
        )  # fmt: skip
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom / 3.0, top * 2.0)


def _label_slopes(axes: Axes, ends: list[tuple[float, str, str]], gap: float) -> None:
    """Write fitted slopes at the right of the lines that end at given heights, ``gap`` of the axes apart."""
    low, high = np.log(axes.get_ylim())
    at = spread([(np.log(y) - low) / (high - low) for y, _, _ in ends], gap, 0.03, 0.97)
    for place, (_, text, colour) in zip(at, ends, strict=True):
        axes.annotate(
            text, (1.0, place), (2.0, 0.0), xycoords="axes fraction", textcoords="offset points",
            color=colour, fontsize=SMALL, va="center",
        )  # fmt: skip
    if ends:
        axes.annotate(
            "slope", (1.0, max(at) + 1.1 * gap), (2.0, 0.0), xycoords="axes fraction",
            textcoords="offset points", color=INK, fontsize=SMALL, va="center",
        )  # fmt: skip
