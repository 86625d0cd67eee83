"""MOSFETs: the level-1 law by hand in every region, its symmetries, and ngspice's currents."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import DEVICES, volts

from analogep.circuit import Bank, Circuit, resistor_bank
from analogep.constants import thermal_voltage
from analogep.devices import NMOS, PMOS, Mosfet, VoltageSource
from analogep.learning import Adjoint, FiniteDifference
from analogep.solve import operating_point
from analogep.spice import to_netlist
from analogep.spice.engines.ngspice import with_script
from analogep.spice.engines.process import run

EPS = float(np.finfo(float).eps)


def columns(values: dict[str, float]) -> dict[str, np.ndarray]:
    return {key: np.array([value]) for key, value in values.items()}


def currents(device: type[Mosfet], pins: list[float], **values: float) -> np.ndarray:
    """Currents [A] into (d, s, g, b) at the voltages ``pins``, without bulk junctions to speak of."""
    small = {"saturation_current": 1e-30, "gmin": 0.0}
    f, _ = device.stamp(np.array([pins]), columns(device(**{**small, **values}).values))
    return f[0]


# By hand, KP = 100 µA/V², W/L = 4, so β = 400 µA/V²; pins are (d, s, g, b).
CARD = {"threshold": 0.7, "transconductance": 1e-4, "width": 8e-6, "length": 2e-6}


@pytest.mark.parametrize(
    ("pins", "more", "expected"),
    [
        ([3.0, 0.0, 0.6, 0.0], {}, 0.0),  # cut off
        ([3.0, 0.0, 1.7, 0.0], {}, 2e-4),  # saturated: 400 µ · 1² / 2
        ([0.5, 0.0, 1.7, 0.0], {}, 1.5e-4),  # triode: 400 µ · 0.5 · (1 - 0.25)
        ([3.0, 0.0, 1.7, 0.0], {"channel_modulation": 0.1}, 2.6e-4),  # · (1 + 0.1 · 3)
        ([0.5, 0.0, 1.7, 0.0], {"channel_modulation": 0.1}, 1.575e-4),  # · (1 + 0.1 · 0.5)
        # body effect: √(0.64 + 0.36) - √0.64 = 0.2 at v_bs = -0.36, times γ = 0.5: threshold 0.8
        ([3.0, 0.0, 1.8, -0.36], {"body_effect": 0.5, "surface_potential": 0.64}, 2e-4),
        ([3.0, 0.0, 1.2, 0.0], {"gate_voltage": 0.5}, 2e-4),
        ([0.0, 3.0, 1.7, 0.0], {}, -2e-4),  # drain and source exchanged
        ([3.5, 0.5, 2.2, 0.5], {}, 2e-4),  # all half a volt up
    ],
)
def test_the_law_by_hand(pins: list[float], more: dict[str, float], expected: float) -> None:
    f = currents(NMOS, pins, **CARD, **more)
    assert f[:2] == pytest.approx([expected, -expected], rel=1e-12, abs=1e-25)
    mirrored = {**CARD, **more, "threshold": -0.7, "gate_voltage": -more.get("gate_voltage", 0.0)}
    assert currents(PMOS, [-v for v in pins], **mirrored).tolist() == (-f).tolist()


def test_a_bulk_junction_by_hand() -> None:
    width = thermal_voltage()
    values = columns(NMOS(threshold=5.0, saturation_current=1e-12, gmin=1e-9).values)
    f, _ = NMOS.stamp(np.array([[-0.5, 0.1, 0.0, 0.0]]), values)
    forward = 1e-12 * math.expm1(0.5 / width) + 0.5e-9
    reverse = -1e-12 - 0.1e-9  # below -3 kT/q = -78 mV
    assert f[0].tolist() == pytest.approx([-forward, -reverse, 0.0, forward + reverse], rel=1e-13)


biases = st.lists(volts(5.0), min_size=4, max_size=4)


@given(values=DEVICES["nmos"], pins=biases)
def test_drain_and_source_are_alike(values: dict[str, float], pins: list[float]) -> None:
    p = columns(values)
    swapped = [1, 0, 2, 3]
    f, jac = NMOS.stamp(np.array([pins]), p)
    g, turned = NMOS.stamp(np.array([pins])[:, swapped], p)
    assert np.array_equal(f[:, swapped], g) or pins[0] == pins[1]
    assert np.allclose(f[:, swapped], g, rtol=1e-15, atol=0)
    assert np.allclose(jac[:, swapped][:, :, swapped], turned, rtol=1e-12, atol=4 * EPS * np.abs(jac).max())


@given(values=DEVICES["pmos"], pins=biases)
def test_a_p_channel_is_an_n_channel_upside_down(values: dict[str, float], pins: list[float]) -> None:
    z = np.array([pins])
    other = {**values, "threshold": -values["threshold"], "gate_voltage": -values["gate_voltage"]}
    (f, jac), (g, same) = PMOS.stamp(z, columns(values)), NMOS.stamp(-z, columns(other))
    assert np.array_equal(f, -g)
    assert np.array_equal(jac, same)
    limited = PMOS.limit(z, np.zeros((1, 4)), columns(values))
    assert np.array_equal(limited, -NMOS.limit(-z, np.zeros((1, 4)), columns(other)))


@given(values=DEVICES["nmos"], pins=biases, shift=st.floats(-2.0, 2.0))
def test_the_gate_voltage_lowers_the_threshold(values: dict[str, float], pins: list[float], shift: float) -> None:
    moved = {**values, "gate_voltage": values["gate_voltage"] + shift}
    lower = {**values, "threshold": values["threshold"] - shift}
    (f, _), (g, jac) = (NMOS.stamp(np.array([pins]), columns(v)) for v in (moved, lower))
    assert np.all(np.abs(f - g) <= 64 * EPS * (np.abs(f) + np.abs(jac).max() * 10.0))


@pytest.mark.parametrize("device", [NMOS, PMOS])
@given(data=st.data())
def test_limiting_ends_where_it_was_sent(device: type[Mosfet], data: st.DataObject) -> None:
    p = columns(data.draw(DEVICES[device.kind]))
    target, z = (np.array([data.draw(biases)]) for _ in range(2))
    assert np.array_equal(device.limit(target, target, p), target)
    for _ in range(200):  # a junction that is sent to 10 V creeps there by some V_T a step
        z = device.limit(target, z, p)
    assert np.array_equal(z, target)


def test_limiting_is_spice2s() -> None:
    # ngspice, devsup.c: from below the threshold at most to v_to + 0.5; drain-source at most to 4 V from below
    # 3.5 V; pins are (d, s, g, b).
    p = columns(NMOS(threshold=1.0).values)
    old = np.array([[1.0, 0.0, 0.0, 0.0]])
    new = np.array([[9.0, 0.0, 5.0, 0.0]])
    limited = NMOS.limit(new, old, p)[0]
    # v_gd = -4 is kept, so v_ds = 1.5 + 4 = 5.5, then 4
    assert limited.tolist() == pytest.approx([4.0, 0.0, 1.5, 0.0], abs=1e-12)


def sweep(text: str, source: str, span: tuple[float, float, float], what: list[str], folder: Path) -> np.ndarray:
    """Run ngspice's ``.dc`` on a netlist and return the swept value and what was asked for, one row a point."""
    script = (
        ".options reltol=1e-11 abstol=1e-18 vntol=1e-14",  # else a current may be that of the point before
        ".control",
        "set numdgt=17",
        "set wr_singlescale",
        f"dc {source} {span[0]} {span[1]} {span[2]}",
        f"wrdata out.data {' '.join(what)}",
        "quit",
        ".endc",
    )
    (folder / "c.cir").write_text(with_script(text, script))
    run(["ngspice", "-b", "c.cir"], folder, 60.0, name="ngspice", samples=1, remedy="install it")
    return np.loadtxt(folder / "out.data")


