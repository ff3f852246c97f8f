"""``fvc``: read what runs and sweeps left, and act on it. Each command names a folder and gives a useful exit code."""

from fvc_exp.cli import doctor, runs, sweeps
from fvc_exp.cli.app import app

__all__ = ["app", "doctor", "runs", "sweeps"]
