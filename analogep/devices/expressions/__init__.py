"""Devices whose law is an expression of a netlist."""
