"""Test rows that have a counterpart among the training rows: the same key, or nearly the same features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from fvc_exp._typing import Array, Indices
from fvc_exp.data.splits import Split
from fvc_exp.evaluation.leakage.permutation import standardise

Pairs = list[tuple[int, int]]


_EXAMPLES = 3


_CHANCE = 0.01


_NEIGHBOURS = 64  # on a line, that are looked at


_ROUNDING = 1e-12  # of a place on it


@dataclass(frozen=True)
class Crossing:
    """Test rows with a counterpart in training: how many, their share of all test rows, and a few pairs by name."""

    rows: int
    share: float
    examples: tuple[str, ...]


def crossing_keys(ids: Sequence[str], keys: Sequence[object], split: Split) -> Crossing:
    """Rows with the same key, such as a group or a hash; a row without one (None) has no counterpart."""
    known = np.array([key is not None for key in keys])
    _, codes = np.unique([str(key) for key in keys], return_inverse=True)
    pairs: Pairs = []
    for _, train, test in split.parts():
        seen, first = np.unique(codes[train[known[train]]], return_index=True)
        asked = test[known[test] & np.isin(codes[test], seen)]
        place = np.searchsorted(seen, codes[asked])
        pairs += zip(asked.tolist(), train[known[train]][first[place]].tolist(), strict=True)
    return _crossing(ids, split, pairs)


def crossing_vectors(ids: Sequence[str], X: Array, split: Split, tolerance: float) -> Crossing | None:
    """Rows of which no feature differs by more than ``tolerance`` standard deviations; X is (n, p), NaN where missing.

    Missing values are imputed by medians over all rows. None if the features are so coarse that more than one row in a
    hundred would have such a counterpart by chance, were the features independent.
    """
    standard, _ = standardise(X, X[:0])
    if _agree_by_chance(standard, tolerance):
        return None
    pairs: Pairs = []
    for _, train, test in split.parts():
        near = _counterparts(standard[train], standard[test], tolerance)
        pairs += zip(test[near >= 0].tolist(), train[near[near >= 0]].tolist(), strict=True)
    return _crossing(ids, split, pairs)


def _counterparts(train: Array, test: Array, tolerance: float) -> Indices:
    """For each test row a training row no feature of which is farther than the tolerance, -1 where there is none.

    Such rows are also near along any line: on a sorted line a row has few neighbours to look at, however many there are
    in all. A row with more than a few is left to a tree, which takes longer.
    """
    line = np.asarray(np.random.default_rng(0).uniform(0.5, 1.0, train.shape[1]))
    place, asked = np.einsum("ij,j->i", train, line), np.einsum("ij,j->i", test, line)
    reach = tolerance * line.sum() + _ROUNDING * np.abs(place).max(initial=0.0)
    order = np.argsort(place, kind="stable")
    at = np.searchsorted(place[order], asked - reach)
    end = np.searchsorted(place[order], asked + reach, "right")
    found, open_ = np.full(len(test), -1), np.flatnonzero(at < end)
    for _ in range(_NEIGHBOURS):
        candidate = order[at[open_]]
        is_near = (np.abs(train[candidate] - test[open_]) <= tolerance).all(axis=1)
        found[open_[is_near]] = candidate[is_near]
        at[open_] += 1
        open_ = open_[~is_near & (at[open_] < end[open_])]
    if len(open_):
        # A balanced tree would sort equal values again and again where a feature has few different ones.
        tree = cKDTree(train, balanced_tree=False, compact_nodes=False)
        distance, nearest = tree.query(test[open_], p=np.inf, distance_upper_bound=tolerance)
        found[open_] = np.where(np.isfinite(distance), nearest, -1)
    return found


def _crossing(ids: Sequence[str], split: Split, pairs: Pairs) -> Crossing:
    tested = sum(len(test) for _, _, test in split.parts())
    return Crossing(
        len(pairs), len(pairs) / tested, tuple(f"{ids[one]} and {ids[other]}" for one, other in pairs[:_EXAMPLES])
    )


def _agree_by_chance(X: Array, tolerance: float) -> bool:
    neighbours = [
        np.searchsorted(column, column + tolerance, "right") - np.searchsorted(column, column - tolerance) - 1
        for column in np.sort(X, axis=0).T
    ]
    chances = np.mean(neighbours, axis=1) / max(len(X) - 1, 1)
    with np.errstate(divide="ignore"):  # where all values of a feature differ, no two rows agree by chance
        return bool(np.sum(np.log(chances)) + np.log(len(X)) > np.log(_CHANCE))
