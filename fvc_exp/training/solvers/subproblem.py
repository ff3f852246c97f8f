"""Many small problems with one matrix: min_x (x-a)'A(x-a) / 2 + g'(x-a) + x'diag(l2)x / 2 + l1'|x|.

There is one for each row of ``g``, the gradient at the start ``a``. Each is solved for the step x - a: where columns
are nearly equal x is large, and A times x would lose the digits that the bound on a fit needs.

A guess of the support and its signs is checked by a direct solve, and corrected: what came out with another sign
leaves, and what has a gradient above l1 enters. That is the primal-dual active set method (Hintermüller, Ito & Kunisch
2002) with a step of nearly 0, Newton's method on the optimality conditions: exact after a few steps where it converges,
but it may cycle; with the step of a single coordinate, 1 / A_jj, nearly equal columns did so often. What it does not
settle goes to scikit-learn's coordinate descent, which always converges, and whose support is solved directly again.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from sklearn import config_context, exceptions, linear_model

from fvc_exp._typing import Array, Indices, Mask

GUESSES = 12  # active set steps before coordinate descent takes over
SWEEPS = (100, 1_000)  # of coordinate descent, each followed by a direct solve on its support
_CHUNK = 2_000_000  # numbers in the stack of matrices that are solved at once
_RIDGE = 1e-14  # of the largest diagonal entry: duplicated columns have no unique solution, any will do


# How far a gradient may lie outside of l1 before its coordinate counts as active: a share of l1, and of what it sums.
_SLACK, _ROUNDING = 1e-11, 1e-14


@contextmanager
def ignore_sweep_limits() -> Iterator[None]:
    """Silence coordinate descent about the sweep limits that we give it; around all threads, as filters are global."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)
        yield


def solve(A: Array, g: Array, l1: Array, l2: Array, start: Array) -> Array:
    """Minimisers (m, p) for a positive semi-definite ``A`` (p, p) and ``g``, ``l1``, ``l2``, ``start`` (m, p)."""
    if not l1.any():
        return start + _solve_ridge(A, -g - l2 * start, l2)
    x, open_ = _active_set(A, g, l1, l2, start, start)
    for row in open_:
        x[row] = _descend_and_solve(A, g[row], l1[row], l2[row], start[row])
    return x


def _solve_ridge(A: Array, right: Array, l2: Array) -> Array:
    """(A + diag(l2)) x = right, for each row."""
    x, ridge = np.empty_like(right), _ridge(A)
    take = max(1, _CHUNK // max(A.size, 1))
    for rows in (slice(start, start + take) for start in range(0, len(right), take)):
        stack = np.repeat(A[None], len(right[rows]), axis=0)
        stack[:, np.arange(len(A)), np.arange(len(A))] += l2[rows] + ridge
        x[rows] = np.linalg.solve(stack, right[rows, :, None])[:, :, 0]
    return x


def _ridge(A: Array) -> float:
    return _RIDGE * max(float(np.diag(A).max(initial=0.0)), np.finfo(float).tiny)


def _active_set(A: Array, g: Array, l1: Array, l2: Array, start: Array, like: Array) -> tuple[Array, Indices]:
    """Minimisers of the rows that ``GUESSES`` active set steps settle, and the numbers of those that they do not.

    The first guess are the support and signs of ``like`` (m, p).
    """
    x = like.copy()
    guess = np.where(l1 > 0, np.sign(like), 0.0)
    active = (guess != 0) | (l1 == 0)
    open_ = np.arange(len(g))
    for _ in range(GUESSES):
        found, settled, guess, active = _active_set_step(
            A, g[open_], l1[open_], l2[open_], start[open_], guess, active
        )
        x[open_[settled]] = found[settled]
        open_, guess, active = open_[~settled], guess[~settled], active[~settled]
        if not len(open_):
            break
    return x, open_


def min_norm_subgradient(A: Array, g: Array, l1: Array, l2: Array, start: Array, x: Array) -> Array:
    """The smallest r in A(x - start) + g + l2 x + l1 d|x|, for each row of x; zero at a minimiser."""
    gradient = (x - start) @ A + g + l2 * x
    return np.where(x != 0, gradient + l1 * np.sign(x), np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0))


