"""Whether the numbers of a run can be trusted, and how they compare with floors: rules that use no feature."""

from dataclasses import dataclass
from typing import Any

from fvc_exp.evaluation import metrics, resampled
from fvc_exp.evaluation.bootstrap import Interval, intervals
from fvc_exp.evaluation.claims import FloorClaim, Floors
from fvc_exp.evaluation.leakage.certificate import number_lines
from fvc_exp.runs import load, show
from fvc_exp.training.notes import FLAGS

_GRADES = {True: "good", False: "bad", None: "open"}
JUDGED = ("auc", "average_precision", "log_loss", "brier", "balanced_accuracy", "mcc")  # against floors in words


@dataclass(frozen=True)
class MetricRow:
    """One metric: mean over the folds, its interval, the held-out test, and the score of each floor.

    ``claim`` compares it with the best floor on the same rows, None if that cannot be made. ``relation`` is what it
    found, in words: ``above`` or ``below`` the best floor, or ``around`` it. Above means better, also where lower
    values are. It is None for metrics that one can have in full without any skill, such as recall.
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
    claim: FloorClaim | None

    @property
    def best_floor(self) -> str:
        """The floor that is hardest to beat."""
        return (min if self.lower_is_better else max)(self.floors, key=self.floors.__getitem__)

    @property
    def relation(self) -> str | None:
        """What the comparison with the best floor found."""
        if self.claim is None:
            return None
        return "above" if self.claim.beats else "below" if self.claim.is_worse else "around"


def metric_rows(files: load.LoadedRun) -> list[MetricRow]:
    """All metrics of a run, the headline first."""
    results, predictions = files.results, files.predictions if files.has("predictions") else None
    held_out: dict[str, float] = results["test"] or {}
    cv: dict[str, Interval] = {}
    test: dict[str, Interval] = {}
    claims: dict[str, FloorClaim] = {}
    if predictions is not None:
        cv = intervals(predictions, "cv", results["fold_dependence"], metrics=show.SHOWN)
        test = intervals(predictions, "test", 0.0, metrics=show.SHOWN) if held_out else {}
        scored = resampled.Scored.from_predictions(predictions, "cv")
        claims = Floors(scored, JUDGED).claims(scored, selected_from=files.selected_from)
    return [
        MetricRow(
            name=name,
            title=metrics.TITLES[name],
            mean=results["cv"][name]["mean"],
            std=results["cv"][name]["std"],
            interval=cv.get(name),
            test=held_out.get(name),
            test_interval=test.get(name),
            floors={rule: scores[name] for rule, scores in results["floors"]["cv"].items()},
            lower_is_better=name in metrics.LOWER_IS_BETTER,
            claim=claims.get(name),
        )
        for name in show.SHOWN
    ]


def verdict_of(files: load.LoadedRun) -> dict[str, Any]:
    """What may be claimed of a run, and how sure one can be: the ``grade`` good, bad or open.

    ``numbers`` says what the checks have measured. ``flags`` has for each code what it means and which models raise it.
    """
    results = files.results
    audit, claim, selection = results["audit"], results["claim"], results["selection"]
    details = dict.fromkeys(results["flags"], "") | results["flag_details"]
    checks = files.audit["checks"] if files.has("audit") else {}
    return {
        "numbers": tuple(number_lines(checks)),
        "grade": "bad" if audit["verdict"] == "FAIL" else _GRADES[claim["beats"]],
        "claim": f"{selection['sentence']} {claim['sentence']}" if selection else claim["sentence"],
        "flags": {code: f"{FLAGS[code]} {models and f'({models})'}".strip() for code, models in details.items()},
    }
