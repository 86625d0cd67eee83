"""Network builders: structure, hand-calculated networks, symmetry, seeds, and faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analogep.devices import BidirectionalAmplifier, Diode, IdealDiode
from analogep.errors import CircuitError, InputError
from analogep.networks import crossbar, deep_resistive, positive_part, uniform
from analogep.solve import operating_point

EVERYWHERE = uniform(1e-5, 1e-4)


# --- structure -----------------------------------------------------------------------------------------


def test_plain_network_has_the_promised_names() -> None:
    circuit = deep_resistive([3, 4, 2], bias="lines", initial=EVERYWHERE)
    assert circuit.inputs == ("x0", "x1", "x2")
    assert circuit.outputs == ("y0", "y1")
    assert circuit.nodes == (
        *("0", "x0", "x1", "x2", "bias0", "bias1"),
        *("h1_0", "h1_1", "h1_2", "h1_3", "y0", "y1"),
    )
    assert {k: v.shape for k, v in circuit.parameters.items()} == {
        "W1.conductance": (5, 4),
        "W2.conductance": (6, 2),
    }
    assert set(circuit.parameter_units.values()) == {"S"}
    lines = next(b for b in circuit.banks if b.name == "bias_lines")
    assert lines.values["voltage"].tolist() == [1.0, -1.0]


def test_everything_at_once() -> None:
    circuit = deep_resistive(
        [2, 3, 3, 2],
        hidden="pair",
        diode=IdealDiode(threshold=0.1),
        rails=(-0.5, 0.5),
        amplifier=(4.0, 0.25),
        bias="current",
        paired_outputs=True,
        initial=EVERYWHERE,
    )
    assert circuit.outputs == (("y0p", "y0n"), ("y1p", "y1n"))
    assert {k: v.shape for k, v in circuit.parameters.items()} == {
        "W1.conductance": (2, 3),
        "W2.conductance": (3, 3),
        "W3.conductance": (3, 4),
        "b1.amplitude": (3,),
        "b2.amplitude": (3,),
        "b3.amplitude": (4,),
    }
    banks = {b.name: b for b in circuit.banks}
    for k in (1, 2):
        assert banks[f"dlow{k}"].size == banks[f"dhigh{k}"].size == banks[f"amp{k}"].size == 3
        assert banks[f"amp{k}"].device is BidirectionalAmplifier
    low, high = circuit.node("rail_low"), circuit.node("rail_high")
    assert (banks["dlow1"].pins[:, 0] == low).all()
    assert (banks["dhigh1"].pins[:, 1] == high).all()
    # The second crossbar starts behind the first layer's amplifiers.
    assert [circuit.nodes[n] for n in circuit.crossbars[1].rows] == ["a1_0", "a1_1", "a1_2"]
    assert (banks["b1"].pins[:, 0] == 0).all()


@pytest.mark.parametrize(("size", "low", "high"), [(1, 1, 0), (2, 1, 1), (5, 3, 2)])
def test_split_gives_each_hidden_node_one_diode(size: int, low: int, high: int) -> None:
    circuit = deep_resistive([2, size, 1], hidden="split", initial=EVERYWHERE)
    counts = {b.name: b.size for b in circuit.banks if b.device is Diode}
    assert counts == {k: v for k, v in (("dlow1", low), ("dhigh1", high)) if v}


def test_linear_has_no_diodes_and_no_rails() -> None:
    circuit = deep_resistive([2, 3, 1], hidden="linear", rails=(-0.5, 0.5), bias="none", initial=EVERYWHERE)
    assert circuit.banks == ()
    assert not any("rail" in n for n in circuit.nodes)


def test_one_rail_serves_both_sides_when_they_are_equal() -> None:
    circuit = deep_resistive([2, 2, 1], hidden="pair", rails=(2.5, 2.5), bias="none", initial=EVERYWHERE)
    assert [n for n in circuit.nodes if "rail" in n] == ["rail_low"]


# --- numbers worked out by hand ------------------------------------------------------------------------


@given(rows=st.integers(1, 5), columns=st.integers(1, 5), seed=st.integers(0, 2**16), each=st.booleans())
def test_crossbar_is_a_voltage_divider(rows: int, columns: int, seed: int, each: bool) -> None:
    rng = np.random.default_rng(seed)
    g, x = rng.uniform(0, 1e-3, (rows, columns)), rng.uniform(-2, 2, (3, rows))
    load = rng.uniform(1e-5, 1e-3, columns) if each else 2e-4
    expected = x @ g / (load + g.sum(axis=0))
    circuit = crossbar(g, load)
    assert circuit.inputs == tuple(f"x{r}" for r in range(rows))
    assert circuit.outputs == tuple(f"y{c}" for c in range(columns))
    for method in ("newton", "layered"):
        found = operating_point(circuit, x, method=method).outputs
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-12)


def test_a_chain_worked_out_by_hand() -> None:
    """x = 3 V; 1 mS to h, 2 mS on to y, y unloaded but for a bias line of 1 V through 2 mS.

    h: 1(h - 3) + 2(h - y) + 1(h - 1) = 0 (its bias line has 1 mS), y: 2(y - h) + 2(y - 1) = 0.
    y = (h + 1)/2, so 4h - (h + 1) = 4: h = 5/3 V, y = 4/3 V. The diode keeps h above ground: off.
    """
    weights = {"W1": np.array([[1e-3], [1e-3]]), "W2": np.array([[2e-3], [2e-3]])}
    circuit = deep_resistive([1, 1, 1], bias="lines", bias_voltages=(1.0,), initial=weights, diode=IdealDiode())
    found = operating_point(circuit, [3.0])
    assert found.voltage("h1_0")[0] == pytest.approx(5 / 3, abs=1e-12)
    assert found.outputs[0, 0] == pytest.approx(4 / 3, abs=1e-12)
    # x = -9 V pulls h below ground, where the ideal diode holds it: y = 1/2 V.
    held = operating_point(circuit, [-9.0])
    assert held.voltage("h1_0")[0] == pytest.approx(0.0, abs=1e-12)
    assert held.outputs[0, 0] == pytest.approx(0.5, abs=1e-12)


def test_a_bias_current_flows_into_its_node() -> None:
    weights = {"W1": np.array([[1e-3]])}
    circuit = deep_resistive([1, 1], bias="current", initial=weights)
    biased = circuit.with_parameters({"b1.amplitude": [2e-4]})
    assert operating_point(biased, [1.0]).outputs[0, 0] == pytest.approx(1.0 + 2e-4 / 1e-3, abs=1e-12)


def test_amplifier_hand_calculated() -> None:
    """h sees its own 1 mS and, through A = 4 and B = 1/4, the 2 mS behind: i = B g (A h - y), y floats.

    Without load y = A h and no current flows back: h = x, y = 4 x.
    """
    weights = {"W1": np.array([[1e-3]]), "W2": np.array([[2e-3]])}
    circuit = deep_resistive([1, 1, 1], hidden="linear", amplifier=(4.0, 0.25), bias="none", initial=weights)
    assert operating_point(circuit, [0.3]).outputs[0, 0] == pytest.approx(1.2, abs=1e-12)


# --- symmetry ------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**16), paired=st.booleans(), hidden=st.sampled_from(["pair", "linear"]))
@settings(max_examples=20)
def test_without_bias_and_with_symmetric_clamps_the_network_is_odd(seed: int, paired: bool, hidden: Any) -> None:
    rng = np.random.default_rng(seed)
    circuit = deep_resistive(
        [4, 3, 3, 2],
        hidden=hidden,
        rails=(-0.2, 0.2),
        bias="none",
        paired_outputs=paired,
        initial=EVERYWHERE,
        rng=rng,
    )
    x = rng.uniform(-1, 1, (3, 2))
    doubled = np.concatenate([x, -x], axis=1)
    there, back = operating_point(circuit, doubled).outputs, operating_point(circuit, -doubled).outputs
    np.testing.assert_allclose(there, -back, rtol=0.0, atol=1e-9)


def test_two_different_bias_levels_break_the_symmetry() -> None:
    circuit = deep_resistive([2, 2, 1], hidden="pair", bias_voltages=(1.0, 0.5), initial=EVERYWHERE)
    there, back = (operating_point(circuit, [s, -s]).outputs[0, 0] for s in (1.0, -1.0))
    assert abs(there + back) > 1e-2


# --- seeds ---------------------------------------------------------------------------------------------


def test_the_same_generator_gives_the_same_network() -> None:
    def build(seed: int) -> Any:
        return deep_resistive([8, 12, 8], rng=np.random.default_rng(seed))

    assert build(7) == build(7)
    assert build(7) != build(8)
    assert deep_resistive([8, 12, 8]) == deep_resistive([8, 12, 8])


def test_initial_conductances_follow_their_law() -> None:
    rng = np.random.default_rng(0)
    g = positive_part(1e-4, gain=2.0)(rng, (100, 400))
    limit = 2e-4 / np.sqrt(100)
    assert g.min() == 0.0
    assert g.max() <= limit
    # Half of U(-s, s) is negative; the mean of its positive part is s/4. Four standard errors of 40,000 draws.
    assert np.mean(g == 0.0) == pytest.approx(0.5, abs=4 * 0.5 / 200)
    assert g.mean() == pytest.approx(limit / 4, abs=4 * limit * 0.33 / 200)
    g = uniform(2e-5, 3e-5)(rng, (50, 50))
    assert g.min() >= 2e-5
    assert g.max() <= 3e-5


def test_given_conductances_are_taken_as_they_are() -> None:
    weights = {"W1": np.full((2, 3), 1e-4), "W2": np.full((3, 1), 2e-4)}
    circuit = deep_resistive([2, 3, 1], bias="none", initial=weights)
    for c in circuit.crossbars:
        np.testing.assert_array_equal(c.conductance, weights[c.name])


# --- faults --------------------------------------------------------------------------------------------


def test_all_faults_of_the_options_are_reported_at_once() -> None:
    with pytest.raises(CircuitError) as caught:
        deep_resistive(
            [3],
            hidden="both",  # type: ignore[arg-type]
            bias="line",  # type: ignore[arg-type]
            rails=(1.0, -1.0),
        )
    assert [f.where for f in caught.value.faults] == ["layers", "hidden", "bias", "rails"]


@pytest.mark.parametrize(
    "layers", [[], [3], [3, 0], [3, -1, 2], [3, 2.5], [3.0, 2.0], [float("nan"), 2], ["a", 2]]
)
def test_layers_must_be_counts(layers: Any) -> None:
    with pytest.raises(CircuitError, match="layers"):
        deep_resistive(layers)


@pytest.mark.parametrize("voltages", [(), (1.0, float("nan")), (float("inf"),)])
def test_bias_lines_need_finite_voltages(voltages: Any) -> None:
    with pytest.raises(CircuitError, match="bias_voltages"):
        deep_resistive([2, 1], bias_voltages=voltages)


def test_all_faults_of_given_conductances_are_reported_at_once() -> None:
    with pytest.raises(CircuitError) as caught:
        deep_resistive([2, 3, 1], bias="none", initial={"W1": np.ones((3, 3)), "W7": np.ones((1, 1))})
    assert [f.where for f in caught.value.faults] == ["W1", "W2", "W7"]
    with pytest.raises(CircuitError, match="W1_0_1"):
        deep_resistive([2, 2], bias="none", initial={"W1": np.array([[1e-4, -1e-4], [1e-4, 1e-4]])})


def test_amplifier_faults_name_the_parameter() -> None:
    with pytest.raises(CircuitError, match="voltage_gain"):
        deep_resistive([2, 2, 1], amplifier=(float("nan"), 1.0))


@pytest.mark.parametrize(
    ("g", "load", "word"),
    [
        (np.ones(3), 1e-4, "conductance"),
        (np.zeros((0, 2)), 1e-4, "conductance"),
        (np.ones((2, 2)), [1e-4, 1e-4, 1e-4], "load"),
        (-np.ones((2, 2)), 1e-4, "W1_0_0"),
        (np.ones((2, 2)), -1e-4, "load0"),
        (np.full((2, 2), np.nan), 1e-4, "W1_0_0"),
    ],
)
def test_crossbar_faults(g: Any, load: Any, word: str) -> None:
    with pytest.raises(CircuitError, match=word):
        crossbar(g, load)


def test_initial_faults() -> None:
    for build in (
        lambda: positive_part(0.0),
        lambda: positive_part(1e-4, gain=-1.0),
        lambda: positive_part(float("nan")),
        lambda: uniform(2e-4, 1e-4),
        lambda: uniform(-1e-4, 1e-4),
        lambda: uniform(0.0, float("inf")),
    ):
        with pytest.raises(InputError):
            build()
