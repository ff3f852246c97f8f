import itertools

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import IncompatibleError
from fvc_exp.runs.explain import analysis
from fvc_exp.training.experiment import RunResult
from tests.conftest import Compose, run, signal_dataset
from tests.evaluation.test_bootstrap import predictions_of

RANDOM = np.random.default_rng(0)
N = 240
GROUPS = np.arange(N) // 4
Y = GROUPS % 2
FOLDS = GROUPS // 2 % 5
PROBABILITY = np.clip(0.3 * Y + 0.7 * RANDOM.random(N) + 0.02 * FOLDS, 0, 1)
IDS = [f"{row}.mp4" for row in range(N)]
PLATFORM = [("youtube", "facebook", None)[row % 3] for row in range(N)]
MANIPULATION = [("splice" if group % 4 == 1 else "blur") if y else "none" for group, y in zip(GROUPS, Y, strict=True)]
IN_TEST = pl.when(pl.col("fold") == 4).then(pl.lit("test")).otherwise(pl.lit("cv"))
TABLE = predictions_of(Y, GROUPS, FOLDS, PROBABILITY).with_columns(split=IN_TEST)
CV = FOLDS < 4


def trained(compose: Compose, dataset: Dataset, *overrides: str) -> RunResult:
    return run(compose("audit.permutations=0", *overrides), dataset)


def dataset_with(shifts: tuple[float, ...], n_groups: int = 150, copies: int = 4) -> Dataset:
    """Column k of a fake is shifted by ``shifts[k]``."""
    return signal_dataset(n_groups, copies, len(shifts), seed=3, shift=shifts)


def test_signal_keeps_its_sign_and_noise_does_not(compose_config: Compose) -> None:
    result = trained(compose_config, dataset_with((1.5, -1.5, 0.0)))
    found = analysis.coefficient_stability(result, replicates=60)
    assert found["feature"].to_list() == ["stage2_f0", "stage2_f1", "stage2_f2", "(intercept)"]
    np.testing.assert_array_equal(found["coefficient"][:3], result.final.classifier.coef_[0])
    up, down, noise, _ = found.to_dicts()
    assert up["low"] > 0
    assert down["high"] < 0
    assert up["sign_stability"] == down["sign_stability"] == 1.0
    assert noise["low"] < 0 < noise["high"]
    assert 0.2 < noise["sign_stability"] < 1.0
    assert all(row["low"] < row["coefficient"] < row["high"] for row in (up, down, noise))


def test_l1_drops_noise_in_some_samples(compose_config: Compose) -> None:
    result = trained(compose_config, dataset_with((1.5, 0.0, 0.0)), "penalty=l1", "C=0.05")
    found = analysis.coefficient_stability(result, replicates=40)
    assert found["selected"][0] == 1.0
    assert found["selected"][1:3].max() < 1.0


def test_groups_are_the_unit(compose_config: Compose) -> None:
    """The standard error is that of refitting new groups, some five times that of resampling rows of 25 copies."""
    dataset = dataset_with((0.7, 0.0), n_groups=60, copies=25)
    result = trained(compose_config, dataset, "cv.test_size=0")
    found = analysis.coefficient_stability(result, replicates=100)["standard_error"][0]
    random = np.random.default_rng(0)

    def refitted(rows: np.ndarray) -> float:
        X = StandardScaler().fit_transform(dataset.X[rows])
        return float(LogisticRegression().fit(X, dataset.y[rows]).coef_[0, 0])

    by_rows = np.std([refitted(random.integers(len(dataset.y), size=len(dataset.y))) for _ in range(60)], ddof=1)
    assert found > 2 * by_rows


