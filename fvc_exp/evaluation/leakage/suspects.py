"""Features that are as good as the label, and rows without any pattern."""

import numpy as np

from fvc_exp._typing import Array, Labels, Mask
from fvc_exp.evaluation.metrics import share_in_order

SINGLE_AUC = 0.99  # of one feature, above which it is warned of
_SCREENED = 2000  # rows that each feature is first tried on
_LIKELY = 0.98  # AUC there, above which it is tried on all rows


def separating_features(X: Array, y: Labels) -> dict[int, float]:
    """The numbers of the features that alone have an AUC above 0.99, and that AUC; X is (n, p), y (n,) is 1 for fake.

    The AUC is over the rows where the feature is known, whichever class has the larger values.
    """
    few = np.random.default_rng(0).permutation(len(y))[:_SCREENED]
    likely = [number for number, column in enumerate(X[few].T) if _separation(column, y[few]) > _LIKELY]
    areas = {number: _separation(X[:, number], y) for number in likely}
    return {number: area for number, area in areas.items() if area > SINGLE_AUC}


def blank_rows(X: Array) -> Mask:
    """Rows all known values of which are equal, such as the zeros of a blank video; one feature shows no pattern."""
    if X.shape[1] < 2:
        return np.zeros(len(X), dtype=bool)
    known = ~np.isnan(X)
    return np.asarray(X.max(axis=1, initial=-np.inf, where=known) <= X.min(axis=1, initial=np.inf, where=known))


def _separation(column: Array, y: Labels) -> float:
    """0.5 where only one class is known."""
    known = ~np.isnan(column)
    if not 0 < y[known].sum() < known.sum():
        return 0.5
    area = share_in_order(y[known], column[known])
    return max(area, 1 - area)
