"""Sweeps: a grid of configurations, each run once, with files as the only truth about what happened."""
