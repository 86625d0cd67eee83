"""Run folders, checkpoints and records of training."""
