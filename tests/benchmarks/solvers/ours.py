"""Our side: the estimator, its warm path, and the grid engine, under the names that the tables use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.solvers.competitor import Competitor
from tests.benchmarks.solvers.grid import Result, Task, by_paths
from tests.benchmarks.solvers.objective import Problem, Solution
from tests.benchmarks.solvers.scoring import auc_of, log_loss_of

Array = NDArray[np.float64]

SINGLE = "ours"
GRID = "ours: grid"
WARM = "ours: single fits, warm"
GRID_TOL = 1e-9


def path(problem: Problem, Cs: Sequence[float], tol: float) -> list[Solution]:
    """Fits along C, each started from the one before."""
    from fvc_exp.training.solvers.estimator import ProxNewtonLogisticRegression

    model = ProxNewtonLogisticRegression(l1_ratio=problem.l1_ratio, tol=tol, max_iter=1000, warm_start=len(Cs) > 1)
    found = []
    for C in Cs:
        model.set_params(C=C).fit(problem.X, problem.y)
        found.append(Solution(model.coef_[0].copy(), float(model.intercept_[0])))
    return found


def competitors(threads: int) -> list[Competitor]:
    """The estimator, under the same rule as the others."""

    def fit(problem: Problem, tol: float) -> Solution:
        return path(problem, [problem.C], tol)[0]

    return [Competitor(SINGLE, "fvc_exp", fit, path, default_tol=GRID_TOL, family="ours")]


def by_grid(task: Task, threads: int) -> Result:
    """All folds and points in one call, the same scoring as everybody's, and the best point on all rows."""
    from fvc_exp.training.solvers.grid import Point, fit_grid

    X, y = task.table.X, task.table.y
    points = [Point(C, ratio) for C, ratio in task.points]
    found = fit_grid(X, y, [train for train, _ in task.folds], points, tol=GRID_TOL, n_threads=threads)

    def score(number: int) -> tuple[Array, Array]:
        test = task.folds[number][1]
        values = (X[test] - found.mean[number]) @ (found.coef[number] / found.scale[number]).T + found.intercept[number]
        return log_loss_of(values, y[test]), auc_of(values, y[test])

    with ThreadPoolExecutor(threads) as pool:
        loss, auc = (np.array(each) for each in zip(*pool.map(score, range(len(task.folds))), strict=True))
    solutions = [
        [Solution(coef, float(intercept)) for coef, intercept in zip(*pair, strict=True)]
        for pair in zip(found.coef, found.intercept, strict=True)
    ]
    result = Result(loss, auc, solutions)
    best = fit_grid(X, y, [np.arange(len(y))], [points[result.best]], tol=GRID_TOL, n_threads=threads)
    result.refit = Solution(best.coef[0][0], float(best.intercept[0][0]))
    return result


def grid_methods(task: Task) -> dict[str, Callable[[], Result]]:
    """Name to call."""
    return {
        GRID: lambda: by_grid(task, 1),
        f"{GRID}, 2 threads": lambda: by_grid(task, 2),
        WARM: lambda: by_paths(task, path, GRID_TOL),
    }
