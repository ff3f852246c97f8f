"""Test rows that have a counterpart among the training rows: the same key, or nearly the same features."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from fvc_exp._typing import Array, Indices
from fvc_exp.data.folds import Split
from fvc_exp.evaluation.leakage.permutation import impute_and_standardise

Pairs = list[tuple[int, int]]

_EXAMPLES = 3

_CHANCE = 0.01


@dataclass(frozen=True)
class Overlap:
    """Test rows with a counterpart in training: how many, their share of all test rows, and a few pairs by name."""

    rows: int
    share: float
    examples: tuple[str, ...]


def key_overlap(ids: Sequence[str], keys: Sequence[object], split: Split) -> Overlap:
    """Rows with the same key, such as a group or a hash; a row without one (None) has no counterpart."""
    known = np.array([key is not None for key in keys])
    _, codes = np.unique([str(key) for key in keys], return_inverse=True)
    pairs: Pairs = []
    for _, train, test in split.parts():
        seen, first = np.unique(codes[train[known[train]]], return_index=True)
        found = test[known[test] & np.isin(codes[test], seen)]
        place = np.searchsorted(seen, codes[found])
        pairs += zip(found.tolist(), train[known[train]][first[place]].tolist(), strict=True)
    return _overlap(ids, split, pairs)


def feature_overlap(ids: Sequence[str], X: Array, split: Split, tolerance: float) -> Overlap | None:
    """Rows of which no feature differs by more than ``tolerance`` standard deviations; X is (n, p), NaN where missing.

    Missing values are imputed by medians over all rows. None if the features are so coarse that, if they were
    independent, more than one row in a hundred would have such a counterpart by chance.
    """
    standard, _ = impute_and_standardise(X, X[:0])
    if _agree_by_chance(standard, tolerance):
        return None
    pairs: Pairs = []
    for _, train, test in split.parts():
        near = nearest_within(standard[train], standard[test], tolerance)
        pairs += zip(test[near >= 0].tolist(), train[near[near >= 0]].tolist(), strict=True)
    return _overlap(ids, split, pairs)


def nearest_within(train: Array, test: Array, tolerance: float) -> Indices:
    """For each test row its nearest training row, no feature of which is farther than the tolerance; -1 without one."""
    # A balanced tree would sort equal values again and again where a feature has few different ones.
    tree = cKDTree(train, balanced_tree=False, compact_nodes=False)
    # The bound itself is excluded.
    distance, nearest = tree.query(test, p=np.inf, distance_upper_bound=np.nextafter(tolerance, np.inf))
    return np.where(np.isfinite(distance), nearest, -1)


def _overlap(ids: Sequence[str], split: Split, pairs: Pairs) -> Overlap:
    tested = sum(len(test) for _, _, test in split.parts())
    examples = tuple(f"{ids[one]} and {ids[other]}" for one, other in pairs[:_EXAMPLES])
    return Overlap(len(pairs), len(pairs) / tested, examples)


def _agree_by_chance(X: Array, tolerance: float) -> bool:
    neighbours = [
        np.searchsorted(column, column + tolerance, "right") - np.searchsorted(column, column - tolerance) - 1
        for column in np.sort(X, axis=0).T
    ]
    chances = np.mean(neighbours, axis=1) / max(len(X) - 1, 1)
    with np.errstate(divide="ignore"):  # where all values of a feature differ, no two rows agree by chance
        return bool(np.sum(np.log(chances)) + np.log(len(X)) > np.log(_CHANCE))
