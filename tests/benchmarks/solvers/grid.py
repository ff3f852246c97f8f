"""The whole grid under grouped folds: every C and l1_ratio, a scaler per fold, two scores, the best point refitted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.solvers import data
from tests.benchmarks.solvers.measure import Entrant, Job, measure, race
from tests.benchmarks.solvers.methods import METHODS, OURS, Method, path
from tests.benchmarks.solvers.objective import Array, Labels, Minimum, Problem, Solution

Rows = Labels | slice
ALL = slice(None)
L1_RATIOS = (0.0, 0.1, 0.5, 0.9, 1.0)
OURS_GRID = "ours: grid"
MAX_ITER = 100_000  # more than saga needs at its own tolerance; it stops before


@dataclass(frozen=True)
class Task:
    """A table, its folds and the grid; ``Cs`` ascend."""

    table: data.Table
    folds: Sequence[tuple[Labels, Labels]]
    Cs: Sequence[float]
    l1_ratios: Sequence[float] = L1_RATIOS

    @property
    def points(self) -> list[tuple[float, float]]:
        """(C, l1_ratio), the order of every result."""
        return [(C, ratio) for ratio in self.l1_ratios for C in self.Cs]

    def scaled(self, rows: Rows, fitted_to: Rows) -> Array:
        """Rows with the mean 0 and the deviation 1 of those that the scaler is fitted to."""
        X = self.table.X
        return np.ascontiguousarray((X[rows] - X[fitted_to].mean(axis=0)) / X[fitted_to].std(axis=0))


def auc_of(scores: Array, y: Labels) -> Array:
    """Area under the ROC curve of each column of scores (n, m) against y (n,), ties counted half.

    A score's last bit gives way to a label, so that sorting without an index does; scores closer than that are ties.
    The mean of the two orders, all fakes of a tie last and all first, counts half.
    """
    keys = np.ascontiguousarray(scores.T).view(np.int64)
    keys = np.where(keys < 0, np.int64(-(2**63)) - keys, keys) & ~np.int64(1)
    ranks = np.arange(1.0, len(y) + 1)
    most = (np.sort(keys | y, axis=1) & 1) @ ranks
    least = (1 - (np.sort(keys | (1 - y), axis=1) & 1)) @ ranks
    fakes, reals = float(y.sum()), float(len(y) - y.sum())
    return np.asarray(((most + least) / 2 - fakes * (fakes + 1) / 2) / (fakes * reals))


def log_loss_of(scores: Array, y: Labels) -> Array:
    """Mean log(1 + exp(-s x)) of each column, s = 2 y - 1."""
    return np.asarray(np.logaddexp(0, np.where(y[:, None] > 0, -scores, scores)).mean(axis=0))


@dataclass
class Result:
    """Log loss and AUC, a row per fold and a column per point, and the solutions on scaled columns."""

    log_loss: list[Array]
    auc: list[Array]
    solutions: list[list[Solution]]

    def add(self, found: list[Solution], scores: Array, y: Labels) -> None:
        """Score a fold: scores (n, points) of its test rows with labels y (n,)."""
        self.log_loss.append(log_loss_of(scores, y))
        self.auc.append(auc_of(scores, y))
        self.solutions.append(found)

    @property
    def best(self) -> int:
        """The point with the least mean log loss."""
        return int(np.argmin(np.mean(self.log_loss, axis=0)))


def by_paths(task: Task, method: Method, tol: float) -> Result:
    """A method's path for each fold and l1_ratio."""
    y, result = task.table.y, Result([], [], [])
    for train, test in task.folds:
        problem = method.ordered(Problem(task.scaled(train, train), y[train], task.Cs[0], 0.0))
        paths = [method.fit(replace(problem, l1_ratio=ratio), task.Cs, tol) for ratio in task.l1_ratios]
        found = [each for one in paths for each in one]
        scores = task.scaled(test, train) @ np.array([each.coef for each in found]).T
        result.add(found, scores + [each.intercept for each in found], y[test])
    C, ratio = task.points[result.best]
    method.fit(method.ordered(Problem(task.scaled(ALL, ALL), y, C, ratio)), [C], tol)
    return result


