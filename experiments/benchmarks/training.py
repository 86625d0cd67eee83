"""What training costs: our epochs against PyTorch's, ngspice and the memory's bandwidth, side by side in one run.

1. Epochs of the MNIST networks of Scellier (2024) by the fused engine, and of perceptrons of the same shapes
   (784-h-10, ReLU, squared error, float32, the same batch) by PyTorch's backpropagation and plain SGD. Both run
   some updates in turn, round after round; an epoch is the median time of an update times the number of updates.
2. A free phase, settled to 1e-6, against ngspice with the input lines folded, its process and parsing included.
3. The update of the first crossbar against its bound: every weight is read and written once, so it cannot be
   faster than one pass ``a += c`` over as many bytes in place, measured in turn with it.
4. Scaling in hidden nodes, hidden layers, samples per update and threads.
5. Peak memory in processes of their own (Linux), as a multiple of the parameters' bytes.
6. An epoch of the Hopfield network of Scellier & Bengio (2017), 784-500-10, against the same rule by PyTorch with
   the published Euler steps (``euler.py``), both from where one epoch of ours leads.

The other networks start untrained, and early updates are timed. PyTorch's lines need ``pip install torch``;
without it, or without ngspice, the script says what it leaves out. ANALOGEP_DATA_DIR is where MNIST lies.

Run: python experiments/benchmarks/training.py [--quick] [--only PART ...] [--figure FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from analogep.circuit import Circuit
from analogep.errors import EngineError
from analogep.learning.fused.kernels.first import light, tile_at, update_first
from analogep.learning.fused.layout import aligned
from analogep.learning.fused.scratch import front_room
from analogep.solve.compiled import compiled
from analogep.spice import find_ngspice, operating_point
from analogep.training import build_problem, load_config
from analogep.training.problem import Problem
from analogep.training.runners.choice import runner_for
from analogep.training.runners.fused import FusedRunner

FOLDER = Path(__file__).parent.parent
EPOCH = 60_000
"""Training samples of MNIST."""

NETWORKS = {"drn-xs": 0.12, "drn-1h": 0.15, "drn-2h": 1.0, "drn-3h": 1.0}
"""The networks, and the target of our epoch's time over PyTorch's."""
ROOFLINE, MEMORY = 1.5, 1.5
"""Targets: update of the first crossbar over its bound, peak memory over the parameters' bytes."""

EULER = 1.0
"""Target: time of our epoch of the Hopfield network over PyTorch's."""

Parts = ("table", "ngspice", "roofline", "scaling", "memory", "hopfield")
THREADS = (1, 2)


def problem(
    name: str,
    *,
    samples: int | None = None,
    tests: int | None = None,
    folder: str = "mnist",
    **sections: Mapping[str, Any],
) -> Problem:
    """Return the problem of ``experiments/FOLDER/NAME.toml``, with some entries changed."""
    config = load_config(FOLDER / folder / f"{name}.toml")
    return build_problem(config.changed(**{"data": {"train_size": samples, "test_size": tests}, **sections}))


def fused(of: Problem) -> FusedRunner:
    """Return the fused engine's runner of a problem."""
    found = runner_for(of, of.rule_at(float(of.config.learning.beta)))
    assert isinstance(found, FusedRunner), "not a chain of crossbars"
    return found


def orders(samples: int, batch: int, updates: int) -> Iterator[np.ndarray]:
    """Yield samples for so many updates, from one shuffled epoch after the other."""
    rng, left = np.random.default_rng(0), np.empty(0, np.int64)
    while True:
        while len(left) < batch * updates:
            left = np.concatenate([left, rng.permutation(samples)])
        yield left[: batch * updates]
        left = left[batch * updates :]


def in_turn(rounds: int, runs: Mapping[Any, Callable[[], object]]) -> dict[Any, float]:
    """Return the median time [s] of each run; they take turns, after one round that does not count."""
    times: dict[Any, list[float]] = {key: [] for key in runs}
    for _ in range(rounds + 1):
        for key, run in runs.items():
            began = time.perf_counter()
            run()
            times[key].append(time.perf_counter() - began)
    return {key: float(np.median(values[1:])) for key, values in times.items()}


