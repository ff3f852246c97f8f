"""Columns of mean 0 and standard deviation 1 to work with, whatever the scale of X."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# A column whose standard deviation is within these and whose mean is within that many of it needs no copy.
_LOW, _HIGH, _FAR = 0.03, 30.0, 3.0


@dataclass(frozen=True)
class Columns:
    """``Z`` = (X - mean) / scale, shape (n, p)."""

    Z: Array
    mean: Array
    scale: Array

    def penalty(self, C: float, l1_ratio: float) -> tuple[Array, Array]:
        """Weights (p,) of |v| and v^2 / 2 that penalise v as C and l1_ratio do the coefficients of X, divided by C."""
        return l1_ratio / C / self.scale, (1 - l1_ratio) / C / self.scale**2

    def scaled(self, w: Array, b: float) -> tuple[Array, float]:
        """Coefficients of Z and the intercept from those of X."""
        return w * self.scale, b + float(w @ self.mean)

    def raw(self, v: Array, b: float) -> tuple[Array, float]:
        """Coefficients of X and the intercept from those of Z."""
        w = v / self.scale
        return w, b - float(w @ self.mean)


def standardise(X: Array, s: Array, *, centred: bool) -> Columns:
    """Scale columns by rows of weight ``s``; a constant column becomes 0. X itself is used where its scale will do."""
    p, total = X.shape[1], float(s.sum())
    mean = (s @ X) / total if centred else np.zeros(p)
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.sqrt(np.maximum(np.einsum("i,ij,ij->j", s, X, X) / total - mean**2, 0))
        will_do = (scale > _LOW) & (scale < _HIGH) & (np.abs(mean) < _FAR * scale)
    if will_do.all():
        return Columns(X, np.zeros(p), np.ones(p))
    Z = X - mean
    if centred:
        Z[:, X.max(axis=0) == X.min(axis=0)] = 0.0
    largest = np.abs(Z).max(axis=0)
    largest[largest == 0] = 1.0
    Z /= largest
    scale = np.sqrt(np.einsum("i,ij,ij->j", s, Z, Z) / total)
    scale[scale == 0] = 1.0
    Z /= scale
    return Columns(Z, mean, largest * scale)
