"""Results of analyses: their tables on the console, and their files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from analogep.cli.console import console
from analogep.errors import InputError
from analogep.files import write_files
from analogep.spice.run import Result

Array = NDArray[np.float64]

_SHOWN_ROWS = 40
_LEAST_WIDTH = 12  # of a column of numbers
_FRAME = 3  # characters around each column


def show(path: Path, result: Result) -> None:
    """Print one analysis: an operating point node by node, others as rows of points, of long ones a selection.

    Where the columns do not fit the console, there is one table below the other.
    """
    if not result.axes:
        _show_point(path, result)
        return
    count = len(result.voltages)
    rows = np.unique(np.linspace(0, count - 1, min(count, _SHOWN_ROWS)).astype(int)).tolist()
    for columns in _fitting(result):
        table = _table([escape(name) for name in columns], f"{path.name}: {result.title}")
        for row in rows:
            table.add_row(*(f"{column[row]:.6g}" for column in columns.values()))
        console.print(table)
    if len(rows) < count:
        console.print(f"{len(rows)} of {count} points; --output FILE.csv saves all")


def _show_point(path: Path, result: Result) -> None:
    solution = result.solution
    assert solution is not None
    table = _table(["node", "voltage [V]"], f"{path.name}: {solution.engine}")
    table.columns[1].justify = "right"
    for name, value in zip(result.nodes, result.voltages[0], strict=True):
        table.add_row(escape(name), f"{value:.12g}")
    console.print(table)
    console.print(
        f"largest Kirchhoff residual {solution.residual[0]:.3g} A, power {solution.power[0]:.6g} W, "
        f"{int(solution.iterations[0])} iterations, {solution.wall_time * 1e3:.3g} ms"
    )


def _table(columns: Sequence[str], title: str) -> Table:
    return Table(*columns, title=escape(title), title_justify="left", min_width=min(len(title), console.width))


def _fitting(result: Result) -> Iterator[dict[str, Array]]:
    """Yield the columns in parts that fit the console, each with the axes in front."""
    axes = dict(result.axes)
    rest = {name: column for name, column in result.columns.items() if name not in axes}
    start = sum(max(len(name), _LEAST_WIDTH) + _FRAME for name in axes)
    part, width = dict(axes), start
    for name, column in rest.items():
        more = max(len(name), _LEAST_WIDTH) + _FRAME
        if len(part) > len(axes) and width + more >= console.width:
            yield part
            part, width = dict(axes), start
        part[name], width = column, width + more
    yield part


def check_output(output: Path) -> None:
    """Raise :class:`InputError` if :func:`save` could not write ``output``."""
    if output.suffix not in (".csv", ".npz"):
        raise InputError(f"--output {output}: the name must end in .csv or .npz")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}; make it first")
    if output.is_dir():
        raise InputError(f"--output {output}: this is a folder; name a file")
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"--output {output}: the folder {output.parent} does not let you write")


def save(output: Path, results: Sequence[Result]) -> list[Path]:
    """Write the columns of all analyses, with 17 digits as CSV or as NumPy arrays; return the files.

    One analysis is ``output`` itself. Of several, each is a CSV file of its own, ``NAME-1-op.csv``,
    ``NAME-2-dc.csv``, ``NAME-3-tran.csv``, numbered as the netlist asks for them; in an ``.npz`` file they are
    together, the names of their arrays beginning with ``1-op/`` and so on. All files are written, or none.

    Raises
    ------
    InputError
        If a file cannot be written; existing ones are then as before.
    """
    names = [f"{k}-{_kind(result)}" for k, result in enumerate(results, start=1)]
    if output.suffix == ".npz":
        heads = [""] if len(results) == 1 else [f"{name}/" for name in names]
        pairs = zip(heads, results, strict=True)
        arrays = {head + column: values for head, result in pairs for column, values in result.columns.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        files = {output: buffer.getvalue()}
    elif len(results) == 1:
        files = {output: _csv(results[0])}
    else:
        parts = (output.with_name(f"{output.stem}-{name}.csv") for name in names)
        files = {path: _csv(result) for path, result in zip(parts, results, strict=True)}
    write_files(files)
    return list(files)


def _kind(result: Result) -> str:
    return "op" if not result.axes else "tran" if "time [s]" in result.axes else "dc"


def _csv(result: Result) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(result.columns)
    rows = np.column_stack(list(result.columns.values())).tolist() if result.columns else []
    text.writelines(",".join(f"{value:.17g}" for value in row) + "\n" for row in rows)
    return text.getvalue().encode()
