"""The whole grid under grouped folds: every C and l1_ratio, a scaler per fold, two scores, the best point refitted."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.solvers.data import Table, grouped_folds, make_table
from tests.benchmarks.solvers.measure import TOLS, Entrant, climb, measure, race
from tests.benchmarks.solvers.methods import METHODS, OURS, Method, path
from tests.benchmarks.solvers.objective import CERTIFIED, Minimum, Problem, Solution
from tests.benchmarks.solvers.plan import Job
from tests.benchmarks.solvers.scoring import auc_of, log_loss_of

Array = NDArray[np.float64]
Rows = NDArray[np.int64] | slice
Minima = list[list[Minimum]]
L1_RATIOS = (0.0, 0.1, 0.5, 0.9, 1.0)
OURS_GRID = "ours: grid"
MATCHED = 1e-9
MAX_ITER = 100_000  # more than saga needs at its own tolerance; it stops before


@dataclass(frozen=True)
class Task:
    """A table, its folds and the grid; ``Cs`` ascend."""

    table: Table
    folds: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]
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


@dataclass(frozen=True)
class Result:
    """Scores (folds, points), and the solutions on scaled columns where a method shows them."""

    log_loss: Array
    auc: Array | None = None
    solutions: Sequence[Sequence[Solution]] = ()

    @property
    def best(self) -> int:
        """The point with the least mean log loss."""
        return int(np.argmin(self.log_loss.mean(axis=0)))


def by_paths(task: Task, method: Method, tol: float) -> Result:
    """A method's path for each fold and l1_ratio."""
    y, order = task.table.y, np.asfortranarray if method.columns else np.ascontiguousarray
    losses, aucs, solutions = [], [], []
    for train, test in task.folds:
        inner = order(task.scaled(train, train))
        problems = [Problem(inner, y[train], task.Cs[0], ratio) for ratio in task.l1_ratios]
        found = [each for problem in problems for each in method.fit(problem, task.Cs, tol)]
        scores = task.scaled(test, train) @ np.array([each.coef for each in found]).T
        scores += [each.intercept for each in found]
        losses.append(log_loss_of(scores, y[test]))
        aucs.append(auc_of(scores, y[test]))
        solutions.append(found)
    result = Result(np.array(losses), np.array(aucs), solutions)
    C, ratio = task.points[result.best]
    everything = slice(None)
    method.fit(Problem(order(task.scaled(everything, everything)), y, C, ratio), [C], tol)
    return result


def by_grid(task: Task, threads: int = 1, tol: float = OURS.tol) -> Result:
    """Our grid engine: all folds and points in one call."""
    from fvc_exp.training.solvers.grid import Point, fit_grid

    X, y = task.table.X, task.table.y
    points = [Point(C, ratio) for C, ratio in task.points]
    found = fit_grid(X, y, [train for train, _ in task.folds], points, tol=tol, n_threads=threads)

    def score(number: int) -> tuple[Array, Array]:
        test = task.folds[number][1]
        values = found.decision_function(number, X[test])
        return log_loss_of(values, y[test]), auc_of(values, y[test])

    with ThreadPoolExecutor(threads) as pool:
        loss, auc = (np.array(each) for each in zip(*pool.map(score, range(len(task.folds))), strict=True))
    result = Result(loss, auc, [path(*pair) for pair in zip(found.coef, found.intercept, strict=True)])
    fit_grid(X, y, [np.arange(len(y))], [points[result.best]], tol=tol, n_threads=threads)
    return result


def grid_search(task: Task, solver: str) -> Result:
    """GridSearchCV over a pipeline with its scaler, as a user writes it; its two processes end with it."""
    from joblib import parallel_config
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(solver=solver, max_iter=MAX_ITER, random_state=0)
    with parallel_config("multiprocessing"):
        search = GridSearchCV(
            Pipeline([("scaler", StandardScaler()), ("model", model)]),
            {"model__l1_ratio": list(task.l1_ratios), "model__C": list(task.Cs)},
            scoring={"loss": "neg_log_loss", "auc": "roc_auc"}, refit="loss", cv=list(task.folds), n_jobs=2,
            error_score="raise",
        ).fit(task.table.X, task.table.y)  # fmt: skip
    asked = [(each["model__C"], each["model__l1_ratio"]) for each in search.cv_results_["params"]]
    order = [asked.index(point) for point in task.points]
    names = [f"split{number}_test_" for number in range(len(task.folds))]
    loss, auc = (np.array([search.cv_results_[name + kind][order] for name in names]) for kind in ("loss", "auc"))
    return Result(-loss, auc)


