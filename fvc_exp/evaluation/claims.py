"""The one comparison of a model with the best floor: rules that use no feature, scored on the same rows.

``fvc compare``, ``results.json``, the report and the console all have it from here. It asks whether this model, as
fitted and scored, is better than the best rule without features. The permutation test of the audit asks another
question: whether ridge regression on these features and folds finds more in the labels than in permuted ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from fvc_exp.config.schema import Choice
from fvc_exp.data.folds import CV
from fvc_exp.evaluation import bootstrap, floors, metrics, resampled, statistics

QUESTIONS = (
    "This p-value asks whether the model is better than the best floor; that of random labels, in the audit, asks "
    "whether ridge regression learns more from the real labels than from permuted ones."
)
CHANCE = "chance"
_UNPROVEN = {
    "FAIL": "its audit failed, training and test data are linked, so its scores prove nothing",
    "UNCHECKED": "groups are unknown",
}


@dataclass(frozen=True)
class FloorClaim:
    """A score minus that of the best floor, with the sign by which more than 0 is better for every metric.

    ``low`` and ``high`` are the interval of the difference, of 90 % for a model that was not chosen, and ``p_value``
    is the one-sided p-value of no improvement: the interval lies above 0 exactly where the p-value is below 0.05. Both
    allow for the ``selected_from`` configurations that the model was chosen from by this score (Bonferroni).
    ``standard_error`` is that of the score alone, for ``bootstrap.interval_of``.
    """

    metric: str
    score: float
    floor: str
    floor_score: float
    difference: float
    low: float
    high: float
    p_value: float
    selected_from: int = 1
    standard_error: float = math.nan

    @property
    def beats(self) -> bool:
        """Whether the model is shown to be better than the best floor."""
        return self.p_value < statistics.ALPHA

    @property
    def sentence(self) -> str:
        """The result in words."""
        start = "Better than" if self.beats else "Not shown to be better than"
        p_text = f"p = {self.p_value:.3f}" if self.p_value >= 0.001 else "p < 0.001"
        chosen = f" as one of {self.selected_from} configurations" if self.selected_from > 1 else ""
        title = metrics.TITLES.get(self.metric, self.metric)
        numbers = f"{title} {self.score:.3f} against {self.floor_score:.3f} of {self.floor}"
        found = f"difference {self.difference:+.3f}, one-sided {p_text}{chosen}"
        return f"{start} rules that use no feature ({numbers}; {found})."


class Floors:
    """The floors of scored rows, and what comparing models of these rows with them has in common.

    Groups are resampled, and model and floor scored on the same draws. The standard error of the difference is that
    under no signal, when the models follow nothing but their training rows (Nadeau and Bengio, see ``bootstrap``); of
    ``bootstrap.draws_of`` for many groups.

    Raises:
        ArtifactError: the rows lack the probabilities of the floors.
    """

    def __init__(self, scored: resampled.Scored, names: Sequence[str]) -> None:
        self._counts = scored.group_counts
        if self._counts.reason:
            return
        parts = [resampled.GroupCounts.of(scored.y[part], scored.groups[part]) for part in scored.masks]
        is_coarse = any(part.reason for part in parts)
        self._names = [name for name in names if name != "mcc" or not is_coarse]
        self._draws = bootstrap.draws_of(scored)
        self._rules = {rule: self._draws.scores(rows, self._names) for rule, rows in scored.by_rules().items()}
        self._widening = np.sqrt(1 + bootstrap.no_signal_dependence(scored.folds))

    def claims(self, scored: resampled.Scored, *, selected_from: int = 1) -> dict[str, FloorClaim]:
        """Compare each metric of a model with the best floor.

        Returns nothing where the groups are too few for an interval, and no MCC where a fold has fewer than
        ``FEWEST_GROUPS`` of a class: it has so few values there that its standard error comes out too small.
        """
        if self._counts.reason:
            return {}
        drawn, by_chance = self._draws.scores(scored, self._names), chance(scored, self._names)
        found = {}
        for name in self._names:
            sign, score = metrics.direction(name), float(drawn[name][0])
            floors = {rule: float(scores[name][0]) for rule, scores in self._rules.items()} | {CHANCE: by_chance[name]}
            floor = max(floors, key=lambda rule: sign * floors[rule])
            # Chance has no rows of its own; what it varies with, the share of fakes, is what the prior varies with.
            of_floor = self._rules["prior" if floor == CHANCE else floor][name]
            error = float(self._widening * resampled.replicate_error(drawn[name] - of_floor))
            difference = sign * (score - floors[floor])
            test = statistics.difference_test(difference, error, self._counts.effective - 2, selected_from)
            own_error = resampled.replicate_error(drawn[name])
            found[name] = FloorClaim(name, score, floor, floors[floor], difference, *test, selected_from, own_error)
        return found


def claim_against_floor(predictions: pl.DataFrame, metric: str = "auc", *, selected_from: int = 1) -> FloorClaim | None:
    """``Floors.claims`` of one metric and the out-of-fold rows of ``predictions.parquet``; None without one.

    Raises:
        ArtifactError: the predictions hold no such row, or not those of the floors.
    """
    scored = resampled.Scored.from_predictions(predictions, CV)
    return Floors(scored, (metric,)).claims(scored, selected_from=selected_from).get(metric)


def refusal(claim: FloorClaim | None, verdict: str) -> str:
    """Why nothing may be claimed of scores whose audit had this verdict; empty if something may."""
    if verdict in _UNPROVEN:
        return _UNPROVEN[verdict]
    if claim is None:
        return f"fewer than {resampled.FEWEST_GROUPS} groups of a class were scored"
    if claim.difference > 0 and claim.low == claim.high:
        return f"{metrics.TITLES[claim.metric]} is {claim.score:.3f} in every resample, so there is no p-value"
    return ""


def claim_json(claim: FloorClaim | None, verdict: str) -> dict[str, Any]:
    """Plain values for ``results.json``: the numbers if there are any, and what may be claimed under this verdict.

    ``beats`` is None, and ``sentence`` says why, where nothing may be claimed.
    """
    why = refusal(claim, verdict)
    if claim is None or why:
        numbers = asdict(claim) if claim else {}
        return {**numbers, "beats": None, "sentence": f"No claim is made about its scores: {why}."}
    return {**asdict(claim), "beats": claim.beats, "sentence": claim.sentence}


@dataclass(frozen=True)
class Selection:
    """From how many configurations a run was chosen by mean AUC, and whether its C is at the edge of those tried."""

    of: int
    edge_of_grid: bool = False
    choice: Choice = Choice.best

    def applied(self, results: Mapping[str, Any], predictions: pl.DataFrame) -> dict[str, Any]:
        """The content of ``results.json`` of the chosen run: its claim is that of the best of so many.

        Nothing changes where there was nothing to choose from.
        """
        if self.of == 1:
            return dict(results)
        claim = claim_against_floor(predictions, "auc", selected_from=self.of)
        flags = dict.fromkeys((*results["flags"], *(["edge_of_grid"] if self.edge_of_grid else [])))
        found = {"of": self.of, "by": "auc", "p_value": claim.p_value if claim else None}
        found |= {"edge_of_grid": self.edge_of_grid, "sentence": self._sentence(results)}
        made = claim_json(claim, results["audit"]["verdict"])
        return {**results, "claim": made, "flags": list(flags), "selection": found}

    def _sentence(self, results: Mapping[str, Any]) -> str:
        test, mean = results["test"], results["cv"]["auc"]["mean"]
        held_out = f"Held-out AUC {test['auc']:.3f}, not used for the choice" if test else "No rows were held out"
        what = "Best" if self.choice is Choice.best else "Simplest near the best"
        return f"{held_out}. {what} of {self.of} configurations by cross-validated AUC: its {mean:.3f} is optimistic."


def rule_scores(scored: resampled.Scored) -> dict[str, metrics.Scores]:
    """Mean metrics over the parts of each baseline rule, on the rows that a model was scored on.

    Raises:
        ArtifactError: the rows lack the probabilities of the floors.
    """
    draws = resampled.Draws(scored, np.ones((len(scored.strata), 1)))
    exact = {rule: draws.scores(rows, metrics.METRICS) for rule, rows in scored.by_rules().items()}
    return {rule: {name: float(scores[name][0]) for name in scores} for rule, scores in exact.items()}


def chance(scored: resampled.Scored, names: Sequence[str] = metrics.METRICS) -> metrics.Scores:
    """What the scores of a model reach on permuted labels, see ``chance_scores``; the last of the floors."""
    if tuple(names) == ("auc",):  # the most frequent question; the rest takes longer than the model's own scores
        return {"auc": 0.5}
    y, groups = scored.y, scored.groups
    parts = [floors.chance_scores(y[i], scored.probability[i], scored.predicted[i], groups[i]) for i in scored.masks]
    by_chance = metrics.summarise(parts)
    return {name: by_chance[name]["mean"] for name in names}
