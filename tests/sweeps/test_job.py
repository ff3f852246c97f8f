import json
import pickle
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from fvc_exp.errors import DataError
from fvc_exp.io.files import write_json
from fvc_exp.io.run_folder import code_hash, failure_text
from fvc_exp.runs import execute
from fvc_exp.runs.execute import SplitCache
from fvc_exp.sweeps.claims import try_claim
from fvc_exp.sweeps.folder import Member, SweepFolder
from fvc_exp.sweeps.job import MemberBatch, TimeLimitError, run_member, run_members
from fvc_exp.training import split_dataset
from fvc_exp.training.split_dataset import SplitDataset
from tests.shell import ROOT, run_process
from tests.sweeps.conftest import MakePlan


@pytest.fixture
def member(make: MakePlan) -> Member:
    return make("C=0.1", "penalty=l2").members[0]


def test_a_finished_member_is_not_run_again(sweep: SweepFolder, member: Member) -> None:
    folder = sweep.member(member.run_id)
    first = run_member(folder, member, "1")
    written = {path: path.stat().st_mtime_ns for path in folder.files() if path.exists()}
    assert (first["state"], first["attempt"], first["job"]) == ("done", 1, "1")
    assert run_member(folder, member, "2") == first
    assert {path: path.stat().st_mtime_ns for path in folder.files() if path.exists()} == written
    assert [path.name for path in folder.attempts.iterdir()] == ["1.claim"]


