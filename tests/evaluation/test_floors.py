from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from fvc_exp.evaluation.floors import chance_scores, fake_share_by_key, floor_probabilities
from fvc_exp.evaluation.leakage.permutation import permuted_labels
from fvc_exp.evaluation.metrics import METRICS, score
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
    np.testing.assert_allclose(floor_probabilities(dataset, train, test)["platform_only"], expected)
    floors = run(compose_config(), dataset).floors
    assert list(floors) == ["prior", "all_fake", "group_lookup", "platform_only", "chance"]
    assert floors["platform_only"]["accuracy"] > 0.9
    assert floors["platform_only"]["accuracy"] > floors["prior"]["accuracy"] + 0.3


@pytest.mark.parametrize("decimals", [9, 1], ids=["no ties", "ties"])
@pytest.mark.parametrize(
    ("fakes", "reals", "copies"), [(6, 6, 1), (3, 60, 1), (10, 10, 3)], ids=["12", "3+60", "copies"]
)
def test_chance_is_the_mean_over_permutations(fakes: int, reals: int, copies: int, decimals: int) -> None:
    """Drawn one by one."""
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(fakes + reals), copies)
    y = (groups < fakes).astype(np.int64)
    probability = np.round(0.3 * random.random(len(y)) + 0.7 * random.random(fakes + reals)[groups], decimals)
    found = chance_scores(y, probability, (probability > 0.5).astype(np.int64), groups)
    drawn = islice(permuted_labels(y, groups, np.random.default_rng(0)), 4000)
    records = [score(labels, probability) for labels in drawn]
    expected = {name: np.mean([record[name] for record in records]) for name in METRICS}
    assert found == pytest.approx(expected, abs=0.012)
    assert found["auc"] == 0.5