def our_updates(
    of: Problem, updates: int, threads: int, circuit: Circuit | None = None, sweeps: int = 0
) -> Callable[[], object]:
    """Return what does so many updates by the fused engine, from ``circuit`` if given."""
    sweeps = sweeps or of.config.learning.sweeps
    config = of.config.changed(training={"threads": threads}, learning={"sweeps": sweeps})
    changed = Problem(**{**vars(of), "config": config, "circuit": circuit or of.circuit})
    runner, order = fused(changed), orders(len(of.train), config.training.batch, updates)

    def run() -> None:
        for _ in runner.run_epoch(next(order), 1.0):
            pass
        assert runner.engine == f"fused {config.learning.precision}", runner.engine

    return run


def torch_updates(of: Problem, updates: int, threads: int) -> Callable[[], object]:
    """Return what does so many updates of a perceptron of the same shape by PyTorch."""
    import torch

    torch.manual_seed(0)
    part, batch = of.data.train, of.config.training.batch
    pixels = torch.from_numpy(np.asarray(part.numbers(), np.float32))
    targets = torch.from_numpy(np.asarray(of.train.targets, np.float32))
    widths = [pixels.shape[1], *of.config.network.hidden_layers, targets.shape[1]]
    layers: list[torch.nn.Module] = []
    for a, b in pairwise(widths):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    order = orders(len(pixels), batch, updates)

    def run() -> None:
        torch.set_num_threads(threads)
        for now in torch.from_numpy(next(order)).split(batch):
            optimizer.zero_grad()
            loss = 0.5 * (model(pixels[now]) - targets[now]).square().sum() / len(now)
            loss.backward()
            optimizer.step()

    return run


def updates_for(of: Problem, quick: bool) -> int:
    """Return how many updates to time at once: about a quarter of a second's, a tenth's if ``quick``."""
    weights = sum(c.conductance.size for c in of.circuit.crossbars)
    return max(10, int((0.1 if quick else 0.25) / (4e-5 + 6e-10 * weights)))


def shape_of(of: Problem) -> str:
    """Return the network's layers, as in 1568-100-10."""
    sizes = [len(of.circuit.input_nodes), *of.config.network.hidden_layers, of.data.outputs]
    return "-".join(str(n) for n in sizes)


def table(quick: bool) -> list[dict[str, Any]]:
    """Print epochs against PyTorch."""
    torch = importlib.util.find_spec("torch") is not None
    if not torch:
        print("PyTorch is not installed: its column is left out (pip install torch)")
    print(f"\n{'network':8s}{'layers':>22s}{'ms/update':>11s}{'epoch [s]':>11s}{'threads':>9s}"
          f"{'PyTorch [s]':>13s}{'threads':>9s}{'ratio':>8s}{'target':>9s}")  # fmt: skip
    rows = []
    for name, target in NETWORKS.items():
        of = problem(name, samples=8_000 if quick else None)
        updates, batch = updates_for(of, quick), of.config.training.batch
        runs = {("ours", t): our_updates(of, updates, t) for t in THREADS}
        if torch:
            runs |= {("torch", t): torch_updates(of, updates, t) for t in THREADS}
        found = in_turn(3 if quick else 9, runs)
        whole = {key: seconds / updates * (EPOCH / batch) for key, seconds in found.items()}
        mine = min((seconds, key[1]) for key, seconds in whole.items() if key[0] == "ours")
        row = {"name": name, "layers": shape_of(of), "epoch": mine[0], "threads": mine[1], "target": target}
        line = f"{name:8s}{row['layers']:>22s}{mine[0] * batch / EPOCH * 1e3:11.3f}{mine[0]:11.2f}{mine[1]:9d}"
        if torch:
            theirs = min((seconds, key[1]) for key, seconds in whole.items() if key[0] == "torch")
            row |= {"torch": theirs[0], "torch threads": theirs[1], "ratio": mine[0] / theirs[0]}
            line += f"{theirs[0]:13.2f}{theirs[1]:9d}{row['ratio']:7.2f}×"
        else:
            line += f"{'–':>13s}{'–':>9s}{'–':>8s}"
        print(f"{line}   ≤ {target:g}×", flush=True)
        rows.append(row)
    each = "8,000 samples" if quick else "60,000 samples"
    print(f"(epochs of {EPOCH:,} samples, extrapolated from a part of their updates, drawn from {each})")
    return rows


