"""Separation, against a linear program over all rows and columns."""

import numpy as np
import pytest
from scipy.optimize import linprog

from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression
from tests.training.solvers.problems import Array, table

MADE = {
    "as measured": lambda X: X,
    "integers": np.round,
    "binary": lambda X: (X > 1).astype(float),
    "one-hot": lambda X: np.eye(4)[np.round(X[:, 0]).astype(int) % 4],
    "copies": lambda X: np.column_stack([X, X]),
    "heavy tails": lambda X: np.sinh(3 * X),
}


def separates(X: Array, y: Array) -> bool:
    """Whether a direction has no row on the wrong side of a plane, and one that is off it."""
    scale = np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
    sides = np.column_stack([(X - X.mean(axis=0)) / scale, np.ones(len(X))]) * np.where(y > 0, 1, -1)[:, None]
    found = linprog(-sides.sum(axis=0), A_ub=-sides, b_ub=np.zeros(len(sides)), bounds=(-1, 1))
    return bool((sides @ found.x).max() > 1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", MADE)
def test_equals_a_linear_program(kind: str) -> None:
    random, found = np.random.default_rng(0), []
    for seed in range(40):
        n, p, signal = (int(random.choice(values)) for values in ([8, 15, 30, 60], [1, 2, 4], [0, 1, 6]))
        X, y = table(n, p, seed, rare=2 if seed % 3 == 0 else 0, signal=signal)
        X = MADE[kind](X)
        model = ProxNewtonLogisticRegression(C=np.inf).fit(X, y)
        assert model.separable_ == separates(X, y)
        found.append(model.separable_)
    assert 0 < sum(found) < len(found)
