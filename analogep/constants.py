"""Physical constants, with the values that ngspice uses.

Both simulators must agree to better than 1e-9 V, so the constants are ngspice's (CODATA 2014) rather than
the exact SI values of 2019: the two thermal voltages differ by 1.1e-6 relative.
"""

BOLTZMANN = 1.38064852e-23
"""Boltzmann constant [J/K]."""

ELEMENTARY_CHARGE = 1.6021766208e-19
"""Elementary charge [C]."""

NOMINAL_TEMPERATURE = 300.15
"""Default device temperature, 27 °C [K]."""

CELSIUS_ZERO = 273.15
"""0 °C [K]."""


def thermal_voltage(temperature: float = NOMINAL_TEMPERATURE) -> float:
    """Thermal voltage kT/q [V] at ``temperature`` [K]."""
    return BOLTZMANN * temperature / ELEMENTARY_CHARGE
