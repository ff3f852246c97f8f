"""Everything that is learned from the rows of one training part: C, the model, its calibration, its threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fvc_exp._typing import Indices
from fvc_exp.config.schema import Calibration, Config
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.splits import inner_parts
from fvc_exp.evaluation.metrics import THRESHOLD, auc
from fvc_exp.training.calibration import best_threshold, fit_line, fit_steps
from fvc_exp.training.pipeline import FittedModel, fit

Parts = Sequence[tuple[Indices, Indices]]


LogOdds = NDArray[np.float64]


# Fits a configuration to some rows of a data set, or knows the result already.
Fit = Callable[[Config, Dataset, Indices], FittedModel]


def candidates(config: Config) -> list[Config]:
    """The configurations that a training part chooses between: one for each C to be searched, else the one."""
    return [replace(config, C=c) for c in sorted(config.cv.c_grid)] or [config]


def fit_rows(config: Config, dataset: Dataset, rows: Indices) -> FittedModel:
    """Fit one configuration to some rows of a data set."""
    return fit(config, dataset.X[rows], dataset.y[rows])


def train(choices: Sequence[Config], dataset: Dataset, rows: Indices, fitted_to: Fit = fit_rows) -> FittedModel:
    """Choose a configuration, fit it, calibrate it and set its threshold, all on these rows of the data set.

    What cannot be judged on the rows that a model was fitted to is judged on grouped inner folds of them: the choice
    by the mean AUC (of equal ones the first is taken), calibration and threshold by the pooled out-of-fold scores.

    Raises:
        DataError: there are too few groups of a class for the inner folds.
    """
    if not needs_inner_folds(choices):
        return fitted_to(choices[0], dataset, rows)
    parts = inner_parts(dataset, rows, choices[0].cv.inner_splits, choices[0].seed)
    inner = [[fitted_to(config, dataset, part) for part, _ in parts] for config in choices]
    scored = [_log_odds(dataset, parts, models) for models in inner]
    best = int(np.argmax([_mean_auc(dataset, parts, each) for each in scored]))
    fitted = fitted_to(choices[best], dataset, rows)
    if stopped := sum(not model.converged for models in inner for model in models):
        said = f"{stopped} of {len(parts) * len(choices)} fits of inner folds did not converge"
        fitted = replace(fitted, warnings=(*fitted.warnings, said))
    y = np.concatenate([dataset.y[test] for _, test in parts])
    return _finish(choices[best], fitted, y, np.concatenate(scored[best]))


def needs_inner_folds(choices: Sequence[Config]) -> bool:
    """Whether something is chosen inside a training part, beside the coefficients."""
    looks_inside = choices[0].calibration is not Calibration.none or choices[0].threshold != str(THRESHOLD)
    return len(choices) > 1 or looks_inside


def _log_odds(dataset: Dataset, parts: Parts, models: Sequence[FittedModel]) -> list[LogOdds]:
    return [model.log_odds(dataset.X[test]) for (_, test), model in zip(parts, models, strict=True)]


def _mean_auc(dataset: Dataset, parts: Parts, scored: Sequence[LogOdds]) -> float:
    return float(np.mean([auc(dataset.y[test], each) for (_, test), each in zip(parts, scored, strict=True)]))


def _finish(config: Config, fitted: FittedModel, y: NDArray[np.int64], log_odds: LogOdds) -> FittedModel:
    probability = expit(log_odds)
    if config.calibration is Calibration.sigmoid:
        line = fit_line(y, log_odds)
        fitted, probability = fitted.along(line), expit(line.slope * log_odds + line.intercept)
    elif config.calibration is Calibration.isotonic:
        steps = fit_steps(y, probability)
        fitted, probability = replace(fitted, steps=steps), steps(probability)
    return replace(fitted, threshold=best_threshold(config.threshold, y, probability))
