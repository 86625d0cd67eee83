"""ngspice's binary raw files: one plot of real vectors, one point long."""

from __future__ import annotations

from pathlib import Path

import numpy as np

OPERATING_POINT = "Operating Point"
"""Name of the plot that ``op`` makes."""


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
    head, found, data = content.partition(b"Binary:\n")
    fields: dict[str, str] = {}
    names: list[str] = []
    for line in head.decode("utf-8", "replace").splitlines():
        if line.startswith("\t"):
            names.append(line.split("\t")[2].lower())
        else:
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
    if not found or fields.get("Plotname") != OPERATING_POINT or fields.get("No. Points") != "1":
        return None
    if len(data) != 8 * len(names):
        return None
    values = np.frombuffer(data, "<f8").tolist()
    return {_node(name): value for name, value in zip(names, values, strict=True)}


def _node(name: str) -> str:
    """Return ``a`` for ``v(a)``; some nodes (``time``) are written bare."""
    return name[2:-1] if name.startswith("v(") and name.endswith(")") else name
