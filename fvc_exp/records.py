"""What a run says of each fold, and the sentences that its reader must not miss."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvc_exp.config import Calibration, Config, Penalty, Scheme
from fvc_exp.data import Dataset
from fvc_exp.evaluate import THRESHOLD, confusion, score
from fvc_exp.folds import Fold
from fvc_exp.model import FittedModel
from fvc_exp.split import crossing_groups

Probabilities = NDArray[np.float64]


def fold_record(
    config: Config, dataset: Dataset, fold: Fold, fitted: FittedModel, probability: Probabilities
) -> dict[str, Any]:
    """One fold's line of ``metrics.json``; with C, threshold and what was held out where folds differ in them."""
    y = dataset.y[fold.test]
    record: dict[str, Any] = {
        "fold": fold.index,
        "repeat": fold.repeat,
        "n_train": len(fold.train),
        "n_test": len(fold.test),
        "n_groups_train": len(np.unique(dataset.groups[fold.train])),
        "n_groups_test": len(np.unique(dataset.groups[fold.test])),
        "n_groups_crossing": crossing_groups(dataset, fold.train, fold.test),
        **{f"test_{name}": value for name, value in score(y, probability, fitted.threshold).items()},
        **confusion(y, probability, fitted.threshold),
        "n_iter": fitted.n_iter,
        "converged": fitted.converged,
    }
    if config.cv.c_grid:
        record["C"] = fitted.C
    if config.threshold != str(THRESHOLD):
        record["threshold"] = fitted.threshold
    if fold.held_out is not None:
        record["held_out"] = fold.held_out
    return record


def run_notes(config: Config, dataset: Dataset, final: FittedModel) -> list[str]:
    """Sentences the reader must not miss."""
    notes = []
    if dataset.group_column is None:
        notes.append(
            "NO GROUPS: the metadata names no group column, so near-copies of one video may leak between folds"
        )
    elif config.cv.scheme is Scheme.stratified:
        notes.append(
            "LEAKING SPLIT: cv=stratified deals rows, so near-copies stand in training and test; use cv=grouped"
        )
    if dataset.constant_features:
        notes.append(
            f"dropped {len(dataset.constant_features)} constant features: {', '.join(dataset.constant_features)}"
        )
    if dataset.unmatched:
        notes.append(f"left out {len(dataset.unmatched)} videos without features")
    if missing := sum(dataset.missing_values.values()):
        notes.append(f"{missing} missing values filled with the median of each training fold")
    if config.solver.name.value == "liblinear":
        notes.append("solver=liblinear penalises the intercept as well; the other solvers do not")
    if config.penalty.name is Penalty.none:
        notes.append(f"C={config.C} has no effect with penalty=none")
    elif config.cv.c_grid:
        notes.append(
            f"C={config.C} has no effect with cv={config.cv.name}: the final model was fitted with C={final.C}"
        )
    if config.calibration is Calibration.isotonic:
        notes.append("model.json holds the isotonic calibration; model.skops and model.joblib are uncalibrated")
    notes += final.warnings
    return notes
