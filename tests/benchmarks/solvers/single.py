"""Single fits: milliseconds to a given accuracy, one cell a shape, signal, seed, penalty and C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from tests.benchmarks.solvers.competitor import Competitor, penalty_name
from tests.benchmarks.solvers.data import make_table, standardised
from tests.benchmarks.solvers.ladder import Rung, climb
from tests.benchmarks.solvers.objective import Problem, value
from tests.benchmarks.solvers.reference import CERTIFIED, Reference, reference
from tests.benchmarks.solvers.timing import Cost, repeated

TARGETS = (1e-6, 1e-9)
PENALTIES = (0.0, 0.5, 1.0)
PATIENCE = 0.5
Row = dict[str, object]


@dataclass(frozen=True)
class Cells:
    """Which cells of one shape; ``limit`` is seconds a competitor may spend on the ladder of one cell."""

    shape: str
    signals: Sequence[str] = ("weak", "strong")
    seeds: Sequence[int] = (0,)
    Cs: Sequence[float] = (0.01, 1.0)
    rounds: int = 3
    limit: float = 8.0


@dataclass(frozen=True)
class Ready:
    """A competitor with what it was found to need."""

    who: Competitor
    problem: Problem
    rungs: dict[float, Rung]

    def call(self, target: float) -> Callable[[], object]:
        """The fit that reaches the target."""
        tol = self.rungs[target].tol or 0.0
        return lambda: self.who.fit(self.problem, tol)


def prepare(who: Competitor, problem: Problem, references: dict[str, Reference], limit: float) -> Ready:
    """The ladder of one competitor on one problem."""
    refusal = who.refusal(problem)
    if not who.is_installed() or refusal:
        rung = Rung("not applicable", reason=refusal) if refusal else Rung("not installed")
        return Ready(who, problem, dict.fromkeys(TARGETS, rung))
    judged = who.problem(problem)
    if who.own not in references:
        references[who.own] = reference(judged)
    best = references[who.own]
    rungs = climb(
        lambda tol: who.fit(problem, tol), lambda found: best.suboptimality(value(judged, found)), TARGETS, limit
    )
    return Ready(who, problem, rungs)


def rounds(ready: list[Ready], target: float, count: int) -> dict[str, list[Cost]]:
    """The costs of all who reached the target; they take turns, each round begins with another one.

    Who has taken ``PATIENCE`` seconds sits out what follows: so much time is measured well enough by one call.
    """
    going = [each for each in ready if each.rungs[target].outcome == "reached"]
    costs: dict[str, list[Cost]] = {each.who.name: [] for each in going}
    for number in range(count):
        start = number % max(len(going), 1)
        for each in going[start:] + going[:start]:
            own = costs[each.who.name]
            if sum(cost.wall for cost in own) < PATIENCE:
                own.append(repeated(each.call(target)))
    return costs


def cell_rows(ready: list[Ready], count: int, common: Row) -> Iterator[Row]:
    """One row a competitor and target."""
    for target in TARGETS:
        costs = rounds(ready, target, count)
        for each in ready:
            rung, own = each.rungs[target], costs.get(each.who.name, [])
            yield common | {
                "target": target, "method": each.who.name, "family": each.who.family, "objective": each.who.own,
                "outcome": rung.outcome, "reason": rung.reason, "tol": rung.tol, "suboptimality": rung.suboptimality,
                "cpu": [cost.cpu for cost in own], "wall": [cost.wall for cost in own],
            }  # fmt: skip


def run(cells: Cells, competitors: list[Competitor]) -> Iterator[Row]:
    """All cells of a shape."""
    _warm_up(competitors)
    for signal, seed in product(cells.signals, cells.seeds):
        table = make_table(cells.shape, signal, seed)
        X = standardised(table.X)
        ordered = np.asfortranarray(X)
        for l1_ratio, C in product(PENALTIES, cells.Cs):
            problem = Problem(X, table.y, C, l1_ratio)
            references = {"": reference(problem)}
            common: Row = {
                "part": "single", "shape": cells.shape, "signal": signal, "seed": seed, "C": C,
                "penalty": penalty_name(l1_ratio), "certified": references[""].gap <= CERTIFIED,
                "gap": references[""].gap,
            }  # fmt: skip
            ready = [prepare(who, _shared(problem, ordered, who), references, cells.limit) for who in competitors]
            yield from cell_rows(ready, cells.rounds, common)


def _warm_up(competitors: list[Competitor]) -> None:
    """What is compiled on first use is no part of a ladder."""
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 3))
    y = np.array([0, 1] * 30)
    for who in competitors:
        for l1_ratio in PENALTIES:
            problem = Problem(X, y, 1.0, l1_ratio)
            if who.is_installed() and not who.refusal(problem):
                climb(partial(who.fit, _shared(problem, np.asfortranarray(X), who)), lambda _: 0.0, TARGETS, 0.0)


def _shared(problem: Problem, ordered: np.ndarray, who: Competitor) -> Problem:
    """The problem with the one copy of X in the competitor's order."""
    X = ordered if who.columns else problem.X
    return Problem(X, problem.y, problem.C, problem.l1_ratio)
