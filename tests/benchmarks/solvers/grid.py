"""The whole grid under grouped folds: every C and l1_ratio, a scaler a fold, two scores, the best one refitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.solvers.competitor import Path
from tests.benchmarks.solvers.data import Table
from tests.benchmarks.solvers.objective import Problem, Solution, value
from tests.benchmarks.solvers.reference import Reference, reference
from tests.benchmarks.solvers.scoring import auc_of, log_loss_of

L1_RATIOS = (0.0, 0.1, 0.5, 0.9, 1.0)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """A table, its folds and the grid; ``Cs`` ascend."""

    table: Table
    folds: Sequence[tuple[Rows, Rows]]
    Cs: Sequence[float]
    l1_ratios: Sequence[float] = L1_RATIOS

    @property
    def points(self) -> list[tuple[float, float]]:
        """(C, l1_ratio), the order of every result."""
        return [(C, ratio) for ratio in self.l1_ratios for C in self.Cs]


@dataclass
class Result:
    """Scores (folds, points), and the solutions on standardised columns where a method shows them."""

    log_loss: NDArray[np.float64]
    auc: NDArray[np.float64] | None = None
    solutions: list[list[Solution]] = field(default_factory=list)
    refit: Solution | None = None

    @property
    def best(self) -> int:
        """The point with the least mean log loss."""
        return int(np.argmin(self.log_loss.mean(axis=0)))


def scaler(X: NDArray[np.float64], rows: Rows | slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of the training rows."""
    part = X[rows]
    return part.mean(axis=0), part.std(axis=0)


def score(found: Sequence[Solution], X: NDArray[np.float64], y: Rows) -> tuple[NDArray[np.float64], ...]:
    """Log loss and AUC of each solution."""
    coef = np.array([each.coef for each in found]).T
    scores = X @ coef + np.array([each.intercept for each in found])
    return log_loss_of(scores, y), auc_of(scores, y)


def by_paths(task: Task, path: Path, tol: float, *, columns: bool = False) -> Result:
    """A competitor's warm path for each fold and l1_ratio."""
    X, y = task.table.X, task.table.y
    losses, aucs, solutions = [], [], []
    order = np.asfortranarray if columns else np.ascontiguousarray
    for train, test in task.folds:
        mean, scale = scaler(X, train)
        inner = order((X[train] - mean) / scale)
        found = [
            each for ratio in task.l1_ratios for each in path(Problem(inner, y[train], task.Cs[0], ratio), task.Cs, tol)
        ]
        loss, auc = score(found, (X[test] - mean) / scale, y[test])
        losses.append(loss)
        aucs.append(auc)
        solutions.append(found)
    result = Result(np.array(losses), np.array(aucs), solutions)
    C, ratio = task.points[result.best]
    mean, scale = scaler(X, slice(None))
    result.refit = path(Problem(order((X - mean) / scale), y, C, ratio), [C], tol)[0]
    return result


def references(task: Task) -> list[list[Reference]]:
    """The minimum at each fold and point."""
    X, y = task.table.X, task.table.y
    found = []
    for train, _ in task.folds:
        mean, scale = scaler(X, train)
        inner = np.ascontiguousarray((X[train] - mean) / scale)
        row: list[Reference] = []
        for number, (C, ratio) in enumerate(task.points):
            start = row[-1].solution if number % len(task.Cs) else None
            row.append(reference(Problem(inner, y[train], C, ratio), start))
        found.append(row)
    return found


def worst(task: Task, result: Result, minima: list[list[Reference]]) -> float | None:
    """The largest relative suboptimality of all solutions shown."""
    if not result.solutions:
        return None
    X, y = task.table.X, task.table.y
    largest = 0.0
    for (train, _), row, best in zip(task.folds, result.solutions, minima, strict=True):
        mean, scale = scaler(X, train)
        inner = (X[train] - mean) / scale
        for (C, ratio), solution, minimum in zip(task.points, row, best, strict=True):
            reached = value(Problem(inner, y[train], C, ratio), solution)
            largest = max(largest, minimum.suboptimality(reached))
    return largest


def loss_error(task: Task, result: Result, minima: list[list[Reference]]) -> float:
    """The largest difference of a point's mean log loss from the reference's."""
    X, y = task.table.X, task.table.y
    losses = []
    for (train, test), row in zip(task.folds, minima, strict=True):
        mean, scale = scaler(X, train)
        losses.append(score([each.solution for each in row], (X[test] - mean) / scale, y[test])[0])
    return float(np.nanmax(np.abs(np.mean(losses, axis=0) - result.log_loss.mean(axis=0))))
