"""``fvc``: read what runs and sweeps left, and act on it. Each command names a folder and gives a useful exit code."""

from fvc_exp.cli import machine, runs, sweeps
from fvc_exp.cli.base import app

__all__ = ["app", "machine", "runs", "sweeps"]
