"""Circuits over time: what they store, how it steps, where it jumps."""
