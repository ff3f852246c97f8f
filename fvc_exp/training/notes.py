"""The flags of a run, and the notes that its reader must not miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from fvc_exp._typing import Array
from fvc_exp.config.schema import Calibration, Config, Penalty, Scheme, Solver
from fvc_exp.evaluation.metrics import is_fake

if TYPE_CHECKING:  # scikit-learn, which whoever reads results has no use for
    from fvc_exp.data.dataset import Dataset
    from fvc_exp.training.pipeline import FittedModel

FLAGS = {
    "not_converged": "the optimiser stopped before its minimum: raise solver.max_iter, or take another penalty",
    "null_model": "every coefficient but the intercept is zero: the model has learned nothing",
    "one_class_predicted": "every video of a test part was given the same class",
    "edge_of_grid": "the best C is the smallest or largest of those tried: try further ones",
}


_LONGEST_LIST = 60  # signs; of columns that are ignored for one reason
_STOPPED = "ConvergenceWarning: "
_SMALLEST_GRID = 3  # values; of two, both are edges


def model_flags(fitted: FittedModel, probability: Array) -> dict[str, str]:
    """The ``FLAGS`` of one model, and why if known; ``probability`` (n,) is of the rows that it is scored on."""
    predicted = is_fake(probability, fitted.threshold)
    found = {
        "not_converged": not fitted.converged,
        "null_model": not np.any(fitted.coef),
        "one_class_predicted": bool(predicted.all() or not predicted.any()),
    }
    why = [text.removeprefix(_STOPPED) for text in fitted.warnings if text.startswith(_STOPPED)]
    return {flag: why[0] if flag == "not_converged" and why else "" for flag, raised in found.items() if raised}


def raised_flags(folds: Sequence[Mapping[str, str]], final: Mapping[str, str]) -> dict[str, str]:
    """The ``FLAGS`` of a run with the models that raise them, from those of each fold model and of the final one.

    A flag counts if the final model has it, or most fold models do. Any fit that has not converged counts, as its
    scores are in every mean.
    """
    raised = {}
    for flag in FLAGS:
        reasons = [each[flag] for each in folds if flag in each]
        if flag in final or 2 * len(reasons) > len(folds) or (reasons and flag == "not_converged"):
            models = ["the final model"] if flag in final else []
            models += [f"{len(reasons)} of {len(folds)} fold models"] if reasons else []
            known = [reason for reason in (final.get(flag), *reasons) if reason]
            raised[flag] = ": ".join([" and ".join(models), *known[:1]])
    return raised


def edge_of_grid(chosen: float, tried: Sequence[float]) -> bool:
    """Whether the chosen value is the smallest or largest of at least three different ones that were tried."""
    values = set(tried)
    return len(values) >= _SMALLEST_GRID and chosen in (min(values), max(values))


def columns_line(columns: Mapping[str, Any]) -> str:
    """How many columns a run used, ignored (and why) and dropped as constant; ``data.columns`` of ``results.json``."""
    used, ignored, constant = columns["used"], columns["ignored"], columns["constant"]
    named = {why: [name or "''" for name in ignored if ignored[name] == why] for why in ignored.values()}
    reasons = [f"{len(names)} {why}" if why.startswith("about the") else f"{_shortened(names)}: {why}"
               for why, names in named.items()]  # fmt: skip
    parts = {"ignored": "; ".join(reasons), "constant": _shortened(constant)}
    counts = [f"{len(columns[name])} {name}{text and f' ({text})'}" for name, text in parts.items()]
    return f"columns: {len(used)} used, {', '.join(counts)}; all in results.json"


def _shortened(names: Sequence[str]) -> str:
    return shorten(", ".join(names), _LONGEST_LIST)


def run_notes(config: Config, dataset: Dataset, final: FittedModel) -> list[str]:
    """Sentences the reader must not miss: about the data, the split and the final model, then its warnings."""
    is_grouped, has_penalty = dataset.group_column is not None, config.penalty.name is not Penalty.none
    is_liblinear, is_isotonic = config.solver.name is Solver.liblinear, config.calibration is Calibration.isotonic
    missing = sum(dataset.missing_values.values())
    notes = {
        "LEAKING SPLIT: cv=stratified splits rows, so near-copies are in both training and test; use cv=grouped": (
            is_grouped and config.cv.scheme is Scheme.stratified
        ),
        f"left out {len(dataset.unmatched)} videos without features": bool(dataset.unmatched),
        f"{missing} missing values filled with the median of each training fold": missing > 0,
        "solver=liblinear penalises the intercept as well; the other solvers do not": is_liblinear,
        f"C={config.C} has no effect with penalty=none": not has_penalty,
        f"C={config.C} has no effect with cv.c_grid={config.cv.c_grid}: the final model was fitted with C={final.C}": (
            has_penalty and bool(config.cv.c_grid)
        ),
        f"cv.c_grid: C was chosen inside each training part, so the scores are not those of a best of "
        f"{len(set(config.cv.c_grid))}": len(set(config.cv.c_grid)) > 1,
        "model.json holds the isotonic calibration; model.joblib is uncalibrated": is_isotonic,
    }
    return [*dataset.notes, *(note for note, applies in notes.items() if applies), *final.warnings]
