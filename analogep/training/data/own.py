"""A user's own data: arrays in an .npz file, or columns of CSV files; every fault at once."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analogep.errors import DataError, Fault
from analogep.training.data.columns import Columns, read_columns
from analogep.training.data.parts import DataSet, Features, Part
from analogep.training.data.split import apart

if TYPE_CHECKING:
    from analogep.training.configuration.data import DataConfig

SPLIT, WHOLE = ("x_train", "y_train", "x_test", "y_test"), ("x", "y")
"""Names of the arrays in an .npz file: with a test part of its own, and without."""


def npz(config: DataConfig) -> DataSet:
    """Load arrays ``x_train, y_train, x_test, y_test``, or ``x, y`` of which ``test_fraction`` tests.

    ``x`` is (S, F), or (S, height, width) or (S, channels, height, width) for pictures. Whole numbers ``y`` (S,)
    are classes from 0; floating-point ``y`` (S,) or (S, O) are target voltages [V] of a regression.

    Raises
    ------
    DataError
        With every fault by the name of its array.
    """
    arrays = _read_npz(config.path)
    faults: list[Fault] = []
    names = SPLIT if "x_train" in arrays else WHOLE
    parts: list[Part] = []
    image: tuple[int, ...] | None = None
    for x_name, y_name in zip(names[::2], names[1::2], strict=True):
        x, y = arrays[x_name], arrays[y_name]
        _check_features(x_name, x, faults)
        _check_answers(y_name, y, faults)
        if x.ndim and y.ndim and len(x) != len(y):
            faults.append(Fault(y_name, f"has {len(y)} samples and {x_name} has {len(x)}"))
    if names == SPLIT:
        _check_pair(arrays, faults)
        if config.test_fraction != type(config).model_fields["test_fraction"].default:
            faults.append(Fault("data.test_fraction", "has no use: the file has a test part; leave it out"))
    if faults:
        raise DataError(config.path, faults)
    for x_name, y_name in zip(names[::2], names[1::2], strict=True):
        x, y = arrays[x_name], arrays[y_name]
        image = tuple(x.shape[1:]) if x.ndim > 2 else None
        parts.append(_part(x.reshape(len(x), -1), y, config.full_scale))
    return _data_set(config, parts, image, ())


def csv(config: DataConfig) -> DataSet:
    """Load columns of features with one of classes or several of target voltages [V]; a head names the columns.

    Classes may be any text; they are numbered in ascending order, of numbers if all are whole numbers.

    Raises
    ------
    DataError
        With every fault by file, line and column.
    """
    faults: list[Fault] = []
    tables: list[Columns] = [read_columns(config.path, config, (), faults)]
    if config.test_path:
        tables.append(read_columns(config.test_path, config, tables[0].features, faults))
        if config.test_fraction != type(config).model_fields["test_fraction"].default:
            faults.append(Fault("data.test_fraction", "has no use beside data.test_path; leave one of them out"))
    if faults:
        raise DataError(config.path, faults)
    names: tuple[str, ...] = ()
    answers: list[NDArray[Any]] = [t.targets for t in tables]
    if config.label:
        names = _class_names(tables[0].labels)
        number = {name: k for k, name in enumerate(names)}
        unknown = sorted({label for t in tables for label in t.labels} - set(names))
        if unknown:
            what = f"has classes that the training part has not: {', '.join(unknown)}"
            raise DataError(config.path, [Fault(config.test_path, what)])
        answers = [np.array([number[label] for label in t.labels], np.int64) for t in tables]
    parts = [_part(t.values, y, config.full_scale) for t, y in zip(tables, answers, strict=True)]
    return _data_set(config, parts, None, names)


def _class_names(labels: list[str]) -> tuple[str, ...]:
    every = set(labels)
    try:
        return tuple(sorted(every, key=int))
    except ValueError:
        return tuple(sorted(every))


def _data_set(
    config: DataConfig, parts: list[Part], image: tuple[int, ...] | None, class_names: tuple[str, ...]
) -> DataSet:
    """Split off a test part if there is none, and count the classes."""
    classes = 0
    if parts[0].labels is not None:
        classes = int(max(part.labels.max() for part in parts if part.labels is not None)) + 1
        missing = sorted(set(range(classes)) - set(np.unique(parts[0].labels).tolist()))
        if missing:
            some = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")
            what = f"of {classes} has no training sample: {some}; number the classes 0, 1, 2, … without gaps"
            raise DataError(config.path, [Fault("class", what)])
        if classes < 2:
            raise DataError(config.path, [Fault("class", "is only one; there is nothing to learn")])
    if len(parts) == 1:
        try:
            parts = list(apart(parts[0], config.test_fraction, config.split_seed))
        except ValueError as error:
            raise DataError(config.path, [Fault("data.test_fraction", str(error))]) from None
    name = Path(config.path).stem
    return DataSet(name, parts[0], parts[1], classes, image, config.tolerance, class_names=class_names)


def _part(x: NDArray[Any], y: NDArray[Any], full_scale: float) -> Part:
    features: Features = x if x.dtype in (np.uint8, np.float32, np.float64) else x.astype(np.float64)
    if y.dtype.kind == "f":
        return Part(features, None, y.reshape(len(y), -1).astype(np.float64), full_scale)
    return Part(features, y.astype(np.int64), None, full_scale)


def _read_npz(path: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of an .npz file that are features or answers."""
    try:
        # numpy leaves a file open that it opened itself and cannot read
        with open(path, "rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(path, [Fault("file", "is a single array; save several with numpy.savez")])
            names = set(file.files)
            wanted = SPLIT if names & set(SPLIT) else WHOLE
            faults = [Fault(name, "is missing") for name in wanted if name not in names]
            if wanted == SPLIT and names & set(WHOLE):
                also = " and ".join(sorted(names & set(WHOLE)))
                faults.append(Fault(also, "cannot stand beside x_train; leave one form out"))
            arrays = {}
            for name in [n for n in wanted if n in names]:
                try:
                    arrays[name] = np.asarray(file[name])
                except ValueError:
                    faults.append(Fault(name, "holds Python objects; save it as an array of numbers"))
    except OSError as error:
        raise DataError(path, [Fault("file", f"cannot be read: {error.strerror or error}")]) from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise DataError(path, [Fault("file", "is not an .npz file, as numpy.savez writes it")]) from None
    if faults:
        have = ", ".join(sorted(names)) or "none"
        found = Fault("arrays", f"found {have}; needed are {', '.join(SPLIT)}, or {' and '.join(WHOLE)}")
        raise DataError(path, [*faults, found])
    return arrays


def _check_features(name: str, x: NDArray[Any], faults: list[Fault]) -> None:
    if x.dtype.kind not in "uifb":
        faults.append(Fault(name, f"is of type {x.dtype}; give real numbers"))
    elif x.ndim not in (2, 3, 4):
        faults.append(Fault(name, f"has shape {x.shape}; give (samples, features) or (samples, height, width)"))
    elif not x.size:
        faults.append(Fault(name, f"has shape {x.shape} and so no numbers"))
    else:
        _check_finite(name, x, faults)


def _check_answers(name: str, y: NDArray[Any], faults: list[Fault]) -> None:
    if y.dtype.kind not in "uifb":
        faults.append(Fault(name, f"is of type {y.dtype}; give whole numbers for classes or voltages for targets"))
    elif y.dtype.kind != "f" and y.ndim != 1:
        what = f"has whole numbers of shape {y.shape}; give (samples,) for classes, floats for target voltages"
        faults.append(Fault(name, what))
    elif y.ndim not in (1, 2) or not y.size:
        faults.append(Fault(name, f"has shape {y.shape}; give (samples,) or (samples, outputs)"))
    elif y.dtype.kind == "f":
        _check_finite(name, y, faults)
    elif y.min() < 0:
        faults.append(Fault(name, f"has class {y.min()} at sample {int(y.argmin())}; classes count from 0"))


def _check_finite(name: str, array: NDArray[Any], faults: list[Fault]) -> None:
    if array.dtype.kind != "f":
        return
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(k) for k in np.argwhere(bad)[0])
        what = f"has {int(bad.sum())} numbers that are not finite, the first at {list(first)}: {array[first]}"
        faults.append(Fault(name, what))


def _check_pair(arrays: dict[str, NDArray[Any]], faults: list[Fault]) -> None:
    """Check that test arrays are like training arrays."""
    x, x_test, y, y_test = (arrays[name] for name in ("x_train", "x_test", "y_train", "y_test"))
    if x.shape[1:] != x_test.shape[1:]:
        what = f"has samples of shape {x_test.shape[1:]} and x_train of {x.shape[1:]}"
        faults.append(Fault("x_test", what))
    if (y.dtype.kind == "f") != (y_test.dtype.kind == "f"):
        faults.append(Fault("y_test", f"is of type {y_test.dtype} and y_train of {y.dtype}: classes or targets?"))
    elif y.shape[1:] != y_test.shape[1:]:
        faults.append(Fault("y_test", f"has {y_test.shape[1:]} numbers a sample and y_train {y.shape[1:]}"))
