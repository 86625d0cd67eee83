"""What the compiler is taught beyond the loops' Python: atomic counters, views, vectors, calls by address."""
