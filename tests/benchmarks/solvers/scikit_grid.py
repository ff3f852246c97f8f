"""The grid by scikit-learn's own searches, as a user writes them."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.solvers.grid import Result, Task
from tests.benchmarks.solvers.objective import Solution

# More than saga needs at its own tolerance; it stops before.
MAX_ITER = 100_000


def grid_search(task: Task, solver: str, jobs: int = 2) -> Result:
    """GridSearchCV over a pipeline with its scaler, AUC and log loss, the best refitted."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(solver=solver, max_iter=MAX_ITER, random_state=0)
    search = GridSearchCV(
        Pipeline([("scaler", StandardScaler()), ("model", model)]),
        {"model__l1_ratio": list(task.l1_ratios), "model__C": list(task.Cs)},
        scoring={"loss": "neg_log_loss", "auc": "roc_auc"}, refit="loss", cv=list(task.folds), n_jobs=jobs,
        error_score="raise",
    ).fit(task.table.X, task.table.y)  # fmt: skip
    asked = [(each["model__C"], each["model__l1_ratio"]) for each in search.cv_results_["params"]]
    order = [asked.index(point) for point in task.points]
    names = [f"split{number}_test_" for number in range(len(task.folds))]
    loss = np.array([-search.cv_results_[f"{name}loss"][order] for name in names])
    auc = np.array([search.cv_results_[f"{name}auc"][order] for name in names])
    last = search.best_estimator_[-1]
    return Result(loss, auc, refit=Solution(last.coef_[0], float(last.intercept_[0])))


def logistic_cv(task: Task, solver: str, jobs: int = 2) -> Result:
    """LogisticRegressionCV with its one score; its scaler is outside the folds, as it has no place for one inside."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.preprocessing import StandardScaler

    X = StandardScaler().fit_transform(task.table.X)
    model = LogisticRegressionCV(
        Cs=list(task.Cs), l1_ratios=list(task.l1_ratios), cv=list(task.folds), solver=solver, max_iter=MAX_ITER,
        scoring="neg_log_loss", n_jobs=jobs, use_legacy_attributes=False, random_state=0,
    ).fit(X, task.table.y)  # fmt: skip
    # (folds, l1_ratios, Cs)
    loss = -np.asarray(model.scores_).reshape(len(task.folds), -1)
    return Result(loss, refit=Solution(model.coef_[0], float(np.ravel(model.intercept_)[0])))
