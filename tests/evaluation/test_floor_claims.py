"""The one comparison with the best floor: its numbers, and how often noise is called better."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

from fvc_exp.data.splits import make_split
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.bootstrap import Scored
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
    """At most 5 % of 300 data sets; the shares of all metrics are in ``docs/statistics.md``."""
    found = [
        claims_against_floors(Scored.from_predictions(result.predictions(), "cv"), NAMES)
        for result in noise(compose_config, copies, 300)
    ]
    shares = {name: float(np.mean([claims[name].beats for claims in found])) for name in NAMES}
    print(copies, {name: round(share, 3) for name, share in shares.items()})
    assert max(shares["auc"], shares["average_precision"]) <= 0.05
    assert max(shares.values()) <= 0.1  # MCC of folds of four groups


def test_the_claim_by_hand(compose_config: Compose) -> None:
    """The difference, and a p-value near that of resampling the groups one by one, without the folds' dependence."""
    result = run(compose_config("audit.permutations=0"), signal_dataset())
    claims = claims_against_floors(Scored.from_predictions(result.predictions(), "cv"), NAMES)
    for name, claim in claims.items():
        sign, floors = direction(name), {rule: scores[name] for rule, scores in result.floors.items()}
        assert claim.score == pytest.approx(result.summary[name]["mean"])
        assert claim.floor_score == pytest.approx(sign * max(sign * value for value in floors.values()))
        assert claim.difference == pytest.approx(sign * (claim.score - claim.floor_score))
        assert (claim.low > 0) == claim.beats
        assert claim.low < claim.difference < claim.high
    assert claims["auc"] == result.claim == claim_against_floor(result.predictions())


def test_pairing_leaves_out_what_model_and_floor_share(compose_config: Compose) -> None:
    """A model that is the prior has the prior's log loss in every replicate: nothing varies."""
    predictions = run(compose_config("audit.permutations=0"), signal_dataset()).predictions()
    same = predictions.with_columns(pl.col("floor_prior").alias("probability"))
    claim = claim_against_floor(same, "log_loss")
    assert claim is not None
    assert (claim.difference, claim.low, claim.high, claim.p_value) == pytest.approx((0.0, 0.0, 0.0, 1.0), abs=1e-12)


def test_a_choice_between_models_makes_a_claim_harder(compose_config: Compose) -> None:
    predictions = run(compose_config("audit.permutations=0"), signal_dataset()).predictions()
    one, best = (claim_against_floor(predictions, selected_from=count) for count in (1, 8))
    assert one is not None
    assert best is not None
    assert best.p_value == pytest.approx(min(1.0, 8 * one.p_value))
    assert best.low < one.low
    assert "as one of 8 configurations" in best.sentence


def test_few_groups_and_old_predictions(compose_config: Compose) -> None:
    predictions = run(compose_config("audit.permutations=0"), signal_dataset()).predictions()
    few = predictions.filter(pl.col("group").is_in(predictions["group"].unique().sort().head(9)))
    assert claim_against_floor(few) is None
    with pytest.raises(ArtifactError, match="the predictions hold no floors; another version wrote them, run again"):
        claim_against_floor(predictions.select(pl.exclude("^floor_.*$")))
