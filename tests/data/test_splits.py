from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fvc_exp.config.schema import CVConfig, Scheme
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import count_shared_groups, inner_parts, make_split
from fvc_exp.errors import DataError
from tests.conftest import make_cv, make_dataset, signal_dataset

GROUPED = make_cv(Scheme.grouped, n_splits=5, n_repeats=1, test_size=0.2)
STRATIFIED = make_cv(Scheme.stratified, n_splits=5, n_repeats=1, test_size=0.2)
REPEATED = make_cv(Scheme.grouped, n_splits=4, n_repeats=3, test_size=0.25)


@pytest.mark.parametrize("cv", [GROUPED, STRATIFIED, REPEATED], ids=lambda cv: cv.scheme.name)
def test_every_row_is_tested_once_a_repeat(cv: CVConfig) -> None:
    split = make_split(signal_dataset(), cv, seed=1)
    assert len(split.folds) == cv.n_splits * cv.n_repeats
    for repeat in range(cv.n_repeats):
        tested = np.concatenate([fold.test for fold in split.folds if fold.repeat == repeat])
        np.testing.assert_array_equal(np.sort(tested), split.development)
    for fold in split.folds:
        np.testing.assert_array_equal(np.sort(np.r_[fold.train, fold.test]), split.development)


@pytest.mark.parametrize("cv", [GROUPED, STRATIFIED, REPEATED], ids=lambda cv: cv.scheme.name)
def test_groups_are_shared_only_between_stratified_folds(cv: CVConfig) -> None:
    dataset = signal_dataset()
    split = make_split(dataset, cv, seed=1)
    shared = sum(count_shared_groups(dataset, fold.train, fold.test) for fold in split.folds)
    assert shared > 20 if cv is STRATIFIED else shared == 0
    assert count_shared_groups(dataset, split.development, split.test) == 0


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.25, 0.3, 0.5])
def test_held_out_share(share: float) -> None:
    dataset = signal_dataset(n_groups=120)
    split = make_split(dataset, make_cv(Scheme.grouped, 3, 1, share), seed=0)
    assert len(split.test) / len(dataset.y) == pytest.approx(share, abs=0.02)
    assert dataset.y[split.test].mean() == pytest.approx(0.5, abs=0.1)


def test_no_held_out_share() -> None:
    split = make_split(signal_dataset(), make_cv(Scheme.grouped, 5, 1, 0.0), seed=0)
    assert len(split.test) == 0
    assert len(split.development) == 120


def test_folds_follow_the_seed_and_differ_between_repeats() -> None:
    dataset = signal_dataset()
    first, same, other = (make_split(dataset, REPEATED, seed).folds for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0].test, same[0].test)
    assert set(first[0].test) != set(other[0].test)
    assert set(first[0].test) != set(first[REPEATED.n_splits].test)


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (
            make_cv(Scheme.grouped, 9, 1, 0.2),
            r"cv\.n_splits=9 needs at least 9 groups.*only 8 groups are 'real'",
        ),
        (make_cv(Scheme.grouped, 2, 1, 0.05), r"cv\.test_size=0\.05 needs at least 20 groups"),
        (make_cv(Scheme.stratified, 25, 1, 0.2), r"at least 25 rows of each class, but only 24 rows"),
    ],
    ids=["folds", "test set", "rows"],
)
def test_too_many_folds(cv: CVConfig, message: str) -> None:
    with pytest.raises(DataError, match=message):
        make_split(signal_dataset(n_groups=20), cv, seed=0)


def test_a_fold_of_one_class_is_refused() -> None:
    # Every group holds both classes by number, but all real rows sit in two large groups.
    groups = np.r_[np.repeat([0, 1], 40), np.arange(2, 30)]
    y = np.r_[np.zeros(80, int), np.ones(28, int)]
    y[[0, 40]] = 1
    dataset = make_dataset(np.random.default_rng(0).normal(size=(108, 2)), y, groups)
    with pytest.raises(DataError, match="needs at least 3 groups of each class"):
        make_split(dataset, make_cv(Scheme.grouped, 3, 1, 0.0), seed=0)


def on_platforms(dataset: Dataset, names: list[str | None]) -> Dataset:
    return replace(dataset, slices={"platform": tuple(names)})


PLATFORM_OUT = make_cv(Scheme.leave_platform_out, n_splits=5, n_repeats=2, test_size=0.2)


def test_leave_platform_out_keeps_platforms_and_groups_apart() -> None:
    dataset = on_platforms(signal_dataset(n_groups=80), ["youtube", "twitter", "facebook"] * 80)
    split = make_split(dataset, PLATFORM_OUT, seed=1)
    platforms = np.array(dataset.slices["platform"])
    assert len(split.folds) == 2 * 3 * 5
    for fold in split.folds:
        assert set(platforms[fold.test]) == {fold.held_out}
        assert fold.held_out not in platforms[fold.train]
        assert count_shared_groups(dataset, fold.train, fold.test) == 0
        apart = (platforms != fold.held_out) & ~np.isin(dataset.groups, dataset.groups[fold.test])
        np.testing.assert_array_equal(fold.train, split.development[apart[split.development]])
    for repeat in range(2):
        tested = np.concatenate([fold.test for fold in split.folds if fold.repeat == repeat])
        np.testing.assert_array_equal(np.sort(tested), split.development)


def test_a_small_platform_has_fewer_parts() -> None:
    dataset = signal_dataset(n_groups=40)
    names = ["twitter" if group < 6 else "youtube" for group in dataset.groups]
    cv = replace(PLATFORM_OUT, n_repeats=1, test_size=0.0)
    split = make_split(on_platforms(dataset, names), cv, seed=0)
    assert [fold.held_out for fold in split.folds] == ["twitter"] * 3 + ["youtube"] * 5


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], r"needs the column 'platform'"),
        (["youtube", None] * 60, r"the platform of video 'video00001\.mp4' is not known"),
        (["youtube"] * 120, r"videos of two platforms, but all are of 'youtube'"),
        (["twitter"] * 3 + ["youtube"] * 117, r"platform twitter has no 'fake' row"),
    ],
    ids=["no column", "unknown", "one platform", "one class"],
)
def test_platforms_that_cannot_be_left_out(names: list[str | None], message: str) -> None:
    dataset = signal_dataset()
    dataset = on_platforms(dataset, names) if names else dataset
    with pytest.raises(DataError, match=message):
        make_split(dataset, replace(PLATFORM_OUT, test_size=0.0), seed=0)


def test_inner_parts_are_grouped_folds_of_the_rows_given() -> None:
    dataset = signal_dataset()
    rows = np.arange(30, 120)
    parts = inner_parts(dataset, rows, 4, seed=3)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in parts])), rows)
    for train, test in parts:
        assert count_shared_groups(dataset, train, test) == 0
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), rows)
