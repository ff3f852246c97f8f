"""The one comparison with the best floor: its numbers, and how often noise is called better."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from fvc_exp.data.splits import make_split
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.claims import claim_against_floor, claims_against_floors
from fvc_exp.evaluation.metrics import direction
from fvc_exp.training.experiment import RunResult, run_experiment
from fvc_exp.training.split_dataset import SplitDataset
from tests.conftest import Compose, make_dataset, run, signal_dataset

NAMES = ("auc", "average_precision", "log_loss", "brier", "balanced_accuracy", "mcc")


def noise(compose: Compose, copies: int, count: int) -> Iterator[RunResult]:
    """Runs on 60 rows whose features know nothing of the labels, in groups of this many near-copies."""
    config = compose("cv.test_size=0", "audit.permutations=0", "plots=false")
    for seed in range(count):
        random = np.random.default_rng(seed)
        groups = np.repeat(np.arange(60 // copies), copies)
        y = random.permutation(np.arange(60 // copies) % 2)[groups]
        X = random.normal(size=(60 // copies, 5))[groups] + 0.3 * random.normal(size=(60, 5))
        dataset = make_dataset(X, y, groups)
        yield run_experiment(config, SplitDataset(dataset, make_split(dataset, config.cv, seed), config.audit, seed))


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 3], ids=["60 groups", "20 groups of 3"])
def test_noise_is_seldom_better_than_the_best_floor(compose_config: Compose, copies: int) -> None:
    """At most 5 % of 300 data sets for each metric; the shares are in ``docs/statistics.md``."""
    found = [claims_against_floors(result.predictions(), NAMES) for result in noise(compose_config, copies, 300)]
    shares = {name: float(np.mean([claims[name].beats for claims in found])) for name in NAMES}
    print(copies, {name: round(share, 3) for name, share in shares.items()})
    assert max(shares.values()) <= 0.05
