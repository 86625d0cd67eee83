"""Netlist text as a circuit."""
