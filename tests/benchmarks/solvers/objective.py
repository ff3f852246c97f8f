"""The objective that every solver here is judged by, and a bound on its minimum; plain numpy, no code of ours.

F(w, b) = C sum_i log(1 + exp(-s_i (x_i w + b))) + r |w|_1 + (1 - r) / 2 |w|_2^2 with s_i = 2 y_i - 1, as scikit-learn
writes it with ``C`` and ``l1_ratio``; the intercept b is not penalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """``X`` (n, p), ``y`` (n,) in {0, 1}; without ``intercept`` b is held at 0."""

    X: NDArray[np.float64]
    y: NDArray[np.int64]
    C: float
    l1_ratio: float
    intercept: bool = True


@dataclass(frozen=True)
class Solution:
    """Coefficients (p,) and the intercept."""

    coef: Vector
    intercept: float = 0.0


def log_odds(problem: Problem, solution: Solution) -> Vector:
    """x_i w + b, shape (n,)."""
    return np.asarray(problem.X @ solution.coef + solution.intercept)


def value(problem: Problem, solution: Solution) -> float:
    """F; infinite where a solver gave a number that is none."""
    if not (np.isfinite(solution.coef).all() and np.isfinite(solution.intercept)):
        return np.inf
    margins = np.where(problem.y > 0, -1.0, 1.0) * log_odds(problem, solution)
    return problem.C * float(np.logaddexp(0, margins).sum()) + penalty(problem, solution.coef)


def penalty(problem: Problem, coef: Vector) -> float:
    """r |w|_1 + (1 - r) / 2 |w|_2^2."""
    r = problem.l1_ratio
    return r * float(np.abs(coef).sum()) + (1 - r) / 2 * float(coef @ coef)


def probability(values: Vector) -> Vector:
    """1 / (1 + exp(-values)), without overflow."""
    small = np.exp(-np.abs(values))
    return np.asarray(np.where(values >= 0, 1, small) / (1 + small))


def lower_bound(problem: Problem, solution: Solution) -> float:
    """Fenchel's dual at a feasible point made from the residuals of ``solution``; no F is below it.

    With theta = C (p - y): D = -C sum loss*(theta / C) - penalty*(-X' theta), for sum theta = 0 where there is an
    intercept; where penalty* is an indicator (l1), theta is shrunk until it is feasible (Fercoq, Gramfort & Salmon
    2015, "Mind the duality gap").
    """
    y, r = problem.y, problem.l1_ratio
    theta = probability(log_odds(problem, solution)) - y
    if problem.intercept:
        fakes, reals = -theta[y == 1].sum(), theta[y == 0].sum()
        # Balanced by shrinking the heavier class: each theta stays between 0 and its own bound.
        theta *= np.where(y == 1, min(1.0, reals / fakes), min(1.0, fakes / reals))
    slopes = problem.C * np.abs(problem.X.T @ theta)
    if r == 1:
        shrink = min(1.0, 1.0 / float(slopes.max()))
        theta, conjugate = theta * shrink, 0.0
    else:
        conjugate = float((np.maximum(slopes - r, 0) ** 2).sum()) / (2 * (1 - r))
    p = np.abs(theta)  # of the wrong class
    q = 1 - p
    entropy = -float((p * np.log(np.maximum(p, 1e-300)) + q * np.log(np.maximum(q, 1e-300))).sum())
    return problem.C * entropy - conjugate


def relative_gap(problem: Problem, solution: Solution) -> float:
    """(F - D) / F: at most this much, relatively, is left to gain."""
    found = value(problem, solution)
    return (found - lower_bound(problem, solution)) / found