def test_an_attempt_keeps_the_last_end(sweep: SweepFolder, member: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sweep.member(member.run_id)

    def fail_late(path: object, result: object) -> None:
        folder.metrics.write_text("[1]")
        folder.plot.write_text("old")
        raise ValueError("boom")

    with monkeypatch.context() as patch:
        patch.setattr(execute, "write_result", fail_late)
        failed = run_member(folder, member, "1")
    assert (failed["state"], failed["reason"], failed["message"]) == ("failed", "ValueError", "boom")
    assert "fail_late" in failed["traceback"]
    write_json(folder.lost, {"state": "lost", "attempt": 1, "job": "1"})
    done = run_member(folder, member, "2")
    assert (done["state"], done["attempt"]) == ("done", 2)
    assert json.loads((folder.attempts / "1.status.json").read_text()) == failed
    assert json.loads((folder.attempts / "1.lost.json").read_text())["job"] == "1"
    assert not folder.plot.exists()
    assert not folder.lost.exists()
    assert len(json.loads(folder.metrics.read_text())) == 5


def test_a_member_that_is_under_way_is_waited_for(sweep: SweepFolder, member: Member) -> None:
    """The second process sees the first one's end, and does not run anything itself."""
    folder = sweep.member(member.run_id)
    claim = try_claim(folder, "1")
    assert claim is not None
    answers: list[dict[str, object]] = []
    waiting = threading.Thread(target=lambda: answers.append(run_member(folder, member, "2")))
    waiting.start()
    time.sleep(0.3)
    assert not answers
    write_json(folder.metrics, [{"fold": 0}])
    write_json(folder.results, {"run_id": member.run_id})
    write_json(folder.status, {"state": "done", "attempt": 1, "job": "1"})
    waiting.join(timeout=20)
    assert answers[0]["job"] == "1"


def test_one_that_fails_does_not_stop_the_others_of_its_job(sweep: SweepFolder, make: MakePlan) -> None:
    members = make("C=0.1,1,10").members
    broken = replace(members[1], config=replace(members[1].config, data=replace(members[1].config.data, root="/no")))
    statuses = run_members(sweep, [members[0], broken, members[2]], "1")
    assert [each["state"] for each in statuses] == ["done", "failed", "done"]


def test_nothing_begins_after_the_limit(sweep: SweepFolder, make: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_time(*arguments: object) -> None:
        raise TimeLimitError("over")

    monkeypatch.setattr(execute, "run_experiment", out_of_time)
    statuses = run_members(sweep, make("C=0.1,1").members, "1")
    assert [each["reason"] for each in statuses] == ["TimeLimitError"]


JOB = """
import os, signal, sys, threading, time
from fvc_exp.runs import execute
from fvc_exp.runs.execute import SplitCache
from fvc_exp.sweeps.job import MemberBatch
import submitit.core.job_environment as environment, submitit.core.utils as utils, pathlib, pickle

pack = pickle.load(open(sys.argv[1], "rb"))
def slow(*arguments):
    signal.raise_signal(signal.SIGUSR2)
    time.sleep(60)
execute.run_experiment = slow
os.environ |= {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "7", "SUBMITIT_FOLDER": sys.argv[2]}
here = environment.JobEnvironment()
delayed = utils.DelayedSubmission(pack)
delayed.set_timeout(1, 0)
here._handle_signals(here.paths, delayed)
pack()
"""


@pytest.mark.slow
def test_submitits_signal_becomes_a_time_limit_in_its_time(sweep: SweepFolder, member: Member, tmp_path: Path) -> None:
    """The warning comes at once; three quarters of the 16 s, from the start of the process, are the job's."""
    (tmp_path / "pack").write_bytes(pickle.dumps(MemberBatch(str(sweep.path), (member,), 16 / 60)))
    command = [sys.executable, "-c", JOB, str(tmp_path / "pack"), str(tmp_path)]
    began = time.monotonic()
    done = run_process(*command, cwd=ROOT, timeout=100)
    assert done.returncode == 1
    assert 11.9 <= time.monotonic() - began < 60
    status = json.loads(sweep.member(member.run_id).status.read_text())
    assert (status["reason"], status["job"]) == ("TimeLimitError", "7")


@pytest.mark.parametrize("allowed", [False, True])
def test_a_job_refuses_code_that_changed_since(sweep: SweepFolder, make: MakePlan, allowed: bool) -> None:
    (member,) = make("C=0.1", f"sweep.allow_code_change={allowed}").members
    (status,) = run_members(sweep, [replace(member, code_hash="old")], "1")
    assert status["state"] == ("done" if allowed else "failed")
    if not allowed:
        told = failure_text(status["reason"], status["message"])
        assert told == f"code changed since submission: fvc retry {sweep.path} runs it with the new code"
    (again,) = run_members(sweep, [replace(member, code_hash=code_hash(), again=True)], "2")
    assert (again["state"], again["attempt"], again["job"]) == ("done", 2, "2")


def shared(cache: SplitCache, make: MakePlan, *arguments: str) -> list[SplitDataset]:
    return [cache.split_dataset(member.config, member.data_sha256) for member in make(*arguments).members]


def test_rows_folds_and_certificate_are_made_once(make: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    made, certify_run = [], split_dataset.certify_run
    monkeypatch.setattr(split_dataset, "certify_run", lambda *given: made.append(given) or certify_run(*given))
    found = shared(SplitCache(), make, "C=0.1,1", "penalty=l1,l2")
    assert len(found) == 4
    assert len({id(each) for each in found}) == 1
    assert len({id(each.certificate) for each in found}) == len(made) == 1


@pytest.mark.parametrize("axis", ["seed=1,2", "cv.n_splits=3,4", "cv=grouped,stratified"])
def test_what_decides_folds_or_certificate_makes_another_split_of_the_same_rows(make: MakePlan, axis: str) -> None:
    one, other = shared(SplitCache(), make, axis)
    assert one is not other
    assert one.dataset is other.dataset


def test_rows_are_those_of_the_plan(make: MakePlan) -> None:
    member = make("C=0.1").members[0]
    with pytest.raises(DataError, match=r"data changed after the sweep was planned \(sha256 \w{12}, planned 000000"):
        SplitCache().split_dataset(member.config, "0" * 64)


def test_the_oldest_splits_are_forgotten_but_not_their_fits(make: MakePlan) -> None:
    members = make("search=grid", "C=0.1,1", "cv.n_splits=2", f"seed={','.join(map(str, range(12)))}").members
    first, cache = members[0], SplitCache()
    before = cache.split_dataset(first.config, first.data_sha256)
    planned = [(each.config, each.data_sha256) for each in members]
    cache.fit_together(planned, [config for config, _ in planned])
    after = cache.split_dataset(first.config, first.data_sha256)
    assert after is not before
    for data in (before, after):
        assert len(data.fit(first.config, data.split.development).fitted_with) == 2
