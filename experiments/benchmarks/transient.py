"""A diode network over time: the native integrator against ngspice's ``.tran``, on ngspice's own time points.

A deep resistive network with two Shockley diodes at every hidden node and a capacitor at every hidden and output
node rests at 0 V inputs; then every input follows a pulse of its own height. Both engines start from the operating
point and run at tight tolerances. The sources' lines of the written netlist are given the pulse here.

Run: python experiments/benchmarks/transient.py [--layers 196 64 10]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from analogep.circuit import Bank, Circuit
from analogep.devices import Capacitor, Pulse
from analogep.networks import deep_resistive, uniform
from analogep.solve import Trajectory, TransientOptions, transient
from analogep.spice import find_ngspice, to_netlist
from analogep.spice.engines.ngspice import with_script

OPTIONS = ".options reltol=1e-6 vntol=1e-9 abstol=1e-14 chgtol=1e-20 trtol=1"

STEPS = 10_000
"""Time steps of ngspice at least."""


def network(layers: list[int], seed: int = 0) -> tuple[Circuit, dict[str, Pulse], float]:
    """Return the network, the pulse of every input, and the end time [s]."""
    rng = np.random.default_rng(seed)
    g = 2e-4 / layers[0]
    circuit = deep_resistive(layers, hidden="pair", initial=uniform(0.1 * g, g), rng=rng)
    nodes = [n for n, name in enumerate(circuit.nodes) if name[0] in "hy"]
    pins = np.stack([nodes, np.zeros(len(nodes), int)], axis=1)
    values = {"value": rng.uniform(0.5e-12, 1.5e-12, len(nodes))}
    bank = Bank("c", Capacitor, pins, values, tuple(f"node_{circuit.nodes[n]}" for n in nodes))
    circuit = replace(circuit, banks=(*circuit.banks, bank), checked=False)
    tau = 1e-12 / (0.5 * g * layers[0])
    edge = 0.2 * tau
    pulses = {
        name: Pulse(0.0, float(v), delay=edge, rise=edge, fall=edge, width=4 * tau)
        for name, v in zip(circuit.inputs, rng.uniform(-1.0, 4.0, layers[0]), strict=True)
    }
    return circuit, pulses, 8 * tau


def ngspice_waveforms(
    circuit: Circuit, pulses: dict[str, Pulse], end: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return ngspice's time points (T,), the voltages (T, N) there, and the seconds it took."""
    text = to_netlist(circuit, inputs=np.zeros(len(pulses)))
    for name, pulse in pulses.items():
        keyword, arguments = pulse.spice()
        written = f"{keyword}({' '.join(f'{a:.17g}' for a in arguments)})"
        text, count = re.subn(rf"(?m)^(V{name} {name} 0) .*$", rf"\g<1> DC 0 {written}", text)
        assert count == 1
    nodes = circuit.nodes[1:]
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "out.raw"
        longest = end / STEPS
        saved = (f".save v({n})" for n in nodes)
        tail = (OPTIONS, *saved, f".tran {longest:.6g} {end:.17g} 0 {longest:.6g}")
        deck = Path(folder) / "deck.cir"
        deck.write_text(with_script(text, tail))
        began = time.perf_counter()
        done = subprocess.run(
            [find_ngspice(), "-b", "-r", str(raw), str(deck)],
            capture_output=True,
            text=True,
            timeout=1000,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise RuntimeError(done.stderr)
        t, voltages = _read(raw, nodes)
    return t, voltages, seconds


def _read(raw: Path, nodes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    data = raw.read_bytes()
    mark = data.index(b"Binary:\n")
    head = data[:mark].decode()
    count = int(re.search(r"No\. Variables:\s*(\d+)", head)[1])  # type: ignore[index]
    points = int(re.search(r"No\. Points:\s*(\d+)", head)[1])  # type: ignore[index]
    names = [line.split()[1] for line in head[head.index("Variables:\n") :].splitlines()[1 : count + 1]]
    table = np.frombuffer(data[mark + 8 :], dtype=float, count=count * points).reshape(points, count)
    out = np.zeros((points, len(nodes) + 1))
    for k, node in enumerate(nodes):
        out[:, k + 1] = table[:, names.index(f"v({node.lower()})")]
    return table[:, 0], out


def compare(layers: list[int], seed: int = 0) -> tuple[float, Trajectory, float, float]:
    """Return the largest |ΔV| [V], the native trajectory, and both engines' seconds."""
    circuit, pulses, end = network(layers, seed)
    t, voltages, theirs = ngspice_waveforms(circuit, pulses, end)
    keep = np.concatenate([[True], np.diff(t) > 0.0]) & (t <= end)
    options = TransientOptions(absolute=1e-8, relative=1e-7)
    began = time.perf_counter()
    found = transient(circuit, pulses, end, times=t[keep], start="operating_point", options=options)
    ours = time.perf_counter() - began
    return float(np.abs(found.voltages[:, 0] - voltages[keep]).max()), found, ours, theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[196, 64, 10])
    arguments = parser.parse_args()
    worst, found, ours, theirs = compare(arguments.layers)
    name = "-".join(map(str, arguments.layers))
    swing = np.ptp(found.voltage("h1_0"))
    print(f"{name}: {len(found.times)} time points of ngspice, swing of h1_0 {swing:.3g} V")
    print(f"largest |ΔV| {worst:.3g} V; native {found.steps} steps, {ours:.2f} s; ngspice {theirs:.2f} s")


if __name__ == "__main__":
    main()
