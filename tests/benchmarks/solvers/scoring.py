"""AUC and log loss of many columns of scores at once: the same code for every method that gives coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def auc_of(scores: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Area under the ROC curve of each column of scores (n, m) against y (n,), ties counted half.

    A score's last bit gives way to its label, so that one sort without an index does; scores closer than that tie.
    """
    keys = np.ascontiguousarray(scores.T).view(np.int64)
    keys = np.where(keys < 0, np.int64(-(2**63)) - keys, keys) & ~np.int64(1)
    keys = np.sort(keys | y, axis=1)
    labels, values = keys & 1, keys >> 1
    fakes, reals = float(y.sum()), float(len(y) - y.sum())
    found = np.empty(len(keys))
    for number, (label, level) in enumerate(zip(labels, values, strict=True)):
        place = np.arange(1.0, len(level) + 1)
        new = np.flatnonzero(np.diff(level)) + 1
        if len(new) + 1 < len(level):
            edges = np.concatenate([[0], new, [len(level)]])
            place = np.repeat((edges[:-1] + 1 + edges[1:]) / 2, np.diff(edges))
        found[number] = (place[label == 1].sum() - fakes * (fakes + 1) / 2) / (fakes * reals)
    return found


def log_loss_of(scores: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean log(1 + exp(-s x)) of each column, s = 2 y - 1."""
    return np.asarray(np.logaddexp(0, np.where(y[:, None] > 0, -scores, scores)).mean(axis=0))
