"""A whole grid of logistic regressions on many training parts at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.utils.class_weight import compute_class_weight
from threadpoolctl import ThreadpoolController

from fvc_exp._typing import Array, Indices
from fvc_exp.training.solvers import newton, shared_newton
from fvc_exp.training.solvers.gradients import Rows
from fvc_exp.training.solvers.subproblem import quiet

# With fewer rows a column the minima of the points lie too far apart for shared models to pay; so do too few points.
_ROWS_PER_COLUMN, _POINTS = 3, 4


@dataclass(frozen=True)
class Point:
    """A penalty: ``C`` above 0 (inf: none) and ``l1_ratio`` from 0 to 1, as scikit-learn means them."""

    C: float
    l1_ratio: float


@dataclass
class Fits:
    """Fits of m points: ``w`` (m, p), and for each point the intercept, the steps, the bound and whether it will do."""

    w: Array
    b: Array
    n_iter: NDArray[np.int64]
    gap: Array
    converged: NDArray[np.bool_]


def fit_points(Z: Array, y: Array, s: Array, points: Sequence[Point], tol: float, max_iter: int) -> Fits:
    """Fit every point to standardised rows Z (n, p), y (n,) 0 or 1, with positive weights s (n,)."""
    m, p = len(points), Z.shape[1]
    fits = Fits(np.zeros((m, p)), np.zeros(m), np.zeros(m, np.int64), np.full(m, np.inf), np.zeros(m, np.bool_))
    done = np.zeros(m, np.bool_)
    if len(Z) > _ROWS_PER_COLUMN * p and m >= _POINTS:
        mix, C = (np.array([getattr(point, name) for point in points]) for name in ("l1_ratio", "C"))
        l1, l2 = (np.repeat((each / C)[:, None], p, axis=1) for each in (mix, 1 - mix))
        state = shared_newton.fit_together(Rows(Z, y, s), l1, l2, tol)
        done = state.gap <= tol
        fits.w[done], fits.b[done], fits.n_iter[done] = state.w[done], state.b[done], state.n_iter[done]
        fits.gap[done], fits.converged[done] = state.gap[done], True
    follow_path(fits, Z, y, s, points, np.flatnonzero(~done), tol, max_iter)
    return fits


def follow_path(
    fits: Fits, Z: Array, y: Array, s: Array, points: Sequence[Point], chosen: NDArray[np.int64], tol: float,
    max_iter: int,
) -> None:  # fmt: skip
    """Fit the chosen points one after the other, by mix and then from the strongest penalty to the weakest."""
    p = Z.shape[1]
    null = np.zeros(p), newton.log_odds(y, s)
    w, b, model, mix = *null, None, np.nan
    for number in sorted(chosen, key=lambda each: (points[each].l1_ratio, points[each].C)):
        point = points[number]
        if point.l1_ratio != mix:
            (w, b), model, mix = null, None, point.l1_ratio
        l1, l2 = np.full(p, mix / point.C), np.full(p, (1 - mix) / point.C)
        found = newton.minimise(newton.Problem(Z, y, s, l1, l2), w, b, tol, max_iter, model)
        w, b, model = found.w, found.b, found.model
        fits.w[number], fits.b[number], fits.n_iter[number] = found.w, found.b, found.n_iter
        fits.gap[number], fits.converged[number] = found.gap, found.converged


__all__ = ["GridFit", "Point", "fit_grid"]


_ROWS = 4096  # of a chunk that stays in the cache


_LARGE = 100_000_000  # bytes of X; above it two parts at a time at most, as each part at work is a copy


@dataclass(frozen=True)
class GridFit:
    """Fits of every point on every part; coefficients are of standardised features.

    ``mean`` and ``scale`` (n_parts, p) are StandardScaler's, to rounding, of the imputed rows of the part, ``coef`` is
    (n_parts, n_points, p), ``intercept``, ``n_iter``, ``gap`` and ``converged`` are (n_parts, n_points); ``gap`` bounds
    (F - min F) / F, and ``converged`` says where it is at most ``tol``.
    """

    mean: Array
    scale: Array
    coef: Array
    intercept: Array
    n_iter: NDArray[np.int64]
    gap: Array
    converged: NDArray[np.bool_]
    source: Array = field(repr=False)
    parts: Sequence[Indices] = field(repr=False)

    @cached_property
    def median(self) -> Array:
        """What missing values are filled with, (n_parts, p): the median of a part's rows, 0 where it has no value."""
        return np.stack([_imputer().fit(self.source[rows]).statistics_ for rows in self.parts])

    def decision_function(self, part: int, X: Array) -> Array:
        """Log odds (n, n_points) of raw features X (n, p) by the models of a part; NaN is filled as in training."""
        X = np.asarray(X, dtype=np.float64)
        if np.isnan(X).any():
            X = np.where(np.isnan(X), self.median[part], X)
        weights = self.coef[part] / self.scale[part]
        scores = (X - self.mean[part]) @ weights.T
        scores += self.intercept[part]
        return np.asarray(scores)


