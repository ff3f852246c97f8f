"""Split rows as configured, or say which numbers of folds these rows allow."""

from dataclasses import replace
from itertools import product

import numpy as np

from fvc_exp.config.schema import Config, CVConfig, Scheme
from fvc_exp.config.validate import needs_inner_folds
from fvc_exp.data.columns import CLASSES
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Split
from fvc_exp.data.splits import inner_parts, make_split
from fvc_exp.errors import DataError


def split_or_advise(dataset: Dataset, config: Config) -> Split:
    """``make_split``, with inner folds tried in every training part if something is to be chosen inside.

    Features are not looked at, so that it also tells of videos that are not measured yet.

    Raises:
        DataError: as ``make_split`` and ``inner_parts``; ends with the overrides that make a split possible, if any do.
    """
    cv, seed, inside = config.cv, config.seed, needs_inner_folds(config)
    try:
        return _split(dataset, cv, seed, inside=inside)
    except DataError as error:
        if cv.scheme is Scheme.predefined or not (advice := _advice(dataset, cv, seed, inside=inside)):
            raise
        raise DataError(f"{error}; {advice}") from error


def _split(dataset: Dataset, cv: CVConfig, seed: int, *, inside: bool) -> Split:
    split = make_split(dataset, cv, seed)
    if inside:
        for train in (*(fold.train for fold in split.folds), split.development):
            inner_parts(dataset, train, cv.inner_splits, seed)
    return split


def _advice(dataset: Dataset, cv: CVConfig, seed: int, *, inside: bool) -> str:
    least = min(len(np.unique(dataset.groups[dataset.y == label])) for label in range(len(CLASSES)))
    if least < 2:
        return "each class needs videos of at least 2 groups to be cross-validated"
    tests = dict.fromkeys((cv.test_size, 0.0))  # fewer folds first, then no held-out test set
    inner = range(min(cv.inner_splits, least), 1, -1) if inside else [cv.inner_splits]
    for test_size, n_splits, n_inner in product(tests, range(min(cv.n_splits, least), 1, -1), inner):
        other = replace(cv, test_size=test_size, n_splits=n_splits, inner_splits=n_inner)
        try:
            _split(dataset, replace(other, n_repeats=1), seed, inside=inside)
        except DataError:
            continue
        found = {name: getattr(other, name) for name in ("n_splits", "test_size", "inner_splits")}
        changed = [f"cv.{name}={value:g}" for name, value in found.items() if value != getattr(cv, name)]
        return f"possible here: {' '.join(changed)}"
    return ""
