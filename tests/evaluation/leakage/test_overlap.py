"""Rows that are nearly the same across a split, against a look at all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from fvc_exp.evaluation.leakage.overlap import _NEIGHBOURS, _counterparts


@pytest.mark.parametrize("tolerance", [0.0, 1e-6, 0.05, 0.3])
@pytest.mark.parametrize("columns", [2, 5, 26])
def test_counterparts_are_those_of_all_pairs(columns: int, tolerance: float) -> None:
    """0.3 in two columns gives a row more neighbours on a line than are looked at one by one."""
    rng = np.random.default_rng(columns)
    train, test = rng.normal(size=(900, columns)), rng.normal(size=(200, columns))
    test[:20] = train[:20] + tolerance * rng.uniform(-1, 1, size=(20, columns))
    test[20:30] = train[20:30] + 2 * tolerance + 1e-5
    train[400:600] = train[400]  # more copies of one video than are looked at
    test[30:40] = train[400]
    distance = np.abs(test[:, None] - train[None]).max(axis=2)
    found = _counterparts(train, test, tolerance)
    assert (found >= 0).tolist() == (distance.min(axis=1) <= tolerance).tolist()
    assert (distance[np.arange(200), found][found >= 0] <= tolerance).all()
    assert (found >= 0).sum() >= 30


def test_few_neighbours_are_looked_at_of_many() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(size=(3000, 2))
    line = train @ np.random.default_rng(0).uniform(0.5, 1.0, 2)
    beside = np.abs(line[:, None] - line[None]) <= 0.3
    assert np.median(beside.sum(axis=1)) > _NEIGHBOURS  # or the test above would never reach the tree
