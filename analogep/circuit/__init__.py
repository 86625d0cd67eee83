"""Circuits: banks of elements and couplings between nodes, from graphs, and what makes them legal."""

from analogep.circuit.circuit import Circuit
from analogep.circuit.couplings import Crossbar, TransconductanceCrossbar
from analogep.circuit.elements import GROUND, Bank, Topology, resistor_bank

__all__ = ["GROUND", "Bank", "Circuit", "Crossbar", "Topology", "TransconductanceCrossbar", "resistor_bank"]
