"""Metrics of the same rows under many weights at once; ``metrics.score`` gives the same numbers one by one."""

from collections.abc import Sequence

import numpy as np

from fvc_exp._typing import Array, Labels, Mask
from fvc_exp.evaluation.metrics import log_losses, metrics_from_counts

_RANKED = frozenset(("auc", "average_precision"))

_MOST_GROUPS = 2000  # whose pairs are counted in one matrix


def part_scores(
    y: Labels, probability: Array, predicted: Labels, groups: Labels, weights: Array, metrics: Sequence[str]
) -> dict[str, Array]:
    """Metrics of labels, probabilities, decisions and group codes (n,) under ``weights`` (groups, replicates).

    NaN where a metric needs a class that has no weight. As in ``metrics.score``, another empty ratio is 0.
    """
    known, codes = np.unique(groups, return_inverse=True)
    weights = weights[known]
    found: dict[str, Array] = {}
    if not _RANKED.issuperset(metrics):
        found |= _threshold_scores(y, probability, predicted, codes, weights)
    if "auc" in metrics:
        won, pairs = auc_parts(y, probability, codes, weights)
        found["auc"] = _divide(won, pairs)
    if "average_precision" in metrics:
        found["average_precision"] = _average_precision(y, probability, weights[codes])
    return {name: found[name] for name in metrics}


def auc_parts(y: Labels, probability: Array, codes: Labels, weights: Array) -> tuple[Array, Array]:
    """Weights of the (fake, real) pairs in which the fake has the higher probability (ties half), and of all pairs.

    ``codes`` (n,) are rows of ``weights`` (groups, replicates); both results are (replicates,).
    """
    if len(weights) > _MOST_GROUPS:  # a matrix of all pairs of groups would not fit in memory
        return _auc_parts_by_rows(y, probability, weights[codes])
    won = np.zeros((len(weights), len(weights)))
    real = np.zeros((len(y), len(weights)))
    order = np.argsort(probability, kind="stable")
    real[np.arange(len(y)), codes[order]] = 1 - y[order]
    below = np.vstack([np.zeros(len(weights)), np.cumsum(real, axis=0)])
    values, fake = probability[order], probability[y == 1]
    first, last = np.searchsorted(values, fake, side="left"), np.searchsorted(values, fake, side="right")
    np.add.at(won, codes[y == 1], (below[first] + below[last]) / 2)
    fakes, reals = (np.bincount(codes[y == label], minlength=len(weights)) @ weights for label in (1, 0))
    return np.einsum("gb,gb->b", weights, won @ weights), fakes * reals


def mean_of_parts(parts: Sequence[Array]) -> Array:
    """Mean over the parts (replicates,) that are not NaN; NaN where all are."""
    table = np.stack(parts)
    known = ~np.isnan(table)
    return _divide(np.where(known, table, 0.0).sum(axis=0), known.sum(axis=0).astype(np.float64))


def _auc_parts_by_rows(y: Labels, probability: Array, weights: Array) -> tuple[Array, Array]:
    fake, real = _tied_weights(y, probability, weights)
    fake_above = np.cumsum(fake, axis=0)
    return (real * (fake_above - fake / 2)).sum(axis=0), fake_above[-1] * real.sum(axis=0)


def _average_precision(y: Labels, probability: Array, weights: Array) -> Array:
    fake, real = _tied_weights(y, probability, weights)
    fake_above = np.cumsum(fake, axis=0)
    precision = _ratio(fake_above, fake_above + np.cumsum(real, axis=0))
    return _divide((fake * precision).sum(axis=0), fake_above[-1])


def _tied_weights(y: Labels, probability: Array, weights: Array) -> tuple[Array, Array]:
    """Weights of fakes and of reals at each distinct probability, from the highest down; rows have their weights."""
    order = np.argsort(-probability, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(probability[order]) != 0])
    ordered, fake = weights[order], y[order][:, None]
    return np.add.reduceat(ordered * fake, starts, axis=0), np.add.reduceat(ordered * (1 - fake), starts, axis=0)


def _threshold_scores(
    y: Labels, probability: Array, predicted: Labels, codes: Labels, weights: Array
) -> dict[str, Array]:
    def total(values: Array | Mask) -> Array:
        return np.asarray(np.bincount(codes, weights=values, minlength=len(weights)) @ weights)

    tp, fn = total((y == 1) & (predicted == 1)), total((y == 1) & (predicted == 0))
    fp, tn = total((y == 0) & (predicted == 1)), total((y == 0) & (predicted == 0))
    everything = tp + fn + fp + tn
    return {
        **metrics_from_counts(tp, fp, fn, tn, rate=_divide, ratio=_ratio),
        "log_loss": _divide(total(log_losses(y, probability)), everything),
        "brier": _divide(total((probability - y) ** 2), everything),
    }


def _ratio(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=denominator != 0)


def _divide(numerator: Array, denominator: Array) -> Array:
    return np.divide(numerator, denominator, out=np.full_like(denominator, np.nan), where=denominator != 0)