def against_ngspice(quick: bool) -> list[dict[str, Any]]:
    """Print the time of a free phase against ngspice's."""
    try:
        find_ngspice()
    except EngineError as missing:
        print(f"\nngspice: left out, {missing}")
        return []
    print(f"\n{'network':8s}{'elements':>10s}{'ours, cold [ms]':>17s}{'ours, of 256 [ms]':>19s}"
          f"{'ngspice [ms]':>14s}{'ratio':>9s}{'largest difference [V]':>24s}")  # fmt: skip
    rows = []
    for name in ("drn-xs",) if quick else ("drn-xs", "drn-1h"):
        of = problem(name, samples=256)
        runner, lines = fused(of), of.train.single(dtype=np.float32)
        few = np.arange(3)
        found = in_turn(
            5,
            {
                1: lambda e=runner.epochs, v=lines: e.outputs(v[:1]),
                256: lambda e=runner.epochs, v=lines: e.outputs(v),
            },
        )
        began = time.perf_counter()
        spice = operating_point(of.circuit, of.train.inputs(few), fold_inputs=True)
        seconds = (time.perf_counter() - began) / len(few)
        away = float(np.abs(spice.outputs - runner.outputs(of.train, few)).max())
        each = found[256] / 256
        count = of.circuit.element_count
        rows.append({"name": name, "ngspice": seconds, "ours": each, "ratio": seconds / each, "away": away})
        print(f"{name:8s}{count:10d}{found[1] * 1e3:17.3f}{each * 1e3:19.4f}{seconds * 1e3:14.1f}"
              f"{seconds / each:8.0f}×{away:24.2g}", flush=True)  # fmt: skip
    return rows


@compiled
def add(a, c, times):  # type: ignore[no-untyped-def]
    """Add ``c`` to all of ``a`` (R, C) in place, so many times; each reads and writes every number once."""
    for _ in range(times):
        for i in range(len(a)):
            line = a[i]
            for j in range(len(line)):
                line[j] += c


@compiled
def first_updates(net, pixels, batches, front, one, lo, hi):  # type: ignore[no-untyped-def]
    """Update the first crossbar, which has no constant line, with one batch (B,) after the other."""
    size = batches.shape[1]
    light(pixels, batches[0], front, 0)
    for u in range(len(batches) - 1):
        light(pixels, batches[u + 1], front, (u + 1) % 2)
        for t in range(len(net.tiles)):
            if net.tiles[t, 0] == 0:
                start, width = tile_at(net, t)
                table = net.first[start : start + net.depth * width]
                update_first(table, one, net.kinds, net.features, front, u % 2, size, size, width, lo, hi, 0)


def passes(a: np.ndarray, times: int, threads: int) -> None:
    """Add a constant to all of ``a`` so many times, each thread to rows of its own."""
    parts = np.array_split(a, threads)
    helpers = [threading.Thread(target=add, args=(part, np.float32(1e-9), times)) for part in parts[1:]]
    for helper in helpers:
        helper.start()
    add(parts[0], np.float32(1e-9), times)
    for helper in helpers:
        helper.join()


def roofline(quick: bool) -> list[dict[str, Any]]:
    """Print the update of the first crossbar, and a whole update, against one pass over the same bytes."""
    print(f"\n{'network':8s}{'threads':>8s}{'weights [MB]':>14s}{'pass [ms]':>11s}{'GB/s':>7s}{'first [ms]':>12s}"
          f"{'ratio':>8s}{'target':>9s}{'dark [ms]':>11s}{'update [ms]':>13s}{'of bound':>10s}")  # fmt: skip
    rows = []
    for name in NETWORKS:
        of = problem(name, samples=4_000)
        first = of.circuit.crossbars[0].conductance.shape
        batch, hidden = of.config.training.batch, first[1]
        rng = np.random.default_rng(0)
        data = of.train.single(dtype=np.float32)
        plain = aligned(data.shape[1] * 2 * hidden, np.dtype(np.float32)).reshape(first)
        plain[:] = rng.uniform(0.1, 0.2, first)
        rows_of_all = sum(c.conductance.size for c in of.circuit.crossbars) // hidden
        whole = np.full((rows_of_all, hidden), 0.1, np.float32)
        net = fused(of).epochs.chain.net
        front = front_room(net, batch)
        front.shift[:] = rng.uniform(-1e-9, 1e-9, front.shift.shape)
        times = 20 if quick else 50
        place = orders(len(data), batch, 1)
        batches = np.array([next(place) for _ in range(times + 1)])

        def update(pixels: np.ndarray, net: Any = net, front: Any = front, batches: np.ndarray = batches) -> None:
            first_updates(net, pixels, batches, front, np.float32(1), np.float32(0), np.float32(np.inf))

        def dark(run: Callable[..., None] = update, pixels: np.ndarray = np.zeros_like(data)) -> None:  # noqa: B008
            run(pixels)

        runs: dict[Any, Callable[[], object]] = {
            ("pass", t): lambda a=whole, n=times, t=t: passes(a, n, t) for t in THREADS
        }
        runs |= {
            "once": lambda a=plain, n=times: passes(a, n, 1),
            "first": lambda v=data, run=update: run(v),
            "dark": dark,
        }
        runs |= {t: our_updates(of, times, t) for t in THREADS}
        found = {key: seconds / times for key, seconds in in_turn(5 if quick else 15, runs).items()}
        for t in THREADS:
            bound = found["pass", t]
            speed = 2 * whole.nbytes / bound  # B/s, read and written
            row = {"name": name, "threads": t, "update": found[t] / bound}
            line = f"{name:8s}{t:8d}{whole.nbytes / 1e6:14.2f}{bound * 1e3:11.3f}{speed / 1e9:7.1f}"
            if t == 1:
                row["first"] = found["first"] / found["once"]
                target = f"≤ {ROOFLINE}×" if name == "drn-1h" else ""
                line += f"{found['first'] * 1e3:12.3f}{row['first']:7.2f}×{target:>9s}{found['dark'] * 1e3:11.3f}"
            else:
                line += " " * 40
            rows.append(row)
            print(f"{line}{found[t] * 1e3:13.3f}{found[t] / bound:9.2f}×", flush=True)
    print(
        "(pass: one over as many bytes as all weights, in place; ratio: to a pass over the first crossbar;\n"
        " first: update of the first crossbar alone, one thread, images of MNIST; dark: the same, lines at 0 V)"
    )
    return rows


