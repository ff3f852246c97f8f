import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from rich.console import Console

import fvc_exp
from fvc_exp.errors import ArtifactError
from fvc_exp.io.files import write_json
from fvc_exp.runs.compare.comparison import compare
from fvc_exp.runs.compare.ties import runs_of
from fvc_exp.sweeps.folder import Plan, Refused, SweepFolder
from fvc_exp.sweeps.results import collect_results, floors, rank, table_of
from fvc_exp.sweeps.show import leaderboard_json, print_leaderboard
from fvc_exp.sweeps.states import MemberState, State, member_states
from tests.conftest import edit_json
from tests.shell import one_line

Finished = tuple[SweepFolder, Plan]


def test_tables_hold_what_the_run_folders_hold_each_time(copied: Finished) -> None:
    sweep, plan = copied
    table = collect_results(sweep, member_states(sweep, plan))
    before = {path: path.read_bytes() for path in (sweep.results, sweep.results_csv, sweep.folds)}
    for path in before:
        path.unlink()
    collect_results(sweep, member_states(sweep, plan))
    assert {path: path.read_bytes() for path in before} == before
    assert table.equals(pl.read_parquet(sweep.results))
    assert pl.read_csv(sweep.results_csv)["run_id"].to_list() == [member.run_id for member in plan.members]
    for row in table.iter_rows(named=True):
        folder = sweep.member(row["run_id"])
        aucs = [record["test_auc"] for record in json.loads(folder.metrics.read_text())]
        assert row["auc_mean"] == pytest.approx(np.mean(aucs))
        assert row["auc_std"] == pytest.approx(np.std(aucs, ddof=1))
        assert row["test_auc"] == json.loads(folder.results.read_text())["test"]["auc"]
        assert (row["state"], row["final_C"]) == ("done", row["C"])
        assert row["seconds"] > 0
        assert row["nonzero"] == (pl.read_csv(folder.coefficients)["coefficient"][:-1] != 0).sum()
    assert pl.read_parquet(sweep.folds).group_by("run_id").len()["len"].to_list() == [5] * 6
    folder.metrics.write_text(folder.metrics.read_text().replace("0.", "1.", 1))
    with pytest.raises(ArtifactError, match=r"metrics\.json: "):
        collect_results(sweep, member_states(sweep, plan))


def test_broken_failed_and_missing_runs_keep_their_rows(copied: Finished) -> None:
    """``load_sweep`` gives the table of ``fvc collect`` and writes nothing."""
    sweep, plan = copied
    broken, failed, missing = (sweep.member(member.run_id) for member in plan.members[:3])
    broken.results.write_text("{")
    failed.results.unlink()
    write_json(failed.status, {"state": "failed", "reason": "DataError", "attempt": 1, "job": "1"})
    shutil.rmtree(missing.path)
    before = sorted(sweep.path.rglob("*"))
    table = fvc_exp.load_sweep(sweep.path)
    assert sorted(sweep.path.rglob("*")) == before
    assert table["state"].to_list() == ["failed", "failed", "waiting", "done", "done", "done"]
    assert table["reason"].to_list()[1:] == ["DataError", *[None] * 4]
    assert table["C"].to_list() == [0.001, 0.1, 10.0] * 2
    assert table["auc_mean"].count() == 3
    collect_results(sweep, member_states(sweep, plan))
    assert_frame_equal(table, pl.read_parquet(sweep.results))


def row(auc: float | None, **facts: object) -> dict[str, Any]:
    base = {"penalty": "l2", "C": 1.0, "solver": "saga", "auc_mean": auc, "nonzero": 5, "flags": ""}
    base |= {"audit": "PASS", "audit_allow_fail": False}
    base |= {"l1_ratio": None, "features": "stage2", "class_weight": None, "seed": 42, **facts}
    return {"final_C": base["C"], **base}


def ranked(*rows: dict[str, Any]) -> pl.DataFrame:
    """The ranking of these rows, named a, b, c and so on."""
    return rank(pl.DataFrame([{"run_id": name, **each} for name, each in zip("abc", rows, strict=False)]))


RANKED = {
    "by AUC": ([row(0.6), row(0.8), row(0.7)], "bca"),
    "equal AUC: simpler": ([row(0.6), row(0.6, C=None, nonzero=4), row(0.6, nonzero=9)], "bac"),
    "no leaks": ([row(0.9, audit="FAIL"), row(0.5)], "b"),
    "leaks that are allowed": ([row(0.9, audit="FAIL", audit_allow_fail=True), row(0.5)], "ab"),
    "nothing that failed": ([row(None), row(0.5)], "b"),
}


@pytest.mark.parametrize(("rows", "expected"), RANKED.values(), ids=RANKED)
def test_ranking(rows: list[dict[str, Any]], expected: str) -> None:
    found = ranked(*rows)
    assert "".join(found["run_id"]) == expected
    assert found["rank"].to_list() == list(range(1, len(expected) + 1))


