"""Norton equivalents of the inputs' resistors: the same voltages, from far less text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from strategies import experiments
from test_parity import Case, check, ordinary, resolvable

from analogep.circuit import Bank, Circuit, Crossbar
from analogep.devices import Diode, Resistor
from analogep.errors import EngineError, InputError, NetlistError
from analogep.networks import deep_resistive
from analogep.solve import ConductanceNudge, operating_point
from analogep.spice import compare, from_netlist, to_netlist
from analogep.spice import operating_point as spice_operating_point
from analogep.spice.engines.ngspice import TIGHT, run_ngspice
from analogep.spice.writing.folding import fold

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits

INPUTS = np.array([[1.0, -0.7, 0.3], [0.0, 0.0, 0.0], [-2.0, 0.9, 1.1]])


def mixed() -> Circuit:
    """Inputs among rows, among columns and at both ends; a diode at one, ground and each other at another."""
    nodes = ("0", "x1", "x2", "x3", "a", "b", "c")
    rng = np.random.default_rng(5)
    crossbars = (
        Crossbar("W", np.array([1, 2, 4]), np.array([5, 3, 6]), rng.uniform(1e-5, 1e-3, (3, 3))),
        Crossbar("U", np.array([1, 2]), np.array([4, 5]), np.array([[1e-4, 0.0], [2e-4, 3e-4]])),
        Crossbar("Z", np.array([4, 5]), np.array([0, 6]), rng.uniform(1e-5, 1e-3, (2, 2))),
    )
    ends = np.array([[1, 4], [5, 3], [2, 0], [1, 2], [4, 5], [6, 0], [1, 4]])
    g = {"conductance": rng.uniform(1e-5, 1e-3, len(ends))}
    resistors = Bank("r", Resistor, ends, g, tuple(f"r{k}" for k in range(len(ends))))
    diode = {k: np.full(2, v) for k, v in Diode().values.items()}
    diodes = Bank("d", Diode, np.array([[1, 6], [5, 0]]), diode, ("d1", "d2"))
    return Circuit(nodes, (resistors, diodes), crossbars, np.array([3, 1, 2]), np.array([[6, 0]]))


def test_what_is_folded_is_gone_and_what_is_not_stays() -> None:
    folding = fold(mixed())
    kept = folding.kept
    assert [c.name for c in kept.crossbars] == ["W", "Z"]
    assert kept.crossbars[0].conductance.shape == (1, 2)
    assert kept.banks[0].names == ("r4", "r5")
    assert kept.banks[1].size == 2
    assert [kept.nodes[n] for n in folding.nodes] == ["a", "b", "c"]
    text = to_netlist(mixed(), INPUTS[0], fold_inputs=True)
    assert "*@" not in text
    assert "folded into Norton equivalents" in text
    for name in ("Rfold_a a 0 ", "Ifold_a 0 a ", "Vx1 x1 0 ", "Dd1 x1 c "):
        assert f"\n{name}" in text


def test_the_equivalents_are_those_of_norton() -> None:
    nodes = ("0", "x", "y", "a")
    g = {"conductance": np.array([1e-3, 4e-3])}
    bank = Bank("r", Resistor, np.array([[1, 3], [3, 2]]), g, ("r1", "r2"))
    folded = fold(Circuit(nodes, (bank,), (), np.array([1, 2]))).at(np.array([2.0, -1.0]))
    assert folded.banks[1].values["conductance"] == pytest.approx([5e-3])
    assert folded.banks[2].values["amplitude"] == pytest.approx([-2e-3])


def test_a_circuit_without_resistors_at_inputs_stays_as_it_is() -> None:
    bank = Bank("d", Diode, np.array([[1, 0]]), {k: np.array([v]) for k, v in Diode().values.items()}, ("d1",))
    circuit = Circuit(("0", "x"), (bank,), (), np.array([1]))
    assert fold(circuit).at(np.array([1.0])) == circuit


def test_the_folded_text_reads_as_a_plain_circuit_of_the_same_voltages() -> None:
    circuit = mixed()
    plain = from_netlist(to_netlist(circuit, INPUTS[0], fold_inputs=True))
    found, wanted = operating_point(plain), operating_point(circuit, INPUTS[:1])
    for node in circuit.nodes[1:]:
        np.testing.assert_allclose(found.voltage(node), wanted.voltage(node), rtol=0, atol=1e-9)


def test_names_of_the_equivalents_that_exist_already() -> None:
    g = {"conductance": np.full(2, 1e-3)}
    bank = Bank("r", Resistor, np.array([[1, 2], [2, 0]]), g, ("Rq", "Rfold_a"))
    with pytest.raises(NetlistError, match="rfold_a"):
        to_netlist(Circuit(("0", "x", "a"), (bank,), (), np.array([1])), fold_inputs=True)


def test_an_empty_batch_is_refused_either_way() -> None:
    for folded in (False, True):
        with pytest.raises(InputError, match="no sample"):
            spice_operating_point(mixed(), np.zeros((0, 3)), fold_inputs=folded)


@pytest.mark.ngspice
@pytest.mark.parametrize("engine", ["ngspice", "pyspice"])
def test_a_batch_in_every_phase(engine: str) -> None:
    if engine == "pyspice":
        pytest.importorskip("PySpice")
    circuit = mixed()
    nudges = {"free": None, "nudged": ConductanceNudge(1e-5, np.array([[0.5], [0.0], [-0.5]]))}
    report = compare(circuit, INPUTS, nudges, engine=engine, fold_inputs=True)  # type: ignore[arg-type]
    assert report.passed, str(report)


@pytest.mark.ngspice
@settings(max_examples=60)
@given(experiments())
def test_random_circuits(case: Case) -> None:
    case = resolvable(case)
    assume(ordinary(case))
    check(case, fold_inputs=True)


@pytest.mark.ngspice
def test_the_check_is_against_the_circuit_that_was_not_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    from analogep.spice.engines import operating_point as engine

    wrong = fold(mixed().with_parameters({"r.conductance": np.full(7, 1e-3)}))
    monkeypatch.setattr(engine, "fold", lambda circuit: wrong)
    with pytest.raises(EngineError, match="current law"):
        spice_operating_point(mixed(), INPUTS, fold_inputs=True)


@pytest.mark.ngspice
def test_a_network_for_digits() -> None:
    rng = np.random.default_rng(0)
    circuit = deep_resistive([784, 128, 10], amplifier=(4.0, 0.25), rng=rng)
    inputs = rng.uniform(-1, 1, (3, len(circuit.inputs)))
    text = to_netlist(circuit, inputs, fold_inputs=True)
    assert len(text) < len(to_netlist(circuit, inputs)) / 10
    (point,) = run_ngspice(text, [{}], TIGHT, 60.0).points
    assert point is not None
    found = [point[name.lower()] for name in circuit.nodes[1:]]
    np.testing.assert_allclose(found, operating_point(circuit, inputs).voltages[0, 1:], rtol=0, atol=1e-9)
    assert compare(circuit, inputs, fold_inputs=True).passed
