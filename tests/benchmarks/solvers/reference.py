"""Reference minima: proximal Newton steps in plain numpy with scikit-learn's coordinate descent, certified by a dual.

Slow and sure. No code of this package takes part, and no number of it is used: the certificate is
``objective.relative_gap``, which bounds the distance to the true minimum whatever found the point.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.solvers.objective import (
    Problem,
    Solution,
    Vector,
    log_odds,
    probability,
    relative_gap,
    value,
)

CERTIFIED = 1e-10
MAX_STEPS = 60


@dataclass(frozen=True)
class Reference:
    """The best value found, where, and how far it can be above the minimum, relatively."""

    value: float
    solution: Solution
    gap: float

    def suboptimality(self, found: float) -> float:
        """(F - F*) / F*; slightly negative where a solver is better than the reference by rounding."""
        return (found - self.value) / self.value


def _quadratic(problem: Problem, point: Solution) -> tuple[NDArray[np.float64], Vector, Vector, float, float]:
    """Hessian and gradient of the loss in w with the intercept eliminated, and what gives the intercept back."""
    p = probability(log_odds(problem, point))
    weights = problem.C * p * (1 - p)
    residual = problem.C * (p - problem.y)
    gradient = problem.X.T @ residual
    hessian = (problem.X * weights[:, None]).T @ problem.X
    cross, total, slope = problem.X.T @ weights, max(float(weights.sum()), 1e-300), float(residual.sum())
    if problem.intercept:
        hessian -= np.outer(cross, cross) / total
        gradient = gradient - cross * (slope / total)
    return hessian, gradient, cross, total, slope


def _minimise(problem: Problem, hessian: NDArray[np.float64], gradient: Vector, start: Vector) -> Vector:
    """The w that minimises the quadratic model around ``start`` plus the penalty."""
    from sklearn.linear_model import enet_path

    r, size = problem.l1_ratio, len(start)
    eye = np.eye(size)
    target = hessian @ start - gradient
    if r == 0:
        return np.linalg.solve(hessian + eye, target)
    eigenvalues, vectors = np.linalg.eigh(hessian)
    root = np.sqrt(np.maximum(eigenvalues, 0))
    kept = root > 1e-9 * root[-1]
    rows = root[kept, None] * vectors[:, kept].T
    response = (vectors[:, kept].T @ target) / root[kept]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many sweeps: the outer loop and the certificate judge the result
        _, path, _ = enet_path(
            np.asfortranarray(rows), response, l1_ratio=r, alphas=[1 / len(rows)], coef_init=start.copy(),
            max_iter=20_000, tol=1e-12, precompute=rows.T @ rows, Xy=rows.T @ response,
        )  # fmt: skip
    coef = path[:, 0]
    # Exact on the support that coordinate descent found, unless a sign turns.
    on = np.flatnonzero(coef)
    signs = np.sign(coef[on])
    exact = np.zeros(size)
    matrix = hessian[np.ix_(on, on)] + (1 - r) * eye[np.ix_(on, on)]
    exact[on] = np.linalg.lstsq(matrix, target[on] - r * signs, rcond=None)[0]
    return exact if np.array_equal(np.sign(exact[on]), signs) else coef


def _step(problem: Problem, point: Solution, gap: float) -> Solution:
    """One proximal Newton step, halved until the value falls; the same point where nothing helps."""
    hessian, gradient, cross, total, slope = _quadratic(problem, point)
    move = _minimise(problem, hessian, gradient, point.coef) - point.coef
    shift = -(slope + float(cross @ move)) / total if problem.intercept else 0.0
    now = value(problem, point)
    for halving in range(40):
        size = 0.5**halving
        trial = Solution(point.coef + size * move, point.intercept + size * shift)
        found = value(problem, trial)
        # Where the value is level to the last digit only the bound tells the better point.
        if found < now or (found <= now * (1 + 1e-14) and relative_gap(problem, trial) < gap):
            return trial
    return point


def reference(problem: Problem, start: Solution | None = None) -> Reference:
    """The minimum of ``problem``, from ``start`` or from zero; stops when certified or when no step helps."""
    share = float(problem.y.mean())
    prior = float(np.log(share / (1 - share))) if problem.intercept else 0.0
    point = start or Solution(np.zeros(problem.X.shape[1]), prior)
    gap = relative_gap(problem, point)
    for _ in range(MAX_STEPS):
        if abs(gap) <= CERTIFIED / 10:
            break
        following = _step(problem, point, gap)
        if following is point:
            break
        point, gap = following, relative_gap(problem, following)
    return Reference(value(problem, point), point, gap)
