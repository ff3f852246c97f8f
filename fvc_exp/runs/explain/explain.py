"""Insight into a run, stored in its folder: made on demand, and ignored when the folder holds a newer run."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fvc_exp._typing import Progress, no_progress
from fvc_exp.config.schema import Penalty
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.bootstrap import Interval, intervals
from fvc_exp.io import files, tables
from fvc_exp.runs import execute, load, plots
from fvc_exp.runs.explain import analysis
from fvc_exp.training import experiment

_TABLES = ("coefficients", "importance", "slices")
_WITH_INTERVAL = ("auc", "average_precision", "f1", "balanced_accuracy")
_MOST_FEATURES = 15
_FOLDER, _SUMMARY, PATH_FIGURE = "insight", "insight.json", "regularisation_path.svg"  # in a run's folder


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
    path: analysis.RegularisationPath | None

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self, dict_factory=_with_rows)

    def titled_tables(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Title and table, each in 80 columns: intervals, largest coefficients, slices, and the path over C.

        ``insight/`` holds all rows and columns.
        """
        scored = [(split, name, found[name]) for split, found in (("cv", self.cv), ("test", self.test))
                  for name in _WITH_INTERVAL if name in found]  # fmt: skip
        intervals = [{"split": split, "metric": name, **asdict(interval)} for split, name, interval in scored]
        yield "95 % intervals by groups", pl.DataFrame(intervals).select("split", "metric", "estimate", "low", "high")
        rows = self.coefficients.join(self.importance.drop("std"), on="feature", how="left", maintain_order="left")
        largest = rows.sort(pl.col("coefficient").abs(), descending=True, maintain_order=True).head(_MOST_FEATURES)
        title = f"largest {len(largest)} of {len(rows)} coefficients, 95 % intervals by groups; importance: fall of AUC"
        yield title, largest.select("feature", "coefficient", "low", "high", "importance")
        for split in self.slices["split"].unique(maintain_order=True):
            shown = self.slices.filter(split=split).select(
                "slice", "value", "groups", "accuracy", "^auc.*$"
            ).rename({"auc_low": "low", "auc_high": "high", "auc_against": "against"})  # fmt: skip
            yield f"slices ({split}); AUC with its 95 % interval, none below 6 groups of a class", shown
        if self.path is not None:
            yield f"regularisation path; C of the run is {self.path.C:g}", self.path.scores


@dataclass(frozen=True)
class _Summary:
    """The content of ``insight.json``."""

    run_id: str
    cv: dict[str, Interval]
    test: dict[str, Interval]
    path_c: float | None


def _with_rows(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: each.to_dicts() if isinstance(each, pl.DataFrame) else each for name, each in pairs}


def explain(
    path: Path, *, replicates: int, data_root: Path | None = None, on_progress: Progress = no_progress
) -> Insight:
    """Train a finished run again from what it stored, find all insight, and write it into the run's folder.

    ``replicates`` is how often the coefficients are fitted to resampled groups, ``data_root`` that of
    ``execute.dataset_of``.

    Raises:
        ArtifactError: the folder holds no finished training run, or cannot be written.
        DataError: the data is gone, or is not that of the run any more.
    """
    run = load.require_finished(path)
    again = execute.run_on_one_thread(run.config, execute.same_rows(run, data_root).without_price())
    found = insight_of(again, run.results, replicates, on_progress)
    write_insight(path, found)
    return found


def insight_of(
    result: experiment.RunResult, results: Mapping[str, Any], replicates: int, on_progress: Progress = no_progress
) -> Insight:
    """All insight into a run; ``results`` is what its ``results.json`` says."""
    predictions, dependence = result.predictions(), results["fold_dependence"]
    has_path = result.config.penalty.name is not Penalty.none
    return Insight(
        run_id=results["run_id"],
        cv=intervals(predictions, "cv", dependence),
        test=intervals(predictions, "test", 0.0) if len(result.split.test) else {},
        coefficients=analysis.coefficient_stability(result, replicates, on_progress=on_progress),
        importance=analysis.feature_importance(result, on_progress=on_progress),
        slices=analysis.slice_scores(predictions, result.dataset.ids, result.dataset.slices, dependence),
        path=analysis.regularisation_path(result, on_progress=on_progress) if has_path else None,
    )


def write_insight(run: Path, insight: Insight) -> None:
    """Write frames, the picture of the path, and the summary into a run's folder, in place of an earlier insight.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    frames = {name: getattr(insight, name) for name in _TABLES}
    with files.atomic_folder(run / _FOLDER) as path:
        if insight.path is not None:
            frames |= {"path_scores": insight.path.scores, "path_coefficients": insight.path.coefficients}
            files.write_bytes(path / PATH_FIGURE, plots.svg_bytes(plots.path_figure(insight.path), "path"))
        for name, table in frames.items():
            files.write_bytes(path / f"{name}.parquet", tables.parquet_bytes(table))
        summary = {name: value for name, value in insight.to_json().items() if name not in (*_TABLES, "path")}
        files.write_json(path / _SUMMARY, summary | {"path_c": insight.path.C if insight.path else None})


def read_insight(path: Path) -> Insight | None:
    """What ``explain`` wrote into a run folder; None if it was never called, or was called for an earlier run.

    Raises:
        ArtifactError: a file is missing or broken.
    """
    folder = path / _FOLDER
    if not (folder / _SUMMARY).exists():
        return None
    summary: _Summary = files.read_json(folder / _SUMMARY, _Summary, inside=path)
    if summary.run_id != load.LoadedRun(path).results["run_id"]:
        return None

    def table(name: str) -> pl.DataFrame:
        file = folder / f"{name}.parquet"
        return tables.read_run_table(file, files.read_bytes(file, inside=path))

    path_of_c = None
    if summary.path_c is not None:
        path_of_c = analysis.RegularisationPath(summary.path_c, table("path_scores"), table("path_coefficients"))
    frames = {name: table(name) for name in _TABLES}
    insight = Insight(summary.run_id, summary.cv, summary.test, **frames, path=path_of_c)
    try:
        list(insight.titled_tables())
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise ArtifactError(f"{folder}: is no insight of this version; explain the run again") from error
    return insight
