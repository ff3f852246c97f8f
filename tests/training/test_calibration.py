import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score, recall_score

from fvc_exp.training.calibration import best_threshold, fit_isotonic, fit_platt


def scores(seed: int = 0, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    log_odds = rng.normal(size=n)
    return (rng.random(n) < expit(0.4 * log_odds - 0.5)).astype(int), log_odds


def test_platt_scaling_never_inverts_the_ranking() -> None:
    y, log_odds = scores()
    slope, intercept = fit_platt(1 - y, log_odds)
    assert slope == 0
    assert expit(intercept) == pytest.approx((1 - y).mean(), abs=0.01)


def test_isotonic_map_is_that_of_scikit_learn() -> None:
    y, log_odds = scores()
    probability = expit(log_odds)
    reference = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(probability, y)
    asked = np.linspace(0, 1, 1001)
    np.testing.assert_allclose(fit_isotonic(y, probability)(asked), reference.predict(asked), atol=1e-12)


RULES = {
    "f1": f1_score,
    "youden": lambda y, predicted: recall_score(y, predicted) + recall_score(y, predicted, pos_label=0) - 1,
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("digits", [1, 12], ids=["ties", "no ties"])
def test_no_other_threshold_is_better(rule: str, seed: int, digits: int) -> None:
    y, log_odds = scores(seed, 60)
    probability = np.round(expit(log_odds), digits)
    found = RULES[rule](y, probability > best_threshold(rule, y, probability))
    others = [RULES[rule](y, probability > each) for each in [0, *probability[probability < probability.max()]]]
    assert found >= max(others) - 1e-12


def test_of_equally_good_thresholds_the_one_nearest_to_a_half_is_taken() -> None:
    y, probability = np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.5, 0.9])
    assert best_threshold("youden", y, probability) == pytest.approx(0.7)
    assert best_threshold("0.5", y, probability) == 0.5


def test_no_threshold_lies_below_a_probability_of_zero() -> None:
    assert 0 < best_threshold("f1", np.array([1, 0, 1]), np.array([0.0, 0.3, 0.6])) < 0.6
