"""Insight into a run as files beside it: made on demand, and ignored once another run stands in the folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp._typing import Progress
from fvc_exp.config.schema import Penalty
from fvc_exp.errors import ArtifactError, DataError
from fvc_exp.evaluation.bootstrap import Interval, intervals
from fvc_exp.io import files
from fvc_exp.io.run_folder import RunFolder
from fvc_exp.io.tables import parquet_bytes, read_own
from fvc_exp.runs.execute import dataset_of, run_on_one_thread
from fvc_exp.runs.explain.coefficients import coefficient_stability, feature_importance
from fvc_exp.runs.explain.path import RegularisationPath, regularisation_path
from fvc_exp.runs.explain.slice_scores import slice_scores
from fvc_exp.runs.load import LoadedRun, require_finished
from fvc_exp.runs.plots import path_figure, svg_bytes
from fvc_exp.training.experiment import RunResult
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

    def intervals_json(self) -> dict[str, Any]:
        """The run and its intervals as plain values."""
        cv, test = ({name: asdict(each) for name, each in split.items()} for split in (self.cv, self.test))
        return {"run_id": self.run_id, "cv": cv, "test": test}

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        tables = {name: getattr(self, name).to_dicts() for name in _TABLES}
        path = None
        if self.path is not None:
            scores, coefficients = self.path.scores.to_dicts(), self.path.coefficients.to_dicts()
            path = {"C": self.path.C, "scores": scores, "coefficients": coefficients}
        return {**self.intervals_json(), **tables, "path": path}


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
    run = require_finished(path)
    results = run.require_results("fold_dependence")
    found = insight_of(_again(run), results, replicates, on_progress)
    write_insight(InsightFolder(path), found)
    return found


def insight_of(
    result: RunResult, results: Mapping[str, Any], replicates: int, on_progress: Progress | None = None
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
    tables = {name: getattr(insight, name) for name in _TABLES}
    if insight.path is not None:
        tables |= {"path_scores": insight.path.scores, "path_coefficients": insight.path.coefficients}
        files.write_bytes(folder.path_figure, svg_bytes(path_figure(insight.path), "path"))
    for name, table in tables.items():
        files.write_bytes(folder.table(name), parquet_bytes(table))
    files.write_json(folder.summary, insight.intervals_json() | {"path_C": insight.path.C if insight.path else None})


def read_insight(path: Path) -> Insight | None:
    """What ``explain`` left in a run folder; None if it was never called, or was called for an earlier run.

    Raises:
        ArtifactError: a file is missing or broken.
    """
    folder = InsightFolder(path)
    if not folder.summary.exists():
        return None
    summary = files.read_json(folder.summary)
    if summary["run_id"] != files.read_json(folder.run.results)["run_id"]:
        return None
    tables = {name: _read_parquet(folder.table(name)) for name in _TABLES}
    path_of_c = None
    if (c := summary["path_C"]) is not None:
        scores, coefficients = (_read_parquet(folder.table(f"path_{name}")) for name in ("scores", "coefficients"))
        path_of_c = RegularisationPath(c, scores, coefficients)
    cv, test = ({name: Interval(**each) for name, each in summary[split].items()} for split in ("cv", "test"))
    return Insight(summary["run_id"], cv, test, **tables, path=path_of_c)


def _again(run: LoadedRun) -> RunResult:
    """The run's result once more, on its data and folds."""
    dataset, before = dataset_of(run), run.provenance["data_sha256"]
    if (found := dataset.content_hash()) != before:
        raise DataError(f"{run.config.data.root}: the data changed: sha256 was {before}, is {found}")
    return run_on_one_thread(run.config, SplitDataset.of(run.config, dataset))


def _read_parquet(path: Path) -> pl.DataFrame:
    if not path.exists():
        raise ArtifactError(f"{path}: is missing; explain the run again")
    return read_own(path)
