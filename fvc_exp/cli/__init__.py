"""``fvc``: read what runs and sweeps left, and act on it. Each command names a folder and gives a useful exit code."""
