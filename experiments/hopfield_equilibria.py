"""One equilibrium by four routes, in a Hopfield network that is trained on MNIST first.

Run: python experiments/hopfield_equilibria.py [experiments/hopfield/sb2017-1h.toml] [--epochs 1] [--samples 10]

For test samples, in the free phase and nudged by ±β: Newton's method, exact block steps, the transient of the
network as leaky integrators until it rests, and the Euler steps of Scellier & Bengio (2017), v ← clip(v + ε dv/dt)
with ε half of a neuron's time constant, until they rest, too. Printed is the largest |ΔV| from Newton's method, of
all nodes and samples.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from analogep.circuit import Circuit
from analogep.cli.settings import configured
from analogep.solve import Nudge, operating_point
from analogep.solve.equations.stamps import add_transconductances
from analogep.training import train
from analogep.training.phases import phase_nudges

Array = NDArray[np.float64]
STEP, MOST = 0.5, 20000


def euler(circuit: Circuit, inputs: Array, nudge: Nudge | None, limit: float, leak: float) -> tuple[Array, int]:
    """Return the node voltages (B, N) [V] at which Euler steps of clipped ReLUs rest, and how many it took."""
    voltages = np.zeros((len(inputs), len(circuit.nodes)))
    voltages[:, circuit.input_nodes] = inputs
    neurons = np.concatenate([t.columns for t in circuit.transconductances])
    drain = np.zeros(len(circuit.nodes))  # what the biases take from each node [A]
    for bank in circuit.banks:
        if bank.device.kind == "current_source":
            drain[bank.pins[:, 1]] -= bank.values["amplitude"]
    for step in range(1, MOST + 1):
        taken = np.tile(drain, (len(inputs), 1))
        add_transconductances(taken, circuit, voltages)
        if nudge is not None:
            outputs = circuit.output_pairs[:, 0]
            taken[:, outputs] += nudge.evaluate(voltages[:, outputs])[0]
        old = voltages[:, neurons]
        new = np.clip(old + STEP * (-taken[:, neurons] / leak - old), 0.0, limit)
        voltages[:, neurons] = new
        if np.abs(new - old).max() < 1e-13:
            return voltages, step
    raise RuntimeError(f"{MOST} Euler steps do not come to rest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", default="experiments/hopfield/sb2017-1h.toml")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--samples", type=int, default=10)
    options = parser.parse_args()
    config = configured(options.config, [f"training.epochs={options.epochs}"])
    network = config.network
    if network.kind != "hopfield" or network.activation != "clipped_relu" or network.linear_outputs:
        parser.error(f"{options.config} has no network of clipped ReLUs throughout, which the Euler steps are for")
    run = train(config)
    print(f"{config.name} after {options.epochs} epochs: test error {run.metrics[-1].test_error:.2%}")
    circuit, test = run.circuit, run.problem.test
    batch = slice(options.samples)
    inputs = test.inputs(batch)
    free = operating_point(circuit, inputs, method="newton")
    nudges: dict[str, Nudge | None] = {"free": None}
    nudges |= phase_nudges(run.problem, run.cost, run.beta, free.outputs, batch)
    count = len(circuit.nodes)
    for name, nudge in nudges.items():
        exact = operating_point(circuit, inputs, nudge, "newton").voltages[:, :count]
        for method in ("layered", "transient"):
            began = time.perf_counter()
            found = operating_point(circuit, inputs, nudge, method)  # type: ignore[arg-type]
            off = np.abs(found.voltages[:, :count] - exact).max()
            print(f"  {name:4}  {method:9}  {off:.2g} V  {time.perf_counter() - began:.1f} s", flush=True)
        voltages, steps = euler(circuit, inputs, nudge, network.limit, network.leak)
        print(f"  {name:4}  Euler      {np.abs(voltages - exact).max():.2g} V  {steps} steps", flush=True)


if __name__ == "__main__":
    main()