def scaling(quick: bool) -> list[dict[str, Any]]:
    """Print the time of an update over width, depth, batch and threads."""
    print(f"\n{'layers':>22s}{'batch':>7s}{'threads':>9s}{'ms/update':>11s}{'µs/sample':>11s}{'ns/weight':>11s}")
    cases = [("drn-1h", [h], 4) for h in ((64, 256, 1024) if quick else (64, 128, 256, 512, 1024, 2048, 4096))]
    cases += [("drn-2h", [1024] * 2, 4), ("drn-3h", [1024] * 3, 4)]
    cases += [("drn-1h", [1024], b) for b in ((1, 16) if quick else (1, 16, 64))]
    rows = []
    for name, hidden, batch in cases:
        of = problem(name, samples=4_000, network={"hidden_layers": hidden}, training={"batch": batch})
        updates = max(5, updates_for(of, quick) * 8 // (4 + batch) // 2)
        found = in_turn(2 if quick else 5, {t: our_updates(of, updates, t) for t in THREADS})
        weights = sum(c.conductance.size for c in of.circuit.crossbars)
        for t, seconds in found.items():
            each = seconds / updates
            rows.append({"hidden": hidden, "batch": batch, "threads": t, "update": each, "weights": weights})
            print(f"{shape_of(of):>22s}{batch:7d}{t:9d}{each * 1e3:11.3f}{each / batch * 1e6:11.1f}"
                  f"{each / weights * 1e9:11.3f}", flush=True)  # fmt: skip
    return rows


def peak_of(name: str) -> dict[str, float]:
    """Return memory [B] of this process that training a network takes, above what was there before."""

    def reset() -> None:
        Path("/proc/self/clear_refs").write_text("5")

    def read(key: str) -> int:
        return 1024 * int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1])

    for _ in fused(problem("drn-xs", samples=40, tests=10)).run_epoch(np.arange(40), 1.0):  # compile
        pass
    reset()
    base = read("VmRSS")
    of = problem(name, samples=40, tests=10)
    built = read("VmHWM") - base
    reset()
    runner = fused(of)
    made = read("VmHWM") - base
    reset()
    for _ in runner.run_epoch(np.arange(40), 1.0):
        pass
    ran = read("VmHWM") - base
    reset()
    kept = runner.circuit.parameters
    copied = read("VmHWM") - base
    parameters = sum(v.nbytes for v in kept.values())
    return {"parameters": parameters, "built": built, "made": made, "updates": ran, "copied": copied}


