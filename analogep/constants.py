"""Physical constants, with the values that ngspice uses.

Both simulators must agree to better than 1e-9 V, so the constants are ngspice's (CODATA 2014) rather than
the exact SI values of 2019: the two thermal voltages differ by 1.1e-6 relative.
"""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

from analogep.kinds import checked

BOLTZMANN = 1.38064852e-23
"""Boltzmann constant [J/K]."""

ELEMENTARY_CHARGE = 1.6021766208e-19
"""Elementary charge [C]."""

NOMINAL_TEMPERATURE = 300.15
"""Default device temperature, 27 °C [K]."""

CELSIUS_ZERO = 273.15
"""0 °C [K]."""


@overload
def thermal_voltage(temperature: float = NOMINAL_TEMPERATURE) -> float: ...
@overload
def thermal_voltage(temperature: NDArray[np.float64]) -> NDArray[np.float64]: ...
@checked()
def thermal_voltage(
    temperature: float | NDArray[np.float64] = NOMINAL_TEMPERATURE,
) -> float | NDArray[np.float64]:
    """Return the thermal voltage kT/q [V] at ``temperature`` [K], a number or an array."""
    if isinstance(temperature, (list, tuple)):
        temperature = np.asarray(temperature, dtype=float)
    return BOLTZMANN * temperature / ELEMENTARY_CHARGE
