"""Census of operating points of hard kinds: netlists by the package and ngspice, Hopfield graphs by their flow.

Every answer of ours must be a root of equations that share no code with the package (``independent``: one more
Newton step from it must not move it), and one at which the leaky integrator stays (equal capacitances at the
nodes, eigenvalues of the differenced Jacobian). Where we refuse, ngspice's answer is put to the same questions.

Run: python experiments/operating_census.py [--count 2000] [--seed 0] [--failures FOLDER] [--kinds KIND ...]
"""

from __future__ import annotations

import time
import warnings

import hopfield_flow
import independent_solve
import numpy as np
from census_tools import Array, Deck, Finding, ngspice, ours, parser, run
from independent import Network
from independent_laws import OutOfReach
from operating_decks import KINDS, sample

HOPFIELD = "hopfield graph"
ALL = (*KINDS, HOPFIELD)
GOOD = {
    "same as ngspice", "another stable point", "stable, ngspice fails",
    "stable, ngspice's is no root or unstable",
    "both refused", "refused, ngspice's is unstable", "refused, ngspice's is no root", "unstable, said so",
    "stable", "inexact, said so", "refused, an absurd current", "refused, no stable point found",
}  # fmt: skip
TIGHT = (
    "reltol=1e-9 vntol=1e-12 abstol=1e-18 itl1=500",
    "reltol=1e-6 vntol=1e-9 abstol=1e-15 itl1=1000",
)


class Judge:
    """What the independent equations say of node voltages."""

    def __init__(self, text: str) -> None:
        self.net = Network(text)

    def unknowns(self, voltages: dict[str, float]) -> Array | None:
        """Return all unknowns: voltages as given, inner nodes and branch currents that go with them."""
        net = self.net
        x = np.zeros(net.size)
        for k, name in enumerate(net.names):
            if name not in voltages:
                return None
            x[k] = voltages[name]
        for s in net.switches:
            s.closed = s.wanted(x)
        net.fill(x)
        free = [k for k in range(net.nodes, net.size) if k not in net.inner]
        if free:  # currents enter linearly: those that fit best
            f, j = net.forces(x, None), net.slopes(x)
            scale = np.maximum(np.abs(j).max(axis=1), 1e-15)
            x[free] += np.linalg.lstsq(j[:, free] / scale[:, None], -f / scale, rcond=None)[0]
        return x

    def error(self, x: Array) -> float:
        """Return how far [V] the nearest root lies: by a Newton step, or in 50 digits where rounding blurs it."""
        net = self.net
        f, j = net.forces(x, None), net.slopes(x)
        if not (np.isfinite(f).all() and np.isfinite(j).all()):
            return np.inf
        scale = np.abs(j).max(axis=1)
        scale[scale == 0] = 1.0
        try:
            inverse = np.linalg.inv(j / scale[:, None])
        except np.linalg.LinAlgError:
            return np.inf
        step = np.abs(inverse @ (f / scale))[: net.nodes]
        open_ = (np.abs(inverse) @ (net.allowed(x) / scale))[: net.nodes] * 64 * np.finfo(float).eps
        if open_.max(initial=0.0) > 1e-7:
            try:
                return float(np.abs(independent_solve.exact(net, x) - x)[: net.nodes].max())
            except (OutOfReach, ArithmeticError):
                pass
        return float(np.maximum(step - open_, 0.0).max(initial=0.0))

    def largest_current(self, x: Array) -> float:
        """Return the largest current [A] of a junction."""
        u = [[float(x[c]) if c >= 0 else 0.0 for c in law.controls] for law in self.net.laws]
        return max((abs(law.function(v)) for law, v in zip(self.net.laws, u, strict=True)), default=0.0)

    def stable(self, x: Array) -> tuple[bool, float]:
        """Return whether the leaky integrator stays at x, and its largest rate [S]; true where unknown."""
        try:
            rate = independent_solve.stability(self.net, x)
        except OutOfReach:
            return True, 0.0
        return rate <= 1e-7 * np.abs(self.net.slopes(x)[: self.net.nodes, : self.net.nodes]).max(), rate

    def settled(self, x: Array) -> bool:
        """Return whether the leaky integrator leads from beside x, which is unstable, to a stable point."""
        net, rng = self.net, np.random.default_rng(0)
        rate = max(self.stable(x)[1], 1e-12)
        mass = np.zeros((net.size, net.size))
        mass[: net.nodes, : net.nodes] = np.eye(net.nodes)
        for _ in range(4):
            z = x.copy()
            z[: net.nodes] += 1e-2 * rng.standard_normal(net.nodes)
            try:
                for _ in range(500):  # a step is half the time in which a deviation grows, so that it does grow
                    here, pace = z, 2.0 * rate
                    for s in net.switches:
                        s.closed = s.wanted(here)
                    while True:
                        try:
                            z = independent_solve.newton(
                                lambda y, here=here, pace=pace: net.forces(y, None) + pace * mass @ (y - here),
                                lambda y, pace=pace: net.slopes(y) + pace * mass,
                                here,
                            )
                            break
                        except OutOfReach:
                            pace *= 8.0
                            if pace > 1e9 * rate:
                                raise
                    if np.abs(z - here)[: net.nodes].max() < 1e-9:
                        break
            except OutOfReach:
                continue
            if self.error(z) < 1e-5 and self.stable(z)[0]:
                return True
        return False


