"""How features are imputed and standardised: medians, means and deviations of training rows, in one place."""

from typing import NamedTuple, Self

import numpy as np

from fvc_exp._typing import Array, Mask

_CHUNK = 4096  # rows, which then stay in the processor's cache
_MIDDLE = 0.46, 0.54  # shares of a sample of as many rows between which the median of all rows is looked for


class Standard(NamedTuple):
    """Of each feature of training rows (p,): the median that fills gaps, the mean, and the standard deviation.

    Mean and deviation are StandardScaler's, to rounding; so is what counts as constant, and then has the scale 1.
    ``fill`` is NaN for columns whose median was not needed.
    """

    fill: Array
    mean: Array
    scale: Array

    @classmethod
    def of(cls, X: Array, needs_median: Mask | None = None) -> Self:
        """Fit to rows (n, p).

        ``needs_median`` (p,) tells the columns that other rows may lack, if not all; those with gaps here always count.
        """
        n, eps, gaps = len(X), np.finfo(np.float64).eps, np.isnan(X.sum(axis=0))
        wanted = gaps | (True if needs_median is None else needs_median)
        fill = np.full(X.shape[1], np.nan)
        if wanted.all() and not gaps.any():
            fill[:] = _medians(X) if n > _CHUNK else np.median(X, axis=0)
        else:
            fill[wanted] = [_median(X[:, place]) for place in np.flatnonzero(wanted)]
        filled = np.where(np.isnan(X), fill, X) if gaps.any() else X
        mean = filled.mean(axis=0)
        variance = _sum_of_squares(filled, mean) / n
        is_constant = variance <= n * eps * variance + (n * mean * eps) ** 2
        return cls(fill, mean, np.where(is_constant, 1.0, np.sqrt(variance)))

    def apply(self, X: Array, out: Array | None = None) -> Array:
        """Rows (n, p), imputed and standardised; ``out`` may be X itself."""
        Z = np.subtract(X, self.mean, out=out)
        Z /= self.scale
        if np.isnan(Z.sum()):  # faster than looking at each value
            gaps = np.isnan(Z)
            Z[gaps] = np.broadcast_to((self.fill - self.mean) / self.scale, Z.shape)[gaps]
        return Z

    def product(self, X: Array, coef: Array) -> Array:
        """``apply(X) @ coef`` (n,)."""
        starts = range(0, max(len(X), 1), _CHUNK)
        return np.concatenate([self.apply(X[start : start + _CHUNK]) @ coef for start in starts])


def _sum_of_squares(X: Array, mean: Array) -> Array:
    """Of deviations from the mean (p,), without a copy of X (n, p); added as numpy's ``var`` does, to equal digits."""
    parts = np.zeros((_CHUNK + 1, X.shape[1]))  # the sum so far, then squares of the next rows
    for start in range(0, len(X), _CHUNK):
        rows = X[start : start + _CHUNK]
        part = np.subtract(rows, mean, out=parts[1 : len(rows) + 1])
        part *= part
        parts[0] = parts[: len(rows) + 1].sum(axis=0)
    return np.asarray(parts[0])


def _median(values: Array) -> float:
    """The median of the known values; 0 if there is none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else 0.0


def _medians(X: Array) -> list[float]:
    """The median of each column of rows (n, p) without gaps; only values near that of a sample are sorted."""
    n, few = len(X), np.sort(X[:: max(1, len(X) // _CHUNK)], axis=0)
    low, high = (few[int(share * len(few))] for share in _MIDDLE)
    below, middle = np.zeros(X.shape[1], np.int64), []
    for start in range(0, n, _CHUNK):
        rows = X[start : start + _CHUNK]
        below += np.count_nonzero(rows < low, axis=0)
        middle.append([column[each] for column, each in zip(rows.T, ((rows >= low) & (rows <= high)).T, strict=True)])
    found = [np.sort(np.concatenate(parts)) for parts in zip(*middle, strict=True)]
    places = [range((n - 1) // 2 - count, n // 2 - count + 1) for count in below.tolist()]  # one, or two of even n
    return [
        float(values[two].mean() if two[0] >= 0 and two[-1] < len(values) else np.median(column))
        for values, two, column in zip(found, places, X.T, strict=True)
    ]
