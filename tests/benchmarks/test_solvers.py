"""The harness of ``python -m tests.benchmarks.solvers`` itself: its minima, methods, ladder, scores and tables."""

from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
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


@pytest.mark.parametrize(("signal", "least", "most"), [("weak", 0.64, 0.79), ("strong", 0.95, 1.0)])
def test_the_generator_makes_what_it_says(signal: str, least: float, most: float) -> None:
    table = data.make_table("3278x26", signal)
    X = data.scaled(table.X)
    assert X.shape == (3278, 26)
    assert 1e2 < np.linalg.cond(X.T @ X) < 1e3
    model = LogisticRegression(solver="newton-cholesky").fit(X, table.y)
    assert least < roc_auc_score(table.y, model.decision_function(X)) < most
    assert set(np.bincount(table.group)) == {11}
    assert all(len(set(table.y[table.group == video])) == 1 for video in range(298))
    np.testing.assert_array_equal(table.X, data.make_table("3278x26", signal).X)


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


def test_a_number_that_is_not_finite_is_infinitely_bad() -> None:
    minimum = single.minimum(tiny(0.0))
    bound = minimum.bound
    assert minimum.suboptimality(np.full(6, np.nan)) == np.inf
    assert minimum.bound == bound


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


def test_a_wrong_coefficient_is_seen() -> None:
    task = small_task()
    found, minima = grid.by_grid(task), grid.references(task)
    found[2][1, 0] += 0.1
    assert grid.worst(found, minima) > 1e-6


def test_a_cell_runs_and_methods_that_take_no_part_are_rows() -> None:
    job = Job("single", "220x26", [0.1], rounds=2)
    rows = list(single.run(job, [OURS, BY_NAME["newton-cholesky"], BY_NAME["liblinear"], ABSENT]))
    outcomes = {(row["method"], row["penalty"]): (row["outcome"], row["reason"]) for row in rows}
    assert outcomes["newton-cholesky", "l2"][0] == "reached"
    assert outcomes["newton-cholesky", "l1"] == ("not applicable", "newton-cholesky fits l2 only")
    assert outcomes["absent", "l2"] == ("not installed", "there is no module a_module_that_is_not_there")
    assert all(row["gap"] < CERTIFIED for row in rows)
    assert all(len(row["cpu"]) == 2 * (row["outcome"] == "reached") for row in rows)


def example_rows() -> list[dict[str, object]]:
    def row(method: str, family: str, outcome: str, costs: dict[int, float], **more: object) -> dict[str, object]:
        clocks = {"rounds": list(costs), "cpu": list(costs.values()), "wall": [2 * cost for cost in costs.values()]}
        job = {"shape": "3278x26", "signal": "weak", "seed": 0, "outlier": False, "reason": ""}
        return job | {"method": method, "family": family, "outcome": outcome} | clocks | more

    cell = {"part": "single", "penalty": "l2", "C": 1.0, "target": 1e-9}
    task = {"part": "grid", "points": 100, "suboptimality": 1e-10}
    return [
        row("ours", "ours", "reached", {0: 1.0, 1: 2.0}, **cell),
        row("lbfgs", "scikit-learn", "reached", {0: 3.0, 1: 6.0}, **cell),
        row("liblinear", "scikit-learn", "reached", {0: 1.0}, objective="penalised intercept", **cell),
        row("celer", "peer", "not installed", {}, **cell | {"reason": "there is no module celer"}),
        row(grid.OURS_GRID, "ours", "done", {0: 1.0, 1: 2.0}, **task),
        row("GridSearchCV saga", "scikit-learn", "done", {1: 80.0}, gap=1e-6, **task | {"suboptimality": None}),
    ]


def test_the_tables_hold_what_the_rows_hold(tmp_path: Path) -> None:
    text = tables.write(example_rows(), tmp_path, "# title")
    assert text == (tmp_path / "results.md").read_text()
    assert "| shape | signal | penalty | C | ours | lbfgs | liblinear* | celer |" in text
    assert "| 3278x26 | weak | l2 | 1.0 | 1500.0 (1.0) | 4500.0 (3.0) | 1000.0 (1.0) | n/i |" in text
    assert "- celer: not installed in 1 rows (there is no module celer)" in text
    # a ratio is within one round: 80 / 2, not 80 / 1.5
    assert "| 3278x26 weak, 100 points x 5 | GridSearchCV saga | 80.0 | 160.0 | 40.0 | 40.0 | - | done |" in text
    assert "| 3278x26 weak, 100 points x 5 | ours: grid | 1.5 | 3.0 | 1.0 | 1.0 | 1e-10 | done |" in text
    assert "| scikit-learn | 1e-09 | 1 | 3.0 | 3.0 | 3.0 |" in text
    assert "not certified to 1e-10 by a dual bound: 1" in text
    frame = pl.read_parquet(tmp_path / "results.parquet")
    assert frame.filter(pl.col("method") == "GridSearchCV saga")["wall_ratio"].to_list() == [40.0]
    assert frame.height == 6


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
