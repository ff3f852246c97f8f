"""On labels that mean nothing, nothing may be found to be better than the floor more often than in 5 % of cases."""

from __future__ import annotations

import numpy as np
import pytest

from fvc_exp.config.schema import Config
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import make_split
from fvc_exp.evaluation.bootstrap import Scored, cluster_weights, fold_dependence, weighted_intervals
from fvc_exp.evaluation.statistics import holm
from fvc_exp.runs.compare.comparison import floor_p_value
from fvc_exp.training.experiment import cross_validate
from fvc_exp.training.split_dataset import SplitDataset
from tests.conftest import Compose, make_dataset

GRID = (["C=0.001"], ["C=1"], ["penalty=l1", "solver=liblinear", "C=0.1"])


def dataset_of(seed: int, shift: float) -> Dataset:
    """80 groups of three near-copies with random labels, and this much signal in every feature."""
    random = np.random.default_rng(seed)
    groups, labels = np.repeat(np.arange(80), 3), random.permutation(np.arange(80) % 2)
    X = (random.normal(size=(80, 8)) + shift * labels[:, None])[groups] + 0.3 * random.normal(size=(240, 8))
    return make_dataset(X, labels[groups], groups)


def claims(configs: list[Config], seed: int, shift: float) -> bool:
    """Whether any of the configurations is said to be better than the floor."""
    dataset = dataset_of(seed, shift)
    split = make_split(dataset, configs[0].cv, seed)
    tested = np.concatenate([fold.test for fold in split.folds])
    parts = np.repeat(np.arange(len(split.folds)), [len(fold.test) for fold in split.folds])
    y, groups = dataset.y[tested], dataset.groups[tested]
    strata = np.zeros(80, dtype=np.int64)
    strata[groups] = y
    weights = cluster_weights(strata, 500, np.random.default_rng(0))
    p_values = []
    for config in configs:
        found = cross_validate(config, SplitDataset(dataset, split, config.audit, seed))
        probability = np.concatenate(found.probabilities)
        scored = Scored(y, probability, (probability > 0.5).astype(np.int64), groups, strata, parts)
        dependence = fold_dependence([model.pipeline.decision_function(dataset.X) for model in found.models])
        interval = weighted_intervals(scored, weights, dependence, ("auc",))["auc"]
        p_values.append(floor_p_value(interval, 0.5, dependence=dependence, folds=5, groups=80))
    return bool(holm(np.array(p_values)).min() < 0.05)


@pytest.mark.parametrize("seeds", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("count", [1, 3], ids=["one configuration", "three"])
def test_noise_seldom_beats_the_floor(compose_config: Compose, seeds: int, count: int) -> None:
    configs = [compose_config("cv.test_size=0", *overrides) for overrides in GRID[-count:]]
    found = sum(claims(configs, seed, 0.0) for seed in range(seeds))
    print(f"{count} configurations: {found} claims in {seeds} data sets")
    assert found <= 0.05 * seeds + 2 * np.sqrt(0.05 * 0.95 * seeds)


def test_signal_mostly_does(compose_config: Compose) -> None:
    configs = [compose_config("cv.test_size=0", *overrides) for overrides in GRID]
    assert sum(claims(configs, seed, 0.5) for seed in range(10)) >= 9
