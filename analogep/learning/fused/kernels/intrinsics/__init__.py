"""What the compiler is taught beyond the loops' Python: atomic counters, views, calls through an address."""
