"""What a solve returns: the solution with its currents and powers, or the error that says why there is none."""
