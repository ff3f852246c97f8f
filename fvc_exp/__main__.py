"""``fvc``, and ``python -m fvc_exp``, which is the same."""

from fvc_exp.cli import doctor, runs, sweeps
from fvc_exp.cli.app import app

__all__ = ["app", "doctor", "runs", "sweeps"]

if __name__ == "__main__":
    app(prog_name="fvc")
