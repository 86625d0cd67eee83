"""Charge and breakdown of junctions and MOSFETs: their laws, netlists, and ngspice's numbers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DEVICES, banks_of

from analogep.circuit import Circuit
from analogep.devices import NMOS, PMOS, Diode, JunctionDiode, MultiPort
from analogep.devices.semiconductors.depletion import depletion
from analogep.devices.semiconductors.junction_diode import static_law
from analogep.errors import NetlistError
from analogep.solve import TransientOptions, operating_point, transient
from analogep.spice import from_netlist, to_netlist

STORING = [JunctionDiode, NMOS, PMOS]

# --- laws ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", STORING, ids=lambda d: d.kind)
@given(data=st.data())
@settings(max_examples=40)
def test_slopes_of_charge_are_derivatives_and_charge_is_conserved(
    device: type[MultiPort], data: st.DataObject
) -> None:
    p = data.draw(banks_of(device.kind))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    count, size = len(next(iter(p.values()))), len(device.pins)
    z, origin = rng.uniform(-2.0, 2.0, (2, count, size)), rng.uniform(-2.0, 2.0, (2, count, size))
    if device is JunctionDiode:  # no currents of e^100
        z[..., 0] = z[..., 1] + np.minimum(z[..., 0] - z[..., 1], 10.0 * p["emission"] * 0.017)
    found = device.charge_step(z, origin, p)
    if found is None:
        assert not any(np.any(p[k]) for k in ("junction_capacitance", "oxide_thickness") if k in p)
        return
    q, slope = found
    q_size = np.abs(q).max() + np.abs(slope).max()
    assert q.shape == z.shape
    assert slope.shape == (*z.shape, size)
    assert np.abs(q.sum(axis=-1)).max() <= 1e-12 * q_size
    assert np.abs(slope.sum(axis=-1)).max() <= 1e-12 * q_size  # sees only differences of voltages
    h = 1e-6
    for j in range(size):
        dz = h * np.eye(size)[j]
        above, below = (device.charge_step(z + s * dz, origin, p) for s in (1.0, -1.0))
        assert above is not None
        assert below is not None
        # corners of Meyer's capacitances within h of z would jump by more: none of measure
        error = np.abs((above[0] - below[0]) / (2.0 * h) - slope[..., j])
        assert np.median(error) <= 1e-6 * q_size
        assert error.max() <= 1e-2 * q_size
    back = device.charge_step(origin, z, p)
    if device is not JunctionDiode:
        assert back is not None
        np.testing.assert_allclose(back[0], -q, rtol=0.0, atol=1e-12 * q_size)
    nothing = device.charge_step(z, z, p)
    assert nothing is not None
    assert not nothing[0].any()


@given(values=DEVICES["junction_diode"])
def test_depletion_is_continuous_where_the_line_begins(values: dict[str, float]) -> None:
    shape = [np.array([values[k]]) for k in ("junction_potential", "grading", "forward_coefficient")]
    edge = shape[2] * shape[0]
    (q0, c0), (q1, c1) = (depletion(edge + s, np.array([1e-12]), *shape) for s in (-1e-9, 1e-9))
    np.testing.assert_allclose(q1, q0, rtol=1e-7)
    np.testing.assert_allclose(c1, c0, rtol=1e-6)


@given(values=DEVICES["diode"], v=st.floats(-5.0, 1.0))
def test_at_rest_it_is_the_diode(values: dict[str, float], v: float) -> None:
    values = {key: value for key, value in values.items() if key != "series_resistance"}
    plain, storing = (
        {key: np.array([x]) for key, x in device.values.items()}
        for device in (Diode(**values), JunctionDiode(**values, junction_capacitance=1e-9, transit_time=1e-6))
    )
    for one, other in zip(Diode.current(np.array([v]), plain), static_law(np.array([v]), storing), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_device_without_parameters_of_charge_stores_none() -> None:
    for device in STORING:
        p = {key: np.array([value]) for key, value in device().values.items()}  # type: ignore[call-arg]
        z = np.zeros((1, 1, len(device.pins)))
        assert device.charge_step(z, z, p) is None


# --- netlists ------------------------------------------------------------------------------------------------

DIODE = "D(is=1e-14 n=1.1 cjo=4p vj=0.7 m=0.4 fc=0.5 tt=8n"
RECOVERY = f"""recovery of a diode
.model dd {DIODE} rs=5)
V1 1 0 PULSE(2 -3 10n 1n 1n 40n 100n)
R1 1 2 500
D1 2 0 dd
"""
VARACTOR = """varactor
.model dd D(is=1e-14 cjo=40p vj=0.6 m=0.45)
V1 1 0 SIN(-2 1.8 2meg)
R1 1 2 10k
D1 2 0 dd
"""
SHAPE = "cgso=2e-10 cgdo=3e-10 cgbo=1e-10 cj=3e-4 cjsw=2e-10 mj=.5 mjsw=.33 pb=.8 tox=1e-8"
INVERTER = f"""inverter
.model nn NMOS(level=1 vto=0.7 kp=1e-4 gamma=0.4 lambda=0.02 {SHAPE})
.model pp PMOS(level=1 vto=-0.8 kp=4e-5 gamma=0.5 lambda=0.03 {SHAPE})
VDD 3 0 3
VIN 1 0 PULSE(0 3 1n 0.5n 0.5n 4n 10n)
RG 1 4 1k
M1 2 4 0 0 nn w=5u l=1u ad=10p as=12p pd=14u ps=16u
M2 2 4 3 3 pp w=10u l=1u ad=20p as=20p pd=24u ps=24u
CL 2 0 10f
"""
ENDING = ".options gmin=1e-12\n.end\n"


def read(text: str) -> Circuit:
    return from_netlist(text + ENDING)


@pytest.mark.parametrize("text", [RECOVERY, VARACTOR, INVERTER])
def test_round_trip(text: str) -> None:
    circuit = read(text)
    again = from_netlist(to_netlist(circuit))
    for bank in circuit.banks:
        other = next(b for b in again.banks if b.name == bank.name)
        assert other.device is bank.device
        assert other.names == bank.names
        for key, value in bank.values.items():
            np.testing.assert_array_equal(other.values[key], value, err_msg=key)


def test_charge_has_no_effect_at_rest() -> None:
    """The case junction_capacitance: v(2) = .26225 (ngspice)."""
    card = "is=1e-7 rs=12 n=1.1"
    text = "t\n.model dd D({})\nV1 1 0 1\nR1 1 2 1k\nD1 2 0 dd\n"
    voltages = [
        operating_point(read(text.format(c))).voltage("2")[0] for c in (card, f"{card} cjo=15p vj=0.25 m=0.5")
    ]
    assert voltages[1] == pytest.approx(0.26225, abs=5e-6)
    assert voltages[1] == pytest.approx(voltages[0], rel=1e-9)


def test_cards_become_parameters() -> None:
    """By hand: cj·ad, cjsw·pd, js·ad, and KP = 600 cm²/Vs · 3.9 ε0/tox."""
    circuit = read(
        "t\n.model n NMOS(cj=1e-4 cjsw=1e-10 js=1e-5 tox=2e-8)\n"
        "M1 1 2 0 0 n ad=2p as=2p pd=3u ps=4u\nR1 1 0 1\nR2 2 0 1\n"
    )
    (bank,) = (b for b in circuit.banks if b.device is NMOS)
    got = {key: value[0] for key, value in bank.values.items()}
    assert got["drain_capacitance"] == got["source_capacitance"] == pytest.approx(2e-16)
    assert (got["drain_sidewall"], got["source_sidewall"]) == pytest.approx((3e-16, 4e-16))
    assert got["saturation_current"] == pytest.approx(2e-17)
    assert got["transconductance"] == pytest.approx(600e-4 * 3.9 * 8.854214871e-12 / 2e-8)
    assert got["oxide_thickness"] == 2e-8


@pytest.mark.parametrize(
    "lines",
    [
        ".model d D(bv=0)\nD1 1 0 d\n",
        ".model d D(cjo=1p m=1)\nD1 1 0 d\n",
        ".model n NMOS(js=1e-5)\nM1 1 1 0 0 n ad=1p as=2p\n",
        "*@ bank b diode\nD1 1 0 d\n*@ end\n.model d D(cjo=1p)\n",
    ],
)
def test_what_is_not_known_is_refused(lines: str) -> None:
    with pytest.raises(NetlistError):
        read(f"t\nR1 1 0 1\n{lines}")


# --- against ngspice -----------------------------------------------------------------------------------------


def ngspice(folder: Path, text: str, analysis: str, *names: str) -> np.ndarray:
    """Return time or sweep, then the named vectors, in columns."""
    script = f"set numdgt=14\nrun\nset wr_singlescale\nwrdata {folder / 'out.txt'} {' '.join(names)}\n"
    (folder / "in.cir").write_text(f"{text}{analysis}\n.control\n{script}.endc\n.end\n")
    subprocess.run(["ngspice", "-b", folder / "in.cir"], capture_output=True, check=False)
    return np.loadtxt(folder / "out.txt")


@pytest.mark.ngspice
@pytest.mark.parametrize("seed", range(4))
def test_breakdown_is_ngspices(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    bv, share = rng.uniform(1.0, 60.0), rng.uniform(1.0, 2.0)
    card = {"is": 10 ** rng.uniform(-16, -6), "n": share, "bv": bv, "ibv": 10 ** rng.uniform(-13, -2)}
    pairs = " ".join(f"{key}={value!r}" for key, value in card.items())
    tight = ".options gmin=1e-12 reltol=1e-10 abstol=1e-18 vntol=1e-14\n"
    text = f"t\n.model d1 D({pairs})\nV1 1 0 0\nD1 1 0 d1\n{tight}"
    found = ngspice(tmp_path, text, f".dc V1 {-bv - 1.0!r} 0.6 {(bv + 1.6) / 60!r}", "v(1)", "i(v1)")
    p = {
        key: np.array([value])
        for key, value in JunctionDiode(
            saturation_current=card["is"],
            emission=share,
            gmin=1e-12,
            breakdown_voltage=bv,
            breakdown_current=card["ibv"],
            breakdown_emission=share,
        ).values.items()
    }
    v, current = found[:, [1]], -found[:, [2]]
    far = np.abs(v) > 1e-9
    np.testing.assert_allclose(static_law(v, p)[0][far], current[far], rtol=1e-9)


@pytest.mark.ngspice
@pytest.mark.parametrize(
    ("text", "stop", "node", "error"),
    [(RECOVERY, 60e-9, "2", 3e-3), (VARACTOR, 5e-7, "2", 2e-3)],
    ids=["recovery", "varactor"],
)
def test_transients_are_ngspices(text: str, stop: float, node: str, error: float, tmp_path: Path) -> None:
    """Within what the step control of both leaves, at relative tolerances of 1e-4 and 1e-5."""
    tight = ".options gmin=1e-12 reltol=1e-5 abstol=1e-14 vntol=1e-8 chgtol=1e-17\n"
    found = ngspice(tmp_path, text + tight, f".tran {stop / 100!r} {stop!r} 0 {stop / 2000!r}", f"v({node})")
    assert found[-1, 0] == pytest.approx(stop)
    options = TransientOptions(node_capacitance=0.0, relative=1e-4, absolute=1e-5)
    ours = transient(read(text), None, stop, options=options, start="operating_point")
    expected = np.interp(ours.times, found[:, 0], found[:, 1])
    assert np.abs(ours.voltage(node)[:, 0] - expected).max() <= error
    assert np.ptp(expected) > 1.0


PASS_GATE = """pass gate
Vdd vdd 0 3.234
V1 in 0 0.72
V2 g 0 PULSE(0.05768 1.121 5e-9 0.23n 0.23n 30n)
M1 in g out 0 nm W=20u L=2u
C1 out 0 0.2188p
R1 out 0 1meg
.model nm NMOS(level=1 vto=0.967 kp=0.000118 cbd=40.6f cbs=28.1f tox=12.4n)
"""


@pytest.mark.ngspice
def test_steps_see_charge_that_depends_on_the_way(tmp_path: Path) -> None:
    """Meyer's capacitances of a gate that falls within one step of a loose tolerance: the error falls with it."""
    tight = ".options reltol=1e-6 abstol=1e-15 vntol=1e-9 chgtol=1e-19\n"
    found = ngspice(tmp_path, PASS_GATE + tight, ".tran 1n 40n 0 0.01n", "v(out)")
    expected = np.interp(39e-9, found[:, 0], found[:, 1])
    for relative, error in ((1e-3, 2e-3), (1e-4, 6e-4)):
        options = TransientOptions(node_capacitance=0.0, relative=relative, absolute=1e-2 * relative)
        ours = transient(read(PASS_GATE), None, times=[39e-9], options=options, start="operating_point")
        assert ours.voltage("out")[0, 0] == pytest.approx(expected, abs=error), relative
