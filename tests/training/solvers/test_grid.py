import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from fvc_exp.training.solvers.grid import PartFits, Point, fit_complements, fit_grid
from tests.training.solvers.problems import Array, objective, table

# With a smaller C saga's intercept stays where no tolerance helps: test_hard_data_is_fitted_too has those.
POINTS = [Point(C, ratio) for ratio in (0.0, 0.3, 1.0) for C in (0.3, 10.0)] + [Point(0.001, 0.0), Point(np.inf, 0.0)]
Parts = list[np.ndarray]


def complements(n: int, k: int = 3) -> Parts:
    """Training rows of k folds, and all rows."""
    return [np.flatnonzero(np.arange(n) % k != fold) for fold in range(k)] + [np.arange(n)]


def reference(point: Point, X: Array, y: Array, **more: object) -> Pipeline:
    solver = "saga" if point.l1_ratio else "newton-cholesky"
    model = LogisticRegression(C=point.C, l1_ratio=point.l1_ratio, solver=solver, tol=1e-10, max_iter=100_000, **more)
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), model).fit(X, y)


def assert_equal(
    found: list[PartFits], X: Array, y: Array, parts: Parts, points: list[Point], **parameters: object
) -> None:
    for part, rows in zip(found, parts, strict=True):
        for point in points:
            fit, model = part.fits[point], reference(point, X[rows], y[rows], **parameters)[-1]
            assert fit.converged
            assert fit.gap <= 1e-12
            np.testing.assert_allclose(fit.w, model.coef_[0], atol=2e-5)
            np.testing.assert_allclose(fit.b, model.intercept_[0], atol=2e-5)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 1, 1: 3}])
@pytest.mark.parametrize("missing", [False, True])
def test_equals_pipelines_of_scikit_learn(class_weight: dict[int, float] | str | None, missing: bool) -> None:
    X, y = table(150, 5, 0, rare=40)
    X = 3 * X + 100
    if missing:
        X[np.random.default_rng(1).random(X.shape) < 0.1] = np.nan
        X[np.arange(150) % 3 != 0, 2] = np.nan  # empty in one part: newton-cholesky needs a penalty then
    points = [point for point in POINTS if not missing or np.isfinite(point.C)]
    parts = complements(150)
    found = fit_grid(X, y, parts, points, class_weight=class_weight, tol=1e-12)
    assert_equal(found, X, y, parts, points, class_weight=class_weight)
    sections = [np.setdiff1d(parts[-1], rows) for rows in parts[:-1]]
    for point in filter(lambda each: np.isfinite(each.C) and not missing and class_weight is None, points):
        assert_equal(fit_complements(X, y, sections, point, tol=1e-12), X, y, parts, [point])


def test_parts_may_be_anything() -> None:
    X, y = table(150, 5, 2)
    random = np.random.default_rng(3)
    parts = [random.permutation(150)[:60], random.integers(0, 150, 200), np.arange(90, 150)]
    assert_equal(fit_grid(X, y, parts, POINTS, tol=1e-12), X, y, parts, POINTS)


@pytest.mark.parametrize("case", ["strong", "outlier", "rare", "p > n", "duplicates"])
def test_hard_data_is_fitted_too(case: str) -> None:
    """Where one model of the loss does not serve all points; judged by a far tighter single fit."""
    from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression

    n, p = (40, 80) if case == "p > n" else (300, 8)
    X, y = table(n, p, 6, rare=4 if case == "rare" else 0, signal=30.0 if case == "strong" else 1.0)
    if case == "outlier":
        X[7, 1] = 1e6
    if case == "duplicates":
        X[:, 1], X[:, 2] = X[:, 0], X[:, 3] + 1e-4 * X[:, 2]
    points = [Point(C, ratio) for ratio in (0.0, 0.5, 1.0) for C in (1e-3, 0.1, 10.0, 100.0)]
    [part] = fit_grid(X, y, [np.arange(n)], points)
    Z = StandardScaler().fit_transform(X)
    for point in points:
        assert part.fits[point].converged
        *_, (_, together) = fit_complements(X, y, [np.arange(0, n, 2), np.arange(1, n, 2)], point)
        single = ProxNewtonLogisticRegression(C=point.C, l1_ratio=point.l1_ratio, tol=1e-11).fit(Z, y)
        best = objective(Z, y, single.coef_[0], float(single.intercept_[0]), point.C, point.l1_ratio)
        for found in filter(lambda each: each.converged, (part.fits[point], together[point])):
            ours = objective(Z, y, found.w, found.b, point.C, point.l1_ratio)
            assert abs(ours - best) <= (found.gap + single.gap_ + 1e-14) * best * (1 + 1e-6)


def test_threads_change_nothing_but_the_time_and_progress_counts_parts() -> None:
    X, y = table(200, 6, 7)
    seen: list[tuple[int, int]] = []
    one = fit_grid(X, y, complements(200), POINTS)
    two = fit_grid(X, y, complements(200), POINTS, n_threads=2, on_progress=lambda *done: seen.append(done))
    for few, many in zip(one, two, strict=True):
        for point in POINTS:
            np.testing.assert_array_equal(few.fits[point].w, many.fits[point].w)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_separable_without_a_penalty_is_not_converged() -> None:
    X, y = table(60, 3, 8)
    X[:, 0] = 2.0 * y - 1
    points = [Point(np.inf, 0.0), Point(1.0, 0.0)]
    [(_, found)] = fit_grid(X, y, [np.arange(60)], points)
    assert [found[point].converged for point in points] == [False, True]
    assert np.isfinite(found[points[0]].w).all()


def test_a_part_of_one_class_is_refused() -> None:
    X, y = table(60, 3, 9)
    with pytest.raises(ValueError, match="two classes are needed"):
        fit_grid(X, y, [np.flatnonzero(y == 1)], POINTS)
