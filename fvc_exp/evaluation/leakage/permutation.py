"""What random labels score under the very same folds: the null distribution that a real score has to exceed."""

from dataclasses import dataclass
from itertools import islice
from typing import Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from fvc_exp._typing import Array, Indices, Labels, Mask
from fvc_exp.data.dataset import Dataset
from fvc_exp.data.folds import Split, sample_groups
from fvc_exp.data.standard import Standard
from fvc_exp.evaluation.metrics import share_in_order

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
    grouped = GroupedLabels.of(labels, dataset.groups[rows])
    draws = (grouped.permuted(rng) for _ in range(_DRAWS * permutations))
    drawn = list(islice((each for each in draws if _is_scorable(each, of_rows)), permutations))
    if len(drawn) < permutations:
        return None
    scores = ridge_aucs(dataset.X[rows], np.column_stack([labels, *drawn]), of_rows)
    observed, null = float(scores[0]), scores[1:]
    p_value = (1 + int(np.sum(null >= observed - 1e-12))) / (1 + permutations)
    sampled = len(rows) if len(rows) < len(split.development) else None
    return Null(permutations, sampled, observed, float(null.mean()), float(null.std(ddof=1)), p_value)


@dataclass(frozen=True)
class GroupedLabels:
    """Labels sorted by group, to be permuted again and again; ``order`` (n,) are their row numbers."""

    order: Labels
    labels: Labels
    codes: Labels
    starts: Labels
    sizes: Labels
    constant: bool

    @classmethod
    def of(cls, y: Labels, groups: Labels) -> Self:
        """Sort labels and group codes, both (n,)."""
        order = np.argsort(groups, kind="stable")
        _, starts, sizes = np.unique(groups[order], return_index=True, return_counts=True)
        labels = y[order]
        constant = bool(np.all(labels == np.repeat(labels[starts], sizes)))
        return cls(order, labels, groups[order], starts, sizes, constant)

    def permuted(self, rng: np.random.Generator) -> Labels:
        """Give each group the labels of a random other one, repeated or cut to its size, in random order inside it."""
        source = rng.permutation(len(self.sizes))
        inside = rng.random(len(self.labels))
        # Sorting a million rows takes as long as the rest, for nothing where the labels of a group are equal.
        shuffled = self.labels if self.constant else self.labels[np.lexsort((inside, self.codes))]
        within = np.arange(len(self.labels)) - np.repeat(self.starts, self.sizes)
        within %= np.repeat(self.sizes[source], self.sizes)
        labels = np.empty_like(self.labels)
        labels[self.order] = shuffled[np.repeat(self.starts[source], self.sizes) + within]
        return labels


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
        columns = zip(part[test].T, np.ascontiguousarray(scores.T), strict=True)
        found += [share_in_order(*column) for column in columns]
    return found


def _is_scorable(labels: Labels, split: Split) -> bool:
    return all(0 < labels[rows].sum() < len(rows) for fold in split.folds for rows in (fold.train, fold.test))
