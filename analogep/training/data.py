"""Data sets by name, as arrays with a fixed split."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analogep.errors import ConfigError, Fault

if TYPE_CHECKING:
    from analogep.training.config import DataConfig

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Features = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """One part of a data set.

    Attributes
    ----------
    features
        Numbers for the encoder, (S, F); kept in the type in which they come (uint8 pixels, float32, float64).
    labels
        Classes (S,), ``None`` for regression.
    targets
        Target voltages (S, O) [V] of a regression, ``None`` for classes.
    full_scale
        The feature that stands for the number 1: 255 for pixels of eight bits.
    """

    features: Features
    labels: Labels | None = None
    targets: Array | None = None
    full_scale: float = 1.0

    def __len__(self) -> int:
        return len(self.features)

    def numbers(self, batch: slice | Labels = slice(None)) -> Array:
        """Return the features (B, F) of the samples of ``batch`` as numbers in float64, in units of full scale."""
        return np.divide(self.features[batch], self.full_scale, dtype=np.float64)


@dataclass(frozen=True)
class DataSet:
    """Training and test parts; ``image`` is the shape of one sample that is a picture.

    ``tolerance`` [V] is how far a regression's output may be from its target without counting as an error.
    """

    name: str
    train: Part
    test: Part
    classes: int = 0
    image: tuple[int, int] | None = None
    tolerance: float = 0.0

    @property
    def outputs(self) -> int:
        """Number of outputs a network for this data needs."""
        if self.classes:
            return self.classes
        assert self.train.targets is not None
        return int(self.train.targets.shape[1])


def load(config: DataConfig) -> DataSet:
    """Load the data set that ``config`` names."""
    return LOADERS[config.name](config)


def _digits(config: DataConfig) -> DataSet:
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


def _table(config: DataConfig) -> DataSet:
    """Return the inputs and targets that the configuration itself lists; all of them train and test."""
    part = Part(np.array(config.inputs, float), None, np.array(config.targets, float))
    return DataSet("table", part, part, 0, None, config.tolerance)


LOADERS: dict[str, Callable[[DataConfig], DataSet]] = {"digits": _digits, "table": _table}
"""Loader of each data set; add one here."""
