from itertools import islice

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fvc_exp.config.schema import Scheme
from fvc_exp.data.folds import Fold, Split, sample_groups
from fvc_exp.data.splits import make_split
from fvc_exp.evaluation.leakage import permutation
from fvc_exp.evaluation.leakage.permutation import null_distribution, permuted_labels, ridge_aucs
from tests.conftest import make_cv, make_dataset, noise_dataset, signal_dataset

CV = make_cv(Scheme.grouped, n_splits=5, n_repeats=1, test_size=0.0)


def test_ridge_is_that_of_scikit_learn() -> None:
    dataset = signal_dataset()
    dataset.X[::7, 1] = np.nan
    split = make_split(dataset, CV, 0)
    permuted = next(permuted_labels(dataset.y, dataset.groups, np.random.default_rng(0)))
    labels = np.column_stack([dataset.y, permuted])
    model = make_pipeline(SimpleImputer(strategy="median"), StandardScaler(), Ridge(4.0))
    for column, found in enumerate(ridge_aucs(dataset.X, labels, split)):
        y = labels[:, column]
        aucs = []
        for fold in split.folds:
            model.fit(dataset.X[fold.train], y[fold.train])
            aucs.append(roc_auc_score(y[fold.test], model.predict(dataset.X[fold.test])))
        assert found == pytest.approx(np.mean(aucs), abs=1e-12)


def test_a_group_gets_the_labels_of_another_group() -> None:
    groups = np.array([7, 3, 7, 3, 7, 9, 9, 1])
    y = np.array([1, 0, 1, 0, 1, 1, 0, 0])  # 9 holds both labels, 3 and 1 none, 7 only fakes
    seen = set()
    for labels in islice(permuted_labels(y, groups, np.random.default_rng(0)), 200):
        shares = {group: labels[groups == group] for group in (7, 3, 9, 1)}
        assert sum(len(set(each)) == 2 for each in shares.values()) <= 1
        seen.add(tuple(labels[groups == 3]))
    assert seen == {(0, 0), (1, 1), (0, 1), (1, 0)}


def test_a_signal_stands_out() -> None:
    dataset = signal_dataset(n_groups=80)
    found = null_distribution(dataset, make_split(dataset, CV, 0), 99, 0)
    assert found.p_value == 0.01
    assert found.observed > 0.8
    assert found.mean == pytest.approx(0.5, abs=4 * found.std / np.sqrt(99))
    assert not found.leaks


def test_p_values_of_noise_are_uniform() -> None:
    """Of 120 noise data sets about one in five has a p-value up to 0.2; the bounds are four standard errors."""
    values = []
    for seed in range(120):
        dataset = noise_dataset(30, 2, 3, seed)
        split = make_split(dataset, make_cv(Scheme.grouped, 3, 1, 0.0), seed)
        values.append(null_distribution(dataset, split, 19, seed).p_value)
    assert abs(np.mean(np.array(values) <= 0.2) - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 120)
    assert min(values) >= 0.05


def test_a_leaking_split_learns_random_labels() -> None:
    dataset, means = noise_dataset(100, 8, 20, 0), {}
    for scheme in (Scheme.grouped, Scheme.stratified):
        found = null_distribution(dataset, make_split(dataset, make_cv(scheme, 5, 1, 0.0), 0), 99, 0)
        assert found.leaks == (scheme is Scheme.stratified)
        means[scheme] = found.mean
    assert means[Scheme.stratified] - means[Scheme.grouped] > 0.1


def test_too_few_groups_for_a_null() -> None:
    """With a single fake no fold can have one on either side."""
    groups = np.arange(40)
    y = np.r_[np.ones(1, int), np.zeros(39, int)]
    rows = np.arange(40)
    folds = tuple(Fold(0, index, np.setdiff1d(rows, rows[index::2]), rows[index::2]) for index in range(2))
    X = np.random.default_rng(0).normal(size=(40, 2))
    assert null_distribution(make_dataset(X, y, groups), Split(rows, rows[:0], folds), 99, 0) is None


def test_of_many_rows_a_sample_of_whole_groups_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = signal_dataset()
    split = make_split(dataset, make_cv(Scheme.grouped, n_splits=5, n_repeats=1, test_size=0.2), 0)
    whole = null_distribution(dataset, split, 20, 0)
    most = len(split.development) * 2 // 3
    monkeypatch.setattr(permutation, "MOST_ROWS", most)
    sampled = null_distribution(dataset, split, 20, 0)
    assert whole is not None
    assert sampled is not None
    assert whole.sampled_rows is None
    assert most / 2 < (sampled.sampled_rows or 0) <= most
    rows = np.sort(split.development[sample_groups(dataset.groups[split.development], most, 0)])
    assert not set(dataset.groups[rows]) & set(dataset.groups[np.setdiff1d(split.development, rows)])
    observed = ridge_aucs(dataset.X[rows], dataset.y[rows][:, None], split.of_rows(rows))[0]
    assert sampled.observed == pytest.approx(observed, abs=1e-12)
