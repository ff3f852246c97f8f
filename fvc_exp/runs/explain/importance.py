"""How much a score falls when one feature is shuffled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance

from fvc_exp._typing import Array, Progress
from fvc_exp.evaluation.metrics import auc
from fvc_exp.training.experiment import RunResult
from fvc_exp.training.pipeline import FittedModel

REPEATS = 10


def feature_importance(
    result: RunResult, repeats: int = REPEATS, seed: int = 0, on_progress: Progress | None = None
) -> pl.DataFrame:
    """Fall of the AUC on each fold's test rows when a feature's values are shuffled among them (Breiman 2001).

    One row a feature, the most important first: ``importance`` is the mean over folds and repeats, ``std`` the standard
    deviation over folds of their means. Of features that say the same, each looks unimportant, since the other stays.
    """
    folds, dataset = result.split.folds, result.dataset
    falls = []
    for done, (fold, model) in enumerate(zip(folds, result.fold_models, strict=True)):
        found = permutation_importance(
            model.pipeline,
            dataset.X[fold.test],
            dataset.y[fold.test],
            scoring=_scorer(model),
            n_repeats=repeats,
            random_state=seed,
        )
        falls.append(found.importances_mean)
        if on_progress:
            on_progress(done + 1, len(folds))
    table = np.array(falls)
    std = table.std(axis=0, ddof=1) if len(folds) > 1 else np.full(table.shape[1], np.nan)
    columns = {"feature": dataset.feature_names, "importance": table.mean(axis=0), "std": std}
    return pl.DataFrame(columns).sort("importance", descending=True, maintain_order=True)


def _scorer(model: FittedModel) -> Callable[[object, Array, NDArray[np.int64]], float]:
    return lambda _, X, y: auc(y, model.probability(X))
