"""Parts of a part, drawn from a seed with the classes in proportion."""

from __future__ import annotations

import numpy as np

from analogep.training.data.parts import Labels, Part


def _draw(part: Part, count: int, rng: np.random.Generator) -> Labels:
    """Return ``count`` samples, ascending, with the classes in proportion (largest remainders)."""
    if part.labels is None:
        return np.sort(rng.choice(len(part), count, replace=False)).astype(np.int64)
    sizes = np.bincount(part.labels)
    exact = sizes * (count / len(part))
    share = np.floor(exact).astype(np.int64)
    remainders = np.argsort(-(exact - share), kind="stable")
    share[remainders[: count - int(share.sum())]] += 1
    drawn = [
        rng.choice(np.flatnonzero(part.labels == label), size, replace=False) for label, size in enumerate(share)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def _lacking(part: Part, samples: Labels) -> list[int]:
    """Return the classes of ``part`` of which ``samples`` has none."""
    if part.labels is None:
        return []
    return sorted(set(np.unique(part.labels).tolist()) - set(np.unique(part.labels[samples]).tolist()))


def apart(part: Part, fraction: float, seed: int) -> tuple[Part, Part]:
    """Return ``part`` in two: what stays, and ``fraction`` of it held out.

    Raises
    ------
    ValueError
        If either would be empty or lack a class.
    """
    count = round(fraction * len(part))
    if not 0 < count < len(part):
        raise ValueError(f"{fraction:g} of {len(part)} samples leaves one of the two parts empty")
    held = _draw(part, count, np.random.default_rng(seed))
    kept = np.setdiff1d(np.arange(len(part)), held)
    for what, samples in (("holds out", held), ("leaves", kept)):
        if missing := _lacking(part, samples):
            raise ValueError(f"{fraction:g} {what} too few samples: none of class {', '.join(map(str, missing))}")
    return part.take(kept), part.take(held)


def some(part: Part, count: int, seed: int) -> Part:
    """Return ``count`` samples of ``part``, in their order.

    Raises
    ------
    ValueError
        If there are not so many, or a class would be lost.
    """
    if count > len(part):
        raise ValueError(f"{count} samples are asked for and {len(part)} are there")
    samples = _draw(part, count, np.random.default_rng([seed, 1]))
    if missing := _lacking(part, samples):
        raise ValueError(f"{count} samples are too few: none of class {', '.join(map(str, missing))}")
    return part.take(samples)
