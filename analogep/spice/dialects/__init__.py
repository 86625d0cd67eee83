"""SPICE dialects, registered by name: a new one is one file here and one entry below."""

from analogep.spice.dialects.base import SIZES, Card, Dialect, Limits, celsius, number
from analogep.spice.dialects.hspice import Hspice
from analogep.spice.dialects.ltspice import LTSPICE
from analogep.spice.dialects.ngspice import NGSPICE
from analogep.spice.dialects.xyce import XYCE

_ALL: tuple[Dialect, ...] = (NGSPICE, XYCE, LTSPICE, Hspice())
DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}
"""Every dialect, by name."""

__all__ = ["DIALECTS", "SIZES", "Card", "Dialect", "Limits", "celsius", "number"]
