"""SPICE dialects, registered by name: a new one is one file here and one entry below."""

from analogep.spice.dialects.base import Card, Dialect, Limits, celsius, number
from analogep.spice.dialects.ngspice import Ngspice

DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in (Ngspice(),)}
"""Every dialect, by name."""

__all__ = ["DIALECTS", "Card", "Dialect", "Limits", "celsius", "number"]
