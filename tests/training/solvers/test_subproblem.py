"""Problems that a guess of the support does not settle: the conditions of a minimum hold at the step that is found."""

import numpy as np
import pytest

from fvc_exp.training.solvers.subproblem import solve

P = 30


@pytest.mark.parametrize("kind", ["plain", "copies", "nearly copies", "few rows", "no ridge at all"])
@pytest.mark.parametrize("share", [1e-6, 1e-3, 0.1])
def test_conditions_of_a_minimum(kind: str, share: float) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(12 if kind == "few rows" else 100, P))
    if "copies" in kind:
        rows[:, 15:] = rows[:, :15] + (1e-4 if kind == "nearly copies" else 0) * rows[:, 15:]
    A, start = rows.T @ rows, random.normal(size=(40, P)) * (random.random((40, P)) < 0.3)
    g = random.normal(size=(40, len(rows))) @ rows  # in the range of A, or there is no minimum
    l1 = np.repeat(share * np.abs(g).max(axis=1, keepdims=True), P, axis=1)
    l2 = np.zeros_like(l1) if kind == "no ridge at all" else 1e-3 * l1
    step = solve(A, g, l1, l2, start)
    x = start + step
    gradient = step @ A + g + l2 * x
    left = np.where(x != 0, gradient + l1 * np.sign(x), np.maximum(np.abs(gradient) - l1, 0))
    assert np.abs(left).max() <= 1e-9 * np.abs(g).max()
    assert (x == 0).any() or share < 1e-3
