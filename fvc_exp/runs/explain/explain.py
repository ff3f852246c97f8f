"""Insight into a run as files beside it: made on demand, and refused once it belongs to another run."""

from __future__ import annotations

from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib import rc_context
from threadpoolctl import threadpool_limits

from fvc_exp._typing import Progress
from fvc_exp.config.schema import Penalty
from fvc_exp.config.store import read_config
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.evaluation.bootstrap import Interval, intervals
from fvc_exp.io.files import read_json, write_atomic, write_json
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.io.tables import parquet_bytes, read_own
from fvc_exp.runs.execute import prepared_dataset
from fvc_exp.runs.explain.coefficients import coefficient_stability
from fvc_exp.runs.explain.importance import feature_importance
from fvc_exp.runs.explain.path import RegularisationPath, regularisation_path
from fvc_exp.runs.explain.plots import path_figure
from fvc_exp.runs.explain.slice_scores import slice_scores
from fvc_exp.training.experiment import RunResult, run_experiment
from fvc_exp.training.split_dataset import SplitDataset

_TABLES = ("coefficients", "importance", "slices")


@dataclass(frozen=True)
class Insight:
    """Everything that ``explain`` finds; ``path`` is None where the run has no penalty.

    ``cv`` and ``test`` hold the intervals of all metrics, ``test`` none where nothing was held out.
    """

    run_id: str
    cv: dict[str, Interval]
    test: dict[str, Interval]
    coefficients: pl.DataFrame
    importance: pl.DataFrame
    slices: pl.DataFrame
    path: RegularisationPath | None


class InsightFolder:
    """Names of the files in ``insight/`` of a run; ``insight.json`` comes last and names the run."""

    def __init__(self, run: Path) -> None:
        self.run = RunFolder(run)
        self.path = run / "insight"
        self.summary = self.path / "insight.json"
        self.path_figure = self.path / "regularisation_path.svg"

    def table(self, name: str) -> Path:
        """The parquet file of a table."""
        return self.path / f"{name}.parquet"


def explain(path: Path, *, replicates: int, on_progress: Progress | None = None) -> Insight:
    """Train a finished run again from what it stored, find all insight, and write it into the run's folder.

    ``replicates`` is how often the coefficients are fitted to resampled groups.

    Raises:
        ArtifactError: the folder holds no finished training run, or cannot be written.
        DataError: the data is gone, or is not that of the run any more.
    """
    folder = InsightFolder(path)
    result = _again(folder.run)
    found = insight_of(result, read_json(folder.run.results), replicates, on_progress)
    write_insight(folder, found)
    return found


def insight_of(
    result: RunResult, results: dict[str, Any], replicates: int, on_progress: Progress | None = None
) -> Insight:
    """All insight into a run; ``results`` is what its ``results.json`` says."""
    predictions = result.predictions()
    has_path = result.config.penalty.name is not Penalty.none
    return Insight(
        run_id=results["run_id"],
        cv=intervals(predictions, "cv", results["fold_dependence"]),
        test=intervals(predictions, "test", 0.0) if len(result.split.test) else {},
        coefficients=coefficient_stability(result, replicates, on_progress=on_progress),
        importance=feature_importance(result, on_progress=on_progress),
        slices=slice_scores(predictions, result.dataset.ids, result.dataset.slices, results["fold_dependence"]),
        path=regularisation_path(result, on_progress=on_progress) if has_path else None,
    )


def write_insight(folder: InsightFolder, insight: Insight) -> None:
    """Write tables, the picture of the path, and last the summary.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        folder.path.mkdir(exist_ok=True)
        folder.summary.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(f"{folder.path}: cannot be written: {error.strerror}") from error
    for name in _TABLES:
        _write_parquet(folder.table(name), getattr(insight, name))
    if insight.path is not None:
        _write_parquet(folder.table("path_scores"), insight.path.scores)
        _write_parquet(folder.table("path_coefficients"), insight.path.coefficients)
        _write_svg(folder.path_figure, insight.path)
    write_json(folder.summary, _summary(insight))


def read_insight(path: Path) -> Insight | None:
    """What ``explain`` left in a run folder; None if it was never called, or for a run that stood there before.

    Raises:
        ArtifactError: a file is missing or broken.
    """
    folder = InsightFolder(path)
    if not folder.summary.exists():
        return None
    summary = read_json(folder.summary)
    if summary["run_id"] != read_json(folder.run.results)["run_id"]:
        return None
    path_of_c = None
    if (c := summary["path_C"]) is not None:
        tables = (_read_parquet(folder.table(name)) for name in ("path_scores", "path_coefficients"))
        path_of_c = RegularisationPath(c, *tables)
    return Insight(
        run_id=summary["run_id"],
        cv={name: Interval(**each) for name, each in summary["cv"].items()},
        test={name: Interval(**each) for name, each in summary["test"].items()},
        path=path_of_c,
        **{name: _read_parquet(folder.table(name)) for name in _TABLES},
    )


def _again(folder: RunFolder) -> RunResult:
    """The run's result once more, on its data and folds."""
    config, stored, results = read_config(folder.config), read_json(folder.provenance), read_json(folder.results)
    if "fold_dependence" not in results:
        raise ArtifactError(f"{folder.results}: 'fold_dependence' is missing; another version wrote it, run again")
    start = Path(stored["working_folder"])
    if not start.is_dir():
        raise ArtifactError(f"{start}: the run was started there, and its paths are relative to it; it is gone")
    with chdir(start):
        dataset = prepared_dataset(config)
        if (found := dataset.content_hash()) != stored["data_sha256"]:
            raise DataError(f"{config.data.root}: the data changed: sha256 was {stored['data_sha256']}, is {found}")
        with threadpool_limits(limits=1):  # as the run itself
            return run_experiment(config, SplitDataset.of(config, dataset))


def _summary(insight: Insight) -> dict[str, Any]:
    return {
        "run_id": insight.run_id,
        "cv": {name: asdict(each) for name, each in insight.cv.items()},
        "test": {name: asdict(each) for name, each in insight.test.items()},
        "path_C": insight.path.C if insight.path else None,
    }


def _write_parquet(path: Path, frame: pl.DataFrame) -> None:
    write_atomic(path, lambda file: file.write(parquet_bytes(frame)))


def _read_parquet(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise ArtifactError(f"{path}: is missing; explain the run again")
    return read_own(path)


def _write_svg(path: Path, found: RegularisationPath) -> None:
    figure = path_figure(found)
    with rc_context({"svg.hashsalt": "fvc-exp"}):  # equal runs give equal files
        write_atomic(path, lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
