"""Everything that is learned from the rows of one training part: C, the model, its calibration, its threshold."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit

from fvc_exp._typing import Array, Indices, Labels
from fvc_exp.config.schema import Calibration, Config
from fvc_exp.data.splits import inner_parts
from fvc_exp.evaluation.metrics import auc
from fvc_exp.training.calibration import best_threshold, fit_isotonic, fit_platt
from fvc_exp.training.pipeline import FittedModel
from fvc_exp.training.shared_fits import needs_inner_folds
from fvc_exp.training.split_dataset import SplitDataset


def fit_configuration(choices: Sequence[Config], data: SplitDataset, rows: Indices) -> FittedModel:
    """Choose a configuration, fit it, calibrate it and set its threshold, all on these rows of the data set.

    What cannot be judged on the rows that a model was fitted to is judged on grouped inner folds of them: the choice
    by the mean AUC (of equal ones the first is taken), calibration and threshold by the pooled out-of-fold scores.

    Raises:
        DataError: there are too few groups of a class for the inner folds.
    """
    if not needs_inner_folds(choices):
        return data.fit(choices[0], rows)
    X, y = data.dataset.X, data.dataset.y
    parts = inner_parts(data.dataset, rows, choices[0].cv.inner_splits, choices[0].seed)
    inner = [[data.fit(config, part) for part, _ in parts] for config in choices]
    scored = [[model.log_odds(X[test]) for (_, test), model in zip(parts, models, strict=True)] for models in inner]
    mean_aucs = [
        np.mean([auc(y[test], log_odds) for (_, test), log_odds in zip(parts, each, strict=True)]) for each in scored
    ]
    best = int(np.argmax(mean_aucs))
    fitted = data.fit(choices[best], rows)
    if stopped := sum(not model.converged for models in inner for model in models):
        warning = f"{stopped} of {len(parts) * len(choices)} fits of inner folds did not converge"
        fitted = replace(fitted, warnings=(*fitted.warnings, warning))
    tested = np.concatenate([y[test] for _, test in parts])
    return _calibrated(choices[best], fitted, tested, np.concatenate(scored[best]))


def _calibrated(config: Config, fitted: FittedModel, y: Labels, log_odds: Array) -> FittedModel:
    """The model with its calibration and threshold, both learned from out-of-fold scores; y and log odds are (n,)."""
    probability = expit(log_odds)
    if config.calibration is Calibration.sigmoid:
        scaling = fit_platt(y, log_odds)
        fitted, probability = fitted.with_platt(scaling), expit(scaling.slope * log_odds + scaling.intercept)
    elif config.calibration is Calibration.isotonic:
        isotonic = fit_isotonic(y, probability)
        fitted, probability = replace(fitted, isotonic=isotonic), isotonic(probability)
    return replace(fitted, threshold=best_threshold(config.threshold, y, probability))
