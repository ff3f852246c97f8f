"""scikit-learn's own solvers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks.solvers.competitor import Competitor, Fit, Path, max_iter
from tests.benchmarks.solvers.objective import Problem, Solution

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

SMOOTH = ("lbfgs", "newton-cholesky", "newton-cg", "sag")


def estimator(problem: Problem, solver: str, tol: float) -> LogisticRegression:
    """The estimator as a user writes it, with enough iterations."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(
        C=problem.C, l1_ratio=problem.l1_ratio, solver=solver, tol=tol, max_iter=max_iter(problem), random_state=0
    )


def fit_with(solver: str) -> Fit:
    """One fit from nothing."""

    def fit(problem: Problem, tol: float) -> Solution:
        model = estimator(problem, solver, tol).fit(problem.X, problem.y)
        return Solution(model.coef_[0], float(model.intercept_[0]))

    return fit


def path_with(solver: str) -> Path:
    """``warm_start`` along C."""

    def path(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
        model = estimator(problem, solver, tol).set_params(warm_start=True)
        found = []
        for C in Cs:
            model.set_params(C=C).fit(problem.X, problem.y)
            found.append(Solution(model.coef_[0].copy(), float(model.intercept_[0])))
        return found

    return path


def _liblinear(problem: Problem, tol: float) -> Solution:
    found = fit_with("liblinear")(problem, tol)
    # It penalises the intercept like a coefficient, so it is one.
    return Solution(np.append(found.coef, found.intercept))


def competitors() -> list[Competitor]:
    """All of them; liblinear on its own objective."""
    reason = "this solver of scikit-learn fits l2 only"
    smooth = [
        Competitor(
            name, "sklearn", fit_with(name), path_with(name), penalties=("l2",), reason=reason, family="scikit-learn"
        )
        for name in SMOOTH
    ]
    saga = Competitor("saga", "sklearn", fit_with("saga"), path_with("saga"), family="scikit-learn")
    liblinear = Competitor(
        "liblinear", "sklearn", _liblinear, penalties=("l2", "l1"), own="penalised intercept",
        reason="liblinear has no elastic net", family="scikit-learn",
    )  # fmt: skip
    return [*smooth, saga, liblinear]
