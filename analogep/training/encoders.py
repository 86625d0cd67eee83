"""Encoders: from the numbers of a data set to the voltages of the input lines, and from classes to targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analogep.errors import InputError
from analogep.kinds import checked

if TYPE_CHECKING:
    from analogep.training.configuration.data import EncoderConfig
    from analogep.training.data import Part

Array = NDArray[np.float64]

CHUNK = 4096
"""Samples that are in memory as float64 at a time."""


@checked()
@dataclass(frozen=True)
class VoltageEncoder:
    """v = gain · ((x − mean)/deviation − center), doubled to (v, −v) if ``doubled``.

    Doubling gives every feature a line of either sign, since conductances cannot be negative.

    Attributes
    ----------
    gain
        Volts per unit of x.
    center
        Value of (standardised) x that maps to 0 V.
    doubled
        Whether to append the negated lines.
    bias
        Voltages of extra lines behind the features' [V], the same for every sample; doubled like them.
    mean, deviation
        What standardises x: a number, or one per feature (F,).
    """

    gain: float = 1.0
    center: float = 0.0
    doubled: bool = True
    bias: tuple[float, ...] = ()
    mean: float | Array = field(default=0.0, compare=False)
    deviation: float | Array = field(default=1.0, compare=False)

    def __post_init__(self) -> None:
        numbers: dict[str, ArrayLike] = {"gain": self.gain, "center": self.center, "bias": self.bias}
        numbers |= {"mean": self.mean, "deviation": self.deviation}
        arrays = {name: np.asarray(value, dtype=float) for name, value in numbers.items()}
        wrong = [
            n for n, a in arrays.items() if not np.isfinite(a).all() or (n != "bias" and not a.size) or a.ndim > 1
        ]
        wrong += [] if arrays["deviation"].all() else ["deviation"]
        if wrong:
            raise InputError(
                f"encoder: {', '.join(wrong)} must be finite numbers or lists of them, and a deviation not zero"
            )

    @classmethod
    def fitted(cls, config: EncoderConfig, part: Part) -> VoltageEncoder:
        """Return the encoder that ``config`` describes, with mean and deviation of ``part``, the training part."""
        mean: float | Array = 0.0
        deviation: float | Array = 1.0
        if config.standardise != "none":
            mean, deviation = statistics(part, overall=config.standardise == "overall")
        return cls(config.gain, config.center, config.doubled, tuple(config.bias_lines), mean, deviation)

    def lines(self, features: int) -> int:
        """Return the number of input lines for ``features`` features."""
        return self.singles(features) * (2 if self.doubled else 1)

    def singles(self, features: int) -> int:
        """Return the number of lines before doubling, bias lines included."""
        return features + len(self.bias)

    @checked()
    def __call__(self, features: Array) -> Array:
        """Return voltages (S, lines) [V] for features (S, F)."""
        v = self.single(features)
        return np.concatenate([v, -v], axis=1) if self.doubled else v

    @checked()
    def single(self, features: Array) -> Array:
        """Return voltages (S, F + bias lines) [V] of the lines before doubling."""
        features = _table("features", features)
        if np.any(self.mean) or np.any(np.not_equal(self.deviation, 1.0)):
            features = (features - self.mean) / self.deviation
        v: Array = self.gain * (features - self.center)
        if self.bias:
            v = np.concatenate([v, np.broadcast_to(np.array(self.bias), (len(v), len(self.bias)))], axis=1)
        return v

    @checked()
    def decode(self, volts: Array) -> Array:
        """Return the features (S, F) that voltages (S, lines) [V] stand for: the inverse of the encoder."""
        volts = _table("voltages", volts)
        count = volts.shape[1] // (2 if self.doubled else 1) - len(self.bias)
        return (volts[:, :count] / self.gain + self.center) * self.deviation + self.mean


def _table(name: str, numbers: Array) -> Array:
    """Return numbers as an array; raises :class:`InputError` unless they are rows (S, …) of finite numbers."""
    array = np.asarray(numbers)
    if array.ndim != 2:
        raise InputError(f"{name} have shape {array.shape}; give one row per sample, (samples, numbers)")
    return array


def statistics(part: Part, *, overall: bool) -> tuple[float | Array, float | Array]:
    """Return mean and standard deviation of each feature (F,), or of all together, over the samples of ``part``.

    Two passes over chunks, as the features may not fit as float64. A feature that never changes gets deviation 1,
    and so 0 V.
    """
    count, width = part.features.shape
    chunks = [slice(k, k + CHUNK) for k in range(0, count, CHUNK)]
    mean = sum((part.numbers(chunk).sum(axis=0) for chunk in chunks), np.zeros(width)) / count
    if overall:
        mean = np.full(width, mean.mean())
    square = sum((((part.numbers(chunk) - mean) ** 2).sum(axis=0) for chunk in chunks), np.zeros(width)) / count
    if overall:
        deviation = float(np.sqrt(square.mean()))
        return float(mean[0]), deviation or 1.0
    steady = np.ptp(part.features, axis=0) == 0
    return np.where(steady, part.numbers(slice(1))[0], mean), np.where(steady, 1.0, np.sqrt(square))


def one_hot(labels: NDArray[np.int64], classes: int, high: float, low: float) -> Array:
    """Return target voltages (S, classes) [V]: ``high`` for the class, ``low`` elsewhere."""
    targets = np.full((len(labels), classes), low)
    targets[np.arange(len(labels)), labels] = high
    return targets
