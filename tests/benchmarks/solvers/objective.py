"""The objective that every method is judged by, and bounds on its minimum; numpy and scipy, no code of the package.

F(w, b) = C sum_i log(1 + exp(-s_i (x_i w + b))) + r |w|_1 + (1 - r) / 2 |w|_2^2 with s_i = 2 y_i - 1, as scikit-learn
writes it with ``C`` and ``l1_ratio``; the intercept b is not penalised.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
CERTIFIED = 1e-10


@dataclass(frozen=True)
class Problem:
    """``X`` (n, p), ``y`` (n,) in {0, 1}; without ``intercept`` b is held at 0."""

    X: Array
    y: Labels
    C: float
    l1_ratio: float
    intercept: bool = True

    @property
    def penalty(self) -> str:
        """l2, l1 or elasticnet."""
        return {0.0: "l2", 1.0: "l1"}.get(self.l1_ratio, "elasticnet")


def value(problem: Problem, solution: Array) -> float:
    """F of a solution (p + 1,): the coefficients and the intercept; infinite if a number in it is not finite."""
    coef, r = solution[:-1], problem.l1_ratio
    if not np.isfinite(solution).all():
        return np.inf
    margins = np.where(problem.y > 0, -1.0, 1.0) * (problem.X @ coef + solution[-1])
    penalty = r * float(np.abs(coef).sum()) + (1 - r) / 2 * float(coef @ coef)
    return problem.C * float(np.logaddexp(0, margins).sum()) + penalty


def lower_bound(problem: Problem, solution: Array) -> float:
    """Fenchel's dual at a feasible point made from the residuals of ``solution``; no F is below it.

    With theta = C (p - y): D = -C sum loss*(theta / C) - penalty*(-X' theta), for sum theta = 0 where there is an
    intercept; where penalty* is an indicator (l1), theta is shrunk until it is feasible (Fercoq, Gramfort & Salmon
    2015, "Mind the duality gap").
    """
    y, r = problem.y, problem.l1_ratio
    theta = expit(problem.X @ solution[:-1] + solution[-1]) - y
    if problem.intercept:
        fakes, reals = -theta[y == 1].sum(), theta[y == 0].sum()
        # Balanced by shrinking the heavier class: each theta stays between 0 and its own bound.
        theta *= np.where(y == 1, min(1.0, reals / fakes), min(1.0, fakes / reals))
    slopes, conjugate = problem.C * np.abs(problem.X.T @ theta), 0.0
    if r == 1:
        theta *= min(1.0, 1.0 / float(slopes.max()))
    else:
        conjugate = float((np.maximum(slopes - r, 0) ** 2).sum()) / (2 * (1 - r))
    wrong = np.abs(theta)  # the probability of the wrong class
    return problem.C * float((entr(wrong) + entr(1 - wrong)).sum()) - conjugate


def newton_step(problem: Problem, solution: Array) -> Array:
    """One Newton step in the coefficients that are not 0, with their signs kept in the penalty, and the intercept."""
    r, coef, on = problem.l1_ratio, solution[:-1], np.flatnonzero(solution[:-1])
    rows = np.column_stack([problem.X[:, on], np.full(len(problem.y), float(problem.intercept))])
    p = expit(problem.X @ coef + solution[-1])
    slopes = np.append(r * np.sign(coef[on]) + (1 - r) * coef[on], 0)
    gradient = problem.C * rows.T @ (p - problem.y) + slopes
    hessian = (rows * (problem.C * p * (1 - p))[:, None]).T @ rows + np.diag(np.append(np.full(len(on), 1 - r), 0))
    found = solution.copy()
    found[np.append(on, -1)] -= np.linalg.lstsq(hessian, gradient, rcond=None)[0]
    return found


class Minimum:
    """The minimum of a problem, between the best dual bound and the least value of all points that were judged.

    Newton steps from ``start`` bring both together where its support is that of the minimum. Any point gives a true
    bound, so a start that is wrong leaves a gap, and makes no method look better than it is.
    """

    def __init__(self, problem: Problem, start: Array, steps: int = 4) -> None:
        self.problem, self.bound, self.least = problem, -np.inf, np.inf
        for _ in range(steps):
            self.suboptimality(start)
            start = newton_step(problem, start)

    def suboptimality(self, solution: Array) -> float:
        """(F - F*) / F*, with the best bound of all points so far for F*: it is never too small."""
        found = value(self.problem, solution)
        if np.isfinite(found):
            self.least = min(self.least, found)
            self.bound = max(self.bound, lower_bound(self.problem, solution))
        return (found - self.bound) / self.least

    @property
    def gap(self) -> float:
        """How far the least value can be above the minimum, relatively."""
        return (self.least - self.bound) / self.least
