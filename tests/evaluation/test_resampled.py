from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fvc_exp.evaluation import resampled
from fvc_exp.evaluation.metrics import METRICS, score
from fvc_exp.evaluation.resampled import auc_parts, mean_of_parts, part_scores

RANDOM = np.random.default_rng(0)
GROUPS = RANDOM.integers(30, size=200)
Y = RANDOM.permutation(np.arange(200) % 2)
TIED = np.round(0.4 * RANDOM.random(200) + 0.3 * Y, 1)
DISTINCT = np.where(Y == 1, 0.2, 0.1) + 0.7 * RANDOM.random(200)
PROBABILITIES = pytest.mark.parametrize("probability", [TIED, DISTINCT], ids=["ties", "no ties"])


def scores(probability: np.ndarray, weights: np.ndarray, groups: np.ndarray = GROUPS) -> dict[str, np.ndarray]:
    return part_scores(Y, probability, (probability > 0.5).astype(int), groups, weights, METRICS)


@PROBABILITIES
def test_weights_mean_that_rows_are_repeated(probability: np.ndarray) -> None:
    weights = RANDOM.integers(4, size=(30, 25)).astype(float)
    found = scores(probability, weights)
    for replicate in range(weights.shape[1]):
        rows = np.repeat(np.arange(200), weights[GROUPS, replicate].astype(int))
        expected = score(Y[rows], probability[rows])
        assert {name: values[replicate] for name, values in found.items()} == pytest.approx(expected, abs=1e-12)


@PROBABILITIES
def test_fractional_weights_of_the_auc_are_those_of_scikit_learn(probability: np.ndarray) -> None:
    weights = RANDOM.random((30, 10))
    expected = [roc_auc_score(Y, probability, sample_weight=column[GROUPS]) for column in weights.T]
    np.testing.assert_allclose(scores(probability, weights)["auc"], expected, atol=1e-12)


@PROBABILITIES
def test_many_groups_take_the_other_way_to_the_same_auc(
    probability: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = RANDOM.random((30, 10))
    by_groups = auc_parts(Y, probability, GROUPS, weights)
    monkeypatch.setattr(resampled, "_MOST_GROUPS", 29)
    by_rows = auc_parts(Y, probability, GROUPS, weights)
    np.testing.assert_allclose(by_groups, by_rows, rtol=1e-12)


def test_a_class_without_weight_gives_no_number() -> None:
    found = scores(DISTINCT, np.column_stack([np.arange(30) % 2 == 0, np.zeros(30)]), groups=np.arange(200) % 2)
    lost = {name for name, values in found.items() if np.isnan(values[1])}
    assert lost == {"accuracy", "balanced_accuracy", "recall", "recall_real", "auc", "average_precision",
                    "log_loss", "brier"}  # fmt: skip
    fakes_only = part_scores(np.ones(4, int), DISTINCT[:4], np.ones(4, int), np.arange(4), np.ones((4, 1)), METRICS)
    assert np.isnan([fakes_only["auc"][0], fakes_only["recall_real"][0]]).all()
    assert fakes_only["recall"][0] == 1.0


def test_the_mean_of_parts_leaves_out_what_is_unknown() -> None:
    found = mean_of_parts([np.array([0.2, np.nan, np.nan]), np.array([0.4, 0.6, np.nan])])
    np.testing.assert_allclose(found, [0.3, 0.6, np.nan])
