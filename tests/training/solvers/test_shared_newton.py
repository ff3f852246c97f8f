"""Sums over the rows in either precision, against a plain second implementation."""

from dataclasses import replace

import numpy as np
import pytest

from fvc_exp.training.solvers import newton
from fvc_exp.training.solvers.newton import Problem
from fvc_exp.training.solvers.shared_newton import fit_penalties, sum_over_rows
from fvc_exp.training.solvers.subproblem import quadratic_model
from tests.training.solvers.problems import objective

N, P, M = 5_000, 6, 4


def rows_of(seed: int) -> Problem:
    random = np.random.default_rng(seed)
    X, y, s = random.normal(size=(N, P)), random.integers(0, 2, N).astype(float), random.uniform(0.1, 2, N)
    return Problem(X, y, s, np.zeros(P), np.zeros(P))


def points(seed: int, size: float) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return size * random.normal(size=(M, P)), size * random.normal(size=M)


@pytest.mark.parametrize(("precision", "rtol"), [(np.float64, 1e-11), (np.float32, 1e-4)])
def test_sums_are_those_of_a_plain_implementation(precision: type[np.floating], rtol: float) -> None:
    rows, (w, b) = rows_of(0), points(1, 0.3)
    models = [quadratic_model(rows.X, d) for d in (0.2 * rows.s, np.linspace(0.1, 0.3, N))]
    found = sum_over_rows(rows, [(w[:1], b[:1], models[0]), (w[1:], b[1:], models[1])], precision)
    for sums, model, of in zip(found, models, (slice(0, 1), slice(1, M)), strict=True):
        share = 1 / (1 + np.exp(-(w[of] @ rows.X.T + b[of, None])))
        slope, ratio = rows.s * (share - rows.y), rows.s * share * (1 - share) / model.d
        loss = -np.log(np.where(rows.y > 0, share, 1 - share)) @ rows.s
        np.testing.assert_allclose(sums.gradient, slope @ rows.X, rtol=rtol, atol=rtol * N)
        np.testing.assert_allclose(sums.intercept_gradient, slope.sum(axis=1), rtol=rtol, atol=rtol * N)
        np.testing.assert_allclose(sums.low, ratio.min(axis=1), rtol=rtol)
        np.testing.assert_allclose(sums.high, ratio.max(axis=1), rtol=rtol)
        assert np.all((0.5 * loss < sums.loss_bound) & (sums.loss_bound < loss))


@pytest.mark.parametrize("size", [0.01, 0.5, 1.0, 1.7])
def test_distance_made_by_rounding_is_bounded(size: float) -> None:
    rows, (w, b) = rows_of(2), points(3, size)
    (sums,) = sum_over_rows(rows, [(w, b, quadratic_model(rows.X, 0.2 * rows.s))], np.float32)
    eta = w @ rows.X.T + b[:, None]
    rounded = 1 / (1 + np.exp(-(w @ rows.X.T).astype(np.float32) - b[:, None].astype(np.float32)))
    right, wrong = 1 / (1 + np.exp(-np.abs(eta))), 1 / (1 + np.exp(np.abs(eta)))
    error = rounded - np.where(eta > 0, right, wrong)
    distance = np.sum(rows.s * error**2 / (right * wrong), axis=1)
    assert rounded.dtype == np.float32
    assert np.all(distance > 0)
    assert np.all(distance <= sums.error)


@pytest.mark.parametrize(("tol", "is_exact"), [(1e-9, False), (1e-14, True)])
def test_double_precision_where_a_tolerance_asks_for_it(tol: float, is_exact: bool) -> None:
    rows = rows_of(4)
    l1, l2 = np.full((M, P), 2.0), np.repeat(np.geomspace(1, 30, M)[:, None], P, axis=1)
    state = fit_penalties(replace(rows, l1=l1, l2=l2), tol)
    assert state.is_exact.tolist() == [is_exact] * M
    assert state.gap.max() <= tol
    for number in range(M):
        problem = replace(rows, l1=l1[number], l2=l2[number])
        best = newton.minimise(problem, np.zeros(P), 0.0, 1e-15, 1000)
        np.testing.assert_allclose(state.w[number], best.w, rtol=0, atol=1e-7 if is_exact else 1e-4)


def test_fit_with_log_odds_beyond_single_precision() -> None:
    """The last bits of 1 - q are gone from 16 on."""
    random = np.random.default_rng(4)
    Z = random.normal(size=(N, P))
    Z[0] *= 120
    y = (random.random(N) < 1 / (1 + np.exp(-0.3 * Z[:, 0]))).astype(float)
    l1, l2 = np.zeros((M, P)), np.repeat(np.geomspace(1, 30, M)[:, None], P, axis=1)
    state = fit_penalties(Problem(Z, y, np.ones(N), l1, l2), 1e-9)
    assert np.abs(Z[0] @ state.w.T + state.b).min() > 16
    assert state.gap.max() <= 1e-9
    for number in range(M):
        problem = Problem(Z, y, np.ones(N), l1[number], l2[number])
        best = newton.minimise(problem, np.zeros(P), 0.0, 1e-14, 1000)
        found = ((best.w, best.b), (state.w[number], float(state.b[number])))
        least, reached = (objective(Z, y, w, b, 1 / l2[number, 0], 0.0) for w, b in found)
        assert -1e-14 * least <= reached - least <= state.gap[number] * least


@pytest.mark.parametrize("weight", [1e-60, 1e60])
def test_unit_of_the_weights_does_not_matter(weight: float) -> None:
    rows = rows_of(5)
    l1, l2 = np.full((M, P), 20.0), np.repeat(np.geomspace(1, 30, M)[:, None], P, axis=1)
    plain = fit_penalties(replace(rows, l1=l1, l2=l2), 1e-9)
    scaled = fit_penalties(Problem(rows.X, rows.y, weight * rows.s, weight * l1, weight * l2), 1e-9)
    assert not plain.is_exact.any()
    assert scaled.is_exact.all()
    assert scaled.gap.max() <= 1e-9
    np.testing.assert_allclose(scaled.w, plain.w, rtol=0, atol=1e-4)
