"""How features are imputed and standardised: medians, means and deviations of training rows, in one place."""

from typing import NamedTuple, Self

import numpy as np

from fvc_exp._typing import Array, Indices, Mask

_CHUNK = 4096  # rows, which then stay in the processor's cache


class Standard(NamedTuple):
    """Of each feature of training rows (p,): the median that fills gaps, the mean, and the standard deviation.

    Mean and deviation are StandardScaler's, to rounding, without its temporary copies; so is what counts as constant,
    and then has the scale 1 (Chan, Golub & LeVeque 1983). ``fill`` is NaN for columns whose median was not needed.
    """

    fill: Array
    mean: Array
    scale: Array

    @classmethod
    def of(cls, X: Array, needs_median: Mask | None = None) -> Self:
        """Fit to rows (n, p).

        ``needs_median`` (p,) tells the columns that other rows may lack, if not all; those with gaps here always count.
        """
        n, eps = len(X), np.finfo(np.float64).eps
        mean = X.mean(axis=0)
        gaps = np.isnan(mean)
        wanted = gaps | (True if needs_median is None else needs_median)
        fill = np.full(X.shape[1], np.nan)
        fill[wanted] = column_medians(X, np.flatnonzero(wanted))
        fill[gaps] = np.nan_to_num(fill[gaps])
        with np.errstate(invalid="ignore"):
            left, squares = np.zeros((2, X.shape[1]))
            for start in range(0, n, _CHUNK):
                part = X[start : start + _CHUNK] - mean
                left += np.ones(len(part)) @ part
                squares += np.einsum("ij,ij->j", part, part)
        for column in np.flatnonzero(gaps):
            filled = np.where(np.isnan(X[:, column]), fill[column], X[:, column])
            mean[column] = filled.mean()
            filled -= mean[column]
            left[column], squares[column] = filled.sum(), filled @ filled
        variance = (squares - left**2 / n) / n
        scale = np.sqrt(variance)
        scale[variance <= n * eps * variance + (n * mean * eps) ** 2] = 1.0
        return cls(fill, mean, scale)

    def apply(self, X: Array, out: Array | None = None) -> Array:
        """Rows (n, p), imputed and standardised; ``out`` may be X itself."""
        out = np.empty(X.shape) if out is None else out
        for start in range(0, len(X), _CHUNK):
            Z = out[start : start + _CHUNK]
            np.subtract(X[start : start + _CHUNK], self.mean, out=Z)
            Z /= self.scale
            if (gaps := np.isnan(Z)).any():
                Z[gaps] = np.broadcast_to((self.fill - self.mean) / self.scale, Z.shape)[gaps]
        return out

    def product(self, X: Array, coef: Array) -> Array:
        """``apply(X) @ coef`` (n,), without a copy of X."""
        chunks = [self.apply(X[start : start + _CHUNK]) @ coef for start in range(0, len(X), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros(0)


def column_medians(X: Array, columns: Indices) -> Array:
    """The median of the known values of these columns of X (n, p); NaN where there is none."""
    medians = np.full(len(columns), np.nan)
    for place, column in enumerate(columns):
        values = X[:, column].copy()
        if np.isnan(values.sum()):
            values = values[~np.isnan(values)]
        if len(values):
            medians[place] = np.median(values, overwrite_input=True)
    return medians
