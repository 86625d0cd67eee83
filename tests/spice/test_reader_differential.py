"""ngspice and our reader take the same text: both solve it, and every node agrees."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from netlist_strategies import Written, netlists

from analogep.solve import operating_point
from analogep.spice import read_netlist

_SCRIPT = ".control\nset numdgt=15\nop\nprint all\nquit 0\n.endc"


def theirs(program: str, lines: list[str]) -> dict[str, float]:
    """Return ngspice's node voltages [V] of a netlist, by lower-case name."""
    options = ".options reltol=1e-9 vntol=1e-13 abstol=1e-16 numdgt=15"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.cir").write_text("\n".join(["title", *lines, options, _SCRIPT, ".end", ""]))
        done = subprocess.run([program, "-b", "t.cir"], cwd=folder, capture_output=True, text=True, timeout=60)
    found = re.findall(r"^(\S+) = (\S+)$", done.stdout, re.MULTILINE)
    return {name.lower(): float(value) for name, value in found if "#" not in name}


@pytest.mark.ngspice
@settings(max_examples=40)
@given(netlists(linear=True))
def test_every_node_agrees_with_ngspice(ngspice: str, written: Written) -> None:
    circuit = read_netlist("\n".join(["title", *written.lines, ".end"])).circuit
    ours = operating_point(circuit)
    voltages = theirs(ngspice, written.lines)
    assert set(voltages) == {name.lower() for name in circuit.nodes[1:]}
    scale = max(1.0, *map(abs, voltages.values()))
    for name in circuit.nodes[1:]:
        assert ours.voltage(name)[0] == pytest.approx(voltages[name.lower()], abs=1e-9 * scale, rel=1e-9)


DEVICES = """
.subckt inv in out vdd params: wn=2u
M1 out in 0 0 nm W={wn} L=1u
M2 out in vdd vdd pm W={2*wn} L=1u
.ends
Vdd vdd 0 3
Vin in 0 1.4
X1 in o1 vdd inv
X2 o1 o2 vdd inv wn=4u
R1 o1 0 1meg
R2 o2 0 1meg
S1 vdd s in 0 sw on
Rs s 0 1k
B1 0 b I={1m}*tanh(v(in))
Rb b 0 1k
D1 s d dm area=2
Rd d l 2k
L1 l 0 1m
.model dm D(is=1e-14 n=1.2 rs=3)
.model nm NMOS(level=1 vto=0.6 kp=100u gamma=0.4 lambda=0.02)
.model pm PMOS(level=1 vto=-0.6 kp=50u gamma=0.4 lambda=0.02)
.model sw SW(vt=1 vh=0.2 ron=100 roff=1meg)
.func f(x) {x*x+1}
.param q={f(2)}
Iq 0 qn {q*1m}
Rq qn 0 1k
"""


@pytest.mark.ngspice
def test_nonlinear_devices_agree_with_ngspice(ngspice: str) -> None:
    circuit = read_netlist(f"title{DEVICES}.end").circuit
    ours = operating_point(circuit)
    voltages = theirs(ngspice, DEVICES.splitlines()[1:])
    assert len(voltages) == len(circuit.nodes) - 1 == 9
    for name, value in voltages.items():
        assert ours.voltage(name)[0] == pytest.approx(value, abs=1e-9)
