"""The intervals must cover the truth as often as they say, also where models learn from correlated groups."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation import bootstrap, resampled
from fvc_exp.evaluation.metrics import METRICS, score

FOLDS = 5


def predictions_of(y: np.ndarray, groups: np.ndarray, folds: np.ndarray, probability: np.ndarray) -> pl.DataFrame:
    """A ``predictions.parquet`` of one repeat."""
    return pl.DataFrame(
        {
            "video_path": [f"{row}.mp4" for row in range(len(y))],
            "group": [f"group{code:04d}" for code in groups],
            "label": np.where(y == 1, "fake", "real"),
            "split": ["cv"] * len(y),
            "repeat": np.zeros(len(y), dtype=np.int64),
            "fold": folds,
            "probability": probability,
            "predicted": (probability > 0.5).astype(np.int64),
        }
    )


class Simulation:
    """Grouped cross-validation of a logistic regression on Gaussian groups of near-copies, whose true AUC is known."""

    def __init__(self, seed: int, n_groups: int, copies: int, n_features: int, shift: float) -> None:
        random = np.random.default_rng(seed)
        labels = np.arange(n_groups) % 2
        self.groups = np.repeat(np.arange(n_groups), copies)
        self.y = labels[self.groups]
        centre = np.zeros(n_features)
        centre[:3] = shift
        of_groups = labels[:, None] * centre + random.normal(size=(n_groups, n_features))
        X = of_groups[self.groups] + 0.3 * random.normal(size=(len(self.y), n_features))
        self.folds = np.empty(len(self.y), dtype=np.int64)
        self.probability = np.empty(len(self.y))
        log_odds, truths = [], []
        splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)  # of groups, which are of one size
        for number, (_, of_test) in enumerate(splitter.split(labels, labels)):
            test = np.isin(self.groups, of_test)
            model = LogisticRegression(solver="newton-cholesky").fit(X[~test], self.y[~test])
            self.folds[test], self.probability[test] = number, model.predict_proba(X[test])[:, 1]
            log_odds.append(model.decision_function(X))
            direction = model.coef_[0] / np.linalg.norm(model.coef_[0])
            truths.append(norm.cdf(direction @ centre / np.sqrt(2 * 1.09)))
        self.dependence = bootstrap.fold_dependence(log_odds)
        self.truth = float(np.mean(truths))

    def table(self, copies: int = 1) -> pl.DataFrame:
        """The predictions, each row this many times over."""
        columns = (self.y, self.groups, self.folds, self.probability)
        return predictions_of(*(np.repeat(column, copies) for column in columns))

    def auc(self, dependence: float, replicates: int) -> bootstrap.Interval:
        return bootstrap.intervals(self.table(), "cv", dependence, metrics=("auc",), replicates=replicates)["auc"]


# The shares that were found are in the docstring of fvc_exp.evaluation.bootstrap.
DESIGNS = {
    "no signal": (100, 5, 5, 0.0),
    "no signal, many features": (300, 3, 26, 0.0),
    "weak signal, many features": (100, 5, 26, 0.5),
    "signal": (100, 5, 5, 0.5),
    "strong signal": (100, 5, 5, 1.0),
    "many groups": (300, 3, 5, 0.3),
}


@pytest.mark.slow
@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_intervals_cover_the_truth_in_95_percent_of_data_sets(design: tuple[int, int, int, float]) -> None:
    covered = []
    for seed in range(500):
        simulated = Simulation(seed, *design)
        pair = [simulated.auc(dependence, 500) for dependence in (simulated.dependence, 0.0)]
        covered.append([each.low <= simulated.truth <= each.high for each in pair])
    share, without = np.mean(covered, axis=0)
    print(f"{design}: {share:.3f} ({without:.3f})")
    error = 2 * np.sqrt(0.05 * 0.95 / len(covered))
    assert 0.93 - error <= share <= 0.97 + error, (share, without)


SIZES = {"equal sizes": (3,), "sizes 1 to 8": (1, 1, 2, 3, 5, 8)}


def held_out(random: np.random.Generator, per_class: int, sizes: tuple[int, ...], signal: float) -> pl.DataFrame:
    """Held-out rows of as many groups per class; 80 % of the variance lies between groups; the model is too sure."""
    size = random.permutation(np.resize(sizes, 2 * per_class))
    groups = np.repeat(np.arange(2 * per_class), size)
    y = (groups < per_class).astype(np.int64)
    noise = np.sqrt(0.8) * random.normal(size=2 * per_class)[groups] + np.sqrt(0.2) * random.normal(size=len(y))
    probability = 1 / (1 + np.exp(-max(1.2 * signal, 0.5) * (noise + signal * (y - 0.5))))
    table = predictions_of(y, groups, np.zeros(len(y), dtype=np.int64), probability)
    return table.with_columns(pl.lit("test").alias("split"))


def coverage(per_class: int, sizes: tuple[int, ...], signal: float, count: int) -> dict[str, float]:
    """Share of data sets whose interval holds the mean score of such data sets."""
    random, names = np.random.default_rng(0), ("auc", "log_loss", "average_precision")
    drawn = [held_out(random, per_class, sizes, signal) for _ in range(4 * count)]
    labels = [(table["label"] == "fake").to_numpy().astype(int) for table in drawn]
    exact = [score(y, table["probability"].to_numpy()) for y, table in zip(labels, drawn, strict=True)]
    found = [bootstrap.intervals(table, "test", 0.0, metrics=names, replicates=300) for table in drawn[:count]]
    shares = {}
    for name in names:
        truth = np.mean([each[name] for each in exact])
        shares[name] = float(np.mean([each[name].low <= truth <= each[name].high for each in found]))
    print(per_class, sizes, signal, {name: round(share, 3) for name, share in shares.items()})
    return shares


@pytest.mark.slow
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("per_class", [6, 8, 12, 24, 60])
def test_intervals_of_few_held_out_groups_cover(per_class: int, sizes: tuple[int, ...]) -> None:
    """At least 93 % for every signal, from 8 groups on at most 97 % on average over them, with two binomial errors."""
    found = [coverage(per_class, sizes, signal, 1000) for signal in (0.0, 1.0, 2.0)]
    error = 2 * np.sqrt(0.05 * 0.95 / 1000)
    for name in found[0]:
        shares = [each[name] for each in found]
        assert min(shares) >= 0.93 - error, (name, shares)
        assert per_class == 6 or np.mean(shares) <= 0.97 + error / np.sqrt(3), (name, shares)


@pytest.mark.parametrize("per_class", [1, 5, 6])
def test_below_six_groups_of_a_class_there_is_no_interval(per_class: int) -> None:
    table = held_out(np.random.default_rng(0), per_class, (3,), 1.0)
    for each in bootstrap.intervals(table, "test", 0.0, replicates=50).values():
        assert (each.low is None) == (each.high is None) == (per_class < 6)
        if per_class < 6:
            assert each.reason == f"{per_class} groups of fakes and {per_class} of reals: an interval needs 6 of each"


def test_perfect_scores_of_few_groups_are_not_certain() -> None:
    """Every resampled AUC is 1, so percentiles gave an interval from 1 to 1."""
    table = held_out(np.random.default_rng(0), 8, (3,), 1.0)
    table = table.with_columns(pl.when(pl.col("label") == "fake").then(0.9).otherwise(0.1).alias("probability"))
    found = bootstrap.intervals(table, "test", 0.0, replicates=50)["auc"]
    assert found.standard_error == pytest.approx(0.0, abs=1e-12)
    assert 0.6 < found.low < 0.9
    assert found.high == 1.0


def test_estimates_are_the_means_of_the_folds_of_a_split() -> None:
    simulated = Simulation(0, 60, 3, 5, 0.5)
    found = bootstrap.intervals(simulated.table(), "cv", 0.0, replicates=50)
    by_fold = [score(simulated.y[rows], simulated.probability[rows])
               for rows in (simulated.folds == fold for fold in range(FOLDS))]  # fmt: skip
    for name in METRICS:
        assert found[name].estimate == pytest.approx(np.mean([each[name] for each in by_fold]), abs=1e-12)
        assert found[name].low < found[name].estimate < found[name].high
    fake = simulated.table().with_columns(pl.lit(1).alias("predicted"))  # which decides, not a threshold
    assert bootstrap.intervals(fake, "cv", 0.0, metrics=("recall",), replicates=20)["recall"].estimate == 1.0
    with pytest.raises(ArtifactError, match="no row of split 'test'"):
        bootstrap.intervals(simulated.table(), "test", 0.0)


def test_near_copies_make_nothing_surer() -> None:
    """Every row ten times over must not change an interval; resampling rows would make it 3 times narrower."""
    one = Simulation(0, 80, 1, 5, 0.5)
    pair = [bootstrap.intervals(one.table(copies), "cv", 0.0, replicates=200) for copies in (1, 10)]
    for name in METRICS:
        assert vars(pair[0][name]) == pytest.approx(vars(pair[1][name]), abs=1e-9)


@pytest.mark.parametrize("sizes", [(3, 7, 40), (2,), (1, 5)], ids=str)
def test_weights_have_the_mean_and_variance_of_a_sample(sizes: tuple[int, ...]) -> None:
    strata = np.repeat(np.arange(len(sizes)), sizes)
    weights = resampled.cluster_weights(strata, 40_000, np.random.default_rng(0))
    values = np.random.default_rng(1).normal(size=len(strata))
    for stratum, size in enumerate(sizes):
        rows = strata == stratum
        np.testing.assert_allclose(weights[rows].sum(axis=0), size)
        if size == 1:
            continue  # it cannot vary, and keeps its weight
        means = values[rows] @ weights[rows] / size
        assert means.var() == pytest.approx(values[rows].var(ddof=1) / size, rel=0.05)


@pytest.mark.parametrize(
    ("shift", "low", "high"), [(0.0, 0.6, 1.25), (3.0, 0.0, 0.1)], ids=["no signal", "strong signal"]
)
def test_dependence_follows_the_signal(shift: float, low: float, high: float) -> None:
    found = [Simulation(seed, 200, 2, 20, shift).dependence for seed in range(3)]
    assert low <= np.mean(found) <= high
    assert max(found) <= bootstrap.no_signal_dependence(FOLDS) == 1.25


def test_dependence_of_models_without_a_coefficient_is_the_largest() -> None:
    assert bootstrap.fold_dependence([np.zeros(9)] * 5) == 1.25
    assert bootstrap.fold_dependence([np.arange(9.0)]) == 0.0


RANDOM = np.random.default_rng(0)
GROUPS = RANDOM.integers(30, size=200)
Y = RANDOM.permutation(np.arange(200) % 2)
TIED = np.round(0.4 * RANDOM.random(200) + 0.3 * Y, 1)
DISTINCT = np.where(Y == 1, 0.2, 0.1) + 0.7 * RANDOM.random(200)
PROBABILITIES = pytest.mark.parametrize("probability", [TIED, DISTINCT], ids=["ties", "no ties"])


def scores(probability: np.ndarray, weights: np.ndarray, groups: np.ndarray = GROUPS) -> dict[str, np.ndarray]:
    return resampled.ResampledRows(Y, groups, weights).scores(probability, (probability > 0.5).astype(int), METRICS)


@PROBABILITIES
def test_weights_mean_that_rows_are_repeated(probability: np.ndarray) -> None:
    weights = RANDOM.integers(4, size=(30, 25)).astype(float)
    found = scores(probability, weights)
    for replicate in range(weights.shape[1]):
        rows = np.repeat(np.arange(200), weights[GROUPS, replicate].astype(int))
        expected = score(Y[rows], probability[rows])
        assert {name: values[replicate] for name, values in found.items()} == pytest.approx(expected, abs=1e-12)


@PROBABILITIES
@pytest.mark.parametrize("replicates", [30, 10], ids=["by groups", "by rows"])
def test_fractional_weights_of_the_auc(probability: np.ndarray, replicates: int) -> None:
    weights = RANDOM.random((30, replicates))
    expected = [roc_auc_score(Y, probability, sample_weight=column[GROUPS]) for column in weights.T]
    np.testing.assert_allclose(scores(probability, weights)["auc"], expected, atol=1e-12)


def test_a_class_without_weight_gives_no_number() -> None:
    found = scores(DISTINCT, np.column_stack([np.arange(30) % 2 == 0, np.zeros(30)]), groups=np.arange(200) % 2)
    lost = {name for name, values in found.items() if np.isnan(values[1])}
    assert lost == {"accuracy", "balanced_accuracy", "recall", "recall_real", "auc", "average_precision",
                    "log_loss", "brier"}  # fmt: skip
    ones = np.ones(4, int)
    fakes_only = resampled.ResampledRows(ones, np.arange(4), np.ones((4, 1))).scores(DISTINCT[:4], ones, METRICS)
    assert np.isnan([fakes_only["auc"][0], fakes_only["recall_real"][0]]).all()
    assert fakes_only["recall"][0] == 1.0


def test_the_mean_of_parts_leaves_out_what_is_unknown() -> None:
    found = resampled.mean_of_parts([np.array([0.2, np.nan, np.nan]), np.array([0.4, 0.6, np.nan])])
    np.testing.assert_allclose(found, [0.3, 0.6, np.nan])