def _active_set_step(
    A: Array, g: Array, l1: Array, l2: Array, start: Array, sign: Array, active: Mask
) -> tuple[Array, Mask, Array, Mask]:
    """Solve on the guessed supports; which rows are optimal, and the next guess for the others."""
    x = np.where(active, start, 0.0)
    right = -g - (x - start) @ A - l2 * x - l1 * sign
    x += _solve_on_support(A, np.where(active, right, 0.0), l2, active)
    step = x - start
    gradient = step @ A + g + l2 * x
    summed = np.abs(g).max(axis=1, initial=0.0) + np.diag(A).max(initial=0.0) * np.abs(step).sum(axis=1)
    allowed = l1 * (1 + _SLACK) + _ROUNDING * summed[:, None]
    wrong = np.where(active, x * sign < 0, np.abs(gradient) > allowed)
    settled: Mask = np.asarray(~wrong.any(axis=1))
    kept = np.where(active, np.where(x * sign > 0, sign, 0.0), np.where(np.abs(gradient) > l1, -np.sign(gradient), 0.0))
    return x, settled, np.where(l1 > 0, kept, 0.0), (kept != 0) | (l1 == 0)


def _solve_on_support(A: Array, right: Array, l2: Array, active: Mask) -> Array:
    """(A + diag(l2)) x = right on the active coordinates of each row, zero elsewhere."""
    m, p = right.shape
    # Rows of like support size share a stack, in which one more coordinate, always 0, fills up the smaller ones.
    bordered = np.zeros((p + 1, p + 1))
    bordered[:p, :p] = A
    sides, diagonal = np.c_[right, np.zeros(m)], np.c_[l2 + _ridge(A), np.ones(m)]
    x = np.zeros((m, p + 1))
    size = active.sum(axis=1)
    order = np.argsort(size, kind="stable")
    while len(order):
        widths = np.maximum(size[order], 1)
        take = max(1, int(np.searchsorted(np.arange(1, len(order) + 1) * widths**2, _CHUNK)))
        rows, order = order[:take, None], order[take:]
        width = int(size[rows[-1, 0]])
        columns = np.argsort(~active[rows[:, 0]], axis=1, kind="stable")[:, :width]
        columns[np.arange(width) >= size[rows]] = p
        stack = bordered.take(columns[:, :, None] * (p + 1) + columns[:, None, :])
        stack[:, np.arange(width), np.arange(width)] += diagonal[rows, columns]
        x[rows, columns] = np.linalg.solve(stack, sides[rows, columns][:, :, None])[:, :, 0]
    return x[:, :p]


def _descend_and_solve(A: Array, g: Array, l1: Array, l2: Array, start: Array) -> Array:
    """Coordinate descent on one problem, with direct solves on the supports that it finds."""
    x, q = start, g - A @ start
    for sweeps in SWEEPS:
        x = _coordinate_descent(A, q, l1, l2, x, sweeps)
        found, open_ = _active_set(A, g[None], l1[None], l2[None], start[None], x[None])
        if not len(open_):
            return np.asarray(found[0])
    return x


def _coordinate_descent(A: Array, q: Array, l1: Array, l2: Array, start: Array, sweeps: int) -> Array:
    """So many sweeps of scikit-learn's, in units in which each l1 is 1, with a target that has these gradients."""
    unit = 1.0 / np.where(l1 > 0, l1, 1.0)
    root, gram = _cholesky((A + np.diag(l2)) * unit[:, None] * unit)
    slopes = -q * unit
    with config_context(skip_parameter_validation=True):  # it would cost more than the descent
        _, path, _ = linear_model.enet_path(
            np.asfortranarray(root.T), np.linalg.solve(root, slopes), l1_ratio=1.0, alphas=[1.0 / len(q)],
            precompute=gram, Xy=slopes, coef_init=start / unit, check_input=False, tol=1e-14, max_iter=sweeps,
        )  # fmt: skip
    return np.asarray(path[:, 0] * unit)


def _cholesky(gram: Array) -> tuple[Array, Array]:
    """Cholesky factor of the matrix, with as little added to its diagonal as lets it have one; and that matrix."""
    scale, share = np.diag(gram).copy(), 1e-14
    scale[scale <= 0] = max(float(scale.max()), np.finfo(float).tiny)
    while True:
        raised = gram + np.diag(share * scale)
        try:
            return np.asarray(np.linalg.cholesky(raised), np.float64), np.ascontiguousarray(raised)
        except np.linalg.LinAlgError:
            share *= 100
