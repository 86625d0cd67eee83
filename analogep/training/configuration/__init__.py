"""Training configurations: TOML in, checked, every fault at once."""
