"""Whether a circuit stays at an operating point, and the way from one at which it does not."""
