"""Diodes and transistors, and the charges of their junctions and gates."""