def memory(quick: bool) -> list[dict[str, Any]]:
    """Print the peak memory of building a network, of its compiled form and of its updates."""
    if not Path("/proc/self/clear_refs").exists():
        print("\nmemory: left out, it is read from /proc, which only Linux has")
        return []
    print(f"\n{'network':8s}{'parameters [MB]':>17s}{'build [MB]':>12s}{'prepare [MB]':>14s}{'updates [MB]':>14s}"
          f"{'ratio':>8s}{'target':>9s}{'read out [MB]':>15s}")  # fmt: skip
    rows = []
    for name in ("drn-xs", "drn-1h") if quick else (*NETWORKS, "drn-xl"):
        command = [sys.executable, str(Path(__file__).resolve()), "--peak", name]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = json.loads(out)
        mb = {key: value / 1e6 for key, value in found.items()}
        ratio, target = found["updates"] / found["parameters"], f"≤ {MEMORY}×" if name == "drn-xl" else ""
        rows.append({"name": name, **found})
        print(f"{name:8s}{mb['parameters']:17.1f}{mb['built']:12.0f}{mb['made']:14.0f}{mb['updates']:14.0f}"
              f"{ratio:7.2f}×{target:>9s}{mb['copied']:15.0f}", flush=True)  # fmt: skip
    print("(parameters in float64, as circuits hold them; peaks above libraries and compiled code)")
    return rows


def block_steps(circuit: Circuit, lines: np.ndarray, sweeps: int) -> np.ndarray:
    """Return the outputs (S, O) of a Hopfield network of one hidden layer after so many block steps from zero."""
    w1, w2, b1, b2 = (
        circuit.parameters[k] for k in ("W1.forward", "W2.transconductance", "b1.amplitude", "b2.amplitude")
    )
    into, y = lines @ w1 + b1, np.zeros((len(lines), len(b2)))
    for _ in range(sweeps):
        y = np.clip(np.clip(into + y @ w2.T, 0, 1) @ w2 + b2, 0, 1)
    return y


def hopfield(quick: bool) -> list[dict[str, Any]]:
    """Print an epoch of the Hopfield network of Scellier & Bengio (2017) against PyTorch's Euler steps."""
    if importlib.util.find_spec("torch") is None:
        print("\nHopfield network: left out, PyTorch is not installed (pip install torch)")
        return []
    import torch
    from euler import FREE, EulerNetwork

    of = problem("sb2017-1h", folder="hopfield")
    batch, updates, samples = of.config.training.batch, 50 if quick else 200, len(of.train)
    runner = fused(of)
    for _ in runner.run_epoch(np.random.default_rng(1).permutation(samples), 1.0):
        pass
    circuit, some = runner.circuit, np.arange(2000)
    settled, lines = runner.outputs(of.train, some), of.train.single(some)

    def away(outputs: np.ndarray) -> float:
        return float(np.sqrt(np.mean((outputs - settled) ** 2)))

    with torch.inference_mode():
        euler, exact = EulerNetwork(of, circuit).outputs(lines), EulerNetwork(of, circuit).outputs(lines, 500)
    assert away(exact) < 2e-4, f"Euler steps and block steps settle {away(exact):.2g} V apart"
    sweeps = next(k for k in range(1, 100) if away(block_steps(circuit, lines, k)) <= away(euler))

    def torch_run(threads: int) -> Callable[[], object]:
        network, order = EulerNetwork(of, circuit), orders(samples, batch, updates)

        def run() -> None:
            torch.set_num_threads(threads)
            with torch.inference_mode():
                for now in torch.from_numpy(next(order)).split(batch):
                    network.update(now)

        return run

    cases = {"settled": 0, f"{sweeps} sweeps": sweeps}
    runs = {(name, t): our_updates(of, updates, t, circuit, k) for name, k in cases.items() for t in THREADS}
    runs |= {("PyTorch", t): torch_run(t) for t in THREADS}
    found = {key: seconds / updates for key, seconds in in_turn(3 if quick else 9, runs).items()}
    print(f"\n{shape_of(of):22s}{'off by [V]':>11s}{'ms/update':>11s}{'epoch [s]':>11s}{'threads':>9s}"
          f"{'ratio':>8s}{'target':>9s}")  # fmt: skip
    best = {name: min((s, key[1]) for key, s in found.items() if key[0] == name) for name in ("PyTorch", *cases)}
    rows = []
    for name, (seconds, threads) in best.items():
        distance = away(euler if name == "PyTorch" else block_steps(circuit, lines, cases[name] or 100))
        label = f"PyTorch, {FREE} steps" if name == "PyTorch" else f"ours, {name}"
        row = {"name": name, "update": seconds, "epoch": seconds * samples / batch, "threads": threads}
        line = f"{label:22s}{distance:11.1e}{seconds * 1e3:11.3f}{row['epoch']:11.2f}{threads:9d}"
        if name != "PyTorch":
            row["ratio"] = seconds / best["PyTorch"][0]
            line += f"{row['ratio']:7.2f}×   ≤ {EULER:g}×"
        rows.append(row)
        print(line, flush=True)
    print(
        f"(an epoch is {samples:,} samples in updates of {batch}, the network's second; off by: rms distance of\n"
        f" the outputs from where they settle, free phase from zero, {len(some):,} samples)"
    )
    return rows


