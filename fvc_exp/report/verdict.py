"""Whether the numbers of a run can be trusted, and how they compare with floors: rules that use no feature."""

from dataclasses import dataclass
from typing import Any

from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.bootstrap import Interval, intervals
from fvc_exp.runs.compare import comparison, scored_run, ties
from fvc_exp.runs.load import LoadedRun
from fvc_exp.runs.show import SHOWN
from fvc_exp.training.notes import FLAGS

TITLES = {
    "auc": "AUC", "average_precision": "average precision", "f1": "F1 (fake)", "f1_real": "F1 (real)",
    "precision": "precision (fake)", "recall": "recall (fake)", "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy", "mcc": "MCC", "log_loss": "log loss", "brier": "Brier score",
}  # fmt: skip


@dataclass(frozen=True)
class MetricRow:
    """One metric: mean over the folds, its interval, the held-out test, and the score of each floor.

    ``relation`` says where the interval lies: ``above`` or ``below`` the best floor, ``around`` it, or None if there
    is no interval. Above means better, also where lower values are.
    """

    name: str
    title: str
    mean: float
    std: float | None
    interval: Interval | None
    test: float | None
    test_interval: Interval | None
    floors: dict[str, float]
    lower_is_better: bool

    @property
    def best_floor(self) -> str:
        """The floor that is hardest to beat."""
        return (min if self.lower_is_better else max)(self.floors, key=self.floors.__getitem__)

    @property
    def relation(self) -> str | None:
        """Where the interval lies relative to the best floor."""
        if self.interval is None:
            return None
        floor = self.floors[self.best_floor]
        if self.interval.low <= floor <= self.interval.high:
            return "around"
        return "above" if (self.interval.low > floor) != self.lower_is_better else "below"


@dataclass(frozen=True)
class Verdict:
    """The audit's verdict, and what may be claimed; ``grade`` is good, bad or open."""

    audit: str
    reasons: tuple[str, ...]
    not_checked: tuple[str, ...]
    probes: dict[str, dict[str, float]]
    null: dict[str, Any] | None
    grade: str
    claim: str
    flags: dict[str, str]
    notes: tuple[str, ...]


def metric_rows(files: LoadedRun) -> list[MetricRow]:
    """All metrics of a run, the headline first."""
    results, predictions = files.results, files.predictions if files.has("predictions") else None
    held_out: dict[str, float] = results["test"] or {}
    cv: dict[str, Interval] = {}
    test: dict[str, Interval] = {}
    if predictions is not None:
        cv = intervals(predictions, "cv", results["fold_dependence"], metrics=SHOWN)
        test = intervals(predictions, "test", 0.0, metrics=SHOWN) if held_out else {}
    return [
        MetricRow(
            name=name,
            title=TITLES[name],
            mean=results["cv"][name]["mean"],
            std=results["cv"][name]["std"],
            interval=cv.get(name),
            test=held_out.get(name),
            test_interval=test.get(name),
            floors={rule: scores[name] for rule, scores in results["floors"]["cv"].items()},
            lower_is_better=name in ties.LOWER_IS_BETTER,
        )
        for name in SHOWN
    ]


def verdict_of(files: LoadedRun) -> Verdict:
    """The audit of a run and what may be claimed of its scores."""
    summary = files.results["audit"]
    checks = files.audit.get("checks", {}) if files.has("audit") else {}
    grade, claim = _claim(files)
    return Verdict(
        audit=summary["verdict"],
        reasons=tuple(summary["reasons"]),
        not_checked=tuple(summary["not_checked"]),
        probes=checks.get("probes") or {},
        null=checks.get("null"),
        grade=grade,
        claim=claim,
        flags={code: FLAGS.get(code, "") for code in files.results["flags"]},
        notes=tuple(files.results["notes"]),
    )


def _claim(files: LoadedRun) -> tuple[str, str]:
    if files.results["audit"]["verdict"] == "FAIL":
        return "bad", "Its audit failed: training and test data are linked, so its scores prove nothing."
    if len(files.fold_records) < 2 or not files.has("predictions", "coefficients"):
        return "open", "No claim is made about its scores: it has a single fold, or files are missing."
    try:
        row = comparison.compare([scored_run.ScoredRun(files)]).rows[0]
    except ArtifactError as error:
        return "open", f"No claim is made about its scores: {error}"
    return claim_of(row.interval.estimate, row.floor, row.floor_p_value, beats=row.beats_floor)


def claim_of(auc: float, floor: float, p_value: float, *, beats: bool, note: str = "") -> tuple[str, str]:
    """Grade and sentence of a comparison with the best floor; ``note`` tells what the p-value takes into account."""
    p_text = f"p = {p_value:.3f}" if p_value >= 0.001 else "p < 0.001"
    numbers = f"AUC {auc:.3f} against {floor:.3f}, one-sided {p_text}{note}"
    if beats:
        return "good", f"Better than rules that use no feature ({numbers})."
    return "bad", f"Not shown to be better than rules that use no feature ({numbers})."
