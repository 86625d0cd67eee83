"""Census of operating points: random circuits of every device, solved natively and by ngspice.

Circuits have 2 to 200 nodes; a tree of resistors joins every node to an earlier one, and cells of random devices
are hung on it. Saturation currents are 1e-18 to 1e-6 A, emission coefficients 0.001 to 2, conductances span nine
decades, gains lie between -10 and 10. Each circuit is one of: agree (1e-9 V, or 1e-9 relative), several operating
points (Newton's method stays at ngspice's, 1e-6 V or more from ours), imprecise or wrong (it leads from ngspice's
voltages to ours, or they miss Kirchhoff's laws), ill-conditioned (they differ by less than what the rounding of
the currents leaves open, |J⁻¹| times 64 eps of each row's terms), failed on one side or both, or refused. Every
answer of ours must meet Kirchhoff's laws, summed from the elements' own laws, else it is native wrong.

Run: python experiments/census.py [COUNT] [--seed SEED] [--keep FOLDER] [--most NODES] [--without KIND ...]
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from analogep.circuit import Bank, Circuit
from analogep.devices import REGISTRY, device_named
from analogep.errors import AnalogepError, CircuitError, ConvergenceError, EngineError, NetlistError
from analogep.solve import NewtonOptions, Solution, operating_point
from analogep.solve.equations.system import System
from analogep.solve.newton.newton import residual_bound
from analogep.spice import operating_point as spice_point
from analogep.spice import to_netlist
from analogep.spice.engines.kirchhoff import check

Generator = np.random.Generator
AGREE = 1e-9
EPS = float(np.finfo(float).eps)


class Sketch:
    """Nodes and elements of a circuit that grows."""

    def __init__(self, rng: Generator, decade: float) -> None:
        self.rng, self.decade = rng, decade
        self.nodes = 1
        self.elements: dict[str, list[tuple[tuple[int, ...], Mapping[str, float]]]] = {}

    def decades(self, low: float, high: float) -> float:
        return float(10.0 ** self.rng.uniform(math.log10(low), math.log10(high)))

    def conductance(self) -> float:
        return self.decades(self.decade * 1e-9, self.decade)

    def old(self, *but: int) -> int:
        """Return a node that exists, other than those."""
        choice = [n for n in range(self.nodes) if n not in but]
        return int(self.rng.choice(choice)) if choice else self.fresh()

    def bare(self) -> int:
        """Return a new node that nothing touches."""
        self.nodes += 1
        return self.nodes - 1

    def fresh(self) -> int:
        """Return a new node with a resistor to an earlier one."""
        other, node = int(self.rng.integers(self.nodes)), self.bare()
        self.add("resistor", (node, other), conductance=self.conductance())
        return node

    def add(self, kind: str, pins: tuple[int, ...], **values: float) -> None:
        self.elements.setdefault(kind, []).append((pins, values))

    def circuit(self) -> Circuit:
        """Return the circuit; parameters that a cell did not give have their defaults."""
        banks = []
        for index, (name, elements) in enumerate(self.elements.items()):
            device = device_named(name)
            kind = f"{device.kind}{index}_" if name not in REGISTRY else name
            values = {
                name: np.array([given.get(name, info.default) for _, given in elements], dtype=float)
                for name, info in device.parameters().items()
            }
            names = tuple(f"{kind}{k}" for k in range(len(elements)))
            banks.append(Bank(kind, device, np.array([pins for pins, _ in elements]), values, names))
        nodes = ("0", *(f"n{k}" for k in range(1, self.nodes)))
        return Circuit(nodes, tuple(banks), (), np.zeros(0, np.int64), np.zeros((0, 2), np.int64))


def _pair(kind: str, **ranges: tuple[float, float]) -> Callable[[Sketch], None]:
    """Return a cell: one element between two nodes, parameters drawn by decades."""

    def cell(s: Sketch) -> None:
        a = s.fresh() if s.rng.random() < 0.5 else s.old()
        s.add(kind, (a, s.old(a)), **{name: s.decades(*low_high) for name, low_high in ranges.items()})

    return cell


def _driven(kind: str, key: str, size: float) -> Callable[[Sketch], None]:
    """Return a cell: a source or coupling that fixes a new node, with a load."""

    def cell(s: Sketch) -> None:
        p, base = s.bare(), s.old(s.nodes - 1)
        pins = [p, base]
        if len(REGISTRY[kind].pins) == 4:
            plus = s.old(p)
            pins += [plus, s.old(p, plus)]
        if kind == "amplifier":
            pins = [base or s.fresh(), p]
        s.add(kind, tuple(pins), **{key: float(s.rng.uniform(-size, size))})
        s.add("resistor", (p, s.old(p)), conductance=s.conductance())

    return cell


def _sensing(kind: str, key: str, ohmic: bool) -> Callable[[Sketch], None]:
    """Return a cell: a source controlled by the current through a short at the end of a resistor."""

    def cell(s: Sketch) -> None:
        plus = s.fresh()
        minus = s.old(plus)
        p = s.bare() if ohmic else s.old()
        gain = float(s.rng.uniform(-10, 10)) / (s.decade if ohmic else 1.0)
        s.add(kind, (p, s.old(p), plus, minus), **{key: gain})
        if ohmic:
            s.add("resistor", (p, s.old(p)), conductance=s.conductance())

    return cell


def _resistor(s: Sketch) -> None:
    a = s.old()
    s.add("resistor", (a, s.old(a)), conductance=s.conductance())


def _current(s: Sketch) -> None:
    a = s.old()
    s.add("current_source", (a, s.old(a)), amplitude=float(s.rng.uniform(-5, 5)) * s.conductance())


def _ideal_diode(s: Sketch) -> None:
    a = s.fresh()
    s.add("ideal_diode", (a, s.old(a)), threshold=float(s.rng.uniform(-0.2, 0.7)))


def _transconductance(kind: str) -> Callable[[Sketch], None]:
    def add(s: Sketch) -> None:
        a, c = s.old(), s.old()
        gain = float(s.rng.uniform(-10, 10)) * s.decades(s.decade * 1e-9, s.decade * 1e-4)
        s.add(kind, (a, s.old(a), c, s.old(c)), transconductance=gain)

    return add


def _inductor(s: Sketch) -> None:
    s.add("inductor", (s.fresh(), s.old(s.nodes - 1)), inductance=s.decades(1e-9, 1.0))


def _switch(s: Sketch) -> None:
    a, c = s.old(), s.old()
    s.add(
        "switch", (a, s.old(a), c, s.old(c)),
        threshold=float(s.rng.uniform(-1, 1)), on_resistance=s.decades(1.0, 1e4),
        off_resistance=s.decades(1e5, 1e9),
    )  # fmt: skip


LAWS = (
    "g*tanh(v(p,n)/w)",
    "g*v(p,n)^3/(w*w)",
    "g*w*(exp(v(p,n)/w) - 1)",
    "g*(v(p,n) + w*atan(v(c1)/w))",
    "g*v(c1,c2)*tanh(v(p,n)/w)/w",
    "g*sqrt(w*w + v(p,c1)^2)",
)
"""Behavioural laws: odd, steep, gated and even ones, of their own voltage and of others."""


def _behavioural(s: Sketch) -> None:
    law = str(s.rng.choice(LAWS))
    pins = [s.fresh()]
    for _ in range(1 + sum(f"c{k}" in law for k in (1, 2))):
        pins.append(s.old(*pins))
    s.add(
        f"behavioural_current:{len(pins) - 2}:{law}", tuple(pins),
        g=s.conductance(), w=float(s.rng.uniform(0.05, 1.0)),
    )  # fmt: skip


def _mosfet(kind: str) -> Callable[[Sketch], None]:
    def cell(s: Sketch) -> None:
        drain = s.fresh()
        source, gate = s.old(drain), s.old()
        s.add(
            kind, (drain, source, gate, s.old()), threshold=float(s.rng.uniform(-1, 1)),
            transconductance=s.decades(1e-6, 1e-3), channel_modulation=float(s.rng.uniform(0, 0.1)),
            body_effect=float(s.rng.uniform(0, 0.8)),
        )  # fmt: skip

    return cell


CELLS: dict[str, Callable[[Sketch], None]] = {
    "resistor": _resistor,
    "capacitor": _pair("capacitor", value=(1e-15, 1e-6)),
    "inductor": _inductor,
    "voltage_source": _driven("voltage_source", "voltage", 5.0),
    "current_source": _current,
    "diode": _pair("diode", saturation_current=(1e-18, 1e-6), emission=(1e-3, 2.0)),
    "junction_diode": _pair(
        "junction_diode", saturation_current=(1e-18, 1e-6), emission=(0.5, 2.0), breakdown_voltage=(2.0, 50.0)
    ),
    "ideal_diode": _ideal_diode,
    "sinh_resistor": _pair("sinh_resistor", conductance=(1e-9, 1e-2), v0=(0.05, 1.0)),
    "tanh_neuron": _pair("tanh_neuron", conductance=(1e-9, 1e-2), saturation_voltage=(0.3, 10.0)),
    "vcvs": _driven("vcvs", "gain", 10.0),
    "vccs": _transconductance("vccs"),
    "mutual_transconductance": _transconductance("mutual_transconductance"),
    "ccvs": _sensing("ccvs", "transresistance", ohmic=True),
    "cccs": _sensing("cccs", "gain", ohmic=False),
    "amplifier": _driven("amplifier", "voltage_gain", 10.0),
    "nmos": _mosfet("nmos"),
    "pmos": _mosfet("pmos"),
    "switch": _switch,
    "behavioural_current": _behavioural,
}
"""How each kind of device is hung on a circuit; a new kind is one more entry."""


def sample(rng: Generator, most: int, kinds: list[str]) -> Circuit:
    """Return a random circuit of 2 to ``most`` nodes; half of them keep to a few kinds."""
    s = Sketch(rng, float(10.0 ** rng.uniform(-3, 0)))
    target = round(math.exp(rng.uniform(math.log(2), math.log(most))))
    if rng.random() < 0.5:
        kinds = [str(k) for k in rng.choice(kinds, size=min(4, len(kinds)), replace=False)]
    s.fresh()
    CELLS["voltage_source" if rng.random() < 0.7 else "current_source"](s)
    share = rng.uniform(0.1, 0.9)  # of cells that are not resistors
    while s.nodes < target:
        CELLS[str(rng.choice(kinds)) if rng.random() < share else "resistor"](s)
        if rng.random() < 0.5:
            s.fresh()
    return s.circuit()


def rounding(solution: Solution) -> np.ndarray:
    """Return what rounding leaves open of the voltages, (N,) [V]: |J⁻¹| times 64 eps of each row's terms."""
    system = System(solution.circuit, np.zeros((1, 0)))
    model = system.model
    x = model.unknowns(solution.voltages, solution.branches)
    evaluation = system.evaluate(x)
    entries = model.slots.values(evaluation.slopes)
    bound = residual_bound(model, x, evaluation, entries, NewtonOptions())[0]
    linear = model.linear_matrix
    jacobian = np.array(linear if isinstance(linear, np.ndarray) else linear.toarray())
    jacobian[model.slots.rows, model.slots.columns] += entries[0]
    try:
        inverse = np.abs(np.linalg.inv(jacobian))
    except np.linalg.LinAlgError:
        return np.full(len(solution.circuit.nodes), np.inf)
    error = inverse @ (64 * EPS / NewtonOptions().residual_tolerance * bound)
    return np.asarray(np.abs(model.t_free) * error[model.gather])


