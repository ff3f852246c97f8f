"""What each feature contributes: its coefficient on other groups of videos, and the fall of the AUC without it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import polars as pl
from sklearn.inspection import permutation_importance

from fvc_exp._typing import Array, Indices, Labels, Progress
from fvc_exp.config.schema import Config
from fvc_exp.data.dataset import Dataset
from fvc_exp.evaluation.metrics import auc
from fvc_exp.training.experiment import RunResult
from fvc_exp.training.pipeline import FittedModel, fit_pipeline

REPLICATES = 200
REPEATS = 10
_TAILS = (0.025, 0.975)


def coefficient_stability(
    result: RunResult, replicates: int = REPLICATES, seed: int = 0, on_progress: Progress | None = None
) -> pl.DataFrame:
    """Fit the final model to resampled groups of the development rows; one row per feature, then the intercept.

    ``coefficient`` is that of the run (of standardised features, before calibration); ``low`` and ``high`` hold the
    middle 95 % of the replicates, ``standard_error`` is their standard deviation. ``sign_stability`` is the share of
    replicates with the same sign (zero counts as a sign), ``selected`` the share that is not zero. An l1 penalty pulls
    the interval to zero with the coefficient: it shows how much the fit varies, not where the true value lies.
    """
    config, dataset, rows = at_final_c(result), result.dataset, result.split.development
    exact = _weights(fit_pipeline(config, dataset.X[rows], dataset.y[rows]))
    drawn = []
    for done, sample in enumerate(group_samples(dataset, rows, replicates, seed), 1):
        drawn.append(_weights(fit_pipeline(config, dataset.X[sample], dataset.y[sample])))
        if on_progress:
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


def at_final_c(result: RunResult) -> Config:
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


def _weights(model: FittedModel) -> Array:
    return np.append(model.classifier.coef_[0], model.classifier.intercept_[0])


def feature_importance(
    result: RunResult, repeats: int = REPEATS, seed: int = 0, on_progress: Progress | None = None
) -> pl.DataFrame:
    """Fall of the AUC on each fold's test rows when a feature's values are shuffled among them (Breiman 2001).

    One row per feature, the most important first: ``importance`` is the mean over folds and repeats, ``std`` the
    standard deviation over folds of their means. Of features with the same information, each looks unimportant, since
    the others stay.
    """
    folds, dataset = result.split.folds, result.dataset
    falls = []
    for done, (fold, model) in enumerate(zip(folds, result.fold_models, strict=True), 1):
        X, y = dataset.X[fold.test], dataset.y[fold.test]
        found = permutation_importance(
            model.pipeline, X, y, scoring=_auc_of(model), n_repeats=repeats, random_state=seed
        )
        falls.append(found.importances_mean)
        if on_progress:
            on_progress(done, len(folds))
    table = np.array(falls)
    std = table.std(axis=0, ddof=1) if len(folds) > 1 else np.full(table.shape[1], np.nan)
    columns = {"feature": dataset.feature_names, "importance": table.mean(axis=0), "std": std}
    return pl.DataFrame(columns).sort("importance", descending=True, maintain_order=True)


def _auc_of(model: FittedModel) -> Callable[[object, Array, Labels], float]:
    return lambda _, X, y: auc(y, model.probability(X))
