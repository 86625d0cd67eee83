"""Columns of a CSV file."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analogep.errors import Fault
from analogep.training.data.parts import Array

if TYPE_CHECKING:
    from analogep.training.configuration.data import DataConfig


@dataclass(frozen=True)
class Columns:
    """What a CSV file holds.

    Attributes
    ----------
    features
        Names of the columns of features.
    values
        Features (S, F).
    labels
        The class of each sample as written, empty for regression.
    targets
        Target voltages (S, O) [V], O = 0 for classes.
    """

    features: tuple[str, ...]
    values: Array
    labels: list[str]
    targets: Array


def read_columns(path: str, config: DataConfig, features: tuple[str, ...], faults: list[Fault]) -> Columns:
    """Return the columns of ``path`` that ``config`` names, and note every fault in ``faults``.

    ``features`` are the columns of features if known from another file; else what ``config`` says, else all that
    are left.
    """
    empty = Columns(features, np.zeros((0, 0)), [], np.zeros((0, 0)))
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=config.delimiter, strict=True)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except OSError as error:
        faults.append(Fault(path, f"cannot be read: {error.strerror}"))
        return empty
    except UnicodeDecodeError as error:
        faults.append(Fault(path, f"is not text in UTF-8: {error.reason} at byte {error.start}"))
        return empty
    except csv.Error as error:
        faults.append(Fault(f"{path}, line {reader.line_num}", f"is not CSV: {error}"))
        return empty
    if not rows:
        faults.append(Fault(path, "is empty; the first line names the columns"))
        return empty
    head, rows = rows[0][1], rows[1:]
    known = len(faults)
    _check_head(path, head, config, features, faults)
    if len(faults) > known:
        return empty
    learned = (config.label,) if config.label else config.target_columns
    names = features or config.feature_columns or tuple(name for name in head if name not in learned)
    if not names:
        faults.append(Fault(path, f"has no column of features beside {', '.join(learned)}"))
    if not rows:
        faults.append(Fault(path, "has a head and no samples"))
    place = {name: k for k, name in enumerate(head)}
    values, targets, labels = [], [], []
    for line, row in rows:
        if len(row) != len(head):
            faults.append(Fault(f"{path}, line {line}", f"has {len(row)} cells and the head {len(head)}"))
            continue
        values.append([_number(path, line, name, row[place[name]], faults) for name in names])
        if config.label:
            labels.append(row[place[config.label]])
            if not labels[-1]:
                faults.append(Fault(f"{path}, line {line}, column {config.label}", "names no class"))
        else:
            targets.append([_number(path, line, name, row[place[name]], faults) for name in config.target_columns])
    return Columns(names, np.array(values, float), labels, np.array(targets, float))


def _check_head(
    path: str, head: list[str], config: DataConfig, features: tuple[str, ...], faults: list[Fault]
) -> None:
    """Check that the first line names every column once, among them all that are needed."""
    if all(_is_number(cell) for cell in head):
        faults.append(Fault(path, "begins with numbers; its first line must name the columns"))
        return
    twice = sorted({name for name in head if head.count(name) > 1})
    if twice:
        faults.append(Fault(path, f"has more than one column named {', '.join(map(repr, twice))}"))
    wanted = [config.label] if config.label else list(config.target_columns)
    missing = [name for name in [*wanted, *(features or config.feature_columns)] if name not in head]
    if missing:
        have = ", ".join(head[:20]) + (", …" if len(head) > 20 else "")
        faults.append(Fault(path, f"has no column {', '.join(map(repr, missing))}; its columns are {have}"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(path: str, line: int, column: str, text: str, faults: list[Fault]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        shown = repr(text) if text else "empty"
        faults.append(Fault(f"{path}, line {line}, column {column}", f"is {shown}; give a finite number"))
    return value
