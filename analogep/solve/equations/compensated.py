"""Sums of many currents into nodes, in pairs of doubles, compiled."""

from __future__ import annotations

from analogep.solve.compiled import compiled


@compiled
def add_at(high, low, pins, current):  # type: ignore[no-untyped-def]
    """Add currents (B, E) [A] to the sums high + low (B, N) at the first pin (E, 2); take them from the second.

    What an addition rounds off is found exactly and goes to ``low`` (Knuth, The Art of Computer Programming 2,
    section 4.2.2), so that a sum is as good as one in twice the precision (Ogita, Rump and Oishi 2005, SIAM J.
    Sci. Comput. 26).
    """
    for b in range(current.shape[0]):
        for e in range(current.shape[1]):
            for side in range(2):
                n = pins[e, side]
                i = current[b, e] if side == 0 else -current[b, e]
                before = high[b, n]
                after = before + i
                part = after - before
                low[b, n] += (before - (after - part)) + (i - part)
                high[b, n] = after