def biased(device: type[Mosfet], values: dict[str, float], pins: list[float]) -> Circuit:
    """One transistor whose four pins are held by sources."""
    p = {key: np.array([value]) for key, value in device(**values).values.items()}
    held = Bank(
        "v",
        VoltageSource,
        np.array([[1, 0], [2, 0], [3, 0], [4, 0]]),
        {"voltage": np.array(pins)},
        ("Vd", "Vs", "Vg", "Vb"),
    )
    return Circuit(("0", "d", "s", "g", "b"), (held, Bank("m", device, np.array([[1, 2, 3, 4]]), p, ("m1",))))


SWEPT: list[tuple[type[Mosfet], dict[str, float], list[float], str]] = [
    (NMOS, {**CARD, "gmin": 1e-12}, [2.0, 0.0, 1.7, 0.0], "vd"),
    (NMOS, {**CARD, "body_effect": 0.5, "channel_modulation": 0.03}, [2.0, 0.0, 1.7, -1.0], "vd"),
    (
        NMOS,
        {**CARD, "threshold": -0.5, "body_effect": 0.5, "channel_modulation": 0.03},
        [2.0, 0.3, 1.7, -1.0],
        "vg",
    ),
    (NMOS, {**CARD, "body_effect": 0.5, "saturation_current": 1e-9}, [1.0, 0.0, 1.7, -1.0], "vb"),
    (NMOS, {**CARD, "temperature": 350.15, "saturation_current": 1e-12}, [1.0, 0.0, 1.7, -0.3], "vs"),
    (PMOS, {**CARD, "threshold": -0.7, "body_effect": 0.4}, [-2.0, 0.0, -1.7, 0.2], "vd"),
    (PMOS, {**CARD, "threshold": 0.4, "channel_modulation": 0.1}, [-2.0, 0.0, -1.7, 0.5], "vg"),
    (NMOS, {**CARD, "gate_voltage": 0.4, "gmin": 3e-10}, [2.0, 0.0, 1.0, -0.2], "vg"),
]


