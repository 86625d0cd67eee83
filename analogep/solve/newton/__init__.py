"""Newton's method, what limits its steps, and the ways to a solution where it alone finds none."""
