"""Waveforms of sources: ngspice's semantics, corners, and how circuits and graphs carry them."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analogep.circuit import Circuit
from analogep.devices import (
    WAVEFORMS,
    Capacitor,
    CurrentSource,
    PiecewiseLinear,
    Pulse,
    Resistor,
    Sine,
    VoltageSource,
    Waveform,
)
from analogep.errors import CircuitError, InputError
from analogep.solve import operating_point

numbers = st.floats(-2.0, 2.0)
times = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.7, 1.0])  # repeated and zero lengths are the hard cases


@st.composite
def polylines(draw: st.DrawFn) -> PiecewiseLinear:
    count = draw(st.integers(1, 6))
    steps = draw(st.lists(times, min_size=count, max_size=count))
    points = np.cumsum(steps)
    keep = [k for k in range(count) if not (k >= 2 and points[k] == points[k - 1] == points[k - 2])]
    return PiecewiseLinear(tuple(points[keep]), tuple(draw(numbers) for _ in keep))


STRATEGIES: dict[str, st.SearchStrategy[Waveform]] = {
    "pulse": st.builds(
        Pulse,
        numbers,
        numbers,
        delay=st.sampled_from([-0.4, 0.0, 0.3]),
        rise=times,
        fall=times,
        width=times | st.just(math.inf),
        period=st.sampled_from([0.3, 0.7, 2.0, math.inf]),
    ),
    "sin": st.builds(
        Sine,
        numbers,
        numbers,
        st.floats(0.5, 3.0),
        delay=times,
        damping=st.floats(0.0, 2.0),
        phase=st.floats(-180.0, 180.0),
    ),
    "pwl": polylines(),
}
END = 4.0


def test_every_waveform_has_a_strategy() -> None:
    assert set(STRATEGIES) == set(WAVEFORMS)


@pytest.mark.parametrize("kind", WAVEFORMS)
@given(data=st.data())
def test_between_corners_a_waveform_is_smooth(kind: str, data: st.DataObject) -> None:
    """Its second difference is of the order of the squared distance: no jump, no kink, that corners() omits."""
    waveform = data.draw(STRATEGIES[kind])
    corners = waveform.corners(END)
    assert (np.diff(corners) > 0).all()
    assert ((corners > 0) & (corners <= END)).all()
    edges = np.concatenate([[0.0], corners, [END]])
    curvature = 0.0
    if isinstance(waveform, Sine):
        curvature = abs(waveform.amplitude) * (2 * math.pi * waveform.frequency + waveform.damping) ** 2
    for a, b in pairwise(edges):
        if b - a < 1e-9:
            continue
        t = np.linspace(a, b, 33)
        v = np.concatenate([[waveform.value(a)], waveform.value(t[1:-1]), [waveform.value(b, before=True)]])
        bend = np.abs(np.diff(v, 2)).max()
        assert bend <= 1.01 * curvature * (t[1] - t[0]) ** 2 + 1e-12


@pytest.mark.parametrize("kind", WAVEFORMS)
@given(data=st.data())
def test_before_and_after_differ_at_corners_only(kind: str, data: st.DataObject) -> None:
    waveform = data.draw(STRATEGIES[kind])
    corners = waveform.corners(END)
    t = np.setdiff1d(data.draw(st.lists(st.floats(1e-3, END), min_size=1)), corners)
    t = t[[np.abs(c - corners).min(initial=1.0) > 1e-9 for c in t]]
    np.testing.assert_array_equal(waveform.value(t), waveform.value(t, before=True))


@pytest.mark.parametrize("kind", WAVEFORMS)
@given(data=st.data())
def test_at_rest_the_value_stays(kind: str, data: st.DataObject) -> None:
    waveform = data.draw(STRATEGIES[kind])
    rest = waveform.rest()
    if math.isfinite(rest):
        later = waveform.value(rest + np.array([0.0, 0.1, 1.0, 10.0, 1e3]))
        np.testing.assert_allclose(later, later[0], rtol=0, atol=1e-12)


def test_pulse_by_hand() -> None:
    pulse = Pulse(-1.0, 3.0, delay=1.0, rise=1.0, fall=2.0, width=3.0, period=10.0)
    t = [0.0, 1.0, 1.5, 2.0, 5.0, 6.0, 7.0, 11.0, 11.25, 26.5]
    assert pulse.value(t).tolist() == [-1, -1, 1, 3, 3, 1, -1, -1, 0, 0]
    assert pulse.corners(13.0).tolist() == [1, 2, 5, 7, 11, 12]


def test_a_pulse_longer_than_its_period_is_cut_off() -> None:
    pulse = Pulse(0.0, 1.0, rise=0.5, period=2.0)
    assert pulse.value([0.25, 1.9, 2.0, 2.25]).tolist() == [0.5, 1.0, 0.0, 0.5]
    assert pulse.value(2.0, before=True) == 1.0
    assert pulse.corners(4.0).tolist() == [0.5, 2.0, 2.5, 4.0]


def test_jumps_of_many_periods_fall_on_their_corners_in_spite_of_rounding() -> None:
    pulse = Pulse(0.0, 1.0, delay=0.1e-6, width=0.3e-6, period=0.7e-6)
    corners = pulse.corners(1e-3)
    up, down = corners[::2], corners[1::2]
    assert len(corners) > 2800
    assert (pulse.value(up) == 1.0).all()
    assert (pulse.value(up, before=True) == 0.0).all()
    assert (pulse.value(down) == 0.0).all()
    assert (pulse.value(down, before=True) == 1.0).all()


def test_an_endless_pulse_has_no_last_corner() -> None:
    with pytest.raises(InputError, match="never ends"):
        Pulse(0.0, 1.0, period=1.0).corners(math.inf)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Pulse(0.0, 1.0, rise=-1e-9), r"rise: -1e-09 s is negative; give zero"),
        (lambda: Pulse(0.0, 1.0, width=-1.0), r"width: -1 s is negative"),
        (lambda: Pulse(0.0, 1.0, period=0.0), r"period: 0 s must be positive; leave it out"),
        (lambda: Pulse(0.0, math.inf), r"pulsed: inf is not finite"),
        (lambda: Pulse("low", 1.0), r"initial: 'low' is not a number"),  # type: ignore[arg-type]
        (lambda: Sine(0.0, 1.0, 0.0), r"frequency: 0 Hz must be positive"),
        (lambda: Sine(0.0, 1.0, 1.0, delay=math.nan), r"delay: nan is not a number"),
        (lambda: PiecewiseLinear((0.0, 2.0, 1.0), (0.0, 1.0, 2.0)), r"times\[2\]: 1 s comes after 2 s; sort"),
        (lambda: PiecewiseLinear((0.0, 0.0, 0.0), (0.0, 1.0, 2.0)), r"times\[2\]: 0 s appears three times"),
        (lambda: PiecewiseLinear((0.0, 1.0), (0.0,)), r"2 times and 1 values"),
        (lambda: PiecewiseLinear((), ()), r"at least one"),
        (lambda: PiecewiseLinear((0.0,), (math.nan,)), r"values\[0\]: nan is not finite"),
        (lambda: PiecewiseLinear(1.0, (0.0,)), r"times: 1.0 is not a list of numbers"),  # type: ignore[arg-type]
        (lambda: VoltageSource(1.0, waveform=2.0), r"waveform: 2.0 is not a waveform; give one of Pulse"),  # type: ignore[arg-type]
        (lambda: CurrentSource(1.0, waveform="sin"), r"waveform: 'sin' is not a waveform"),  # type: ignore[arg-type]
    ],
)
def test_faults_name_argument_value_and_remedy(build: Callable[[], object], message: str) -> None:
    with pytest.raises(CircuitError, match=message):
        build()


# --- in circuits and graphs ----------------------------------------------------------------------------

PULSE = Pulse(0.0, 1.0, rise=1e-6)


def driven(waveform: Waveform | None = PULSE) -> Circuit:
    graph = nx.MultiDiGraph()
    graph.add_edge("a", "0", device=VoltageSource(voltage=0.5, waveform=waveform), name="vin")
    graph.add_edge("a", "b", device=Resistor(conductance=1e-3), name="r")
    graph.add_edge("b", "0", device=Capacitor(value=1e-9), name="c")
    graph.add_edge("0", "b", device=CurrentSource(amplitude=1e-3, waveform=Sine(0.0, 1e-3, 1e6)), name="iin")
    return Circuit.from_graph(graph, outputs=["b"])


def test_a_circuit_has_its_sources_waveforms_and_a_graph_keeps_them() -> None:
    circuit = driven()
    assert dict(circuit.waveforms) == {"vin": PULSE, "iin": Sine(0.0, 1e-3, 1e6)}
    again = Circuit.from_graph(circuit.to_graph())
    assert again == circuit
    assert again.waveforms == circuit.waveforms


def test_waveforms_make_circuits_different() -> None:
    assert driven() != driven(None)
    assert driven() != driven(Pulse(0.0, 1.0, rise=2e-6))
    assert driven() == driven(Pulse(0.0, 1.0, rise=1e-6))


def test_new_parameters_keep_the_waveforms() -> None:
    circuit = driven()
    changed = circuit.with_parameters({"resistor_fixed.conductance": [2e-3]})
    assert changed.waveforms == circuit.waveforms


def test_an_operating_point_has_the_sources_own_values() -> None:
    """0.5 V through 1 kΩ, and 1 mA into b: 1.5 V."""
    found = operating_point(driven(), None)
    assert found.voltage("b")[0] == pytest.approx(1.5, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "waveform", "message"),
    [
        ("nobody", PULSE, "nobody: has a waveform, and there is no such element"),
        ("r", PULSE, "r: a resistor has no waveform; only voltage_source and current_source"),
        ("vin", 3.0, "waveforms: {'vin': 3.0} is not a mapping from texts to a Waveform"),
    ],
)
def test_a_waveform_needs_an_independent_source(name: str, waveform: object, message: str) -> None:
    base = driven()
    with pytest.raises(CircuitError, match=message):
        Circuit(
            base.nodes,
            base.banks,
            input_nodes=base.input_nodes,
            output_pairs=base.output_pairs,
            waveforms={name: waveform},  # type: ignore[dict-item]
        )


# --- against ngspice -----------------------------------------------------------------------------------


@pytest.mark.ngspice
@pytest.mark.parametrize(
    "waveform",
    [
        Pulse(-1.0, 2.0, delay=0.2e-6, rise=0.1e-6, fall=0.3e-6, width=0.4e-6, period=1.1e-6),
        Pulse(0.5, -1.0, delay=0.2e-6, rise=0.5e-6, fall=0.1e-6, width=0.2e-6),
        Pulse(0.0, 1.0, delay=0.2e-6, rise=0.1e-6, fall=0.1e-6),
        Pulse(0.0, 1.0, rise=0.1e-6, fall=0.2e-6, width=0.9e-6, period=1.0e-6),
        Sine(0.3, 1.5, 2e6, delay=0.35e-6, damping=1e6, phase=40.0),
        Sine(-0.3, 0.5, 3e6, phase=-90.0),
        PiecewiseLinear((0.2e-6, 0.5e-6, 0.6e-6, 2e-6), (1.0, -1.0, 2.0, 0.0)),
    ],
    ids=repr,
)
def test_ngspice_has_the_same_values(ngspice: str, waveform: Waveform, tmp_path: Path) -> None:
    """A source on a resistor: what ngspice prints at its own time points."""
    keyword, arguments = waveform.spice()
    deck = (
        f"source\nV1 a 0 DC 0 {keyword}({' '.join(f'{a:.17g}' for a in arguments)})\nR1 a 0 1k\n"
        ".tran 10n 3u 0 10n\n.control\nset numdgt=15\nrun\nprint a\nquit\n.endc\n.end\n"
    )
    path = tmp_path / "source.cir"
    path.write_text(deck)
    done = subprocess.run([ngspice, "-b", str(path)], capture_output=True, text=True, timeout=60, check=False)
    rows = [line.split() for line in done.stdout.splitlines() if re.match(r"\d+\s+\S+e[-+]\d+\s+\S+\s*$", line)]
    t, v = np.array([[float(r[1]), float(r[2])] for r in rows]).T
    assert len(t) > 300
    # At a jump (the cut-off pulse) ngspice is still at the value before it.
    missed = np.minimum(np.abs(v - waveform.value(t)), np.abs(v - waveform.value(t, before=True)))
    assert missed.max() <= 1e-9
