"""First guesses from a native solution: written to the last bit, skipped by the reader, used by ngspice."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from strategies import experiments
from test_parity import Case, imprecise, ordinary, resolvable

from analogep.circuit import Bank, Circuit
from analogep.devices import VCVS, Diode, Resistor
from analogep.errors import InputError
from analogep.networks import deep_resistive
from analogep.solve import Solution, operating_point
from analogep.spice import read_netlist, to_netlist
from analogep.spice.dialects import DIALECTS
from analogep.spice.engines.ngspice import RELAXED, TIGHT, run_ngspice

GUESS = re.compile(r"^\.nodeset v\((\S+)\)=(\S+)$", re.M)


def network() -> tuple[Circuit, np.ndarray]:
    rng = np.random.default_rng(0)
    circuit = deep_resistive([5, 4, 2], amplifier=(4.0, 0.25), rng=rng)
    return circuit, rng.uniform(-1, 1, (3, len(circuit.inputs)))


def solved(text: str, circuit: Circuit) -> tuple[np.ndarray, float]:
    """Voltages (N,) that ngspice finds, and what it was asked to know them to [V].

    Relaxed where an ideal diode's rounding defeats tight tolerances: its last step may then be 1e-6 of a voltage.
    """
    outcome, known = run_ngspice(text, [{}], TIGHT, 20.0), 0.0
    if outcome.points[0] is None:
        outcome, known = run_ngspice(text, [{}], RELAXED, 20.0), 1e-6
    point = outcome.points[0]
    assert point is not None, outcome.log
    assert "nodeset" not in outcome.log.lower()
    found = np.array([0.0, *(point[name.lower()] for name in circuit.nodes[1:])])
    return found, 1e-9 + known * float(np.abs(found).max())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_node_but_ground_and_inputs_has_its_voltage(dialect: str) -> None:
    circuit, inputs = network()
    solution = operating_point(circuit, inputs)
    text = to_netlist(circuit, inputs, dialect=dialect, sample=2, nodeset=solution)
    guesses = {name: float(value) for name, value in GUESS.findall(text)}
    assert set(guesses) == set(circuit.nodes[1:]) - set(circuit.inputs)
    assert all(value == solution.voltage(name)[2] for name, value in guesses.items())
    assert ".nodeset" not in to_netlist(circuit, inputs, dialect=dialect)


def test_the_reader_skips_them() -> None:
    circuit, inputs = network()
    read = read_netlist(to_netlist(circuit, inputs, nodeset=operating_point(circuit, inputs)))
    assert read.circuit == circuit
    np.testing.assert_array_equal(read.inputs, inputs[:1])


def test_solutions_that_do_not_fit() -> None:
    circuit, inputs = network()
    solution = operating_point(circuit, inputs[:1])
    other = Bank("r", Resistor, np.array([[1, 0]]), {"conductance": np.full(1, 1e-3)}, ("r1",))
    with pytest.raises(InputError, match="other nodes"):
        to_netlist(Circuit(("0", "x"), (other,), (), np.array([1])), [1.0], nodeset=solution)
    with pytest.raises(InputError, match="nodeset voltages have 1"):
        to_netlist(circuit, inputs, sample=1, nodeset=solution)
    with pytest.raises(InputError, match="nan V"):
        to_netlist(circuit, inputs, nodeset=replace(solution, voltages=solution.voltages * np.nan))


@pytest.mark.ngspice
@settings(max_examples=40)
@given(experiments())
def test_ngspice_finds_the_same_voltages_with_them(case: Case) -> None:
    circuit, inputs = case = resolvable(case)
    assume(ordinary(case))
    solution = operating_point(circuit, inputs)
    for fold_inputs in (False, True):
        text = to_netlist(circuit, inputs, nodeset=solution, fold_inputs=fold_inputs)
        found, tolerance = solved(text, circuit)
        assume(not imprecise((circuit, inputs[:1]), None, found[None]))
        np.testing.assert_allclose(found, solution.voltages[0], rtol=0, atol=tolerance)


@pytest.mark.ngspice
def test_they_choose_between_operating_points() -> None:
    """Gain 3 around a resistor and a pair of diodes: latched at either sign."""
    diode = {k: np.full(2, v) for k, v in Diode().values.items()}
    banks = (
        Bank("e", VCVS, np.array([[2, 0, 1, 0]]), {"gain": np.array([3.0])}, ("e1",)),
        Bank("r", Resistor, np.array([[2, 1]]), {"conductance": np.array([1e-3])}, ("r1",)),
        Bank("d", Diode, np.array([[1, 0], [0, 1]]), diode, ("d1", "d2")),
    )
    circuit = Circuit(("0", "a", "b"), banks)
    for sign in (1.0, -1.0):
        guess = Solution(
            circuit,
            np.array([[0.0, 0.6 * sign, 1.8 * sign]]),
            np.ones(1, dtype=bool),
            np.zeros(1),
            np.zeros(1, dtype=np.int64),
            "guess",
            0.0,
            {},
        )
        found, _ = solved(to_netlist(circuit, nodeset=guess), circuit)
        assert 0.5 < sign * found[1] < 0.8
        np.testing.assert_allclose(found[2], 3.0 * found[1], rtol=1e-12)
