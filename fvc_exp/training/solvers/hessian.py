"""A quadratic model of the loss: its curvature in the coefficients, the intercept minimised out."""

from dataclasses import dataclass

import numpy as np

from fvc_exp._typing import Array

_ROWS = 8192  # of a chunk, which then stays in the processor's cache


TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class QuadraticModel:
    """Curvature of the loss: ``d`` (n,), ``h`` = X'd, ``total`` = sum d, and ``A`` = X'dX - hh' / total."""

    d: Array
    h: Array
    total: float
    A: Array


def quadratic_model(X: Array, d: Array, intercept: bool) -> QuadraticModel:
    """The model of rows X (n, p) with curvatures ``d`` (n,), with an intercept or without."""
    H = (X.T @ X) * d[0] if len(d) and (d == d[0]).all() else _weighted_products(X, d)
    if not intercept:
        return QuadraticModel(d, np.zeros(len(H)), np.inf, H)
    h, total = d @ X, max(float(d.sum()), TINY)
    return QuadraticModel(d, h, total, H - np.outer(h, h / total))


def _weighted_products(X: Array, d: Array) -> Array:
    """X'dX, in chunks that stay in the processor's cache."""
    H, root = np.zeros((X.shape[1], X.shape[1])), np.sqrt(d)
    space = np.empty((min(_ROWS, len(X)), X.shape[1]))  # once, as fresh memory costs as much as the product
    for start in range(0, len(X), _ROWS):
        rows = X[start : start + _ROWS]
        part = np.multiply(rows, root[start : start + _ROWS, None], out=space[: len(rows)])
        H += part.T @ part
    return H
