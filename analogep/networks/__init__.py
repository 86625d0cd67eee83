"""Builders of common networks; each returns a plain :class:`~analogep.circuit.Circuit`."""

from analogep.networks.crossbar import crossbar
from analogep.networks.deep_resistive import deep_resistive
from analogep.networks.edges import disordered, lattice
from analogep.networks.initial import Initial, positive_part, uniform

__all__ = ["Initial", "crossbar", "deep_resistive", "disordered", "lattice", "positive_part", "uniform"]
