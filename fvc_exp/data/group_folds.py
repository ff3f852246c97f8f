"""Stratified folds of whole groups: each fold has about as many rows of each class, made in a fraction of a second.

The rule is that of scikit-learn's ``StratifiedGroupKFold``: each group is assigned to the fold where the spread of the
classes over the folds stays smallest. Two things make it fast. A group's counts decide where it goes, so groups with
equal counts are assigned together. And as soon as such groups have gone to each fold once, the next ones follow in the
same order, since only the differences between folds matter: the full rounds need no search.

Three things differ. The groups are assigned in the order of their size, and again in that of how unequal their classes
are, and the better assignment is kept. The seed decides which fold is which; with scikit-learn the largest group is
always in the first fold. And no fold lacks a class that enough groups have.

Where all groups have other sizes, the order of their size is one and gives one partition, whatever the seed. So the
repeats after the first vary the sizes at random before they sort by them, and keep the first draw that is as balanced
as the first repeat, within a row per fold and class, and differs from all before it.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from fvc_exp._typing import Array, Indices, Labels

_TRIES = 2  # of each order; groups that are equal in it are in a random one
_VARIATION = 0.2  # of the logarithm of a group's size
_MOST_DRAWS = 50  # for one repeat


def count_codes(codes: Indices) -> int:
    """How many different codes from 0 on there are; ``np.unique`` would sort them."""
    return int(np.count_nonzero(np.bincount(codes)))


def dense_codes(codes: Labels) -> tuple[Indices, Indices]:
    """The different codes from 0 on, ascending, and the place among them of each; ``np.unique`` without sorting."""
    present = np.bincount(codes) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[codes]


def stratified_group_folds(y: Indices, groups: Indices, n_folds: int, seed: int) -> list[Indices]:
    """The test rows of each fold, ascending; a whole group is in one fold.

    ``y`` (n,) is 0 or 1, ``groups`` (n,) are codes from 0 on. Each fold has both classes if at least ``n_folds``
    groups have each. Equal arguments give equal folds.
    """
    return repeated_group_folds(y, groups, n_folds, 1, seed)[0]


def repeated_group_folds(y: Indices, groups: Indices, n_folds: int, repeats: int, seed: int) -> list[list[Indices]]:
    """Several times such folds: the first as ``stratified_group_folds``, each other as balanced within one row.

    No two are the same partition, unless none was found that is new and as balanced; then the first is repeated.
    """
    every = np.bincount(2 * groups + y, minlength=2 * (int(groups.max()) + 1)).reshape(-1, 2)
    present = np.flatnonzero(every.any(axis=1))
    counts = every[present]
    first = _folds_of(counts, n_folds, np.random.default_rng(seed))
    fold_of = np.empty(len(every), dtype=np.int64)
    folds = []
    for each in (first, *_other_partitions(first, counts, n_folds, range(seed + 1, seed + repeats))):
        fold_of[present] = each
        of_rows = fold_of[groups]
        folds.append([np.flatnonzero(of_rows == fold) for fold in range(n_folds)])
    return folds


def _other_partitions(first: Indices, counts: Indices, n_folds: int, seeds: Iterable[int]) -> Iterator[Indices]:
    """A new one for each seed, or the first again; the folds of the groups, as ``_folds_of`` gives them."""
    known = {_partition(first)}
    one_row = np.sum(1 / np.maximum(counts.sum(axis=0), 1))  # a deviation of one row per fold in each class
    limit = np.maximum(_unevenness(first, counts, n_folds), one_row)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        draws = (_folds_of(counts, n_folds, rng, _VARIATION) for _ in range(_MOST_DRAWS))
        balanced = (each for each in draws if (_unevenness(each, counts, n_folds) <= limit).all())
        found = next((each for each in balanced if _partition(each) not in known), first)
        known.add(_partition(found))
        yield found


def _partition(folds: Indices) -> bytes:
    """The same for equal partitions, however their folds are numbered."""
    _, first, codes = np.unique(folds, return_index=True, return_inverse=True)
    return first[codes].tobytes()


def _unevenness(folds: Indices, counts: Indices, n_folds: int) -> Array:
    """The deviation over folds of the share of each class's rows, summed over classes, and of the share of all rows."""
    reals, fakes = (np.bincount(folds, weights=each, minlength=n_folds) for each in counts.T)
    of_reals, of_fakes, of_all = (np.std(rows / max(rows.sum(), 1)) for rows in (reals, fakes, reals + fakes))
    return np.round([of_reals + of_fakes, of_all], 12)  # so that equal ones compare as equal


