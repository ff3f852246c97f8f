"""Proximal Newton for many penalties at once: they share two quadratic models of the loss and each pass over the rows.

The null model is of no coefficients, the mid model of a rough fit with the geometric mean of the penalties. Each point
takes Newton steps by the nearer one, until its duality gap is small enough or its steps stop shrinking.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fvc_exp._typing import Array, Indices, Mask
from fvc_exp.training.solvers import derivatives, newton, subproblem
from fvc_exp.training.solvers.derivatives import QuadraticModel, RowSums, WeightedRows

PASSES = 40
_ROUGH_TOL = 1e-3
_SLOWEST = 0.5  # of a squared step to that before it
_TOLERABLE = 0.1  # of a fit's tolerance: distance that rounding may make
_SINGLE = 1e-30, 1e30  # weights of rows whose sums single precision holds
_WEAKEST = 0.5  # curvature at the mid fit to that of no coefficients: below it, steps by either model are short


@dataclass
class GridState:
    """Where m points are: coefficients and penalties (m, p), intercept, last squared step, Newton steps, gap (m,).

    ``model`` (m,) numbers the model that each point uses, ``is_exact`` (m,) tells those that need double precision.
    """

    w: Array
    b: Array
    l1: Array
    l2: Array
    model: Indices
    squared_step: Array
    n_iter: Indices
    gap: Array
    is_exact: Mask


def fit_penalties(rows: WeightedRows, l1: Array, l2: Array, tol: float) -> GridState | None:
    """Fit points with penalties ``l1``, ``l2`` (m, p); those with a ``gap`` above ``tol`` at the end are not fitted.

    None with a strong signal: two models do not serve many points then, and what they serve would take longer than
    alone.
    """
    share = float(rows.s @ rows.y) / float(rows.s.sum())
    null_model = derivatives.quadratic_model(rows.Z, rows.s * (share * (1 - share)))
    rough = _rough_fit(rows, (l1 + l2)[:, 0], null_model)
    mid_model = derivatives.quadratic_model(rows.Z, rows.s * rough.wrong * rough.right)
    if mid_model.total < _WEAKEST * null_model.total:
        return None
    models = [null_model, mid_model]
    state = _first_step(rows, l1, l2, models, rough)
    largest = np.maximum(rows.Z.max(axis=0), -rows.Z.min(axis=0))
    open_ = np.arange(len(l1))
    for _ in range(PASSES):
        if not len(open_):
            break
        open_ = _pass(rows, models, state, open_, largest, tol)
    return state


def _rough_fit(rows: WeightedRows, strengths: Array, null_model: QuadraticModel) -> newton.Iterate:
    """The fit that the mid model is of; ``strengths`` (m,) are l1 + l2."""
    p = rows.Z.shape[1]
    middle = np.exp(np.mean(np.log(strengths[strengths > 0]))) if strengths.any() else 1.0
    problem = newton.Problem(rows.Z, rows.y, rows.s, np.zeros(p), np.full(p, middle))
    found = newton.minimise(problem, *newton.first_guess(problem), _ROUGH_TOL, 3, null_model)
    return newton.evaluate(problem, found.w, found.b, rows.Z @ found.w + found.b)


def _first_step(
    rows: WeightedRows, l1: Array, l2: Array, models: Sequence[QuadraticModel], rough: newton.Iterate
) -> GridState:
    """Each point after a Newton step of the mid model from the rough fit; it then uses the model that is nearer."""
    m, (null_model, mid_model) = len(l1), models
    slope = rows.s * np.where(rows.y > 0, -rough.wrong, rough.wrong)
    residual = slope.sum()
    at_zero = _without_intercept(mid_model, (slope @ rows.Z)[None], residual[None]) - rough.w @ mid_model.A
    w = subproblem.solve(mid_model.A, np.repeat(at_zero, m, axis=0), l1, l2, np.zeros_like(l1))
    from_rough = w - rough.w
    db = -(residual + from_rough @ mid_model.h) / mid_model.total
    is_near_null = np.sum(w @ null_model.A * w, axis=1) < np.sum(from_rough @ mid_model.A * from_rough, axis=1)
    model = np.where(is_near_null, 0, 1)
    unknown = np.full(m, np.inf)
    is_exact = np.full(m, not (_SINGLE[0] < rows.s.min() and rows.s.max() < _SINGLE[1]))
    return GridState(w, rough.b + db, l1, l2, model, unknown, np.ones(m, np.int64), unknown.copy(), is_exact)


def _without_intercept(model: QuadraticModel, gradient: Array, intercept_gradient: Array) -> Array:
    """The gradients (m, p) of the model's problems, the intercept minimised out."""
    return np.asarray(gradient - np.multiply.outer(intercept_gradient / model.total, model.h))


