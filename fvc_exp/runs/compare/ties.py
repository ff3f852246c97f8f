"""The ranking of configurations, which of them cannot be told from the best one, and the simplest of these."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fvc_exp._typing import Array
from fvc_exp.config.schema import Choice
from fvc_exp.data.columns import KEY
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.metrics import METRICS, direction
from fvc_exp.evaluation.statistics import ALPHA, corrected_t_test, holm, standard_error
from fvc_exp.io.console import setting_text
from fvc_exp.runs.load import LoadedRun, require_finished

_PENALTIES = ("l1", "elasticnet", "l2", "none")
_LABEL = ("penalty", "C", "l1_ratio", "solver")
_MODEL = (*_LABEL, "features", "class_weight", "threshold", "calibration", "seed", "max_iter", "tol")
_FOLD_COLUMNS = ["split", "repeat", "fold", KEY, "group", "label"]

Simplicity = tuple[float, float, int, str]


def simplicity(nonzero: int, c: float | None, penalty: str, name: str) -> Simplicity:
    """Sort key, the simplest first: fewer coefficients, then smaller C, then l1, elastic net, l2, none; then names.

    ``c`` is None where there is no penalty.
    """
    return nonzero, math.inf if c is None else c, _PENALTIES.index(penalty), name


def ranking_key(mean: float, simple: Simplicity, metric: str = "auc") -> tuple[float, Simplicity]:
    """Sort key of the one ranking, the best first: by mean score over the folds, of equal ones the simplest first."""
    return -direction(metric) * mean, simple


@dataclass(frozen=True, eq=False)
class Candidate:
    """A configuration and its score per fold (J,), in the order of the folds.

    ``nonzero`` counts the coefficients of the final model that are not zero, without the intercept.
    """

    name: str
    label: str
    scores: Array
    nonzero: int
    simplicity: Simplicity

    @property
    def mean(self) -> float:
        """Mean score over the folds."""
        return float(self.scores.mean())

    def describe(self) -> str:
        """Its settings and how many coefficients it uses."""
        return f"{self.label} ({self.nonzero} coefficient{'' if self.nonzero == 1 else 's'})"


@dataclass(frozen=True)
class RankedCandidate:
    """A candidate compared with the best one: difference of the means, adjusted p-value, and whether it ties."""

    candidate: Candidate
    difference: float
    p_value: float
    within_one_se: bool

    @property
    def tied(self) -> bool:
        """Whether no difference from the best one is shown, at 5 % for all configurations together."""
        return self.p_value >= ALPHA


@dataclass(frozen=True)
class TieSummary:
    """All configurations, the best first; ``simplest`` is the simplest tied one, ``one_se`` that within one SE.

    A model without coefficients is a constant, so neither of the two is one as long as there is another.
    """

    metric: str
    ranking: tuple[RankedCandidate, ...]
    simplest: Candidate
    one_se: Candidate

    @property
    def best(self) -> Candidate:
        """The one with the best mean; of equal ones the simplest."""
        return self.ranking[0].candidate

    @property
    def n_tied(self) -> int:
        """How many tie, the best one among them."""
        return sum(each.tied for each in self.ranking)

    def choose(self, choice: Choice) -> Candidate:
        """The configuration that a rule chooses."""
        return {Choice.best: self.best, Choice.tied: self.simplest, Choice.one_se: self.one_se}[choice]

    def __str__(self) -> str:
        """The conclusion about the ranking, in one sentence."""
        if len(self.ranking) == 1:
            return f"only one configuration: {self.best.label}"
        constants = sum(each.tied and not each.candidate.nonzero for each in self.ranking)
        start = f"{self.n_tied} of {len(self.ranking)} configurations tie with the best"
        start += f" ({constants} without any coefficient)" if constants else ""
        if self.simplest is self.best:
            return f"{start}, which is the simplest of them: {self.best.describe()}"
        return f"{start}; the simplest tied one is {self.simplest.describe()}"


def tie_summary(
    candidates: Sequence[Candidate], *, metric: str, folds: int, test_train_ratio: float, distinct: int | None = None
) -> TieSummary:
    """Compare every configuration with the best by the corrected resampled t-test, adjusted by Holm's method.

    A configuration ties unless its adjusted p-value is below 0.05. ``folds`` is their number per repeat, ``distinct``
    that of different ones in all repeats (None: they all differ), ``test_train_ratio`` is test rows / training rows.
    The scores must be of equal folds: see ``compare_runs``.

    Raises:
        ArtifactError: there are fewer than two folds.
    """
    if (found := distinct or len(candidates[0].scores)) < 2:
        raise ArtifactError(f"{candidates[0].name} has the scores of {found} fold; a comparison needs at least 2")
    ordered = sorted(candidates, key=lambda each: ranking_key(each.mean, each.simplicity, metric))
    best = ordered[0]
    error = standard_error(best.scores, folds)
    raw = np.array([corrected_t_test(each.scores - best.scores, test_train_ratio, distinct) for each in ordered[1:]])
    ranking = []
    for each, p_value in zip(ordered, [1.0, *holm(raw).tolist()], strict=True):
        difference = each.mean - best.mean
        ranking.append(RankedCandidate(each, difference, p_value, direction(metric) * difference >= -error))
    return TieSummary(
        metric=metric,
        ranking=tuple(ranking),
        simplest=_simplest([each.candidate for each in ranking if each.tied]),
        one_se=_simplest([each.candidate for each in ranking if each.within_one_se]),
    )


def _simplest(candidates: Sequence[Candidate]) -> Candidate:
    return min([each for each in candidates if each.nonzero] or candidates, key=lambda each: each.simplicity)


def runs_of(paths: Sequence[Path]) -> list[LoadedRun]:
    """The runs of folders; of a sweep the finished ones, in the order of their names. A run named twice counts once.

    Raises:
        ArtifactError: a folder is neither a finished training run nor a sweep that has one.
    """
    found: dict[Path, LoadedRun] = {}
    for path in paths:
        members = sorted((path / "runs").glob("*/status.json")) or sorted(path.glob("*/status.json"))
        done = [run for member in members if (run := LoadedRun(member.parent)).is_finished]
        if members and not done:
            raise ArtifactError(f"{path}: none of the {len(members)} runs of this sweep is finished")
        for run in done or [require_finished(path)]:
            found[run.path.resolve()] = run
    # The best of a sweep is a copy of one of its runs.
    return [run for path, run in found.items() if path.parent / "runs" / run.results["run_id"] not in found]


def require_equal_folds(runs: Sequence[LoadedRun]) -> None:
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


def compare_runs(runs: Sequence[LoadedRun], metric: str = "auc") -> TieSummary:
    """``tie_summary`` of run folders.

    Raises:
        ArtifactError: there is no run, a file of one is missing, folds differ, the metric is not known, or there are
            fewer than two folds.
    """
    if not runs:
        raise ArtifactError("there is no finished run to compare")
    if metric not in METRICS:
        raise ArtifactError(f"metric {metric!r} is not known; it must be one of {', '.join(METRICS)}")
    for run in runs:
        run.require_files()
    require_equal_folds(runs)
    settings = [run.results["parameters"] for run in runs]
    varying = (name for name in _MODEL if len({repr(each.get(name)) for each in settings}) > 1)
    extra = [name for name in varying if name not in _LABEL]
    folds, repeats = runs[0].fold_records, runs[0].results["repeats"]
    return tie_summary(
        [candidate(run, metric, extra) for run in runs],
        metric=metric,
        folds=len({fold["fold"] for fold in folds}),
        test_train_ratio=float(np.mean([fold["n_test"] / fold["n_train"] for fold in folds])),
        distinct=len(folds) * int(repeats["distinct"]) // int(repeats["asked"]),
    )


def candidate(run: LoadedRun, metric: str, extra: Sequence[str] = ()) -> Candidate:
    """The run as a candidate; its label also holds the parameters named in ``extra``."""
    parameters, final = run.results["parameters"], run.results["final_model"]
    shown = [name for name in (*_LABEL, *extra) if parameters.get(name) is not None]
    return Candidate(
        name=run.name,
        label=" ".join(f"{name}={setting_text(parameters[name])}" for name in shown),
        scores=np.array([record[f"test_{metric}"] for record in run.fold_records]),
        nonzero=final["nonzero"],
        simplicity=simplicity(final["nonzero"], final["C"], parameters["penalty"], run.name),
    )


def _folds(run: LoadedRun) -> pl.DataFrame:
    return run.folds.select(_FOLD_COLUMNS).sort(_FOLD_COLUMNS)
