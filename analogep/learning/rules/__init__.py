"""Learning rules, and the registry of their names."""
