"""Derivatives of the loss: its quadratic model, and in one pass over the rows the gradients of many points at once.

``quadratic_model`` has the curvature in the coefficients, with the intercept minimised out. ``sum_over_rows`` has the
gradients, and what bounds the distance of the points from the minimum.

With q_i the probability of the wrong class the slope of the loss is s_i q_i, its sign that of the class. The q_i are
made in single precision where that is enough, as exp then takes a fifth of the time. Any q_i will do for the dual point
theta, as its products with the columns are made in double precision; the distance to the true q_i is bounded. With e
the rounding error, the log odds and what makes odds of them are wrong by at most r = (2 max |x_i w + b| + |b| + 5) e,
and what follows by a share of 2 e, so q_i by r q_i (1 - q_i) + 2 e q_i: a chi-squared distance of at most
2 sum_i s_i (r^2 q_i (1 - q_i) + 4 e^2 q_i / (1 - max q)).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array

TINY = float(np.finfo(float).tiny)
_ROWS = 8192  # of a chunk of rows, which then stays in the processor's cache
_NUMBERS = 60_000  # log odds in one chunk, for the same reason
_SPOILT = 1e-3  # share of 1 - q_i that may be wrong


@dataclass(frozen=True)
class WeightedRows:
    """Standardised ``Z`` (n, p), ``y`` (n,) 0 or 1, positive weights ``s`` (n,)."""

    Z: Array
    y: Array
    s: Array


@dataclass(frozen=True)
class QuadraticModel:
    """Curvature of the loss: ``d`` (n,), ``h`` = X'd, ``total`` = sum d, and ``A`` = X'dX - hh' / total."""

    d: Array
    h: Array
    total: float
    A: Array


def quadratic_model(X: Array, d: Array) -> QuadraticModel:
    """The model of rows X (n, p) with curvatures ``d`` (n,)."""
    H = (X.T @ X) * d[0] if len(d) and (d == d[0]).all() else _weighted_products(X, d)
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


@dataclass(frozen=True)
class RowSums:
    """Of m points: gradient of the loss (m, p), that of the intercept (m,), a lower bound of the loss (m,).

    ``low`` and ``high`` (m,) are the range over the rows of v, the ratio of the curvature of the loss to that of a
    model. ``error`` (m,) bounds the distance that the rounding of the probabilities makes.
    """

    gradient: Array
    intercept_gradient: Array
    loss_bound: Array
    low: Array
    high: Array
    error: Array


def sum_over_rows(
    rows: WeightedRows, batches: Sequence[tuple[Array, Array, QuadraticModel]], precision: type[np.floating]
) -> list[RowSums]:
    """The sums over all rows of each batch of points (w, b) and its model, in chunks of (points, rows).

    The loss of a row is at least wrong + wrong^2 / 2, with wrong^2 = wrong - wrong (1 - wrong).
    """
    w, b = np.concatenate([each for each, _, _ in batches]), np.concatenate([each for _, each, _ in batches])[:, None]
    ends = np.cumsum([len(each) for each, _, _ in batches]).tolist()
    blocks = [(slice(end - len(each[1]), end), each[2].d) for each, end in zip(batches, ends, strict=True)]
    m, sign = len(w), 2 * rows.y - 1
    gradient, intercept_gradient, wrong, curvature, highest, high = np.zeros_like(w), *np.zeros((5, m))
    low = np.full(m, np.inf)
    step = max(64, _NUMBERS // m)
    space, narrow = np.empty(m * step), np.empty((2, m * step), precision)
    for start in range(0, len(rows.y), step):
        chunk = slice(start, start + step)
        Z, s = rows.Z[chunk], rows.s[chunk].astype(precision)
        wide = space[: m * len(s)].reshape(m, len(s))
        q, ratio = narrow[:, : m * len(s)].reshape(2, m, len(s))
        q[:] = np.matmul(w, Z.T, out=wide)
        q += b
        q *= sign[chunk].astype(precision)
        _margin_to_wrong(q)
        np.subtract(1, q, out=ratio)
        ratio *= q
        wrong += q @ s
        curvature += ratio @ s
        np.maximum(highest, q.max(axis=1), out=highest)
        for block, d in blocks:
            ratio[block] *= (rows.s[chunk] / d[chunk]).astype(precision)
        np.minimum(low, ratio.min(axis=1), out=low)
        np.maximum(high, ratio.max(axis=1), out=high)
        q *= (-rows.s[chunk] * sign[chunk]).astype(precision)
        wide[:] = q
        intercept_gradient += wide @ np.ones(len(s))
        gradient += wide @ Z
    least = np.concatenate([low[block] * float((d / rows.s).min()) for block, d in blocks])
    error = _rounding_distance(least, highest, np.abs(b[:, 0]), wrong, curvature, float(np.finfo(precision).eps))
    each = (gradient, intercept_gradient, 1.5 * wrong - 0.5 * curvature, low, high, error)
    return [RowSums(*(sums[block] for sums in each)) for block, _ in blocks]


def _margin_to_wrong(q: NDArray[np.floating]) -> None:
    """Turn margins into probabilities of the wrong class, in place; where exp overflows to infinity they are 0."""
    with np.errstate(over="ignore"):
        np.exp(q, out=q)
    q += 1
    np.reciprocal(q, out=q)


def _rounding_distance(least: Array, highest: Array, size: Array, wrong: Array, curvature: Array, eps: float) -> Array:
    """The distance that rounding makes, infinite where it spoils 1 - q_i itself.

    ``least`` (m,) is at most all q_i (1 - q_i), which bounds the log odds, ``highest`` (m,) at least all q_i, ``size``
    (m,) is |b|; ``wrong`` and ``curvature`` (m,) are the sums of s_i q_i and of s_i q_i (1 - q_i).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (size - 2 * np.log(least) + 5) * eps
        distance = 2 * (odds**2 * curvature + 4 * eps**2 * wrong / (1 - highest))
    return np.where(eps < _SPOILT * (1 - highest), distance, np.inf)
