"""The dialect of Xyce, after its Reference Guide; the program itself was not at hand."""

from analogep.spice.dialects.base import Limits
from analogep.spice.dialects.spice3 import Spice3

XYCE = Spice3(
    "xyce",
    Limits(
        reserved_nodes=frozenset({"gnd", "gnd!", "ground"}),  # ground under ".preprocess replaceground"
        smallest_gmin=1e-40,  # as for ngspice, whose diodes Xyce's level 1 repeats
        foreign_operators=("^",),  # exclusive or
    ),
    printed="v(*)",
    tolerances=False,  # they belong to packages
    expression="I={{{}}}",  # expressions stand in braces
    options_head=".options device",  # options belong to packages
    choice="IF({condition},{yes},{no})",  # its own switch goes from one resistance to the other smoothly
)
