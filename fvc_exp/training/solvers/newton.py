"""Proximal Newton for one penalised logistic regression, with a bound on how far it is from the minimum.

The problem, divided by C:
    F(w, b) = sum_i s_i log(1 + exp(-(2 y_i - 1)(x_i w + b))) + l1'|w| + l2'w^2 / 2.

Each step minimises the penalty plus a quadratic model of the loss (Lee, Sun & Saunders 2014, "Proximal Newton-type
methods"). The model's weights d_i may be those of an earlier point as long as the steps shrink fast enough.

The bound is Fenchel's duality gap. After a step u_i = x_i dw + db the point theta_i = s_i (p_i - y_i) + d_i u_i is dual
feasible by the optimality of the step, if each theta_i lies between its bounds. The gap at w + dw is sum_i s_i
KL(y_i + theta_i / s_i || p_i+), at most the same sum of chi-squared distances, with the intercept and for any d_i.

Without a penalty there may be no minimum, since the loss falls for ever in one direction: the classes are separated
completely where a plane has each class on its own side, and quasi-completely where some rows, of either class, lie on
the plane itself (Albert & Anderson 1984, "On the existence of maximum likelihood estimates in logistic regression
models").
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import linprog
from scipy.special import expit

from fvc_exp._typing import Array
from fvc_exp.training.solvers import subproblem

SUFFICIENT = 1e-4  # of the predicted decrease, that a step must reach (Armijo)
_LENGTHS, _STALLED = tuple(0.5**n for n in range(27)), 3  # shares of a step that are tried; steps without decrease
_SHRINK = 0.1  # a squared step, to that before: above it the model is made anew
_ROUNDING = 8 * float(np.finfo(float).eps)
_PATIENCE = 15, 40  # steps after which a fit (of l1 alone, with l2) begins anew, down a path of weaker penalties
_NO_LOSS = 1e-6  # share of F that the loss of a row may have which a plane separates
_PATH_TOL = 0.1  # of the fits with a stronger penalty
_SAMPLE, _PER_COLUMN = 5_000, 50  # rows of a first fit, whose tolerance is that of a guess
_GUESS = 1e-3
# Distance from a separating plane that counts, in a direction of entries from -1 to 1; linprog is exact to 1e-7.
_OFF_PLANE = 1e-5


@dataclass(frozen=True)
class Problem:
    """``X`` (n, p); ``y`` (n,) 0 or 1; ``s`` (n,) positive weights; ``l1``, ``l2`` (p,) at least 0.

    They are (m, p) where m points are fitted together.
    """

    X: Array
    y: Array
    s: Array
    l1: Array
    l2: Array

    def penalised(self, C: Array | float, l1_ratio: Array | float) -> Self:
        """The same rows with the penalty of scikit-learn's two parameters; of several points both are (m, 1)."""
        l1, l2 = (share / C * np.ones(self.X.shape[1]) for share in (l1_ratio, 1 - l1_ratio))
        return replace(self, l1=l1, l2=l2)

    @property
    def is_free(self) -> bool:
        """Whether nothing is penalised."""
        return not (np.count_nonzero(self.l1) or np.count_nonzero(self.l2))

    @cached_property
    def side(self) -> Array:
        """1 for rows of class 1, -1 for the others (n,)."""
        return 2 * self.y - 1

    def slopes(self, wrong: Array) -> Array:
        """The slopes of the loss (n,) in the log odds where the wrong class has these probabilities."""
        return -self.s * self.side * wrong


@dataclass(frozen=True)
class Iterate:
    """Coefficients, log odds (n,), the probability of the wrong class (n,), that times the right one's, and F."""

    w: Array
    b: float
    eta: Array
    wrong: Array
    spread: Array
    value: float


@dataclass(frozen=True)
class NewtonStep:
    """A step: ``u`` (n,) in log odds, ``size`` = sum d u^2, ``z`` (p,) minus the gradient of theta."""

    dw: Array
    db: float
    u: Array
    size: float
    z: Array


@dataclass(frozen=True)
class Solution:
    """A fit. ``gap`` bounds (F - min F) / F; it is infinite where no bound was found.

    ``point`` is where it ended, ``dual`` (n,) the dual point of the bound, as the probability of the wrong class that
    it stands for.
    """

    w: Array
    b: float
    n_iter: int
    gap: float
    converged: bool
    separable: bool
    model: subproblem.QuadraticModel | None = None
    point: Iterate | None = None
    dual: Array | None = None


