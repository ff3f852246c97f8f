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
_QUICK = ("run", "debug=quick", "hydra.run.dir=run")
STEPS = {
    "features": (*_QUICK, "stage=features"),
    "training": _QUICK,
    "report": ("report", "run"),
    "prediction": ("predict", "run", "outputs/demo"),
    "two jobs": ("run", "-m", "debug=quick", "C=0.1,1", "hydra/launcher=local"),
}
_LAST_LINES = 20
_STEP_SECONDS = 600.0


def run_steps() -> bool:
    """Do each step in a process of its own, and say how long it took; False if one failed, with what it printed."""
    # A checkout need not be installed, and the steps run elsewhere.
    path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix="fvc-doctor-") as folder:
        for step, words in STEPS.items():
            command, started = [sys.executable, "-m", "fvc_exp", *words], time.monotonic()
            try:
                done = subprocess.run(
                    command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=_STEP_SECONDS,
                )  # fmt: skip
                failure, printed = f"exit code {done.returncode}" if done.returncode else "", done.stdout
            except subprocess.TimeoutExpired as error:
                failure, printed = f"no end after {_STEP_SECONDS:.0f} s", (error.stdout or b"").decode(errors="replace")
            verdict = "problem" if failure else "ok"
            typer.echo(f"{verdict:8}{step}: {failure or f'{time.monotonic() - started:.1f} s'}")
            if failure:
                typer.echo("\n".join([shlex.join(["fvc", *words]), *printed.splitlines()[-_LAST_LINES:]]))
                return False
    typer.echo("OK")
    return True
