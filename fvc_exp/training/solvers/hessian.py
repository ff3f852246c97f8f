"""A quadratic model of the loss: its curvature in the coefficients, the intercept minimised out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvc_exp._typing import Array

_ROWS = 8192  # of a chunk: what is made of X in passing stays in the cache


TINY = float(np.finfo(float).tiny)


@dataclass(frozen=True)
class Model:
    """Curvature of the loss: ``d`` (n,), ``h`` = X'd, ``total`` = sum d, and ``A`` = X'dX - hh' / total."""

    d: Array
    h: Array
    total: float
    A: Array


def curvature(X: Array, d: Array, intercept: bool) -> Model:
    """The quadratic model with weights ``d`` (n,)."""
    H = (X.T @ X) * d[0] if len(d) and (d == d[0]).all() else _weighted_products(X, d)
    if not intercept:
        return Model(d, np.zeros(len(H)), np.inf, H)
    h, total = d @ X, max(float(d.sum()), TINY)
    return Model(d, h, total, H - np.outer(h, h / total))


def _weighted_products(X: Array, d: Array) -> Array:
    """X'dX, by chunks that stay in the cache."""
    H, root = np.zeros((X.shape[1], X.shape[1])), np.sqrt(d)
    space = np.empty((min(_ROWS, len(X)), X.shape[1]))  # once, as fresh memory costs as much as the product
    for start in range(0, len(X), _ROWS):
        rows = X[start : start + _ROWS]
        part = np.multiply(rows, root[start : start + _ROWS, None], out=space[: len(rows)])
        H += part.T @ part
    return H
