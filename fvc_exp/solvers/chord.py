"""Proximal Newton for many penalties on the same rows: shared models of the loss, gradients by matrix products.

Two quadratic models serve all points: of no coefficients, and of a fit of middling penalty. Each keeps the nearer one
(a chord method), so that a step costs two matrix products. One whose steps do not shrink is left to single fits.

The bound is that of ``newton`` without another pass over the rows. With v_i the ratio of the curvature of the loss at w
to that of the model, theta gives a gap of at most sum_i d_i u_i^2 max(1 / v) at w, and of that sum times
max((1 - v)^2 / v) at w + dw, where v is widened by how far the step moves a row. theta is between its bounds if the
first of these is less than the smallest s_i p_i (1 - p_i). To it comes the Fenchel-Young gap of the penalty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvc_exp.solvers import newton, quadratic
from fvc_exp.solvers.bounds import penalty_gap
from fvc_exp.solvers.newton import Model

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

PASSES = 40
_NUMBERS = 100_000  # of a chunk of log odds: it stays in the cache
_SLOWEST = 0.5  # of a squared step to that before it
_WEAKEST = 0.5  # curvature at the middling fit to that of no coefficients: below it, steps by either model are short


@dataclass(frozen=True)
class Rows:
    """Standardised ``Z`` (n, p), ``y`` (n,) 0 or 1, positive weights ``s`` (n,)."""

    Z: Array
    y: Array
    s: Array


@dataclass(frozen=True)
class Sums:
    """Of m points: gradient (m, p), that of the intercept (m,), a value below the loss (m,), the range of v (m,)."""

    gradient: Array
    residual: Array
    below: Array
    low: Array
    high: Array


@dataclass
class State:
    """Where m points are: coefficients and penalties (m, p), intercept, model, last squared step, steps, bound (m,)."""

    w: Array
    b: Array
    l1: Array
    l2: Array
    kind: Indices
    size: Array
    n_iter: Indices
    gap: Array


def fit_together(rows: Rows, l1: Array, l2: Array, tol: float) -> State:
    """Fit points with penalties ``l1``, ``l2`` (m, p); those with a ``gap`` above ``tol`` at the end are not fitted.

    With a strong signal two models do not serve many points, and what they serve would take longer than alone.
    """
    flat, bent, pilot = _models(rows, l1, l2)
    if bent.total < _WEAKEST * flat.total:
        return _nowhere(l1, l2)
    models, state = [flat, bent], _begin(rows, l1, l2, flat, bent, pilot)
    reach = np.abs(rows.Z).max(axis=0)
    open_ = np.arange(len(l1))
    for _ in range(PASSES):
        if not len(open_):
            break
        going = []
        for kind, model in enumerate(models):
            chosen = open_[state.kind[open_] == kind]
            if len(chosen):
                sums = _pass(rows, state.w[chosen], state.b[chosen], model)
                going.append(chosen[_advance(state, chosen, model, sums, reach, float(model.d.min()), tol)])
        open_ = np.concatenate(going)
    return state


def _models(rows: Rows, l1: Array, l2: Array) -> tuple[Model, Model, newton.Solution]:
    """Of no coefficients, and of a rough fit of middling penalty, which is the third."""
    p, total = l1.shape[1], float(rows.s.sum())
    share = float(rows.s @ rows.y) / total
    flat = newton.curvature(rows.Z, rows.s * (share * (1 - share)), True)
    strengths = (l1 + l2)[:, 0]
    middle = np.exp(np.mean(np.log(strengths[strengths > 0]))) if strengths.any() else 1.0
    pilot = newton.Problem(rows.Z, rows.y, rows.s, np.zeros(p), np.full(p, middle))
    found = newton.minimise(pilot, np.zeros(p), newton.log_odds(rows.y, rows.s), 1e-3, 3, flat)
    wrong = 1 / (1 + np.exp(np.abs(rows.Z @ found.w + found.b)))
    return flat, newton.curvature(rows.Z, rows.s * wrong * (1 - wrong), True), found


def _nowhere(l1: Array, l2: Array) -> State:
    m = len(l1)
    unknown = np.full(m, np.inf)
    return State(np.zeros_like(l1), np.zeros(m), l1, l2, np.zeros(m, np.int64), unknown, np.zeros(m, np.int64), unknown)


def _begin(rows: Rows, l1: Array, l2: Array, flat: Model, bent: Model, pilot: newton.Solution) -> State:
    """Each point after a step of the second model from the rough fit."""
    m = len(l1)
    sums = _pass(rows, pilot.w[None], np.array([pilot.b]), bent)
    q = _slopes(bent, sums.gradient, sums.residual, pilot.w[None])
    start = quadratic.rough(bent.A, q[0], l1[:, 0], l2[:, 0])
    w = quadratic.solve(bent.A, np.repeat(q, m, axis=0), l1, l2, start)
    db = -(sums.residual + (w - pilot.w) @ bent.h) / bent.total
    from_pilot = w - pilot.w
    is_near_null = np.sum(w @ flat.A * w, axis=1) < np.sum(from_pilot @ bent.A * from_pilot, axis=1)
    kind = np.where(is_near_null, 0, 1)
    return State(w, pilot.b + db, l1, l2, kind, np.full(m, np.inf), np.ones(m, np.int64), np.full(m, np.inf))


def _pass(rows: Rows, w: Array, b: Array, model: Model) -> Sums:
    m = len(b)
    weights = np.ascontiguousarray(w.T)
    gradient, residual, below = np.zeros_like(w), np.zeros(m), np.zeros(m)
    low, high = np.full(m, np.inf), np.zeros(m)
    step = max(64, _NUMBERS // m)
    wrong, other = np.empty((2, min(step, len(rows.y)), m))
    for start in range(0, len(rows.y), step):
        Z, y, s = (each[start : start + step] for each in (rows.Z, rows.y, rows.s))
        d = model.d[start : start + step]
        one, two = wrong[: len(y)], other[: len(y)]
        np.matmul(Z, weights, out=one)
        one += b
        np.negative(one, out=one)
        with np.errstate(over="ignore"):
            np.exp(one, out=one)
        one += 1
        np.reciprocal(one, out=one)
        np.subtract(1, one, out=two)
        two *= one
        two *= (s / d)[:, None]
        np.minimum(low, two.min(axis=0), out=low)
        np.maximum(high, two.max(axis=0), out=high)
        one -= y[:, None]
        np.abs(one, out=two)
        below += s @ two
        two *= two
        below += 0.5 * s @ two
        one *= s[:, None]
        gradient += one.T @ Z
        residual += one.sum(axis=0)
    return Sums(gradient, residual, below, low, high)


def _slopes(model: Model, gradient: Array, residual: Array, w: Array) -> Array:
    """The linear terms (m, p) of the model's problems at ``w``, the intercept minimised out."""
    return np.asarray(gradient - np.multiply.outer(residual / model.total, model.h) - w @ model.A)


