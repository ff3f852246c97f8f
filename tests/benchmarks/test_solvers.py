"""The harness of ``python -m tests.benchmarks.solvers`` itself: its minima, mappings, ladder, scores and tables."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tests.benchmarks.solvers import __main__ as command
from tests.benchmarks.solvers import (
    data,
    grid,
    once,
    ours,
    peers,
    plan,
    race,
    scikit,
    scikit_grid,
    single,
    tables,
    timing,
)
from tests.benchmarks.solvers.competitor import Competitor
from tests.benchmarks.solvers.ladder import climb
from tests.benchmarks.solvers.objective import Problem, Solution, lower_bound, relative_gap, value
from tests.benchmarks.solvers.reference import reference
from tests.benchmarks.solvers.remote import Remote, adelie
from tests.benchmarks.solvers.scoring import auc_of, log_loss_of
from tests.conftest import ROOT

EVERYBODY = {who.name: who for who in [*ours.competitors(1), *scikit.competitors(), *peers.competitors()]}


def tiny(l1_ratio: float, C: float = 0.3) -> Problem:
    random = np.random.default_rng(3)
    X = data.standardised(random.normal(size=(160, 5)) @ random.normal(size=(5, 5)))
    y = (X[:, 0] - X[:, 2] + random.normal(size=160) > 0.5).astype(np.int64)
    return Problem(X, y, C, l1_ratio)


@pytest.mark.parametrize(("signal", "least", "most"), [("weak", 0.64, 0.79), ("strong", 0.95, 1.0)])
def test_the_generator_makes_what_it_says(signal: str, least: float, most: float) -> None:
    table = data.make_table("3278x26", signal)
    X = data.standardised(table.X)
    assert X.shape == (3278, 26)
    assert 1e2 < np.linalg.cond(X.T @ X) < 1e3
    model = LogisticRegression(solver="newton-cholesky").fit(X, table.y)
    assert least < roc_auc_score(table.y, model.decision_function(X)) < most
    assert set(np.bincount(table.group)) == {11}
    assert all(len(set(table.y[table.group == video])) == 1 for video in range(298))
    np.testing.assert_array_equal(table.X, data.make_table("3278x26", signal).X)


def test_no_video_crosses_a_fold() -> None:
    table = data.make_table("330x400")
    folds = data.grouped_folds(table)
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(330))
    for train, test in folds:
        assert not set(table.group[train]) & set(table.group[test])
        assert set(table.y[test]) == {0, 1}


@pytest.mark.parametrize("l1_ratio", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("C", [0.1, 0.3, 50.0])
def test_the_reference_is_the_minimum(l1_ratio: float, C: float) -> None:
    problem = tiny(l1_ratio, C)
    found = reference(problem)
    assert abs(found.gap) < 1e-10
    model = LogisticRegression(C=C, l1_ratio=l1_ratio, solver="saga", tol=1e-12, max_iter=100_000, random_state=0)
    model.fit(problem.X, problem.y)
    other = Solution(model.coef_[0], float(model.intercept_[0]))
    assert abs(found.suboptimality(value(problem, other))) < 1e-10
    np.testing.assert_allclose(found.solution.coef, other.coef, atol=1e-5)
    if l1_ratio == 0:
        from sklearn.metrics import log_loss

        probabilities = model.predict_proba(problem.X)
        by_hand = C * log_loss(problem.y, probabilities, normalize=False) + 0.5 * np.sum(model.coef_**2)
        assert value(problem, other) == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize(("l1_ratio", "intercept"), list(product([0.0, 0.4, 1.0], [True, False])))
def test_the_bound_is_below_every_value(l1_ratio: float, intercept: bool) -> None:
    random = np.random.default_rng(0)
    problem = Problem(tiny(0).X, tiny(0).y, 0.3, l1_ratio, intercept)
    least = reference(problem).value
    for scale in (0.01, 0.3, 3.0):
        point = Solution(scale * random.normal(size=5), scale if intercept else 0.0)
        assert lower_bound(problem, point) < least < value(problem, point)
        assert relative_gap(problem, point) > 1e-4


def test_a_number_that_is_none_has_an_infinite_value() -> None:
    assert value(tiny(0.0), Solution(np.full(5, np.nan))) == np.inf


CASES = [
    (name, ratio) for name, ratio in product(EVERYBODY, [0.0, 0.4, 1.0]) if not EVERYBODY[name].refusal(tiny(ratio))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "l1_ratio"), CASES)
def test_a_competitor_finds_the_minimum_of_its_objective(name: str, l1_ratio: float) -> None:
    who, problem = EVERYBODY[name], tiny(l1_ratio)
    if not who.is_installed():
        pytest.skip(f"{name} is not installed")
    best = reference(who.problem(problem))
    who.fit(problem, 0.1)  # some compile themselves on first use
    found = climb(
        lambda tol: who.fit(problem, tol), lambda point: best.suboptimality(value(who.problem(problem), point)),
        [1e-9], limit=20,
    )[1e-9]  # fmt: skip
    assert found.outcome == "reached", found.reason
    if who.path:
        Cs = [0.1, 0.3, 2.0]
        solutions = who.path(problem, Cs, found.tol or 0.0)
        for C, solution in zip(Cs, solutions, strict=True):
            each = Problem(problem.X, problem.y, C, l1_ratio)
            assert reference(each).suboptimality(value(each, solution)) < 1e-6


def test_the_ladder_takes_the_loosest_tolerance_that_is_enough() -> None:
    found = climb(lambda tol: Solution(np.array([tol])), lambda it: float(it.coef[0]) * 0.5, [1e-3, 1e-6, 1e-30], 60)
    assert (found[1e-3].outcome, found[1e-3].tol) == ("reached", pytest.approx(1e-3))
    assert found[1e-6].tol == pytest.approx(1e-6)
    assert found[1e-30].outcome == "not reached"
    assert found[1e-30].reason == "best 5.0e-16 down to tol 1e-15"


def test_the_ladder_ends_with_its_time_and_says_so() -> None:
    def slow(tol: float) -> Solution:
        began = time.process_time()
        while time.process_time() < began + 0.02:
            pass
        return Solution(np.zeros(1))

    found = climb(slow, lambda _: 0.5, [1e-6], limit=0.01)[1e-6]
    assert found.reason == "best 5.0e-01 down to tol 1e-01, stopped after 0 CPU s"


def test_what_a_library_raises_becomes_an_outcome() -> None:
    def fails(tol: float) -> Solution:
        if tol < 0.05:
            raise RuntimeError("Max iterations reached\nlater lines")
        return Solution(np.zeros(1))

    found = climb(fails, lambda _: 1e-5, [1e-4, 1e-6], limit=60)
    assert found[1e-4].outcome == "reached"
    assert (found[1e-6].outcome, found[1e-6].reason) == ("failed", "RuntimeError: Max iterations reached")


def test_scores_of_columns_are_scikit_learns() -> None:
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    scores = np.column_stack([random.normal(size=300), random.normal(size=300).round(1), np.zeros(300)])
    np.testing.assert_allclose(auc_of(scores, y), [roc_auc_score(y, column) for column in scores.T], atol=1e-14)
    margins = np.where(y[:, None] > 0, 1, -1) * scores
    np.testing.assert_allclose(log_loss_of(scores, y), np.log1p(np.exp(-margins)).mean(axis=0))


def small_task() -> grid.Task:
    random = np.random.default_rng(1)
    group = np.repeat(np.arange(60), 3)
    y = np.repeat(random.integers(0, 2, 60), 3)
    table = data.Table(random.normal(size=(180, 4)) + 0.4 * y[:, None], y, group)
    return grid.Task(table, data.grouped_folds(table, 3), [0.01, 0.1, 1.0], (0.0,))


def test_a_path_and_a_grid_search_agree() -> None:
    task = small_task()
    path = grid.by_paths(task, scikit.path_with("newton-cholesky"), 1e-10)
    minima = grid.references(task)
    worst = grid.worst(task, path, minima)
    assert worst is not None
    assert worst < 1e-9
    search = scikit_grid.grid_search(task, "newton-cholesky", jobs=1)
    assert search.auc is not None
    assert path.auc is not None
    np.testing.assert_allclose(path.log_loss, search.log_loss, atol=1e-4)
    np.testing.assert_allclose(path.auc, search.auc, atol=1e-2)
    assert grid.loss_error(task, search, minima) < 1e-4
    assert path.best == search.best
    assert path.refit is not None
    assert search.refit is not None
    np.testing.assert_allclose(path.refit.coef, search.refit.coef, atol=1e-3)


def test_paths_race_again_with_the_tolerance_that_is_enough() -> None:
    task = small_task()
    one = Competitor("newton", "sklearn", scikit.fit_with("lbfgs"), scikit.path_with("lbfgs"), default_tol=0.1)
    (entrant,) = race.matched(task, [one], grid.references(task), race.Race("unused"))
    assert (entrant.name, entrant.outcome) == ("newton path, to 1e-09", "done")
    assert entrant.call is not None
    worst = grid.worst(task, entrant.call(), grid.references(task))
    assert worst is not None
    assert worst <= 1e-9
    assert not list(race.matched(task, [one], [], race.Race("unused", methods=["another path"])))


def test_a_wrong_coefficient_is_seen() -> None:
    task = small_task()
    found, minima = grid.by_paths(task, scikit.path_with("newton-cholesky"), 1e-10), grid.references(task)
    right = found.solutions[2][1]
    found.solutions[2][1] = Solution(right.coef + 0.1 * np.eye(4)[0], right.intercept)
    worst = grid.worst(task, found, minima)
    assert worst is not None
    assert worst > 1e-6


def test_our_grid_takes_part() -> None:
    task = small_task()
    minima = grid.references(task)
    for method in ours.grid_methods(task).values():
        worst = grid.worst(task, method(), minima)
        assert worst is not None
        assert worst < 1e-9


def test_a_cell_runs_and_missing_solvers_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.SHAPES, "tiny", (220, 26))
    absent = Competitor("absent", "a_module_that_is_not_there", scikit.fit_with("lbfgs"))
    chosen = [who for who in scikit.competitors() if who.name == "newton-cholesky"] + [absent]
    rows = list(single.run(single.Cells("tiny", signals=["weak"], Cs=[0.1], rounds=2), chosen))
    outcomes = {(row["method"], row["penalty"], row["outcome"]) for row in rows}
    assert ("newton-cholesky", "l2", "reached") in outcomes
    assert ("newton-cholesky", "l1", "not applicable") in outcomes
    assert ("absent", "l2", "not installed") in outcomes
    assert all(row["certified"] for row in rows)
    for row in rows:
        assert isinstance(row["cpu"], list)
        assert len(row["cpu"]) == (2 if row["outcome"] == "reached" else 0)


def example_rows() -> list[dict[str, object]]:
    cell = {
        "part": "single", "shape": "3278x26", "threads": 1, "signal": "weak", "seed": 0, "penalty": "l2", "C": 1.0,
        "target": 1e-9, "objective": "", "tol": 1e-6, "reason": "", "certified": True,
    }  # fmt: skip
    task = {
        "part": "grid", "shape": "3278x26", "threads": 1, "signal": "weak", "outlier": False, "seed": 0, "points": 100,
        "outcome": "done", "reason": "", "suboptimality": 1e-10, "loss_error": 0.0, "certified": True,
    }  # fmt: skip
    return [
        cell | {"method": "ours", "family": "ours", "outcome": "reached", "cpu": [1.0, 2.0], "wall": [1.0, 2.0]},
        cell | {"method": "lbfgs", "family": "scikit-learn", "outcome": "reached", "cpu": [3.0, 6.0], "wall": [4, 8]},
        cell | {"method": "celer", "family": "peer", "outcome": "not installed", "cpu": [], "wall": []},
        task | {"method": ours.GRID, "family": "ours", "rounds": [0, 1], "cpu": [1.0, 2.0], "wall": [1.0, 2.0]},
        task | {"method": race.GRID_SEARCH, "family": "scikit-learn", "rounds": [1], "cpu": [80.0], "wall": [50.0]},
        plan.broken({"part": "grid", "threads": 1, "what": {"shape": "6415x50"}}, "exit code -11: "),
    ]


def test_the_tables_say_what_the_rows_say(tmp_path: Path) -> None:
    text = tables.write(example_rows(), tmp_path, "# title")
    assert text == (tmp_path / "results.md").read_text()
    assert "| 3278x26 | 1 | weak | l2 | 1.0 | 1.5e+03 (1) | 4.5e+03 (3) | n/i |" in text
    assert "- celer: not installed in 1 rows" in text
    assert "- grid 3278x26 weak: GridSearchCV saga / ours: wall 25, CPU 40" in text
    assert "- grid 3278x26 weak: ours: grid: worst suboptimality 1e-10" in text
    assert "- grid 3278x26 weak: fastest other at its own tolerance: GridSearchCV saga / ours: wall 25, CPU 40" in text
    assert "fastest scikit-learn / ours over 1 cells: least 3, median 3, most 3" in text
    assert "stopped exit code -11" in text
    frame = pl.read_parquet(tmp_path / "results.parquet")
    assert frame.filter(pl.col("method") == race.GRID_SEARCH)["wall_ratio"].to_list() == [25.0]
    assert frame.height == 6


def test_a_job_that_dies_is_a_row() -> None:
    job = {"part": "grid", "threads": 1, "adelie": "", "what": {"shape": "no such shape"}}
    (row,) = command.run_job(job, 60)
    assert row["outcome"] == "stopped"
    assert row["reason"] == "exit code 1: KeyError: 'no such shape'"
    (row,) = command.run_job(job | {"part": "single"}, 0.01)
    assert row["reason"] == "stopped after 0 s"


def test_another_interpreter_that_ends_is_an_error() -> None:
    assert not adelie("", 1).is_installed()
    remote = Remote(sys.executable, 1)
    if subprocess.run([sys.executable, "-c", "import adelie"], capture_output=True, check=False).returncode == 0:
        pytest.skip("adelie is installed here")
    with pytest.raises(OSError, match=r"(ended with code 1|Broken pipe)"):
        remote.path(tiny(0.0), [1.0], 1e-6)
    remote.close()


def test_a_process_of_its_own_tells_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.SHAPES, "tiny", (2200, 26))
    row = once.run(EVERYBODY["newton-cholesky"], "tiny")
    assert row["outcome"] == "done"
    assert row["penalty"] == "l2"
    assert isinstance(row["memory_mb"], float)
    assert row["memory_mb"] >= 0


def test_a_failure_in_a_process_of_its_own_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(data.SHAPES, "tiny", (220, 26))

    def fails(problem: Problem, tol: float) -> Solution:
        raise MemoryError("no room")

    row = once.run(Competitor("failing", "sys", fails), "tiny")
    assert (row["outcome"], row["reason"]) == ("failed", "MemoryError: no room")


def test_a_worker_loads_no_library_before_it_needs_one() -> None:
    heavy = "{'sklearn', 'scipy', 'polars', 'glum'}"
    code = f"import sys, tests.benchmarks.solvers.worker; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_cpu_of_a_child_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    _, cost = timing.measure(lambda: subprocess.run([sys.executable, "-c", burn], check=True), children=True)
    assert cost.cpu >= 0.28
    timing.correct(timing.Cost(0, 0))
    _, corrected = timing.measure(lambda: timing.correct(timing.Cost(5.0, 7.0)))
    assert 5 <= corrected.cpu < 6
    assert 7 <= corrected.wall < 8


def test_quick_is_part_of_nothing_large() -> None:
    shapes = {job["what"]["shape"] for job in plan.jobs(quick=True, large=False)}
    assert shapes == {"3278x26", "330x400"}
    assert {job["what"]["shape"] for job in plan.jobs(quick=False, large=True)} == set(data.SHAPES)
