"""``fvc``, and ``python -m fvc_exp``, which is the same."""

from fvc_exp.io.imports import begin_process

begin_process()  # before the rest is imported, of which nearly all stays in use

from fvc_exp.cli import doctor, runs, sweeps  # noqa: E402 - after the call, which makes them quicker
from fvc_exp.cli.app import app  # noqa: E402 - after the call, which makes them quicker

__all__ = ["app", "doctor", "runs", "sweeps"]

if __name__ == "__main__":
    app(prog_name="fvc")
