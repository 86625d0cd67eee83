"""Junctions that sources hold at volts: refused by name, at once, whatever the engine; others are solved."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from analogep import operating_point
from analogep.errors import ConvergenceError
from analogep.solve.equations.system import System
from analogep.solve.newton.plausible import forced
from analogep.spice import from_netlist


def chain(volts: float, count: int, series: float = 0.0) -> str:
    """Netlist of a source, diodes in series, forward, and a resistor unless it is zero."""
    nodes = ["p", *(f"n{k}" for k in range(count - 1)), "q" if series else "0"]
    cards = [f"D{k} {nodes[k]} {nodes[k + 1]} dm" for k in range(count)]
    cards += [f"Rs q 0 {series!r}"] if series else []
    return "\n".join(["chain", f"V1 p 0 {volts!r}", *cards, ".model dm D(is=1e-15 n=1)", ".op", ".end", ""])


@pytest.mark.parametrize("method", ["auto", "newton"])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_source_across_forward_diodes_is_refused_at_once(count: int, method: str) -> None:
    # e^(11.5 V / 26 mV) and the like: no such current can flow. Two were solved in silence, 2.86e179 W.
    circuit = from_netlist(chain(11.5 * count, count))
    with pytest.raises(ConvergenceError, match=r"D\d would carry .* A: sources may hold its voltage") as told:
        operating_point(circuit, method=method)  # type: ignore[arg-type]
    assert "homotopy" not in str(told.value)


@pytest.mark.parametrize("seed", range(10))
def test_what_can_be_solved_is_never_called_forced(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 6))
    volts = float(rng.uniform(-200.0, 200.0))
    for text in (
        chain(volts, count, 10.0 ** rng.uniform(-3.0, 6.0)),
        chain(-abs(volts), count),
        chain(0.7, count),
    ):
        circuit = from_netlist(text)
        assert not forced(System(circuit, circuit.input_array(None))).any()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert operating_point(circuit).converged.all()
