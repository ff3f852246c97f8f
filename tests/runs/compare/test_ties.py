from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fvc_exp.config.schema import Choice
from fvc_exp.errors import ArtifactError
from fvc_exp.runs.compare.ties import Contender, TieSummary, tie_summary

BASE = np.array([0.70, 0.75, 0.72, 0.78, 0.74])
NOISE = np.array([0.004, -0.003, 0.002, -0.002, 0.001])


def contender(name: str, scores: np.ndarray, **changes: Any) -> Contender:
    settings = {"label": f"config {name}", "nonzero": 10, "C": 1.0, "penalty": "l2"} | changes
    return Contender(name, scores=scores, **settings)


def summary(*contenders: Contender, metric: str = "auc") -> TieSummary:
    return tie_summary(contenders, metric=metric, folds=5, test_train_ratio=0.25)


def names(found: TieSummary, attribute: str = "tied") -> set[str]:
    return {each.contender.name for each in found.standings if getattr(each, attribute)}


def test_what_differs_does_not_tie_and_what_does_not_ties() -> None:
    found = summary(contender("good", BASE), contender("like", BASE - 0.001 + NOISE), contender("bad", BASE - 0.1))
    assert found.best.name == "good"
    assert names(found) == {"good", "like"}
    assert names(found, "within_one_se") == {"good", "like"}
    assert found.sentence() == (
        "2 of 3 configurations tie with the best, which is the simplest of them: config good (10 coefficients)"
    )


def test_two_copies_of_one_configuration_never_differ() -> None:
    found = summary(*(contender(name, BASE.copy()) for name in "abcdefgh"))
    assert names(found) == set("abcdefgh")
    assert {(each.difference, each.p_value) for each in found.standings} == {(0.0, 1.0)}


@pytest.mark.parametrize(
    "simpler",
    [{"nonzero": 9, "C": 100.0, "penalty": "none"}, {"C": 0.5, "penalty": "none"}, {"penalty": "l1"},
     {"penalty": "elasticnet"}],
    ids=["fewer coefficients", "smaller C", "l1", "elastic net"],
)  # fmt: skip
def test_simplicity(simpler: dict[str, Any]) -> None:
    found = summary(contender("best", BASE), contender("simple", BASE - 0.001 + NOISE, **simpler))
    assert found.choose(Choice.best).name == "best"
    assert found.choose(Choice.tied).name == found.choose(Choice.one_se).name == "simple"
    assert "; the simplest tied one is config simple (" in found.sentence()


def test_no_penalty_is_the_least_simple() -> None:
    found = summary(contender("none", BASE, C=math.inf, penalty="none"), contender("l2", BASE, C=1e6))
    assert [each.contender.name for each in found.standings] == ["l2", "none"]


def test_a_constant_ties_but_is_no_choice() -> None:
    varying = np.array([0.5, 0.7, 0.45, 0.62, 0.56])
    constant = contender("constant", np.full(5, 0.5), nonzero=0, penalty="l1")
    found = summary(contender("best", varying), contender("small", varying - 0.01, nonzero=2), constant)
    assert "constant" in names(found)
    assert found.choose(Choice.tied).name == "best"  # "small" differs by the same in every fold
    assert "2 of 3 configurations tie with the best (1 without any coefficient), which" in found.sentence()
    alone = summary(constant)
    assert alone.choose(Choice.tied).name == "constant"
    assert alone.sentence() == "only one configuration: config constant"


def test_the_one_standard_error_rule_by_hand() -> None:
    error = BASE.std(ddof=1) / np.sqrt(5)
    inside, outside = BASE - 0.999 * error, BASE - 1.001 * error
    found = summary(contender("best", BASE), contender("in", inside, nonzero=3), contender("out", outside, nonzero=1))
    assert found.choose(Choice.one_se).name == "in"
    assert names(found) == {"best"}  # the same in every fold, so they differ from it


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_where_less_is_better(metric: str) -> None:
    found = summary(contender("low", BASE - 0.2), contender("high", BASE), metric=metric)
    assert found.best.name == "low"
    assert found.standings[1].difference == pytest.approx(0.2)
    assert names(found, "within_one_se") == {"low"}


def test_more_comparisons_make_ties() -> None:
    """Holm: a difference that one test would find may be chance among thirty."""
    almost = contender("almost", BASE - 0.012 + 1.8 * NOISE)
    others = [contender(f"copy{number}", BASE) for number in range(29)]
    assert names(summary(contender("best", BASE), almost)) == {"best"}
    assert "almost" in names(summary(contender("best", BASE), almost, *others))


@pytest.mark.parametrize(
    ("contenders", "message"),
    [([], "no configuration"), ([contender("a", np.array([0.7]))], "a has the scores of 1 fold; .* at least 2")],
    ids=["none", "one fold"],
)
def test_what_cannot_be_compared(contenders: list[Contender], message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        summary(*contenders)


def test_configurations_without_a_true_difference_seldom_differ() -> None:
    """Eight noisy copies of one truth, the best one chosen by its score: rarely is another one told from it."""
    random = np.random.default_rng(0)
    differ = 0
    for _ in range(200):
        shared = random.normal(0.7, 0.05, size=5)
        found = summary(*(contender(str(number), shared + random.normal(0, 0.02, size=5)) for number in range(8)))
        differ += found.n_tied < 8
    assert differ <= 200 * 0.05 + 2 * np.sqrt(200 * 0.05 * 0.95)
