"""On labels that mean nothing, nothing may be found to be better than the floor more often than in 5 % of cases."""

import numpy as np
import pytest

from fvc_exp.config.schema import Config
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import make_split
from fvc_exp.evaluation.claims import claim_against_floor
from fvc_exp.evaluation.statistics import holm
from fvc_exp.training.experiment import run_experiment
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
    data = SplitDataset(dataset, make_split(dataset, configs[0].cv, seed), configs[0].audit, seed)
    found = [claim_against_floor(run_experiment(config, data).predictions()) for config in configs]
    return bool(holm(np.array([claim.p_value for claim in found if claim])).min() < 0.05)


@pytest.mark.parametrize("seeds", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("count", [1, 3], ids=["one configuration", "three"])
def test_noise_seldom_beats_the_floor(compose_config: Compose, seeds: int, count: int) -> None:
    configs = [compose_config("cv.test_size=0", "audit.permutations=0", *overrides) for overrides in GRID[-count:]]
    found = sum(claims(configs, seed, 0.0) for seed in range(seeds))
    print(f"{count} configurations: {found} claims in {seeds} data sets")
    assert found <= 0.05 * seeds + 2 * np.sqrt(0.05 * 0.95 * seeds)


def test_signal_mostly_does(compose_config: Compose) -> None:
    configs = [compose_config("cv.test_size=0", "audit.permutations=0", *overrides) for overrides in GRID]
    assert sum(claims(configs, seed, 0.5) for seed in range(10)) >= 9
