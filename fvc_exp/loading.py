"""Finished runs and sweeps, read back from their folders; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.exceptions import PolarsError

from fvc_exp.config import Config
from fvc_exp.errors import ArtifactError
from fvc_exp.runfolder import RunFolder, read_config, read_json, require_folder
from fvc_exp.tables import read_own

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class LoadedRun:
    """A finished training run: its files by their names, tables as frames.

    ``metrics`` has one row a fold, ``predictions`` one a video and split it was scored in, ``folds`` one a video and
    fold that tested it, ``coefficients`` one a feature and the intercept.
    """

    path: Path
    status: Mapping[str, Any]
    config: Config
    results: Mapping[str, Any]
    metrics: pl.DataFrame
    predictions: pl.DataFrame
    folds: pl.DataFrame
    coefficients: pl.DataFrame

    @cached_property
    def pipeline(self) -> Pipeline:
        """Imputer, scaler and model, read from ``model.skops`` on first use; a file with code in it is refused.

        Raises:
            ArtifactError: the file is missing, broken, or holds types that no model of ours has.
        """
        from fvc_exp.artifacts import read_pipeline

        return read_pipeline(RunFolder(self.path).pipeline)


def load_run(path: str | Path) -> LoadedRun:
    """Read the folder of a finished training run.

    >>> _ = run(["data=fvc", "data.root=.", "C=0.1"], output_dir="mine")
    >>> loaded = load_run("mine")
    >>> loaded.results["parameters"]["C"], loaded.metrics["fold"].to_list()
    (0.1, [0, 1, 2, 3, 4])

    Raises:
        ArtifactError: there is no such folder, it holds no run, an unfinished or failed one, or a broken file.
        ConfigError: the configuration is of another version.
    """
    folder = RunFolder(Path(path))
    status = _finished_status(folder)
    return LoadedRun(
        path=folder.path,
        status=status,
        config=read_config(folder.config),
        results=read_json(folder.results),
        metrics=_frame(folder.metrics, lambda file: pl.DataFrame(read_json(file), infer_schema_length=None)),
        predictions=_frame(folder.predictions, read_own),
        folds=_frame(folder.folds, read_own),
        coefficients=_frame(folder.coefficients, read_own),
    )


def load_sweep(path: str | Path) -> pl.DataFrame:
    """One row a configuration of a sweep, now: ``state``, ``reason`` where it did not finish, parameters and scores.

    The same table that ``fvc collect`` writes as ``results.parquet``.

    Raises:
        ArtifactError: this is no folder of a sweep, or a file of a finished run is missing or broken.
    """
    from fvc_exp.sweep.folder import SweepFolder
    from fvc_exp.sweep.results import table_of
    from fvc_exp.sweep.states import inspect

    folder = SweepFolder(Path(path))
    return table_of(folder, inspect(folder, folder.read_plan()))


def _finished_status(folder: RunFolder) -> Mapping[str, Any]:
    require_folder(folder.path)
    if not folder.status.exists():
        if folder.config.exists():
            raise ArtifactError(f"{folder.path}: the run is not finished: it holds no {folder.status.name} yet")
        what = "a sweep: use load_sweep" if (folder.path / "plan.json").exists() else "no run: it holds no status.json"
        raise ArtifactError(f"{folder.path}: is {what}")
    status = read_json(folder.status)
    state = status.get("state") if isinstance(status, dict) else None
    if state is None:
        raise ArtifactError(f"{folder.status}: was not written by fvc-exp: it says no state")
    if state != "done":
        why = ": ".join(str(status[key]) for key in ("reason", "message") if status.get(key))
        raise ArtifactError(f"{folder.path}: the run is {state}, only a finished one can be loaded; {why}")
    if not folder.results.exists():
        raise ArtifactError(f"{folder.path}: the run trained nothing: it holds no {folder.results.name}")
    return dict(status)


def _frame(path: Path, read: Callable[[Path], pl.DataFrame]) -> pl.DataFrame:
    try:
        return read(path)
    except (OSError, PolarsError, TypeError) as error:
        raise ArtifactError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
