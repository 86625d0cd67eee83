"""Costs on the outputs, and readouts."""
