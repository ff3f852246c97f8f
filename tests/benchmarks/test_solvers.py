"""The harness of ``python -m tests.benchmarks.solvers`` itself: its minima, methods, ladder, scores and tables."""

from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from tests.benchmarks.solvers import data, grid, jobs, single, tables
from tests.benchmarks.solvers.measure import Entrant, Job, climb, race
from tests.benchmarks.solvers.methods import METHODS, OURS, Method
from tests.benchmarks.solvers.objective import CERTIFIED, Minimum, Problem, newton_step, value

BY_NAME = {method.name: method for method in METHODS}
ABSENT = Method("absent", OURS.fit, "a_module_that_is_not_there")


def tiny(l1_ratio: float, C: float = 0.3, intercept: bool = True) -> Problem:
    random = np.random.default_rng(3)
    X = data.scaled(random.normal(size=(160, 5)) @ random.normal(size=(5, 5)))
    y = (X[:, 0] - X[:, 2] + random.normal(size=160) > 0.5).astype(np.int64)
    return Problem(X, y, C, l1_ratio, intercept)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("C", [0.1, 0.3, 50.0])
def test_the_minimum_is_certified_and_scikit_learns(l1_ratio: float, C: float) -> None:
    problem = tiny(l1_ratio, C)
    model = LogisticRegression(C=C, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=100_000, random_state=0)
    model.fit(problem.X, problem.y)
    other = np.append(model.coef_, model.intercept_)
    minimum = single.minimum(problem)
    assert abs(minimum.suboptimality(other)) < CERTIFIED
    assert minimum.gap < CERTIFIED
    if l1_ratio == 0:
        loss = C * log_loss(problem.y, model.predict_proba(problem.X), normalize=False)
        assert value(problem, other) == pytest.approx(loss + 0.5 * np.sum(model.coef_**2), rel=1e-9)


@pytest.mark.parametrize("l1_ratio", [0.4, 1.0])
def test_a_wrong_certificate_is_caught(l1_ratio: float) -> None:
    problem = tiny(l1_ratio, C=0.1)
    right = single.minimum(problem)
    (best,) = OURS.fit(problem, [0.1], 1e-13)
    support = np.flatnonzero(best[:-1])
    assert len(support)
    wrong = best.copy()
    wrong[support[0]] = 0.0  # Newton steps leave it there
    minimum = Minimum(problem, wrong)
    assert minimum.gap > 1e3 * CERTIFIED
    # what is not certified makes no method look better than it is
    assert minimum.suboptimality(best) >= right.suboptimality(best)
    assert newton_step(problem, wrong)[support[0]] == 0


CASES = [
    pytest.param(method.name, ratio, marks=[pytest.mark.slow] if method.family == "peer" else [])
    for method, ratio in product(METHODS, [0.0, 0.4, 1.0])
    if tiny(ratio).penalty in method.penalties
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "l1_ratio"), CASES)
def test_a_method_finds_the_minimum_of_its_objective(name: str, l1_ratio: float) -> None:
    method, problem = BY_NAME[name], tiny(l1_ratio)
    if refusal := method.refusal():
        pytest.skip(f"{name}: {refusal.reason}")
    problem = method.ordered(problem)
    judge = single.minimum(method.judged(problem)).suboptimality
    method.fit(problem, [0.3], 0.1)  # some compile themselves on first use
    found = climb(lambda tol: method.fit(problem, [0.3], tol)[0], judge, [1e-9], limit=20)[1e-9]
    assert found.outcome == "reached", found.reason
    Cs = [0.1, 0.3, 2.0]
    for C, solution in zip(Cs, method.fit(problem, Cs, found.tol or 0.0), strict=True):
        assert single.minimum(method.judged(replace(problem, C=C))).suboptimality(solution) < 1e-6


def test_the_ladder_takes_the_loosest_tolerance_that_is_enough() -> None:
    found = climb(lambda tol: tol, lambda reached: 0.5 * reached, [1e-3, 1e-6, 1e-30], 60)
    assert (found[1e-3].outcome, found[1e-3].tol) == ("reached", pytest.approx(1e-3))
    assert found[1e-6].tol == pytest.approx(1e-6)
    assert found[1e-30].outcome == "not reached"
    assert found[1e-30].reason.startswith("best 5.0e-16 down to tol 1e-15")


