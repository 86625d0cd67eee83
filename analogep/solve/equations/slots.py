"""Where the slopes of nonlinear elements and of a nudge enter the Jacobian."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.solve.equations.plan import Plan

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Slots:
    """Positions of the Jacobian that change from sample to sample, and the map from slopes to them.

    The slopes of one sample, in order: nonlinear one-ports (E,), entries of nonlinear multi-ports, then the
    nudge's slopes (O, O).

    Parameters
    ----------
    plan, circuit
        The unknowns, and the circuit that they are of.
    t, w
        By what each node's (N,) unknown counts in its voltage, and its current in the unknown's row.
    junctions
        Pins (E, 2) of the nonlinear one-ports.
    """

    def __init__(self, plan: Plan, circuit: Circuit, t: Array, w: Array, junctions: Index) -> None:
        entries: list[tuple[Index, Index, Index, Array]] = []
        start = 0

        def pair(rows: Index, columns: Index, slopes: Index, factor: Array) -> None:
            keep = (rows >= 0) & (columns >= 0)
            entries.append((rows[keep], columns[keep], slopes[keep], factor[keep]))

        u, tu, wu = plan.unknown[junctions], t[junctions], w[junctions]
        order = np.arange(len(junctions))
        for a, b, sign in ((0, 0, 1.0), (0, 1, -1.0), (1, 0, -1.0), (1, 1, 1.0)):
            pair(u[:, a], u[:, b], order, sign * wu[:, a] * tu[:, b])
        start += len(junctions)
        for b in plan.multiport_banks:
            bank = circuit.banks[b]
            if bank.device.linear:
                continue
            local = plan.local_unknowns(circuit, b)
            count = local.shape[1]
            ones = np.ones((bank.size, count - len(bank.device.pins)))
            wl = np.concatenate([w[bank.pins], ones], axis=1)
            tl = np.concatenate([t[bank.pins], ones], axis=1)
            order = np.arange(bank.size) * count * count
            for i in range(count):
                for j in range(count):
                    pair(local[:, i], local[:, j], start + order + i * count + j, wl[:, i] * tl[:, j])
            start += bank.size * count * count
        self.nudge_start = start
        outs = circuit.output_pairs
        number = len(outs)
        uo, to, wo = plan.unknown[outs], t[outs], w[outs]
        first, second = np.divmod(np.arange(number * number), max(number, 1))
        for a, b, sign in ((0, 0, 1.0), (0, 1, -1.0), (1, 0, -1.0), (1, 1, 1.0)):
            pair(
                uo[first, a],
                uo[second, b],
                start + first * number + second,
                sign * wo[first, a] * to[second, b],
            )
        self.count = start + number * number
        rows, columns, slopes, factor = (np.concatenate(part) for part in zip(*entries, strict=True))
        code, where = np.unique(rows * max(plan.size, 1) + columns, return_inverse=True)
        self.rows, self.columns = code // max(plan.size, 1), code % max(plan.size, 1)
        self.map = sp.csr_array(sp.coo_array((factor, (where, slopes)), shape=(len(code), self.count)))

    def values(self, slopes: Array) -> Array:
        """Return the Jacobian's changing entries (B, S) for slopes (B, count)."""
        out: Array = (self.map @ slopes.T).T
        return out
