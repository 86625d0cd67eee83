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
