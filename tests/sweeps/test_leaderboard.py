from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from fvc_exp.io.files import write_json
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.job import run_members
from fvc_exp.sweeps.leaderboard import floors, rank
from fvc_exp.sweeps.results import collect_results
from fvc_exp.sweeps.show import leaderboard_json, print_leaderboard
from fvc_exp.sweeps.states import MemberState, State, inspect
from fvc_exp.sweeps.submissions import Cluster, Submission, write
from tests.sweeps.conftest import MakePlan

GRID = ("penalty=l1,l2", "C=0.001,0.1,10", "solver=liblinear")


def swept(sweep: SweepFolder, plan: Plan) -> list[MemberState]:
    """The states after every member ran in one job."""
    ids = [member.run_id for member in plan.members]
    write(sweep, Submission.new(Cluster.local, str(sweep.path), [ids]).with_jobs(["1.1"]))
    run_members(sweep, plan.members, "1")
    return inspect(sweep, plan)


@pytest.fixture
def plan(make: MakePlan) -> Plan:
    return make(*GRID)


def test_tables_say_what_the_run_folders_say(sweep: SweepFolder, plan: Plan) -> None:
    table = collect_results(sweep, swept(sweep, plan))
    assert table.equals(pl.read_parquet(sweep.results))
    assert pl.read_csv(sweep.results_csv)["run_id"].to_list() == [member.run_id for member in plan.members]
    for row in table.iter_rows(named=True):
        folder = sweep.member(row["run_id"])
        aucs = [record["test_auc"] for record in json.loads(folder.metrics.read_text())]
        assert row["auc_mean"] == pytest.approx(np.mean(aucs))
        assert row["auc_std"] == pytest.approx(np.std(aucs, ddof=1))
        assert row["test_auc"] == json.loads(folder.results.read_text())["test"]["auc"]
        assert row["state"] == "done"
        assert row["seconds"] > 0
    folds = pl.read_parquet(sweep.folds)
    assert folds.group_by("run_id").len()["len"].to_list() == [5] * 6


def test_collecting_twice_gives_the_same_files(sweep: SweepFolder, plan: Plan) -> None:
    states = swept(sweep, plan)
    collect_results(sweep, states)
    files = (sweep.results, sweep.results_csv, sweep.folds)
    before = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    collect_results(sweep, inspect(sweep, plan))
    assert [path.read_bytes() for path in files] == before


def row(auc: float | None, **facts: object) -> dict[str, Any]:
    base = {"run_id": "x", "state": "done", "penalty": "l2", "C": 1.0, "solver": "saga", "auc_mean": auc}
    base |= {"audit": "PASS", "audit_allow_fail": False, "flags": ""}
    base |= {"l1_ratio": None, "features": "stage2", "class_weight": None, "seed": 42, "nonzero": 5}
    base |= facts
    return {"final_C": base["C"], **base}


RANKINGS: Mapping[str, tuple[list[dict[str, Any]], list[str]]] = {
    "by AUC": ([row(0.6, run_id="a"), row(0.8, run_id="b"), row(0.7, run_id="c")], ["b", "c", "a"]),
    "equal AUC: fewer coefficients": (
        [row(0.6, run_id="a"), row(0.6, run_id="b", C=100.0, nonzero=4), row(0.6, run_id="c", nonzero=None)],
        ["b", "a", "c"],
    ),
    "equal AUC: smaller C": ([row(0.6, run_id="a", C=1.0), row(0.6, run_id="b", C=0.1)], ["b", "a"]),
    "equal AUC: no penalty last": (
        [row(0.6, run_id="a", C=None, penalty="none"), row(0.6, run_id="b", C=100.0)],
        ["b", "a"],
    ),
    "equal AUC and C: sparser": (
        [row(0.6, run_id=name, penalty=name) for name in ("none", "l2", "elasticnet", "l1")],
        ["l1", "elasticnet", "l2", "none"],
    ),
    "leaks are not ranked": ([row(0.9, run_id="a", audit="FAIL"), row(0.5, run_id="b")], ["b"]),
    "but for those who insist": (
        [row(0.9, run_id="a", audit="FAIL", audit_allow_fail=True), row(0.5, run_id="b")],
        ["a", "b"],
    ),
    "failed ones take no part": ([row(None, run_id="a", state="failed"), row(0.5, run_id="b")], ["b"]),
}


@pytest.mark.parametrize(("rows", "expected"), RANKINGS.values(), ids=RANKINGS)
def test_ranking(rows: list[dict[str, Any]], expected: list[str]) -> None:
    ranked = rank(pl.DataFrame(rows, infer_schema_length=None))
    assert ranked["run_id"].to_list() == expected
    assert ranked["rank"].to_list() == list(range(1, len(expected) + 1))


