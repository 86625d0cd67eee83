"""ngspice's binary raw files: one plot of real vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

OPERATING_POINT = "Operating Point"
"""Name of the plot that ``op`` makes."""

SWEEP = "DC transfer characteristic"
"""Name of the plot that ``dc`` makes."""

TRANSIENT = "Transient Analysis"
"""Name of the plot that ``tran`` makes."""


def read_operating_point(path: Path) -> dict[str, float] | None:
    """Return the vectors of an operating point by lower-case node name (currents as ``i(...)``).

    Parameters
    ----------
    path
        File written by ngspice's ``write``.

    Returns
    -------
    dict or None
        ``None`` if the file is missing or cut short, or holds another plot: ngspice writes its table of
        constants when an analysis gave nothing.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    return parse_operating_point(content)


def parse_operating_point(content: bytes) -> dict[str, float] | None:
    """Return what :func:`read_operating_point` does, from the bytes of a raw file."""
    plot = parse_plot(content, OPERATING_POINT)
    if plot is None or any(len(values) != 1 for values in plot.values()):
        return None
    return {name: float(values[0]) for name, values in plot.items()}


def parse_plot(content: bytes, plot_name: str) -> dict[str, Array] | None:
    """Return the vectors (T,) of a plot of real values by lower-case name, nodes as in the netlist.

    ``None`` if the bytes are cut short, or hold another plot or complex values.
    """
    head, found, data = content.partition(b"Binary:\n")
    fields: dict[str, str] = {}
    names: list[str] = []
    for line in head.decode("utf-8", "replace").splitlines():
        if line.startswith("\t"):
            names.append(line.split("\t")[2].lower())
        else:
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
    if not found or fields.get("Plotname") != plot_name or not fields.get("Flags", "").startswith("real"):
        return None
    points = fields.get("No. Points", "")
    if not points.isdigit() or len(data) != 8 * len(names) * int(points):
        return None
    table = np.frombuffer(data, "<f8").reshape(int(points), len(names))
    return {_node(name): table[:, k].copy() for k, name in enumerate(names)}


def _node(name: str) -> str:
    """Return ``a`` for ``v(a)``; some nodes (``time``) are written bare."""
    return name[2:-1] if name.startswith("v(") and name.endswith(")") else name
