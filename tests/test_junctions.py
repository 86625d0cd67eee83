"""The compiled evaluation of diodes is the device's: its law, its limits, and its meeting with the load line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import DEVICES

from analogep.devices import Diode
from analogep.solve.equations import junctions, model

VOLTS = st.floats(-30.0, 10.0, allow_subnormal=False)


@given(values=DEVICES["diode"], volts=st.lists(VOLTS, min_size=1, max_size=8))
@settings(max_examples=200)
def test_currents_and_slopes(values: dict[str, float], volts: list[float]) -> None:
    p = {key: np.full(len(volts), value) for key, value in values.items()}
    u = np.array([volts])
    nvt = Diode.thermal_scale(p)
    assert nvt is not None
    u = np.where(p["series_resistance"] > 0, u, np.minimum(u, 600.0 * nvt))  # beyond, currents of 1e242 A
    i, g = np.empty_like(u), np.empty_like(u)
    junctions.currents(u, junctions.table(p, len(volts)), i, g)
    i_law, g_law = Diode.current(u, p)
    # the bound of test_layered's test of the same kernel
    relative = 1e-14 * (2.0 + np.minimum(np.abs(u) / nvt, 700.0))
    assert np.all(np.abs(i - i_law) <= relative * (np.abs(i_law) + p["saturation_current"]))
    assert np.all(np.abs(g - g_law) <= relative * g_law)


@given(values=DEVICES["diode"], new=VOLTS, old=st.floats(-30.0, 1.0), decades=st.floats(0.0, 9.0))
@settings(max_examples=200)
@pytest.mark.parametrize("loaded", [True, False])
def test_points_of_contact(loaded: bool, values: dict[str, float], new: float, old: float, decades: float) -> None:
    """With a load to 2 tolerances of a load point; without, and where there is no load at all, to rounding."""
    p = {key: np.array([value]) for key, value in values.items()}
    load = np.array([10.0**decades if loaded else np.inf])
    u_new, u_old, out = np.array([[new]]), np.array([[old]]), np.empty((1, 1))
    junctions.meet_loads(u_new, u_old, junctions.table(p, 1), load, 0.1, out)
    expected = model.meet_load(Diode, u_new, u_old, p, load)
    scale = np.abs(expected) + Diode.thermal_scale(p)
    assert np.all(np.abs(out - expected) <= (2e-3 if loaded else 1e-12) * scale)
    if loaded and (new <= 0.0 or abs(new - old) < 0.09 * Diode.thermal_scale(p)[0]):
        assert out[0, 0] == new  # nothing to limit: the end of Newton's method is exact
