"""What a run has learned: coefficients, importance of features, the path over C, and scores of slices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from sklearn.inspection import permutation_importance

from fvc_exp._typing import Array, Indices, Labels, Mask, Progress, no_progress
from fvc_exp.config.schema import Config, Penalty
from fvc_exp.data.columns import KEY
from fvc_exp.data.dataset import Dataset
from fvc_exp.errors import IncompatibleError
from fvc_exp.evaluation import bootstrap, metrics, resampled, statistics
from fvc_exp.training import experiment, pipeline

_TAILS = (0.025, 0.975)
C_VALUES = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-8, 5))  # 0.0001 to 100, two per decade
_SCORES = {"C": pl.Float64, "mean": pl.Float64, "std": pl.Float64, "standard_error": pl.Float64, "nonzero": pl.Int64}
_NUMBERS = ("accuracy", "recall", "recall_real", "mean_probability", "auc", "auc_low", "auc_high")
SLICE_SCHEMA = {
    **dict.fromkeys(("slice", "value", "split"), pl.String),
    **dict.fromkeys(("rows", "groups", "fakes"), pl.Int64),
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "auc_against": pl.String,
}


def coefficient_stability(
    result: experiment.RunResult, replicates: int = 200, seed: int = 0, on_progress: Progress = no_progress
) -> pl.DataFrame:
    """Fit the final model to resampled groups of the development rows; one row per feature, then the intercept.

    ``coefficient`` is that of the run (of standardised features, before calibration); ``low`` and ``high`` hold the
    middle 95 % of the replicates, ``standard_error`` is their standard deviation. ``sign_stability`` is the share of
    replicates with the same sign (zero counts as a sign), ``selected`` the share that is not zero. An l1 penalty pulls
    the interval to zero with the coefficient: it shows how much the fit varies, not where the true value lies.
    """
    config, dataset, rows = at_final_c(result), result.dataset, result.split.development
    exact = pipeline.fit_pipeline(config, dataset.X[rows], dataset.y[rows]).weights
    drawn = []
    for done, sample in enumerate(group_samples(dataset, rows, replicates, seed), 1):
        drawn.append(pipeline.fit_pipeline(config, dataset.X[sample], dataset.y[sample]).weights)
        on_progress(done, replicates)
    table = np.array(drawn)
    low, high = np.quantile(table, _TAILS, axis=0)
    return pl.DataFrame(
        {
            "feature": [*dataset.feature_names, "(intercept)"],
            "coefficient": exact,
            "low": low,
            "high": high,
            "standard_error": table.std(axis=0, ddof=1),
            "sign_stability": (np.sign(table) == np.sign(exact)).mean(axis=0),
            "selected": (table != 0).mean(axis=0),
        }
    )


def at_final_c(result: experiment.RunResult) -> Config:
    """The run's configuration with the C of its final model, and nothing left to search."""
    config = result.config
    c = result.final.C if np.isfinite(result.final.C) else config.C
    return replace(config, C=c, cv=replace(config.cv, c_grid=[]))


def group_samples(dataset: Dataset, rows: Indices, replicates: int, seed: int) -> Iterator[Indices]:
    """Row numbers of as many groups, drawn with replacement among those with the same labels, for each replicate."""
    random = np.random.default_rng(seed)
    by_labels: dict[frozenset[int], list[Indices]] = {}
    for group in np.unique(dataset.groups[rows]):
        members = rows[dataset.groups[rows] == group]
        by_labels.setdefault(frozenset(dataset.y[members].tolist()), []).append(members)
    for _ in range(replicates):
        drawn = [alike[place] for alike in by_labels.values() for place in random.integers(len(alike), size=len(alike))]
        yield np.concatenate(drawn)


def feature_importance(
    result: experiment.RunResult, repeats: int = 10, on_progress: Progress = no_progress
) -> pl.DataFrame:
    """Fall of the AUC on each fold's test rows when a feature's values are shuffled among them (Breiman 2001).

    One row per feature, the most important first: ``importance`` is the mean over folds and repeats, ``std`` the
    standard deviation over folds of their means. Of features with the same information, each looks unimportant, since
    the others stay.
    """
    folds, dataset = result.split.folds, result.dataset
    falls = []
    for done, (fold, model) in enumerate(zip(folds, result.cv.models, strict=True), 1):
        X, y = dataset.X[fold.test], dataset.y[fold.test]
        scoring = _auc_of(model)
        found = permutation_importance(model.classifier, X, y, scoring=scoring, n_repeats=repeats, random_state=0)
        falls.append(found.importances_mean)
        on_progress(done, len(folds))
    table = np.array(falls)
    std = table.std(axis=0, ddof=1) if len(folds) > 1 else np.full(table.shape[1], np.nan)
    columns = {"feature": dataset.feature_names, "importance": table.mean(axis=0), "std": std}
    return pl.DataFrame(columns).sort("importance", descending=True, maintain_order=True)


def _auc_of(model: pipeline.FittedModel) -> Callable[[object, Array, Labels], float]:
    return lambda _, X, y: metrics.auc(y, model.probability(X))


@dataclass(frozen=True)
class RegularisationPath:
    """The value of the run is ``C``.

    ``scores`` has one row per C: mean, std and standard_error of the folds' AUC, and the nonzero coefficients of the
    final fit. ``coefficients`` has one row per C and feature.
    """

    C: float
    scores: pl.DataFrame
    coefficients: pl.DataFrame


