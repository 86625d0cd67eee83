"""What a data set is: parts of features with classes or targets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analogep.kinds import checked

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Features = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]


@checked()
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

    def take(self, samples: Labels) -> Part:
        """Return the part that holds only ``samples``, in their order."""
        return replace(
            self,
            features=self.features[samples],
            labels=None if self.labels is None else self.labels[samples],
            targets=None if self.targets is None else self.targets[samples],
        )


@checked()
@dataclass(frozen=True)
class DataSet:
    """Training and test parts, and a part held out for validation if asked for.

    Attributes
    ----------
    name
        The data set's name.
    train, test, validation
        The parts; ``validation`` is ``None`` unless a share of the training part is held out.
    classes
        Number of classes, 0 for regression.
    image
        Shape of one sample that is a picture: (height, width), or (channels, height, width).
    tolerance
        How far a regression's output may be from its target without counting as an error [V].
    class_names
        A name for each class, if the data have any.
    """

    name: str
    train: Part
    test: Part
    classes: int = 0
    image: tuple[int, ...] | None = None
    tolerance: float = 0.0
    validation: Part | None = None
    class_names: tuple[str, ...] = ()

    @property
    def outputs(self) -> int:
        """Number of outputs a network for this data needs."""
        if self.classes:
            return self.classes
        assert self.train.targets is not None
        return int(self.train.targets.shape[1])

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that there are, by name."""
        every = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in every.items() if part is not None}