@pytest.mark.parametrize(
    ("rows", "flags"),
    [
        ([row(0.7, C=10.0), row(0.6, C=1.0), row(0.5, C=0.1)], ["edge_of_grid", "", ""]),
        ([row(0.7, C=1.0), row(0.6, C=10.0), row(0.5, C=0.1)], ["", "", ""]),
        ([row(0.7, C=10.0), row(0.6, C=1.0)], ["", ""]),
        ([row(0.7, C=10.0), row(0.6, C=1.0, penalty="l1"), row(0.5, C=0.1, penalty="l1")], ["", "", ""]),
        ([row(0.7, C=0.1, flags="not_converged"), row(0.6), row(0.5, C=10.0)], ["not_converged edge_of_grid", "", ""]),
        ([row(0.7, C=None, penalty="none"), row(0.6), row(0.5, C=10.0)], ["", "", ""]),
    ],
    ids=["largest", "inside", "two are no grid", "other penalties do not count", "beside another flag", "no C"],
)
def test_a_winner_at_the_edge_of_the_grid_is_flagged(rows: list[dict[str, Any]], flags: list[str]) -> None:
    assert rank(pl.DataFrame(rows, infer_schema_length=None))["flags"].to_list() == flags


def test_the_held_out_rows_do_not_choose_the_winner(sweep: SweepFolder, plan: Plan) -> None:
    table = collect_results(sweep, swept(sweep, plan))
    turned = table.with_columns(test_auc=1 - pl.col("test_auc"), test_f1=1 - pl.col("test_f1"))
    assert rank(turned)["run_id"].to_list() == rank(table)["run_id"].to_list()


def test_nothing_finished(sweep: SweepFolder, plan: Plan) -> None:
    ranked = rank(collect_results(sweep, inspect(sweep, plan)))
    assert len(ranked) == 0
    assert floors(ranked) == {}


def shown(sweep: SweepFolder, plan: Plan, states: list[MemberState]) -> str:
    console = Console(width=120, record=True, file=(sweep.path / "shown").open("w"))
    with console.file:
        print_leaderboard(console, plan, states, collect_results(sweep, states))
        return console.export_text()


def test_shows_floors_flags_failures_and_what_was_refused(sweep: SweepFolder, make: MakePlan) -> None:
    plan = make("penalty=l1,elasticnet", "C=0.001,0.1,10", "solver=liblinear")
    states = swept(sweep, plan)
    folder = sweep.member(plan.members[1].run_id)
    write_json(folder.status, {**json.loads(folder.status.read_text()), "state": "failed", "reason": "ValueError",
                               "message": "boom"})  # fmt: skip
    text = shown(sweep, plan, inspect(sweep, plan))
    assert states[1].state is State.done
    for rule in ("prior", "all_fake", "group_lookup"):
        assert f"floor  {rule}" in text
    assert "null_model" in text
    assert f"failed: {plan.members[1].run_id} penalty=l1 C=0.1: ValueError: boom" in text
    assert "3 invalid configurations were not run" in text
    assert "3 x penalty=elasticnet cannot be fitted by solver=liblinear" in text


def test_as_json(sweep: SweepFolder, plan: Plan) -> None:
    states = swept(sweep, plan)
    content = json.loads(json.dumps(leaderboard_json(plan, states, collect_results(sweep, states))))
    assert content["requested"] == 6
    assert [each["rank"] for each in content["ranking"]] == [1, 2, 3, 4, 5, 6]
    assert content["floors"]["prior"]["auc"] == 0.5
    assert content["failures"] == []


def test_a_broken_run_folder_costs_no_other_result(sweep: SweepFolder, plan: Plan) -> None:
    swept(sweep, plan)
    broken: Path = sweep.member(plan.members[0].run_id).results
    broken.write_text("{")
    table = collect_results(sweep, inspect(sweep, plan))
    assert table["state"].to_list() == ["failed", *["done"] * 5]
    assert table["auc_mean"].count() == 5


def test_a_leaking_sweep_has_no_winner(sweep: SweepFolder, make: MakePlan) -> None:
    plan = make("C=0.1,1", "cv=stratified")
    states = swept(sweep, plan)
    assert [each.state for each in states] == [State.done, State.done]
    assert len(rank(collect_results(sweep, states))) == 0
    assert f"not ranked: {plan.members[0].run_id} C=0.1: its audit failed: " in shown(sweep, plan, states)
