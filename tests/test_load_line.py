"""Where a junction is linearised next: on its load line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from newton_tools import graph, ohms
from strategies import DEVICES

from analogep.devices import REGISTRY, Diode, OnePort
from analogep.solve import operating_point

OFFERED = [
    kind
    for kind, device in REGISTRY.items()
    if issubclass(device, OnePort) and device.load_point is not OnePort.load_point
]


@pytest.mark.parametrize("kind", OFFERED)
@given(data=st.data(), v_open=st.floats(-20.0, 20.0), decades=st.floats(0.0, 9.0))
def test_a_load_point_lies_on_law_and_load_line(
    kind: str, data: st.DataObject, v_open: float, decades: float
) -> None:
    device = REGISTRY[kind]
    assert issubclass(device, OnePort)
    p = {key: np.array([value]) for key, value in data.draw(DEVICES[kind]).items()}
    resistance = np.array([10.0**decades])
    v = device.load_point(np.array([v_open]), resistance, p)
    assert v is not None
    i, g = device.current(v, p)
    distance = (v + resistance * i - v_open) / (1.0 + resistance * g)  # Newton's step to the exact point
    scale = device.thermal_scale(p)
    assert scale is not None
    assert abs(distance[0]) <= 1e-2 * (abs(v[0]) + scale[0])


@given(decades=st.floats(1.0, 8.0), volts=st.floats(0.5, 50.0), emission=st.floats(0.8, 2.5))
def test_one_diode_behind_a_resistor_takes_few_iterations(decades: float, volts: float, emission: float) -> None:
    """From any point of contact the load line is right up to the guess of its resistance; nV_T a time is not."""
    circuit = graph(ohms("in", "a", 10.0**decades), ("a", "0", Diode(emission=emission)), inputs=("in",))
    assert operating_point(circuit, [volts], method="newton").iterations[0] <= 8
