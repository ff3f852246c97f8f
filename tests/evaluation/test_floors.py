from __future__ import annotations

from dataclasses import replace

import numpy as np

from fvc_exp.evaluation.floors import fake_share_by_key, floor_scores, platform_only
from tests.conftest import Compose, run, signal_dataset


def test_lookup_is_the_mean_label_of_the_key_else_of_all() -> None:
    keys, y = np.array([4, 4, 4, 9, 9, 7]), np.array([1, 1, 0, 0, 0, 1])
    found = fake_share_by_key(keys, y, np.arange(5), np.array([0, 3, 5]))
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
    found = floor_scores(signal_dataset(), [(np.arange(60), np.arange(60, 120))])
    assert list(found) == ["prior", "all_fake", "group_lookup"]
