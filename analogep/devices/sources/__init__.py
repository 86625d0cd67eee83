"""Independent and controlled sources, and the waveforms of the former."""
