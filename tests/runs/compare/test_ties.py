from typing import Any

import numpy as np
import pytest

from fvc_exp.config.schema import Choice
from fvc_exp.errors import ArtifactError
from fvc_exp.runs.compare.ties import Candidate, TieSummary, simplicity, tie_summary

BASE = np.array([0.70, 0.75, 0.72, 0.78, 0.74])
NOISE = np.array([0.004, -0.003, 0.002, -0.002, 0.001])


def candidate(name: str, scores: np.ndarray, **changes: Any) -> Candidate:
    settings = {"nonzero": 10, "c": 1.0, "penalty": "l2"} | changes
    return Candidate(name, f"config {name}", scores, settings["nonzero"], simplicity(**settings, name=name))


def summary(*candidates: Candidate, metric: str = "auc") -> TieSummary:
    return tie_summary(candidates, metric=metric, folds=5, test_train_ratio=0.25)


def names(found: TieSummary, attribute: str = "tied") -> set[str]:
    return {each.candidate.name for each in found.ranking if getattr(each, attribute)}


def test_what_differs_does_not_tie_and_what_does_not_ties() -> None:
    found = summary(candidate("good", BASE), candidate("like", BASE - 0.001 + NOISE), candidate("bad", BASE - 0.1))
    assert found.best.name == "good"
    assert names(found) == {"good", "like"}
    assert names(found, "within_one_se") == {"good", "like"}
    sentence = "2 of 3 configurations tie with the best, which is the simplest of them: config good (10 coefficients)"
    assert str(found) == sentence


@pytest.mark.parametrize(
    "simpler",
    [{"nonzero": 9, "c": 100.0, "penalty": "none"}, {"c": 0.5, "penalty": "none"}, {"penalty": "l1"}],
    ids=["fewer coefficients", "smaller C", "l1"],
)
def test_simplicity(simpler: dict[str, Any]) -> None:
    found = summary(candidate("best", BASE), candidate("simple", BASE - 0.001 + NOISE, **simpler))
    assert found.choose(Choice.best).name == "best"
    assert found.choose(Choice.tied).name == found.choose(Choice.one_se).name == "simple"
    assert "; the simplest tied one is config simple (" in str(found)


def test_equal_scores_tie_and_are_ranked_by_simplicity() -> None:
    found = summary(
        candidate("no C", BASE, c=None, penalty="l1"),
        *(candidate(name, BASE, penalty=name) for name in ("none", "l2", "elasticnet", "l1")),
    )
    assert [each.candidate.name for each in found.ranking] == ["l1", "elasticnet", "l2", "none", "no C"]
    assert {(each.difference, each.p_value, each.tied) for each in found.ranking} == {(0.0, 1.0, True)}


def test_a_constant_ties_but_is_no_choice() -> None:
    varying = np.array([0.5, 0.7, 0.45, 0.62, 0.56])
    constant = candidate("constant", np.full(5, 0.5), nonzero=0, penalty="l1")
    found = summary(candidate("best", varying), candidate("small", varying - 0.01, nonzero=2), constant)
    assert "constant" in names(found)
    assert found.choose(Choice.tied).name == "best"  # "small" differs by the same in every fold
    assert "2 of 3 configurations tie with the best (1 without any coefficient), which" in str(found)
    alone = summary(constant)
    assert alone.choose(Choice.tied).name == "constant"
    assert str(alone) == "only one configuration: config constant"


def test_the_one_standard_error_rule_by_hand() -> None:
    error = BASE.std(ddof=1) / np.sqrt(5)
    inside, outside = BASE - 0.999 * error, BASE - 1.001 * error
    found = summary(candidate("best", BASE), candidate("in", inside, nonzero=3), candidate("out", outside, nonzero=1))
    assert found.choose(Choice.one_se).name == "in"
    assert names(found) == {"best"}  # the same in every fold, so they differ from it


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_where_less_is_better(metric: str) -> None:
    found = summary(candidate("low", BASE - 0.2), candidate("high", BASE), metric=metric)
    assert found.best.name == "low"
    assert found.ranking[1].difference == pytest.approx(0.2)
    assert names(found, "within_one_se") == {"low"}


def test_more_comparisons_make_ties() -> None:
    """Holm: a difference that one test would find may be chance among thirty."""
    almost = candidate("almost", BASE - 0.012 + 1.8 * NOISE)
    others = [candidate(f"copy{number}", BASE) for number in range(29)]
    assert names(summary(candidate("best", BASE), almost)) == {"best"}
    assert "almost" in names(summary(candidate("best", BASE), almost, *others))


def test_one_fold_cannot_be_compared() -> None:
    with pytest.raises(ArtifactError, match="a has the scores of 1 fold; a comparison needs at least 2"):
        summary(candidate("a", np.array([0.7])))


def test_configurations_without_a_true_difference_seldom_differ() -> None:
    """Eight noisy copies of one truth, the best one chosen by its score: rarely is another one told from it."""
    random = np.random.default_rng(0)
    differ = 0
    for _ in range(200):
        shared = random.normal(0.7, 0.05, size=5)
        found = summary(*(candidate(str(number), shared + random.normal(0, 0.02, size=5)) for number in range(8)))
        differ += found.n_tied < 8
    assert differ <= 200 * 0.05 + 2 * np.sqrt(200 * 0.05 * 0.95)