def by_ngspice(deck: Deck) -> tuple[dict[str, float] | None, str]:
    said = ""
    for options in TIGHT:
        plot, said = ngspice(deck.text, "op", options, 20.0)
        if plot is not None:
            return {k: float(v[0]) for k, v in plot.items() if "#" not in k and "(" not in k}, ""
    return None, said


def classify(deck: Deck) -> tuple[str, str, float]:
    """Return the outcome, what there is to say, and the seconds ours took."""
    started = time.process_time()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        outcome, remark, result = ours(deck.text)
    seconds = time.process_time() - started
    theirs, said = by_ngspice(deck)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            judge: Judge | None = Judge(deck.text)
        except OutOfReach:
            judge = None  # breakdown: by ngspice alone
        if result is None:
            return *_refused(judge, outcome, remark, theirs, said), seconds
        mine = {n.lower(): float(result.voltages[0, k]) for k, n in enumerate(result.nodes)}
        saying = "; ".join(str(w.message) for w in warned)
        return *_found(judge, mine, theirs, said, saying), seconds


def _refused(
    judge: Judge | None, outcome: str, remark: str, theirs: dict[str, float] | None, said: str
) -> tuple[str, str]:
    if outcome != "refused":
        return outcome, remark
    if theirs is None:
        return "both refused", f"{remark} | ngspice: {said}"
    if judge is None:
        return "refused, ngspice solves it", remark
    x = judge.unknowns(theirs)
    if x is None or judge.error(x) > 1e-4:
        return "refused, ngspice's is no root", remark
    if judge.largest_current(x) > 1e6:
        return "refused, an absurd current", remark
    stable, rate = judge.stable(x)
    if not stable:
        if judge.settled(x):
            return "refused, another point is stable", remark
        return "refused, ngspice's is unstable", f"{rate:.3g}; {remark}"
    return "refused, ngspice's is stable", remark


def _found(
    judge: Judge | None, mine: dict[str, float], theirs: dict[str, float] | None, said: str, saying: str
) -> tuple[str, str]:
    size = max(1.0, *(abs(v) for v in mine.values()))
    apart = np.inf
    where = said
    if theirs is not None:
        node = max((n for n in mine if n in theirs), key=lambda n: abs(mine[n] - theirs[n]))
        apart, where = abs(mine[node] - theirs[node]), f"v({node}) = {mine[node]:.9g}, ngspice {theirs[node]:.9g}"
    if judge is None:
        if theirs is None:
            return "stable, ngspice fails", said
        return ("same as ngspice" if apart <= 1e-6 * size else "differs from ngspice"), where
    x = judge.unknowns(mine)
    if x is None:
        return "silently wrong", "nodes are missing"
    error = judge.error(x)
    if error > 1e-6 * size and saying:
        return "inexact, said so", f"{error:.3g} V from a root; {saying}"
    if error > 1e-6 * size:
        return "silently wrong", f"{error:.3g} V from a root; {where}"
    stable, rate = judge.stable(x)
    if not stable:
        if saying:
            return "unstable, said so", saying
        found = judge.settled(x)
        return "silently unstable" if found else "unstable, no stable point found", f"rate {rate:.3g} S; {where}"
    if theirs is None:
        return "stable, ngspice fails", said
    if apart <= 1e-6 * size:
        return "same as ngspice", ""
    z = judge.unknowns(theirs)
    if z is None or judge.error(z) > 1e-6 * size or not judge.stable(z)[0]:
        return "stable, ngspice's is no root or unstable", where
    return "another stable point", where


def one(task: tuple[int, int, tuple[str, ...]]) -> Finding:
    seed, number, kinds = task
    kind = (kinds or ALL)[number % len(kinds or ALL)]
    if kind == HOPFIELD:
        return hopfield_flow.one(seed, number, kind)
    deck = sample(seed, number, kind)
    outcome, remark, seconds = classify(deck)
    return Finding(number, kind, outcome, remark, deck.text, seconds)


def main() -> None:
    options = parser(__doc__.splitlines()[0], 2000)
    args = options.parse_args()
    unknown = set(args.kinds or ()) - set(ALL)
    if unknown:
        options.error(f"no kind {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    print(f"{args.count} operating points, seed {args.seed}", flush=True)
    run(one, args, GOOD)


if __name__ == "__main__":
    main()