def by_grid(task: Task, threads: int = 1, tol: float = OURS.tol) -> Result:
    """Our grid engine: all folds and points in one call."""
    from fvc_exp.training.solvers.grid import Point, fit_grid

    X, y = task.table.X, task.table.y
    points, result = [Point(C, ratio) for C, ratio in task.points], Result([], [], [])
    fits = fit_grid(X, y, [train for train, _ in task.folds], points, tol=tol, n_threads=threads)
    for number, (_, test) in enumerate(task.folds):
        found = path(fits.coef[number], fits.intercept[number])
        result.add(found, fits.decision_function(number, X[test]), y[test])
    fit_grid(X, y, [np.arange(len(y))], [points[result.best]], tol=tol, n_threads=threads)
    return result


def grid_search(task: Task) -> None:
    """GridSearchCV over a pipeline with its scaler, as a user writes it; its two processes end with it."""
    from joblib import parallel_config
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(solver="saga", max_iter=MAX_ITER, random_state=0)
    with parallel_config("multiprocessing"):
        GridSearchCV(
            Pipeline([("scaler", StandardScaler()), ("model", model)]),
            {"model__l1_ratio": list(task.l1_ratios), "model__C": list(task.Cs)},
            scoring={"loss": "neg_log_loss", "auc": "roc_auc"}, refit="loss", cv=list(task.folds), n_jobs=2,
            error_score="raise",
        ).fit(task.table.X, task.table.y)  # fmt: skip


def logistic_cv(task: Task) -> None:
    """LogisticRegressionCV with its one score; its scaler is outside the folds, as it has no place for one inside."""
    from sklearn.linear_model import LogisticRegressionCV

    LogisticRegressionCV(
        Cs=list(task.Cs), l1_ratios=list(task.l1_ratios), cv=list(task.folds), solver="saga", max_iter=MAX_ITER,
        scoring="neg_log_loss", n_jobs=2, use_legacy_attributes=False, random_state=0,
    ).fit(task.scaled(ALL, ALL), task.table.y)  # fmt: skip


def entrants(task: Task, methods: Sequence[Method]) -> list[Entrant]:
    """Ours, then scikit-learn's searches if its saga is among the methods, then every library's path."""
    found = [
        Entrant(OURS_GRID, "ours", partial(by_grid, task)),
        Entrant(f"{OURS_GRID}, 2 threads", "ours", partial(by_grid, task, 2)),
        Entrant("ours: single fits, warm", "ours", partial(by_paths, task, OURS, OURS.tol)),
    ]
    if "saga" in {method.name for method in methods}:
        found.append(Entrant("GridSearchCV saga", "scikit-learn", partial(grid_search, task)))
        found.append(Entrant("LogisticRegressionCV saga", "scikit-learn", partial(logistic_cv, task)))
    for method in methods:
        if method.family == "peer" and not method.own:
            _, outcome, reason = method.refusal() or (None, "done", "")
            call = partial(by_paths, task, method, method.tol) if outcome == "done" else None
            found.append(Entrant(f"{method.name} path", method.family, call, outcome, reason))
    return found


def references(task: Task) -> list[list[Minimum]]:
    """The minimum per fold and point; our solver gives the points to start from."""
    found, _ = measure(lambda: by_grid(task, tol=1e-13))
    minima = []
    for (train, _), starts in zip(task.folds, found.solutions, strict=True):
        X, y = task.scaled(train, train), task.table.y[train]
        pairs = zip(task.points, starts, strict=True)
        minima.append([Minimum(Problem(X, y, C, ratio), start) for (C, ratio), start in pairs])
    return minima


def worst(result: Result, minima: list[list[Minimum]]) -> float:
    """The largest suboptimality of all solutions."""
    rows = zip(result.solutions, minima, strict=True)
    return max(each.suboptimality(point) for row, best in rows for point, each in zip(row, best, strict=True))


def run(job: Job, methods: Sequence[Method] = METHODS) -> Iterator[dict[str, Any]]:
    """One row per method."""
    table = data.make_table(job.shape, job.signal, job.seed, outlier=job.outlier)
    task = Task(table, data.grouped_folds(table), job.Cs)
    methods = [method for method in methods if method.name in job.methods or not job.methods]
    race(entrants(replace(task, Cs=task.Cs[:1], l1_ratios=(0.5,)), methods), 1, 1.0, 0.0, 1)  # what must be compiled
    minima, field = references(task), entrants(task, methods)
    race(field, job.rounds, job.limit, least=0.5, most=3)
    for entrant in field:
        accuracy = worst(entrant.result, minima) if entrant.result else None
        gap = max(each.gap for row in minima for each in row)
        yield entrant.row() | {"points": len(task.points), "suboptimality": accuracy, "gap": gap}
