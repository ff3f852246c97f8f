"""``fvc`` on sweep folders, called in this process."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fvc_exp import load_sweep
from fvc_exp.io.files import write_json
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.job import run_members
from fvc_exp.sweeps.schedulers import Cluster, Submission, write_submission
from tests.conftest import edit_json
from tests.shell import fvc, one_line, run_py, succeeded
from tests.sweeps.conftest import MakePlan, sweep_arguments


@pytest.fixture
def plan(make: MakePlan, sweep: SweepFolder) -> Plan:
    """Two members, the first of which is done."""
    plan = make("penalty=l2", "C=0.1,1")
    sweep.write_plan(plan)
    submission = Submission.new(sweep, Cluster.local, str(sweep.path), [plan.members[:1]])
    write_submission(sweep, replace(submission, jobs=["1.1"]))
    run_members(sweep, plan.members[:1], "1")
    return plan


def fail_second(sweep: SweepFolder, plan: Plan) -> None:
    folder = sweep.member(plan.members[1].run_id)
    folder.path.mkdir()
    write_json(folder.status, {"state": "failed", "reason": "ValueError", "message": "boom"})


def test_status_of_an_unfinished_and_of_a_failed_sweep(sweep: SweepFolder, plan: Plan) -> None:
    done = fvc("status", sweep.path, "--json")
    assert done.returncode == 3
    shown = json.loads(done.stdout)["members"]
    assert [(each["run_id"], each["state"]) for each in shown] == [
        (plan.members[0].run_id, "done"),
        (plan.members[1].run_id, "waiting"),
    ]
    assert "1 done, 1 waiting" in fvc("status", sweep.path).stdout
    assert fvc("status", sweep.path, "--watch").returncode == 3  # at rest: it ends at once
    fail_second(sweep, plan)
    done = fvc("status", sweep.path)
    assert done.returncode == 1
    assert "ValueError: boom" in done.stdout


def test_leaderboard_writes_nothing(sweep: SweepFolder, plan: Plan) -> None:
    before = {path: path.stat().st_mtime_ns for path in sweep.path.rglob("*")}
    done = succeeded(fvc("leaderboard", sweep.path, "--json"))
    assert [each["run_id"] for each in json.loads(done.stdout)["ranking"]] == [plan.members[0].run_id]
    assert {path: path.stat().st_mtime_ns for path in sweep.path.rglob("*")} == before


def test_leaderboard_before_anything_is_finished(make: MakePlan, sweep: SweepFolder) -> None:
    sweep.write_plan(make("C=0.1"))
    assert fvc("leaderboard", sweep.path).returncode == 3


def test_collect_then_retry_then_collect(sweep: SweepFolder, plan: Plan) -> None:
    fail_second(sweep, plan)
    assert fvc("collect", sweep.path).returncode == 1
    for path in (sweep.results, sweep.results_csv, sweep.folds, sweep.leaderboard, sweep.best / "results.json"):
        assert path.exists()
    assert "1 already done, 1 to run" in succeeded(fvc("retry", sweep.path)).stderr
    assert fvc("collect", sweep.path).returncode == 0
    assert fvc("retry", sweep.path, "--no-wait").returncode == 2


def test_a_plan_of_another_version_is_one_line(sweep: SweepFolder) -> None:
    sweep.plan.write_text("{}")
    done = fvc("status", sweep.path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sweep.plan}: Object missing required field command; was it written by this")


STOCK = ("hydra/sweeper=basic", "hydra/launcher=basic", "penalty=l1,l2", "C=0.1", "plots=false")


@pytest.mark.slow
def test_a_folder_of_hydras_own_sweeper_is_ranked_and_reported(tables: Path) -> None:
    folder = tables / "stock"
    succeeded(run_py(*sweep_arguments(tables, *STOCK, f"hydra.sweep.dir={folder}")))
    shutil.copytree(folder / "1", folder / "2")
    write_json(folder / "2" / "status.json", {"state": "failed", "reason": "ValueError", "message": "boom"})
    assert load_sweep(folder)["state"].to_list() == ["done", "done", "failed"]
    edit_json(folder / "1" / "provenance.json", code_hash="0" * 64, packages={"numpy": "1.0"})
    board = one_line(succeeded(fvc("leaderboard", folder)).stdout)
    assert re.search("1 l[12] .* 2 l[12] .* floor", board)
    assert "failed: 2 penalty=l2 C=0.1 solver=prox-newton: ValueError: boom" in board
    assert re.search(r"not made by the same code, .* code 000000000000 \(1\).* numpy 1\.0 \(1\)", board)
    found = json.loads(succeeded(fvc("leaderboard", folder, "--json")).stdout)
    assert [each["penalty"] for each in found["ranking"]] == re.findall(r"\bl[12]\b", board)[:2]
    assert found["code_warning"] in board
    succeeded(fvc("report", folder))
    page = (folder / "report.html").read_text()
    assert "made by another sweeper than ours" in page
    assert "numpy 1.0 (1)" in page
    assert succeeded(fvc("compare", folder)).stdout.count("C=0.1") >= 1
