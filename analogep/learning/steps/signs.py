"""Signs of β that look random and depend on the samples alone, so that any part of a run can be repeated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hashed_signs(order: NDArray[np.int64], batch: int) -> NDArray[np.float64]:
    """Return a sign, 1 or −1, for each batch of the samples ``order`` (S,), from a hash of the batch's samples.

    An epoch that is shuffled anew draws new signs. The hash is the finaliser of splitmix64 (Steele, Lea & Flood
    2014, *Fast splittable pseudorandom number generators*), added up by exclusive or.
    """
    mixed = order.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    odd = np.bitwise_xor.reduceat(mixed, np.arange(0, len(order), batch)) & np.uint64(1)
    return np.where(odd == 0, 1.0, -1.0)
