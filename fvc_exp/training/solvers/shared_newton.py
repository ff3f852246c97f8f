"""Two quadratic models of the loss that many penalties share, and a rough fit to start them from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvc_exp._typing import Array, Indices
from fvc_exp.training.solvers import newton, subproblem
from fvc_exp.training.solvers.gradients import Rows, Sums, sums_near
from fvc_exp.training.solvers.hessian import TINY, Model, curvature
from fvc_exp.training.solvers.newton import penalty_gap

_ROWS, _ROWS_PER_COLUMN = 5_000, 50  # of a first fit: it is but a place to start from


_ROUGH = 1e-3


@dataclass(frozen=True)
class Pilot:
    """A rough fit: coefficients (p,), intercept, and the probability of class 1 of each row (n,)."""

    w: Array
    b: float
    share: Array


def two_models(Z: Array, y: Array, s: Array, strengths: Array) -> tuple[Model, Model, Pilot]:
    """Of no coefficients, and of a rough fit of middling penalty, which is the third.

    ``Z`` (n, p) is standardised, ``y`` (n,) 0 or 1, ``s`` (n,) positive weights; ``strengths`` (m,) are l1 + l2.
    """
    p, total = Z.shape[1], float(s.sum())
    share = float(s @ y) / total
    flat = curvature(Z, s * (share * (1 - share)), True)
    middle = np.exp(np.mean(np.log(strengths[strengths > 0]))) if strengths.any() else 1.0
    w, b = np.zeros(p), newton.log_odds(y, s)
    if len(some := _sample(y, max(_ROWS, _ROWS_PER_COLUMN * p))) < len(y):
        weaker = np.full(p, middle * float(s[some].sum()) / total)
        first = newton.minimise(newton.Problem(Z[some], y[some], s[some], np.zeros(p), weaker), w, b, _ROUGH, 3)
        w, b = first.w, first.b
    found = newton.minimise(newton.Problem(Z, y, s, np.zeros(p), np.full(p, middle)), w, b, _ROUGH, 3, flat)
    eta = Z @ found.w + found.b
    rarer = 1 / (1 + np.exp(np.abs(eta)))
    bent = curvature(Z, s * rarer * (1 - rarer), True)
    return flat, bent, Pilot(found.w, found.b, np.where(eta > 0, 1 - rarer, rarer))


def _sample(y: Array, size: int) -> Indices:
    """Row numbers of about ``size`` rows with their share of both classes; all where one class would be missing."""
    chosen = np.argsort(y, kind="stable")[:: max(1, len(y) // size)]
    return chosen if 0 < y[chosen].sum() < len(chosen) else np.arange(len(y))


PASSES = 40


_SLOWEST = 0.5  # of a squared step to that before it


_TOLERABLE = 0.1  # of a fit's tolerance: distance that rounding may make


_SINGLE = 1e-30, 1e30  # weights of rows whose sums single precision holds


_WEAKEST = 0.5  # curvature at the middling fit to that of no coefficients: below it, steps by either model are short


@dataclass
class State:
    """Where m points are: coefficients and penalties (m, p), intercept, model, last squared step, steps, bound (m,).

    ``exact`` tells those that need double precision.
    """

    w: Array
    b: Array
    l1: Array
    l2: Array
    kind: Indices
    size: Array
    n_iter: Indices
    gap: Array
    exact: NDArray[np.bool_]


def fit_together(rows: Rows, l1: Array, l2: Array, tol: float) -> State:
    """Fit points with penalties ``l1``, ``l2`` (m, p); those with a ``gap`` above ``tol`` at the end are not fitted.

    With a strong signal two models do not serve many points, and what they serve would take longer than alone.
    """
    flat, bent, pilot = two_models(rows.Z, rows.y, rows.s, (l1 + l2)[:, 0])
    if bent.total < _WEAKEST * flat.total:
        return _nowhere(l1, l2)
    models, state = [flat, bent], _begin(rows, l1, l2, flat, bent, pilot)
    reach = _reach(rows.Z)
    open_ = np.arange(len(l1))
    for _ in range(PASSES):
        if not len(open_):
            break
        open_ = _pass(rows, models, state, open_, reach, tol)
    return state


def _reach(Z: Array) -> Array:
    """Max |z| of each column; numpy takes half as long for rows of eight."""
    p, whole = Z.shape[1], len(Z) // 8 * 8
    wide = Z[:whole].reshape(-1, 8 * p)
    ends = np.maximum(wide.max(axis=0, initial=0), -wide.min(axis=0, initial=0)).reshape(8, p).max(axis=0)
    return np.asarray(np.maximum(ends, np.abs(Z[whole:]).max(axis=0, initial=0)))


def _pass(rows: Rows, models: Sequence[Model], state: State, those: Indices, reach: Array, tol: float) -> Indices:
    """Move those points by a step, together as far as their precision is the same; which ones go on."""
    going = []
    for exact, precision in ((False, np.float32), (True, np.float64)):
        some = those[state.exact[those] == exact]
        split = [(some[state.kind[some] == kind], model) for kind, model in enumerate(models)]
        near = [(chosen, model) for chosen, model in split if len(chosen)]
        if near:
            parts = sums_near(rows, [(state.w[chosen], state.b[chosen], model) for chosen, model in near], precision)
            going += [
                chosen[_advance(state, chosen, model, sums, reach, tol)]
                for (chosen, model), sums in zip(near, parts, strict=True)
            ]
    return np.concatenate(going)


def _nowhere(l1: Array, l2: Array) -> State:
    m = len(l1)
    unknown, none = np.full(m, np.inf), np.zeros(m, np.int64)
    return State(np.zeros_like(l1), np.zeros(m), l1, l2, none, unknown, none, unknown, np.zeros(m, bool))


def _begin(rows: Rows, l1: Array, l2: Array, flat: Model, bent: Model, pilot: Pilot) -> State:
    """Each point after a step of the second model from the rough fit."""
    m = len(l1)
    slope = rows.s * (pilot.share - rows.y)
    residual = slope.sum()
    q = _slopes(bent, (slope @ rows.Z)[None], residual[None], pilot.w[None])
    w = subproblem.solve(bent.A, np.repeat(q, m, axis=0), l1, l2, np.zeros_like(l1))
    from_pilot = w - pilot.w
    db = -(residual + from_pilot @ bent.h) / bent.total
    is_near_null = np.sum(w @ flat.A * w, axis=1) < np.sum(from_pilot @ bent.A * from_pilot, axis=1)
    kind = np.where(is_near_null, 0, 1)
    unknown = np.full(m, np.inf)
    exact = np.full(m, not (_SINGLE[0] < rows.s.min() and rows.s.max() < _SINGLE[1]))
    return State(w, pilot.b + db, l1, l2, kind, unknown, np.ones(m, np.int64), unknown.copy(), exact)


def _slopes(model: Model, gradient: Array, residual: Array, w: Array) -> Array:
    """The linear terms (m, p) of the model's problems at ``w``, the intercept minimised out."""
    return np.asarray(gradient - np.multiply.outer(residual / model.total, model.h) - w @ model.A)


