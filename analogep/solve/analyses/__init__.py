"""Analyses built on operating points: small signals, sweeps, thermal noise."""
