"""Linear response at an equilibrium: the adjoint, and phases that answer with the transpose, or at complex β."""
