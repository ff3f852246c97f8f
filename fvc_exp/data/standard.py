"""How features are imputed and standardised: medians, means and deviations of training rows, in one place."""

from typing import NamedTuple, Self

import numpy as np

from fvc_exp._typing import Array, Mask

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
    def of(cls, Z: Array, needs_median: Mask | None = None) -> Self:
        """Fit to rows (n, p), and impute and standardise them in place.

        ``needs_median`` (p,) tells the columns that other rows may lack, if not all; those with gaps here always count.
        """
        n, eps = len(Z), np.finfo(np.float64).eps
        mean = Z.mean(axis=0)
        wanted = np.isnan(mean) | (True if needs_median is None else needs_median)
        fill = np.full(Z.shape[1], np.nan)
        fill[wanted] = column_medians(Z[:, wanted])
        for column in np.flatnonzero(np.isnan(mean)):
            Z[np.isnan(Z[:, column]), column] = fill[column] = np.nan_to_num(fill[column])
            mean[column] = Z[:, column].mean()
        left, variance = np.zeros(Z.shape[1]), np.zeros(Z.shape[1])
        for start in range(0, n, _CHUNK):
            part = Z[start : start + _CHUNK]
            part -= mean
            left += np.ones(len(part)) @ part
            variance += np.einsum("ij,ij->j", part, part)
        variance = (variance - left**2 / n) / n
        scale = np.sqrt(variance)
        scale[variance <= n * eps * variance + (n * mean * eps) ** 2] = 1.0
        Z /= scale
        return cls(fill, mean, scale)

    def apply(self, X: Array) -> Array:
        """Other rows (n, p), imputed and standardised."""
        Z = X - self.mean
        Z /= self.scale
        if (gaps := np.isnan(Z)).any():
            Z[gaps] = np.broadcast_to((self.fill - self.mean) / self.scale, Z.shape)[gaps]
        return Z

    def product(self, X: Array, coef: Array) -> Array:
        """``apply(X) @ coef`` (n,), without a copy of X."""
        chunks = [self.apply(X[start : start + _CHUNK]) @ coef for start in range(0, len(X), _CHUNK)]
        return np.concatenate(chunks) if chunks else np.zeros(0)


def column_medians(X: Array) -> Array:
    """The median (p,) of the known values of each column of X (n, p); NaN where there is none."""
    medians = np.empty(X.shape[1])
    for number, column in enumerate(X.T):
        known = ~np.isnan(column)
        values = column[known]
        medians[number] = np.median(values, overwrite_input=True) if len(values) else np.nan
    return medians
