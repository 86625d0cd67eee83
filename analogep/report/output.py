"""Writing a figure to a file."""

from __future__ import annotations

import io
import os
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from analogep.errors import InputError
from analogep.files import write_bytes
from analogep.kinds import checked
from analogep.report.style import RC

FORMATS = ("pdf", "png", "svg")


@checked()
def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as PNG, PDF or SVG, by the suffix of ``path``.

    The file appears whole or not at all: it is written beside ``path`` and then moved there. Two writes of
    the same figure give the same bytes.

    Parameters
    ----------
    figure
        The figure.
    path
        Where to write; its folder must exist.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    InputError
        If the suffix is none of the three, or the folder does not exist.
    """
    target = Path(path)
    kind = target.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        known = ", ".join(f".{f}" for f in FORMATS)
        raise InputError(f"cannot write a figure to {target.name!r}; use one of the suffixes {known}")
    if not target.parent.is_dir():
        raise InputError(f"the folder {str(target.parent)!r} does not exist; make it first")
    stamps: dict[str, dict[str, str | None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    drawn = io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(drawn, format=kind, metadata=stamps.get(kind))
    write_bytes(target, drawn.getvalue())
    return target
