"""Other libraries: glum, glmnet (two bindings), skglm and celer, each called as its documentation says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.benchmarks.solvers.competitor import Competitor, Path, max_iter, strength
from tests.benchmarks.solvers.objective import Problem, Solution


def _strengths(problem: Problem, Cs: Sequence[float]) -> np.ndarray:
    return np.array([strength(problem, C) for C in Cs])


def glum_path(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """Prox-Newton; with several C its warm path."""
    from glum import GeneralizedLinearRegressor

    alphas = _strengths(problem, Cs)
    chosen = {"alpha": alphas[0]} if len(Cs) == 1 else {"alpha_search": True, "alphas": alphas}
    model = GeneralizedLinearRegressor(
        l1_ratio=problem.l1_ratio, family="binomial", gradient_tol=tol, max_iter=1000, **chosen
    ).fit(problem.X, problem.y)
    if len(Cs) == 1:
        return [Solution(model.coef_, float(model.intercept_))]
    pairs = zip(model.coef_path_, model.intercept_path_, strict=True)
    return [Solution(coef, float(intercept)) for coef, intercept in pairs]


def glmnet_path(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """The Fortran glmnet, by python-glmnet."""
    from glmnet import LogitNet

    model = LogitNet(
        alpha=problem.l1_ratio, lambda_path=_strengths(problem, Cs), standardize=False, n_splits=0, tol=tol,
        max_iter=max_iter(problem) * len(Cs),
    ).fit(problem.X, problem.y)  # fmt: skip
    pairs = zip(model.coef_path_[0].T, model.intercept_path_[0], strict=True)
    return [Solution(coef.copy(), float(intercept)) for coef, intercept in pairs]


def glmnet_rs_path(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """glmnet's algorithm in Rust."""
    from glmnetrs import glmnet

    found = glmnet(
        problem.X, problem.y.astype(float), family="binomial", alpha=problem.l1_ratio,
        lambda_=_strengths(problem, Cs), standardize=False, thresh=tol, maxit=max_iter(problem) * len(Cs),
    )  # fmt: skip
    return [Solution(coef.copy(), float(intercept)) for coef, intercept in zip(found.beta.T, found.a0, strict=True)]


def skglm_path(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """Working sets and prox-Newton; with several C by ``warm_start``."""
    from skglm import SparseLogisticRegression

    model = SparseLogisticRegression(l1_ratio=problem.l1_ratio, tol=tol, max_iter=100, warm_start=len(Cs) > 1)
    found = []
    for C in Cs:
        model.set_params(alpha=strength(problem, C)).fit(problem.X, problem.y)
        found.append(Solution(model.coef_[0].copy(), float(np.ravel(model.intercept_)[0])))
    return found


def celer_fit(problem: Problem, tol: float) -> Solution:
    """Working sets with dual extrapolation; it has no intercept."""
    from celer import LogisticRegression

    return Solution(LogisticRegression(C=problem.C, tol=tol).fit(problem.X, problem.y).coef_[0])


def competitors() -> list[Competitor]:
    """All that this interpreter could import."""

    def of(name: str, module: str, path: Path, **more: Any) -> Competitor:
        return Competitor(name, module, lambda problem, tol: path(problem, [problem.C], tol)[0], path, **more)

    return [
        of("glum", "glum", glum_path),
        of("glmnet", "glmnet", glmnet_path, default_tol=1e-7, columns=True),
        of("glmnet-rs", "glmnetrs", glmnet_rs_path, default_tol=1e-7),
        of("skglm", "skglm", skglm_path, columns=True),
        Competitor(
            "celer", "celer", celer_fit, penalties=("l1",), own="no intercept", reason="celer fits l1 only",
            columns=True,
        ),
    ]  # fmt: skip