def minimise(
    problem: Problem, w: Array, b: float, tol: float, max_iter: int, model: subproblem.QuadraticModel | None = None
) -> Solution:
    """Minimise F from (w, b) until the bound is at most ``tol``; ``model`` is one of the same rows, to begin with.

    With an infinite ``tol`` that is until a full step has given a dual point.

    What a weak penalty does not settle in ``_PATIENCE`` steps goes down a path of weaker and weaker penalties. Far from
    the minimum of nearly separable classes the loss has no curvature, and each step would be a short one.

    Without a penalty separable classes have no minimiser: the fit then ends, not converged, where
    the loss is ``tol`` of that of no model, or where the loss of the rows that cannot be separated is at its minimum.
    """
    patience = max_iter if problem.is_free else min(max_iter, _PATIENCE[bool(problem.l2.any())])
    found = _descend(problem, w, b, tol, patience, model)
    if found.converged or found.n_iter < patience or patience == max_iter:
        return found
    taken, w, b = found.n_iter, np.zeros(len(w)), null_intercept(problem.y, problem.s)
    slope = np.abs((problem.s * (expit(b) - problem.y)) @ problem.X).max(initial=0.0)
    decades = np.log10(max(slope / (problem.l1 + problem.l2).max(), 1.0))  # with the first one all w are small
    for strength in 10.0 ** np.arange(np.ceil(decades), -1, -1):
        easier = replace(problem, l1=strength * problem.l1, l2=strength * problem.l2)
        found = _descend(easier, w, b, tol if strength == 1 else _PATH_TOL, max_iter - taken, None)
        taken, w, b = taken + found.n_iter, found.w, found.b
    return replace(found, n_iter=taken)


def _descend(
    problem: Problem, w: Array, b: float, tol: float, max_iter: int, model: subproblem.QuadraticModel | None
) -> Solution:
    """Newton steps from (w, b), each with a bound; see ``minimise``."""
    point = evaluate(problem, w, b)
    floor = tol * float(problem.s.sum()) * float(np.log(2)) if problem.is_free else -1.0
    gap, before, n_iter, stalled, dual = np.inf, np.inf, 0, 0, None
    while n_iter < max_iter and stalled < _STALLED and (dual is None or gap > tol) and point.value > floor:
        was_given = model is not None
        model = model or subproblem.quadratic_model(problem.X, problem.s * point.spread)
        step = _newton_step(problem, model, point)
        following, length = line_search(problem, point, step)
        if following is None:
            if not was_given:
                break
            model, before = None, np.inf
            continue
        n_iter += 1
        gap, dual = bound_step(problem, model.d, point, step, following, tol) if length == 1.0 else (np.inf, None)
        stalled = stalled + 1 if point.value - following.value <= _ROUNDING * point.value else 0
        point = following
        if dual is None or (gap > tol and (step.size > _SHRINK * before or not np.isfinite(gap))):
            model, before = None, np.inf
        else:
            before = step.size
    separable = problem.is_free and _is_separable(problem, point, tol)
    converged = dual is not None and gap <= tol and not separable
    return Solution(point.w, point.b, n_iter, gap, converged, separable, model, point, dual)


def _is_separable(problem: Problem, point: Iterate, tol: float) -> bool:
    """Whether no minimum exists: a plane separates the rows, and at least one of them lies off it.

    Rows off the plane have no loss in the limit, so at most F - min F at the point: only those with nearly no loss may
    lie there. All others lie on it, so that few directions, often none, are left for a linear program over the few
    rows.
    """
    if (point.wrong < 0.5).all():
        return True
    may_be_off = problem.s * point.wrong <= max(tol, _NO_LOSS) * point.value
    if not may_be_off.any():
        return False
    rows = np.column_stack([problem.X, np.ones(len(problem.X))])
    on = rows[~may_be_off]
    # R has the same null space as the rows, and only as many rows as columns.
    directions = null_space(np.linalg.qr(on, mode="r"), rcond=max(on.shape) * np.finfo(float).eps)
    sides = np.where(problem.y > 0, 1.0, -1.0)[may_be_off, None] * (rows[may_be_off] @ directions)
    if not directions.size or np.abs(sides).max() < _OFF_PLANE:
        return False
    found = linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=(-1, 1), method="highs")
    return bool(found.x is not None and (sides @ found.x).max() > _OFF_PLANE)


def null_intercept(y: Array, s: Array) -> float:
    """The intercept of the model without coefficients."""
    ones = float(s @ y)
    return float(np.log(ones / (float(s.sum()) - ones)))