@pytest.mark.ngspice
@pytest.mark.parametrize(("device", "values", "pins", "source"), SWEPT)
def test_currents_are_ngspices(
    device: type[Mosfet], values: dict[str, float], pins: list[float], source: str, tmp_path: Path
) -> None:
    names = ["vd", "vs", "vg", "vb"]
    text = to_netlist(biased(device, values, pins))
    table = sweep(text, source, (-1.01, 1.05, 0.07), [f"i({n})" for n in names], tmp_path)
    z = np.tile(pins, (len(table), 1))
    z[:, names.index(source)] = table[:, 0]
    f, _ = device.stamp(z[:, None], columns(device(**values).values))
    ours, theirs = -f[:, 0], table[:, 1:]
    largest = np.abs(theirs).max(axis=1, keepdims=True)
    assert len(table) == 30
    assert largest.max() > 1e-6
    assert np.all(np.abs(ours - theirs) <= 1e-9 * largest)


def inverter(**extra: Any) -> Circuit:
    """CMOS inverter at 3 V: gates on the input, a 1 nS load, out observed."""
    card = {"length": 1e-6, "channel_modulation": 0.02, "body_effect": 0.4, "surface_potential": 0.7}
    n = NMOS(threshold=0.7, transconductance=1e-4, width=4e-6, **card, **extra).values
    p = PMOS(threshold=-0.7, transconductance=4e-5, width=1e-5, **card, **extra).values
    return Circuit(
        ("0", "in", "vdd", "out"),
        (
            Bank("supply", VoltageSource, np.array([[2, 0]]), {"voltage": np.array([3.0])}, ("vdd",)),
            Bank("n", NMOS, np.array([[3, 0, 1, 0]]), columns(n), ("mn",), frozenset({"gate_voltage"})),
            Bank("p", PMOS, np.array([[3, 2, 1, 2]]), columns(p), ("mp",), frozenset({"gate_voltage"})),
            resistor_bank("load", [[3, 0]], [1e-9], ["load"]),
        ),
        input_nodes=np.array([1]),
        output_pairs=np.array([[3, 0]]),
    )


@pytest.mark.ngspice
def test_the_transfer_curve_of_an_inverter_is_ngspices(tmp_path: Path) -> None:
    circuit = inverter(gmin=1e-12)
    table = sweep(to_netlist(circuit), "vin", (0.0, 3.0, 0.1), ["v(out)"], tmp_path)
    ours = operating_point(circuit, table[:, :1]).voltage("out")
    assert ours[0] > 2.99
    assert ours[-1] < 0.01
    assert np.abs(ours - table[:, 1]).max() < 1e-8


def test_the_inverter_switches_where_both_channels_carry_the_same() -> None:
    # Equal β and |V_T|: at v_in = v_dd / 2 both are saturated with equal currents, so v_out = v_dd / 2.
    circuit = inverter()
    solution = operating_point(circuit, [1.5])
    assert float(solution.voltage("out")[0]) == pytest.approx(1.5, abs=1e-3)


@pytest.mark.parametrize("v", [1.3, 1.5, 1.6])
@pytest.mark.parametrize("shift", [-0.1, 0.05])
def test_the_adjoint_gradient_by_the_gate_voltages_is_a_derivative(v: float, shift: float) -> None:
    circuit = inverter().with_parameters(
        {"n.gate_voltage": np.array([shift]), "p.gate_voltage": np.array([shift])}
    )
    adjoint = Adjoint().gradient(circuit, [[v]], [[1.0]])
    difference = FiniteDifference(step=1e-5).gradient(circuit, [[v]], [[1.0]])
    for block in ("n.gate_voltage", "p.gate_voltage"):
        assert abs(adjoint[block][0]) > 1e-6
        assert adjoint[block] == pytest.approx(difference[block], rel=1e-5)


def test_a_reversal_keeps_the_forward_junction() -> None:
    """Limiting after drain and source change places: the new low end's junction starts from the old one's 0.62 V.

    Started from its own last voltage, -1.26 V, it would be off, and so would the transistor's other junction.
    """
    p = {key: np.array([value]) for key, value in NMOS().values.items()}
    old = np.array([[-5.05, -3.17, -2.4, -4.43]])  # the drain is the low end, forward by 0.62 V
    new = np.array([[-2.64, -2.84, -2.5, -1.96]])  # now the source is, by 0.88 V
    drain, source, _, bulk = NMOS.limit(new, old, p)[0]
    assert drain > source
    assert 0.62 <= bulk - source < 0.88
