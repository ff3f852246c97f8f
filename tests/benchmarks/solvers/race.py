"""The methods of the grid part take turns on one task; each is judged by the reference."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.solvers import ours
from tests.benchmarks.solvers.competitor import Competitor
from tests.benchmarks.solvers.data import grouped_folds, make_table
from tests.benchmarks.solvers.grid import Result, Task, by_paths, loss_error, references, worst
from tests.benchmarks.solvers.ladder import FAILURES, TOLS, climb
from tests.benchmarks.solvers.reference import CERTIFIED, Reference
from tests.benchmarks.solvers.scikit_grid import grid_search, logistic_cv
from tests.benchmarks.solvers.timing import Cost, measure

Row = dict[str, object]
Minima = list[list[Reference]]
MATCHED = 1e-9
GRID_SEARCH = "GridSearchCV saga"
LOGISTIC_CV = "LogisticRegressionCV saga"
NEWTON = "GridSearchCV newton-cholesky, l2 only"
SCIKIT = (GRID_SEARCH, LOGISTIC_CV, NEWTON)


@dataclass(frozen=True)
class Race:
    """One task. ``methods`` empty: all; ``limit`` seconds a method may spend before it sits out further rounds.

    ``is_matched``: the paths take part a second time, with the tolerance that brings all their fits to 1e-9.
    """

    shape: str
    signal: str = "weak"
    outlier: bool = False
    n_cs: int = 20
    seed: int = 0
    rounds: int = 3
    limit: float = 60.0
    methods: Sequence[str] = ()
    repeats: int = 3
    is_matched: bool = False

    def task(self) -> Task:
        """The data, folds and the grid from C = 0.001 to 100."""
        table = make_table(self.shape, self.signal, self.seed, outlier=self.outlier)
        return Task(table, grouped_folds(table), np.logspace(-3, 2, self.n_cs).tolist())


@dataclass
class Entrant:
    """A method in the race; ``problem`` says why it cannot take part."""

    name: str
    family: str
    call: Callable[[], Result] | None
    outcome: str = "done"
    reason: str = ""
    result: Result | None = None
    costs: dict[int, Cost] | None = None
    is_parallel: bool = False


def entrants(task: Task, competitors: Sequence[Competitor], chosen: Sequence[str]) -> list[Entrant]:
    """Ours first, then scikit-learn's searches, then every library's warm path."""
    smooth = Task(task.table, task.folds, task.Cs, (0.0,))
    found = [Entrant(name, "ours", call) for name, call in ours.grid_methods(task).items()]
    if not found:
        found.append(Entrant(ours.GRID, "ours", None, "not installed", "fvc_exp.solvers is not there"))
    found += [
        Entrant(GRID_SEARCH, "scikit-learn", lambda: grid_search(task, "saga"), is_parallel=True),
        Entrant(LOGISTIC_CV, "scikit-learn", lambda: logistic_cv(task, "saga"), is_parallel=True),
        Entrant(NEWTON, "scikit-learn", lambda: grid_search(smooth, "newton-cholesky"), is_parallel=True),
    ]
    for who in competitors:
        if who.family != "peer":
            continue
        name, call = f"{who.name} path", _path_call(task, who)
        if not who.is_installed():
            found.append(Entrant(name, "peer", None, "not installed"))
        elif who.path is None:
            found.append(Entrant(name, "peer", None, "not applicable", f"{who.name}: {who.reason}"))
        else:
            found.append(Entrant(name, "peer", call))
    return [each for each in found if not chosen or each.name in chosen or each.family == "ours"]


def _path_call(task: Task, who: Competitor, tol: float | None = None) -> Callable[[], Result] | None:
    path = who.path
    return (lambda: by_paths(task, path, tol or who.default_tol, columns=who.columns)) if path else None


def matched(task: Task, competitors: Sequence[Competitor], minima: Minima, race: Race) -> Iterator[Entrant]:
    """The paths of others at the loosest tolerance that brings every fit of the grid to 1e-9."""
    for who in competitors:
        path = who.path
        if who.family != "peer" or path is None or not who.is_installed():
            continue
        if race.methods and f"{who.name} path" not in race.methods:
            continue
        rung = climb(
            lambda tol, who=who, path=path: by_paths(task, path, tol, columns=who.columns),
            lambda result: worst(task, result, minima) or 0.0,
            [MATCHED], race.limit, [tol for tol in TOLS if tol <= who.default_tol],
        )[MATCHED]  # fmt: skip
        name = f"{who.name} path, to {MATCHED:.0e}"
        if rung.outcome == "reached":
            yield Entrant(name, "peer", _path_call(task, who, rung.tol), reason=f"tol {rung.tol:.0e}")
        else:
            yield Entrant(name, "peer", None, rung.outcome, rung.reason)


def _turn(entrant: Entrant, number: int, repeats: int) -> None:
    costs = entrant.costs = entrant.costs or {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(repeats if entrant.family == "ours" else 1):
                result, cost = measure(entrant.call, children=entrant.is_parallel)
                # Of ours the repeats' mean, as the others run long enough by themselves.
                costs[number] = costs.get(number, Cost(0, 0)) + Cost(cost.cpu, cost.wall)
            if entrant.family == "ours":
                costs[number] = Cost(costs[number].cpu / repeats, costs[number].wall / repeats)
            entrant.result = entrant.result or result
    except FAILURES as error:
        text = (str(error).splitlines() or [""])[0]
        entrant.outcome, entrant.reason, entrant.call = "failed", f"{type(error).__name__}: {text[:120]}", None


def run(race: Race, competitors: Sequence[Competitor]) -> Iterator[Row]:
    """One row a method; costs are lists over the rounds that it took part in."""
    task = race.task()
    small = Task(task.table, task.folds, task.Cs[:1], (0.5,))
    field = entrants(task, competitors, race.methods)
    minima = references(task)
    gap = max(each.gap for row in minima for each in row)
    for entrant in entrants(small, competitors, race.methods):
        if entrant.call:  # compiled code, worker processes
            _turn(entrant, 0, 1)
    if race.is_matched:
        field += matched(task, competitors, minima, race)
    for number in range(race.rounds):
        start = number % len(field)
        for entrant in field[start:] + field[:start]:
            spent = sum(cost.wall for cost in (entrant.costs or {}).values())
            if entrant.call and (number == 0 or spent < race.limit):
                _turn(entrant, number, race.repeats)
    for entrant in field:
        yield _row(race, task, entrant) | {"gap": gap, "certified": gap <= CERTIFIED} | _accuracy(task, entrant, minima)


def _row(race: Race, task: Task, entrant: Entrant) -> Row:
    costs = entrant.costs or {}
    return {
        "part": "grid", "shape": race.shape, "signal": race.signal, "outlier": race.outlier, "seed": race.seed,
        "points": len(task.points), "method": entrant.name, "family": entrant.family, "outcome": entrant.outcome,
        "reason": entrant.reason, "rounds": list(costs), "cpu": [cost.cpu for cost in costs.values()],
        "wall": [cost.wall for cost in costs.values()],
    }  # fmt: skip


def _accuracy(task: Task, entrant: Entrant, minima: Minima) -> Row:
    if entrant.result is None or entrant.name == NEWTON:
        return {"suboptimality": None, "loss_error": None}
    return {
        "suboptimality": worst(task, entrant.result, minima),
        "loss_error": loss_error(task, entrant.result, minima),
    }
