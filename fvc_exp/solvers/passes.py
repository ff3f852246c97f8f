"""One pass over all rows: the gradients of many points at once, and what bounds how far they are from the minimum.

The probabilities are made in single precision as long as that will do: exp takes a fifth of the time. Any p_i will do
for theta, as its products with the columns are made in double precision; what is wrong with the distance to the true
p_i is bounded too. With e the rounding error, x_i w and then x_i w + b are rounded, so the odds are wrong by a share of
at most r = (2 max |x_i w + b| + |b| + 5) e, the operations on them included, and p_i by p_i (1 - p_i) r + e p_i: a
chi-squared distance of at most 2 sum_i s_i (r^2 / 4 + e^2 / min p_i (1 - p_i)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvc_exp.solvers.newton import Model

Array = NDArray[np.float64]

_NUMBERS = 60_000  # of a chunk of log odds: it stays in the cache


@dataclass(frozen=True)
class Rows:
    """Standardised ``Z`` (n, p), ``y`` (n,) 0 or 1, positive weights ``s`` (n,)."""

    Z: Array
    y: Array
    s: Array


@dataclass(frozen=True)
class Sums:
    """Of m points: gradient (m, p), that of the intercept (m,), a value below the loss (m,), the range of v (m,).

    v is the ratio of the curvature of the loss to that of a model. ``error`` (m,) bounds the distance that the rounding
    of the probabilities makes.
    """

    gradient: Array
    residual: Array
    below: Array
    low: Array
    high: Array
    error: Array


def sums_near(rows: Rows, near: Sequence[tuple[Array, Array, Model]], precision: type[np.floating]) -> list[Sums]:
    """The sums over all rows of points (w, b) near each model, in chunks of (points, rows).

    The loss of a row is at least wrong + wrong^2 / 2, with wrong^2 = wrong - wrong (1 - wrong).
    """
    w, b = -np.concatenate([each for each, _, _ in near]), np.concatenate([each for _, each, _ in near])[:, None]
    ends = np.cumsum([len(each) for each, _, _ in near]).tolist()
    blocks = [(slice(end - len(each[1]), end), each[2].d) for each, end in zip(near, ends, strict=True)]
    m, signed = len(w), rows.s * rows.y
    gradient = np.repeat(-(signed @ rows.Z)[None], m, axis=0)
    wrong, bends = np.full(m, float(signed.sum())), np.zeros(m)
    residual, low, high = -wrong, np.full(m, np.inf), np.zeros(m)
    step = max(64, _NUMBERS // m)
    space, narrow = np.empty(m * step), np.empty((2, m * step), precision)
    for start in range(0, len(rows.y), step):
        these = slice(start, start + step)
        Z, y, s = rows.Z[these], rows.y[these], rows.s[these]
        wide = space[: m * len(y)].reshape(m, len(y))
        share, bend = narrow[:, : m * len(y)].reshape(2, m, len(y))
        share[:] = np.matmul(w, Z.T, out=wide)
        share -= b
        _probabilities(share)
        np.subtract(1, share, out=bend)
        bend *= share
        weights = s.astype(precision)
        bends += bend @ weights
        for block, d in blocks:
            bend[block] *= (s / d[these]).astype(precision)
        np.minimum(low, bend.min(axis=1), out=low)
        np.maximum(high, bend.max(axis=1), out=high)
        wrong += share @ (s - 2 * s * y).astype(precision)
        share *= weights
        wide[:] = share
        residual += wide @ np.ones(len(y))
        gradient += wide @ Z
    least = np.concatenate([low[block] * float((d / rows.s).min()) for block, d in blocks])
    error = rounding(least, b[:, 0], float(rows.s.sum()), float(np.finfo(precision).eps))
    each = (gradient, residual, 1.5 * wrong - 0.5 * bends, low, high, error)
    return [Sums(*(sums[block] for sums in each)) for block, _ in blocks]


def _probabilities(share: NDArray[np.floating]) -> None:
    """Log odds of class 0 become the probability of class 1; exp may overflow to infinity, whose reciprocal is 0."""
    with np.errstate(over="ignore"):
        np.exp(share, out=share)
    share += 1
    np.reciprocal(share, out=share)


def rounding(least: Array, b: Array, total: float, eps: float) -> Array:
    """The distance that rounding makes where all p_i (1 - p_i) are at least ``least`` (m,), for weights of a sum."""
    with np.errstate(divide="ignore"):
        relative = (np.abs(b) - 2 * np.log(least) + 5) * eps
        return np.asarray(2 * total * (relative**2 / 4 + eps**2 / least))
