"""Single fits: the cost of a given accuracy, one cell per penalty and C."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from tests.benchmarks.solvers import data
from tests.benchmarks.solvers.measure import Entrant, Job, climb, measure, race
from tests.benchmarks.solvers.methods import METHODS, OURS, Method
from tests.benchmarks.solvers.objective import Minimum, Problem

TARGETS = (1e-6, 1e-9)
L1_RATIOS = (0.0, 0.5, 1.0)
PATIENCE = 0.5  # seconds after which a method has been measured well enough


def minimum(problem: Problem) -> Minimum:
    """Our solver gives the point to start from; what it is worth is found without it."""
    return Minimum(problem, measure(lambda: OURS.fit(problem, [problem.C], 1e-15)[0])[0])


def _of_point(least: Minimum, fitted: tuple[Any, ...]) -> float:
    """How far the point of a fit, its first value, is above the minimum."""
    return least.suboptimality(fitted[0])


def cell(problem: Problem, methods: Sequence[Method], job: Job) -> Iterator[dict[str, Any]]:
    """One row per method and target."""
    entries, minima = [], {"": minimum(problem)}
    for method in methods:
        fit, refusal = partial(method.fit, method.ordered(problem), [problem.C]), method.refusal(problem.penalty)
        rungs = dict.fromkeys(TARGETS, refusal)
        if not refusal:
            if method.own not in minima:
                minima[method.own] = minimum(method.judged(problem))
            judge = partial(_of_point, minima[method.own])
            rungs = climb(fit, judge, TARGETS, job.limit)
        entries.append((method, fit, rungs))
    for target in TARGETS:
        field = []
        for method, fit, rungs in entries:
            tol, outcome, reason = rungs[target]
            field.append(Entrant(method.name, method.family, partial(fit, tol) if tol else None, outcome, reason))
        race(field, job.rounds, PATIENCE, least=0.02, most=10)
        common = {"penalty": problem.penalty, "C": problem.C, "target": target}
        for (method, *_), entrant in zip(entries, field, strict=True):
            gap = minima[method.own].gap if method.own in minima else 0.0
            yield entrant.row() | common | {"objective": method.own, "gap": gap}


def run(job: Job, methods: Sequence[Method] = METHODS) -> Iterator[dict[str, Any]]:
    """All cells of a table; what is compiled on first use is no part of a measurement."""
    small = Problem(np.random.default_rng(0).normal(size=(60, 3)), np.array([0, 1] * 30), 1.0, 0.0)
    table = data.make_table(job.shape, job.signal, job.seed)
    for l1_ratio in L1_RATIOS:
        list(cell(replace(small, l1_ratio=l1_ratio), methods, replace(job, rounds=1, limit=0.0)))
    X = data.scaled(table.X)
    for l1_ratio, C in product(L1_RATIOS, job.Cs):
        yield from cell(Problem(X, table.y, C, l1_ratio), methods, job)
