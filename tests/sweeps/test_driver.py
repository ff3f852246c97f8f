"""Whole sweeps by the real command line: in the driver's own process and in local ones."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import polars as pl
import pytest

from fvc_exp.config.schema import Rerun
from fvc_exp.errors import ArtifactError
from fvc_exp.evaluation.claims import Selection
from fvc_exp.io.files import exclusive_lock, write_json
from fvc_exp.io.run_folder import RunFolder, code_hash
from fvc_exp.runs.compare.ties import runs_of
from fvc_exp.runs.load import load_run
from fvc_exp.runs.verify import verify
from fvc_exp.sweeps.driver import copy_best, drive_sweep, finish
from fvc_exp.sweeps.folder import Plan, SweepFolder
from fvc_exp.sweeps.job import run_members
from fvc_exp.sweeps.states import State, member_states
from tests.processes import SABOTAGE, until
from tests.shell import ROOT, fvc, modules_of, one_line, run_py, run_py_process, succeeded
from tests.sweeps.conftest import MakePlan, sweep_arguments
from tests.sweeps.sabotage import sitecustomize as broken


def sweep_of(tables: Path) -> Path:
    (path,) = (tables / "out" / "sweeps").iterdir()
    return path


def states(tables: Path) -> dict[str, tuple[State, str]]:
    folder = SweepFolder(sweep_of(tables))
    found = member_states(folder, folder.read_plan())
    return {" ".join(each.member.overrides): (each.state, each.reason) for each in found}


def test_a_sweep_in_process_and_again(tables: Path) -> None:
    command = sweep_arguments(tables, "penalty=l1,l2,elasticnet", "solver=liblinear,saga", "C=0.1,1")
    first = succeeded(run_py(*command))
    assert "12 requested: 2 invalid, 0 duplicates, 0 already done, 10 to run" in first.stderr
    assert "NumExpr" not in first.stderr
    sweep = sweep_of(tables)
    assert len(pl.read_parquet(sweep / "results.parquet")) == 10
    assert (sweep / "best" / "roc_pr_curves.png").exists()
    assert not list(sweep.glob("runs/*/*.png"))
    assert all(len(line) <= 80 for line in [*first.stdout.splitlines()[:14], *first.stderr.splitlines()])
    facts = ("best +\\w{12} penalty=", "CV AUC +0", "held-out +AUC 0", "choice +Held-out AUC .*Best of 10 config",
             r"claim .* as one of 10 configurations\)", "audit +PASS", "leak price +AUC with rows dealt",
             rf"next +fvc report {sweep}$")  # fmt: skip
    assert re.search(".*".join(facts), one_line(first.stdout)), first.stdout
    assert verify(sweep / "best").identical
    written = {path: path.stat().st_mtime_ns for path in (sweep / "best").iterdir()}

    # What does not change a number does not make another sweep either.
    again = succeeded(run_py(*command, "sweep.pack=4", "video.workers=2"))
    assert "10 already done, 0 to run" in again.stderr
    assert sweep_of(tables) == sweep
    assert {path: path.stat().st_mtime_ns for path in (sweep / "best").iterdir()} == written


def test_best_is_a_copy_of_its_run_with_pictures(make: MakePlan, sweep: SweepFolder) -> None:
    first, second = make("penalty=l2", "C=0.1,1").members
    run_members(sweep, [first, second], "1")
    copy_best(sweep, first.run_id, Selection(1), plots=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fvc_exp.runs.curves.roc_pr_figure", Mock(side_effect=ArtifactError("torn")))
        with pytest.raises(ArtifactError, match="torn"):
            copy_best(sweep, second.run_id, Selection(1), plots=True)
    assert load_run(sweep.best).results["run_id"] == first.run_id  # all of the one, or all of the other
    copy_best(sweep, second.run_id, Selection(2), plots=True)
    run = RunFolder(sweep.member(second.run_id).path)
    expected = {path.name: path.read_bytes() for path in run.files() if path.exists()}
    found = {path.name: path.read_bytes() for path in sweep.best.iterdir()}
    assert found.pop("roc_pr_curves.png").startswith(b"\x89PNG")
    assert b"<svg" in found.pop("roc_pr_curves.svg")
    member, made = json.loads(expected.pop("results.json")), json.loads(found.pop("results.json"))
    assert {key for key in made if member[key] != made[key]} == {"selection", "claim", "price"}
    assert made["selection"]["of"] == made["claim"]["selected_from"] == 2
    assert member["price"] is None
    assert made["price"]["low"] <= 1, "only best/ has the price of a leak"
    status, copied = json.loads(expected.pop("status.json")), json.loads(found.pop("status.json"))
    assert {**status, "files": None} == {**copied, "files": None}
    assert set(copied["files"]) == {*status["files"], "roc_pr_curves.png", "roc_pr_curves.svg"}
    assert found == expected
    assert len(runs_of([sweep.path, sweep.best])) == len(runs_of([sweep.path])) == 2
    assert runs_of([sweep.best])[0].selected_from == 2
    assert not list(sweep.path.glob(".best*"))


def test_dry_writes_nothing(tables: Path) -> None:
    before = {path.name for path in tables.iterdir()}
    done = run_py(*sweep_arguments(tables, "penalty=l2,elasticnet", "solver=liblinear", "C=1,1.0", "sweep.dry=true"))
    assert done.returncode == 0, done.stderr
    assert "4 requested: 2 invalid, 1 duplicates, 0 already done, 1 to run" in done.stdout
    assert "nothing was submitted" in done.stdout
    assert {path.name for path in tables.iterdir()} == before


def test_a_named_sweep_grows(tables: Path) -> None:
    where = tables / "named by Hydra"
    words = ("audit.price=false", "plots=false", f"hydra.sweep.dir='{where}'")
    succeeded(run_py(*sweep_arguments(tables, "C=0.1", *words)))
    more = succeeded(run_py(*sweep_arguments(tables, "C=1,10", "penalty=l2", *words)))
    assert "2 requested: 0 invalid, 0 duplicates, 0 already done, 2 to run" in more.stderr
    assert "keeps 1 configurations of other commands" in one_line(more.stderr)
    dry = succeeded(run_py(*sweep_arguments(tables, "C=0.1,1", *words, "sweep.dry=true")))
    assert "2 already done, 0 to run" in dry.stdout
    assert not (tables / "out").exists()
    assert load_run(where / "best").results["selection"]["of"] == 3
    for file in ("results.csv", "leaderboard.csv"):
        assert set(pl.read_csv(where / file)["C"]) == {0.1, 1, 10}
    shown = json.loads(succeeded(fvc("status", where, "--json")).stdout)["members"]
    assert [each["overrides"] for each in shown[:2]] == [["penalty=l2", "C=1"], ["penalty=l2", "C=10"]]
    assert len(json.loads(succeeded(fvc("leaderboard", where, "--json")).stdout)["ranking"]) == 3
    succeeded(fvc("report", where))


def test_results_are_written_under_the_lock_of_the_folder(copied: tuple[SweepFolder, Plan]) -> None:
    sweep, _ = copied
    with exclusive_lock(sweep.lock):
        other = threading.Thread(target=finish, args=[sweep])
        other.start()
        other.join(timeout=1)
        assert not sweep.results.exists()
    other.join(timeout=60)
    assert sweep.results.exists()


def test_torn_files_of_a_sweep_heal(copied: tuple[SweepFolder, Plan], caplog: pytest.LogCaptureFixture) -> None:
    sweep, _ = copied
    finish(sweep)
    results = sweep.best / "results.json"
    before = results.read_bytes()
    results.write_bytes(b"")
    (sweep.submissions / "torn.json").write_bytes(b"")
    finish(sweep)
    assert results.read_bytes() == before
    assert "torn.json: Input data was truncated; its jobs are not known" in caplog.text


def test_other_code_is_told_and_run_again_when_asked(
    copied: tuple[SweepFolder, Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, plan = copied
    of_old = sweep.member(plan.members[0].run_id)
    status = json.loads(of_old.status.read_text())
    write_json(of_old.status, {**status, "code_hash": "old"})
    plan = replace(plan, members=plan.members[:2])
    assert drive_sweep(sweep, plan)
    told = "2 already done (1 by other code; sweep.rerun=code runs them again), 0 to run"
    assert told in one_line(capsys.readouterr().err)
    rerun = replace(plan.config.sweep, rerun=Rerun.code)
    assert drive_sweep(sweep, replace(plan, config=replace(plan.config, sweep=rerun)))
    assert "1 already done, 1 to run" in one_line(capsys.readouterr().err)
    again = json.loads(of_old.status.read_text())
    assert (again["attempt"], again["code_hash"]) == (2, code_hash())
    assert json.loads((of_old.path / "attempts" / "1.status.json").read_text())["code_hash"] == "old"
    assert json.loads(of_old.provenance.read_text())["code_hash"] == code_hash()


def test_failures_make_the_exit_code_and_only_they_run_again(tables: Path) -> None:
    """Local processes: one raises, one is killed, one exits, one is fine."""
    command = sweep_arguments(tables, "penalty=l2", f"C={broken.RAISE},{broken.KILL},{broken.EXIT},1")
    done = run_py_process(*command, "hydra/launcher=local", env=os.environ | SABOTAGE)
    assert done.returncode == 1, done.stderr
    assert states(tables) == {
        f"C={broken.RAISE}": (State.failed, "ValueError"),
        f"C={broken.KILL}": (State.lost, "killed by SIGKILL"),
        f"C={broken.EXIT}": (State.lost, "exit code 7"),
        "C=1": (State.done, ""),
    }
    assert "ValueError: boom" in done.stdout
    assert "ValueError: boom" in done.stderr, "told when it happened"
    assert "1 already done, 3 to run" in succeeded(run_py(*command)).stderr
    assert set(states(tables).values()) == {(State.done, "")}


def test_a_killed_driver_leaves_local_jobs_that_the_next_one_waits_for(tables: Path) -> None:
    command = sweep_arguments(tables, "penalty=l2", "C=0.1", "hydra/launcher=submitit_local")
    words, env = [sys.executable, "run.py", *command], os.environ | SABOTAGE | {"ALL_SLOW": "12"}
    with subprocess.Popen(words, cwd=ROOT, env=env, stderr=subprocess.DEVNULL) as driver:
        until(lambda: any(tables.glob("out/sweeps/*/runs/*/attempts/1.claim")))
        driver.kill()
    done = succeeded(run_py(*command))
    assert "1 still queued or running, 0 to run" in one_line(done.stderr)
    assert [path.name for path in sweep_of(tables).glob("runs/*/attempts/*")] == ["1.claim"]


@pytest.mark.parametrize(("number", "launcher"), [(signal.SIGINT, "basic"), (signal.SIGTERM, "local")])
def test_an_interrupted_sweep_keeps_what_is_finished(tables: Path, number: signal.Signals, launcher: str) -> None:
    command = sweep_arguments(tables, "cv.n_repeats=1,5000", f"hydra/launcher={launcher}")
    with subprocess.Popen(
        [sys.executable, "run.py", *command], cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as driver:
        until(lambda: len(list(tables.glob("out/sweeps/*/runs/*/config.yaml"))) == 2)
        until(lambda: any(tables.glob("out/sweeps/*/runs/*/status.json")))
        time.sleep(1)
        driver.send_signal(number)
        _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 1
    assert "give the same command again to go on" in errors
    assert errors.splitlines()[-1] == "interrupted"
    until(lambda: sorted(states(tables).values()) == [(State.done, ""), (State.failed, f"stopped by {number.name}")])


REFUSED = {
    "leaving a process": (["sweep.wait=false"], "sweep.wait=false needs hydra/launcher=slurm"),
    "all illegal": (["penalty=elasticnet", "solver=liblinear"], "none of 2 configurations can run"),
    "pack": (["sweep.pack=0"], "sweep.pack=0 is not allowed"),
    "grid as jobs": (["search=grid", "hydra/launcher=local"], "search=grid makes its fits in one process"),
    "empty": (["search=grid", "C="], "C="),
    "folders of runs": (["hydra.sweep.subdir=${hydra.job.id}"], "hydra.sweep.subdir=${hydra.job.id} is not allowed"),
    "two names": (["hydra.sweep.dir=here", "sweep.name=there"], "hydra.sweep.dir=here and sweep.name=there both name"),
    "objective": (["sweep.objective=f1"], "sweep.objective=f1 is for hydra/sweeper=optuna"),
}


@pytest.mark.parametrize(("more", "message"), REFUSED.values(), ids=REFUSED)
def test_a_mistake_is_one_line_and_leaves_nothing(tables: Path, more: list[str], message: str) -> None:
    done = run_py(*sweep_arguments(tables, "C=0.1,1", *more))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tables / "out").exists()


def test_an_experiment_file_is_a_sweep_of_its_own(tables: Path) -> None:
    done = run_py(*sweep_arguments(tables, "experiment=grid_5alpha", "sweep.dry=true")[1:])
    assert "72 requested: 12 invalid, 32 duplicates, 0 already done, 28 to run" in done.stdout
    done = run_py(*sweep_arguments(tables, "experiment=grid_5alpha", "C=5", "sweep.dry=true")[1:])
    assert "18 requested: 3 invalid, 8 duplicates, 0 already done, 7 to run" in done.stdout


def test_only_two_groups_make_a_sweep_of_a_command() -> None:
    """Hydra is not asked whether it is one where neither of them is named."""
    files = [path for path in (ROOT / "conf").rglob("*.yaml") if "mode: MULTIRUN" in path.read_text()]
    assert {path.parent.name for path in files} == {"search", "experiment"}


@pytest.mark.usefixtures("_refusing_slurm")
def test_submitting_to_slurm_loads_no_scikit_learn(tables: Path) -> None:
    words = ("C=0.1,1", "hydra/launcher=slurm", "hydra.launcher.mem_gb=null", "sweep.wait=false")
    loaded = modules_of("run.py", *sweep_arguments(tables, *words))
    (record,) = sweep_of(tables).glob("submissions/*.json")
    assert json.loads(record.read_text())["jobs"] == ["5_0", "5_1"]
    assert "polars" in loaded
    assert not loaded & {"sklearn", "scipy", "matplotlib", "av", "cv2"}
