"""Fits of tables with many columns for their rows, where a matrix of columns by columns costs more than the fit.

With an l1 penalty few coefficients differ from 0: cheap gradient steps find most of these, the fit is made on their
columns and on what is then let in, and the bound of ``newton`` is taken over all columns (Johnson & Guestrin 2015,
"Blitz"). With l2 alone each Newton step is solved by conjugate gradients, which need products with the table only; what
they leave unsolved counts in the bound.
"""

import numpy as np
from scipy.special import expit

from fvc_exp._typing import Array
from fvc_exp.training.solvers import newton, subproblem
from fvc_exp.training.solvers.newton import Iterate, Problem, Solution

ROWS_PER_COLUMN, COLUMNS = 3, 256  # a table with fewer rows per column and at least as many columns is wide
_FIRST, _GROWTH = 64, 0.5  # columns that are let in: at least, and to those that are used
_SHARE = 0.1  # bound of a fit on few columns, to the last bound of all; the first fit is a full step, without a bound
_STEPS, _MEMORY, _SETTLED = 300, 5, 1e-5  # most gradient steps; the last, whose decrease of F ends them
_FEW, _MANY = 5, 100  # gradient steps before Newton steps on few columns; before those to too many columns are dropped
_NEAR, _SHARE_NEAR = 0.7, 0.4  # gradient, to l1, of columns that gradient steps take; share of them above which all are
_LARGE = 2_000_000  # numbers in X; products with more are made in single precision, as they wait for memory
_UNSOLVED = 0.5  # share of the decrease that a step may leave


def fit_problem(
    problem: Problem, w: Array, b: float, tol: float, max_iter: int, model: subproblem.QuadraticModel | None = None
) -> Solution:
    """``newton.minimise``, by another way where the table is wide and every coefficient is penalised."""
    n, p = problem.X.shape
    is_wide, found = p >= COLUMNS and n < ROWS_PER_COLUMN * p, None
    if is_wide and problem.l1.all():
        found = _on_columns(problem, _approach(problem, w, b), tol, max_iter)
    elif is_wide and problem.l2.all() and not problem.l1.any():
        found = _by_products(problem, w, b, tol, max_iter)
    if found is not None and (found.converged or found.n_iter >= max_iter):
        return found
    return newton.minimise(problem, w, b, tol, max_iter, model)


@np.errstate(all="ignore")
def _approach(problem: Problem, w: Array, b: float) -> tuple[Array, float, Array]:
    """Gradient steps in single precision, until they settle or Newton steps cost less; the intercept is a column.

    Where the gradient at the start is well below ``l1`` in most columns, these are left as they are.

    Their lengths are Barzilai and Borwein's, who take the curvature along the step before; F may rise for a few steps
    (Wright, Nowak & Figueiredo 2009, "Sparse reconstruction by separable approximation"). A start from which they lead
    to more columns than rows is returned as it is where there is no l2. The last result is the gradient (p,).
    """
    (n, p), X, w = problem.X.shape, problem.X, w.copy()
    slopes = problem.slopes(expit(-problem.side * (X @ w + b if np.count_nonzero(w) else b)))
    gradients = slopes @ X
    is_near = (np.abs(gradients) > _NEAR * problem.l1) | (w != 0)
    kept = (is_near | (np.count_nonzero(is_near) > _SHARE_NEAR * p)).nonzero()[0]
    rows, (l1, l2, x, gradient) = np.ones((n, len(kept) + 1), "f4"), np.zeros((4, len(kept) + 1), "f4")
    rows[:, :-1] = X if len(kept) == p else X.take(kept, axis=1, mode="clip")
    l1[:-1], l2[:-1], x[:-1], gradient[:-1] = problem.l1[kept], problem.l2[kept], w[kept], gradients[kept]
    x[-1], gradient[-1], lowest, is_ridged = b, slopes.sum(), -l1, np.count_nonzero(l2) > 0
    s, side = problem.s.astype("f4"), -problem.side.astype("f4")
    values, limit, used, pull = [np.inf], p if is_ridged else n, np.count_nonzero(w), -s * side
    outside = gradient - np.maximum(np.minimum(gradient, l1), lowest)
    curvature = float(s @ (rows @ outside) ** 2) / max(float(outside @ outside), subproblem.TINY) / 8 or 1.0
    for count in range(_STEPS):
        near = curvature * x - gradient
        near -= np.maximum(np.minimum(near, l1), lowest)
        near /= curvature + l2 if is_ridged else curvature
        loss, change = np.logaddexp(0, side * (rows @ near)), near - x
        value, size = float(s @ loss + l1 @ np.abs(near)), float(change @ change)
        value += float(l2 @ (near * near)) / 2 if is_ridged else 0
        if not value <= max(values[-_MEMORY:]) - newton.SUFFICIENT * curvature * size:
            curvature *= 2
            continue
        before, gradient, x = gradient, (pull * np.expm1(-loss)) @ rows, near
        curvature = float((gradient - before) @ change) / max(size, subproblem.TINY)
        values, used = [*values[-_MEMORY:], value], np.count_nonzero(x)
        has_settled = max(values) - value <= _SETTLED * value or not curvature > 0
        if has_settled or count > (_FEW + used * used / p if used <= limit else _MANY):
            break
    if used <= limit:
        w[kept], gradients[kept], b = x[:-1], gradient[:-1], float(x[-1])
    return w, b, gradients


