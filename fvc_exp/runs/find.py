"""Which runs lie below a folder."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.io.files import require_folder
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.runs.compare.scored_run import ScoredRun, read_run
from fvc_exp.runs.load import LoadedRun

_MLFLOW_RUN = re.compile("[0-9a-f]{32}")  # how MLflow names the folder of a run, which holds its artifacts


def newest_run(folder: Path) -> Path:
    """The training run below a folder that ended last.

    Raises:
        DataError: no training run below it is done.
    """
    runs = [LoadedRun(each.path) for each in runs_below(folder)]
    done = [run for run in runs if run.is_finished]
    if not done:
        raise DataError(f"{folder}: {len(runs)} runs in it, but no training run that is done")
    return max(done, key=lambda run: (run.status["ended"], run.path)).path


def runs_of(paths: Sequence[Path]) -> list[ScoredRun]:
    """The runs of folders; of a sweep the finished ones, in the order of their names. A run named twice counts once.

    Raises:
        ArtifactError: a folder is neither a finished training run nor a sweep that has one.
    """
    found: dict[Path, ScoredRun] = {}
    for path in paths:
        members = sorted((path / "runs").glob("*/status.json"))
        done = [member.parent for member in members if LoadedRun(member.parent).is_finished]
        if members and not done:
            raise ArtifactError(f"{path}: none of the {len(members)} runs of this sweep is finished")
        for folder in done or [path]:
            found[folder.resolve()] = read_run(folder)
    return list(found.values())


def runs_below(folder: Path) -> list[RunFolder]:
    """Every run folder at any depth, sorted by path; a run is where a ``status.json`` lies.

    What MLflow took into a store below the folder are copies, and no runs; so is the ``best/`` of a sweep. Hidden
    folders are left out: a killed process may leave an unfinished one.

    Raises:
        DataError: there is none.
        ArtifactError: it is no folder.
    """
    found = []
    # rglob would ask again for the file in every folder that it has just listed: four times as long.
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and not _is_copy(path, names, name)]
        if "status.json" in names and (run := RunFolder(Path(path))).status.is_file():
            found.append(run)
    if not found:
        require_folder(folder)
        raise DataError(f"{folder}: no run in it; run.py writes them below outputs/")
    return sorted(found, key=lambda run: run.path)


def _is_copy(parent: str, files: list[str], name: str) -> bool:
    """Whether a folder beside these files holds what MLflow took, or the best member of a sweep once more."""
    if name == "best":
        return "plan.json" in files
    return name == "artifacts" and _MLFLOW_RUN.fullmatch(Path(parent).name) is not None