@pytest.mark.parametrize(
    ("rows", "flags"),
    [
        ([row(0.7, C=10.0), row(0.6), row(0.5, C=0.1)], "edge_of_grid"),
        ([row(0.7), row(0.6, C=10.0), row(0.5, C=0.1)], ""),
        ([row(0.7, C=10.0), row(0.6)], ""),
        ([row(0.7, C=10.0), row(0.6, penalty="l1"), row(0.5, C=0.1, penalty="l1")], ""),
        ([row(0.7, C=0.1, flags="not_converged"), row(0.6), row(0.5, C=10.0)], "not_converged edge_of_grid"),
        ([row(0.7, C=None, penalty="none"), row(0.6), row(0.5, C=10.0)], ""),
    ],
    ids=["largest", "inside", "two are no grid", "other penalties do not count", "beside another flag", "no C"],
)
def test_a_winner_at_the_edge_of_the_grid_is_flagged(rows: list[dict[str, Any]], flags: str) -> None:
    assert ranked(*rows)["flags"].to_list() == [flags, *[""] * (len(rows) - 1)]


@pytest.fixture(scope="module")
def states(finished_sweep: Finished) -> list[MemberState]:
    return member_states(*finished_sweep)


@pytest.fixture(scope="module")
def table(finished_sweep: Finished, states: list[MemberState]) -> pl.DataFrame:
    return table_of(states)


def test_the_ranking_is_that_of_compare(copied: Finished) -> None:
    """Also where all scores are equal."""
    sweep, plan = copied
    for equal in (False, True):
        compared = compare(runs_of([sweep.path]), replicates=20).to_frame()
        found = rank(table_of(member_states(sweep, plan)))
        assert found["run_id"].to_list() == compared["run"].to_list()
        assert (found["auc_mean"].n_unique() == 1) == equal
        first = sweep.member(found["run_id"][0])
        for member in plan.members:
            folder = sweep.member(member.run_id)
            folder.metrics.write_bytes(first.metrics.read_bytes())
            edit_json(folder.results, cv=json.loads(first.results.read_text())["cv"])


def test_the_held_out_rows_do_not_choose_the_winner(table: pl.DataFrame) -> None:
    turned = table.with_columns(test_auc=1 - pl.col("test_auc"), test_f1=1 - pl.col("test_f1"))
    assert rank(turned)["run_id"].to_list() == rank(table)["run_id"].to_list()


def test_as_json(finished_sweep: Finished, states: list[MemberState], table: pl.DataFrame) -> None:
    content = json.loads(json.dumps(leaderboard_json(finished_sweep[1], states, table, rank(table))))
    assert content["requested"] == 6
    assert [each["rank"] for each in content["ranking"]] == [1, 2, 3, 4, 5, 6]
    assert content["floors"]["prior"]["auc"] == 0.5
    assert content["failures"] == []
    waiting = [replace(each, state=State.waiting, status=None) for each in states]
    content = leaderboard_json(finished_sweep[1], waiting, table_of(waiting), rank(table_of(waiting)))
    assert (content["ranking"], content["floors"], len(content["failures"])) == ([], {}, 6)


def shown(plan: Plan, states: list[MemberState], results: pl.DataFrame, path: Path) -> str:
    with path.open("w") as file:
        console = Console(width=120, record=True, file=file)
        print_leaderboard(console, plan, states, results, rank(results))
        return console.export_text()


def test_the_first_200_of_many_configurations_without_l1_ratio_are_shown(
    finished_sweep: Finished, states: list[MemberState], table: pl.DataFrame, tmp_path: Path
) -> None:
    same = table.with_columns(l1_ratio=pl.lit(None, pl.Float64))
    many = pl.concat([same.with_columns(run_id=pl.lit(str(number)) + pl.col("run_id")) for number in range(40)])
    text = shown(finished_sweep[1], states, many, tmp_path / "shown")
    assert re.search(r"^floor +0\.\d", text, re.MULTILINE)
    assert "the first 199 of 240, ranked by" in one_line(text)


def test_shows_floors_flags_failures_and_what_was_refused(copied: Finished, tmp_path: Path) -> None:
    sweep, plan = copied
    failed = plan.members[1]
    edit_json(sweep.member(failed.run_id).status, state="failed", reason="ValueError", message="boom")
    states = member_states(sweep, plan)
    refused = replace(plan, invalid=[Refused(["C=-1"], "C=-1 is not allowed")] * 3)
    text = shown(refused, states, table_of(states), tmp_path / "shown")
    rules = floors(rank(table_of(states))).values()
    best = [f"{max(scores[name] for scores in rules):.3f}" for name in ("auc", "f1")]
    assert re.search(rf"^floor +{' +'.join(best)} *$", text, re.MULTILINE)
    assert "null_model" in text
    assert f"failed: {failed.run_id} {' '.join(failed.overrides)}: ValueError: boom" in one_line(text)
    assert "3 invalid configurations were not run:\n  3 x C=-1 is not allowed" in text


def test_no_leak_wins(finished_sweep: Finished, states: list[MemberState], table: pl.DataFrame, tmp_path: Path) -> None:
    plan, leaking = finished_sweep[1], table.with_columns(audit=pl.lit("FAIL"), audit_reasons=pl.lit("group_crossing"))
    assert len(rank(leaking)) == 0
    member = plan.members[0]
    line = f"not ranked: {member.run_id} {' '.join(member.overrides)}: its audit failed: group_crossing"
    assert line in one_line(shown(plan, states, leaking, tmp_path / "shown"))
