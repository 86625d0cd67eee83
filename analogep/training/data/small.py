"""Data that need no file: scikit-learn's digits, and a table in the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analogep.errors import ConfigError, Fault
from analogep.training.data.parts import DataSet, Part

if TYPE_CHECKING:
    from analogep.training.configuration.data import DataConfig


def digits(config: DataConfig) -> DataSet:
    """Load scikit-learn's 1,797 handwritten digits, 8×8 pixels scaled to [0, 1], split by class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    try:
        x_train, x_test, y_train, y_test = train_test_split(
            images / 16.0,
            labels.astype(np.int64),
            test_size=config.test_fraction,
            random_state=config.split_seed,
            stratify=labels,
        )
    except ValueError as error:  # a part too small to hold every class
        what = f"{config.test_fraction:g} leaves too few samples: {error}"
        raise ConfigError("configuration", [Fault("data.test_fraction", what)]) from None
    return DataSet("digits", Part(x_train, y_train), Part(x_test, y_test), 10, (8, 8))


def table(config: DataConfig) -> DataSet:
    """Return the inputs and targets that the configuration itself lists; all of them train and test."""
    part = Part(np.array(config.inputs, float), None, np.array(config.targets, float))
    return DataSet("table", part, part, 0, None, config.tolerance)
