"""The quadratic model of the loss, and many small problems with its matrix.

They are min_d d'Ad / 2 + g'd + (a + d)'diag(l2)(a + d) / 2 + l1'|a + d|. There is one for each row of ``g``, the
gradient at the start ``a``. The unknown is the step d, not a + d: where columns are nearly equal a + d is large, and A
times it would lose the digits that the bound on a fit needs.

A guess of the support and its signs is checked by a direct solve, and corrected: what came out with another sign
leaves, and what has a gradient above l1 enters. That is the primal-dual active set method (Hintermüller, Ito & Kunisch
2002) with a step of nearly 0, Newton's method on the optimality conditions: exact after a few steps where it converges,
but it may cycle; with the step of a single coordinate, 1 / A_jj, nearly equal columns did so often. What it does not
settle goes to a search that changes the support by one coordinate at a time and lowers the objective with each change,
so that it ends (Lee, Battle, Raina & Ng 2007, "Efficient sparse coding algorithms", feature-sign search).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from fvc_exp._typing import Array, Indices, Mask

TINY = float(np.finfo(float).tiny)
_ROWS = 8192  # of a chunk of rows, which then stays in the processor's cache
GUESSES = 12  # active set steps before the search takes over
_CHANGES = 10  # of the support in a search, times the number of columns
_RIDGE = 1e-14  # of the largest diagonal entry: duplicated columns have no unique solution, any will do


# How far a gradient may lie outside of l1 before its coordinate counts as active: a share of l1, and of what it sums.
_SLACK, _ROUNDING = 1e-11, 1e-14


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
    return QuadraticModel(d, h, total, H - h[:, None] * (h / total))


def _weighted_products(X: Array, d: Array) -> Array:
    """X'dX, in chunks that stay in the processor's cache."""
    H, root = np.zeros((X.shape[1], X.shape[1])), np.sqrt(d)
    space = np.empty((min(_ROWS, len(X)), X.shape[1]))  # once, as fresh memory costs as much as the product
    for start in range(0, len(X), _ROWS):
        rows = X[start : start + _ROWS]
        part = np.multiply(rows, root[start : start + _ROWS, None], out=space[: len(rows)])
        H += part.T @ part
    return H


def solve(A: Array, g: Array, l1: Array, l2: Array, start: Array) -> Array:
    """The steps (m, p) for a positive semi-definite ``A`` (p, p) and ``g``, ``l1``, ``l2``, ``start`` (m, p).

    A coordinate of ``start`` plus step is exactly 0 where it is not in the support.
    """
    largest = max(float(A.diagonal().max(initial=0.0)), TINY)
    if not np.count_nonzero(l1):
        return _solve_on_support(A, -g - l2 * start, l2 + _RIDGE * largest, np.ones(g.shape, np.bool_))
    step, open_ = _active_set(A, largest, g, l1, l2, start)
    for row in open_:
        step[row] = _search_support(A, largest, g[row], l1[row], l2[row], start[row])
    return step


def _active_set(A: Array, largest: float, g: Array, l1: Array, l2: Array, start: Array) -> tuple[Array, Indices]:
    """Steps of the rows that ``GUESSES`` active set steps settle, and the numbers of those that they do not."""
    steps, open_ = np.zeros_like(start), np.arange(len(g))
    sign = np.where(l1 > 0, np.sign(start), 0.0)
    active = (sign != 0) | (l1 == 0)
    for _ in range(GUESSES):
        step = np.where(active, 0.0, -start)
        right = -g - step @ A - l2 * (start + step) - l1 * sign
        step += _solve_on_support(A, right, l2 + _RIDGE * largest, active)
        steps[open_], x = step, start + step
        gradient, turned = step @ A + g + l2 * x, x * sign
        size = np.abs(gradient)
        is_wrong = np.where(active, turned < 0, size > l1)
        if np.count_nonzero(is_wrong):
            is_wrong &= active | (size > _allowed(largest, g, l1, step))
        if not np.count_nonzero(is_wrong):
            return steps, open_[:0]
        sign = np.where(active, sign * (turned > 0), -np.sign(gradient) * (size > l1))
        active = (sign != 0) | (l1 == 0)
        if not (is_open := is_wrong.any(axis=1)).all():
            open_, active = open_[is_open], active[is_open]
            g, l1, l2, start, sign = (each[is_open] for each in (g, l1, l2, start, sign))
    return steps, open_


def _allowed(largest: float, g: Array, l1: Array, step: Array) -> Array:
    """The largest gradients that count as within l1; ``largest`` is that of A."""
    summed = np.abs(g).max(axis=-1, initial=0.0) + largest * np.abs(step).sum(axis=-1)
    return np.asarray(l1 * (1 + _SLACK) + _ROUNDING * summed[..., None])


def _solve_on_support(A: Array, right: Array, added: Array, active: Mask) -> Array:
    """(A + diag(added)) x = right on the active coordinates of each row, zero elsewhere."""
    x = np.zeros_like(right)
    for row in range(len(right)):
        if len(support := active[row].nonzero()[0]):
            square = A.take(support, axis=0).take(support, axis=1)
            square.reshape(-1)[:: len(support) + 1] += added[row, support]
            # Transposed it has the layout of LAPACK, which else copies it.
            _, x[row, support], failed = lapack.dposv(square.T, right[row, support], overwrite_a=True)
            if failed:  # rounding has made a nearly singular matrix indefinite
                square = A[np.ix_(support, support)] + np.diag(added[row, support])
                x[row, support] = np.linalg.solve(square, right[row, support])
    return x


def _search_support(A: Array, largest: float, g: Array, l1: Array, l2: Array, start: Array) -> Array:
    """The step of one problem: solve on the support, stop where a sign would change, let in the worst coordinate."""
    step, sign = np.zeros_like(start), np.where(l1 > 0, np.sign(start), 0.0)
    active, added = (sign != 0) | (l1 == 0), np.diag(l2 + _RIDGE * largest)
    for _ in range(_CHANGES * len(g)):
        x, gradient = start + step, step @ A + g + l2 * (start + step)
        support = np.flatnonzero(active)
        square = np.ix_(support, support)
        change = np.linalg.solve(A[square] + added[square], -(gradient + l1 * sign)[support])
        leaves = (sign[support] != 0) & ((x[support] + change) * sign[support] < 0)
        if leaves.any():
            share = np.where(leaves, np.abs(x[support] / np.where(leaves, change, 1)), np.inf)
            first = support[share.argmin()]
            step[support] += share.min() * change
            step[first], sign[first], active[first] = -start[first], 0.0, False
            continue
        step[support] += change
        gradient = step @ A + g + l2 * (start + step)
        over = np.where(active, 0.0, np.abs(gradient) - _allowed(largest, g, l1, step))
        worst = over.argmax()
        if over[worst] <= 0:
            break
        sign[worst], active[worst] = -np.sign(gradient[worst]), True
    return step
