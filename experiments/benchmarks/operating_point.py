"""Time to an operating point, native against ngspice, side by side in one run.

Layered networks of growing width with amplifiers (cold, and a batch of 64 inputs), then nearest-neighbour graphs
that are not layered, of growing size and once with a diode across every resistor. Cold means: a circuit object
that nothing has been computed for; for ngspice, its own parse and op times of the same netlist, which leave out
starting the process. All times are the best of several runs: three of ngspice, three or five native.

Run: python experiments/benchmarks/operating_point.py [--figure FILE] [--quick]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.devices import Diode
from analogep.networks import deep_resistive, uniform
from analogep.solve import operating_point
from analogep.spice import find_ngspice, to_netlist
from analogep.spice.engines.ngspice import with_script

CONTROL = """.options reltol=1e-6 vntol=1e-9 abstol=1e-15
.control
op
rusage everything
quit 0
.endc"""


def layered(hidden: int, seed: int) -> Circuit:
    """784-``hidden``-10 with two diodes and an amplifier (A = 4, B = 1/4) at every hidden node."""
    return deep_resistive(
        [784, hidden, 10],
        hidden="pair",
        rails=(-0.3, 0.3),
        amplifier=(4.0, 0.25),
        initial=uniform(1e-6, 1e-4),
        rng=np.random.default_rng(seed),
    )


def neighbours(nodes: int, resistors: int, diodes: int, seed: int) -> tuple[Circuit, np.ndarray]:
    """Random points joined to their nearest neighbours, diodes across some of the same pairs, 20 inputs.

    No diode touches an input: two in a row between ideal sources volts apart would carry 1e7 A.
    """
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(nodes, 2))
    distance, other = cKDTree(points).query(points, k=9)
    pairs = np.stack([np.repeat(np.arange(nodes), 8), other[:, 1:].ravel()], axis=1)
    order = np.argsort(distance[:, 1:].ravel())
    pairs = np.sort(pairs[order], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    pairs = pairs[np.sort(first)][:resistors] + 1
    inputs = np.arange(1, nodes + 1, nodes // 20)[:20]
    inner = pairs[~np.isin(pairs, inputs).any(axis=1)]
    across = inner[rng.choice(len(inner), min(diodes, len(inner)), replace=False)]
    diodes = len(across)
    turned = rng.uniform(size=diodes) < 0.5
    across[turned] = across[turned][:, ::-1]
    leaks = np.arange(1, nodes + 1)
    banks = (
        resistor_bank("r", pairs, 10 ** rng.uniform(-5, -3, len(pairs)), [f"r{k}" for k in range(len(pairs))]),
        resistor_bank(
            "leak", np.stack([leaks, 0 * leaks], 1), np.full(nodes, 1e-8), [f"l{k}" for k in range(nodes)]
        ),
        Bank(
            "d",
            Diode,
            across,
            {key: np.full(diodes, value) for key, value in Diode().values.items()},
            tuple(f"d{k}" for k in range(diodes)),
        ),
    )
    names = ("0", *(f"n{k}" for k in range(nodes)))
    circuit = Circuit(names, banks, (), inputs, np.array([[2, 0]]))
    return circuit, rng.uniform(-3.0, 3.0, (1, len(inputs)))


def ngspice_seconds(circuit: Circuit, inputs: np.ndarray) -> tuple[float, float, float]:
    """Return ngspice's parse time, op time [s] and peak memory [MB], each the least of three runs."""
    text = to_netlist(circuit, inputs)
    text = "\n".join(line for line in text.splitlines() if not line.startswith("*@"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "circuit.cir"
        path.write_text(with_script(text, [CONTROL]))
        code = (
            "import resource, subprocess, sys\n"
            "out = subprocess.run(sys.argv[1:], capture_output=True, text=True).stdout\n"
            "print(out)\nprint('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        )
        command = [sys.executable, "-c", code, find_ngspice(), "-b", str(path)]
        runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(3)]

    def found(label: str) -> float:
        matches = [re.search(rf"{label} *=? *([0-9.eE+-]+)", out) for out in runs]
        if None in matches:
            raise RuntimeError(f"ngspice did not report {label!r}:\n{runs[0][-2000:]}")
        return min(float(match[1]) for match in matches)

    labels = ("Netlist loading time", "Subckt and Param expansion time", "Netlist parsing time")
    analysis = found(r"Total analysis time \(seconds\)")
    return sum(found(label) for label in labels), analysis, found("peak") / 1024.0


def best(repeats: int, make, solve) -> float:
    """Return the shortest time [s] of ``solve(make(k))`` over fresh objects."""
    times = []
    for k in range(repeats):
        subject = make(k)
        began = time.perf_counter()
        solve(subject)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=Path, help="plot the time over the number of elements to this file")
    parser.add_argument("--quick", action="store_true", help="leave out the widest network")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    operating_point(layered(8, 0), rng.uniform(-1, 1, (1, 784)))  # compile
    rows = []
    print(f"{'circuit':28s}{'elements':>9s}{'ngspice parse + op [s]':>24s}{'native cold [s]':>17s}{'ratio':>9s}"
          f"{'per sample of 64 [s]':>22s}{'ratio':>9s}")  # fmt: skip
    for hidden in (16, 64, 128) if options.quick else (16, 64, 128, 512):
        inputs = rng.uniform(-1, 1, (64, 784))
        parse, op, _ = ngspice_seconds(layered(hidden, 0), inputs[:1])
        cold = best(5, lambda k, h=hidden: layered(h, k), lambda c, v=inputs: operating_point(c, v[:1]))
        batch = best(5, lambda k, h=hidden: layered(h, k), lambda c, v=inputs: operating_point(c, v)) / 64
        count = layered(hidden, 0).element_count
        rows.append((count, parse + op, cold, batch))
        print(f"784-{hidden}-10{'':{28 - 7 - len(str(hidden))}s}{count:9d}{parse:11.2f} +{op:11.2f}{cold:17.5f}"
              f"{(parse + op) / cold:8.0f}×{batch:22.6f}{(parse + op) / batch:8.0f}×", flush=True)  # fmt: skip

    lattices = []
    for nodes in (2_000, 20_000) if options.quick else (1_000, 2_000, 5_000, 20_000, 50_000):
        lattices.append(lattice_row(nodes, 3 * nodes, nodes // 2))
    lattice_row(20_000, 60_000, 60_000)
    if options.figure is not None:
        draw(rows, lattices, options.figure)


def lattice_row(nodes: int, resistors: int, diodes: int) -> tuple[int, float, float]:
    """Print one nearest-neighbour graph; return its elements, ngspice's op time and the native cold time [s]."""
    circuit, inputs = neighbours(nodes, resistors, diodes, 0)
    operating_point(*neighbours(2_000, 6_000, 1_000, 0), method="newton")  # compile
    parse, op, peak = ngspice_seconds(circuit, inputs)
    cold = best(
        3,
        lambda k: neighbours(nodes, resistors, diodes, k),
        lambda case: operating_point(*case, method="newton"),
    )

    def planned(k: int) -> tuple[Circuit, np.ndarray]:
        changed = circuit.banks[0].values["conductance"] * (1.01 + 0.01 * k)
        return circuit.with_parameters({"r.conductance": changed}), inputs

    operating_point(circuit, inputs, method="newton")
    again = best(3, planned, lambda case: operating_point(*case, method="newton"))
    compiled, built, solved = memory(nodes, resistors, diodes)
    print(
        f"nearest-neighbour graph, {nodes} nodes, {resistors} resistors, {diodes} diodes: "
        f"ngspice parse {parse:.2f} s, op {op:.3f} s, peak {peak:.0f} MB; "
        f"native cold {cold:.4f} s ({op / cold:.1f}× faster than the op), "
        f"other values on the same topology {again:.4f} s ({op / again:.1f}×); "
        f"peak {solved:.0f} MB: libraries and compiled code {compiled:.0f} MB, "
        f"building the circuit {built - compiled:.0f} MB, its operating point {solved - built:.0f} MB",
        flush=True,
    )
    return circuit.element_count, op, cold


def memory(nodes: int, resistors: int, diodes: int) -> tuple[float, float, float]:
    """Return a process's peak memory [MB] after a small circuit, after building this one, after solving it.

    Read from /proc (Linux): getrusage would count the memory of the process that started this one.
    """
    code = f"""
import re, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from operating_point import neighbours, operating_point
def peak(): print("peak", int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024)
operating_point(*neighbours(1000, 3000, 500, 0), method="newton"); peak()
circuit, inputs = neighbours({nodes}, {resistors}, {diodes}, 0); peak()
operating_point(circuit, inputs, method="newton"); peak()
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    first, second, third = (float(x) for x in re.findall(r"peak ([0-9.]+)", out))
    return first, second, third


def draw(
    layers: list[tuple[float, float, float, float]], lattices: list[tuple[int, float, float]], path: Path
) -> None:
    """Plot time per operating point over size: layered networks left, nearest-neighbour graphs right."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    from analogep.report import save
    from analogep.report.style import RC

    count, spice, cold, batch = np.array(layers).T
    lattice_count, lattice_spice, lattice_cold = np.array(lattices).T
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(6.8, 2.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.loglog(count, spice, "s-", label="ngspice, parse + op")
        left.loglog(count, cold, "o-", label="analogep, cold")
        left.loglog(count, batch, "^-", label="analogep, batch of 64")
        left.set_title("Layered, 784-h-10")
        left.set_ylabel("Time per operating point (s)")
        right.loglog(lattice_count, lattice_spice, "s-", label="ngspice, op")
        right.loglog(lattice_count, lattice_cold, "o-", label="analogep, cold")
        right.set_title("Nearest-neighbour graph")
        for axes in (left, right):
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel("Elements")
            axes.legend(frameon=False)
        save(figure, path)


if __name__ == "__main__":
    main()
