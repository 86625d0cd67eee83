"""Smallest netlists of kinds that once went wrong, against values by hand, in closed form or from elsewhere.

They are read and solved as ``analogep solve`` does it, whatever engine stands behind.
"""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analogep.errors import AnalogepError
from analogep.spice import read_file
from analogep.spice.run import Result, run_netlist

FOLDER = Path(__file__).parent / "cases"
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "expected.toml").read_text())


def column(result: Result, node: str) -> np.ndarray:
    """Return the voltages (S,) of a node; names that begin with a digit may have an n before it."""
    name = node if node in result.nodes else f"n{node}"
    return result.voltages[:, result.nodes.index(name)]


def test_every_file_has_its_values_and_their_origin() -> None:
    assert {path.stem for path in FOLDER.glob("*.cir")} == set(EXPECTED)
    assert all(case["origin"] and (case["values"] or case["refused"]) for case in EXPECTED.values())


@pytest.mark.parametrize("case", sorted(EXPECTED))
def test_the_value_is_right_or_the_file_is_refused(case: str) -> None:
    expected = EXPECTED[case]
    started = time.process_time()
    found: Result | AnalogepError
    try:
        found = run_netlist(read_file(FOLDER / f"{case}.cir"), {})[-1]
    except AnalogepError as error:
        found = error
    assert time.process_time() - started < expected.get("seconds", 15.0)
    if isinstance(found, AnalogepError):
        assert "refused" in expected, found
        assert re.search(expected["refused"], str(found)), found
        return
    assert expected["values"], "it must be refused"
    for node, right in expected["values"].items():
        volts = column(found, node)
        for at, value in right if isinstance(right, list) else [[None, right]]:
            k = 0
            if at is not None:
                times = found.axes["time [s]"]
                k = int(np.argmin(np.abs(times - at)))
                assert times[k] == pytest.approx(at, rel=1e-9, abs=1e-15)
            assert volts[k] == pytest.approx(value, rel=0, abs=expected["tolerance"]), (node, at)
