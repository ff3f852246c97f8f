"""Which coefficients would come out again on other groups of videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fvc_exp._typing import Progress
from fvc_exp.config.schema import Config
from fvc_exp.data.dataset import Dataset
from fvc_exp.training.experiment import RunResult
from fvc_exp.training.pipeline import FittedModel, fit_pipeline

REPLICATES = 200


_TAILS = (0.025, 0.975)


def coefficient_stability(
    result: RunResult, replicates: int = REPLICATES, seed: int = 0, on_progress: Progress | None = None
) -> pl.DataFrame:
    """Fit the final model to resampled groups of the development rows; one row a feature, then the intercept.

    ``coefficient`` is that of the run (of standardised features, before calibration); ``low`` and ``high`` hold the
    middle 95 % of the replicates, ``standard_error`` is their standard deviation. ``sign_stability`` is the share of
    replicates with the same sign (zero is a sign), ``selected`` the share that is not zero. Under an l1 penalty the
    interval is pulled to zero with the coefficient: it tells what varies, not where the truth is.
    """
    config, dataset, rows = at_final_c(result), result.dataset, result.split.development
    exact = _weights(fit_pipeline(config, dataset.X[rows], dataset.y[rows]))
    drawn = []
    for done, sample in enumerate(group_samples(dataset, rows, replicates, seed)):
        drawn.append(_weights(fit_pipeline(config, dataset.X[sample], dataset.y[sample])))
        if on_progress:
            on_progress(done + 1, replicates)
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


def group_samples(dataset: Dataset, rows: NDArray[np.int64], replicates: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Row numbers of as many groups, drawn with replacement among those with the same labels, for each replicate."""
    random = np.random.default_rng(seed)
    members: dict[frozenset[int], list[NDArray[np.int64]]] = {}
    for group in np.unique(dataset.groups[rows]):
        own = rows[dataset.groups[rows] == group]
        members.setdefault(frozenset(dataset.y[own].tolist()), []).append(own)
    for _ in range(replicates):
        drawn = [alike[place] for alike in members.values() for place in random.integers(len(alike), size=len(alike))]
        yield np.concatenate(drawn)


def _weights(model: FittedModel) -> NDArray[np.float64]:
    return np.append(model.classifier.coef_[0], model.classifier.intercept_[0])
