"""ngspice and PySpice as engines: operating points, transients, and what is checked before they are believed."""
