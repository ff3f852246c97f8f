"""``fvc``: read what runs and sweeps left, and act on it. Each command names a folder and gives a useful exit code."""

from fvc_exp.io.imports import collect_rarely

collect_rarely()  # before the rest is imported, of which nearly all stays in use
