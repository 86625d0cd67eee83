"""What a data set is: parts of features with classes or targets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analogep.errors import DataError, Fault
from analogep.kinds import ByValue, checked

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Features = NDArray[np.uint8] | NDArray[np.float32] | NDArray[np.float64]


@checked()
@dataclass(frozen=True, eq=False)
class Part(ByValue):
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

    def __post_init__(self) -> None:
        faults = []
        shape = np.shape(self.features)
        if len(shape) != 2 or not all(shape):
            faults.append(Fault("features", f"have shape {shape}; give (samples, features), at least one of each"))
        for name in ("labels", "targets"):
            found = None if getattr(self, name) is None else np.shape(getattr(self, name))
            wanted = 1 if name == "labels" else 2
            if found is not None and (len(found) != wanted or found[:1] != shape[:1]):
                faults.append(Fault(name, f"have shape {found} beside features {shape}; give one for each sample"))
        if not 0.0 < self.full_scale < np.inf:
            faults.append(Fault("full_scale", f"{self.full_scale:g} must be finite and positive"))
        for name in ("features", "targets"):
            numbers = getattr(self, name)
            real = isinstance(numbers, np.ndarray) and numbers.dtype.kind == "f"
            if not faults and real and not np.isfinite(numbers.sum()) and not np.isfinite(numbers).all():
                faults.append(Fault(name, "have numbers that are not finite; remove those samples"))
        if not faults and self.labels is not None and np.min(self.labels) < 0:
            faults.append(Fault("labels", "have negative classes; classes count from 0"))
        if faults:
            raise DataError("data", faults)

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
@dataclass(frozen=True, eq=False)
class DataSet(ByValue):
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

    def __post_init__(self) -> None:
        faults = []
        if self.classes < 0:
            faults.append(Fault("classes", f"{self.classes}; give how many there are, 0 for a regression"))
        if self.class_names and len(self.class_names) != self.classes:
            faults.append(Fault("class_names", f"{len(self.class_names)} names for {self.classes} classes"))
        if not 0.0 <= self.tolerance < np.inf:
            faults.append(Fault("tolerance", f"{self.tolerance:g} V must be finite and not negative"))
        if self.image is not None and (len(self.image) not in (2, 3) or min(self.image) < 1):
            faults.append(Fault("image", f"{self.image}; give (height, width) or (channels, height, width)"))
        if faults:
            raise DataError("data set", faults)

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
