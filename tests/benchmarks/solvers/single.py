"""Single fits: the cost of a given accuracy, one cell per penalty and C."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from tests.benchmarks.solvers.data import make_table, standardised
from tests.benchmarks.solvers.measure import Entrant, Rung, climb, measure, race
from tests.benchmarks.solvers.methods import METHODS, OURS, Method
from tests.benchmarks.solvers.objective import CERTIFIED, Minimum, Problem
from tests.benchmarks.solvers.plan import Job

TARGETS = (1e-6, 1e-9)
PATIENCE = 0.5  # seconds after which a method has been measured well enough


def prepare(method: Method, problem: Problem, minima: dict[str, Minimum], limit: float) -> dict[float, Rung]:
    """The tolerance per target that the method was found to need."""
    outcome, reason = method.refusal(problem.penalty)
    if outcome:
        return dict.fromkeys(TARGETS, Rung(outcome, reason=reason))
    if method.own not in minima:
        judged = method.judged(problem)
        minima[method.own] = Minimum(judged, measure(lambda: OURS.fit(judged, [judged.C], 1e-15))[0][0])
    minimum = minima[method.own]
    return climb(lambda tol: method.fit(problem, [problem.C], tol)[0], minimum.suboptimality, TARGETS, limit)


def cell(problem: Problem, methods: Sequence[Method], job: Job) -> Iterator[dict[str, Any]]:
    """One row per method and target."""
    ordered = replace(problem, X=np.asfortranarray(problem.X))
    problems = {method.name: ordered if method.columns else problem for method in methods}
    minima: dict[str, Minimum] = {}
    rungs = {method.name: prepare(method, problems[method.name], minima, job.limit) for method in methods}
    for target in TARGETS:
        field = []
        for method in methods:
            rung = rungs[method.name][target]
            call = partial(method.fit, problems[method.name], [problem.C], rung.tol or 0.0)
            is_ready = rung.outcome == "reached"
            field.append(Entrant(method.name, method.family, call if is_ready else None, rung.outcome, rung.reason))
        race(field, job.rounds, PATIENCE, least=0.02, most=10)
        for method, entrant in zip(methods, field, strict=True):
            rung, gap = rungs[method.name][target], minima[method.own].gap if method.own in minima else None
            yield entrant.row() | {
                "penalty": problem.penalty, "C": problem.C, "target": target, "objective": method.own,
                "tol": rung.tol, "suboptimality": rung.suboptimality, "gap": gap,
                "certified": gap is None or gap <= CERTIFIED,
            }  # fmt: skip


def warm_up(methods: Sequence[Method]) -> None:
    """What is compiled on first use is no part of a measurement."""
    X = np.random.default_rng(0).normal(size=(60, 3))
    for method, l1_ratio in product(methods, (0.0, 0.5, 1.0)):
        problem = Problem(np.asfortranarray(X) if method.columns else X, np.array([0, 1] * 30), 1.0, l1_ratio)
        if not method.refusal(problem.penalty)[0]:
            climb(partial(method.fit, problem, [1.0]), lambda _: 0.0, TARGETS, 0.0)


def run(job: Job, methods: Sequence[Method] = METHODS) -> Iterator[dict[str, Any]]:
    """All cells of a table."""
    warm_up(methods)
    table = make_table(job.shape, job.signal, job.seed)
    X = standardised(table.X)
    for l1_ratio, C in product((0.0, 0.5, 1.0), job.Cs):
        yield from cell(Problem(X, table.y, C, l1_ratio), methods, job)
