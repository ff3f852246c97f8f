from collections.abc import Callable

import numpy as np
import pytest
from numpy.random import Generator

from fvc_exp._typing import Array
from fvc_exp.evaluation.leakage.copies import FALSE_ALARMS, find_near_copies

N = 120
MIXING = np.random.default_rng(1).normal(size=(20, 20)) * np.linspace(1, 0.02, 20)
MADE: dict[str, Callable[[Generator], Array]] = {
    "isotropic": lambda rng: rng.normal(size=(N, 10)),
    "two features": lambda rng: rng.random(size=(N, 2)),
    "correlated": lambda rng: rng.normal(size=(N, 20)) @ MIXING.T,
    "coarse": lambda rng: np.round(rng.normal(size=(N, 10))),
    "coarse and correlated": lambda rng: np.round(rng.normal(size=(N, 3)) @ MIXING[:3]),
    "p > n": lambda rng: rng.normal(size=(N, 300)),
    "mixed classes": lambda rng: rng.normal(size=(N, 10)) * np.where(rng.random((N, 1)) < 0.5, 1.0, 0.2),
    "mostly zero": lambda rng: rng.exponential(size=(N, 15)) * (rng.random((N, 15)) > 0.6),
}


@pytest.mark.slow
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
@pytest.mark.parametrize("size", [1, 3])
def test_false_alarms_are_rare(make: Callable[[Generator], Array], size: int) -> None:
    alarms, groups = 0, np.arange(N) // size
    for seed in range(100):
        X = make(np.random.default_rng(seed))
        alarms += len(find_near_copies(X, groups, seed).distances) > 0
    assert alarms <= 2 * 100 * FALSE_ALARMS


@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("features", [26, 200])
def test_copies_are_found(noise: float, features: int) -> None:
    """The setting in which comparing for equality finds no copy with noise at all."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(200, features))
        X[:20] = X[20:40] + noise * rng.normal(size=(20, features))
        families = find_near_copies(X, np.arange(200), seed).families
        found = np.sum((families[:20] == families[20:40]) & (families[:20] >= 0))
        assert found >= (20 if noise < 0.1 else 10)
        assert np.sum(families[40:] >= 0) <= 3


def test_the_smallest_share_is_the_one_that_is_found() -> None:
    """With noise of 0.3 sd: half of it is mostly missed, twice as much mostly found."""
    found = {0.5: 0, 2.0: 0}
    for times in found:
        for seed in range(20):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(300, 10))
            share = find_near_copies(X, np.arange(300), seed).smallest_share["0.3"]
            assert share is not None
            assert 0.02 < share < 0.3
            count = round(times * share * 300)
            X[:count] = X[-count:] + 0.3 * rng.normal(size=(count, 10))
            found[times] += len(find_near_copies(X, np.arange(300), seed).distances) > 0
    assert found[0.5] <= 6
    assert found[2.0] >= 14


def test_many_exact_copies_and_zero_inflated_ones_are_one_family() -> None:
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(100, 8)) * (rng.random((100, 8)) > 0.5)
    X[:9] = X[9]
    families = find_near_copies(X, np.arange(100)).families
    assert len(set(families[:10].tolist())) == 1
    assert families[0] >= 0
    assert (families[10:] == -1).all()


@pytest.mark.parametrize("groups", [11, 13])
def test_few_groups_show_exact_copies_only(groups: int) -> None:
    X = np.random.default_rng(0).normal(size=(groups, 10))
    X[0] = X[1]
    found = find_near_copies(X, np.arange(groups))
    assert (found.searched > 0) == (groups >= 12) == any(found.smallest_share.values())
    assert found.families[0] == found.families[1] >= 0


def test_rows_of_one_group_are_no_copies() -> None:
    X = np.repeat(np.random.default_rng(0).normal(size=(40, 10)), 2, axis=0)
    assert len(find_near_copies(X, np.arange(80) // 2).distances) == 0
    assert len(find_near_copies(X, np.arange(80)).distances) == 40