def _folds_of(counts: Indices, n_folds: int, rng: np.random.Generator, variation: float = 0.0) -> Indices:
    """The fold of each group from its rows of each class, (groups, 2).

    ``variation`` is the standard deviation of what is added to the logarithm of its size.
    """
    shuffled = rng.permutation(len(counts))
    base = int(counts[:, 1].max()) + 1
    codes, kind, sizes = np.unique(counts[shuffled] @ [base, 1], return_inverse=True, return_counts=True)
    kinds = np.stack(np.divmod(codes, base), axis=1)
    attempts = []
    for first in (kinds.sum(axis=1), np.abs(kinds[:, 0] - kinds[:, 1])) * _TRIES:
        varied = first * np.exp(rng.normal(scale=variation, size=len(kinds))) if variation else first
        order = np.lexsort((rng.permutation(len(kinds)), -varied))
        balance = _Balance(counts.sum(axis=0), n_folds)
        assigned = [balance.assign(*each) for each in zip(kinds[order], sizes[order].tolist(), strict=True)]
        attempts.append((balance.spread(), order, assigned))
    _, order, assigned = min(attempts, key=lambda attempt: attempt[0])
    folds = np.empty(len(counts), dtype=np.int64)
    folds[shuffled[np.argsort(np.argsort(order)[kind], kind="stable")]] = np.concatenate(assigned)
    _give_each_its_classes(folds, counts, n_folds)
    return np.asarray(rng.permutation(n_folds)[folds])


class _Balance:
    """How many rows of each class (2, n_folds) the folds have so far; whole numbers, so that spreads may be equal."""

    def __init__(self, totals: Indices, n_folds: int) -> None:
        self._others = totals[::-1]  # what a spread is multiplied by in place of a division by the class's own rows
        self._rows = np.zeros((2, n_folds), dtype=np.int64)

    def assign(self, counts: Indices, number: int) -> list[int]:
        """The folds that this many groups go to, one after the other; each group has these numbers of rows (2,)."""
        assigned: list[int] = []
        n_folds, rounds = self._rows.shape[1], 0
        while len(assigned) < number:
            assigned.append(self._best(counts))
            self._rows[:, assigned[-1]] += counts
            last = assigned[-n_folds:]
            if not rounds and len(set(last)) == n_folds:
                rounds = (number - len(assigned)) // n_folds
                assigned += last * rounds
                self._rows += rounds * counts[:, None]
        return assigned

    def spread(self) -> float:
        """The deviation over folds of the share of each class's rows, summed over classes, up to a constant factor."""
        squares = self._rows.shape[1] * (self._rows**2).sum(axis=1) - self._rows.sum(axis=1) ** 2
        return float((np.sqrt(squares) * self._others).sum())

    def _best(self, counts: Indices) -> int:
        """The fold where one more group gives the least spread; of equal ones the one with the fewest rows."""
        rows, k = self._rows, self._rows.shape[1]
        # The sum under the root without the part that depends on which fold gets the group.
        base = k * ((rows**2).sum(axis=1) + counts**2) - (rows.sum(axis=1) + counts) ** 2
        roots = np.sqrt(base[:, None] + 2 * k * counts[:, None] * rows)
        return int(np.lexsort((rows.sum(axis=0), roots[0] * self._others[0] + roots[1] * self._others[1]))[0])


def _give_each_its_classes(folds: Indices, counts: Indices, n_folds: int) -> None:
    """Move groups into folds that lack a class, from folds with two groups of it. Changes ``folds`` in place.

    One of two groups of a class can always go: if one is the only holder of the other class, the second is not.
    """
    holds = counts > 0
    for label in (0, 1):
        if holds[:, label].sum() < n_folds:
            continue
        for poor in np.flatnonzero(np.bincount(folds[holds[:, label]], minlength=n_folds) == 0).tolist():
            holders = np.stack([np.bincount(folds[holds[:, each]], minlength=n_folds) for each in (0, 1)], axis=1)
            left = holders[folds] - holds  # of each class in a group's fold without it
            movable = np.flatnonzero(holds[:, label] & ((left > 0) | (holders[folds] == 0)).all(axis=1))
            folds[movable[np.argmin(counts[movable].sum(axis=1))]] = poor
