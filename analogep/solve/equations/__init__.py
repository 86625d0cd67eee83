"""Kirchhoff's law of one circuit: the plan of its unknowns, its matrices, its nonlinear elements."""
