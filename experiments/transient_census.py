"""Census of transients: random netlists over time, by the package and by ngspice at two tolerances.

Where ngspice agrees with itself its waveforms are the reference: every printed voltage of ours must lie between
the least and the largest of them within a short time around (edges are compared in time), widened by the
tolerance that the netlist asks for. Where ours differs, or ngspice from itself, a third route that shares no code
with either (``independent``: Radau IIA) decides.

Run: python experiments/transient_census.py [--count 500] [--seed 0] [--failures FOLDER] [--kinds KIND ...]
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from census_tools import Array, Deck, Finding, TooSlow, limited, ngspice, ours, parser, run
from independent import Network
from independent_laws import OutOfReach
from independent_solve import over_time
from transient_decks import KINDS, STORING, sample

LOOSE = "no looser than ngspice at the same reltol"
GOOD = {
    "equal", "equal to ngspice's finer run", "equal to the third route, ngspice is not", "both refused", LOOSE,
}  # fmt: skip


class Waves:
    """Times (T,) and voltages (T, N) of one route, by node."""

    def __init__(self, times: Array, values: dict[str, Array]) -> None:
        self.times, self.values = np.asarray(times, float), values

    def band(self, node: str, at: Array, shift: float) -> tuple[Array, Array]:
        """Return the least and largest voltage within ``shift`` of the times ``at``."""
        v = self.values[node]
        low = np.searchsorted(self.times, at - shift)
        high = np.searchsorted(self.times, at + shift, side="right")
        ends = np.array([np.interp(at - shift, self.times, v), np.interp(at + shift, self.times, v),
                         np.interp(at, self.times, v)])  # fmt: skip
        least, largest = ends.min(axis=0), ends.max(axis=0)
        for k in np.flatnonzero(high > low):
            part = v[low[k] : high[k]]
            least[k], largest[k] = min(least[k], part.min()), max(largest[k], part.max())
        return least, largest


def distance(a: Waves, b: Waves, at: Array, deck: Deck, slack: float = 0.0) -> tuple[float, str]:
    """Return by how many times the tolerance ``a`` at the times ``at`` misses ``b``, and where that is worst."""
    stop, solved = float(at[-1]), at >= b.times[0]  # with uic ngspice has solved nothing before its first step
    every = max((np.abs(v).max() for v in b.values.values()), default=0.0)
    worst, where = 0.0, ""
    for node in b.values:
        if node not in a.values:
            continue
        here = np.interp(at, a.times, a.values[node])
        least, largest = b.band(node, at, deck.drift * stop * (1.0 if deck.relative > 5e-4 else 0.3))
        size = np.abs(b.values[node]).max()
        allowed = 3.0 * deck.relative * size + 1e-5 * every + 2e-6 + slack * size
        over = np.maximum(np.maximum(least - here, here - largest), 0.0) / allowed
        over = np.where(solved, over, 0.0)
        k = int(np.argmax(np.where(np.isfinite(over), over, np.inf)))
        if not over[k] <= worst:
            worst, where = (
                float(over[k]),
                f"v({node}) at {at[k]:.6g} s: {here[k]:.6g}, not {least[k]:.6g} to {largest[k]:.6g}",
            )
    return worst, where


def by_ngspice(deck: Deck, reltol: float, points: int = 0) -> tuple[Waves | None, str]:
    """Return ngspice's waveforms, by at least ``points`` steps or as many as it takes, a little past the end."""
    words = deck.tran.split()
    step, stop = float(words[1]), float(words[2]) * (1.0 + 2.0 * deck.drift)
    uic = " uic" if words[-1] == "uic" else ""
    longest = f" 0 {stop / points:.6g}" if points else ""
    said = ""
    for method in ("trap", "gear"):
        options = f"reltol={reltol:g} vntol={reltol * 1e-2:g} abstol=1e-14 chgtol=1e-18 itl4=100 method={method}"
        plot, said = ngspice(deck.text, f"tran {step:.10g} {stop:.10g}{longest}{uic}", options)
        if plot is not None and plot["time"][-1] >= stop * (1 - 1e-6):
            keep = slice(1, None) if uic else slice(None)  # with uic it prints at zero what it was told, unsolved
            times = plot["time"][keep]
            return Waves(
                times, {k: v[keep] for k, v in plot.items() if k != "time" and "#" not in k and "(" not in k}
            ), ""
    return None, said


