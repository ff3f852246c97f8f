"""Near-copies: rows of different groups that are much nearer to each other than the data's own nearest neighbours.

Around a row that is nobody's copy, let d_1 <= ... <= d_k be the distances to the nearest k other groups. If rows lie
evenly in D dimensions there, ``D * j * log(d_j+1 / d_j)`` are independent exponentials (Renyi 1953). Those of the
further groups, j >= h, estimate D (Levina and Bickel 2004). With T = ``log(d_h / d_1)`` over their mean, a T of t or
more has a chance of at most ``(h - 1) * (1 + t / (k - h)) ** -(k - h)``; a copy has a far larger T.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.special import pdtrik

from fvc_exp._typing import Array, Array32, Indices, Mask
from fvc_exp.data.standard import Standard

FALSE_ALARMS = 0.02  # of the data sets without copies
FEWEST_GROUPS = 12
NOISES = (0.001, 0.1, 0.3)  # of copies whose visibility is told, in standard deviations of each feature
SEARCHED = 400  # rows at most that are compared with all others; exact copies are looked for among all rows

_NEAREST, _FURTHEST = 5, 50  # h and k where there are enough groups
_LEVELS = 10.0 ** -np.arange(2, 13)  # pairs are counted below each of these chances
_EXCESS = 3  # times as many pairs as expected; the data are not perfectly even
_PAIRS = 30_000_000  # of rows that are compared at most
_CHUNK = 8192  # rows that are compared at once
_TIES_SHOW = 20_000  # rows among which a value stands three times of which all rows have a share worth spreading
_USUAL = 0.9  # of the rows have a value of their own in a measured feature
_SMALLEST = 1e-9  # distance whose logarithm is taken


@dataclass(frozen=True)
class NearCopies:
    """What was found.

    ``families`` (n,) numbers the rows that are copies of each other, -1 for other rows. ``distances`` (pairs,) are root
    mean squares over the features, in standard deviations. ``smallest_share`` of copies that could have been seen, by
    their noise, is None where they could not be seen at any share.
    """

    families: Indices
    distances: Array
    searched: int
    smallest_share: dict[str, float | None]


@dataclass(frozen=True)
class _Rows:
    """Rows sorted by group, without equal ones: group ``codes`` (n,), the first row of each group, and ``X``.

    That is (n, p + 1) in single precision; the last column has the sums of squares of the others.
    """

    X: Array32
    codes: Indices
    starts: Indices

    @property
    def far(self) -> int:
        """k: how many other groups are looked at around a row."""
        return max(min(_FURTHEST, len(self.starts) // 3), FEWEST_GROUPS // 2)

    @property
    def near(self) -> int:
        """h: the groups before it may be copies."""
        return min(_NEAREST, self.far // 3)

    def neighbours(self, rows: Indices) -> tuple[Array, Indices]:
        """Ascending distances (rows, k) to the nearest other groups, and the nearest row of another group (rows,).

        In single precision, but for the distance to the nearest row, which a copy shows by.
        """
        searched, own, ends = self.X[rows], self.codes[rows], np.append(self.starts, len(self.X))
        twice = np.column_stack([-2 * searched[:, :-1], np.ones(len(rows), np.float32)])
        of_groups = np.empty((len(rows), len(self.starts)), np.float32)
        least, nearest = np.full(len(rows), np.inf), np.zeros(len(rows), np.int64)
        firsts = np.unique(np.searchsorted(self.starts, np.arange(0, len(self.X), _CHUNK)))  # numbers of groups
        for first, behind in pairwise([*firsts.tolist(), len(self.starts)]):
            start, end = ends[first], ends[behind]
            block = twice @ self.X[start:end].T
            for row in np.flatnonzero((own >= first) & (own < behind)):
                block[row, ends[own[row]] - start : ends[own[row] + 1] - start] = np.inf
            of_groups[:, first:behind] = np.minimum.reduceat(block, self.starts[first:behind] - start, axis=1)
            best = block.argmin(axis=1)
            lower = block[np.arange(len(rows)), best] < least
            least[lower], nearest[lower] = block[lower, best[lower]], start + best[lower]
        distances = np.sort(np.partition(of_groups, self.far - 1, axis=1)[:, : self.far], axis=1)
        found: Array = np.sqrt(np.maximum(distances.astype(np.float64) + searched[:, -1:], 0))
        to_nearest = np.linalg.norm(self.X[nearest, :-1].astype(np.float64) - searched[:, :-1], axis=1)
        found[:, 0] = np.minimum(to_nearest, found[:, 1])
        return found, nearest

    def chances(self, distances: Array, pair: Array) -> Array:
        """Of a row this near (``pair``) or nearer, given the distances to the other groups."""
        h, k = self.near, self.far
        logs = np.log(np.maximum(distances, _SMALLEST))
        spacing = np.mean(np.arange(h, k) * np.diff(logs[:, h - 1 :]), axis=1)
        ratio = np.maximum(logs[:, h - 1] - np.log(np.maximum(pair, _SMALLEST)), 0) / np.maximum(spacing, _SMALLEST)
        return np.asarray(np.minimum((h - 1) * (1 + ratio / (k - h)) ** -(k - h), 1))


def find_near_copies(X: Array, groups: Indices, seed: int = 0) -> NearCopies:
    """Look for rows of other ``groups`` (n,) that are copies in X, (n, p) with NaN where missing, imputed by medians.

    Equal values of a feature are spread over as much of its range as their share of the rows, so that rows of coarse
    features that agree by chance are no copies. With fewer than 12 groups only exact copies are looked for.
    """
    rng = np.random.default_rng(seed)
    standard = Standard.of(X, np.zeros(X.shape[1], dtype=bool))
    first = _first_equals(X, standard)
    kept = np.flatnonzero(first == np.arange(len(X)))
    kept = kept[np.argsort(groups[kept], kind="stable")]
    twins = np.flatnonzero(groups != groups[first])
    doubled = np.flatnonzero(np.isin(kept, first[twins]))
    believed = _shares_fine_values(X, kept, doubled)
    one = other = searched = np.arange(0)
    shares: dict[str, float | None] = dict.fromkeys(map(str, NOISES))
    _, starts, codes = np.unique(groups[kept], return_index=True, return_inverse=True)
    if len(starts) >= FEWEST_GROUPS:
        spread, blur = _spread_rows(X, kept, standard, rng)
        rows = _Rows(spread, codes, starts)
        searched = np.sort(rng.permutation(len(kept))[: min(SEARCHED, _PAIRS // len(kept))])
        distances, nearest = rows.neighbours(searched)
        one, other = _near_pairs(rows, searched, distances, nearest)
        if len(some := doubled[:SEARCHED]):  # their equals lie as far from them as ties were spread
            chances = rows.chances(rows.neighbours(some)[0], np.sqrt(blur[some]))
            believed[: len(some)] |= chances < FALSE_ALARMS / len(kept)
        for noise in NOISES:
            pair = np.sqrt(noise**2 * X.shape[1] + blur[searched])
            shares[str(noise)] = _smallest_share(rows.chances(distances, pair))
    twins = twins[np.isin(first[twins], kept[doubled[believed]])]
    pairs = np.column_stack([np.r_[kept[one], twins], np.r_[kept[other], first[twins]]])
    left, right = np.unique(np.sort(pairs, axis=1), axis=0).T
    distance = np.sqrt(np.mean((standard.apply(X[left]) - standard.apply(X[right])) ** 2, axis=1))
    links = coo_array((np.ones(len(left)), (left, right)), shape=(len(X), len(X)))
    families = connected_components(links, directed=False)[1]
    families = np.where(np.bincount(families)[families] > 1, families, -1)
    return NearCopies(families, distance, len(searched), shares)


def blank_rows(X: Array) -> Mask:
    """Rows all known values of which are equal, such as the zeros of a blank video; one feature shows no pattern."""
    if X.shape[1] < 2:
        return np.zeros(len(X), dtype=bool)
    one, other = X[:, 0], X[:, 1]
    blank = (one == other) | np.isnan(one) | np.isnan(other)
    few = X[blank]
    known = ~np.isnan(few)
    blank[blank] = few.max(axis=1, initial=-np.inf, where=known) <= few.min(axis=1, initial=np.inf, where=known)
    return np.asarray(blank)


def _first_equals(X: Array, standard: Standard) -> Indices:
    """The number (n,) of the first row that equals each row of X (n, p), once imputed; mostly its own."""
    values = pl.Series(np.nan_to_num(X[:, 0], nan=standard.fill[0]))
    first, left = np.arange(len(X)), np.flatnonzero(values.is_duplicated())  # the others differ by one feature already
    if len(left):
        chunks = (standard.apply(X[left[start : start + _CHUNK]]) for start in range(0, len(left), _CHUNK))
        hashes = np.concatenate([pl.DataFrame(chunk).hash_rows().to_numpy() for chunk in chunks])
        _, earliest, kind = np.unique(hashes, return_index=True, return_inverse=True)
        first[left] = left[earliest[kind]]
    return first


def _spread_rows(X: Array, kept: Indices, standard: Standard, rng: np.random.Generator) -> tuple[Array32, Array]:
    """``_Rows.X`` of the ``kept`` rows of X (n, p), standardised, with equal values of a feature spread.

    And the mean squared distance (kept,) that this puts between equal rows. Two equal values stay as they are: they may
    be copies. Whether a feature has ties is looked up in a sample of many rows.
    """
    n, p = len(kept), X.shape[1]
    spread, blur = np.empty((n, p + 1), np.float32), np.zeros(n)
    for start in range(0, n, _CHUNK):
        part = X[kept[start : start + _CHUNK]]
        spread[start : start + _CHUNK, :p] = standard.apply(part, out=part)
    some = kept if n <= _TIES_SHOW else kept[np.sort(np.random.default_rng(0).permutation(n)[:_TIES_SHOW])]
    ordered = np.sort(X[some], axis=0)
    for column in np.flatnonzero(~np.all(ordered[2:] > ordered[:-2], axis=0)):
        _, kind, counts = np.unique(X[kept, column], return_inverse=True, return_counts=True)
        width = np.sqrt(12) * np.maximum(counts[kind] - 2, 0) / n  # uniform values of deviation 1 span sqrt(12)
        spread[:, column] += width * rng.uniform(-0.5, 0.5, n)
        blur += width**2 / 6
    np.einsum("ij,ij->i", spread[:, :p], spread[:, :p], out=spread[:, p])
    return spread, blur


def _near_pairs(rows: _Rows, searched: Indices, distances: Array, nearest: Indices) -> tuple[Indices, Indices]:
    """Pairs of rows that are unexpectedly near as seen from both ends; none unless they are too many for chance."""
    chances = rows.chances(distances, distances[:, 0])
    unusual = np.flatnonzero(chances < _LEVELS[0])
    if not len(unusual):
        return unusual, unusual
    one, other = searched[unusual], nearest[unusual]
    back = rows.chances(rows.neighbours(other)[0], distances[unusual, 0])
    chances = np.maximum(chances[unusual], back)
    order = np.argsort(chances)
    between = np.sort(rows.codes[np.column_stack([one, other])[order]], axis=1)
    order = order[np.unique(between, axis=0, return_index=True)[1]]  # groups may be near by many rows; they count once
    counts = (chances[order, None] < _LEVELS).sum(axis=0)
    levels = _LEVELS[counts >= _too_many(len(searched))]
    found = chances < levels.max(initial=0)
    return one[found], other[found]


def _too_many(searched: int) -> Array:
    """How many pairs below each level are too many for chance, and for data that are slightly uneven."""
    expected = searched * _LEVELS
    by_chance = np.ceil(pdtrik(1 - FALSE_ALARMS / len(_LEVELS), expected))  # the quantile of a Poisson distribution
    return np.asarray(np.maximum(by_chance + 1, np.ceil(_EXCESS * expected)))


def _shares_fine_values(X: Array, kept: Indices, places: Indices) -> Mask:
    """Whether two features of rows ``kept[places]`` have a value that no row but their equals has, as others do there.

    It is usual if, without the most frequent value, nine of ten rows have one of their own, as measured numbers do.
    """
    fine = np.zeros(len(places), dtype=int)
    for column in X.T if len(places) else ():
        _, kind, counts = np.unique(column[kept], return_inverse=True, return_counts=True)
        usual = np.sum(counts == 1) >= _USUAL * (len(kept) - counts.max(where=counts > 1, initial=0))
        fine += usual & (counts[kind[places]] == 1)
    return np.asarray(fine >= min(2, X.shape[1]))


def _smallest_share(chances: Array) -> float | None:
    """Of copies that are too many for chance; ``chances`` (n,) are those of each row if it is one. None above half."""
    seen = np.sum(chances[:, None] < _LEVELS, axis=0)
    smallest = float(np.min(_too_many(len(chances)) / np.maximum(seen, _SMALLEST)))
    return smallest if smallest <= 0.5 else None
