"""``data``: get a data set, check it, and show what it is and what voltages it becomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from analogep.cli.console import console
from analogep.cli.settings import configured, nested
from analogep.errors import InputError
from analogep.training.configuration.data import DataConfig, EncoderConfig
from analogep.training.configuration.section import Section, validated
from analogep.training.data import DataSet, load
from analogep.training.encoders import VoltageEncoder
from analogep.training.voltages import VoltageReport, report_voltages


class _Sections(Section):
    """The two sections of a configuration that this command needs."""

    data: DataConfig
    encoder: EncoderConfig = EncoderConfig()


def show_data(name: str | None, config: str | None, changes: Sequence[str], limit: float | None) -> None:
    """Load what ``name`` or ``config`` means, print its parts and the voltages on the input lines.

    ``name`` is a data set, or an .npz or .csv file; ``config`` a configuration, whose sections data and encoder
    count.

    Raises
    ------
    InputError, ConfigError, DataError
        If the arguments contradict each other, or the data cannot be had.
    """
    if limit is not None and not (0 < limit < math.inf):
        raise InputError(f"--limit {limit:g} V must be finite and positive")
    if (name is None) == (config is None):
        raise InputError("give either the NAME of a data set or --config, e.g. analogep data mnist")
    if config is not None:
        chosen = configured(config, changes)
        sections = _Sections(data=chosen.data, encoder=chosen.encoder)
    else:
        assert name is not None
        sections = validated(_Sections, _named(name, changes), f"data {name}")
    data = load(sections.data)
    console.print(_parts(data))
    encoder = VoltageEncoder.fitted(sections.encoder, data.train)
    bound = math.inf if limit is None else limit
    reports = {part: report_voltages(encoder, found, bound) for part, found in data.parts.items()}
    console.print(_voltages(reports))
    for part, report in reports.items():
        if (warning := report.warning()) is not None:
            console.print(f"[yellow]warning[/]: {part}: {escape(warning)}", soft_wrap=True)


def _named(name: str, changes: Sequence[str]) -> dict[str, object]:
    """Return the sections that a name and changes mean."""
    sections = nested(changes)
    kind = Path(name).suffix.lower().removeprefix(".")
    own = {"name": kind, "path": name} if kind in ("npz", "csv") else {"name": name}
    given = sections.get("data", {})
    return {**sections, "data": {**own, **given} if isinstance(given, dict) else given}


def _parts(data: DataSet) -> Table:
    table = Table(title=f"{data.name}: {_kind(data)}", title_justify="left")
    for column in ("part", "samples", "features", "image", "type", "in each class"):
        table.add_column(column, justify="left" if column == "part" else "right")
    image = "×".join(map(str, data.image)) if data.image else "none"
    for name, part in data.parts.items():
        each = ""
        if part.labels is not None:
            sizes = np.bincount(part.labels, minlength=data.classes)
            each = f"{sizes.min():,}" if sizes.min() == sizes.max() else f"{sizes.min():,} to {sizes.max():,}"
        kind = str(part.features.dtype)
        table.add_row(name, f"{len(part):,}", f"{part.features.shape[1]:,}", image, kind, each)
    return table


def _kind(data: DataSet) -> str:
    if not data.classes:
        return f"regression with {data.outputs} targets"
    names = f" ({', '.join(data.class_names)})" if 0 < len(data.class_names) <= 20 else ""
    return escape(f"{data.classes} classes{names}")


def _voltages(reports: dict[str, VoltageReport]) -> Table:
    table = Table(title="voltages on the input lines", title_justify="left")
    table.add_column("")
    for name in reports:
        table.add_column(name, justify="right")
    rows = {
        "lowest [V]": [f"{r.minimum:.6g}" for r in reports.values()],
        "highest [V]": [f"{r.maximum:.6g}" for r in reports.values()],
        "mean [V]": [f"{r.mean:.6g}" for r in reports.values()],
        "RMS [V]": [f"{r.rms:.6g}" for r in reports.values()],
        "at 0 V": [f"{r.zero:.2%}" for r in reports.values()],
        "lines always at 0 V": [f"{r.idle:,}" for r in reports.values()],
        "lines of sign + / −": [f"{r.positive:,} / {r.negative:,}" for r in reports.values()],
        "bias lines": [f"{r.bias:,}" for r in reports.values()],
    }
    for label, cells in rows.items():
        table.add_row(label, *cells)
    return table
