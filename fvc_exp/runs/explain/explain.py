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
from fvc_exp.io import files, run_folder, tables
from fvc_exp.runs import execute, load, plots
from fvc_exp.runs.explain import analysis
from fvc_exp.training import experiment

_TABLES = ("coefficients", "importance", "slices")
_WITH_INTERVAL = ("auc", "average_precision", "f1", "balanced_accuracy")
_MOST_FEATURES = 15


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

    def intervals_json(self) -> dict[str, Any]:
        """The run and its intervals as plain values."""
        cv, test = ({name: asdict(each) for name, each in split.items()} for split in (self.cv, self.test))
        return {"run_id": self.run_id, "cv": cv, "test": test}

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        frames = {name: getattr(self, name).to_dicts() for name in _TABLES}
        path = None
        if self.path is not None:
            scores, coefficients = self.path.scores.to_dicts(), self.path.coefficients.to_dicts()
            path = {"C": self.path.C, "scores": scores, "coefficients": coefficients}
        return {**self.intervals_json(), **frames, "path": path}

    def titled_tables(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """Title and table, each in 80 columns: intervals, largest coefficients, slices, and the path over C.

        ``insight/`` holds all rows and columns.
        """
        scored = [(split, name, found[name]) for split, found in (("cv", self.cv), ("test", self.test))
                  for name in _WITH_INTERVAL if name in found]  # fmt: skip
        intervals = [{"split": split, "metric": name, **asdict(interval)} for split, name, interval in scored]
        yield "95 % intervals by groups", pl.DataFrame(intervals).select("split", "metric", "estimate", "low", "high")
        joined = self.coefficients.join(self.importance.drop("std"), on="feature", how="left", maintain_order="left")
        largest = joined.sort(pl.col("coefficient").abs(), descending=True, maintain_order=True).head(_MOST_FEATURES)
        title = (
            f"largest {len(largest)} of {len(joined)} coefficients, 95 % intervals by groups; importance: fall of AUC"
        )
        yield title, largest.select("feature", "coefficient", "low", "high", "importance")
        for split in self.slices["split"].unique(maintain_order=True):
            shown = self.slices.filter(split=split).select(
                "slice", "value", "groups", "accuracy", "^auc.*$"
            ).rename({"auc_low": "low", "auc_high": "high", "auc_against": "against"})  # fmt: skip
            yield f"slices ({split}); AUC with its 95 % interval, none below 6 groups of a class", shown
        if self.path is not None:
            yield f"regularisation path; C of the run is {self.path.C:g}", self.path.scores


class InsightFolder:
    """Names of the files in ``insight/`` of a run; ``insight.json`` comes last and names the run."""

    def __init__(self, run: Path) -> None:
        self.path = run / "insight"
        self.summary = self.path / "insight.json"
        self.path_figure = self.path / "regularisation_path.svg"

    def table(self, name: str) -> Path:
        """The parquet file of a table."""
        return self.path / f"{name}.parquet"


def explain(path: Path, *, replicates: int, on_progress: Progress = no_progress) -> Insight:
    """Train a finished run again from what it stored, find all insight, and write it into the run's folder.

    ``replicates`` is how often the coefficients are fitted to resampled groups.

    Raises:
        ArtifactError: the folder holds no finished training run, or cannot be written.
        DataError: the data is gone, or is not that of the run any more.
    """
    run = load.require_finished(path)
    results = run.require_results("fold_dependence")
    again = execute.run_on_one_thread(run.config, execute.same_rows(run).without_price())
    found = insight_of(again, results, replicates, on_progress)
    write_insight(InsightFolder(path), found)
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


def write_insight(folder: InsightFolder, insight: Insight) -> None:
    """Write frames, the picture of the path, and last the summary.

    Raises:
        ArtifactError: the folder cannot be written.
    """
    try:
        folder.path.mkdir(exist_ok=True)
        folder.summary.unlink(missing_ok=True)
    except OSError as error:
        raise ArtifactError(f"{folder.path}: cannot be written: {error.strerror}") from error
    frames = {name: getattr(insight, name) for name in _TABLES}
    if insight.path is not None:
        frames |= {"path_scores": insight.path.scores, "path_coefficients": insight.path.coefficients}
        files.write_bytes(folder.path_figure, plots.svg_bytes(plots.path_figure(insight.path), "path"))
    for name, table in frames.items():
        files.write_bytes(folder.table(name), tables.parquet_bytes(table))
    files.write_json(folder.summary, insight.intervals_json() | {"path_C": insight.path.C if insight.path else None})


def read_insight(path: Path) -> Insight | None:
    """What ``explain`` wrote into a run folder; None if it was never called, or was called for an earlier run.

    Raises:
        ArtifactError: a file is missing or broken.
    """
    folder = InsightFolder(path)
    if not folder.summary.exists():
        return None
    summary = files.read_json(folder.summary)
    if summary["run_id"] != files.read_json(run_folder.RunFolder(path).results)["run_id"]:
        return None
    frames = {name: tables.read_run_table(folder.table(name)) for name in _TABLES}
    path_of_c = None
    if (c := summary["path_C"]) is not None:
        scores, coefficients = (
            tables.read_run_table(folder.table(f"path_{name}")) for name in ("scores", "coefficients")
        )
        path_of_c = analysis.RegularisationPath(c, scores, coefficients)
    cv, test = ({name: Interval(**each) for name, each in summary[split].items()} for split in ("cv", "test"))
    return Insight(summary["run_id"], cv, test, **frames, path=path_of_c)
