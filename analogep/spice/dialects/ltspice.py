"""The dialect of LTspice, after its help pages; the program itself was not at hand."""

from analogep.spice.dialects.base import Limits
from analogep.spice.dialects.spice3 import Spice3

LTSPICE = Spice3(
    "ltspice",
    Limits(
        reserved_nodes=frozenset({"gnd"}),
        smallest_gmin=1e-40,  # as for ngspice
        foreign_operators=("?", "^"),  # not known; exclusive or
    ),
)