def apart(a: np.ndarray, b: np.ndarray, slack: np.ndarray | float = 0.0) -> bool:
    """Return whether voltages (N,) differ by more than 1e-9 V and 1e-9 relative, and than ``slack`` (N,) [V]."""
    return bool(np.any(np.abs(a - b) > np.maximum(AGREE * np.maximum(1.0, np.abs(a)), slack)))


def classify(circuit: Circuit) -> tuple[str, str]:
    """Return the class of a circuit, and what there is to say about it."""
    native: Solution | None = None
    foreign: Solution | None = None
    note, trouble = "", ""
    try:
        native = operating_point(circuit, method="newton")
    except ConvergenceError as error:
        note = str(error)
    try:
        foreign = spice_point(circuit, timeout=20.0)
    except (EngineError, NetlistError) as error:
        trouble = str(error)
    if native is not None:
        found = check(circuit, np.zeros((1, 0)), None, native.voltages)
        if not found.excess[0] <= 1.0:
            return "native wrong", f"{found.worst[0]} missed by {found.excess[0]:.3g} times what is allowed"
    if native is None:
        if foreign is not None:
            return "native failed, ngspice solved", note
        return "both failed", f"{note} | {trouble}"
    if foreign is None:
        wrong = "do not trust" in trouble or "would carry" in trouble  # refused by spice.operating_point
        return ("ngspice wrong" if wrong else "ngspice failed, native solved"), trouble
    ours, theirs = native.voltages[0], foreign.voltages[0]
    if not apart(ours, theirs):
        return "agree", native.trace[-1].name if native.trace else "newton"
    difference = f"{np.abs(ours - theirs).max():.3g} V"
    try:
        polished = operating_point(circuit, method="newton", v0=foreign).voltages[0]
    except ConvergenceError:
        return "ngspice imprecise or wrong", f"{difference}; no operating point near ngspice's"
    open_ = rounding(native)
    if apart(polished, ours, np.maximum(open_, 1e-6)) and not apart(polished, theirs, 1e3 * open_):
        return "several operating points", difference
    if not apart(ours, theirs, open_):
        return "ill-conditioned", f"{difference}; rounding leaves {open_.max():.3g} V open"
    return "ngspice imprecise or wrong", difference


