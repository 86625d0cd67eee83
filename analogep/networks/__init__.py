"""Builders of common networks; each returns a plain :class:`~analogep.circuit.Circuit`."""

from analogep.networks.crossbar import crossbar
from analogep.networks.deep_resistive import deep_resistive
from analogep.networks.edges import disordered, lattice
from analogep.networks.hopfield import feedforward, hopfield, hopfield_graph
from analogep.networks.initial import Initial, glorot, positive_part, uniform
from analogep.networks.memristor_hopfield import memristor_hopfield

__all__ = [
    "Initial",
    "crossbar",
    "deep_resistive",
    "disordered",
    "feedforward",
    "glorot",
    "hopfield",
    "hopfield_graph",
    "lattice",
    "memristor_hopfield",
    "positive_part",
    "uniform",
]
