"""The whole grid under grouped folds: every C and l1_ratio, a scaler per fold, two scores, the best point refitted."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.solvers import data
from tests.benchmarks.solvers.measure import Entrant, Job, measure, race
from tests.benchmarks.solvers.methods import METHODS, OURS, Method
from tests.benchmarks.solvers.objective import Array, Labels, Minimum, Problem

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


def score(scores: Array, y: Labels) -> tuple[Array, Array]:
    """Log loss and AUC of each column of scores (n, m) against y (n,); the same code for all who give coefficients.

    A score's last bit gives way to a label, so that sorting without an index does; scores closer than that are ties.
    The mean of the two orders, all fakes of a tie last and all first, counts ties half.
    """
    loss = np.logaddexp(0, np.where(y[:, None] > 0, -scores, scores)).mean(axis=0)
    keys = np.ascontiguousarray(scores.T).view(np.int64)
    keys = np.where(keys < 0, np.int64(-(2**63)) - keys, keys) & ~np.int64(1)
    ranks = np.arange(1.0, len(y) + 1)
    most = (np.sort(keys | y, axis=1) & 1) @ ranks
    least = (1 - (np.sort(keys | (1 - y), axis=1) & 1)) @ ranks
    fakes, reals = float(y.sum()), float(len(y) - y.sum())
    return loss, ((most + least) / 2 - fakes * (fakes + 1) / 2) / (fakes * reals)


def by_paths(task: Task, method: Method, tol: float) -> list[Array]:
    """A method's path for each fold and l1_ratio; the solutions (points, p + 1) per fold."""
    y, losses, solutions = task.table.y, [], []
    for train, test in task.folds:
        problem = method.ordered(Problem(data.scaled(task.table.X, train, train), y[train], task.Cs[0], 0.0))
        found = np.vstack([method.fit(replace(problem, l1_ratio=ratio), task.Cs, tol) for ratio in task.l1_ratios])
        scores = data.scaled(task.table.X, test, train) @ found[:, :-1].T + found[:, -1]
        losses.append(score(scores, y[test])[0])
        solutions.append(found)
    C, ratio = task.points[int(np.argmin(np.mean(losses, axis=0)))]
    method.fit(method.ordered(Problem(data.scaled(task.table.X), y, C, ratio)), [C], tol)
    return solutions


def by_grid(task: Task, threads: int = 1, tol: float = OURS.tol) -> list[Array]:
    """Our grid engine: all folds and points in one call."""
    from fvc_exp.training.solvers.grid import Point, fit_grid

    X, y = task.table.X, task.table.y
    points = [Point(C, ratio) for C, ratio in task.points]
    parts = fit_grid(X, y, [train for train, _ in task.folds], points, tol=tol, n_threads=threads)
    solutions = [np.array([np.append(fits[point].w, fits[point].b) for point in points]) for _, fits in parts]
    losses = [
        score(data.scaled(X, test, train) @ found[:, :-1].T + found[:, -1], y[test])[0]
        for found, (train, test) in zip(solutions, task.folds, strict=True)
    ]
    best = points[int(np.argmin(np.mean(losses, axis=0)))]
    fit_grid(X, y, [np.arange(len(y))], [best], tol=tol, n_threads=threads)
    return solutions


def grid_search(task: Task) -> None:
    """GridSearchCV over a pipeline with its scaler, as a user writes it; its two processes end with it."""
    from joblib import parallel_config
    from sklearn import linear_model, model_selection, pipeline, preprocessing

    model = linear_model.LogisticRegression(solver="saga", max_iter=MAX_ITER, random_state=0)
    with parallel_config("multiprocessing"):
        model_selection.GridSearchCV(
            pipeline.Pipeline([("scaler", preprocessing.StandardScaler()), ("model", model)]),
            {"model__l1_ratio": list(task.l1_ratios), "model__C": list(task.Cs)},
            scoring=["neg_log_loss", "roc_auc"], refit="neg_log_loss", cv=list(task.folds), n_jobs=2,
        ).fit(task.table.X, task.table.y)  # fmt: skip


def logistic_cv(task: Task) -> None:
    """LogisticRegressionCV with its one score; its scaler is outside the folds, as it has no place for one inside."""
    from sklearn.linear_model import LogisticRegressionCV

    LogisticRegressionCV(
        Cs=list(task.Cs), l1_ratios=list(task.l1_ratios), cv=list(task.folds), solver="saga", max_iter=MAX_ITER,
        scoring="neg_log_loss", n_jobs=2, use_legacy_attributes=False, random_state=0,
    ).fit(data.scaled(task.table.X), task.table.y)  # fmt: skip


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
    for (train, _), starts in zip(task.folds, found, strict=True):
        X, y = data.scaled(task.table.X, train, train), task.table.y[train]
        problems = [Problem(X, y, C, ratio) for C, ratio in task.points]
        minima.append(list(map(Minimum, problems, starts)))
    return minima


def worst(solutions: Sequence[Array], minima: Sequence[Sequence[Minimum]]) -> float:
    """The largest suboptimality of all solutions."""
    pairs = zip(np.concatenate(solutions), itertools.chain(*minima), strict=True)
    return max(minimum.suboptimality(point) for point, minimum in pairs)


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
