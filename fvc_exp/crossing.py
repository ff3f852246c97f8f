"""Test rows that have a counterpart among the training rows: the same key, or nearly the same features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fvc_exp.permutation import standardise
from fvc_exp.split import Split

Pairs = list[tuple[int, int]]
_EXAMPLES = 3
_CHANCE = 0.01
_FEW = 20.0  # other rows within the tolerance in one feature; with more of them a tree is quicker


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


def crossing_vectors(ids: Sequence[str], X: NDArray[np.float64], split: Split, tolerance: float) -> Crossing | None:
    """Rows of which no feature differs by more than ``tolerance`` standard deviations; X is (n, p), NaN where missing.

    Missing values are imputed by medians over all rows. None if the features are so coarse that more than one row in a
    hundred would have such a counterpart by chance, were the features independent.
    """
    standard, _ = standardise(X, X[:0])
    neighbours = _neighbours(standard, tolerance)
    if _agree_by_chance(neighbours, len(standard)):
        return None
    pairs: Pairs = []
    for _, train, test in split.parts():
        if neighbours.min() <= _FEW:
            pairs += _pairs_by_column(standard, int(np.argmin(neighbours)), train, test, tolerance)
            continue
        # A balanced tree would sort equal values again and again where a feature has few different ones.
        tree = cKDTree(standard[train], balanced_tree=False, compact_nodes=False)
        distance, nearest = tree.query(standard[test], p=np.inf, distance_upper_bound=tolerance)
        found = np.isfinite(distance)
        pairs += zip(test[found].tolist(), train[nearest[found]].tolist(), strict=True)
    return _crossing(ids, split, pairs)


def _neighbours(X: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """How many others a row has within the tolerance in each feature (p,), on average."""
    near = (
        np.searchsorted(column, column + tolerance, "right") - np.searchsorted(column, column - tolerance) - 1
        for column in np.sort(X, axis=0).T
    )
    return np.array([np.mean(each) for each in near])


def _pairs_by_column(
    X: NDArray[np.float64], column: int, train: NDArray[np.int64], test: NDArray[np.int64], tolerance: float
) -> Pairs:
    """Each test row with its nearest training row within the tolerance, looked for among those near in one feature.

    A tree of a million rows in fifty dimensions takes minutes, and this seconds.
    """
    order = train[np.argsort(X[train, column], kind="stable")]
    values = X[order, column]
    low = np.searchsorted(values, X[test, column] - tolerance)
    counts = np.searchsorted(values, X[test, column] + tolerance, "right") - low
    asked = np.repeat(np.arange(len(test)), counts)
    place = np.arange(len(asked)) - np.repeat(np.cumsum(counts) - counts, counts) + low[asked]
    alike = np.ones(len(asked), dtype=bool)
    for each in range(X.shape[1]):  # most pairs go after a feature or two
        asked, place = asked[alike], place[alike]
        alike = np.abs(X[test[asked], each] - X[order[place], each]) <= tolerance
    asked, place = asked[alike], place[alike]
    distance = np.abs(X[test[asked]] - X[order[place]]).max(axis=1, initial=0.0)
    nearest = np.lexsort((distance, asked))
    first = nearest[np.unique(asked[nearest], return_index=True)[1]]
    return list(zip(test[asked[first]].tolist(), order[place[first]].tolist(), strict=True))


def _crossing(ids: Sequence[str], split: Split, pairs: Pairs) -> Crossing:
    tested = sum(len(test) for _, _, test in split.parts())
    return Crossing(
        len(pairs), len(pairs) / tested, tuple(f"{ids[one]} and {ids[other]}" for one, other in pairs[:_EXAMPLES])
    )


def _agree_by_chance(neighbours: NDArray[np.float64], n: int) -> bool:
    with np.errstate(divide="ignore"):  # where all values of a feature differ, no two rows agree by chance
        return bool(np.sum(np.log(neighbours / max(n - 1, 1))) + np.log(n) > np.log(_CHANCE))
