from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fvc_exp.runs.explain.importance import feature_importance
from tests.conftest import Compose, make_dataset, run


def test_what_the_model_needs_is_important_and_noise_is_not(compose_config: Compose) -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(120), 2)
    y = groups % 2
    X = random.normal(size=(240, 3))
    X[:, 1] += 2 * y
    result = run(compose_config("audit.permutations=0"), make_dataset(X, y, groups))
    found = feature_importance(result)
    assert found["feature"][0] == "stage2_f1"
    assert found["importance"][0] > 0.3
    assert found["importance"][1:].abs().max() < 0.03
    assert (found["std"] > 0).all()
    assert found.equals(feature_importance(result))


def test_shuffling_the_only_feature_leaves_nothing(compose_config: Compose) -> None:
    """One feature: the AUC falls to that of random order, 0.5, so its importance is the AUC less 0.5."""
    random = np.random.default_rng(0)
    groups = np.arange(400)
    y = groups % 2
    result = run(
        compose_config("audit.permutations=0"), make_dataset(random.normal(size=(400, 1)) + y[:, None], y, groups)
    )
    aucs = [
        roc_auc_score(y[fold.test], probability)
        for fold, probability in zip(result.split.folds, result.fold_probabilities, strict=True)
    ]
    assert feature_importance(result, repeats=100)["importance"][0] == pytest.approx(np.mean(aucs) - 0.5, abs=0.01)
