"""Circuits as netlist text."""