def regularisation_path(
    result: experiment.RunResult, c_values: Sequence[float] = C_VALUES, on_progress: Progress = no_progress
) -> RegularisationPath:
    """Cross-validate and refit the run's model for every C, on its own folds and development rows.

    Coefficients are of standardised features, before calibration. The score of the best C on the path is optimistic.

    Raises:
        IncompatibleError: the run has no penalty, so that C has no effect.
    """
    if result.config.penalty.name is Penalty.none:
        raise IncompatibleError("penalty=none has no path over C: choose a run with penalty=l1, l2 or elasticnet")
    config, dataset, rows = at_final_c(result), result.dataset, result.split.development
    scores, coefficients = [], []
    values = sorted({*c_values, config.C})
    for done, c in enumerate(values, 1):
        here = replace(config, C=c)
        weights = pipeline.fit_pipeline(here, dataset.X[rows], dataset.y[rows]).coef
        scores.append({"C": c, **_cross_validated(result, here), "nonzero": int(np.count_nonzero(weights))})
        coefficients.append(pl.DataFrame({"C": c, "feature": dataset.feature_names, "coefficient": weights}))
        on_progress(done, len(values))
    return RegularisationPath(config.C, pl.DataFrame(scores, _SCORES), pl.concat(coefficients))


def _cross_validated(result: experiment.RunResult, config: Config) -> dict[str, float | None]:
    X, y, folds = result.dataset.X, result.dataset.y, result.split.folds
    values = experiment.fold_aucs(result.data, lambda rows: pipeline.fit_pipeline(config, X[rows], y[rows]))
    if len(values) == 1:
        return {"mean": float(values[0]), "std": None, "standard_error": None}
    error = statistics.standard_error(values, sum(fold.repeat == folds[0].repeat for fold in folds))
    return {"mean": float(values.mean()), "std": float(values.std(ddof=1)), "standard_error": error}


def slice_scores(
    predictions: pl.DataFrame,
    ids: pl.Series,
    slices: Mapping[str, Sequence[str | None]],
    dependence: float,
    replicates: int = bootstrap.REPLICATES,
) -> pl.DataFrame:
    """Scores per value of each slice, out-of-fold (split cv) and held out (test), where it has rows.

    ``slices`` has a value, or None, for each of ``ids``. Where a value has rows of both classes, its AUC is that of
    these rows; else (a kind of manipulation has fakes only) it is against all rows of the other class, as
    ``auc_against`` says. A pair of rows counts if the same model scored both. ``auc_low`` and ``auc_high`` are a 95 %
    interval by resampling groups, widened for the folds' ``dependence`` (see ``bootstrap``); null where a class has
    rows of fewer than 6 groups. With repeats, a row counts
    once per repeat.
    """
    known = pl.DataFrame({KEY: ids, **{name: list(values) for name, values in slices.items()}})
    table = predictions.join(known, on=KEY, how="left", maintain_order="left")
    records = []
    for split in ("cv", "test"):
        rows = table.filter(split=split)
        if rows.is_empty():
            continue
        scored = resampled.Scored.from_predictions(rows, split)
        weights = resampled.cluster_weights(scored.strata, replicates, np.random.default_rng(0))
        shared = dependence if split == "cv" else 0.0
        for name in slices:
            for value in sorted(set(rows[name].drop_nulls())):
                here = (rows[name] == value).fill_null(value=False).to_numpy()
                scores = _scores(scored, here, weights, shared)
                records.append({"slice": name, "value": value, "split": split, **scores})
    return pl.DataFrame(records, SLICE_SCHEMA)


def _scores(scored: resampled.Scored, here: Mask, weights: Array, dependence: float) -> dict[str, object]:
    y, predicted = scored.y[here], scored.predicted[here]
    count = metrics.confusion(y, predicted.astype(np.float64))  # decisions as probabilities 0 and 1
    fakes, reals = count["tp"] + count["fn"], count["tn"] + count["fp"]
    return {
        "rows": len(y),
        "groups": len(np.unique(scored.groups[here])),
        "fakes": fakes,
        "accuracy": (count["tp"] + count["tn"]) / len(y),
        "recall": count["tp"] / fakes if fakes else None,
        "recall_real": count["tn"] / reals if reals else None,
        "mean_probability": float(scored.probability[here].mean()),
        **_auc(scored, here, weights, dependence),
    }


def _auc(scored: resampled.Scored, here: Mask, weights: Array, dependence: float) -> dict[str, object]:
    against, rows, labels = "own rows", here, np.unique(scored.y[here])
    if len(labels) == 1:
        against = "all real" if labels[0] else "all fake"
        rows = here | (scored.y != labels[0])
    scores = _within_parts(scored, rows, weights)
    if np.isnan(scores[0]):
        return {"auc_against": against}
    counts = resampled.GroupCounts.of(scored.y[rows], scored.groups[rows])
    found = bootstrap.interval_of("auc", float(scores[0]), resampled.replicate_error(scores), dependence, counts)
    return {"auc": found.estimate, "auc_low": found.low, "auc_high": found.high, "auc_against": against}


def _within_parts(scored: resampled.Scored, here: Mask, weights: Array) -> Array:
    """Share of the pairs of the same part that are in order, of all such pairs (replicates,); NaN without a pair."""
    won, pairs = np.zeros(weights.shape[1]), np.zeros(weights.shape[1])
    for part in np.unique(scored.parts[here]):
        rows = here & (scored.parts == part)
        found = resampled.ResampledRows(scored.y[rows], scored.groups[rows], weights)
        won, pairs = won + found.won(scored.probability[rows]), pairs + found.pairs
    return metrics.divide(won, pairs, np.nan)
