"""The objective written down once more, and small data that is hard in one way each."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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