def _on_columns(problem: Problem, start: tuple[Array, float, Array], tol: float, max_iter: int) -> Solution:
    """Fit the columns that are used and those whose gradient says that they should be, until all others agree."""
    w, b, gradient = start
    used, aim, taken, model = w != 0, np.inf, 0, None
    while True:
        over, most = np.abs(gradient) - problem.l1, max(_FIRST, int(_GROWTH * np.count_nonzero(w)))
        over[used] = 0
        added = over > (np.partition(over, -most)[-most] if np.count_nonzero(over > 0) > most else 0)
        added[over.argmax()] |= not used.any()
        used |= added
        model = None if added.any() else model
        columns = used.nonzero()[0]
        X, l1, l2 = problem.X.take(columns, axis=1, mode="clip"), problem.l1[columns], problem.l2[columns]
        found = newton.minimise(Problem(X, problem.y, problem.s, l1, l2), w[columns], b, aim, max_iter - taken, model)
        taken, b, w[columns], model = taken + found.n_iter, found.b, found.w, found.model
        if not found.converged or found.point is None or found.dual is None:
            return Solution(w, b, taken, np.inf, False, False)
        gradient = problem.slopes(found.dual) @ problem.X
        gap = newton.duality_gap(problem, found.dual, found.point, -gradient, w)
        if not problem.l2.any():  # the l1 norm at the minimum may be larger than that of w, but its cost is at most F
            gap += max(float(np.max(np.abs(gradient) / problem.l1)) - 1, 0.0)
        if gap <= tol or taken >= max_iter:
            return Solution(w, b, taken, gap, gap <= tol, False)
        aim = max(min(aim, _SHARE * gap), tol / 2)


def _by_products(problem: Problem, w: Array, b: float, tol: float, max_iter: int) -> Solution:
    """Newton steps by conjugate gradients, for l2 alone."""
    point, gap, n_iter = newton.evaluate(problem, w, b), np.inf, 0
    is_large = problem.X.size > _LARGE and np.abs(np.log10(problem.l2)).max() < 30  # which single precision holds
    rows = problem.X.astype("f4") if is_large else problem.X
    while n_iter < max_iter and gap > tol:
        d = np.maximum(problem.s * point.spread, subproblem.TINY)
        step = _solve_by_products(problem, rows, d, point, 0.1 * tol * point.value)
        following, length = newton.line_search(problem, point, step)
        if following is None:
            break
        n_iter, gap = n_iter + 1, newton.bound_step(problem, d, point, step, following)[0] if length == 1.0 else np.inf
        point = following
    return Solution(point.w, point.b, n_iter, gap, gap <= tol, False)


def _solve_by_products(problem: Problem, rows: Array, d: Array, point: Iterate, allowed: float) -> newton.NewtonStep:
    """A Newton step; the bound of what is not solved is at most ``allowed``, or a share of the decrease.

    ``rows`` are those of the problem in the precision of the products that solve it.
    """
    X, l2 = problem.X, problem.l2
    theta, total = problem.slopes(point.wrong), float(d.sum())
    slope = float(theta.sum())
    left = -((theta - d * (slope / total)) @ X + l2 * point.w)
    left, curvature, ridge = (each.astype(rows.dtype) for each in (left, d, l2))
    found, weight = np.zeros_like(left), 1 / (ridge + curvature.sum())
    right, along = left.copy(), weight * left
    length = float(left @ along)
    for _ in range(min(X.shape) + 100):
        change = rows @ along
        curved = curvature * (change - float(curvature @ change) / total)
        change = curved @ rows + ridge * along
        share = length / (float(along @ change) or 1.0)  # both are 0 where the step is
        found += share * along
        left -= share * change
        if float(left @ (left / ridge)) / 2 <= max(allowed, _UNSOLVED * float(found @ right) / 2):
            break
        before, length = length, float(left @ (weight * left))
        along = weight * left + length / before * along
    dw = found.astype(l2.dtype)
    u = X @ dw
    db = -(slope + float(d @ u)) / total
    u += db
    return newton.NewtonStep(dw, db, u, float(d @ (u * u)), -((theta + d * u) @ X))
