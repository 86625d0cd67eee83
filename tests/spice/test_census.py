"""A small census: random circuits of every device, natively and by ngspice; and what censuses have taught."""

from __future__ import annotations

from types import ModuleType

import networkx as nx
import numpy as np
import pytest
from scripts import script

from analogep.circuit import Circuit
from analogep.devices import REGISTRY, CurrentSource, Device, Resistor, SinhResistor, VoltageSource
from analogep.errors import ConvergenceError
from analogep.solve import operating_point as native
from analogep.spice import operating_point
from analogep.spice.engines.kirchhoff import check
from analogep.spice.engines.ngspice import ngspice_version

pytestmark = pytest.mark.filterwarnings("ignore::analogep.errors.UnstableWarning")  # random active circuits
COUNT, SEED, MOST = 40, 11, 30


@pytest.fixture(scope="module")
def census() -> ModuleType:
    return script("census.py")


def circuits(census: ModuleType) -> list[Circuit]:
    kinds = list(census.CELLS)
    return [census.sample(np.random.default_rng([SEED, k]), MOST, kinds) for k in range(COUNT)]


def build(*edges: tuple[str, str, Device]) -> Circuit:
    g = nx.MultiDiGraph()
    for a, b, device in edges:
        g.add_edge(a, b, device=device)
    return Circuit.from_graph(g)


def test_the_census_has_every_kind_of_device(census: ModuleType) -> None:
    assert set(REGISTRY) <= set(census.CELLS)
    used = {bank.device.kind for circuit in circuits(census) for bank in circuit.banks}
    assert used == set(census.CELLS)


def test_every_native_answer_meets_kirchhoffs_laws(census: ModuleType) -> None:
    """Summed from the devices' own laws, not from the solver's matrix; branch currents are fitted afresh."""
    solved = 0
    for number, circuit in enumerate(circuits(census)):
        try:
            solution = native(circuit, method="newton")
        except ConvergenceError:
            continue
        found = check(circuit, np.zeros((1, 0)), None, solution.voltages)
        assert found.excess[0] <= 1.0, (number, found.worst)
        solved += 1
    assert solved >= 0.85 * COUNT


@pytest.mark.ngspice
def test_native_solves_what_ngspice_solves_and_agrees(census: ModuleType, ngspice: str) -> None:
    classes = [census.classify(circuit) for circuit in circuits(census)]
    bad = {"native failed, ngspice solved", "native wrong"}
    assert [(k, what) for k, what in enumerate(classes) if what[0] in bad] == []
    assert sum(kind == "agree" for kind, _ in classes) >= 0.8 * COUNT


# --- reduced from larger censuses ----------------------------------------------------------------------------


def weakly_held() -> tuple[Circuit, dict[str, float]]:
    """1 nA into a, 7 Ω to b, 3 Ω to c, 10 GΩ to ground, and the voltages by Ohm's law.

    The whole current flows through all three resistors: v(c) = 1 nA · 10 GΩ = 10 V, v(b) = v(c) + 3 nV,
    v(a) = v(b) + 7 nV.
    """
    circuit = build(
        ("0", "a", CurrentSource(amplitude=1e-9)),
        ("a", "b", Resistor.from_resistance(7.0)),
        ("b", "c", Resistor.from_resistance(3.0)),
        ("c", "0", Resistor.from_resistance(1e10)),
    )
    return circuit, {"a": 10.00000001, "b": 10.000000003, "c": 10.0}


def test_a_weakly_held_group_of_nodes_is_exact() -> None:
    circuit, expected = weakly_held()
    solution = native(circuit, method="newton")
    for node, volts in expected.items():
        assert solution.voltage(node) == pytest.approx([volts], rel=0, abs=1e-12)


@pytest.mark.ngspice
def test_ngspice_is_wrong_by_a_microvolt_on_a_weakly_held_group(ngspice: str) -> None:
    """Its matrix holds 1/3 S + 0.1 nS as one sum, whose last digits are gone: 1e-16/3 of 1e-10 is 3e-7."""
    circuit, expected = weakly_held()
    solution = operating_point(circuit)
    error = max(abs(float(solution.voltage(node)[0]) - volts) for node, volts in expected.items())
    assert error < 1e-5
    if ngspice_version(ngspice) == "39":
        assert error > 1e-7


def test_a_junction_between_sources_is_named_not_solved() -> None:
    """5 V across a sinh law of 50 mV, both nodes afloat: 1e39 A, in which the 1 µA into the pair is lost."""
    circuit = build(
        ("p", "n", VoltageSource(voltage=5.0)),
        ("p", "n", SinhResistor(conductance=1e-6, v0=0.05)),
        ("n", "0", Resistor.from_resistance(1e3)),
        ("0", "n", CurrentSource(amplitude=1e-6)),
    )
    with pytest.raises(ConvergenceError, match=r"sinh_resistor\w* would carry .* resistor in series"):
        native(circuit, method="newton")
