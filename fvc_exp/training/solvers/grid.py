"""A whole grid of logistic regressions on many training parts at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from sklearn import utils
from threadpoolctl import ThreadpoolController

from fvc_exp._typing import Array, Indices, Labels, Progress, no_progress
from fvc_exp.data.standard import Standard
from fvc_exp.training.solvers import estimator, newton, shared_newton, subproblem, wide

# With fewer rows per column the minima of the points lie too far apart for shared models to pay; so do too few points.
_ROWS_PER_COLUMN, _POINTS = 3, 4
_LEAST_VARIANCE = 1e-6  # of a part, to that of all rows: what is left after a section is the difference of two sums
_LARGE = 100_000_000  # bytes of X; above it at most two parts at a time, as each part at work is a copy


@dataclass(frozen=True)
class Point:
    """A penalty: ``C`` above 0 (inf: none) and ``l1_ratio`` from 0 to 1, as scikit-learn means them."""

    C: float
    l1_ratio: float


class PartFits(NamedTuple):
    """How a part was standardised, and the fits of its standardised features; these have no model and no points."""

    standard: Standard
    fits: dict[Point, newton.Solution]


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
) -> list[PartFits]:
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

    def fit(rows: Indices) -> PartFits:
        Z = X[rows]
        standard = Standard.of(Z)
        weighted = weighted_rows(standard.apply(Z, out=Z), y[rows], class_weight)
        return PartFits(standard, _fit_points(weighted, points, tol, max_iter))

    most = 2 if X.nbytes > _LARGE else len(parts)
    found: list[PartFits] = []
    with numerical_libraries().limit(limits=1), ThreadPoolExecutor(max(1, min(n_threads, most))) as pool:
        for each in pool.map(fit, parts):
            found.append(each)
            on_progress(len(found), len(parts))
    return found


def fit_complements(
    X: Array, y: Labels, sections: Sequence[Indices], point: Point, *, tol: float = 1e-9, max_iter: int = 1000
) -> list[PartFits]:
    """Standardise and fit one point on the rows of all sections but each, then of all; each pass serves all fits.

    ``X`` (n, p) has no gaps. Each part is standardised by itself: in the units of all rows its penalties differ.
    """
    rows, ends = np.concatenate(sections), np.cumsum([0, *map(len, sections)]).tolist()
    Z, places = X[rows], [slice(*each) for each in pairwise(ends)]
    whole = Standard.of(Z)
    problem = weighted_rows(whole.apply(Z, out=Z), y[rows], None).penalised(point.C, point.l1_ratio)
    sums = np.array([[Z[place].sum(axis=0), np.einsum("ij,ij->j", Z[place], Z[place])] for place in places])
    sizes = len(rows) - np.append(np.diff(ends), 0)
    left = (sums.sum(axis=0) - np.concatenate([sums, np.zeros_like(sums[:1])])) / sizes[:, None, None]
    shift, unit = left[:, 0], np.sqrt(np.maximum(left[:, 1] - left[:, 0] ** 2, _LEAST_VARIANCE))
    problem = replace(problem, l1=problem.l1 * unit, l2=problem.l2 * unit**2)
    found = shared_newton.minimise_complements(problem, places, tol)
    reached = (found.gap <= tol) & (found.n_iter <= max_iter) & (unit.min(axis=1) ** 2 > _LEAST_VARIANCE)
    found.w, found.b = found.w * unit, found.b + np.sum(found.w * shift, axis=1)
    means, scales, unknown = whole.mean + whole.scale * shift, whole.scale * unit, np.full_like(whole.mean, np.nan)
    standards = [*(Standard(unknown, *each) for each in zip(means[:-1], scales[:-1], strict=True)), whole]
    fits = zip(standards, found.solutions(reached), strict=True)
    return [PartFits(standard, {point: fit}) for standard, fit in fits]


def weighted_rows(Z: Array, y: Labels, class_weight: estimator.ClassWeights) -> newton.Problem:
    """Standardised rows (n, p) and labels (n,) with the weights of their classes, and no penalty.

    Raises:
        ValueError: all are of one class.
    """
    if not 0 < y.sum() < len(y):
        raise ValueError("two classes are needed, but the rows are of one class")
    weights, free = utils.compute_class_weight(class_weight, classes=np.array([0, 1]), y=y), np.zeros(Z.shape[1])
    return newton.Problem(Z, y.astype(np.float64), weights[y], free, free)


def _fit_points(
    problem: newton.Problem, points: Sequence[Point], tol: float, max_iter: int
) -> dict[Point, newton.Solution]:
    """Fit every point: together where that pays, the rest one by one, by mix and from the strongest penalty on.

    A fit starts where that before it has ended, or that of the same C and the mix before: where F is lower.
    """
    n, p = problem.X.shape
    is_worth_it = n > _ROWS_PER_COLUMN * p and len(points) >= _POINTS
    found, mix = _fit_together(problem, points, tol) if is_worth_it else {}, np.nan
    model: subproblem.QuadraticModel | None = None
    nearest: dict[float, tuple[Array, float]] = {}  # of the mix before, where it has an l1 penalty, by C
    for point in sorted(set(points) - set(found), key=lambda each: (each.l1_ratio, each.C)):
        if point.l1_ratio != mix:
            w, b, model, mix = np.zeros(p), newton.null_intercept(problem.y, problem.s), None, point.l1_ratio
        penalised = problem.penalised(point.C, mix)
        if model is None and point.C in nearest:
            w, b = min((w, b), nearest[point.C], key=lambda start: newton.evaluate(penalised, *start).value)
        fit = wide.fit_problem(penalised, w, b, tol, max_iter, model)
        w, b, model = fit.w, fit.b, fit.model
        if mix:
            nearest[point.C] = w, b
        found[point] = replace(fit, model=None, point=None, dual=None)
    return found


def _fit_together(problem: newton.Problem, points: Sequence[Point], tol: float) -> dict[Point, newton.Solution]:
    """The points that share their models and reach the tolerance."""
    mix, C = (np.array([getattr(point, name) for point in points])[:, None] for name in ("l1_ratio", "C"))
    state = shared_newton.fit_penalties(problem.penalised(C, mix), tol)
    fits = state.solutions(state.gap <= tol) if state else []
    return {point: fit for point, fit in zip(points, fits, strict=False) if fit.converged}


@cache
def numerical_libraries() -> ThreadpoolController:
    """Those of this process, whose threads can be limited; looking for them takes 3 to 10 ms."""
    return ThreadpoolController()
