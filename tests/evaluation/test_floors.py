from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fvc_exp.evaluation.floors import floor_scores, lookup, platform_only
from fvc_exp.training.notes import FLAGS, edge_of_grid
from tests.conftest import Compose, run, signal_dataset


def test_lookup_is_the_mean_label_of_the_key_else_of_all() -> None:
    keys, y = np.array([4, 4, 4, 9, 9, 7]), np.array([1, 1, 0, 0, 0, 1])
    found = lookup(keys, y, np.arange(5), np.array([0, 3, 5]))
    np.testing.assert_allclose(found, [2 / 3, 0, 2 / 5])


def test_platform_only_is_the_share_of_fakes_of_the_platform(compose_config: Compose) -> None:
    dataset = signal_dataset()
    shortcut = np.where(dataset.y == 1, "twitter", "youtube").astype(object)
    shortcut[::10] = None
    dataset = replace(dataset, slices={"platform": tuple(shortcut)})
    train, test = np.arange(60), np.arange(60, 120)
    unknown = dataset.y[:60][[value is None for value in shortcut[:60]]].mean()
    expected = [{"twitter": 1.0, "youtube": 0.0, None: unknown}[shortcut[row]] for row in test]
    np.testing.assert_allclose(platform_only(dataset, train, test), expected)
    floors = run(compose_config(), dataset).floors
    assert list(floors) == ["prior", "all_fake", "group_lookup", "platform_only"]
    assert floors["platform_only"]["accuracy"] > 0.9
    assert floors["platform_only"]["accuracy"] > floors["prior"]["accuracy"] + 0.3


def test_without_platforms_there_is_no_such_floor() -> None:
    assert list(floor_scores(signal_dataset(), [(np.arange(60), np.arange(60, 120))])) == [
        "prior",
        "all_fake",
        "group_lookup",
    ]


@pytest.mark.parametrize(
    ("chosen", "tried", "edge"),
    [(0.01, [0.01, 0.1, 1], True), (1, [1, 0.01, 0.1], True), (0.1, [0.01, 0.1, 1], False), (1, [1, 2], False),
     (1, [1, 1, 1, 2], False), (1.0, [], False)],
    ids=["lowest", "highest", "inside", "two values", "two values repeated", "no grid"],
)  # fmt: skip
def test_edge_of_grid(chosen: float, tried: list[float], edge: bool) -> None:
    assert edge_of_grid(chosen, tried) is edge


@pytest.mark.parametrize(
    ("overrides", "flags"),
    [
        (("solver=saga", "solver.max_iter=2"), {"not_converged"}),
        (("penalty=l1", "C=0.0001"), {"null_model", "one_class_predicted"}),
        (("cv=nested", "cv.c_grid=[1e-9,2e-9,3e-9]"), {"edge_of_grid"}),
    ],
    ids=["solver", "nothing learned", "edge"],
)
def test_every_flag_is_documented(compose_config: Compose, overrides: tuple[str, ...], flags: set[str]) -> None:
    found = set(run(compose_config(*overrides), signal_dataset()).flags)
    assert flags <= found <= set(FLAGS)
