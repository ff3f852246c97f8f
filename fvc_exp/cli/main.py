"""``fvc run`` and ``python run.py``, word for word the same: compose a configuration and run it in its folder."""

from __future__ import annotations

import io
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from fvc_exp import __version__
from fvc_exp.config import hydra_app, validate
from fvc_exp.errors import FvcError
from fvc_exp.io import files, imports, run_folder
from fvc_exp.tracking.import_runs import track_at_end


def run_composed(composed: DictConfig) -> dict[str, Any] | float:
    """Run one composed configuration in the folder that Hydra made for it.

    Returns its status for the exit code, or for another sweeper than ours the number that it optimises.
    """
    config, now = validate.to_typed(composed), HydraConfig.get()
    folder = Path(now.runtime.output_dir)
    with imports.quick_imports():
        from fvc_exp.runs.execute import execute  # scikit-learn takes seconds to import; --help must not wait for it

        status = execute(config, folder)
    found = {**status, "tracked": track_at_end(folder, config)}
    return _objective(folder, status, config.sweep.objective.name) if now.mode is RunMode.MULTIRUN else found


def _objective(path: Path, status: dict[str, Any], metric: str) -> float:
    """The mean of a metric in cross-validation; NaN of a stage that trains nothing."""
    if status["state"] != "done":
        raise FvcError(run_folder.failure_text(status["reason"], status["message"]))
    results = run_folder.RunFolder(path).results
    return float(files.read_json(results)["cv"][metric]["mean"]) if results.exists() else math.nan


def main() -> None:
    """Do what the words of ``sys.argv`` say."""
    if "--version" in sys.argv[1:]:
        print(f"fvc-exp {__version__}")
    else:
        hydra_app.run_shell(_application())


def _application() -> Callable[[], None]:
    """``run_composed`` as Hydra calls it, with what the shell says."""
    hydra_app.register()
    decorate = hydra.main(version_base="1.3", config_path=str(hydra_app.conf_folder()), config_name="config")
    return cast("Callable[[], None]", decorate(run_composed))


def completions(words: Sequence[str], incomplete: str) -> list[str]:
    """How a shell may go on with the last word of ``fvc run``; for the process that the shell asks, and ends."""
    line = re.sub(r"\s*=\s*", "=", " ".join(["fvc", *words, incomplete]))  # bash takes = for a word,
    line = re.sub(r"(?<= )([\w./]+) $", r"\1=", line)  # and at the end the words are without it
    os.environ["COMP_LINE"], sys.argv = line, ["fvc", "--shell-completion", "query=bash"]
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()), suppress(SystemExit):
        _application()()
    typed = line.rpartition(" ")[2].removesuffix(incomplete)
    return [found.removeprefix(typed) for found in printed.getvalue().split()]
