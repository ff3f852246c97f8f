"""What random labels score under the very same folds: the null distribution that a real score has to exceed."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from fvc_exp._typing import Array, Indices, Labels, Mask
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Split, sample_groups
from fvc_exp.data.standard import Standard
from fvc_exp.evaluation.metrics import auc

_DRAWS = 20  # tries per permutation; some leave a fold without one of the classes

# The logistic loss curves at most a quarter as much as the squared error, so C=1 weighs like a ridge of 4.
_RIDGE = 4.0

MOST_ROWS = 20_000  # of more rows, whole groups are drawn: chance then varies by about 0.004 of AUC
_CELLS = 20_000_000  # rows times permutations that are scored together


@dataclass(frozen=True)
class Null:
    """Mean AUC over the folds: of the real labels, and of labels permuted between groups.

    ``p_value`` is (1 + how many permutations reach the real labels' score) / (1 + permutations) (Phipson and Smyth
    2010): small where the features know more of the labels than chance. ``mean`` lies near 0.5 unless the folds leak.
    ``sampled_rows`` is how many rows stood for all, None where all were scored.
    """

    permutations: int
    sampled_rows: int | None
    observed: float
    mean: float
    std: float
    p_value: float

    @property
    def leaks(self) -> bool:
        """Whether random labels beat guessing, by more than 0.02 of AUC and three standard errors of the mean."""
        return self.mean - 0.5 > max(3 * self.std / float(np.sqrt(self.permutations)), 0.02)


def null_distribution(dataset: Dataset, split: Split, permutations: int, seed: int) -> Null | None:
    """Score the labels and permutations of them by ridge regression; None if hardly any can be scored in every fold.

    A permutation gives each group the labels of another one, so that near-copies still share theirs. Each part of a
    fold needs both classes. Of more than ``MOST_ROWS`` development rows a sample of whole groups stands for all, with
    its own score of the real labels.
    """
    rows, rng = np.sort(split.development), np.random.default_rng(seed)
    rows = rows[sample_groups(dataset.groups[rows], MOST_ROWS, seed)]
    of_rows, labels = split.of_rows(rows), dataset.y[rows].astype(np.int8)
    draws = islice(permuted_labels(labels, dataset.groups[rows], rng), _DRAWS * permutations)
    sides = [part for fold in of_rows.folds for part in (fold.train, fold.test)]
    scorable = (each for each in draws if all(0 < each[part].sum() < len(part) for part in sides))
    drawn = list(islice(scorable, permutations))
    if len(drawn) < permutations:
        return None
    scores = ridge_aucs(dataset.X[rows], np.column_stack([labels, *drawn]), of_rows)
    observed, null = float(scores[0]), scores[1:]
    p_value = (1 + int(np.sum(null >= observed - 1e-12))) / (1 + permutations)
    sampled = len(rows) if len(rows) < len(split.development) else None
    return Null(permutations, sampled, observed, float(null.mean()), float(null.std(ddof=1)), p_value)


def permuted_labels(y: Labels, groups: Indices, rng: np.random.Generator) -> Iterator[Labels]:
    """Labels (n,) again and again, each group with those of a random other one of all ``groups`` (n,).

    They are repeated or cut to its size, in random order inside it.
    """
    order = np.argsort(groups, kind="stable")
    _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
    place, number = np.arange(len(y)) - np.repeat(starts, sizes), np.repeat(np.arange(len(sizes)), sizes)
    while True:
        source = rng.permutation(len(sizes))
        shuffled = y[order][np.argsort(number + rng.random(len(y)), kind="stable")]
        labels = np.empty_like(y)
        labels[order] = shuffled[np.repeat(starts[source], sizes) + place % np.repeat(sizes[source], sizes)]
        yield labels


def ridge_aucs(X: Array, labels: Labels, split: Split) -> Array:
    """Mean AUC over the folds of ridge regression on each column of labels (n, k); X is (n, p), the result (k,).

    It gives nearly the direction of logistic regression with C=1. One factorisation per fold serves all columns, so
    that a hundred permutations cost about one fit. Imputed and standardised by the training rows, like the model.
    """
    gaps = np.isnan(X.sum(axis=0))
    return np.asarray(np.mean([_fold_aucs(X, gaps, labels, fold.train, fold.test) for fold in split.folds], axis=0))


def _fold_aucs(X: Array, gaps: Mask, labels: Labels, train: Indices, test: Indices) -> list[float]:
    inner = X[train]
    standard = Standard.of(inner, gaps)
    inner, outer = standard.apply(inner, out=inner), standard.apply(X[test])
    factor = cho_factor(inner.T @ inner + _RIDGE * np.eye(inner.shape[1]))
    at_once = max(1, _CELLS // len(labels))
    found: list[float] = []
    for first in range(0, labels.shape[1], at_once):
        part = labels[:, first : first + at_once]
        targets = part[train] - part[train].mean(axis=0)
        scores = outer @ cho_solve(factor, inner.T @ targets)
        found += [auc(*column) for column in zip(part[test].T, np.ascontiguousarray(scores.T), strict=True)]
    return found