def fit_grid(
    X: Array,
    y: NDArray[np.int64],
    parts: Sequence[Indices],
    points: Sequence[Point],
    *,
    class_weight: str | None = None,
    sample_weight: Array | None = None,
    tol: float = 1e-9,
    max_iter: int = 1000,
    n_threads: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
) -> GridFit:
    """Impute by medians, standardise and fit every point on the rows of every part.

    Args:
        X: features (n, p) as measured; NaN is a missing value.
        y: 0 or 1, (n,).
        parts: row numbers of each training part; any, in any order.
        points: the penalties.
        class_weight: ``balanced`` or nothing, within each part.
        sample_weight: of the loss, (n,), at least 0; imputer and scaler count every row once.
        tol: bound on (F - min F) / F that a fit must reach.
        max_iter: Newton steps of a fit.
        n_threads: parts fitted at a time (of a large X at most two), with one thread of BLAS each.
        on_progress: called with the number of finished parts and of all parts.

    Raises:
        ValueError: a part has rows of positive weight of one class only.
    """
    X = np.asarray(X, dtype=np.float64)
    weight = np.ones(len(X)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)

    def fit(rows: Indices) -> tuple[Array, Array, Fits]:
        Z, mean, scale = _standardised(X, rows)
        s = weight[rows] * _class_weights(class_weight, y[rows], weight[rows])
        return mean, scale, fit_points(*_of_weight(Z, y[rows], s), points, tol, max_iter)

    most = 2 if X.nbytes > _LARGE else len(parts)
    workers = max(1, min(n_threads, most))
    found: list[tuple[Array, Array, Fits]] = []
    with quiet(), _libraries().limit(limits=1), ThreadPoolExecutor(workers) as pool:
        for each in pool.map(fit, parts):
            found.append(each)
            if on_progress:
                on_progress(len(found), len(parts))
    return _together(found, X, parts)


def _together(found: Sequence[tuple[Array, Array, Fits]], X: Array, parts: Sequence[Indices]) -> GridFit:
    means, scales, fits = zip(*found, strict=True)
    return GridFit(
        mean=np.stack(means),
        scale=np.stack(scales),
        coef=np.stack([each.w for each in fits]),
        intercept=np.stack([each.b for each in fits]),
        n_iter=np.stack([each.n_iter for each in fits]),
        gap=np.stack([each.gap for each in fits]),
        converged=np.stack([each.converged for each in fits]),
        source=X,
        parts=parts,
    )


@cache
def _libraries() -> ThreadpoolController:
    """The numerical libraries of this process; looking for them takes 10 ms."""
    return ThreadpoolController()


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)


def _standardised(X: Array, rows: Indices) -> tuple[Array, Array, Array]:
    """Imputed and scaled rows, the mean and the scale: StandardScaler's, to rounding, without its temporary copies.

    A column counts as constant below the rounding error of its variance (Chan, Golub & LeVeque 1983), as there.
    """
    Z = X[rows]
    if np.isnan(Z).any():
        Z = _imputer().fit_transform(Z)
    n, eps = len(Z), np.finfo(np.float64).eps
    mean, left, variance = Z.mean(axis=0), np.zeros(Z.shape[1]), np.zeros(Z.shape[1])
    for start in range(0, n, _ROWS):
        part = Z[start : start + _ROWS]
        part -= mean
        left += np.ones(len(part)) @ part
        variance += np.einsum("ij,ij->j", part, part)
    variance = (variance - left**2 / n) / n
    scale = np.sqrt(variance)
    scale[variance <= n * eps * variance + (n * mean * eps) ** 2] = 1.0
    Z /= scale
    return Z, mean, scale


def _class_weights(kind: str | None, y: NDArray[np.int64], weight: Array) -> Array:
    if kind is None:
        return np.ones(len(y))
    return np.asarray(compute_class_weight(kind, classes=np.array([0, 1]), y=y, sample_weight=weight)[y])


def _of_weight(Z: Array, y: NDArray[np.int64], s: Array) -> tuple[Array, Array, Array]:
    if (s < 0).any():
        raise ValueError(f"sample_weight={s.min()} is not allowed: it must be at least 0")
    if not s.all():
        kept = s > 0
        Z, y, s = Z[kept], y[kept], s[kept]
    if not 0 < y.sum() < len(y):
        raise ValueError("two classes are needed, but the rows of positive weight of a part are of one class")
    return Z, y.astype(np.float64), s
