"""``fvc doctor --run``: everything once, on a tiny corpus in a temporary folder, as a user would type it."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import typer

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
STEPS = {
    "features": "run debug=quick stage=features hydra.run.dir=run",
    "training": "run debug=quick hydra.run.dir=run",
    "report": "report run",
    "prediction": "predict run outputs/demo",
    "two jobs": "run -m debug=quick C=0.1,1 hydra/launcher=local",
}
_LAST_LINES = 20


def run_steps() -> bool:
    """Do each step in a process of its own, and say how long it took; False if one failed, with what it printed."""
    # A checkout need not be installed, and the steps run elsewhere.
    path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    with tempfile.TemporaryDirectory(prefix="fvc-doctor-") as folder:
        for step, words in STEPS.items():
            command, started = [sys.executable, "-m", "fvc_exp", *shlex.split(words)], time.monotonic()
            done = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode:
                typer.echo(f"problem {step}: exit code {done.returncode} of fvc {words}")
                typer.echo("\n".join(done.stdout.splitlines()[-_LAST_LINES:]))
                return False
            typer.echo(f"ok      {step}: {time.monotonic() - started:.1f} s")
    typer.echo("OK")
    return True
