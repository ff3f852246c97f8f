"""Finished runs as candidates: read from their folders, and refused where their folds differ."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp.data.columns import KEY
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.metrics import METRICS
from fvc_exp.io.console import setting_text
from fvc_exp.runs.compare.ties import Candidate, TieSummary, tie_summary
from fvc_exp.runs.load import LoadedRun, require_finished

_LABEL = ("penalty", "C", "l1_ratio", "solver")
_MODEL = (*_LABEL, "features", "class_weight", "threshold", "calibration", "seed", "max_iter", "tol")
_FOLD_COLUMNS = ["split", "repeat", "fold", KEY, "group", "label"]


class ScoredRun(LoadedRun):
    """A finished run, with what a comparison needs of it."""

    @property
    def fails_audit(self) -> bool:
        """Whether its split leaks and ``audit.allow_fail`` was not set."""
        audit = self.results["audit"]
        return bool(audit["verdict"] == "FAIL" and not audit["allow_fail"])

    def candidate(self, metric: str, extra: Sequence[str] = ()) -> Candidate:
        """The run as a candidate; its label also holds the parameters named in ``extra``."""
        parameters, final = self.results["parameters"], self.results["final_model"]
        shown = [name for name in (*_LABEL, *extra) if parameters.get(name) is not None]
        return Candidate(
            name=self.name,
            label=" ".join(f"{name}={setting_text(parameters[name])}" for name in shown),
            scores=np.array([record[f"test_{metric}"] for record in self.fold_records]),
            nonzero=final["nonzero"],
            C=final["C"],
            penalty=parameters["penalty"],
        )


def read_scored_run(path: Path) -> ScoredRun:
    """Read one finished training run.

    Raises:
        ArtifactError: it is not finished, is no training run, or was written by another version.
    """
    require_finished(path)
    return ScoredRun(path)


def runs_of(paths: Sequence[Path]) -> list[ScoredRun]:
    """The runs of folders; of a sweep the finished ones, in the order of their names. A run named twice counts once.

    Raises:
        ArtifactError: a folder is neither a finished training run nor a sweep that has one.
    """
    found: dict[Path, ScoredRun] = {}
    for path in paths:
        members = sorted((path / "runs").glob("*/status.json")) or sorted(path.glob("*/status.json"))
        done = [member.parent for member in members if LoadedRun(member.parent).is_finished]
        if members and not done:
            raise ArtifactError(f"{path}: none of the {len(members)} runs of this sweep is finished")
        for folder in done or [path]:
            found[folder.resolve()] = read_scored_run(folder)
    # The best of a sweep is a copy of one of its runs.
    return [run for path, run in found.items() if path.parent / "runs" / run.results["run_id"] not in found]


def require_equal_folds(runs: Sequence[ScoredRun]) -> None:
    """Refuse runs that were not scored on the same rows in the same folds, by their ``folds.parquet``.

    Raises:
        ArtifactError: two of them differ; names both and the first video that they differ in.
    """
    content = runs[0].content("folds")
    for run in runs[1:]:
        if content == run.content("folds") or (first := _folds(runs[0])).equals(other := _folds(run)):
            continue
        only_one = [one.join(two, on=_FOLD_COLUMNS, how="anti", nulls_equal=True)
                    for one, two in ((first, other), (other, first))]  # fmt: skip
        video = pl.concat(only_one)[KEY][0]
        raise ArtifactError(
            f"{runs[0].path} and {run.path} were scored on different folds (video {video!r} for one): "
            "only runs with equal data, cv and seed can be compared"
        )


def compare_runs(runs: Sequence[ScoredRun], metric: str = "auc") -> TieSummary:
    """``tie_summary`` of run folders.

    Raises:
        ArtifactError: there is no run, folds differ, the metric is not known, or there are fewer than two folds.
    """
    if not runs:
        raise ArtifactError("there is no finished run to compare")
    if metric not in METRICS:
        raise ArtifactError(f"metric {metric!r} is not known; it must be one of {', '.join(METRICS)}")
    require_equal_folds(runs)
    settings = [run.results["parameters"] for run in runs]
    varying = (name for name in _MODEL if len({repr(each.get(name)) for each in settings}) > 1)
    extra = [name for name in varying if name not in _LABEL]
    folds = runs[0].fold_records
    repeats = runs[0].results["repeats"]
    return tie_summary(
        [run.candidate(metric, extra) for run in runs],
        metric=metric,
        folds=len({fold["fold"] for fold in folds}),
        test_train_ratio=float(np.mean([fold["n_test"] / fold["n_train"] for fold in folds])),
        distinct=len(folds) * int(repeats["distinct"]) // int(repeats["asked"]),
    )


def _folds(run: ScoredRun) -> pl.DataFrame:
    return run.folds.select(_FOLD_COLUMNS).sort(_FOLD_COLUMNS)