def test_what_a_library_raises_becomes_an_outcome() -> None:
    def fails(tol: float) -> float:
        if tol < 0.05:
            raise RuntimeError("Max iterations reached\nlater lines")
        return 1e-5

    found = climb(fails, lambda reached: reached, [1e-4, 1e-6], limit=60)
    assert found[1e-4].outcome == "reached"
    assert found[1e-6] == (None, "failed", "RuntimeError: Max iterations reached")
    entrant = Entrant("failing", "peer", partial(fails, 0.01))
    race([entrant], rounds=2, limit=60, least=0, most=1)
    assert (entrant.row()["outcome"], entrant.row()["cpu"]) == ("failed", [])


def test_scores_of_columns_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    scores = np.column_stack([random.normal(size=300), random.normal(size=300).round(1), np.zeros(300)])
    loss, auc = grid.score(scores, y)
    np.testing.assert_allclose(auc, [roc_auc_score(y, column) for column in scores.T], atol=1e-14)
    np.testing.assert_allclose(loss, [log_loss(y, 1 / (1 + np.exp(-column))) for column in scores.T])


def small_task() -> grid.Task:
    random = np.random.default_rng(1)
    group = np.repeat(np.arange(60), 3)
    y = np.repeat(random.integers(0, 2, 60), 3)
    table = data.Table(random.normal(size=(180, 4)) + 0.4 * y[:, None], y, group)
    return grid.Task(table, data.grouped_folds(table, 3), [0.01, 0.1, 1.0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_who_takes_part_in_the_grid_reaches_the_minima() -> None:
    task = small_task()
    found = grid.entrants(task, [*(method for method in METHODS if method.family != "peer"), ABSENT])
    race(found, rounds=1, limit=60, least=0, most=1)
    minima = grid.references(task)
    assert max(each.gap for row in minima for each in row) < CERTIFIED
    errors = {each.name: grid.worst(each.result, minima) for each in found if each.result}
    assert list(errors) == ["ours: grid", "ours: grid, 2 threads", "ours: single fits, warm"]
    assert max(errors.values()) <= 1e-9
    rows = {each.name: each.row() for each in found}
    assert {"GridSearchCV saga", "LogisticRegressionCV saga"} <= {name for name, row in rows.items() if row["cpu"]}
    assert rows["absent path"]["outcome"] == "not installed"


def test_a_cell_runs_and_methods_that_take_no_part_are_rows() -> None:
    job = Job("single", "220x26", [0.1], rounds=2)
    rows = list(single.run(job, [OURS, BY_NAME["newton-cholesky"], BY_NAME["liblinear"], ABSENT]))
    outcomes = {(row["method"], row["penalty"]): (row["outcome"], row["reason"]) for row in rows}
    assert outcomes["newton-cholesky", "l2"][0] == "reached"
    assert outcomes["newton-cholesky", "l1"] == ("not applicable", "newton-cholesky fits l2 only")
    assert outcomes["absent", "l2"] == ("not installed", "there is no module a_module_that_is_not_there")
    assert all(row["gap"] < CERTIFIED for row in rows)
    assert all(len(row["cpu"]) == 2 * (row["outcome"] == "reached") for row in rows)


@pytest.mark.slow
def test_jobs_run_in_processes_and_one_that_dies_is_a_row(tmp_path: Path) -> None:
    job = Job("single", "no shape", [1.0])
    (dead,) = jobs.run_job(job, 300)
    assert (dead["method"], dead["outcome"], dead["reason"]) == ("the whole job", "stopped", "exit code 1")
    (slow,) = jobs.run_job(replace(job, part="grid"), 0.01)
    assert slow["reason"] == "stopped after 0 s"
    rows = jobs.run_job(Job("grid", "220x5", [0.1, 1.0], rounds=1, methods=["saga"]), 300)
    assert [row["outcome"] for row in rows] == ["done"] * 5
    text = tables.write([*rows, dead, slow], tmp_path, "# title")
    assert "- the whole job: stopped in 1 rows (exit code 1)" in text
