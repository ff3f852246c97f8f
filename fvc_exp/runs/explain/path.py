"""What the penalty does: coefficients and cross-validated score over C."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from fvc_exp._typing import Progress
from fvc_exp.config.schema import Config, Penalty
from fvc_exp.errors import IncompatibleError
from fvc_exp.evaluation.statistics import standard_error
from fvc_exp.runs.explain.coefficients import at_final_c
from fvc_exp.training.experiment import RunResult, fold_aucs
from fvc_exp.training.pipeline import fit_pipeline

C_VALUES = tuple(float(f"{10 ** (step / 2):.3g}") for step in range(-8, 5))  # 0.0001 to 100, two per decade
_SCORES = {"C": pl.Float64, "mean": pl.Float64, "std": pl.Float64, "standard_error": pl.Float64, "nonzero": pl.Int64}
_COEFFICIENTS = {"C": pl.Float64, "feature": pl.String, "coefficient": pl.Float64}


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
    result: RunResult, c_values: Sequence[float] = C_VALUES, on_progress: Progress | None = None
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
        weights = fit_pipeline(here, dataset.X[rows], dataset.y[rows]).classifier.coef_[0]
        scores.append({"C": c, **_cross_validated(result, here), "nonzero": int(np.count_nonzero(weights))})
        coefficients += [(c, *each) for each in zip(dataset.feature_names, weights.tolist(), strict=True)]
        if on_progress:
            on_progress(done, len(values))
    return RegularisationPath(
        config.C, pl.DataFrame(scores, _SCORES), pl.DataFrame(coefficients, _COEFFICIENTS, orient="row")
    )


def _cross_validated(result: RunResult, config: Config) -> dict[str, float | None]:
    dataset, folds = result.dataset, result.split.folds
    values = fold_aucs(result.data, lambda rows: fit_pipeline(config, dataset.X[rows], dataset.y[rows]))
    if len(values) == 1:
        return {"mean": float(values[0]), "std": None, "standard_error": None}
    per_repeat = sum(fold.repeat == folds[0].repeat for fold in folds)
    error = standard_error(values, per_repeat)
    return {"mean": float(values.mean()), "std": float(values.std(ddof=1)), "standard_error": error}
