"""Which rows train and which rows test. Under the grouped scheme a group never stands on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from fvc_exp.config import CVConfig, Scheme
from fvc_exp.data import CLASSES, Dataset
from fvc_exp.errors import DataError

Indices = NDArray[np.int64]
_FINEST_SHARE = 20  # a test share is made of whole parts of at most this many


@dataclass(frozen=True)
class Fold:
    """One split of the development rows; ``train`` and ``test`` are row numbers of the whole data set."""

    repeat: int
    index: int
    train: Indices
    test: Indices


@dataclass(frozen=True)
class Split:
    """The held-out test rows, the development rows, and the folds of the latter."""

    development: Indices
    test: Indices
    folds: tuple[Fold, ...]


def make_split(dataset: Dataset, cv: CVConfig, seed: int) -> Split:
    """Hold out whole groups for the final test, then deal the rest into stratified folds.

    The held-out part is group-disjoint under either scheme, so that it shows what a leaking cross-validation hides.

    Raises:
        DataError: there are too few groups (or rows, for ``stratified``) of a class for that many folds.
    """
    rows = np.arange(len(dataset.y))
    test = _hold_out(dataset, cv.test_size, seed) if cv.test_size else rows[:0]
    development = np.setdiff1d(rows, test)
    folds = tuple(
        Fold(repeat, index, development[train], development[test_part])
        for repeat in range(cv.n_repeats)
        for index, (train, test_part) in enumerate(_deal(dataset, development, cv, seed + repeat))
    )
    for fold in folds:
        _check_classes(dataset, fold.train, f"the training part of fold {fold.index}")
        _check_classes(dataset, fold.test, f"fold {fold.index}")
    return Split(development, test, folds)


def crossing_groups(dataset: Dataset, train: Indices, test: Indices) -> int:
    """How many groups stand on both sides of a split."""
    return len(np.intersect1d(dataset.groups[train], dataset.groups[test]))


def _hold_out(dataset: Dataset, share: float, seed: int) -> Indices:
    """Whole groups of about this share of the rows: some of equally large stratified parts."""
    parts = Fraction(share).limit_denominator(_FINEST_SHARE)
    taken, of = parts.numerator, parts.denominator
    rows = np.arange(len(dataset.y))
    _check_count(dataset, rows, of, f"cv.test_size={share} needs", grouped=True)
    splitter = StratifiedGroupKFold(of, shuffle=True, random_state=seed)
    folds = [test for _, test in splitter.split(rows, dataset.y, dataset.groups)]
    test = np.sort(np.concatenate(folds[:taken]))
    _check_classes(dataset, test, "the held-out test set")
    return test


def _deal(dataset: Dataset, rows: Indices, cv: CVConfig, seed: int) -> Iterator[tuple[Indices, Indices]]:
    grouped = cv.scheme is Scheme.grouped
    _check_count(dataset, rows, cv.n_splits, f"cv.n_splits={cv.n_splits} needs", grouped=grouped)
    y, groups = dataset.y[rows], dataset.groups[rows]
    if grouped:
        yield from StratifiedGroupKFold(cv.n_splits, shuffle=True, random_state=seed).split(rows, y, groups)
    else:
        yield from StratifiedKFold(cv.n_splits, shuffle=True, random_state=seed).split(rows, y)


def _check_count(dataset: Dataset, rows: Indices, needed: int, who: str, *, grouped: bool) -> None:
    for label, name in enumerate(CLASSES):
        members = rows[dataset.y[rows] == label]
        found = len(np.unique(dataset.groups[members])) if grouped else len(members)
        if found < needed:
            kind = "groups" if grouped else "rows"
            raise DataError(
                f"{who} at least {needed} {kind} of each class, but only {found} {kind} "
                f"{'are' if found != 1 else 'is'} {name!r}"
            )


def _check_classes(dataset: Dataset, rows: Indices, where: str) -> None:
    present = set(dataset.y[rows].tolist())
    for label, name in enumerate(CLASSES):
        if label not in present:
            raise DataError(f"{where} holds no {name!r} row; use fewer folds (cv.n_splits), or a larger cv.test_size")
