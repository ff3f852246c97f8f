from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from fvc_exp.evaluation.reliability import reliability


def sample(seed: int, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.beta(2, 3, size=n)
    return (rng.random(n) < probability**1.5).astype(int), probability


def test_curve_is_that_of_scikit_learn() -> None:
    y, probability = sample(0)
    found = reliability(y, probability)
    observed, predicted = calibration_curve(y, probability, n_bins=10, strategy="quantile")
    np.testing.assert_allclose([each.fakes for each in found.curve], observed, atol=0.05)
    np.testing.assert_allclose([each.probability for each in found.curve], predicted, atol=0.01)
    assert [each.count for each in found.curve] == [50] * 10


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
    assert found.brier == pytest.approx(brier_score_loss(y, probability))
    within = sum(np.sum((p - p.mean()) ** 2) - 2 * np.sum((p - p.mean()) * (o - o.mean())) for p, o in pairs) / len(y)
    assert found.within_bins == pytest.approx(within)


def test_calibrated_probabilities_have_a_small_error_and_inflated_ones_a_large_one() -> None:
    rng = np.random.default_rng(2)
    probability = rng.random(20000)
    y = (rng.random(20000) < probability).astype(int)
    assert reliability(y, probability).ece < 0.02
    assert reliability(y, probability**3).ece > 0.2


@pytest.mark.parametrize(
    ("probability", "counts"),
    [(np.full(20, 0.5), [20]), (np.repeat([0.2, 0.9], [5, 15]), [5, 15]), (np.array([0.1, 0.9]), [1, 1])],
    ids=["one value", "two values", "two rows"],
)
def test_equal_probabilities_share_a_bin(probability: np.ndarray, counts: list[int]) -> None:
    y = np.arange(len(probability)) % 2
    found = reliability(y, probability)
    assert [each.count for each in found.curve] == counts
    assert found.within_bins == pytest.approx(0)
