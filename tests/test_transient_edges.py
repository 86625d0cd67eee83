"""Edges of transients: batches, jumps at the end, states that are kept, ideal diodes side by side."""

from __future__ import annotations

import numpy as np
import pytest
from test_transient import circuit_of

from analogep.circuit import Circuit
from analogep.devices import (
    Capacitor,
    CurrentSource,
    Device,
    IdealDiode,
    Inductor,
    PiecewiseLinear,
    Pulse,
    Resistor,
    Switch,
    VoltageSource,
    behavioural,
)
from analogep.errors import ConvergenceError, InputError
from analogep.solve import TransientOptions, langevin, operating_point, transient
from analogep.solve.time.cutsets import cutset
from analogep.solve.time.integrators import METHODS

R, C = 1e3, 1e-9


def switched() -> Circuit:
    """A resistor to ``a`` and a switch from there to ground with hysteresis from 0.3 V to 0.7 V."""
    switch = Switch(threshold=0.5, hysteresis=0.2, on_resistance=1.0, off_resistance=1e9, control=("c", "0"))
    return circuit_of(
        ("x", "a", Resistor(conductance=1 / R)),
        ("a", "0", switch),
        ("c", "0", Resistor(conductance=1 / R)),
        inputs=("x", "c"),
    )


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_a_slope_through_a_capacitor_in_batches(method: str, batch: int) -> None:
    """A high-pass under a ramp s t has R C s (1 − exp(−t/RC)) by hand, whatever the method and the batch."""
    ramp = PiecewiseLinear((0.0, 1e-5), (0.0, 1.0))
    circuit = circuit_of(
        ("x", "a", Capacitor(value=C)),
        ("a", "0", Resistor(conductance=1 / R)),
        ("y", "b", Resistor(conductance=1 / R)),
        ("b", "0", Capacitor(value=C)),
        inputs=("x", "y"),
    )
    options = TransientOptions(method=method, absolute=1e-8, relative=1e-6)
    found = transient(circuit, {"x": ramp, "y": np.arange(float(batch))}, times=[1e-6, 5e-6], options=options)
    exact = R * C * 1e5 * (1.0 - np.exp(-found.times / (R * C)))
    np.testing.assert_allclose(found.voltage("a"), np.repeat(exact[:, None], batch, axis=1), atol=5e-6)


def test_a_jump_at_the_very_end_has_its_point_just_after() -> None:
    circuit = circuit_of(("x", "a", Resistor(conductance=1 / R)), ("a", "0", Resistor(conductance=1 / R)))
    jump = {"x": Pulse(0.0, 1.0, delay=1e-6)}
    options = TransientOptions(node_capacitance=0.0)
    asked = transient(circuit, jump, times=[0.0, 1e-6], options=options)
    np.testing.assert_allclose(asked.voltage("a")[:, 0], [0.0, 0.5], atol=1e-12)
    every = transient(circuit, jump, until=1e-6, options=options)
    assert every.times[-2] == every.times[-1] == 1e-6
    np.testing.assert_allclose(every.voltage("a")[-2:, 0], [0.0, 0.5], atol=1e-12)


def test_a_solution_keeps_the_positions_of_switches_and_hands_them_on() -> None:
    """At 0.5 V, within the hysteresis, a switch is what it was before; its current tells."""
    circuit = switched()
    control = PiecewiseLinear((0.0, 1e-6, 2e-6), (0.0, 1.0, 0.5))
    found = transient(circuit, {"x": [1.0, 2.0], "c": control}, until=3e-6).solution
    bank = next(b.name for b in circuit.banks if b.device is Switch)
    np.testing.assert_allclose(found.bank_currents(bank)[:, 0], np.array([1.0, 2.0]) / (R + 1.0), rtol=1e-4)
    later = transient(circuit, {"x": [1.0, 2.0], "c": 0.5}, until=1e-6, v0=found)
    np.testing.assert_allclose(later.voltage("a")[-1], np.array([1.0, 2.0]) / (R + 1.0), rtol=1e-4)


def test_ideal_diodes_side_by_side_with_a_batch() -> None:
    """One sample conducts through both, the other through none."""
    circuit = circuit_of(
        ("x", "a", Resistor(conductance=1 / R)),
        ("a", "0", IdealDiode()),
        ("a", "0", IdealDiode()),
        ("a", "b", Resistor(conductance=1 / R)),
        ("b", "0", Resistor(conductance=1e-4)),
        output="b",
    )
    found = transient(circuit, [[1.0], [-1.0]], options=TransientOptions(max_steps=500)).solution
    np.testing.assert_allclose(found.voltage("a"), [0.0, -11.0 / 12.0], atol=1e-6)
    np.testing.assert_allclose(found.voltage("b"), [0.0, -10.0 / 12.0], atol=1e-6)


def test_starting_voltages_may_be_a_list() -> None:
    circuit = circuit_of(("x", "a", Resistor(conductance=1 / R)), ("a", "0", Capacitor(value=C)))
    found = transient(circuit, [0.0], until=R * C, v0=[[0.0, 0.0, 1.0]], times=[0.0, R * C])  # type: ignore[arg-type]
    np.testing.assert_allclose(found.voltage("a")[:, 0], [1.0, np.exp(-1.0)], atol=1e-3)


def test_too_many_pulses_are_an_error_that_names_the_remedy() -> None:
    with pytest.raises(InputError, match=r"period 1e-13 s repeats 1e.13 times until 1 s.*longer period"):
        Pulse(0.0, 1.0, period=1e-13).corners(1.0)