def _advance(state: State, chosen: Indices, model: Model, sums: Sums, reach: Array, tol: float) -> NDArray[np.bool_]:
    """Move the chosen points by a step and bound them; which ones go on."""
    w, l1, l2 = state.w[chosen], state.l1[chosen], state.l2[chosen]
    following = subproblem.solve(model.A, _slopes(model, sums.gradient, sums.residual, w), l1, l2, w)
    dw = following - w
    db = -(sums.residual + dw @ model.h) / model.total
    bent = dw @ model.A
    size = np.sum(bent * dw, axis=1) + sums.residual**2 / model.total
    minus = np.multiply.outer(sums.residual / model.total, model.h) - sums.gradient - bent
    move = np.abs(dw) @ reach + np.abs(db)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        at = size / sums.low
        inside = at < sums.low * float(model.d.min())
        at, after = (np.square(np.sqrt(each) + np.sqrt(sums.error)) for each in (at, size * _bent(sums, move)))
    lowest = np.maximum(sums.below + np.sum(l1 * np.abs(w) + 0.5 * l2 * w * w, axis=1), TINY)
    before = np.where(inside, at + penalty_gap(minus, w, l1, l2), np.inf)
    lowest = np.maximum(lowest - np.where(np.isfinite(before), before, 0), TINY)
    behind = np.where(inside, after + penalty_gap(minus, following, l1, l2), np.inf)
    stays = before <= behind
    gap = np.minimum(before, behind) / lowest
    shrinks = np.isfinite(size) & (size <= _SLOWEST * state.size[chosen])
    moves = shrinks & ~(stays & (gap <= tol))
    state.w[chosen[moves]], state.b[chosen[moves]] = following[moves], (state.b[chosen] + db)[moves]
    state.n_iter[chosen[moves]] += 1
    state.size[chosen] = size
    state.gap[chosen] = np.where(shrinks | stays, gap, np.inf)
    state.exact[chosen] |= ~(sums.error < _TOLERABLE * tol * lowest)
    return np.asarray(shrinks & (gap > tol))


def _bent(sums: Sums, move: Array) -> Array:
    """max((1 - v)^2 / v) over the rows, where a row's log odds change by at most ``move`` (m,)."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        wide = np.exp(move)
        low, high = sums.low / wide, sums.high * wide
        return np.asarray(wide**2 * np.maximum((1 - low) ** 2 / low, (1 - high) ** 2 / high))
