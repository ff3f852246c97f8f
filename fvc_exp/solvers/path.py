"""All points of a grid on one training part, each fit started from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fvc_exp.solvers import chord, newton
from fvc_exp.solvers.passes import Rows

Array = NDArray[np.float64]

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
        state = chord.fit_together(Rows(Z, y, s), l1, l2, tol)
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