def test_noise_is_refused_where_a_linearised_step_cannot_follow() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match=r"switch1 .* switches"):
        langevin(switched(), [1.0, 0.0], 1e-6, 1e-7, rng)
    driven = circuit_of(
        ("s", "a", Resistor(conductance=1 / R)),
        ("a", "0", Capacitor(value=C)),
        ("s", "0", VoltageSource(voltage=0.0, waveform=Pulse(0.0, 1.0))),
        inputs=(),
    )
    with pytest.raises(InputError, match=r"voltage_source1 follows a waveform.*remove the waveform"):
        langevin(driven, None, 1e-6, 1e-7, rng)


@pytest.mark.parametrize("expression", ["log(0-1)", "1/(v(p,n)-v(p,n))"])
def test_a_law_without_a_value_is_named(expression: str) -> None:
    circuit = circuit_of(("x", "a", Resistor(conductance=1 / R)), ("a", "0", behavioural(expression)))
    with pytest.raises(ConvergenceError, match="The law of behavioural_current1 has no finite value"):
        operating_point(circuit, [1.0])


@pytest.mark.parametrize(
    ("edge", "inputs"),
    [
        (("x", "0", behavioural("log(v(p,n)-5)")), [1.0]),
        (("0", "x", behavioural("1/v(x)", control=("x",))), [0.0]),
        (("x", "0", behavioural("sqrt(v(a)-5)", control=("a",))), [1.0]),
        (("s", "0", behavioural("log(v(p,n)-5)")), [1.0]),
        (("s", "a", behavioural("log(0-1-v(p,n)*v(p,n))")), [1.0]),
    ],
    ids=["an input", "controlled by an input", "controlled by a node", "a source", "a source and a node"],
)
def test_a_law_without_a_value_is_refused_by_every_method(
    edge: tuple[str, str, Device], inputs: list[float]
) -> None:
    """Also between nodes of known voltage, where no equation has its current."""
    source = ("s", "0", VoltageSource(voltage=1.0))
    ends = (("x", "a", Resistor(conductance=1 / R)), ("a", "0", Resistor(conductance=1 / R)), source)
    circuit = circuit_of(*ends, edge)
    named = "The law of behavioural_current1 has no finite value"
    with pytest.raises(ConvergenceError, match=named):
        operating_point(circuit, inputs)
    with pytest.raises(ConvergenceError, match=named):
        operating_point(circuit, inputs, method="transient")
    with pytest.raises(ConvergenceError, match=named):
        transient(circuit, inputs, until=1e-9)


STEP = CurrentSource(amplitude=0.0, waveform=Pulse(0.0, 1e-3, delay=1e-6))
COIL = Inductor(inductance=1e-3)


@pytest.mark.parametrize(
    ("others", "named"),
    [
        ([("0", "m", STEP), ("m", "a", COIL)], "node m, where inductor1 ends"),
        ([("0", "m", STEP), ("m", "n", COIL), ("n", "a", COIL)], "node m, where inductor1 ends"),
        ([("0", "m", STEP), ("m", "n", Resistor(conductance=1e-3)), ("a", "n", COIL)], "node n, where inductor1"),
    ],
    ids=["with a source", "two with a source", "through a resistor"],
)
@pytest.mark.parametrize(
    ("capacitance", "why"), [(0.0, "step collapsed"), (1e-15, "did not end within 400 steps")]
)
def test_an_inductor_whose_current_is_forced_is_named(
    others: list[tuple[str, str, Device]], named: str, capacitance: float, why: str
) -> None:
    """The source's jump takes an infinite voltage; with a resistor in parallel the voltage is I R at first."""
    held = ("a", "0", Resistor(conductance=1 / R))
    circuit = circuit_of(("x", "a", Resistor(conductance=1 / R)), held, *others)
    options = TransientOptions(node_capacitance=capacitance, max_steps=400)
    with pytest.raises(ConvergenceError, match=rf"{why}.*{named}.*put a resistor in parallel with inductor1"):
        transient(circuit, [0.0], until=1e-4, options=options)
    bridges = [(p, q, Resistor(conductance=1 / R)) for p, q, device in others if device is COIL]
    damped = circuit_of(("x", "a", Resistor(conductance=1 / R)), held, *others, *bridges)
    options = TransientOptions(node_capacitance=0.0)
    found = transient(damped, [0.0], until=1e-4, options=options, times=[1e-6, 1e-4])
    drop = found.voltage(others[0][1])[:, 0] - found.voltage("a")[:, 0]
    series = sum(device is not COIL for _, _, device in others[1:])
    np.testing.assert_allclose(drop, [(len(bridges) + series) * 1e-3 * R, series * 1e-3 * R], atol=1e-3)


@pytest.mark.parametrize(
    "holder",
    [Resistor(conductance=1e-9), Capacitor(value=1e-15), VoltageSource(voltage=0.0)],
    ids=lambda d: d.kind,
)
def test_an_inductor_at_a_node_that_something_holds_is_not_named(holder: Device) -> None:
    edges = (("x", "a", Resistor(conductance=1 / R)), ("a", "m", COIL), ("0", "m", STEP))
    assert "inductor1" in cutset(circuit_of(*edges))
    assert cutset(circuit_of(*edges, ("m", "0", holder))) == ""
    assert cutset(circuit_of(*edges, inputs=("x", "m"))) == ""
