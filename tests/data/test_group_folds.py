"""Folds against those of scikit-learn: as balanced, and with no class missing where groups suffice."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from fvc_exp.data.group_folds import repeated_group_folds
from fvc_exp.data.group_folds import stratified_group_folds as folds_of

Indices = NDArray[np.int64]
LARGEST = 223  # rows of the largest cascade of the Fake Video Corpus; their median is 7


def sizes_like(kind: str, random: np.random.Generator) -> Indices:
    groups = int(random.integers(20, 300))
    if kind == "cascades":
        return np.clip(np.round(np.exp(random.normal(np.log(7), 1.1, groups))).astype(np.int64), 1, LARGEST)
    if kind == "one huge":
        return np.r_[random.integers(100, 600), random.integers(1, 12, groups)]
    if kind == "all different":
        return random.permutation(np.arange(1, groups // 4 + 16))
    return random.integers(1, 6, groups) if kind == "small" else np.full(groups, random.integers(1, 12))


def design(kind: str, labels: str, seed: int) -> tuple[Indices, Indices]:
    """Labels and groups of rows in random order."""
    random = np.random.default_rng(seed)
    sizes = sizes_like(kind, random)
    groups = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    share = random.choice([0.1, 0.3, 0.5, 0.8])
    of_groups = {
        "constant": (random.random(len(sizes)) < share).astype(float),
        "mixed": np.full(len(sizes), share),
        "lopsided": random.beta(share / 2, (1 - share) / 2, len(sizes)),
    }[labels]
    return (random.random(len(groups)) < of_groups[groups]).astype(np.int64), groups


def sklearn_folds(y: Indices, groups: Indices, n_folds: int, seed: int) -> list[Indices]:
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    return [test for _, test in splitter.split(y, y, groups)]


def class_counts(y: Indices, folds: Sequence[Indices]) -> Indices:
    return np.array([np.bincount(y[rows], minlength=2) for rows in folds])


def spreads(counts: Indices) -> tuple[float, float]:
    """Deviation over folds of the share of each class (the mean of both), and of the size beside its mean."""
    sizes = counts.sum(axis=1)
    return float(np.mean(np.std(counts / counts.sum(axis=0), axis=0))), float(np.std(sizes) / np.mean(sizes))


def enough(y: Indices, groups: Indices, n_folds: int) -> bool:
    return all(len(np.unique(groups[y == label])) >= n_folds for label in (0, 1))


KINDS = list(product(("mixed", "constant", "lopsided"), ("all different", "cascades", "one huge", "small", "equal")))


@pytest.mark.parametrize(
    ("labels", "kind"), [KINDS[0], *(pytest.param(*each, marks=pytest.mark.slow) for each in KINDS[1:])]
)
def test_no_less_balanced_than_scikit_learn(kind: str, labels: str) -> None:
    ours, theirs = [], []
    for seed, n_folds in product(range(8), (2, 5, 10)):
        y, groups = design(kind, labels, seed)
        if enough(y, groups, n_folds):
            for repeat, folds in enumerate(repeated_group_folds(y, groups, n_folds, 2, seed)):
                ours.append(spreads(class_counts(y, folds)))
                theirs.append(spreads(class_counts(y, sklearn_folds(y, groups, n_folds, seed + repeat))))
    assert len(ours) >= 30
    mean_ours, mean_theirs = np.mean(ours, axis=0), np.mean(theirs, axis=0)
    assert np.all(mean_ours <= mean_theirs * 1.01)
    one, other = np.array(ours)[:, 0], np.array(theirs)[:, 0]
    assert np.sum(one > other * 1.001) <= np.sum(one < other * 0.999)  # it is better more often than worse


@pytest.mark.parametrize("seed", range(12))
def test_every_row_is_in_one_fold_and_no_group_in_two(seed: int) -> None:
    y, groups = design("cascades", "mixed", seed)
    folds = folds_of(y, 3 * groups + 5, 5, seed)  # codes may have gaps
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(len(y)))
    for rows in folds:
        np.testing.assert_array_equal(rows, np.sort(rows))
        assert not set(groups[rows]) & set(np.delete(groups, rows))


@pytest.mark.parametrize("n_folds", [2, 3, 5])
@pytest.mark.parametrize("seed", range(10))
def test_no_class_is_missing_where_enough_groups_hold_it(seed: int, n_folds: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 40, 12)
    groups = np.repeat(np.arange(12), sizes)
    y = np.zeros(len(groups), dtype=np.int64)
    first = np.r_[0, np.cumsum(sizes)[:-1]]
    for group in random.choice(12, n_folds, replace=False):  # as few as there are folds, some of them all of one class
        y[first[group] : first[group] + random.integers(1, sizes[group] + 1)] = 1
    if enough(y, groups, n_folds):
        assert class_counts(y, folds_of(y, groups, n_folds, seed)).min() > 0


def test_the_seed_decides_and_shuffles() -> None:
    y, groups = design("equal", "constant", 1)
    first, same, other = (folds_of(y, groups, 5, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one, two) for one, two in zip(first, same, strict=True))
    together = np.zeros((2, len(y)), dtype=np.int64)
    for number, folds in enumerate((first, other)):
        for fold, rows in enumerate(folds):
            together[number, rows] = fold
    pairs = together[:, :, None] == together[:, None, :]
    apart = groups[:, None] != groups
    # Of the pairs of groups that shared a fold, one in five does so under another seed.
    assert np.mean(pairs[1][pairs[0] & apart]) == pytest.approx(0.2, abs=0.03)


def test_the_largest_group_is_in_any_fold() -> None:
    y, groups = design("one huge", "constant", 3)
    found = {fold for seed in range(20) for fold, rows in enumerate(folds_of(y, groups, 5, seed)) if 0 in groups[rows]}
    assert found == set(range(5))


def partition_of(folds: Sequence[Indices]) -> frozenset[bytes]:
    return frozenset(rows.tobytes() for rows in folds)


@pytest.mark.parametrize("seeds", [10, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("labels", ["of groups", "of rows"])
def test_repeats_differ_also_where_no_two_groups_are_of_one_size(labels: str, seeds: int) -> None:
    groups = np.repeat(np.arange(30), np.arange(1, 31))
    y = groups % 2 if labels == "of groups" else np.random.default_rng(0).integers(0, 2, len(groups))
    ours = [repeated_group_folds(y, groups, 5, 5, 5 * seed) for seed in range(seeds)]
    theirs = [[sklearn_folds(y, groups, 5, 5 * seed + repeat) for repeat in range(5)] for seed in range(seeds)]
    distinct = [[len(set(map(partition_of, repeats))) for repeats in each] for each in (ours, theirs)]
    uneven = [np.mean([spreads(class_counts(y, f)) for r in each for f in r], axis=0) for each in (ours, theirs)]
    assert min(distinct[0]) == 5
    assert uneven[0][0] <= uneven[1][0]


def test_the_first_repeat_is_a_single_run_and_a_repeat_without_a_new_partition_is_the_first() -> None:
    groups = np.repeat(np.arange(4), 5)  # two of each class, so that there are two ways to pair them
    y = np.repeat([0, 1], 10)
    found = repeated_group_folds(y, groups, 2, 5, 3)
    assert partition_of(found[0]) == partition_of(folds_of(y, groups, 2, 3))
    assert len(set(map(partition_of, found))) == 2
