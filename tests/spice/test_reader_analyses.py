"""What a netlist asks for, done natively: against hand calculation and ngspice itself."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest

from analogep.errors import InputError, StartWarning
from analogep.solve import TransientOptions, transient
from analogep.spice import read_netlist
from analogep.spice.run import run_netlist
from analogep.spice.simulated import simulate_netlist
from analogep.spice.text.analyses import OperatingPoint, Sweep, Transient


def netlist(*lines: str) -> str:
    return "\n".join(["title", *lines, ".end", ""])


RC = ["V1 a 0 PULSE(0 1 0 1f 1f)", "R1 a b 1k", "C1 b 0 1u"]


def test_what_is_asked_for() -> None:
    read = read_netlist(
        netlist(*RC, ".op", ".dc V1 0 {x} 0.5 v1x 1 3 1", ".tran 1u 1m 0 2u uic", ".param x=2", ".ic v(b)={x/4}",
                "V1x c 0 0", "R2 c 0 1", ".nodeset v(b)=0.25 v(c)=1")
    )  # fmt: skip
    point, sweep, run = read.analyses
    assert isinstance(point, OperatingPoint)
    assert isinstance(sweep, Sweep)
    assert [a.values.tolist() for a in sweep.axes] == [[0.0, 0.5, 1.0, 1.5, 2.0], [1.0, 2.0, 3.0]]
    assert run == Transient(1e-6, 1e-3, 0.0, 2e-6, True)
    assert read.initial == {"b": 0.5}
    assert read.guesses == {"b": 0.25, "c": 1.0}


def test_a_sweep_of_two_sources_moves_the_first_fastest() -> None:
    text = netlist("V1 a 0 1", "I1 0 b 0", "R1 a b 1k", "R2 b 0 1k", ".dc V1 0 1 1 I1 0 2m 1m")
    (result,) = run_netlist(read_netlist(text), {})
    columns = result.columns
    np.testing.assert_allclose(columns["V1 [V]"], [0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(columns["I1 [A]"], [0, 0, 1e-3, 1e-3, 2e-3, 2e-3])
    np.testing.assert_allclose(columns["v(b) [V]"], [0, 0.5, 0.5, 1.0, 1.0, 1.5], atol=1e-12)


def test_a_sensed_source_of_zero_volts_can_be_swept() -> None:
    text = netlist("V1 a 0 0", "R1 a 0 1k", "F1 0 b V1 1", "R2 b 0 1k", ".dc V1 1 2 1")
    (result,) = run_netlist(read_netlist(text), {})
    np.testing.assert_allclose(result.columns["v(b) [V]"], [-1.0, -2.0], rtol=1e-12)


@pytest.mark.parametrize("start", ["", ".ic v(b)=0.5"])
@pytest.mark.parametrize("uic", ["", " uic"])
def test_a_transient_charges_a_capacitor(start: str, uic: str) -> None:
    """v(t) = 1 − (1 − v0) exp(−t/RC), from the operating point 0 V or from .ic."""
    text = netlist(*RC, f".tran 0.1m 3m{uic}", start)
    (result,) = run_netlist(read_netlist(text), {})
    t = result.columns["time [s]"]
    v0 = 0.5 if start else 0.0
    np.testing.assert_allclose(t, np.arange(31) * 1e-4, atol=1e-12)
    np.testing.assert_allclose(result.columns["v(b) [V]"][1:], (1 - (1 - v0) * np.exp(-t / 1e-3))[1:], atol=3e-4)


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"^<netlist>:4: \.dc: .* V9"):
        run_netlist(read_netlist(netlist("V1 a 0 1", "R1 a 0 1", ".dc V9 0 1 1")), {})


def test_a_guess_chooses_between_operating_points() -> None:
    """Two cross-coupled inverters; .nodeset says which of them is on."""
    lines = [
        "Vdd d 0 3",
        "R1 d a 10k",
        "R2 d b 10k",
        "M1 a b 0 0 n W=10u L=1u",
        "M2 b a 0 0 n W=10u L=1u",
        ".model n NMOS(level=1 vto=0.7 kp=1e-4)",
    ]
    for high, low in (("a", "b"), ("b", "a")):
        guess = f".nodeset v({high})=3 v({low})=0.1"
        point, run = run_netlist(read_netlist(netlist(*lines, guess, ".op", ".tran 1u 3u")), {})
        for result in (point, run):
            assert (result.columns[f"v({high}) [V]"] > 2.5).all()
            assert (result.columns[f"v({low}) [V]"] < 0.5).all()


TRANSIENTS = {
    "sine into RC": ["V1 a 0 SIN(0.5 1 1k 0.1m 200 30)", "R1 a b 1k", "C1 b 0 0.2u", ".tran 10u 2m"],
    "pulses through RL": ["V1 a 0 PULSE(0 1 0.1m 10u 20u 0.3m 0.8m)", "R1 a b 100", "L1 b 0 10m", ".tran 10u 2m"],
    "table into a diode": ["I1 0 a PWL(0 0 1m 1m 2m -0.1m)", "D1 a 0 d", "R1 a 0 10k", "C1 a 0 10n", ".model d D",
                           ".tran 10u 2m"],
}  # fmt: skip


@pytest.mark.ngspice
@pytest.mark.parametrize("what", TRANSIENTS)
def test_transients_agree_with_ngspice(what: str, ngspice: str, tmp_path: Path) -> None:
    lines = TRANSIENTS[what]
    node = "b" if "b" in " ".join(lines[:3]).split() else "a"
    script = [".control", "set numdgt=12", "set wr_singlescale", "run", "linearize", f"wrdata out.txt v({node})",
              "quit 0", ".endc"]  # fmt: skip
    options = ".options reltol=1e-5 abstol=1e-12 vntol=1e-7"
    (tmp_path / "t.cir").write_text(netlist(*lines, options, *script))
    subprocess.run([ngspice, "-b", "t.cir"], cwd=tmp_path, check=True, capture_output=True)
    theirs = np.loadtxt(tmp_path / "out.txt")
    (result,) = run_netlist(read_netlist(netlist(*lines, options)), {})
    ours = np.interp(theirs[:, 0], result.columns["time [s]"], result.columns[f"v({node}) [V]"])
    np.testing.assert_allclose(ours[1:], theirs[1:, 1], atol=2e-3)


def test_the_longest_step_of_a_transient_bounds_the_integrator() -> None:
    """With nothing to follow, steps grow until the bound stops them: 1 ms takes 100 of 10 µs, or a few more."""
    for longest, least, most in ((10e-6, 100, 130), (1e-3, 1, 40)):
        text = netlist("V1 a 0 1", "R1 a b 1k", "C1 b 0 1u", f".tran 1m 1m 0 {longest}")
        read = read_netlist(text)
        (result,) = run_netlist(read, {})
        assert result.voltages[-1] == pytest.approx([1.0, 1.0])
        run = transient(
            read.circuit, until=1e-3, start="operating_point", options=TransientOptions(max_step=longest)
        )
        assert least <= run.steps <= most
        assert np.diff(run.times).max() <= longest * (1 + 1e-12)
    with pytest.raises(InputError, match="max_step = 0"):
        TransientOptions(max_step=0.0)


def test_capacitors_and_inductors_start_from_what_they_hold() -> None:
    """By hand: C discharges from 0.5 V into R, also on top of a source; L/R decays from 2 mA."""
    text = netlist(
        "R1 a 0 1k", "C1 a 0 1u ic=0.5", "V2 s 0 3", "C2 s b 1u ic={1/4}", "R2 b s 1k", "L3 c 0 1 IC=2m",
        "R3 c 0 1k", ".tran 0.1m 2m 0 20u uic",
    )  # fmt: skip
    read = read_netlist(text)
    assert read.stored == {"C1": 0.5, "C2": 0.25, "L3": 2e-3}
    (result,) = run_netlist(read, {})
    columns = result.columns
    decay = np.exp(-columns["time [s]"] / 1e-3)
    np.testing.assert_allclose(columns["v(a) [V]"], 0.5 * decay, atol=1e-5)
    np.testing.assert_allclose(columns["v(b) [V]"], 3 - 0.25 * decay, atol=1e-5)
    np.testing.assert_allclose(columns["v(c) [V]"], -2.0 * decay, atol=1e-4)
    (result,) = run_netlist(read_netlist(text.replace(" uic", "")), {})
    assert np.abs(result.columns["v(a) [V]"]).max() < 1e-9


def test_an_elements_own_initial_voltage_goes_before_its_nodes() -> None:
    text = netlist("R1 a 0 1k", "C1 a 0 1u ic=0.5", ".ic v(a)=0.4", ".tran 0.1m 2m uic")
    with pytest.warns(StartWarning, match=r"v\(a\) at 0\.5 V, not 0\.4 V"):
        (result,) = run_netlist(read_netlist(text), {})
    assert result.columns["v(a) [V]"][0] == 0.5


def test_sources_jump_from_nothing_where_initial_conditions_are_used() -> None:
    """By hand: 1 V over two like capacitors, and what the nodes of .ic put on them."""
    cards = ("V1 a 0 1", "C1 a b 1u", "C2 b 0 1u", "R1 b 0 1k", ".tran 0.1m 1m uic")

    def start(*more: str) -> float:
        (result,) = run_netlist(read_netlist(netlist(*cards, *more)), {})
        return float(result.columns["v(b) [V]"][0])

    assert start() == pytest.approx(0.5, abs=1e-12)
    with pytest.warns(StartWarning, match="b"):
        assert start(".ic v(b)=0.2") == pytest.approx(0.7, abs=1e-12)
    assert start(".ic v(a)=1 v(b)=0.2") == pytest.approx(0.2, abs=1e-12)


def test_a_source_between_capacitors_that_float_jumps() -> None:
    """By hand: both empty, so that 2 V stand over 1 kΩ and 3 kΩ in series, beside 1 MΩ."""
    cards = ("V1 p q 2", "C1 p a 1u", "C2 q b 1u", "R1 a 0 1k", "R2 b 0 3k", "R3 p 0 1meg", ".tran 0.1m 1m uic")
    (result,) = run_netlist(read_netlist(netlist(*cards)), {})
    start = {name: column[0] for name, column in result.columns.items()}
    p = (2 / 3e3) / (1e-3 + 1 / 3e3 + 1e-6)
    assert start["v(p) [V]"] == pytest.approx(p, rel=1e-9)
    assert start["v(a) [V]"] == pytest.approx(p, rel=1e-9)
    assert start["v(b) [V]"] == pytest.approx(p - 2, rel=1e-9)


@pytest.mark.ngspice
@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5, 7])  # ngspice's step gets too small on others
def test_charges_at_the_start_are_ngspices(seed: int) -> None:
    """Capacitors between all nodes, some with ic=, junctions with a charge, sources, a few nodes in .ic."""
    rng = np.random.default_rng(seed)
    nodes = ["a", "b", "c", "d"]
    cards = [f"V1 a 0 PWL(0 {rng.uniform(-2, 2):.4g} 1m 0.5)"]
    for k, (p, n) in enumerate(["ab", "bc", "cd", "b0", "c0", "d0", "ad"]):
        own = f" ic={rng.uniform(-1, 1):.4g}" if rng.random() < 0.3 else ""
        cards.append(f"C{k} {p} {n} {rng.uniform(0.2, 2):.4g}n{own}")
    for k, (p, n) in enumerate(["bc", "0d", "ac"]):
        cards += [f"D{k} {p} {n} dm", f"R{k} {p} {n} {rng.uniform(1, 100):.4g}k"]
    cards.append(".model dm D(is=1e-14 cjo=0.8n vj=0.8 m=0.4)")
    named = [n for n in nodes if rng.random() < 0.4]
    if named:
        cards.append(".ic " + " ".join(f"v({n})={rng.uniform(-1, 1):.4g}" for n in named))
    read = read_netlist(netlist(*cards, ".tran 0.2u 3u 0 0.05u uic"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StartWarning)
        (ours,) = run_netlist(read, {})
    (theirs,) = simulate_netlist(read, {})
    for n in nodes:
        column = f"v({n}) [V]"
        np.testing.assert_allclose(ours.columns[column][1:], theirs.columns[column][1:], rtol=0, atol=1e-3)