def by_third(deck: Deck, longest: float = 60.0) -> tuple[Waves | None, str]:
    try:
        with limited(longest), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            net = Network(deck.text)
            net.stop *= 1.0 + 2.0 * deck.drift
            times, voltages = over_time(net, 1e-6)
    except (OutOfReach, ValueError, OverflowError, ZeroDivisionError) as error:
        return None, f"third route: {error}"
    except TooSlow:
        return None, "third route: too slow"
    return Waves(times, {name: voltages[:, k] for k, name in enumerate(net.names)}), ""


def classify(deck: Deck) -> tuple[str, str, float]:
    """Return the outcome, what there is to say, and the seconds ours took."""
    started = time.process_time()
    outcome, remark, result = ours(deck.text)
    seconds = time.process_time() - started
    fine, said = by_ngspice(deck, 1e-6, 5000)
    if result is None:
        if fine is None and by_ngspice(deck, 1e-4, 1000)[0] is None:
            outcome = "both refused" if outcome == "refused" else outcome
            return outcome, f"{remark} | ngspice: {said}", seconds
        return outcome, remark, seconds
    if result.title != "transient":
        return "silently wrong", f"did {result.title}", seconds
    at = result.axes["time [s]"]
    mine = Waves(at, {n.lower(): result.voltages[:, k] for k, n in enumerate(result.nodes)})
    apart, where = distance(mine, fine, at, deck) if fine is not None else (np.inf, "ngspice failed: " + said)
    coarse, _ = by_ngspice(deck, 1e-4, 1000)
    self_agrees = fine is not None and coarse is not None and distance(coarse, fine, at, deck)[0] <= 1.0
    if apart <= 1.0:
        return ("equal" if self_agrees else "equal to ngspice's finer run"), f"{apart:.2g}", seconds
    third, trouble = by_third(deck)
    if third is None:
        if self_agrees:
            return "silently wrong", f"{apart:.3g} tolerances, {where}; {trouble}", seconds
        return "ngspice disagrees with itself", f"{apart:.3g} tolerances, {where}; {trouble}", seconds
    off, there = distance(mine, third, at, deck)
    if off <= 1.0:
        return "equal to the third route, ngspice is not", f"{apart:.3g} tolerances, {where}", seconds
    theirs = distance(fine, third, at, deck)[0] if fine is not None else np.inf
    loose, _ = by_ngspice(deck, 1e-4 if deck.relative < 5e-4 else 1e-3)
    if loose is not None and off <= distance(loose, third, at, deck)[0]:
        return LOOSE, f"{off:.3g} tolerances, {there}", seconds
    if theirs <= 1.0 or self_agrees:
        return (
            "silently wrong",
            f"{off:.3g} tolerances from the third route, {there}; ngspice's {theirs:.3g}",
            seconds,
        )
    return (
        "three routes differ",
        f"{apart:.3g} tolerances, {where}; from the third route {off:.3g}, {there}",
        seconds,
    )


def one(task: tuple[int, int, tuple[str, ...]]) -> Finding:
    seed, number, kinds = task
    deck = sample(seed, number, kinds)
    outcome, remark, seconds = classify(deck)
    return Finding(number, deck.kind, outcome, remark, deck.text, seconds)


def main() -> None:
    options = parser(__doc__.splitlines()[0], 500)
    options.add_argument(
        "--without-capacitance", action="store_true", help="no devices with charges of their own, no EXP"
    )
    args = options.parse_args()
    if args.without_capacitance and not args.kinds:
        args.kinds = list(KINDS)
    unknown = set(args.kinds or ()) - set(KINDS) - set(STORING)
    if unknown:
        options.error(f"no kind {', '.join(sorted(unknown))}; there are {', '.join([*KINDS, *STORING])}")
    print(f"{args.count} transients, seed {args.seed}", flush=True)
    run(one, args, GOOD)


if __name__ == "__main__":
    main()
