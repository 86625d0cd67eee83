"""What an encoder makes of data: the voltages on the input lines, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analogep.training.data import Part
from analogep.training.encoders import CHUNK, VoltageEncoder


@dataclass(frozen=True)
class VoltageReport:
    """Voltages of all input lines over all samples of one part.

    Attributes
    ----------
    minimum, maximum, mean, rms
        Of all line voltages [V].
    zero
        Fraction of line voltages that are exactly 0 V.
    idle
        Lines that are at 0 V in every sample: their conductances are never learned.
    positive, negative
        Lines that carry the features as they are, and negated; bias lines are not among them.
    bias
        Bias lines, of either sign.
    limit
        Largest |v| that is allowed [V], infinite if nobody said.
    beyond
        Fraction of samples with a line beyond the limit.
    worst_sample, worst_line
        Where |v| is largest.
    """

    minimum: float
    maximum: float
    mean: float
    rms: float
    zero: float
    idle: int
    positive: int
    negative: int
    bias: int
    limit: float
    beyond: float
    worst_sample: int
    worst_line: int

    @property
    def peak(self) -> float:
        """Largest |v| [V]."""
        return max(-self.minimum, self.maximum)

    def warning(self) -> str | None:
        """Return a sentence with the remedy if a voltage is beyond the limit."""
        if self.peak <= self.limit:
            return None
        return (
            f"line {self.worst_line} reaches {self.peak:.4g} V in sample {self.worst_sample}, beyond "
            f"{self.limit:.4g} V, as do {self.beyond:.2%} of the samples; multiply the gain by "
            f"{self.limit / self.peak:.3g} or less"
        )


def report_voltages(encoder: VoltageEncoder, part: Part, limit: float = np.inf) -> VoltageReport:
    """Return the report of the voltages that ``encoder`` gives to ``part``; lines and samples count from 0.

    Parameters
    ----------
    encoder
        The encoder.
    part
        Data, at least one sample; only a chunk of it is in memory as voltages at a time.
    limit
        Largest |v| that is allowed [V].
    """
    features = part.features.shape[1]
    lines = encoder.lines(features)
    low, high, total, square, zeros, beyond = np.inf, -np.inf, 0.0, 0.0, 0, 0
    used = np.zeros(lines, bool)
    worst, place = -1.0, (0, 0)
    for start in range(0, len(part), CHUNK):
        v = encoder(part.numbers(slice(start, start + CHUNK)))
        size = np.abs(v)
        low, high = min(low, float(v.min())), max(high, float(v.max()))
        total, square = total + float(v.sum()), square + float(np.vdot(v, v))
        zeros += int(np.count_nonzero(v == 0.0))
        used |= (v != 0.0).any(axis=0)
        beyond += int(np.count_nonzero(size.max(axis=1) > limit))
        if size.max() > worst:
            worst = float(size.max())
            row, column = divmod(int(size.argmax()), lines)
            place = (start + row, column)
    count = len(part) * lines
    return VoltageReport(
        minimum=low,
        maximum=high,
        mean=total / count,
        rms=float(np.sqrt(square / count)),
        zero=zeros / count,
        idle=int(np.count_nonzero(~used)),
        positive=features,
        negative=features if encoder.doubled else 0,
        bias=lines - features * (2 if encoder.doubled else 1),
        limit=limit,
        beyond=beyond / len(part),
        worst_sample=place[0],
        worst_line=place[1],
    )
