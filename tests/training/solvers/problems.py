"""The objective written down once more, and small data that is hard in one way each."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression

Array = NDArray[np.float64]
TOL = 1e-12


def objective(X: Array, y: Array, w: Array, b: float, C: float, l1_ratio: float, s: Array | float = 1.0) -> float:
    """C sum s loss + l1_ratio |w|_1 + (1 - l1_ratio) / 2 |w|^2, the penalty alone left out where C is infinite."""
    margin = np.where(y > 0, 1, -1) * (X @ w + b)
    loss = float(np.sum(s * np.logaddexp(0, -margin)))
    if np.isinf(C):
        return loss
    return C * loss + l1_ratio * float(np.abs(w).sum()) + (1 - l1_ratio) / 2 * float(w @ w)


def table(n: int, p: int, seed: int, *, rare: int = 0, signal: float = 1.0) -> tuple[Array, NDArray[np.int64]]:
    """Correlated columns and labels that follow them; ``rare`` positives where it is given."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, max(1, p // 3))) @ random.normal(size=(max(1, p // 3), p)) + random.normal(size=(n, p))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    odds = signal * X @ random.normal(size=p) / np.sqrt(p) + random.logistic(size=n)
    y = (odds > (np.sort(odds)[-rare - 1] if rare else 0)).astype(np.int64)
    y[:2] = (0, 1)
    return X, y


def check_conditions(problem: tuple[Array, Array, Array, float, float], model: ProxNewtonLogisticRegression) -> None:
    """Zero lies in the subdifferential, up to what the bound on the objective allows."""
    X, y, s, C, ratio = problem
    w, b = model.coef_[0], float(model.intercept_[0])
    residual = C * s * (expit(X @ w + b) - y)
    gradient = X.T @ residual + (1 - ratio) * w
    left = np.where(w != 0, gradient + ratio * np.sign(w), np.maximum(np.abs(gradient) - ratio, 0))
    # F(w) - min F >= r^2 / (2 L) for each coordinate, with L its largest curvature (Nesterov 2012, section 2).
    curvature = C * s @ (X * X) / 4 + 1 - ratio
    allowed = np.sqrt(2 * curvature * objective(X, y, w, b, C, ratio, s) * TOL) + 1e-9 * (ratio + C * s @ np.abs(X))
    assert (np.abs(left) <= allowed).all()
    total = C * s.sum()
    assert abs(residual.sum()) <= np.sqrt(total / 2 * objective(X, y, w, b, C, ratio, s) * TOL) + 1e-9 * total
