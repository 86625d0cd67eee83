"""Switches: the law at and around its thresholds, sweeps through one, and ngspice's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DEVICES

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.devices import Switch
from analogep.solve import dc_sweep, operating_point
from analogep.spice import to_netlist
from analogep.spice.engines.ngspice import TIGHT, run_ngspice


def columns(values: dict[str, float]) -> dict[str, np.ndarray]:
    return {key: np.array([value]) for key, value in values.items()}


@pytest.mark.parametrize(
    ("control", "closed", "resistance"),
    [
        (0.2999, 1.0, 1e6), (0.3, 1.0, 10.0), (0.3, 0.0, 1e6), (0.5, 1.0, 10.0), (0.5, 0.0, 1e6),
        (0.7, 0.0, 1e6), (0.7, 1.0, 10.0), (0.7001, 0.0, 10.0),
    ],
)  # fmt: skip
def test_the_law_by_hand(control: float, closed: float, resistance: float) -> None:
    # threshold 0.5 V, hysteresis 0.2 V: on above 0.7 V, off below 0.3 V, as it was in between and at either end
    p = columns(
        Switch(threshold=0.5, hysteresis=0.2, on_resistance=10.0, off_resistance=1e6, closed=closed).values
    )
    z = np.array([[3.0, 1.0, control, 0.0]])
    f, _ = Switch.stamp(z, p)
    assert f[0].tolist() == pytest.approx([2.0 / resistance, -2.0 / resistance, 0.0, 0.0], rel=1e-15)
    assert Switch.next_state(z, p).tolist() == [1.0 if resistance == 10.0 else 0.0]


@given(values=DEVICES["switch"], v=st.floats(-5.0, 5.0))
def test_the_state_is_kept_within_the_hysteresis_and_only_there(values: dict[str, float], v: float) -> None:
    p = columns(values)
    (after,) = Switch.next_state(np.array([[0.0, 0.0, v, 0.0]]), p)
    inside = abs(v - values["threshold"]) <= values["hysteresis"] * (1 - 1e-12)
    outside = abs(v - values["threshold"]) > values["hysteresis"] + 1e-12
    if inside:
        assert after == values["closed"]
    if outside:
        assert after == float(v > values["threshold"])


def divider(closed: float = 0.0, hysteresis: float = 0.2) -> Circuit:
    """A clamped 1 V rail, a switch of 1 kΩ or 1 MΩ, and 1 kΩ to ground; the other input controls."""
    values = Switch(
        threshold=0.5, hysteresis=hysteresis, on_resistance=1e3, off_resistance=1e6, closed=closed
    ).values
    return Circuit(
        ("0", "rail", "control", "out"),
        (
            Bank("s", Switch, np.array([[1, 3, 2, 0]]), columns(values), ("S1",)),
            resistor_bank("load", [[3, 0], [2, 0]], [1e-3, 1e-3], ["R1", "R2"]),
        ),
        input_nodes=np.array([1, 2]),
        output_pairs=np.array([[3, 0]]),
    )


def test_a_sweep_goes_through_a_switch() -> None:
    found = dc_sweep(divider(hysteresis=0.0), "control", np.linspace(0.0, 1.0, 21), {"rail": 1.0})
    out = found.voltage("out").ravel()
    # 1 kΩ over 1 kΩ + 1 MΩ, then 1 kΩ over 2 kΩ; at exactly 0.5 V it is what it was, open
    assert out[:11] == pytest.approx(1.0 / 1001.0, rel=1e-12)
    assert out[11:] == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("closed", [0.0, 1.0])
def test_operating_points_are_ngspices(ngspice: str, closed: float) -> None:
    circuit = divider(closed)
    for control in (0.0, 0.29, 0.31, 0.5, 0.69, 0.71, 1.0):
        inputs = [1.0, control]
        outcome = run_ngspice(to_netlist(circuit, inputs), [{}], TIGHT, timeout=30.0)
        (point,) = outcome.points
        assert point is not None
        ours = operating_point(circuit, inputs).voltage("out")[0]
        assert point["out"] == pytest.approx(ours, rel=1e-9)
