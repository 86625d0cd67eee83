"""Data sets by name, as arrays with a fixed split.

To add a data set: a loader in ``LOADERS``, its name in ``DataConfig`` and, if it is downloaded, its addresses and
hashes in ``images.PUBLISHED``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from analogep.errors import ConfigError, Fault
from analogep.training.data.images import cifar10, mnist_like
from analogep.training.data.own import csv, npz
from analogep.training.data.parts import Array, DataSet, Features, Labels, Part
from analogep.training.data.small import digits, table
from analogep.training.data.split import apart, some

if TYPE_CHECKING:
    from analogep.training.configuration.data import DataConfig

__all__ = ["LOADERS", "Array", "DataSet", "Features", "Labels", "Part", "load"]

LOADERS: dict[str, Callable[[DataConfig], DataSet]] = {
    "digits": digits,
    "table": table,
    "mnist": mnist_like,
    "fashion-mnist": mnist_like,
    "kmnist": mnist_like,
    "cifar-10": cifar10,
    "npz": npz,
    "csv": csv,
}
"""Loader of each data set; add one here."""


def load(config: DataConfig) -> DataSet:
    """Load the data set that ``config`` names, hold out its validation part, and cut it to the sizes asked for.

    Validation is held out before the training part is cut, so that runs of several ``train_size`` share it. An
    autoencoder's data are split by their classes, too, before these are dropped.

    Raises
    ------
    DataError
        If the data cannot be had, or do not fit together.
    ConfigError
        If a part asked for is larger than what there is, or too small to hold every class.
    """
    data = LOADERS[config.name](config)
    faults = []
    if config.validation_fraction:
        try:
            train, validation = apart(data.train, config.validation_fraction, config.split_seed)
            data = replace(data, train=train, validation=validation)
        except ValueError as error:
            faults.append(Fault("data.validation_fraction", str(error)))
    try:
        if config.train_size is not None:
            data = replace(data, train=some(data.train, config.train_size, config.split_seed))
    except ValueError as error:
        faults.append(Fault("data.train_size", str(error)))
    try:
        if config.test_size is not None:
            data = replace(data, test=some(data.test, config.test_size, config.split_seed))
    except ValueError as error:
        faults.append(Fault("data.test_size", str(error)))
    if faults:
        raise ConfigError("configuration", faults)
    if config.reconstruct:
        train, test = _itself(data.train), _itself(data.test)
        held_out = None if data.validation is None else _itself(data.validation)
        data = replace(
            data,
            train=train,
            test=test,
            validation=held_out,
            classes=0,
            class_names=(),
            tolerance=config.tolerance,
        )
    return data


def _itself(part: Part) -> Part:
    """Return the part with its features, in units of full scale, for targets."""
    return replace(part, labels=None, targets=part.numbers())