def logistic_cv(task: Task) -> Result:
    """LogisticRegressionCV with its one score; its scaler is outside the folds, as it has no place for one inside."""
    from sklearn.linear_model import LogisticRegressionCV

    everything = slice(None)
    model = LogisticRegressionCV(
        Cs=list(task.Cs), l1_ratios=list(task.l1_ratios), cv=list(task.folds), solver="saga", max_iter=MAX_ITER,
        scoring="neg_log_loss", n_jobs=2, use_legacy_attributes=False, random_state=0,
    ).fit(task.scaled(everything, everything), task.table.y)  # fmt: skip
    return Result(-np.asarray(model.scores_).reshape(len(task.folds), -1))  # (folds, l1_ratios, Cs)


def entrants(task: Task, methods: Sequence[Method]) -> list[Entrant]:
    """Ours first, then scikit-learn's searches, then every library's path."""
    smooth = replace(task, l1_ratios=(0.0,))
    calls: list[tuple[str, str, Callable[[], Result]]] = [
        (OURS_GRID, "ours", partial(by_grid, task)),
        (f"{OURS_GRID}, 2 threads", "ours", partial(by_grid, task, 2)),
        ("ours: single fits, warm", "ours", partial(by_paths, task, OURS, OURS.tol)),
        ("GridSearchCV saga", "scikit-learn", partial(grid_search, task, "saga")),
        ("LogisticRegressionCV saga", "scikit-learn", partial(logistic_cv, task)),
        ("GridSearchCV newton-cholesky, l2 only", "scikit-learn", partial(grid_search, smooth, "newton-cholesky")),
    ]
    found = [Entrant(name, family, call, "done") for name, family, call in calls]
    for method in methods:
        if method.family == "peer" and not method.own:
            outcome, reason = method.refusal()
            call = None if outcome else partial(by_paths, task, method, method.tol)
            found.append(Entrant(f"{method.name} path", "peer", call, outcome or "done", reason))
    return found


def references(task: Task) -> Minima:
    """The minimum per fold and point."""
    y, minima = task.table.y, []
    found = measure(lambda: by_grid(task, tol=1e-13))[0].solutions
    for (train, _), row in zip(task.folds, found, strict=True):
        X = task.scaled(train, train)
        pairs = zip(task.points, row, strict=True)
        minima.append([Minimum(Problem(X, y[train], C, ratio), start) for (C, ratio), start in pairs])
    return minima


def worst(result: Result, minima: Minima) -> float:
    """The largest suboptimality of all solutions shown."""
    pairs = zip(result.solutions, minima, strict=True)
    return max(each.suboptimality(solution) for row, best in pairs for solution, each in zip(row, best, strict=True))


def matched(task: Task, methods: Sequence[Method], minima: Minima, limit: float) -> Iterator[Entrant]:
    """The paths of others at the loosest tolerance that brings every fit of the grid to 1e-9."""
    for method in methods:
        if method.family == "peer" and not method.own and not method.refusal()[0]:
            tols = [tol for tol in TOLS if tol <= method.tol]
            rung = climb(partial(by_paths, task, method), lambda it: worst(it, minima), [MATCHED], limit, tols)[MATCHED]
            is_reached = rung.outcome == "reached"
            call = partial(by_paths, task, method, rung.tol) if is_reached and rung.tol else None
            reason = f"tol {rung.tol:.0e}" if is_reached else rung.reason
            outcome = "done" if is_reached else rung.outcome
            yield Entrant(f"{method.name} path, to {MATCHED:.0e}", "peer", call, outcome, reason)


def run(job: Job, methods: Sequence[Method] = METHODS) -> Iterator[dict[str, Any]]:
    """One row per method."""
    table = make_table(job.shape, job.signal, job.seed, outlier=job.outlier)
    task = Task(table, grouped_folds(table), job.Cs)

    def chosen(all_of_them: Sequence[Entrant]) -> list[Entrant]:
        return [each for each in all_of_them if each.family == "ours" or not job.methods or each.name in job.methods]

    race(chosen(entrants(replace(task, Cs=task.Cs[:1], l1_ratios=(0.5,)), methods)), 1, 1.0, 0.0, 1)  # to compile
    minima, field = references(task), chosen(entrants(task, methods))
    if job.is_matched:
        some = [method for method in methods if not job.methods or f"{method.name} path" in job.methods]
        field += matched(task, some, minima, job.limit)
    race(field, job.rounds, job.limit, least=0.5, most=3)
    for entrant in field:
        has_solutions = entrant.result is not None and entrant.result.solutions
        accuracy = worst(entrant.result, minima) if has_solutions else None
        gap = max(each.gap for row in minima for each in row)
        yield entrant.row() | {
            "points": len(task.points), "suboptimality": accuracy, "gap": gap, "certified": gap <= CERTIFIED,
        }  # fmt: skip