def test_samples_hold_whole_groups_of_each_kind_and_follow_the_seed() -> None:
    dataset = signal_dataset(n_groups=20, copies=3)
    rows = np.arange(12, 60)
    for sample in analysis.group_samples(dataset, rows, 5, seed=0):
        assert set(sample.tolist()) <= set(rows.tolist())
        counts = np.bincount(sample, minlength=60).reshape(20, 3)
        assert (counts == counts[:, :1]).all()
        assert np.bincount(dataset.y[sample]).tolist() == [24, 24]
    one, two, other = (np.array(list(analysis.group_samples(dataset, rows, 3, seed))) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("calibration", ["none", "sigmoid"])
def test_the_interval_is_of_the_uncalibrated_model(compose_config: Compose, calibration: str) -> None:
    result = trained(compose_config, signal_dataset(), f"calibration={calibration}")
    found = analysis.coefficient_stability(result, replicates=30)
    assert (found["low"] <= found["coefficient"]).all()
    assert (found["coefficient"] <= found["high"]).all()


def test_what_the_model_needs_is_important_and_noise_is_not(compose_config: Compose) -> None:
    result = trained(compose_config, dataset_with((0.0, 2.0, 0.0), n_groups=120, copies=2))
    found = analysis.feature_importance(result)
    assert found["feature"][0] == "stage2_f1"
    assert found["importance"][0] > 0.3
    assert found["importance"][1:].abs().max() < 0.03
    assert (found["std"] > 0).all()
    assert found.equals(analysis.feature_importance(result))


def test_shuffling_the_only_feature_leaves_nothing(compose_config: Compose) -> None:
    """One feature: the AUC falls to that of random order, 0.5, so its importance is the AUC less 0.5."""
    result = trained(compose_config, dataset_with((1.0,), n_groups=400, copies=1))
    aucs = [
        roc_auc_score(result.dataset.y[fold.test], probability)
        for fold, probability in zip(result.split.folds, result.cv.probabilities, strict=True)
    ]
    found = analysis.feature_importance(result, repeats=100)["importance"][0]
    assert found == pytest.approx(np.mean(aucs) - 0.5, abs=0.01)


def test_the_point_of_the_run_is_the_run(compose_config: Compose) -> None:
    result = run(compose_config("audit.permutations=0", "C=0.2"), signal_dataset())
    path = analysis.regularisation_path(result, [0.01, 1.0])
    assert path.scores["C"].to_list() == [0.01, 0.2, 1.0]
    row = path.scores.row(1, named=True)
    assert (row["mean"], row["std"]) == pytest.approx(tuple(result.summary["auc"].values()), abs=1e-12)
    assert row["standard_error"] == pytest.approx(row["std"] / np.sqrt(5))
    np.testing.assert_array_equal(path.coefficients.filter(C=0.2)["coefficient"], result.final.classifier.coef_[0])


def test_l1_frees_one_feature_after_the_other(compose_config: Compose) -> None:
    result = run(compose_config("audit.permutations=0", "penalty=l1"), signal_dataset())
    path = analysis.regularisation_path(result, [0.0001, 0.03, 1.0, 100.0])
    counts = path.scores["nonzero"].to_list()
    assert counts[0] == 0
    assert counts == sorted(counts)
    assert counts[-1] == 5
    assert path.scores["mean"][0] == 0.5
    sizes = path.coefficients.group_by("C").agg(size=pl.col("coefficient").abs().sum()).sort("C")["size"].to_list()
    assert sizes == sorted(sizes)


def test_without_a_penalty_there_is_no_path(compose_config: Compose) -> None:
    result = run(compose_config("audit.permutations=0", "penalty=none"), signal_dataset())
    with pytest.raises(IncompatibleError, match="penalty=none has no path over C: choose a run with penalty=l1"):
        analysis.regularisation_path(result)


def scores(**slices: list[str | None]) -> dict[tuple[str, str], dict[str, object]]:
    found = analysis.slice_scores(TABLE, IDS, slices, 0.2, replicates=300)
    assert dict(found.schema) == analysis.SLICE_SCHEMA
    return {(row["value"], row["split"]): row for row in found.to_dicts()}


def auc_within_folds(rows: np.ndarray) -> float:
    """By counting the pairs one by one."""
    won = pairs = 0.0
    for fake, real in itertools.product(np.flatnonzero(rows & (Y == 1)), np.flatnonzero(rows & (Y == 0))):
        if FOLDS[fake] == FOLDS[real]:
            pairs += 1
            won += (PROBABILITY[fake] > PROBABILITY[real]) + 0.5 * (PROBABILITY[fake] == PROBABILITY[real])
    return won / pairs


def test_a_slice_of_both_classes_is_scored_by_itself() -> None:
    found = scores(platform=PLATFORM)
    assert set(found) == {(value, split) for value in ("youtube", "facebook") for split in ("cv", "test")}
    rows = CV & (np.array(PLATFORM) == "youtube")
    row = found["youtube", "cv"]
    assert (row["rows"], row["groups"], row["fakes"]) == (rows.sum(), len(set(GROUPS[rows])), Y[rows].sum())
    assert row["accuracy"] == pytest.approx(np.mean((PROBABILITY[rows] > 0.5) == Y[rows]))
    assert row["recall"] == pytest.approx(np.mean(PROBABILITY[rows & (Y == 1)] > 0.5))
    assert row["recall_real"] == pytest.approx(np.mean(PROBABILITY[rows & (Y == 0)] <= 0.5))
    assert row["mean_probability"] == pytest.approx(PROBABILITY[rows].mean())
    assert row["auc"] == pytest.approx(auc_within_folds(rows))
    assert row["auc_against"] == "own rows"
    assert row["auc_low"] < row["auc"] < row["auc_high"]


def test_a_slice_of_one_class_is_scored_against_the_other_class() -> None:
    found = scores(manipulation=MANIPULATION)
    splice, none = found["splice", "cv"], found["none", "cv"]
    assert (splice["auc_against"], none["auc_against"]) == ("all real", "all fake")
    assert splice["auc"] == pytest.approx(auc_within_folds(CV & ((np.array(MANIPULATION) == "splice") | (Y == 0))))
    assert none["auc"] == pytest.approx(auc_within_folds(CV))
    assert splice["recall_real"] is None
    assert none["recall"] is None


def test_the_folds_dependence_widens_the_intervals_of_cv_alone() -> None:
    narrow, wide = (
        analysis.slice_scores(TABLE, IDS, {"p": PLATFORM}, dependence, replicates=300) for dependence in (0.0, 1.25)
    )
    widths = (wide["auc_high"] - wide["auc_low"]) / (narrow["auc_high"] - narrow["auc_low"])
    by_split = dict(zip(zip(wide["split"], wide["value"], strict=True), widths, strict=True))
    assert by_split["cv", "youtube"] == pytest.approx(1.5, rel=0.03)  # of the error; limits bend near 0 and 1
    assert by_split["test", "youtube"] == pytest.approx(1.0)


def test_a_slice_of_few_groups_has_no_interval() -> None:
    """One group had an interval from 0 to 0."""
    few = [("rare" if group < 12 else "one" if group == 13 else "common") for group in GROUPS]
    found = scores(platform=few)
    for value, groups in (("rare", 10), ("one", 1)):
        row = found[value, "cv"]
        assert row["groups"] == groups
        assert (row["auc_low"], row["auc_high"]) == (None, None)
        assert row["auc"] is not None
    assert found["common", "cv"]["auc_low"] is not None
