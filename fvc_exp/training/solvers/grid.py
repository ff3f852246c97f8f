"""A whole grid of logistic regressions on many training parts at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from sklearn import utils
from threadpoolctl import ThreadpoolController

from fvc_exp._typing import Array, Indices, Labels, Mask, Progress, no_progress
from fvc_exp.data.standard import Standard
from fvc_exp.training.solvers import derivatives, estimator, newton, shared_newton, wide

# With fewer rows per column the minima of the points lie too far apart for shared models to pay; so do too few points.
_ROWS_PER_COLUMN, _POINTS = 3, 4
_LARGE = 100_000_000  # bytes of X; above it at most two parts at a time, as each part at work is a copy


@dataclass(frozen=True)
class Point:
    """A penalty: ``C`` above 0 (inf: none) and ``l1_ratio`` from 0 to 1, as scikit-learn means them."""

    C: float
    l1_ratio: float


@dataclass(frozen=True)
class PointFits:
    """Fits of every point on one part: ``coef`` (n_points, p) is of standardised features, the others are (n_points,).

    ``standard`` (3, p) are the numbers of the ``Standard`` of the part. Those of several parts have one more first
    axis, of n_parts. ``gap`` bounds (F - min F) / F, and ``converged`` tells where it is at most ``tol``.
    """

    coef: Array
    intercept: Array
    n_iter: Indices
    gap: Array
    converged: Mask
    standard: Array


def fit_grid(
    X: Array,
    y: Labels,
    parts: Sequence[Indices],
    points: Sequence[Point],
    *,
    class_weight: estimator.ClassWeights = None,
    tol: float = 1e-9,
    max_iter: int = 1000,
    n_threads: int = 1,
    on_progress: Progress = no_progress,
) -> PointFits:
    """Impute by medians, standardise and fit every point on the rows of every part.

    Args:
        X: features (n, p) as measured; NaN is a missing value.
        y: 0 or 1, (n,).
        parts: row numbers of each training part; any, in any order.
        points: the penalties.
        class_weight: ``balanced`` within each part, a number by class, or nothing.
        tol: bound on (F - min F) / F that a fit must reach.
        max_iter: Newton steps of a fit.
        n_threads: parts fitted at a time (of a large X at most two), with one thread of BLAS each.
        on_progress: called with the number of finished parts and of all parts.

    Raises:
        ValueError: a part has rows of one class only.
    """

    def fit(rows: Indices) -> PointFits:
        labels = y[rows]
        if not 0 < labels.sum() < len(labels):
            raise ValueError("two classes are needed, but the rows of a part are of one class")
        weights = utils.compute_class_weight(class_weight, classes=np.array([0, 1]), y=labels)
        Z = X[rows]
        standard = Standard.of(Z)
        weighted = derivatives.WeightedRows(standard.apply(Z, out=Z), labels.astype(np.float64), weights[labels])
        return replace(_fit_points(weighted, points, tol, max_iter), standard=np.array(standard))

    most = 2 if X.nbytes > _LARGE else len(parts)
    workers = max(1, min(n_threads, most))
    found: list[PointFits] = []
    with _libraries().limit(limits=1), ThreadPoolExecutor(workers) as pool:
        for each in pool.map(fit, parts):
            found.append(each)
            on_progress(len(found), len(parts))
    names = [field.name for field in fields(PointFits)]
    return PointFits(**{name: np.stack([getattr(each, name) for each in found]) for name in names})


def _fit_points(rows: derivatives.WeightedRows, points: Sequence[Point], tol: float, max_iter: int) -> PointFits:
    """Fit every point to standardised rows: together where that pays, the rest one after the other."""
    m, (n, p) = len(points), rows.Z.shape
    done, n_iter, gap = np.zeros(m, np.bool_), np.zeros(m, np.int64), np.full(m, np.inf)
    fits = PointFits(np.zeros((m, p)), np.zeros(m), n_iter, gap, np.zeros(m, np.bool_), np.zeros((3, p)))
    if n > _ROWS_PER_COLUMN * p and m >= _POINTS:
        mix, C = (np.array([getattr(point, name) for point in points]) for name in ("l1_ratio", "C"))
        l1, l2 = (np.repeat((each / C)[:, None], p, axis=1) for each in (mix, 1 - mix))
        if (state := shared_newton.fit_penalties(rows, l1, l2, tol)) is not None:
            done = state.gap <= tol
            fits.coef[done], fits.intercept[done], fits.n_iter[done] = state.w[done], state.b[done], state.n_iter[done]
            fits.gap[done], fits.converged[done] = state.gap[done], True
    _fit_path(fits, rows, points, np.flatnonzero(~done), tol, max_iter)
    return fits


def _fit_path(
    fits: PointFits, rows: derivatives.WeightedRows, points: Sequence[Point], chosen: Indices, tol: float, max_iter: int
) -> None:
    """Fit the chosen points one after the other, by mix and then from the strongest penalty to the weakest."""
    p, mix = rows.Z.shape[1], np.nan
    model: derivatives.QuadraticModel | None = None
    for number in sorted(chosen, key=lambda each: (points[each].l1_ratio, points[each].C)):
        point = points[number]
        if point.l1_ratio != mix:
            w, b, model, mix = np.zeros(p), newton.null_intercept(rows.y, rows.s), None, point.l1_ratio
        l1, l2 = np.full(p, mix / point.C), np.full(p, (1 - mix) / point.C)
        found = wide.fit_problem(newton.Problem(rows.Z, rows.y, rows.s, l1, l2), w, b, tol, max_iter, model)
        w, b, model = found.w, found.b, found.model
        fits.coef[number], fits.intercept[number], fits.n_iter[number] = found.w, found.b, found.n_iter
        fits.gap[number], fits.converged[number] = found.gap, found.converged


@cache
def _libraries() -> ThreadpoolController:
    """The numerical libraries of this process; looking for them takes 10 ms."""
    return ThreadpoolController()
