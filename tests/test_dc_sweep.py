"""Sweeps of inputs and parameters against hand calculation and against single operating points."""

from __future__ import annotations

import sys
from typing import Any

import networkx as nx
import numpy as np
import pytest

from analogep.circuit import Circuit
from analogep.constants import thermal_voltage
from analogep.devices import Device, Diode, Resistor, VoltageSource
from analogep.errors import ConvergenceError, InputError
from analogep.networks import deep_resistive
from analogep.solve import dc_sweep, operating_point

MODULE = sys.modules["analogep.solve.analyses.dc_sweep"]  # behind the function of the same name

TOLERANCE = 1e-9  # [V], between routes to one operating point


def circuit_of(*edges: tuple[str, str, str, Device], inputs: tuple[str, ...] = ()) -> Circuit:
    graph = nx.MultiDiGraph()
    for name, a, b, device in edges:
        graph.add_edge(a, b, device=device, name=name)
    return Circuit.from_graph(graph, inputs=list(inputs), outputs=["a"])


R1, R2 = Resistor(conductance=1e-3), Resistor(conductance=3e-3)
DIVIDER = circuit_of(("R1", "x", "a", R1), ("R2", "a", "y", R2), inputs=("x", "y"))
SOURCED = circuit_of(("V1", "p", "0", VoltageSource(voltage=1.0)), ("R1", "p", "a", R1), ("R2", "a", "0", R2))
CLAMP = circuit_of(("R1", "x", "a", R1), ("D1", "a", "0", Diode()), inputs=("x",))
VALUES = np.linspace(-2.0, 2.0, 9)


def test_input_of_a_divider_by_hand() -> None:
    inputs = np.array([[9.0, 0.0], [9.0, 2.0]])
    found = dc_sweep(DIVIDER, "x", VALUES, inputs)
    assert found.voltages.shape == (9, 2, len(DIVIDER.nodes))
    np.testing.assert_allclose(
        found.voltage("a"), (VALUES[:, None] + 3.0 * inputs[:, 1]) / 4.0, rtol=0, atol=TOLERANCE
    )
    np.testing.assert_array_equal(found.outputs[:, :, 0], found.voltage("a"))
    np.testing.assert_array_equal(found.values, VALUES)
    partly = dc_sweep(DIVIDER, "x", VALUES, {"y": [0.0, 2.0]})
    np.testing.assert_array_equal(partly.voltages, found.voltages)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("V1.voltage", lambda v: v / 4.0),
        ("R1.conductance", lambda g: g / (g + 3e-3)),
    ],
)
def test_parameter_of_a_divider_by_hand(name: str, expected: Any) -> None:
    values = np.linspace(1e-4, 5e-3, 7)
    found = dc_sweep(SOURCED, name, values)
    np.testing.assert_allclose(found.voltage("a")[:, 0], expected(values), rtol=0, atol=TOLERANCE)


def test_bank_sets_all_its_elements() -> None:
    bank = next(b.name for b in SOURCED.banks if b.device is Resistor)
    found = dc_sweep(SOURCED, f"{bank}.conductance", [1e-5, 1e-3])
    np.testing.assert_allclose(found.voltage("a")[:, 0], 0.5, rtol=0, atol=TOLERANCE)


def test_diode_curve_and_its_current() -> None:
    found = dc_sweep(CLAMP, "x", VALUES)
    alone = np.array([operating_point(CLAMP, [v]).voltage("a")[0] for v in VALUES])
    np.testing.assert_allclose(found.voltage("a")[:, 0], alone, rtol=0, atol=TOLERANCE)
    bank = next(b.name for b in CLAMP.banks if b.device is Diode)
    through_resistor = 1e-3 * (VALUES - found.voltage("a")[:, 0])
    np.testing.assert_allclose(found.bank_currents(bank)[:, 0, 0], through_resistor, rtol=0, atol=1e-3 * TOLERANCE)
    assert all(s.converged.all() for s in found.solutions)


def test_temperature_of_all_diodes() -> None:
    bank = next(b for b in CLAMP.banks if b.device is Diode)
    kelvin = np.array([280.0, 300.0, 320.0])
    found = dc_sweep(CLAMP, f"{bank.name}.temperature", kelvin, [1.0]).voltage("a")[:, 0]
    # The saturation current of this law does not depend on temperature: v = nV_T ln(1 + i/Is), gmin aside.
    through = 1e-3 * (1.0 - found) - bank.values["gmin"][0] * found
    by_hand = [thermal_voltage(t) * np.log1p(i / 1e-14) for t, i in zip(kelvin, through, strict=True)]
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("method", ["auto", "newton"])
def test_crossbar_element_of_a_network(method: Any) -> None:
    circuit = deep_resistive([3, 4, 2], rng=np.random.default_rng(0))
    inputs = np.random.default_rng(1).normal(size=(2, len(circuit.inputs)))
    crossbar = circuit.crossbars[0]
    name = f"{crossbar.element_name(1, 2)}.conductance"
    values = np.array([1e-6, 1e-5])
    found = dc_sweep(circuit, name, values, inputs, method)
    for value, voltages in zip(values, found.voltages, strict=True):
        g = crossbar.conductance.copy()
        g[1, 2] = value
        changed = circuit.with_parameters({f"{crossbar.name}.conductance": g})
        np.testing.assert_allclose(voltages, operating_point(changed, inputs).voltages, rtol=0, atol=TOLERANCE)
    swept = dc_sweep(circuit, circuit.inputs[0], [-1.0, 1.0], inputs, method)
    assert swept.outputs.shape == (2, 2, len(circuit.output_pairs))


def test_each_point_starts_from_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[Any] = []

    def only_single_points(circuit: Circuit, inputs: Any, nudge: Any, *, method: Any, v0: Any = None) -> Any:
        if len(inputs) > 1:
            raise ConvergenceError("a batch that does not converge")
        starts.append(v0)
        return operating_point(circuit, inputs, nudge, method=method, v0=v0)

    whole = dc_sweep(CLAMP, "x", VALUES)
    monkeypatch.setattr(MODULE, "operating_point", only_single_points)
    found = dc_sweep(CLAMP, "x", VALUES)
    np.testing.assert_allclose(found.voltages, whole.voltages, rtol=0, atol=TOLERANCE)
    assert starts[0] is None
    for before, start in zip(found.solutions[:-1], starts[1:], strict=True):
        assert start is before


def test_failure_names_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise ConvergenceError("no operating point found")

    monkeypatch.setattr(MODULE, "operating_point", fails)
    with pytest.raises(ConvergenceError, match=r"V1\.voltage at 2"):
        dc_sweep(SOURCED, "V1.voltage", [2.0])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("nowhere", [1.0], "nothing called 'nowhere'"),
        ("V9.voltage", [1.0], "nothing called 'V9.voltage' to sweep; give an input node"),
        ("V1.current", [1.0], "V1 has no parameter 'current'; it has voltage"),
        ("R1.conductance", [1e-3, -1.0], "R1: conductance = -1"),
        ("V1.voltage", [], "at least one value"),
        ("V1.voltage", [[1.0]], "shape"),
        ("V1.voltage", [np.nan], "finite"),
        ("V1.voltage", ["much"], "not an array of numbers"),
    ],
)
def test_refusals_name_the_element_and_the_remedy(name: str, values: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dc_sweep(SOURCED, name, values)


def test_inputs_that_are_missing_are_refused() -> None:
    with pytest.raises(InputError, match="missing"):
        dc_sweep(DIVIDER, "x", [1.0], {})
    with pytest.raises(InputError, match="shape"):
        dc_sweep(DIVIDER, "x", [1.0])