def one(task: tuple[int, int, int, tuple[str, ...]]) -> tuple[int, str, str, str]:
    """Return the number, class, remark and netlist (where odd) of one circuit."""
    seed, number, most, kinds = task
    try:
        circuit = sample(np.random.default_rng([seed, number]), most, list(kinds))
    except CircuitError as error:
        return number, "refused by validation", str(error).splitlines()[-1], ""
    kind, remark = classify(circuit)
    text = ""
    if kind != "agree":
        try:
            text = to_netlist(circuit, np.zeros(0))
        except AnalogepError as error:
            text = f"* {error}"
    return number, kind, remark, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=200, help="largest number of nodes")
    parser.add_argument("--keep", type=Path, help="folder for the netlists of all that did not agree")
    parser.add_argument("--without", nargs="*", default=[], help="kinds to leave out")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quiet", action="store_true", help="print the counts alone")
    args = parser.parse_args()
    kinds = tuple(k for k in CELLS if k not in args.without)
    print(f"{args.count} circuits, seed {args.seed}, kinds {', '.join(kinds)}", flush=True)
    counts: Counter[str] = Counter()
    strategies: Counter[str] = Counter()
    tasks = [(args.seed, k, args.most, kinds) for k in range(args.count)]
    with ProcessPoolExecutor(args.workers) as pool:
        for number, kind, remark, text in pool.map(one, tasks, chunksize=4):
            counts[kind] += 1
            if kind == "agree":
                strategies[remark] += 1
                continue
            if not args.quiet:
                print(f"{number}: {kind}: {' '.join(remark.split())[:300]}", flush=True)
            if args.keep is not None and text:
                args.keep.mkdir(parents=True, exist_ok=True)
                stem = f"{kind.replace(' ', '_').replace(',', '')}_{args.seed}_{number}"
                (args.keep / f"{stem}.cir").write_text(text)
    for kind, number in counts.most_common():
        print(f"{number:6d}  {kind}")
    print("agreed by:", ", ".join(f"{name} {number}" for name, number in strategies.most_common()))


if __name__ == "__main__":
    main()
