"""The engine for layered circuits: groups of nodes joined by crossbars, solved by exact block steps."""
