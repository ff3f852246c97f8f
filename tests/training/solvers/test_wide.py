"""Tables with many columns for their rows: the same minima, by another way."""

import numpy as np
import pytest

from fvc_exp.training.solvers import newton, wide
from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression
from tests.training.solvers.problems import TOL, Array, check_conditions, objective, table


def wide_table(kind: str) -> tuple[Array, Array, Array]:
    n, p = (60, 300) if kind != "more rows than columns" else (300, 260)
    X, y = table(n, p, 3, rare=5 if kind == "few positives" else 0)
    s = np.ones(n)
    if kind == "pairs of equal columns":
        X[:, p // 2 :] = X[:, : p // 2]
    if kind == "nearly equal columns":
        X[:, p // 2 :] = X[:, : p // 2] + 1e-6 * X[:, p // 2 :]
    if kind == "other scales":
        X = X * 10.0 ** np.linspace(-3, 3, p) + 5
    if kind == "weights":
        s = np.random.default_rng(0).integers(0, 3, n) + 0.5
    if kind == "every row in both classes":
        X, y = np.repeat(X[: n // 2], 2, axis=0), np.arange(n) % 2
    if kind == "two rows":
        X, y, s = np.sign(X[:2]), np.arange(2), s[:2]
    return X, y, s


KINDS = [
    *("as it is", "more rows than columns", "few positives", "pairs of equal columns", "nearly equal columns"),
    *("other scales", "weights", "every row in both classes", "two rows"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.9, 1.0])
def test_conditions_of_a_minimum_hold(kind: str, ratio: float) -> None:
    X, y, s = wide_table(kind)
    for C in (1e-3, 0.1, 1.0, 100.0):
        model = ProxNewtonLogisticRegression(C=C, l1_ratio=ratio, tol=TOL).fit(X, y, s)
        assert model.gap_ <= TOL
        check_conditions((X, y, s, C, ratio), model)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
def test_finds_what_newton_finds_on_all_columns(ratio: float) -> None:
    X, y, s = wide_table("weights")
    p = X.shape[1]
    problem = newton.Problem(X, y.astype(float), s, np.full(p, ratio), np.full(p, 1 - ratio))
    start = np.random.default_rng(1).normal(size=p) * (np.arange(p) < 5), 0.3
    direct, other = (each(problem, *start, TOL, 100) for each in (newton.minimise, wide.fit_problem))
    assert direct.converged
    assert other.converged
    assert other.n_iter != direct.n_iter, "the way is the same"
    values = [objective(X, y, found.w, found.b, 1.0, ratio, s) for found in (direct, other)]
    assert values[1] == pytest.approx(values[0], rel=1e-11)
    assert np.abs(direct.w - other.w).max() < 1e-5


@pytest.mark.parametrize("strength", [0.5, 2.0, 8.0])
def test_gradients_that_mislead_cost_no_accuracy(strength: float, monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, s = wide_table("as it is")
    problem = newton.Problem(X, y.astype(float), s, np.full(X.shape[1], strength), np.zeros(X.shape[1]))
    start = np.zeros(X.shape[1]), 0.3
    direct = newton.minimise(problem, *start, TOL, 100)
    monkeypatch.setattr(wide, "_approach", lambda _, w, b: (w, b, 0 * w))
    found = wide.fit_problem(problem, *start, TOL, 100)
    values = [newton.evaluate(problem, each.w, each.b).value for each in (direct, found)]
    assert values[1] == pytest.approx(values[0], rel=1e-11)


def test_large_tables_are_fitted_with_any_c(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, s = wide_table("as it is")
    monkeypatch.setattr(wide, "_LARGE", 0)
    for C in (1e-45, 1e-3, 100.0, 1e45):
        model = ProxNewtonLogisticRegression(C=C, l1_ratio=0.0, tol=TOL).fit(X, y, s)
        assert model.gap_ <= TOL
        check_conditions((X, y, s, C, 0.0), model)


def test_steps_end_at_max_iter() -> None:
    X, y, _ = wide_table("as it is")
    for ratio in (0.0, 1.0):
        with pytest.warns(Warning, match="max_iter=2"):
            model = ProxNewtonLogisticRegression(C=10.0, l1_ratio=ratio, max_iter=2).fit(X, y)
        assert model.n_iter_ == 2


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_huge_c_falls_back_where_products_do_not_settle_it(ratio: float) -> None:
    X, y, s = wide_table("nearly equal columns")
    model = ProxNewtonLogisticRegression(C=1e8, l1_ratio=ratio).fit(X, y)
    assert model.gap_ <= model.tol
    assert model.n_iter_ < 200
    check_conditions((X, y, s, 1e8, ratio), model)
