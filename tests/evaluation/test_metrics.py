import warnings

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression

from fvc_exp.evaluation.metrics import (
    METRICS,
    confusion,
    logistic_line,
    recalibration,
    reliability,
    score,
    summarise,
)

CASES = {
    "mixed": (np.array([0, 0, 1, 1, 1, 0, 1]), np.array([0.1, 0.6, 0.7, 0.4, 0.9, 0.5, 0.51])),
    "ties": (np.array([0, 1, 0, 1]), np.array([0.5, 0.5, 0.5, 0.5])),
    "all fake": (np.array([0, 1, 0, 1, 1]), np.array([0.9, 0.8, 0.7, 0.99, 0.6])),
    "all real": (np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.2, 0.3, 0.05, 0.4])),
    "perfect": (np.array([0, 1]), np.array([0.2, 0.8])),
    "many ties": (np.arange(300) * 7 % 11 % 2, np.round(np.random.default_rng(0).uniform(size=300), 2)),
    "certain": (np.array([0, 1, 0, 1]), np.array([0.0, 1.0, 1.0, 0.0])),
    "upside down": (np.array([0, 1, 0, 1]), np.array([0.8, 0.2, 0.7, 0.1])),
}


@pytest.mark.parametrize(("y", "probability"), CASES.values(), ids=CASES)
def test_every_metric_is_that_of_scikit_learn(y: np.ndarray, probability: np.ndarray) -> None:
    predicted = (probability > 0.5).astype(int)
    options = {"zero_division": 0.0}
    with warnings.catch_warnings(action="ignore"):
        expected = {
            "accuracy": metrics.accuracy_score(y, predicted),
            "balanced_accuracy": metrics.balanced_accuracy_score(y, predicted),
            "precision": metrics.precision_score(y, predicted, **options),
            "recall": metrics.recall_score(y, predicted),
            "f1": metrics.f1_score(y, predicted),
            "precision_real": metrics.precision_score(y, predicted, pos_label=0, **options),
            "recall_real": metrics.recall_score(y, predicted, pos_label=0),
            "f1_real": metrics.f1_score(y, predicted, pos_label=0),
            "auc": metrics.roc_auc_score(y, probability),
            "average_precision": metrics.average_precision_score(y, probability),
            "log_loss": metrics.log_loss(y, probability),
            "brier": metrics.brier_score_loss(y, probability),
            "mcc": metrics.matthews_corrcoef(y, predicted),
        }
    assert set(expected) == set(METRICS)
    assert score(y, probability) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    matrix = metrics.confusion_matrix(y, predicted).ravel().tolist()
    assert list(confusion(y, probability).values()) == matrix


def test_summary_is_mean_and_sample_deviation() -> None:
    records = [dict.fromkeys(METRICS, value) for value in (0.2, 0.4, 0.9)]
    assert summarise(records)["f1"] == pytest.approx({"mean": 0.5, "std": 0.36055512754639896})
    assert summarise(records[:1])["f1"] == {"mean": 0.2, "std": None}


def sample(seed: int, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.beta(2, 3, size=n)
    return (rng.random(n) < probability**1.5).astype(int), probability


def test_terms_are_those_of_the_papers() -> None:
    """Murphy's terms bin by bin, and Stephenson's two from the rows inside the bins: none from the difference."""
    y, probability = sample(1)
    found = reliability(y, probability)
    bins = np.array_split(np.argsort(probability), 10)
    base = y.mean()
    pairs = [(probability[rows], y[rows]) for rows in bins]
    gaps = [(len(o) / len(y), p.mean() - o.mean(), o.mean() - base) for p, o in pairs]
    assert found.reliability == pytest.approx(sum(share * gap**2 for share, gap, _ in gaps))
    assert found.resolution == pytest.approx(sum(share * skill**2 for share, _, skill in gaps))
    assert found.ece == pytest.approx(sum(share * abs(gap) for share, gap, _ in gaps))
    assert found.uncertainty == pytest.approx(base * (1 - base))
    assert found.brier == pytest.approx(metrics.brier_score_loss(y, probability))
    within = sum(np.sum((p - p.mean()) ** 2) - 2 * np.sum((p - p.mean()) * (o - o.mean())) for p, o in pairs) / len(y)
    assert found.within_bins == pytest.approx(within)


@pytest.mark.parametrize(
    ("probability", "counts"),
    [(np.full(20, 0.5), [20]), (np.repeat([0.2, 0.9], [5, 15]), [5, 15]), (np.array([0.1, 0.9]), [1, 1])],
    ids=["one value", "two values", "two rows"],
)
def test_equal_probabilities_share_a_bin(probability: np.ndarray, counts: list[int]) -> None:
    found = reliability(np.arange(len(probability)) % 2, probability)
    assert [each.count for each in found.curve] == counts
    assert found.within_bins == pytest.approx(0)


@pytest.mark.parametrize("copies", [1, 4])
def test_a_perfectly_calibrated_model_of_few_groups_has_this_much_ece(copies: int) -> None:
    """80 rows: labels are drawn many times, as many groups of equal label, and their ECE is worked out each time."""
    random, groups = np.random.default_rng(0), np.arange(80) // copies
    probability = random.random(80 // copies)[groups]
    drawn = [(random.random(80)[groups] < probability).astype(int) for _ in range(100)]
    mean = np.mean([reliability(y, probability).ece for y in drawn])
    found = reliability((groups % 2), probability, groups).ece_floor
    assert found == pytest.approx(mean, rel=0.06)
    assert found > 0.1


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (3.0, -0.7), (0.2, 2.0)])
def test_recalibration_is_that_of_scikit_learn(slope: float, intercept: float) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=500)
    y = (random.random(500) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    log_odds = slope * truth + intercept
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12).fit(log_odds[:, None], y)
    found = reliability(y, 1 / (1 + np.exp(-log_odds)))
    assert (found.slope, found.intercept) == pytest.approx((model.coef_.item(), model.intercept_.item()), abs=1e-7)


@pytest.mark.parametrize("seed", range(9))
def test_no_slope_is_left_at_the_logistic_line_of_heavy_tails(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, target = 10.0 ** (seed - 4) * random.standard_t(1.5, size=200), random.random(200)
    slope, intercept = logistic_line(target, x) or (np.nan, np.nan)
    wrong = 1 / (1 + np.exp(-slope * x - intercept)) - target
    assert np.abs([wrong.sum(), wrong @ x / np.abs(x).max()]).max() < 1e-8
    assert logistic_line(target, np.ones(200)) is logistic_line(target, 1 + 1e-12 * np.tanh(x)) is None


@pytest.mark.parametrize("probability", [[0.1, 0.2, 0.8, 0.9], [0.9, 0.8, 0.2, 0.1], [0.5] * 4, [0.1, 0.5, 0.5, 0.9]])
def test_separated_classes_have_no_recalibration(probability: list[float]) -> None:
    found = reliability(np.array([0, 0, 1, 1]), np.array(probability))
    assert (found.slope, found.intercept) == (None, None)


def test_recalibration_survives_a_certain_mistake() -> None:
    found = recalibration(np.array([0, 1, 0, 1, 1, 0]), np.array([1e-300, 0.0, 1.0, 1.0, 0.9, 0.5]))
    assert found is not None
    assert np.isfinite(found).all()