def _advance(
    state: State, chosen: Indices, model: Model, sums: Sums, reach: Array, smallest: float, tol: float
) -> NDArray[np.bool_]:
    """Move the chosen points by a step and bound them; which ones go on."""
    w, l1, l2 = state.w[chosen], state.l1[chosen], state.l2[chosen]
    following = quadratic.solve(model.A, _slopes(model, sums.gradient, sums.residual, w), l1, l2, w)
    dw = following - w
    db = -(sums.residual + dw @ model.h) / model.total
    bent = dw @ model.A
    size = np.sum(bent * dw, axis=1) + sums.residual**2 / model.total
    minus = np.multiply.outer(sums.residual / model.total, model.h) - sums.gradient - bent
    at, after = size / sums.low, size * _bent(sums, np.abs(dw) @ reach + np.abs(db))
    inside = at < sums.low * smallest
    lowest = np.maximum(sums.below + np.sum(l1 * np.abs(w) + 0.5 * l2 * w * w, axis=1), newton.TINY)
    before = np.where(inside, at + penalty_gap(minus, w, l1, l2), np.inf)
    lowest = np.maximum(lowest - np.where(np.isfinite(before), before, 0), newton.TINY)
    behind = np.where(inside, after + penalty_gap(minus, following, l1, l2), np.inf)
    stays = before <= behind
    gap = np.minimum(before, behind) / lowest
    shrinks = np.isfinite(size) & (size <= _SLOWEST * state.size[chosen])
    moves = shrinks & ~(stays & (gap <= tol))
    state.w[chosen[moves]], state.b[chosen[moves]] = following[moves], (state.b[chosen] + db)[moves]
    state.n_iter[chosen[moves]] += 1
    state.size[chosen] = size
    state.gap[chosen] = np.where(shrinks | stays, gap, np.inf)
    return np.asarray(shrinks & (gap > tol))


def _bent(sums: Sums, move: Array) -> Array:
    """max((1 - v)^2 / v) over the rows, where a row's log odds change by at most ``move`` (m,)."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        wide = np.exp(move)
        low, high = sums.low / wide, sums.high * wide
        return np.asarray(wide**2 * np.maximum((1 - low) ** 2 / low, (1 - high) ** 2 / high))
