"""Rows that are nearly the same on both sides of a split, against a comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from fvc_exp.evaluation.leakage.overlap import nearest_within


@pytest.mark.parametrize("tolerance", [0.0, 1e-6, 0.05, 0.3])
@pytest.mark.parametrize("columns", [2, 5, 26])
def test_nearest_rows_are_those_of_all_pairs(columns: int, tolerance: float) -> None:
    rng = np.random.default_rng(columns)
    train, test = rng.normal(size=(900, columns)), rng.normal(size=(200, columns))
    test[:20] = train[:20] + tolerance * rng.uniform(-1, 1, size=(20, columns))
    test[20:30] = train[20:30] + 2 * tolerance + 1e-5
    train[400:600] = train[400]  # many copies of one video
    test[30:40] = train[400]
    distance = np.abs(test[:, None] - train[None]).max(axis=2)
    found = nearest_within(train, test, tolerance)
    assert (found >= 0).tolist() == (distance.min(axis=1) <= tolerance).tolist()
    assert (distance[np.arange(200), found][found >= 0] <= tolerance).all()
    assert (found >= 0).sum() >= 30


def test_a_distance_equal_to_the_tolerance_is_near() -> None:
    assert nearest_within(np.zeros((3, 2)), np.array([[0.5, 0.25], [0.5000001, 0.0]]), 0.5)[1] == -1
    assert nearest_within(np.zeros((1, 2)), np.array([[0.5, 0.25]]), 0.5).tolist() == [0]
