"""AUC and log loss of many columns of scores at once: the same code for every method that gives coefficients."""

import numpy as np
from numpy.typing import NDArray

_FACTORS = 512  # of a product whose factors are from 1 to 2: it stays finite


def auc_of(scores: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Area under the ROC curve of each column of scores (n, m) against y (n,), ties counted half.

    A score's last bit gives way to its label, so that one sort without an index does; scores closer than that tie.
    """
    keys = np.ascontiguousarray(scores.T).view(np.int64)
    keys = np.where(keys < 0, np.int64(-(2**63)) - keys, keys)
    keys &= ~np.int64(1)
    keys |= y
    keys.sort(axis=1)
    labels, levels = keys & 1, keys >> 1
    fakes, reals = float(y.sum()), float(len(y) - y.sum())
    ranks = labels @ np.arange(1.0, len(y) + 1)
    for column in np.flatnonzero((levels[:, 1:] == levels[:, :-1]).any(axis=1)):
        ranks[column] = labels[column] @ _mean_ranks(levels[column])
    return np.asarray((ranks - fakes * (fakes + 1) / 2) / (fakes * reals))


def _mean_ranks(level: NDArray[np.int64]) -> NDArray[np.float64]:
    edges = np.concatenate([[0], np.flatnonzero(np.diff(level)) + 1, [len(level)]])
    return np.asarray(np.repeat((edges[:-1] + 1 + edges[1:]) / 2, np.diff(edges)))


def log_loss_of(scores: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean log(1 + exp(-s x)) of each column, s = 2 y - 1; one logarithm of a product saves many."""
    margin = np.where(y[:, None] > 0, scores, -scores)
    factors = -np.abs(margin)
    np.exp(factors, out=factors)
    factors += 1
    products = np.multiply.reduceat(factors, np.arange(0, len(y), _FACTORS), axis=0)
    return np.asarray((np.log(products).sum(axis=0) - np.minimum(margin, 0, out=margin).sum(axis=0)) / len(y))
