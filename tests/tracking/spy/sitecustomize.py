"""Python imports this at its start where this folder is on PYTHONPATH: it notes who loads MLflow."""

import atexit
import os
import sys
from pathlib import Path


def note() -> None:
    kind = "job" if any("submitit.core._submit" in argument for argument in sys.orig_argv) else "driver"
    loaded = "loads" if "mlflow" in sys.modules else "spares"
    (Path(os.environ["SPY"]) / f"{os.getpid()}").write_text(f"{kind} {loaded} it")


if "SPY" in os.environ:
    atexit.register(note)
