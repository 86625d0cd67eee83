"""The native solver and ngspice agree to 1e-9 V, on every device and in every phase."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import ALL_CELLS, decades, experiments

from analogep.circuit import Bank, Circuit
from analogep.devices import Diode, Resistor
from analogep.errors import EngineError
from analogep.solve import ConductanceNudge, CurrentNudge, operating_point
from analogep.spice import compare
from analogep.spice import operating_point as spice_point
from analogep.spice.engines.kirchhoff import check as kirchhoff
from analogep.spice.parity import TOLERANCE

pytestmark = [
    pytest.mark.ngspice,
    pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning"),  # random active circuits
]

Case = tuple[Circuit, np.ndarray]


LEAST_SERIES = 100.0
"""Least series resistance [ohm] of the random circuits' diodes.

ngspice solves for the node between it and the junction: 1/Rs times the rounding of a voltage is a current
error, which a node of conductance G turns into eps V / (Rs G). Rs = 1 ohm among 10 Mohm is past 1e-9 V.
"""


def resolvable(case: Case) -> Case:
    """The same experiment with diodes that ngspice can resolve to the tolerance."""
    circuit, inputs = case
    changes = {}
    for bank in circuit.banks:
        if bank.device is Diode:
            rs = bank.values["series_resistance"]
            changes[f"{bank.name}.series_resistance"] = np.where(rs > 0, np.maximum(rs, LEAST_SERIES), 0.0)
    return circuit.with_parameters(changes), inputs


def ordinary(case: Case, nudges: dict[str, object] | None = None) -> bool:
    """Whether no diode carries an ampere or more.

    An ideal diode may force volts across a junction in forward; 1e6 A then meet 1e-16 of rounding, and what
    is left of Kirchhoff's law is no voltage to compare.
    """
    circuit, inputs = case
    for nudge in (nudges or {"free": None}).values():
        solution = operating_point(circuit, inputs, nudge)  # type: ignore[arg-type]
        for bank in circuit.banks:
            if bank.device is Diode and np.abs(solution.bank_currents(bank.name)).max(initial=0.0) >= 1.0:
                return False
    return True


BETTER = 100.0
"""How many times better than ngspice's voltages ours must meet Kirchhoff's laws where the two differ."""


def imprecise(case: Case, nudge: object, theirs: np.ndarray) -> bool:
    """Whether ngspice is the one that is off: ours meet the elements' own laws far better in every such sample.

    Its Newton stops when voltages move by less than a tolerance, not when currents add up; among junctions and
    MOSFETs of many decades that can leave 1e-8 V (`experiments/census.py` counts such circuits: 1 in 100).
    """
    circuit, inputs = case
    ours = operating_point(circuit, inputs, nudge).voltages  # type: ignore[arg-type]
    apart = np.abs(ours - theirs).max(axis=1) > TOLERANCE
    own, other = (kirchhoff(circuit, inputs, nudge, v).residual for v in (ours, theirs))  # type: ignore[arg-type]
    return bool(apart.any() and (other >= BETTER * own)[apart].all())


def check(
    case: Case, nudges: dict[str, object] | None = None, engine: str = "ngspice", *, fold_inputs: bool = False
) -> float:
    options: dict[str, Any] = {"engine": engine, "timeout": 20, "fold_inputs": fold_inputs}
    try:
        report = compare(*case, nudges, **options)  # type: ignore[arg-type]
    except EngineError as error:  # our own check of its answer, tested in test_engine.py
        assume("do not trust" not in str(error) and "would carry" not in str(error))
        raise
    if not report.passed:
        for nudge in (nudges or {"free": None}).values():
            found = spice_point(*case, nudge, **options)  # type: ignore[arg-type]
            assume(not imprecise(case, nudge, found.voltages))
    assert report.passed, str(report)
    return report.max_difference


@pytest.mark.parametrize("cell", ALL_CELLS)
@settings(max_examples=15)
@given(data=st.data())
def test_every_device_among_resistors(cell: str, data: st.DataObject) -> None:
    case = resolvable(data.draw(experiments(("resistor", "bridge", cell), most_cells=8)))
    assume(ordinary(case))
    check(case)


@settings(max_examples=60)
@given(experiments())
def test_random_circuits(case: Case) -> None:
    case = resolvable(case)
    assume(ordinary(case))
    check(case)


@settings(max_examples=25)
@given(experiments(), st.data())
def test_nudged_phases(case: Case, data: st.DataObject) -> None:
    circuit, inputs = case = resolvable(case)
    shape = (len(inputs), len(circuit.output_pairs))
    values = np.random.default_rng(data.draw(st.integers(0, 1000))).uniform(-1, 1, shape)
    beta = data.draw(decades(1e-9, 1e-4))
    nudges = {
        "attracted": ConductanceNudge(beta, values),
        "repelled": ConductanceNudge(-1e-9, values),
        "pushed": CurrentNudge(beta * values),
    }
    assume(ordinary(case, nudges))
    check(case, nudges)


def diode_ladder(values: dict[str, np.ndarray], conductance: float) -> Circuit:
    """Each diode to ground from its own node, all nodes fed from one input."""
    size = len(values["emission"])
    nodes = np.arange(2, 2 + size)
    feed = Bank(
        "feed",
        Resistor,
        np.stack([np.ones_like(nodes), nodes], axis=1),
        {"conductance": np.full(size, conductance)},
        [f"r{k}" for k in range(size)],
    )
    diodes = Bank("diodes", Diode, np.stack([nodes, 0 * nodes], axis=1), values, [f"d{k}" for k in range(size)])
    return Circuit(("0", "x", *(f"n{k}" for k in range(size))), (feed, diodes), (), np.array([1]))


@settings(max_examples=40)
@given(st.integers(0, 10**6), decades(1e-9, 1e-2))
def test_diodes_over_their_whole_range(seed: int, conductance: float) -> None:
    rng = np.random.default_rng(seed)
    size = 30
    least = LEAST_SERIES * (60.0 / 3.0) * (1e-7 / conductance)  # the same rounding, at 60 V
    series = 10.0 ** rng.uniform(max(-1.0, np.log10(least)), 6, size)
    values = {
        "saturation_current": 10.0 ** rng.uniform(-18, -6, size),
        "emission": rng.uniform(0.1, 2.0, size),
        "series_resistance": np.where(rng.random(size) < 0.5, 0.0, series),
        "gmin": np.where(rng.random(size) < 0.5, 1e-15, 10.0 ** rng.uniform(-15, -8, size)),
        "temperature": rng.uniform(200.0, 420.0, size),
    }
    inputs = np.array([[-60.0], [-2.0], [-0.1], [0.0], [0.02], [0.5], [2.0], [12.0]])
    check((diode_ladder(values, conductance), inputs))


@settings(max_examples=5)
@given(experiments())
def test_pyspice_agrees_as_well(case: Case) -> None:
    pytest.importorskip("PySpice")
    circuit, inputs = case = resolvable(case)
    targets = np.zeros((len(inputs), len(circuit.output_pairs)))
    check(case, {"free": None, "nudged": ConductanceNudge(1e-6, targets)}, engine="pyspice")


def test_the_report_says_where_and_by_how_much() -> None:
    values = {k: np.full(2, v) for k, v in Diode().values.items()}
    report = compare(diode_ladder(values, 1e-3), [[0.5], [1.0]])
    assert report.passed
    assert report.samples == 2
    assert report.engine.startswith("ngspice ")
    assert report.phases[0].spice_residual < 1e-15
    assert report.tolerance == TOLERANCE
    text = json.loads(json.dumps(report.to_dict()))
    assert text["passed"] is True
    assert text["phases"][0]["phase"] == "free"
    assert "agree" in str(report)
    assert " V at node " in str(report)
    assert 0.0 < report.max_difference < TOLERANCE
    strict = compare(diode_ladder(values, 1e-3), [[0.5], [1.0]], tolerance=0.5 * report.max_difference)
    assert not strict.passed
    assert "DISAGREE" in str(strict)
