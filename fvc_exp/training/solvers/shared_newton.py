"""Proximal Newton for many fits at once: they share quadratic models of the loss, and each pass over the rows.

Many penalties on the same rows share two models. The null model is of no coefficients, the mid model of a rough fit
with the geometric mean of the penalties. Each point takes Newton steps by the nearer one, until its duality gap is
small enough or its steps stop shrinking.

One penalty on all rows, and on all but each of some sections of them, such as the training parts of cross-validation:
these minima lie near each other. So the fits share the start and the curvatures of the loss there, whose products are
summed by section: the model of a part is the sum over all sections but its own.

With q_i the probability of the wrong class the slope of the loss is s_i q_i, its sign that of the class. The q_i are
made in single precision where that is enough, as exp then takes a fifth of the time. Any q_i will do for the dual point
theta, as its products with the columns are made in double precision; the distance to the true q_i is bounded. With e
the rounding error, the log odds and what makes odds of them are wrong by at most r = (2 max |x_i w + b| + |b| + 5) e,
and what follows by a share of 2 e, so q_i by r q_i (1 - q_i) + 2 e q_i: a chi-squared distance of at most
2 sum_i s_i (r^2 q_i (1 - q_i) + 4 e^2 q_i / (1 - max q)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np

from fvc_exp._typing import Array, Indices, Mask
from fvc_exp.training.solvers import newton, subproblem
from fvc_exp.training.solvers.newton import Problem
from fvc_exp.training.solvers.subproblem import QuadraticModel

PASSES = 40
_MODELS, _STEPS = 2, 8  # of fits of complements: models that are made at most, and steps with each
_ROUGH_TOL = 1e-3
_SLOWEST = 0.5  # of a squared step to that before it
_TOLERABLE = 0.1  # of a fit's tolerance: distance that rounding may make
_NUMBERS = 60_000  # log odds in one chunk, which then stays in the processor's cache
_SPOILT = 1e-3  # share of 1 - q_i that may be wrong
_SINGLE = 1e-30, 1e30  # weights of rows whose sums single precision holds
_WEAKEST = 0.5  # curvature at the mid fit to that of no coefficients: below it, steps by either model are short


@dataclass
class GridState:
    """Where the m points of a problem are: coefficients (m, p), intercept, last squared step, Newton steps, gap (m,).

    ``model`` (m,) numbers the model that each point uses, ``is_exact`` (m,) tells those that need double precision.
    """

    problem: Problem
    w: Array
    b: Array
    model: Indices
    squared_step: Array
    n_iter: Indices
    gap: Array
    is_exact: Mask

    def solutions(self, converged: Mask) -> list[newton.Solution]:
        """The fit of each point; ``converged`` (m,) tells those that ended at their minimum."""
        numbers = zip(self.w, *(each.tolist() for each in (self.b, self.n_iter, self.gap, converged)), strict=True)
        return [newton.Solution(w, b, n_iter, gap, ended, False) for w, b, n_iter, gap, ended in numbers]


class RowSums(NamedTuple):
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

    def plus(self, other: RowSums) -> RowSums:
        """The sums over these rows and others."""
        added = RowSums(*map(np.add, self, other))
        return added._replace(low=np.minimum(self.low, other.low), high=np.maximum(self.high, other.high))


def fit_penalties(problem: Problem, tol: float) -> GridState | None:
    """Fit the m points of a problem; those with a ``gap`` above ``tol`` at the end are not fitted.

    None with a strong signal: two models do not serve many points then, and what they serve would take longer than
    alone.
    """
    X, s = problem.X, problem.s
    share = float(s @ problem.y) / float(s.sum())
    null_model = subproblem.quadratic_model(X, s * (share * (1 - share)))
    strengths = (problem.l1 + problem.l2)[:, 0]
    middle = np.exp(np.mean(np.log(strengths[strengths > 0]))) if strengths.any() else 1.0
    ridge = replace(problem, l1=np.zeros_like(problem.l1[0]), l2=np.full_like(problem.l2[0], middle))
    found = newton.minimise(ridge, *newton.first_guess(ridge), _ROUGH_TOL, 3, null_model)
    rough = newton.evaluate(ridge, found.w, found.b)
    mid_model = subproblem.quadratic_model(X, s * rough.spread)
    if mid_model.total < _WEAKEST * null_model.total:
        return None
    models = [null_model, mid_model]
    state = _first_step(problem, models, rough)
    largest, open_ = np.maximum(X.max(axis=0), -X.min(axis=0)), np.arange(len(state.b))
    for _ in range(PASSES):
        open_ = _pass(models, state, open_, largest, tol) if len(open_) else open_
    return state


def _first_step(problem: Problem, models: Sequence[QuadraticModel], rough: newton.Iterate) -> GridState:
    """Each point after a Newton step of the mid model from the rough fit; it then uses the model that is nearer."""
    m, (null_model, mid_model) = len(problem.l1), models
    slope = problem.slopes(rough.wrong)
    residual = slope.sum()
    at_zero = slope @ problem.X - residual / mid_model.total * mid_model.h - rough.w @ mid_model.A
    w = subproblem.solve(mid_model.A, np.tile(at_zero, (m, 1)), problem.l1, problem.l2, np.zeros_like(problem.l1))
    from_rough = w - rough.w
    db = -(residual + from_rough @ mid_model.h) / mid_model.total
    is_near_null = np.sum(w @ null_model.A * w, axis=1) < np.sum(from_rough @ mid_model.A * from_rough, axis=1)
    return _start_at(problem, w, rough.b + db, np.where(is_near_null, 0, 1))


def minimise_complements(problem: Problem, sections: Sequence[slice], tol: float) -> GridState:
    """Fit the rows without each section, then all rows; those with a ``gap`` above ``tol`` at the end are not fitted.

    ``sections`` divide the rows; the penalties of ``problem`` are (sections + 1, p), the last of all rows.
    """
    points, X = np.arange(len(sections) + 1), problem.X
    whole = replace(problem, l1=problem.l1[-1], l2=problem.l2[-1])
    w, b = newton.first_guess(whole)
    parts = [replace(whole, X=X[rows], y=problem.y[rows], s=problem.s[rows]) for rows in sections]
    state = _start_at(problem, np.tile(w, (len(points), 1)), np.full(len(points), b), points)
    largest = np.maximum(X.max(axis=0), -X.min(axis=0))
    for _ in range(_MODELS):
        d = whole.s * newton.evaluate(whole, state.w[-1], float(state.b[-1])).spread
        models = [subproblem.quadratic_model(X[rows], d[rows]) for rows in sections]
        left = [_sum([each for number, each in enumerate(models) if number != own]) for own in points]
        open_ = np.flatnonzero(state.gap > tol)
        state.squared_step[open_] = np.inf
        for _ in range(_STEPS):
            sums = _sums_without(list(zip(parts, models, strict=True)), state, open_)
            steps = zip(open_[:, None], sums, strict=True)
            going = [_newton_step(state, one, left[one[0]], of, largest, tol)[0] for one, of in steps]
            if not len(open_ := open_[going]):
                break
    return state


def _sum(models: Sequence[QuadraticModel]) -> QuadraticModel:
    """The model of all rows of some models."""
    h, total = np.sum([each.h for each in models], axis=0), sum(each.total for each in models)
    H = np.sum([each.A + np.outer(each.h, each.h / each.total) for each in models], axis=0)
    return QuadraticModel(np.concatenate([each.d for each in models]), h, total, H - np.outer(h, h / total))


def _sums_without(parts: Sequence[tuple[Problem, QuadraticModel]], state: GridState, points: Indices) -> list[RowSums]:
    """The sums of each of these points over all parts but its own; the parts come with their models."""
    precision = np.float64 if state.is_exact[points].any() else np.float32
    found: dict[int, list[RowSums]] = {point: [] for point in points.tolist()}
    for number, (part, model) in enumerate(parts):
        if len(others := points[points != number]):
            (sums,) = sum_over_rows(part, [(state.w[others], state.b[others], model)], precision)
            for row, point in enumerate(others.tolist()):
                found[point].append(RowSums(*(each[[row]] for each in sums)))
    return [reduce(RowSums.plus, each) for each in found.values()]


def _start_at(problem: Problem, w: Array, b: Array, model: Indices) -> GridState:
    """The state of points (m, p) and (m,) of a problem, of each of which one Newton step was taken."""
    m, s, unknown = len(b), problem.s, np.full(len(b), np.inf)
    is_exact = np.full(m, not (_SINGLE[0] < s.min() and s.max() < _SINGLE[1]))
    return GridState(problem, w, b, model, unknown, np.ones(m, np.int64), unknown.copy(), is_exact)


def _pass(models: Sequence[QuadraticModel], state: GridState, points: Indices, largest: Array, tol: float) -> Indices:
    """One Newton step of these points, those of equal precision in one pass over the rows; which ones go on."""
    going = []
    for is_exact, precision in ((False, np.float32), (True, np.float64)):
        some = points[state.is_exact[points] == is_exact]
        split = [(some[state.model[some] == number], model) for number, model in enumerate(models)]
        batches = [(chosen, model) for chosen, model in split if len(chosen)]
        if batches:
            inputs = [(state.w[chosen], state.b[chosen], model) for chosen, model in batches]
            found = sum_over_rows(state.problem, inputs, precision)
            going += [
                chosen[_newton_step(state, chosen, model, sums, largest, tol)]
                for (chosen, model), sums in zip(batches, found, strict=True)
            ]
    return np.concatenate(going)


def _newton_step(
    state: GridState, chosen: Indices, model: QuadraticModel, sums: RowSums, largest: Array, tol: float
) -> Mask:
    """Move the chosen points by a step and bound their duality gaps; which ones go on."""
    w, l1, l2 = state.w[chosen], state.problem.l1[chosen], state.problem.l2[chosen]
    gradient = sums.gradient - np.outer(sums.intercept_gradient / model.total, model.h)  # the intercept minimised out
    dw = subproblem.solve(model.A, gradient, l1, l2, w)
    following, db = w + dw, -(sums.intercept_gradient + dw @ model.h) / model.total
    change = dw @ model.A  # of the model's gradient
    size = np.sum(change * dw, axis=1) + sums.intercept_gradient**2 / model.total
    dual = -gradient - change
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        odds = np.exp(np.abs(dw) @ largest + np.abs(db))  # what the step multiplies those of a row by, at most
        low, high = sums.low / odds, sums.high * odds
        mismatch = odds**2 * np.maximum((1 - low) ** 2 / low, (1 - high) ** 2 / high)  # (1 - v)^2 / v after the step
        at = size / sums.low
        inside = at < sums.low * float(model.d.min())
        at, after = (np.square(np.sqrt(each) + np.sqrt(sums.error)) for each in (at, size * mismatch))
    lowest = np.maximum(sums.loss_bound + np.sum(l1 * np.abs(w) + 0.5 * l2 * w * w, axis=1), subproblem.TINY)
    before = np.where(inside, at + newton.penalty_gap(dual, w, l1, l2), np.inf)
    lowest = np.maximum(lowest - np.where(np.isfinite(before), before, 0), subproblem.TINY)
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


def sum_over_rows(
    problem: Problem, batches: Sequence[tuple[Array, Array, QuadraticModel]], precision: type[np.floating]
) -> list[RowSums]:
    """The sums over all rows of each batch of points (w, b) and its model, in chunks of (points, rows).

    The loss of a row is at least wrong + wrong^2 / 2, with wrong^2 = wrong - wrong (1 - wrong).
    """
    w, b = np.concatenate([each for each, _, _ in batches]), np.concatenate([each for _, each, _ in batches])[:, None]
    ends = np.cumsum([len(each) for each, _, _ in batches]).tolist()
    blocks = [(slice(end - len(each[1]), end), each[2].d) for each, end in zip(batches, ends, strict=True)]
    m, sign = len(w), problem.side
    gradient, intercept_gradient, wrong, curvature, highest, high = np.zeros_like(w), *np.zeros((5, m))
    low = np.full(m, np.inf)
    step = max(64, _NUMBERS // m)
    space, narrow = np.empty(m * step), np.empty((2, m * step), precision)
    for start in range(0, len(sign), step):
        chunk = slice(start, start + step)
        X, s = problem.X[chunk], problem.s[chunk].astype(precision)
        wide = space[: m * len(s)].reshape(m, len(s))
        q, ratio = narrow[:, : m * len(s)].reshape(2, m, len(s))
        q[:] = np.matmul(w, X.T, out=wide)
        q += b
        q *= sign[chunk].astype(precision)
        with np.errstate(over="ignore"):  # where exp is infinite, the probability of the wrong class is 0
            np.exp(q, out=q)
        q += 1
        np.reciprocal(q, out=q)
        np.subtract(1, q, out=ratio)
        ratio *= q
        wrong += q @ s
        curvature += ratio @ s
        np.maximum(highest, q.max(axis=1), out=highest)
        for block, d in blocks:
            ratio[block] *= (problem.s[chunk] / d[chunk]).astype(precision)
        np.minimum(low, ratio.min(axis=1), out=low)
        np.maximum(high, ratio.max(axis=1), out=high)
        q *= (-problem.s[chunk] * sign[chunk]).astype(precision)
        wide[:] = q
        intercept_gradient += wide @ np.ones(len(s))
        gradient += wide @ X
    least = np.concatenate([low[block] * float((d / problem.s).min()) for block, d in blocks])
    error = _rounding_distance(least, highest, np.abs(b[:, 0]), wrong, curvature, float(np.finfo(precision).eps))
    each = (gradient, intercept_gradient, 1.5 * wrong - 0.5 * curvature, low, high, error)
    return [RowSums(*(sums[block] for sums in each)) for block, _ in blocks]


def _rounding_distance(least: Array, highest: Array, size: Array, wrong: Array, curvature: Array, eps: float) -> Array:
    """The distance that rounding makes, infinite where it spoils 1 - q_i itself.

    ``least`` (m,) is at most all q_i (1 - q_i), which bounds the log odds, ``highest`` (m,) at least all q_i, ``size``
    (m,) is |b|; ``wrong`` and ``curvature`` (m,) are the sums of s_i q_i and of s_i q_i (1 - q_i).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (size - 2 * np.log(least) + 5) * eps
        distance = 2 * (odds**2 * curvature + 4 * eps**2 * wrong / (1 - highest))
    return np.where(eps < _SPOILT * (1 - highest), distance, np.inf)