def first_guess(problem: Problem) -> tuple[Array, float]:
    """Where a fit to a sample of many rows ends, since it saves steps of all rows; else no coefficients.

    The sample has its share of both classes.
    """
    X, y, s = problem.X, problem.y, problem.s
    null = np.zeros(X.shape[1]), null_intercept(y, s)
    some = np.argsort(y, kind="stable")[:: max(1, len(y) // max(_SAMPLE, _PER_COLUMN * X.shape[1]))]
    if problem.is_free or len(some) == len(y) or not 0 < y[some].sum() < len(some):
        return null
    share = float(s[some].sum() / s.sum())
    part = replace(problem, X=X[some], y=y[some], s=s[some], l1=share * problem.l1, l2=share * problem.l2)
    found = minimise(part, *null, _GUESS, 10)
    return found.w, found.b


def evaluate(problem: Problem, w: Array, b: float, eta: Array | None = None) -> Iterate:
    """The point (w, b), whose log odds ``eta`` (n,) may be known."""
    eta = problem.X @ w + b if eta is None else eta
    margin = eta * problem.side
    small = np.exp(-np.abs(margin))
    loss = float(problem.s @ (np.log1p(small) - np.minimum(margin, 0)))
    larger = 1 / (1 + small)
    smaller = small * larger
    penalty = float(problem.l1 @ np.abs(w) + problem.l2 @ (w * w) / 2)
    return Iterate(w, b, eta, np.where(margin >= 0, smaller, larger), smaller * larger, loss + penalty)


def _newton_step(problem: Problem, model: subproblem.QuadraticModel, point: Iterate) -> NewtonStep:
    theta = problem.slopes(point.wrong)
    gradient = theta @ problem.X
    intercept_gradient = float(theta.sum())
    g = (gradient - model.h * (intercept_gradient / model.total))[None]
    dw = subproblem.solve(model.A, g, problem.l1[None], problem.l2[None], point.w[None])[0]
    db = -(intercept_gradient + float(model.h @ dw)) / model.total
    u = problem.X @ dw + db
    return NewtonStep(dw, db, u, float(model.d @ (u * u)), -(dw @ model.A + g[0]))


def line_search(problem: Problem, point: Iterate, step: NewtonStep) -> tuple[Iterate | None, float]:
    """The first of the halved steps that lowers F enough (Armijo); None where none does."""
    for length in _LENGTHS:
        found = evaluate(problem, point.w + length * step.dw, point.b + length * step.db, point.eta + length * step.u)
        if found.value <= point.value * (1 + _ROUNDING) - SUFFICIENT * length * step.size:
            return found, length
    return None, 0.0


def bound_step(
    problem: Problem, d: Array, point: Iterate, step: NewtonStep, following: Iterate, tol: float = 0.0
) -> tuple[float, Array | None]:
    """``gap`` and ``dual``, as in ``Solution``, after a full step by curvatures ``d``; None out of bounds.

    Where ``tol`` is infinite the gap is not computed.
    """
    dual = point.wrong - problem.side * d * step.u / problem.s
    is_dual = dual.min() >= 0 and dual.max() <= 1
    gap = duality_gap(problem, dual, following, step.z, following.w) if is_dual and tol < np.inf else np.inf
    return gap, dual if is_dual else None


def duality_gap(problem: Problem, dual: Array, point: Iterate, z: Array, w: Array) -> float:
    """The bound on (F - min F) / F at a point by a dual point, minus whose gradient is ``z`` (p,).

    ``w`` (p,) has the coefficients of all columns, where ``point`` knows those of some.
    """
    distance = dual - point.wrong
    loss = float(problem.s @ (distance * distance / np.maximum(point.spread, subproblem.TINY)))
    return (loss + max(float(penalty_gap(z, w, problem.l1, problem.l2)), 0.0)) / max(point.value, subproblem.TINY)


def penalty_gap(z: Array, w: Array, l1: Array, l2: Array) -> Array:
    """The Fenchel-Young gap of each row's penalty, P(w) + P*(z) - z'w.

    With l1 alone z may lie beyond the domain of P*: what is beyond counts times the cost at w, to which that at the
    minimum is close where w comes from a Newton step on all columns. ``z`` is minus the gradient that the dual point
    has. Without any penalty z is a rounding error.
    """
    ridged, size, cost = np.count_nonzero(l2), np.abs(z), l1 * np.abs(w)
    if ridged == l2.size:
        over = np.maximum(size - l1, 0)
        return np.asarray((cost + 0.5 * l2 * w * w - z * w + over * over / (2 * l2)).sum(axis=-1))
    if ridged:
        return np.where(l2[..., 0] > 0, penalty_gap(z, w, l1, np.where(l2 > 0, l2, 1)), penalty_gap(z, w, l1, 0 * l2))
    if np.count_nonzero(l1) < l1.size:
        return np.where(l1[..., 0] > 0, penalty_gap(z, w, np.where(l1 > 0, l1, 1), l2), (size * np.abs(w)).sum(axis=-1))
    over = ((size - l1) / l1).max(axis=-1, initial=0.0)
    return np.asarray((cost - np.copysign(np.minimum(size, l1), z) * w).sum(axis=-1) + over * cost.sum(axis=-1))
