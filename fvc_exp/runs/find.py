"""Runs below a folder, at any depth."""

import os
import re
from pathlib import Path

from fvc_exp.errors import DataError
from fvc_exp.io import files
from fvc_exp.runs.load import LoadedRun

_MLFLOW_RUN = re.compile("[0-9a-f]{32}")  # how MLflow names the folder of a run, which holds its artifacts


def newest_run(folder: Path) -> Path:
    """The training run below a folder that ended last.

    Raises:
        DataError: no training run below it is done.
    """
    runs = runs_below(folder)
    done = [run for run in runs if run.is_finished]
    if not done:
        raise DataError(f"{folder}: {len(runs)} runs in it, but no training run that is done")
    return max(done, key=lambda run: (run.status.get("ended", ""), run.path)).path


def runs_below(folder: Path) -> list[LoadedRun]:
    """Every run folder at any depth, sorted by path; a run is where a ``status.json`` lies.

    The copies in an MLflow store below the folder do not count as runs, nor does the ``best/`` of a sweep. Hidden
    folders are left out: a killed process may leave an unfinished one.

    Raises:
        DataError: there is none.
        ArtifactError: it is no folder.
    """
    found = []
    # rglob would look for the file in every folder that it has just listed, which takes four times as long.
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_copy(path, names, name)]
        if "status.json" in names and (run := LoadedRun(Path(path))).folder.status.is_file():
            found.append(run)
    if not found:
        files.require_folder(folder)
        raise DataError(f"{folder}: no run in it; fvc run writes them below outputs/")
    return sorted(found, key=lambda run: run.path)


def _is_copy(parent: str, beside: list[str], name: str) -> bool:
    """Whether a folder beside these files holds MLflow's copies, or a sweep's copy of its best member."""
    if name == "best":
        return "plan.json" in beside
    return name == "artifacts" and _MLFLOW_RUN.fullmatch(Path(parent).name) is not None
