from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from fvc_exp.data.dataset import Dataset
from fvc_exp.runs.explain.coefficients import coefficient_stability, feature_importance, group_samples
from fvc_exp.training.experiment import RunResult
from tests.conftest import Compose, make_dataset, run, signal_dataset


def dataset_with(shifts: tuple[float, ...], n_groups: int = 150, copies: int = 4) -> Dataset:
    """Groups of near-copies; column k of a fake is shifted by ``shifts[k]``."""
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(n_groups), copies)
    y = groups % 2
    X = random.normal(size=(n_groups, len(shifts)))[groups] + 0.3 * random.normal(size=(len(y), len(shifts)))
    return make_dataset(X + y[:, None] * np.array(shifts), y, groups)


def trained(compose: Compose, dataset: Dataset, *overrides: str) -> RunResult:
    return run(compose("audit.permutations=0", *overrides), dataset)


def test_signal_keeps_its_sign_and_noise_does_not(compose_config: Compose) -> None:
    result = trained(compose_config, dataset_with((1.5, -1.5, 0.0)))
    found = coefficient_stability(result, replicates=60)
    assert found["feature"].to_list() == ["stage2_f0", "stage2_f1", "stage2_f2", "(intercept)"]
    np.testing.assert_array_equal(found["coefficient"][:3], result.final.classifier.coef_[0])
    up, down, noise, _ = found.to_dicts()
    assert up["low"] > 0
    assert down["high"] < 0
    assert up["sign_stability"] == down["sign_stability"] == 1.0
    assert noise["low"] < 0 < noise["high"]
    assert 0.2 < noise["sign_stability"] < 1.0
    assert all(row["low"] < row["coefficient"] < row["high"] for row in (up, down, noise))


def test_l1_drops_noise_in_some_samples(compose_config: Compose) -> None:
    result = trained(compose_config, dataset_with((1.5, 0.0, 0.0)), "penalty=l1", "C=0.05")
    found = coefficient_stability(result, replicates=40)
    assert found["selected"][0] == 1.0
    assert found["selected"][1:3].max() < 1.0


def test_groups_are_the_unit(compose_config: Compose) -> None:
    """The standard error is that of refitting new groups, some five times that of resampling rows of 25 copies."""
    dataset = dataset_with((0.7, 0.0), n_groups=60, copies=25)
    result = trained(compose_config, dataset, "cv.test_size=0")
    found = coefficient_stability(result, replicates=100)["standard_error"][0]
    random = np.random.default_rng(0)

    def refitted(rows: np.ndarray) -> float:
        X = StandardScaler().fit_transform(dataset.X[rows])
        return float(LogisticRegression().fit(X, dataset.y[rows]).coef_[0, 0])

    by_rows = np.std([refitted(random.integers(len(dataset.y), size=len(dataset.y))) for _ in range(60)], ddof=1)
    assert found > 2 * by_rows


def test_samples_hold_whole_groups_of_each_kind() -> None:
    dataset = signal_dataset(n_groups=20, copies=3)
    rows = np.arange(12, 60)
    for sample in group_samples(dataset, rows, 5, seed=0):
        assert set(sample.tolist()) <= set(rows.tolist())
        counts = np.bincount(sample, minlength=60).reshape(20, 3)
        assert (counts == counts[:, :1]).all()
        assert np.bincount(dataset.y[sample]).tolist() == [24, 24]


def test_equal_seeds_give_equal_samples() -> None:
    dataset = signal_dataset()
    one, two, other = (np.array(list(group_samples(dataset, np.arange(120), 3, seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("calibration", ["none", "sigmoid"])
def test_the_interval_is_of_the_uncalibrated_model(compose_config: Compose, calibration: str) -> None:
    result = trained(compose_config, signal_dataset(), f"calibration={calibration}")
    found = coefficient_stability(result, replicates=30)
    assert (found["low"] <= found["coefficient"]).all()
    assert (found["coefficient"] <= found["high"]).all()


def test_what_the_model_needs_is_important_and_noise_is_not(compose_config: Compose) -> None:
    result = trained(compose_config, dataset_with((0.0, 2.0, 0.0), n_groups=120, copies=2))
    found = feature_importance(result)
    assert found["feature"][0] == "stage2_f1"
    assert found["importance"][0] > 0.3
    assert found["importance"][1:].abs().max() < 0.03
    assert (found["std"] > 0).all()
    assert found.equals(feature_importance(result))


def test_shuffling_the_only_feature_leaves_nothing(compose_config: Compose) -> None:
    """One feature: the AUC falls to that of random order, 0.5, so its importance is the AUC less 0.5."""
    result = trained(compose_config, dataset_with((1.0,), n_groups=400, copies=1))
    aucs = [
        roc_auc_score(result.dataset.y[fold.test], probability)
        for fold, probability in zip(result.split.folds, result.fold_probabilities, strict=True)
    ]
    assert feature_importance(result, repeats=100)["importance"][0] == pytest.approx(np.mean(aucs) - 0.5, abs=0.01)