def draw(results: Mapping[str, list[dict[str, Any]]], path: Path) -> None:
    """Plot epochs against PyTorch, and the time of an update over width and over the batch."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    from analogep.report import save
    from analogep.report.style import BLUE, GREY, INK, LIGHT, PAGE, RED, YELLOW, new_figure, styled

    @styled
    def figure():  # type: ignore[no-untyped-def]
        built = new_figure(PAGE, 2.2)
        left, middle, right = built.subplots(1, 3)
        rows, at = results["table"], np.arange(len(results["table"]))
        theirs = [r.get("torch", np.nan) for r in rows]
        left.bar(at - 0.2, [r["epoch"] for r in rows], 0.36, color=BLUE, label="analogep")
        left.bar(at + 0.2, theirs, 0.36, color=LIGHT, label="PyTorch, backpropagation")
        for k, row in enumerate(rows):
            if "torch" in row:
                goal = row["target"] * row["torch"]
                left.plot([k - 0.4, k], [goal, goal], color=RED, label="target" if k == 0 else None)
                place = k - 0.2, max(row["epoch"], goal)
                left.annotate(f"{row['ratio']:.2f}×", place, (0, 2), textcoords="offset points", ha="center",
                              va="bottom", fontsize=6)  # fmt: skip
        left.set_yscale("log")
        left.set_xticks(at, [r["name"].upper() for r in rows])
        left.set_ylabel("Time per epoch (s)")
        left.set_ylim(top=10 * np.nanmax([*theirs, *(r["epoch"] for r in rows)]))
        left.legend(loc="upper left")
        for threads, colour, marker in zip(THREADS, (BLUE, YELLOW), "os", strict=True):
            label = f"{threads} thread{'s' * (threads > 1)}"
            mine = [r for r in results["scaling"] if r["threads"] == threads and len(r["hidden"]) == 1]
            wide = sorted((r["hidden"][0], 1e3 * r["update"]) for r in mine if r["batch"] == 4)
            deep = sorted((r["batch"], 1e6 * r["update"] / r["batch"]) for r in mine if r["hidden"] == [1024])
            middle.loglog(*zip(*wide, strict=True), color=colour, marker=marker, label=label)
            right.loglog(*zip(*deep, strict=True), color=colour, marker=marker, label=label)
        x = np.array([min(w for w, _ in wide), max(w for w, _ in wide)])
        middle.loglog(x, wide[-1][1] * x / x[-1], "--", color=GREY, label="linear")
        middle.set_xlabel("Hidden nodes $h$ of 1568-$h$-10")
        middle.set_ylabel("Time per update of 4 samples (ms)")
        right.set_xlabel("Samples per update, 1568-1024-10")
        right.set_ylabel("Time per sample (µs)")
        right.set_xticks([b for b, _ in deep], [str(b) for b, _ in deep], color=INK)
        for axes in (middle, right):
            axes.legend()
        right.minorticks_off()
        middle.set_xticks([w for w, _ in wide], [str(w) for w, _ in wide], color=INK)
        middle.xaxis.set_minor_formatter(NullFormatter())
        for axis, marks in ((middle.yaxis, (1.0, 2.0, 5.0)), (right.yaxis, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))):
            axis.set_major_locator(LogLocator(subs=marks))
            axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            axis.set_minor_formatter(NullFormatter())
        return built

    save(figure(), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller cases, no DRN-XL")
    parser.add_argument("--only", nargs="+", choices=Parts, default=Parts, help="some parts only")
    parser.add_argument("--figure", type=Path, help="plot epochs and scaling to this file")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak is not None:
        print(json.dumps(peak_of(options.peak)))
        return
    if options.figure is not None and not {"table", "scaling"} <= set(options.only):
        parser.error("--figure needs the parts table and scaling")
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} before the start")
    parts = (table, against_ngspice, roofline, scaling, memory, hopfield)
    results = {name: run(options.quick) for name, run in zip(Parts, parts, strict=True) if name in options.only}
    if options.figure is not None:
        draw(results, options.figure)


if __name__ == "__main__":
    main()
