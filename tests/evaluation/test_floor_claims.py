"""The one comparison with the best floor: its numbers, and how often noise is called better."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.claims import FloorClaim, Floors, claim_against_floor, claim_json
from fvc_exp.evaluation.metrics import direction
from fvc_exp.evaluation.resampled import Scored
from fvc_exp.training.experiment import RunResult
from tests.conftest import Compose, noise_dataset, run, signal_dataset
from tests.report.folders import make_config

NAMES = ("auc", "average_precision", "log_loss", "brier", "balanced_accuracy", "mcc")


def judged(result: RunResult) -> dict[str, FloorClaim]:
    """The claims of all judged metrics, by the out-of-fold rows."""
    scored = Scored.from_predictions(result.predictions(), "cv")
    return Floors(scored, NAMES).claims(scored)


@pytest.mark.slow
@pytest.mark.parametrize("copies", [1, 3], ids=["60 groups", "20 groups of 3"])
def test_noise_is_seldom_better_than_the_best_floor(compose_config: Compose, copies: int) -> None:
    """At most 5 % of 300 data sets; the shares of all metrics are in ``docs/statistics.md``."""
    config, found = compose_config("cv.test_size=0", "audit.permutations=0", "audit.price=false"), []
    for seed in range(300):
        found.append(judged(run(replace(config, seed=seed), noise_dataset(60 // copies, copies, 5, seed))))
    assert all(("mcc" in claims) == (copies == 1) for claims in found)  # folds of four groups are too few for it
    shares = {name: float(np.mean([claims[name].beats for claims in found])) for name in found[0]}
    print(copies, {name: round(share, 3) for name, share in shares.items()})
    assert max(shares.values()) <= 0.05


@pytest.fixture(scope="module")
def result() -> RunResult:
    return run(make_config("penalty=l2", "C=1", "audit.permutations=0"), signal_dataset())


def test_the_claim_by_hand(result: RunResult) -> None:
    """The difference, and a p-value near that of resampling the groups one by one, without the folds' dependence."""
    claims = judged(result)
    assert set(claims) == set(NAMES) - {"mcc"}  # folds of eight groups are too few for it
    for name, claim in claims.items():
        sign, floors = direction(name), {rule: scores[name] for rule, scores in result.floors.items()}
        assert claim.score == pytest.approx(result.summary[name]["mean"])
        assert claim.floor_score == pytest.approx(sign * max(sign * value for value in floors.values()))
        assert claim.difference == pytest.approx(sign * (claim.score - claim.floor_score))
        assert (claim.low > 0) == claim.beats
        assert claim.low < claim.difference < claim.high
    assert claims["auc"] == result.claim == claim_against_floor(result.predictions())


def test_pairing_leaves_out_what_model_and_floor_share(result: RunResult) -> None:
    """A model that is the prior has the prior's log loss in every replicate: nothing varies."""
    same = result.predictions().with_columns(pl.col("floor_prior").alias("probability"))
    claim = claim_against_floor(same, "log_loss")
    assert claim is not None
    assert (claim.difference, claim.low, claim.high, claim.p_value) == pytest.approx((0.0, 0.0, 0.0, 1.0), abs=1e-12)


@pytest.mark.parametrize(
    ("p_value", "low", "verdict", "beats", "text"),
    [
        (0.0123, 0.1, "PASS", True, "Better than rules that use no feature (AUC 0.700 against 0.500 of prior; "),
        (0.00001, 0.1, "PASS", True, "p < 0.001 as one of 9 configurations)"),
        (0.4, 0.1, "PASS", False, "Not shown to be better"),
        (0.0123, 0.1, "UNCHECKED", None, "No claim is made about its scores: groups are unknown."),
        (0.0123, 0.1, "FAIL", None, "so its scores prove nothing."),
        (1.0, 0.3, "PASS", None, "AUC is 0.700 in every resample, so there is no p-value."),
        (None, 0.1, "PASS", None, "fewer than 6 groups of a class"),
    ],
)
def test_what_may_be_claimed(p_value: float | None, low: float, verdict: str, beats: bool | None, text: str) -> None:
    claim = None if p_value is None else FloorClaim("auc", 0.7, "prior", 0.5, 0.2, low, 0.3, p_value, selected_from=9)
    found = claim_json(claim, verdict)
    assert found["beats"] is beats
    assert text in found["sentence"]
    assert beats is not None or "p = " not in found["sentence"]
    assert found.get("p_value") == p_value, "the numbers stay"


def test_few_groups_and_old_predictions(result: RunResult) -> None:
    predictions = result.predictions()
    few = predictions.filter(pl.col("group").is_in(predictions["group"].unique().sort().head(9)))
    assert claim_against_floor(few) is None
    with pytest.raises(ArtifactError, match="the predictions hold no floors; another version wrote them, run again"):
        claim_against_floor(predictions.select(pl.exclude("^floor_.*$")))