def _pass(
    rows: WeightedRows, models: Sequence[QuadraticModel], state: GridState, points: Indices, largest: Array, tol: float
) -> Indices:
    """One Newton step of these points, those of equal precision in one pass over the rows; which ones go on."""
    going = []
    for is_exact, precision in ((False, np.float32), (True, np.float64)):
        some = points[state.is_exact[points] == is_exact]
        split = [(some[state.model[some] == number], model) for number, model in enumerate(models)]
        batches = [(chosen, model) for chosen, model in split if len(chosen)]
        if batches:
            inputs = [(state.w[chosen], state.b[chosen], model) for chosen, model in batches]
            found = derivatives.sum_over_rows(rows, inputs, precision)
            going += [
                chosen[_newton_step(state, chosen, model, sums, largest, tol)]
                for (chosen, model), sums in zip(batches, found, strict=True)
            ]
    return np.concatenate(going)


def _newton_step(
    state: GridState, chosen: Indices, model: QuadraticModel, sums: RowSums, largest: Array, tol: float
) -> Mask:
    """Move the chosen points by a step and bound their duality gaps; which ones go on."""
    w, l1, l2 = state.w[chosen], state.l1[chosen], state.l2[chosen]
    gradient = _without_intercept(model, sums.gradient, sums.intercept_gradient)
    dw = subproblem.solve(model.A, gradient, l1, l2, w)
    following = w + dw
    db = -(sums.intercept_gradient + dw @ model.h) / model.total
    change = dw @ model.A  # of the model's gradient
    size = np.sum(change * dw, axis=1) + sums.intercept_gradient**2 / model.total
    dual = -gradient - change
    move = np.abs(dw) @ largest + np.abs(db)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        at = size / sums.low
        inside = at < sums.low * float(model.d.min())
        at, after = (np.square(np.sqrt(each) + np.sqrt(sums.error)) for each in (at, size * _mismatch(sums, move)))
    lowest = np.maximum(sums.loss_bound + np.sum(l1 * np.abs(w) + 0.5 * l2 * w * w, axis=1), derivatives.TINY)
    before = np.where(inside, at + newton.penalty_gap(dual, w, l1, l2), np.inf)
    lowest = np.maximum(lowest - np.where(np.isfinite(before), before, 0), derivatives.TINY)
    behind = np.where(inside, after + newton.penalty_gap(dual, following, l1, l2), np.inf)
    stays = before <= behind
    gap = np.minimum(before, behind) / lowest
    shrinks = np.isfinite(size) & (size <= _SLOWEST * state.squared_step[chosen])
    moves = shrinks & ~(stays & (gap <= tol))
    state.w[chosen[moves]], state.b[chosen[moves]] = following[moves], (state.b[chosen] + db)[moves]
    state.n_iter[chosen[moves]] += 1
    state.squared_step[chosen] = size
    state.gap[chosen] = np.where(shrinks | stays, gap, np.inf)
    state.is_exact[chosen] |= ~(sums.error < _TOLERABLE * tol * lowest)
    return np.asarray(shrinks & (gap > tol))


def _mismatch(sums: RowSums, move: Array) -> Array:
    """max((1 - v)^2 / v) over the rows after a step that changes log odds by at most ``move`` (m,); see ``RowSums``."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        wide = np.exp(move)
        low, high = sums.low / wide, sums.high * wide
        return np.asarray(wide**2 * np.maximum((1 - low) ** 2 / low, (1 - high) ** 2 / high))
