"""Groups dealt into stratified folds: every fold about as many rows of each class, in a fraction of a second.

The rule is that of scikit-learn's ``StratifiedGroupKFold``: each group goes to the fold where the spread of the classes
over the folds stays smallest. Two things make it fast. A group's counts decide where it goes, so groups with equal
counts are dealt together; and as soon as such a deal has gone once round all folds it repeats itself, since only the
differences between folds matter, so that the full rounds need no more looking.

Three things differ. The groups are dealt in the order of their size as well as in that of how unequal their classes
are, and the better deal is kept. Which fold is which is drawn from the seed; there the largest group is always in the
first fold. And no fold lacks a class that enough groups hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from fvc_exp._typing import Indices

_TRIES = 2  # of each order; groups that tie in it are in a random one


def deal_groups(y: Indices, groups: Indices, n_folds: int, seed: int) -> list[Indices]:
    """The test rows of each fold, ascending; a group is in one fold whole.

    ``y`` (n,) is 0 or 1, ``groups`` (n,) are codes from 0 on. Each fold holds both classes if at least ``n_folds``
    groups hold each. Equal arguments give equal folds.
    """
    every = np.bincount(2 * groups + y, minlength=2 * (int(groups.max()) + 1)).reshape(-1, 2)
    present = np.flatnonzero(every.any(axis=1))
    fold_of = np.empty(len(every), dtype=np.int64)
    fold_of[present] = _folds_of(every[present], n_folds, np.random.default_rng(seed))
    of_rows = fold_of[groups]
    return [np.flatnonzero(of_rows == fold) for fold in range(n_folds)]


def _folds_of(counts: Indices, n_folds: int, rng: np.random.Generator) -> Indices:
    """The fold of each group from its rows of each class, (groups, 2)."""
    shuffled = rng.permutation(len(counts))
    base = int(counts[:, 1].max()) + 1
    codes, kind, sizes = np.unique(counts[shuffled] @ [base, 1], return_inverse=True, return_counts=True)
    kinds = np.stack(np.divmod(codes, base), axis=1)
    deals = []
    for first in (kinds.sum(axis=1), np.abs(kinds[:, 0] - kinds[:, 1])) * _TRIES:
        order = np.lexsort((rng.permutation(len(kinds)), -first))
        level = _Level(n_folds, *counts.sum(axis=0).tolist())
        dealt = [level.deal(*each) for each in zip(*kinds[order].T.tolist(), sizes[order].tolist(), strict=True)]
        deals.append((level.spread(), order, dealt))
    _, order, dealt = min(deals, key=lambda deal: deal[0])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    folds = np.empty(len(counts), dtype=np.int64)
    folds[shuffled[np.argsort(rank[kind], kind="stable")]] = np.concatenate(dealt)
    _give_each_its_classes(folds, counts, n_folds)
    return np.asarray(rng.permutation(n_folds)[folds])


@dataclass
class _Level:
    """How many rows of each class the folds hold so far; whole numbers, so that equal spreads compare as equal."""

    n_folds: int
    all_reals: int
    all_fakes: int
    reals: list[int] = field(init=False)
    fakes: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.reals, self.fakes = [0] * self.n_folds, [0] * self.n_folds

    def deal(self, reals: int, fakes: int, number: int) -> list[int]:
        """The folds that this many groups go to, one after the other; each has these numbers of rows."""
        dealt: list[int] = []
        rounds = 0
        while len(dealt) < number:
            dealt.append(self._best(reals, fakes))
            self._add(dealt[-1], reals, fakes)
            last = dealt[-self.n_folds :]
            if not rounds and len(set(last)) == self.n_folds:
                rounds = (number - len(dealt)) // self.n_folds
                dealt += last * rounds
                for fold in last:
                    self._add(fold, rounds * reals, rounds * fakes)
        return dealt

    def spread(self) -> float:
        """The deviation over folds of the share of each class's rows, summed over classes, but for a constant."""
        return self._spread(self.reals) * self.all_fakes + self._spread(self.fakes) * self.all_reals

    def _spread(self, rows: list[int]) -> float:
        return math.sqrt(self.n_folds * sum(n * n for n in rows) - sum(rows) ** 2)

    def _add(self, fold: int, reals: int, fakes: int) -> None:
        self.reals[fold] += reals
        self.fakes[fold] += fakes

    def _best(self, reals: int, fakes: int) -> int:
        """The fold where one more group leaves the least spread; of equal ones the one with the fewest rows."""
        k = self.n_folds
        # What is under the root but for the part that depends on which fold gets the group.
        base_reals = k * (sum(n * n for n in self.reals) + reals * reals) - (sum(self.reals) + reals) ** 2
        base_fakes = k * (sum(n * n for n in self.fakes) + fakes * fakes) - (sum(self.fakes) + fakes) ** 2
        best, least, fewest = 0, math.inf, 0
        for fold, (of_reals, of_fakes) in enumerate(zip(self.reals, self.fakes, strict=True)):
            spread = math.sqrt(base_reals + 2 * k * reals * of_reals) * self.all_fakes
            spread += math.sqrt(base_fakes + 2 * k * fakes * of_fakes) * self.all_reals
            if spread < least or (spread == least and of_reals + of_fakes < fewest):
                best, least, fewest = fold, spread, of_reals + of_fakes
        return best


def _give_each_its_classes(folds: Indices, counts: Indices, n_folds: int) -> None:
    """Move groups into folds that lack a class, from folds with two groups of it; changes ``folds`` in place.

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
