"""The dialect of ngspice (tried with version 39)."""

from analogep.spice.dialects.base import Limits
from analogep.spice.dialects.spice3 import Spice3

NGSPICE = Spice3(
    "ngspice",
    Limits(
        # "temper" is the temperature in expressions; the others are rewritten by ngspice's preprocessor
        # wherever they stand as a word, dots included, and the line is then malformed.
        reserved_nodes=frozenset({"gnd", "temper"}),
        reserved_parts=frozenset({"table", "value", "ac"}),
        # ngspice raises smaller saturation currents to 1e-28 A without a word.
        smallest_saturation=1e-28,
        # With gmin = 0 ngspice's gmin stepping, where it is needed, never ends. 1e-40 S is nothing even
        # beside a saturation current of 1e-28 A.
        smallest_gmin=1e-40,
        # From 1006 on it ends with "N_GLOBAL_NODES overflow".
        most_pins=1000,
    ),
    scripted=True,
)
